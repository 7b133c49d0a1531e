"""Writes a minimal submission that runs, for participants to begin with."""

import errno
import os
import secrets
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from mimicry.codabench.scratch import writable
from mimicry.errors import BundleError
from mimicry.files import remove_tree, sync_folder

# In the order in which people should look at them.
FILES = ("model.py", "metadata", "requirements.txt")


def template() -> dict[str, bytes]:
    """Return the files of the minimal submission, by name."""
    folder = files(__name__) / "template"
    return {name: (folder / name).read_bytes() for name in FILES}


def write_submission(folder: Path) -> tuple[Path, ...]:
    """Write a minimal submission that runs.

    Parameters
    ----------
    folder : Path
        Made with all its parents, or empty. A new folder appears whole or not at all.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    BundleError
        `submission-folder-taken` if `folder` is there and not an empty folder,
        `submission-folder-unwritable`.
    """
    with writable(folder, "submission-folder-unwritable", "name another folder"):
        try:
            target = folder.resolve()
        except RuntimeError:
            # Links that lead in a circle; newer versions of Python resolve them.
            raise _taken(folder) from None
        if target.is_dir() and not any(target.iterdir()):
            # Filled, not replaced: a shell may stand in it.
            _fill(target)
        elif os.path.lexists(target):
            raise _taken(folder)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _make(target, folder)
        sync_folder(target.parent)
    return tuple(folder / name for name in FILES)


def _make(target: Path, shown: Path) -> None:
    aside = target.with_name(f".mimicry-new.{secrets.token_hex(6)}.tmp")
    try:
        aside.mkdir()
        _fill(aside)
        try:
            aside.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                # Somebody else made it meanwhile.
                raise _taken(shown) from error
            raise
    finally:
        remove_tree(aside)


def _fill(folder: Path) -> None:
    written: list[Path] = []
    try:
        for name, data in template().items():
            path = folder / name
            # Exclusively: what appeared meanwhile is somebody's.
            with path.open("xb") as file:
                written.append(path)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise


def _taken(folder: Path) -> BundleError:
    return BundleError(
        "submission-folder-taken",
        f"{folder} is there already and not an empty folder; name another one.",
    )
