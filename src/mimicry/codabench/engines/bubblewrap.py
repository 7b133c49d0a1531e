"""The bubblewrap engine: the worker's real paths, no network, a read-only system.

Works for root and for an ordinary user. The program sees the job's folders under
``/app``, the system's libraries, this Python with its packages, and nothing else of
the machine: no home folder, no other process, no device but the harmless ones.
"""

import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from mimicry.codabench.engines.jobs import (
    Job,
    Launch,
    split_command,
    this_python,
    worker_environment,
)

INSTALL_HINT = "install it, for example with `sudo apt-get install bubblewrap`"
# As a container has it; a larger one would hide what fails on the platform.
SHARED_MEMORY = 64 * 1024 * 1024

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl", "/etc/ca-certificates"),
    *("/etc/localtime", "/etc/passwd", "/etc/group", "/sys/devices/system/cpu"),
)


def launch_bubblewrap(job: Job) -> Launch:
    """Return how to run `job` in a sandbox that has it as its process 1."""
    options = _walls()
    for name in job.folders():
        bind = "--ro-bind" if name == "data" else "--bind"
        options += [bind, str((job.app / name).resolve()), f"/app/{name}"]
    arguments = this_python(split_command(job.command, job.kind))
    return Launch(
        argv=("bwrap", *options, "--chdir", "/app/program", "--", *arguments),
        environment=worker_environment(job, home="/tmp/home", temporary="/tmp"),
        folder=job.root,
    )


def shown_folders() -> tuple[Path, ...]:
    """Return the folders of this machine that every program in a sandbox may read."""
    return (*map(Path, _SYSTEM), *map(Path, _SETTINGS), *_python_folders())


@lru_cache(maxsize=1)
def bubblewrap_problem() -> str | None:
    """Return why bubblewrap cannot be used here, or None when it can."""
    if shutil.which("bwrap") is None:
        return f"bubblewrap is not installed; {INSTALL_HINT}"
    try:
        trial = subprocess.run(
            ["bwrap", *_walls(), "--", sys.executable, "-c", "import yaml"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not start here ({type(error).__name__})"
    if trial.returncode == 0:
        return None
    said = trial.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = said[-1] if said else f"exit code {trial.returncode}"
    return f"bubblewrap does not work here: {reason}"


def _walls() -> list[str]:
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1"]
    options += ["--cap-drop", "ALL", "--hostname", "mimicry"]
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for setting in _SETTINGS:
        options += ["--ro-bind-try", setting, setting]
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/tmp/home"]
    options += ["--size", str(SHARED_MEMORY), "--tmpfs", "/dev/shm"]
    # After /tmp, so that a Python that lives below it stays visible.
    for folder in _python_folders():
        options += ["--ro-bind", str(folder), str(folder)]
    return options


def _python_folders() -> list[Path]:
    """Return the folders that hold this Python: a venv and what it was made from."""
    folders: list[Path] = []
    for prefix in (sys.base_prefix, sys.base_exec_prefix, sys.prefix, sys.exec_prefix):
        folder = Path(prefix)
        if folder not in folders and not folder.is_relative_to("/usr"):
            folders.append(folder)
    return folders
