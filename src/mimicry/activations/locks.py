"""Locks of the store, and what it says when a file system refuses.

A lock is the kernel's (flock on a file in ``.locks``): it ends with the process that holds
it, however that ends. So no lock is ever stale, and the file may stay.
"""

import errno
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mimicry.errors import BundleError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoreBusyError(Exception):
    """Another process writes this cache.

    Attributes
    ----------
    lock : Path
        What to wait for, with `wait_until_free`.
    """

    def __init__(self, lock: Path) -> None:
        super().__init__(str(lock))
        self.lock = lock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file; `StoreBusyError` when somebody else does."""
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise StoreBusyError(path) from error
            raise BundleError(
                "store-no-locks",
                f"The file system of {path} has no file locks ({error.strerror}); put the store on "
                "another one, or mount it with locks.",
            ) from error
        yield


def wait_until_free(lock: Path, pause: float = 0.25) -> None:
    """Wait until nobody holds a lock; somebody else may take it before the caller does."""
    while True:
        try:
            with locked(lock):
                return
        except StoreBusyError:
            time.sleep(pause)


def unwritable(path: Path, error: OSError) -> BundleError:
    """Return what to say when a file of the store cannot be written."""
    if error.errno in _FULL:
        return BundleError(
            "disk-full",
            f"{path} could not be written ({error.strerror}); make room, then run the command "
            "again: it goes on behind the last whole shard.",
        )
    return BundleError(
        "store-unwritable",
        f"{path} cannot be written ({error.strerror or error}); change its rights, or name "
        "another store.",
    )
