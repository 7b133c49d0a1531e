"""Remove what the demo made, and nothing else.

``python -m mimicry.demo.cleaning`` does it for the current folder with the standard
library alone, so that it works where nothing is installed.
"""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mimicry.demo.storage import (
    FOLDERS,
    LOCK,
    PUBLIC,
    RECORDS,
    is_ours,
    leftovers,
    locked,
    owned_files,
    records,
)
from mimicry.demo.zoo_files import clean_zoo
from mimicry.errors import run_program

_TRAIN = f"{RECORDS}/train"
_ZIPS = (
    PUBLIC,
    *(
        f"{folder}/{name}{part}.zip"
        for folder in ("input_data", "reference_data")
        for name in ("val", "test")
        for part in ("_A", "_mimic", "")
    ),
)


class Cleaned(NamedTuple):
    """What `clean_demo` did, as paths relative to the folder."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]  # other files in the same folders


def clean_demo(output: Path, report: Callable[[str], None] = print) -> Cleaned:
    """Remove the demo data that are still as the demo made them.

    Parameters
    ----------
    output : Path
        The folder that holds ``input_data``, ``reference_data``, ``public_data`` and
        ``demo_data``.
    report : callable
        Gets one line for each file removed or kept; training images are counted.

    Returns
    -------
    Cleaned

    Raises
    ------
    BundleError
        If another process is writing demo data there, or a file cannot be removed.

    Notes
    -----
    A file goes if a record in ``demo_data`` has its hash, or if it is a zip of one of
    the demo's names with the demo's own mark. An edited file is somebody's, and stays.
    """
    if not any((output / folder).is_dir() for folder in FOLDERS):
        report(f"no demo data in {output}")
        return Cleaned((), ())
    with locked(output):
        owned = owned_files(output)
        removed = []
        for name in sorted({*owned, *_ZIPS}):
            path = output / name
            if path.is_symlink() or not path.is_file() or not is_ours(path, owned.get(name, {})):
                continue
            path.unlink()
            removed.append(name)
        # Last, so that a crash above leaves the knowledge whose the files are.
        for path in [*leftovers(output), *records(output)]:
            if path.is_file() and not path.is_symlink():
                path.unlink()
                removed.append(path.relative_to(output).as_posix())
        (output / RECORDS / LOCK).unlink(missing_ok=True)
        kept = [
            path.relative_to(output).as_posix()
            for folder in FOLDERS
            for path in sorted((output / folder).glob("*"))
            if path != output / _TRAIN and path.name not in {"README.md", ".gitkeep"}
        ]
        for folder in reversed(FOLDERS):
            # Not empty: somebody's files are in it.
            with suppress(OSError):
                (output / folder).rmdir()
    for line in _lines(removed):
        report(f"removed {line}")
    for line in _lines(kept):
        report(f"kept {line}: not the demo's, or changed since")
    if not removed:
        report(f"no demo data in {output}")
    return Cleaned(tuple(removed), tuple(kept))


def _lines(names: Iterable[str]) -> list[str]:
    lines, images = [], 0
    for name in names:
        if name.startswith(f"{_TRAIN}/"):
            images += 1
        else:
            lines.append(name)
    return lines + ([f"{_TRAIN}/ ({images} files)"] if images else [])


def main() -> int:
    """Clean the current folder of the demo's data and of its zoo."""

    def clean() -> None:
        clean_zoo(Path())
        clean_demo(Path())

    return run_program(clean)


if __name__ == "__main__":
    sys.exit(main())
