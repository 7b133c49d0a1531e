"""The runs on this machine: their folders and records."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mimicry.codabench.records import RUN_FILE, RunRecord, read_run
from mimicry.errors import BundleError

REHEARSAL_FILE = "rehearsal.json"
"""In the folder of a rehearsal, whose runs are no others' business."""


def find_runs(
    folders: Sequence[Path], *, rehearsals: bool = True
) -> tuple[list[tuple[str, RunRecord]], list[str]]:
    """Read every run at or below `folders`.

    Parameters
    ----------
    folders : sequence of Path
        Where to look.
    rehearsals : bool
        Whether to look into folders of rehearsals, too.

    Returns
    -------
    runs : list of (str, RunRecord)
        By folder, sorted, each once.
    problems : list of str
        One sentence for every record that cannot be read.

    Raises
    ------
    BundleError
        `runs-missing` for a folder that does not exist.
    """
    runs: list[tuple[str, RunRecord]] = []
    problems: list[str] = []
    for shown, path in run_folders(folders, rehearsals=rehearsals):
        try:
            runs.append((shown, read_run(path)))
        except BundleError as error:
            problems.append(str(error))
    return runs, problems


def run_folders(folders: Sequence[Path], *, rehearsals: bool = True) -> list[tuple[str, Path]]:
    """Return every folder at or below `folders` that holds a run's record, readable or not.

    Parameters
    ----------
    folders, rehearsals
        As for `find_runs`.

    Returns
    -------
    list of (str, Path)
        As it is shown, and resolved; sorted by the latter, each once.

    Raises
    ------
    BundleError
        `runs-missing` for a folder that does not exist.
    """
    found: dict[Path, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise BundleError(
                "runs-missing", f"There is no folder {folder}; run a submission first."
            )
        for path in _run_folders(folder, rehearsals):
            found.setdefault(path.resolve(), str(path))
    return [(shown, path) for path, shown in sorted(found.items())]


def _run_folders(folder: Path, rehearsals: bool) -> Iterator[Path]:
    """Yield the folders at or below `folder` that hold a record, by path.

    What lies inside a run's folder was written by participants' code and is not searched.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        if os.path.lexists(here / RUN_FILE):
            yield here
            continue
        if not rehearsals and os.path.lexists(here / REHEARSAL_FILE):
            continue
        with suppress(OSError), os.scandir(here) as entries:
            inside = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            waiting += [here / name for name in reversed(inside)]
