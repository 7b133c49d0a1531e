"""What the kernel says about memory."""

import re
import resource
from contextlib import suppress
from pathlib import Path

_PEAK = re.compile(rb"^VmHWM:[ \t]+([0-9]{1,15}) kB$", re.MULTILINE)
_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)


def out_of_memory_kills() -> int:
    """Return how many out-of-memory kills the kernel has counted, as far as can be read.

    In a container its own counter (cgroup version 2 or 1), and the machine's.
    Only a difference between two calls means anything.
    """
    total = 0
    for path in _COUNTERS:
        with suppress(OSError, ValueError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    total += int(value)
    return total


def peak_of_running(process: int) -> int | None:
    """Return the largest resident memory so far, in bytes, of a process that still runs.

    Since its program was started: unlike what the kernel counts for ended children, nothing
    of the process that started it is in it, nor of earlier children. None where the kernel
    does not say.
    """
    with suppress(OSError):
        # Bytes, and lines that only a line feed ends: the process chooses its own name, which
        # stands there too, and the kernel escapes nothing in it but line feeds.
        found = _PEAK.search(Path(f"/proc/{process}/status").read_bytes())
        if found:
            return int(found[1]) * 1024
    return None


def peak_of_ended_children() -> int:
    """Return the largest resident memory, in bytes, of any child that has been reaped."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
