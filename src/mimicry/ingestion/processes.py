"""Ending every process that a participant's code has left behind (Linux)."""

import ctypes
import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def become_subreaper() -> None:
    """Have orphaned descendants handed to this process, so that none escapes its sight.

    Raises
    ------
    OSError
        When the kernel refuses (it never does on Linux 3.4 or later).
    """
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int, pointer: object = None) -> None:
    """Change a property of this process; see prctl(2).

    Raises
    ------
    OSError
        When the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), pointer, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def descendants(root: int | None = None) -> set[int]:
    """Return the process ids of all descendants of `root` (this process by default).

    A process whose parent has died counts only if this process is a subreaper,
    or pid 1, and so has inherited it.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            status = (entry / "stat").read_bytes()
            # The command's name is in brackets and may hold spaces and brackets itself.
            parent = int(status[status.rindex(b")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = [root if root is not None else os.getpid()]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def end_descendants(keep: Collection[int] = (), patience: float = 20.0) -> int:
    """Kill every descendant of this process and reap it, until none is left.

    Parameters
    ----------
    keep : collection of int
        Process ids to leave alone: what `descendants` gave before the work began.
    patience : float
        Seconds to go on against processes that fork faster than they are killed.

    Returns
    -------
    int
        How many processes were sent a SIGKILL (each counted once).

    Raises
    ------
    RuntimeError
        When some were still alive after `patience` seconds.
    """
    killed: set[int] = set()
    end = time.monotonic() + patience
    while True:
        if os.getpid() == 1 and not keep:
            # The kernel signals all others in one go: nothing can fork past it.
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        alive = descendants() - set(keep)
        for process in alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
                killed.add(process)
        _reap(alive)
        if not alive:
            return len(killed)
        if time.monotonic() > end:
            raise RuntimeError(f"{len(alive)} processes outlived SIGKILL for {patience:g} s")
        time.sleep(0.002)


def _reap(processes: Collection[int]) -> None:
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
