"""Folders of ours: temporary ones, and those that people name; both may be out of reach."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mimicry.errors import BundleError
from mimicry.files import remove_tree


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a new temporary folder, removed afterwards.

    Raises
    ------
    BundleError
        `temporary-folder` when none can be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="mimicry-")).resolve()
    except OSError as error:
        raise BundleError(
            "temporary-folder",
            f"No temporary folder can be made ({error.strerror or error}); free some space, or set "
            "TMPDIR to a folder that can be written.",
        ) from error
    try:
        yield folder
    finally:
        remove_tree(folder)


@contextmanager
def writable(path: Path, code: str, remedy: str) -> Iterator[None]:
    """Turn the failure to write at `path` into a sentence with a remedy.

    Raises
    ------
    BundleError
        `code`, for every `OSError` of the body.
    """
    try:
        yield
    except OSError as error:
        raise BundleError(
            code, f"{path} cannot be written ({error.strerror or error}); {remedy}."
        ) from error
