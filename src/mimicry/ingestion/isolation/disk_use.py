"""Watching what a model fills on disk, since no quota is to be had without privileges."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mimicry.errors import SubmissionError
from mimicry.ingestion.processes import descendants

# More files than this are a fault whatever their size: file systems run out of them.
MOST_FILES = 200_000
# Folders are walked only when their file system has lost so much since the last walk.
_WORTH_A_WALK = 64 * 2**20
_FILES_WORTH_A_WALK = 5000
_INTERVAL = 1.0


class DiskUse:
    """Looks, once a second at most, at the folders that a model may fill.

    Parameters
    ----------
    folders : sequence of Path
        Where it may write; what lies there from the beginning counts, too.
    limit : int
        Bytes.
    """

    def __init__(self, folders: Sequence[Path], limit: int) -> None:
        self._folders = folders
        self._limit = limit
        self._next = 0.0
        self._left: dict[Path, tuple[int, int]] = {}

    def check(self) -> None:
        """Measure, if it is time and the file systems have got fuller.

        Raises
        ------
        SubmissionError
            ``disk-limit``: more bytes than the limit, or more files than `MOST_FILES`.
        """
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if not self._fuller():
            return
        size, files = self._measured()
        if size > self._limit:
            raise SubmissionError(
                "disk-limit",
                f"the model has filled {size / 2**30:.1f} GiB of disk; "
                f"{self._limit / 2**30:.3g} GiB are allowed. Write less, or remove what is no "
                "longer needed.",
            )
        if files > MOST_FILES:
            raise SubmissionError(
                "disk-limit",
                f"the model has made more than {MOST_FILES:,} files. Write fewer.",
            )

    def _fuller(self) -> bool:
        """Tell whether a file system has lost enough since the last measurement."""
        fuller = False
        for folder in self._folders:
            with suppress(OSError):
                found = os.statvfs(folder)
                free = (found.f_bavail * found.f_frsize, found.f_favail)
                before = self._left.setdefault(folder, free)
                if before[0] - free[0] > _WORTH_A_WALK or before[1] - free[1] > _FILES_WORTH_A_WALK:
                    self._left[folder] = free
                    fuller = True
                elif free > before:
                    self._left[folder] = free
        return fuller

    def _measured(self) -> tuple[int, int]:
        size, files, devices = 0, 0, set()
        for folder in self._folders:
            with suppress(OSError):
                devices.add(folder.stat().st_dev)
            for status in _below(folder):
                size += status.st_blocks * 512
                files += 1
                if size > self._limit or files > MOST_FILES:
                    return size, files
        return size + _removed_but_open(devices), files


def _below(folder: Path) -> Iterator[os.stat_result]:
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield status
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(entry.path)


def _removed_but_open(devices: set[int]) -> int:
    """Return the bytes of files on `devices` that have no name any more and are held open."""
    found: dict[tuple[int, int], int] = {}
    for process in descendants():
        with suppress(OSError):
            for opened in Path(f"/proc/{process}/fd").iterdir():
                with suppress(OSError):
                    status = opened.stat()
                    if status.st_nlink == 0 and status.st_dev in devices:
                        found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())
