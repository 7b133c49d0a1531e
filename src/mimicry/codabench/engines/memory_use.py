"""How much memory a running program and everything it started hold."""

import time
from contextlib import suppress

import psutil

FIRST_SAMPLE = 0.3
INTERVAL = 1.0


class PeakMemory:
    """The largest of the figures seen so far; `due` says when the next is wanted."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._next = time.monotonic() + FIRST_SAMPLE

    def due(self) -> bool:
        """Tell whether it is time for another sample, and wait for the next one if so."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + INTERVAL
        return True

    def add(self, found: int | None) -> None:
        """Take a sample in bytes; None where there was nothing to measure."""
        if found is not None and (self.bytes is None or found > self.bytes):
            self.bytes = found


def memory_of(pid: int) -> int | None:
    """Return what a process and its descendants hold, in bytes, None when it has ended.

    A page that several of them share counts once, where the system lets us see that;
    otherwise resident memory is added up.
    """
    total, seen = 0, False
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                total += _held(one)
                seen = True
    return total if seen else None


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
