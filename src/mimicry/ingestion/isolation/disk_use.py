"""Watching what a model fills on disk, since no quota is to be had without privileges."""

import os
import stat
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from mimicry.errors import SubmissionError
from mimicry.ingestion.processes import descendants

if TYPE_CHECKING:
    from os import _ScandirIterator as ScandirIterator

# More files, or folders in folders, than this are a fault whatever their size: file systems
# run out of the first, and nobody can look into the second by their path.
MOST_FILES = 200_000
DEEPEST = 200
# Folders are walked only when their file system has lost so much since the last walk.
_WORTH_A_WALK = 64 * 2**20
_FILES_WORTH_A_WALK = 5000
_INTERVAL = 1.0
# Where less than this is left, what the whole file system has lost counts.
_NEARLY_FULL = 2**30


class _FaultError(Exception):
    """What is wrong, in the words of the sentence."""


class _Free(NamedTuple):
    """What a file system has left: bytes and files."""

    size: int
    files: int


class DiskUse:
    """Looks once a second, in a thread, at the folders that a model may fill.

    A model decides how long a look takes, so nobody waits for one.

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
        self._first = {folder: free for folder in folders if (free := _free(folder))}
        self._left = dict(self._first)
        self._fault: str | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="disk-use", daemon=True)

    def __enter__(self) -> Self:
        """Start looking."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop looking."""
        self._stopped.set()

    def check(self) -> None:
        """Raise what has been found so far; costs nothing.

        Raises
        ------
        SubmissionError
            ``disk-limit``: more bytes than the limit, more files than `MOST_FILES`, folders
            deeper than `DEEPEST`, or something that is kept from being looked at.
        """
        if self._fault is not None:
            raise SubmissionError("disk-limit", self._fault)

    def look(self) -> None:
        """Measure once, whatever has changed; `check` tells what was found."""
        try:
            size, files = self._measured()
            if size > self._limit:
                raise _FaultError(f"has filled {_gib(size)} of disk; {self._allowed()}")
            if files > MOST_FILES:
                raise _FaultError(f"has made more than {MOST_FILES:,} files")
            self._check_loss()
        except _FaultError as fault:
            self._fault = f"the model {fault}. Write less, and remove what is no longer needed."

    def _watch(self) -> None:
        while not self._stopped.wait(_INTERVAL) and self._fault is None:
            if self._fuller():
                self.look()

    def _fuller(self) -> bool:
        """Tell whether a file system has lost enough since the last look."""
        fuller = False
        for folder, before in self._left.items():
            free = _free(folder)
            if free is None:
                continue
            lost = before.size - free.size, before.files - free.files
            if lost[0] > _WORTH_A_WALK or lost[1] > _FILES_WORTH_A_WALK:
                fuller = True
                self._left[folder] = free
            elif free.size > before.size:
                self._left[folder] = free
        return fuller

    def _check_loss(self) -> None:
        """Blame the model for what cannot be seen where the disk is about to be full."""
        for folder, first in self._first.items():
            free = _free(folder)
            if free and free.size < _NEARLY_FULL and first.size - free.size > self._limit:
                lost = _gib(first.size - free.size)
                raise _FaultError(f"ran while the disk lost {lost} and got full; {self._allowed()}")

    def _measured(self) -> tuple[int, int]:
        size, files, devices = 0, 0, set()
        for folder in self._folders:
            with suppress(OSError):
                devices.add(folder.stat().st_dev)
                found = self._walked(folder, self._limit - size, MOST_FILES - files)
                size, files = size + found[0], files + found[1]
                if size > self._limit or files > MOST_FILES:
                    return size, files
        return size + self._removed_but_open(devices), files

    def _walked(self, folder: Path, room: int, places: int) -> tuple[int, int]:
        """Return bytes and files below a folder, or those that are too many already.

        Descriptors lead the way, since paths have a longest length and folders have not.
        """
        size, files = 0, 0
        with ExitStack() as opened:
            levels = [_Level.of(folder, None)]
            opened.callback(lambda: _close_all(levels))
            while levels and not self._stopped.is_set():
                entry = next(levels[-1].entries, None)
                if entry is None:
                    levels.pop().close()
                    continue
                # What is gone or replaced meanwhile is looked at the next time.
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    size += status.st_blocks * 512
                    files += 1
                    if size > room or files > places:
                        break
                    if stat.S_ISDIR(status.st_mode):
                        if len(levels) >= DEEPEST:
                            raise _FaultError(f"has made folders deeper than {DEEPEST}")
                        try:
                            levels.append(_Level.of(entry.name, levels[-1].descriptor))
                        except PermissionError:
                            if status.st_uid == os.geteuid():
                                raise _FaultError("has made a folder that cannot be read") from None
        return size, files

    def _removed_but_open(self, devices: set[int]) -> int:
        """Return the bytes of files on `devices` without a name that are held open."""
        found: dict[tuple[int, int], int] = {}
        for process in descendants():
            with suppress(FileNotFoundError, ProcessLookupError):
                try:
                    names = os.listdir(f"/proc/{process}/fd")  # noqa: PTH208
                except PermissionError:
                    if _has_ended(process):
                        continue
                    raise _FaultError("has a process that hides its files") from None
                for name in names:
                    if self._stopped.is_set():
                        return 0
                    with suppress(OSError):
                        status = os.stat(f"/proc/{process}/fd/{name}")  # noqa: PTH116
                        if status.st_nlink == 0 and status.st_dev in devices:
                            found[status.st_dev, status.st_ino] = status.st_blocks * 512
        return sum(found.values())

    def _allowed(self) -> str:
        return f"{_gib(self._limit)} are allowed"


def _free(folder: Path) -> _Free | None:
    with suppress(OSError):
        found = os.statvfs(folder)
        return _Free(found.f_bavail * found.f_frsize, found.f_favail)
    return None


class _Level(NamedTuple):
    """One folder on the way down."""

    descriptor: int
    entries: "ScandirIterator[str]"

    @classmethod
    def of(cls, name: Path | str, parent: int | None) -> Self:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=parent)
        return cls(descriptor, os.scandir(descriptor))

    def close(self) -> None:
        self.entries.close()
        os.close(self.descriptor)


def _close_all(levels: list[_Level]) -> None:
    for level in levels:
        level.close()


def _has_ended(process: int) -> bool:
    """Tell whether a process is gone, or waits to be reaped: then nothing of it is readable."""
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return True
    return status[status.rindex(b")") + 2 :][:1] in b"ZX"


def _gib(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
