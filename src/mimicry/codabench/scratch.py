"""Folders of ours: temporary ones, and those that people name; both may be out of reach."""

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mimicry.errors import BundleError
from mimicry.files import remove_tree

PREFIX = "mimicry-scratch-"
# Longer than it takes from making a folder to locking it.
SETTLED = 60.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a new temporary folder, removed afterwards.

    It is locked while it is in use, so that the next call can remove those of
    processes that were killed.

    Raises
    ------
    BundleError
        `temporary-folder` when none can be made.
    """
    try:
        folder, lock = _new_locked()
        _remove_abandoned(folder.parent)
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
        os.close(lock)


def _new_locked() -> tuple[Path, int]:
    """Make a folder and lock it; return both."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Where the clock has jumped ahead, another process may have taken the new
                # folder for an abandoned one.
                if os.path.samestat(os.fstat(lock), folder.lstat()):
                    return folder, lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    """Remove folders of this user that nobody holds any more."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            # One from the future is from before the clock was set back.
            if found.st_uid != os.getuid() or abs(time.time() - found.st_mtime) < SETTLED:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(folder)
            finally:
                os.close(descriptor)


@contextmanager
def locked(path: Path, busy: BundleError) -> Iterator[None]:
    """Hold the lock file `path`, made when missing; a link in its place is refused.

    Raises
    ------
    BundleError
        `busy` when another process holds it.
    OSError
        When the file cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise busy from error
        yield
    finally:
        os.close(descriptor)


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
