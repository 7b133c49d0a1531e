"""Which file of a submission is the one to read."""

import os
from pathlib import Path

from mimicry.errors import SubmissionError
from mimicry.files import is_clutter
from mimicry.realign.json_faults import quoted

SUFFIX = ".json"
MOST_ENTRIES = 20_000
SHOWN = 3


def json_names(names: list[str]) -> list[str]:
    """Return those of a submission's paths that could be it, sorted.

    JSON files at the root or one folder down count, an operating system's clutter aside.
    """
    return sorted(
        name
        for name in names
        if name.lower().endswith(SUFFIX) and name.count("/") <= 1 and not is_clutter(name)
    )


def the_one(names: list[str]) -> str:
    """Return the only one of several JSON files.

    Raises
    ------
    SubmissionError
        ``no-json-file`` or ``several-json-files``.
    """
    if not names:
        raise SubmissionError(
            "no-json-file",
            "The submission holds no JSON file (*.json) at its root or one folder down; zip the "
            "team's JSON file, with `mimicry pack-submission FILE.json`.",
        )
    if len(names) > 1:
        more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
        raise SubmissionError(
            "several-json-files",
            f"The submission holds {len(names):,} JSON files "
            f"({', '.join(map(quoted, names[:SHOWN]))}{more}); leave exactly one.",
        )
    return names[0]


def find_submission(folder: Path) -> Path:
    """Return the only JSON file in a submission's unpacked files.

    Looks at the root and one folder down; other files, the platform's own ``metadata``
    among them, do not count.

    Raises
    ------
    SubmissionError
        ``no-json-file``, ``several-json-files``, ``too-many-files``.
    """
    names: list[str] = []
    left = MOST_ENTRIES
    for prefix, here in _folders(folder):
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        raise SubmissionError(
                            "too-many-files",
                            f"The submission holds more than {MOST_ENTRIES:,} files; submit one "
                            "JSON file.",
                        )
                    # A folder of such a name is no file; links are refused when read.
                    if not entry.is_dir(follow_symlinks=False):
                        names.append(f"{prefix}{entry.name}")
        except OSError:
            continue
    return folder / the_one(json_names(names))


def _folders(folder: Path) -> list[tuple[str, Path]]:
    found = [("", folder)]
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(found) > MOST_ENTRIES:
                    break
                if entry.is_dir(follow_symlinks=False) and not is_clutter(entry.name):
                    found.append((f"{entry.name}/", folder / entry.name))
    except OSError:
        # Nothing was submitted, which the caller tells.
        pass
    return found
