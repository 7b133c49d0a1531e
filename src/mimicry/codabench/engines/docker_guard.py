"""Sees to it that no container outlives the process that started it.

``python -P -m mimicry.codabench.engines.docker_guard DESCRIPTOR NAME`` waits until the
descriptor is closed on the other side. A byte before that means that all is well;
without it, also because the caller was killed, the container NAME is removed.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from mimicry.codabench.engines.docker_client import docker_client
from mimicry.errors import BundleError

OWNER_LABEL = "mimicry.owner"
PREFIX = "mimicry-"
# A caller may have been killed while the engine was still making its container.
LATEST = 10.0
_REMOVABLE = {404, 409}


@contextmanager
def guarded() -> Iterator[str]:
    """Give the name of a container to make; it is removed, also should this process be killed."""
    name = PREFIX + secrets.token_hex(8)
    # Writing to a socket whose other end has died raises; to a pipe it may end us.
    ours, theirs = socket.socketpair()
    try:
        guard = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), name],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    made, there = False, False
    with ours:
        try:
            yield name
            made = True
        finally:
            # An engine that has gone must not hide why this is left; the guard goes on trying.
            with nullcontext() if made else suppress(BundleError):
                there = remove_container(name)
            # Without it, an engine that was interrupted may still be making the container.
            if there or made:
                # Killed, the guard is of no use any more, and the run none the worse.
                with suppress(OSError):
                    ours.send(b".", socket.MSG_NOSIGNAL)
                ours.close()
                guard.wait()


def owner_label() -> dict[str, str]:
    """Return the label that tells a container's owner: this process, and no later one."""
    return {OWNER_LABEL: f"{_machine()} {os.getuid()} {os.getpid()} {_started(os.getpid())}"}


def remove_orphans() -> int:
    """Remove containers whose owner has died, guard and all; return how many."""
    removed = 0
    with docker_client() as client:
        # One question; the library's own list asks anew for each, and trips over the gone.
        for found in client.api.containers(all=True, filters={"label": OWNER_LABEL}):
            owner = str(found["Labels"].get(OWNER_LABEL, ""))
            if owner.count(" ") < 4:
                continue
            *machine, user, process, started = owner.split(" ")
            # Processes of another namespace, or another user's, may be hidden from here.
            if " ".join(machine) != _machine() or user != str(os.getuid()):
                continue
            if process.isdecimal() and _started(int(process)) != started:
                remove_container(str(found["Id"]))
                removed += 1
    return removed


def remove_container(name: str) -> bool:
    """Remove a container with its anonymous volumes, running or not; tell if it was there."""
    from docker.errors import APIError

    with docker_client() as client:
        try:
            client.api.remove_container(name, force=True, v=True)
        except APIError as error:
            if error.status_code not in _REMOVABLE:
                raise
            # 409: somebody else is removing it at this moment.
            return error.status_code == 409
    return True


def guard(descriptor: int, name: str) -> int:
    """Wait for the caller's end and remove its container, unless the caller did so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(descriptor, 1):
        return 0
    end = time.monotonic() + LATEST
    while time.monotonic() < end:
        with suppress(BundleError):
            if remove_container(name):
                return 0
        time.sleep(0.1)
    return 0


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(process: int) -> str:
    """Return when a process was started, in ticks since boot; empty when it is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2]))
