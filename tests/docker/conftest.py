"""Containers as the platform's worker makes them, of the core and the torch image."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# What the worker drops is all that Docker would give.
DROPPED = [
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
]

Worker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder docker/, whose modules can be imported by their bare names meanwhile."""
    folder = REPOSITORY / "docker"
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(params=["core", "torch"])
def image(request: pytest.FixtureRequest) -> str:
    """Each image in turn."""
    return str(request.getfixturevalue(f"{request.param}_image"))


@pytest.fixture(scope="session")
def worker() -> Worker:
    """Run a command in a container without network and capabilities."""

    def run(
        image: str, *command: str, mount: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        call = ["docker", "run", "--rm", "--network", "none", "--env", "PYTHONUNBUFFERED=1"]
        call += ["--security-opt", "no-new-privileges", *(f"--cap-drop={c}" for c in DROPPED)]
        if mount is not None:
            # Root without capabilities obeys file modes: a caller's own folder needs its caller.
            call += ["--user", f"{os.getuid()}:{os.getgid()}"] if os.getuid() else []
            call += ["--volume", f"{mount}:/app/program", "--workdir", "/app/program"]
        return subprocess.run(
            [*call, image, *command], capture_output=True, text=True, check=False, timeout=120
        )

    return run
