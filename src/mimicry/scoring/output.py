"""What a scoring program leaves in its output folder, and what it tells."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

from mimicry.errors import BundleError

# The platform reads scores.json, the challenge's documents speak of score.json.
SCORES_NAME = "scores.json"
SCORES_COPY_NAME = "score.json"
PAGE_NAME = "detailed_results.html"
LOG_NAME = "scoring.log"


def remove_results(output: Path) -> None:
    """Remove scores and page of an earlier run, whatever stands under their names."""
    for name in (SCORES_NAME, SCORES_COPY_NAME, PAGE_NAME):
        path = output / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def log(output: Path, details: str) -> None:
    """Append to the organiser's log; on stderr only where the folder takes no file."""
    try:
        with (output / LOG_NAME).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
    except OSError:
        with contextlib.suppress(OSError):
            print(details, file=sys.stderr)


def unwritable(output: Path, error: OSError) -> BundleError:
    """Return the error of a folder that takes no files."""
    return BundleError(
        "output-unwritable",
        f"Cannot write in {output} ({error.strerror or 'unknown reason'}). Check the disk's space "
        "and that the container runs as the user who owns the folder.",
    )


def tell(line: str) -> None:
    """Print a line, and go on where nobody listens any more."""
    try:
        print(line, flush=True)
    except (OSError, ValueError):
        # What is left in the buffer would fail again when the interpreter ends.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
