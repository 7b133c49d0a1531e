"""What a model's process may read, write and reach."""

import os
import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Where the platform's worker mounts a run's folders.
WORKER = Path("/app")
_WORKER_NAMES = ("input_data", "output", "program", "ingested_program")
# The largest file, and all files together, that a model may write, in bytes.
DISK_LIMIT = 8 * 2**30
_MOST_OPEN_FILES = 16384

_NOT_EXPANDED = (Path("/proc"), Path("/sys"), Path("/dev"))
# What libraries ask about the processor and the memory; without the first, torch takes its
# slowest kernels.
_KERNEL_FACTS = (
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems"),
    *("/proc/loadavg", "/proc/uptime", "/proc/sys/vm/overcommit_memory"),
    *("/proc/sys/kernel/osrelease", "/proc/driver/nvidia"),
)
_PROCESSES = "/proc"
_HARDWARE = "/sys"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GPU_DEVICES = ("nvidia*", "dri/*", "kfd", "nvidia-caps/*")
_SHARED_MEMORY = Path("/dev/shm")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt/nvidia", "/opt/rocm"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/ssl", "/etc/ca-certificates", "/etc/pki", "/etc/localtime", "/etc/timezone"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf"),
    *("/etc/resolv.conf", "/etc/fonts", "/etc/mime.types", "/etc/protocols", "/etc/services"),
    *("/etc/OpenCL", "/etc/vulkan"),
)
_CACHES = ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME")
_PATHS = ("LD_LIBRARY_PATH", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV")

# Where a key that opens sealed reference data may lie in a private image.
_KEYS = Path("/etc/mimicry")


class Layout(NamedTuple):
    """The folders of a run.

    Attributes
    ----------
    input, output, program, submission : Path
        As the ingestion program was given them, resolved.
    own : bool
        Whether they are copies made for this run, as on the platform, and not somebody's.
    """

    input: Path
    output: Path
    program: Path
    submission: Path
    own: bool

    @property
    def on_worker(self) -> bool:
        """Whether all lie where the platform's worker mounts them, in a container."""
        folders = (self.input, self.output, self.program, self.submission)
        return all(WORKER in folder.parents for folder in folders)


class Walls(NamedTuple):
    """What keeps a model in its place, as the organiser wants it.

    Attributes
    ----------
    layout : Layout
        The run's folders.
    weights : tuple of Path
        Folders shown to models, read-only.
    network : bool
        Whether models may use the network.
    disk_limit : int
        Bytes that a model may fill.
    required : bool
        Whether a run without all protections is refused.
    hidden_problem : str or None
        Why the input images are not out of sight; None when they are.
    """

    layout: Layout
    weights: tuple[Path, ...] = ()
    network: bool = False
    disk_limit: int = DISK_LIMIT
    required: bool = False
    hidden_problem: str | None = None


class Access(NamedTuple):
    """Paths that a model may read, write in, or control (see `landlock.restrict`).

    `unprivileged` are for reading, too, if it has given up its capabilities: libraries
    look at processes of their own there, and whoever has a capability also into others'.
    """

    readable: list[str]
    unprivileged: list[str]
    writable: list[str]
    devices: list[str]

    @property
    def on_disk(self) -> list[str]:
        """The folders to write in that may fill a disk, those within others left out."""
        paths = [Path(one) for one in self.writable if Path(one) != _SHARED_MEMORY]
        return [
            str(path)
            for path in paths
            if not any(path.is_relative_to(other) for other in paths if other != path)
        ]


def find_layout(input_data: Path, output: Path, program: Path, submission: Path) -> Layout:
    """Return the layout of a run's folders, which need not be there.

    They are copies made for the run where they stand as the worker has them: under its
    names, side by side in a folder called ``app``.
    """
    folders = (input_data.resolve(), output.resolve(), program.resolve(), submission.resolve())
    named = tuple(folder.name for folder in folders) == _WORKER_NAMES
    parents = {folder.parent for folder in folders}
    own = named and len(parents) == 1 and parents.pop().name == WORKER.name
    return Layout(*folders, own=own)


def find_access(
    layout: Layout,
    scratch: Path,
    home: Path,
    extra: Sequence[str],
    weights: Sequence[Path],
    environment: Mapping[str, str],
) -> Access:
    """Decide what a model may open.

    In a container: everything of the image, for weights may lie anywhere in it, but
    none of the run's folders and of the worker's mounts. Elsewhere: the system's libraries
    and this Python, and none of the user's files.

    Parameters
    ----------
    layout : Layout
        The run's folders.
    scratch : Path
        The supervisor's private folder.
    home : Path
        The model's own folder in it.
    extra : sequence of str
        Folders of installed requirements.
    weights : sequence of Path
        Folders that the organiser shows to models.
    environment : mapping
        The model's.
    """
    hidden = [layout.input, layout.output, layout.program, scratch.resolve()]
    caches = [Path(environment[name]) for name in _CACHES if name in environment]
    if layout.on_worker:
        # All that is mounted there, not only what this run uses.
        inside = [path for path in _entries(WORKER) if path != layout.submission]
        hidden += [path for path in inside if path not in layout.submission.parents]
        hidden.append(_KEYS)
        readable = list(_around(Path("/"), hidden))
        writable = [*_TEMPORARY, *caches]
    else:
        wanted = [Path(name) for name in _SYSTEM]
        wanted += [Path(name) for name in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
        wanted += [Path(entry) for entry in sys.path if entry]
        wanted += [Path(site.getusersitepackages()), Path(sys.executable).resolve()]
        for name in _PATHS:
            wanted += [Path(one) for one in environment.get(name, "").split(os.pathsep) if one]
        readable = [kept for path in wanted + caches for kept in _around(path.resolve(), hidden)]
        writable = []
    readable += [layout.submission, *map(Path, extra), *(path.resolve() for path in weights)]
    readable += [Path(name) for name in (*_KERNEL_FACTS, _HARDWARE)]
    writable += [home.resolve(), _SHARED_MEMORY, layout.submission]
    devices = [Path(name) for name in _DEVICES]
    devices += [path for pattern in _GPU_DEVICES for path in Path("/dev").glob(pattern)]
    return Access(_texts(readable), [_PROCESSES], _texts(writable), _texts(devices))


def find_limits(disk_limit: int) -> dict[str, int]:
    """Return the resource limits of a model's process."""
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": disk_limit,
        "RLIMIT_NOFILE": _MOST_OPEN_FILES,
        "RLIMIT_MSGQUEUE": 0,
    }


def _around(path: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield `path`, or what it holds beside the hidden folders, on every way to them."""
    if path in _NOT_EXPANDED or any(path == one or one in path.parents for one in hidden):
        return
    if not any(path in one.parents for one in hidden):
        yield path
        return
    for entry in _entries(path):
        # A link's target is listed by its own name, if it may be read.
        if not entry.is_symlink():
            yield from _around(entry, hidden)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _texts(paths: Sequence[Path]) -> list[str]:
    return list(dict.fromkeys(map(str, paths)))
