"""The folder of a rehearsal: one at a time, resumable, and packed submissions in it."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mimicry.codabench.boards.found_runs import REHEARSAL_FILE
from mimicry.codabench.competition import Competition
from mimicry.codabench.packing import zip_to_upload
from mimicry.codabench.scratch import locked, writable
from mimicry.errors import BundleError, one_line
from mimicry.files import read_regular_file

VERSION = 1
SUBMISSIONS = "handed_in"
"""No phase can be called that: their folders have no underscore."""
LOCK_FILE = ".lock"
LARGEST_FILE = 64 * 1024 * 1024
REMEDY = "choose another --output"


@contextmanager
def rehearsal_folder(output: Path, competition: str) -> Iterator[None]:
    """Hold a rehearsal's folder: new, empty, or of an earlier rehearsal of `competition`.

    Raises
    ------
    BundleError
        `rehearsal-folder` when it is something else, `rehearsal-locked` when another
        rehearsal is at work in it, `run-folder-unwritable`.
    """
    busy = BundleError(
        "rehearsal-locked", f"Another rehearsal is at work in {output}; wait for it, or {REMEDY}."
    )
    with ExitStack() as held:
        with writable(output, "run-folder-unwritable", REMEDY):
            _check(output, competition)
            output.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(output / LOCK_FILE, busy))
        yield


def packed(submission: Path, target: Path, competition: Competition) -> tuple[Path, list[str]]:
    """Return the zip that would be uploaded, and what its author should know.

    Raises what `mimicry.codabench.packing.zip_to_upload` finds.
    """
    path, warnings = zip_to_upload(submission, target, competition)
    return path, list(warnings)


def _check(output: Path, competition: str) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise BundleError("rehearsal-folder", f"{output} is a file; {REMEDY}.")
    names = {entry.name for entry in output.iterdir()}
    if REHEARSAL_FILE not in names:
        others = sorted(name for name in names if not name.startswith("."))
        if others:
            raise BundleError(
                "rehearsal-folder",
                f"{output} is not empty and holds no rehearsal ({one_line(others[0], 80)} is in "
                f"it); {REMEDY}.",
            )
        return
    path = output / REHEARSAL_FILE
    try:
        held = json.loads(read_regular_file(path, LARGEST_FILE))["competition"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(
            "rehearsal-folder",
            f"{path} cannot be read as the record of a rehearsal ({type(error).__name__}); remove "
            f"the folder, or {REMEDY}.",
        ) from error
    if held != competition:
        raise BundleError(
            "rehearsal-folder",
            f"{output} holds a rehearsal of another competition, {one_line(str(held), 80)}; "
            f"{REMEDY}.",
        )
