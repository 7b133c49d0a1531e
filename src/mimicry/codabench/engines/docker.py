"""The Docker engine: a job in a container that is made as the platform's worker makes it.

Same image, mounts, working directory, environment, dropped capabilities and security
options. What differs is said in `walls`: the network is off unless asked for, the
time limit is enforced, and for an ordinary user the container runs as that user, so
that the outputs belong to the caller.
"""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mimicry.codabench.engines.docker_client import (
    container_user,
    docker_client,
    explain,
)
from mimicry.codabench.engines.docker_guard import guarded, owner_label
from mimicry.codabench.engines.jobs import (
    Job,
    JobResult,
    JobStoppedError,
    Resources,
    split_command,
)
from mimicry.codabench.engines.memory_use import PeakMemory
from mimicry.codabench.engines.watch import PATIENCE, BoundedLog, LineCutter
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

# The worker's own list: all that Docker gives by default.
DROPPED = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
    *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
SECURITY = ("no-new-privileges",)
PROXIES = ("http_proxy", "https_proxy")
CANNOT_START = 127
_STEP = 0.1
# What the engine says when the image has no such program, or may not start it.
_NO_PROGRAM = re.compile(r"exec.*(not found|no such file|permission denied)", re.I | re.S)
# The engine may hear of it only after the end.
_LATE_WORD = 1.0


def walls(resources: Resources) -> str:
    """Return in one line what a container keeps the program from."""
    limits = {
        "memory": None if resources.memory is None else f"{resources.memory / 2**20:g} MiB memory",
        "cpus": None if resources.cpus is None else f"{resources.cpus:g} processors",
        "pids": None if resources.pids is None else f"{resources.pids} processes",
        "gpus": None if resources.gpus is None else f"GPUs {resources.gpus}",
    }
    said = ", ".join(limit for limit in limits.values() if limit) or "no limit but the time"
    network = (
        "with a network, as on a default worker"
        if resources.network
        else "no network (a default worker has one: --network)"
    )
    return f"engine docker: no capabilities, only the run's own folders; {network}; {said}."


def run_docker(job: Job) -> JobResult:
    """Run `job` in a container of its own and remove that, however this is left.

    Raises
    ------
    BundleError
        `engine-failed` when the engine refuses or goes away; `program-command`.
    JobStoppedError
        When the job's `stop` was set.
    """
    begun = time.monotonic()
    arguments = split_command(job.command, job.kind)
    with _logging(job) as (logs, write), guarded() as name, docker_client() as client:
        container = client.containers.create(name=name, **container_options(job, arguments))
        problem, timed_out, peak = _run(client, container, job, begun, write)
        state = _state(container, job, timed_out=timed_out)
        if problem is not None:
            write("stderr", f"{arguments[0]} cannot be started: {problem}\n".encode())
        elif state["Status"] != "exited":
            raise BundleError(
                "engine-failed",
                f"The Docker engine lost sight of a container that is {state['Status']}. See its "
                "own log, for example `journalctl -u docker`, and run again.",
            )
    return JobResult(
        exit_code=int(state["ExitCode"]) if problem is None else CANNOT_START,
        seconds=time.monotonic() - begun,
        timed_out=timed_out,
        log_cut=any(log.left_out for log in logs.values()),
        out_of_memory=bool(state.get("OOMKilled")),
        peak_memory=peak.bytes,
    )


def container_options(job: Job, arguments: list[str]) -> dict[str, Any]:
    """Return what the container is made with, as docker's own library takes it."""
    resources = job.resources
    user = container_user()
    environment = {"PYTHONUNBUFFERED": "1", **job.environment}
    if resources.network:
        environment |= {name: os.environ.get(name, "") for name in PROXIES}
    if user is not None:
        # A user that the image does not know has `/` for a home.
        environment["HOME"] = "/tmp"
    return {
        "image": job.image,
        "command": arguments,
        "working_dir": "/app/program",
        "environment": environment,
        **_mounts(job),
        "cap_drop": list(DROPPED),
        "security_opt": list(SECURITY),
        "userns_mode": "host",
        "user": user,
        "network_disabled": not resources.network,
        "mem_limit": resources.memory,
        "memswap_limit": resources.memory,
        "nano_cpus": None if resources.cpus is None else round(resources.cpus * 1e9),
        "pids_limit": resources.pids,
        "device_requests": _devices(resources.gpus),
        "labels": owner_label(),
        # Both streams are read as they come; the engine's own copy would have no bound.
        "log_config": {"Type": "none"},
    }


def _mounts(job: Job) -> dict[str, Any]:
    """Return the worker's mounts: all can be written but ``/app/data``."""
    volumes: dict[str, Mapping[str, str]] = {}
    mounts: list[Mapping[str, Any]] = []
    for name in job.folders():
        source, target = str((job.app / name).resolve()), f"/app/{name}"
        read_only = name == "data"
        if ":" in source:
            # The engine's short form cannot carry such a path, the long one no `z`.
            one = {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
            mounts.append(one)
        else:
            # `z` is the worker's, for machines with SELinux.
            volumes[source] = {"bind": target, "mode": "ro" if read_only else "z"}
    return {"volumes": volumes, "mounts": mounts}


def _devices(gpus: str | None) -> list[Mapping[str, Any]] | None:
    if gpus is None:
        return None
    request: dict[str, Any] = {"Driver": "", "Capabilities": [["gpu"]], "Options": {}}
    if gpus.startswith("device="):
        return [{**request, "Count": 0, "DeviceIDs": gpus.removeprefix("device=").split(",")}]
    return [{**request, "Count": -1 if gpus == "all" else int(gpus), "DeviceIDs": []}]


_Write = Callable[[str, bytes], None]


@contextmanager
def _logging(job: Job) -> Iterator[tuple[dict[str, BoundedLog], _Write]]:
    logs = {"stdout": BoundedLog(job.stdout), "stderr": BoundedLog(job.stderr)}
    lines = {stream: LineCutter(job.echo) for stream in logs} if job.echo else {}

    def write(stream: str, data: bytes) -> None:
        logs[stream].write(data)
        if lines:
            lines[stream].write(data)

    try:
        yield logs, write
    finally:
        for log in logs.values():
            log.close()
        for line in lines.values():
            line.close()


def _run(
    client: "DockerClient", container: "Container", job: Job, begun: float, write: _Write
) -> tuple[str | None, bool, PeakMemory]:
    """Start a container and wait for its end; tell why it did not start, if the time was over."""
    from docker.errors import APIError

    name = str(container.id)
    peak = PeakMemory()
    with _following(container, write):
        try:
            container.start()
        except APIError as error:
            if not _NO_PROGRAM.search(str(error)):
                raise BundleError(
                    "engine-start",
                    f"The container cannot be started: {explain(error)}. Run without what it "
                    "names (--gpus, --memory, --cpus), or mend the engine.",
                ) from error
            return explain(error), False, peak
        ended = threading.Event()
        threading.Thread(target=_wait, args=(name, ended), daemon=True).start()
        deadline = begun + job.seconds if job.seconds is not None else float("inf")
        while not ended.wait(_STEP):
            stopped = job.stop is not None and job.stop.is_set()
            if stopped or time.monotonic() >= deadline:
                with suppress(APIError):
                    container.kill()
                ended.wait(PATIENCE)
                if stopped:
                    raise JobStoppedError
                return None, True, peak
            if peak.due():
                peak.add(_memory(client, container))
    return None, False, peak


def _state(container: "Container", job: Job, *, timed_out: bool) -> dict[str, Any]:
    """Return how a container ended, as the engine has it."""
    end = time.monotonic() + _LATE_WORD
    while True:
        container.reload()
        state: dict[str, Any] = container.attrs["State"]
        killed = state["ExitCode"] == 128 + signal.SIGKILL and not timed_out
        unclear = killed and job.resources.memory is not None and not state.get("OOMKilled")
        if not unclear or time.monotonic() >= end:
            return state
        time.sleep(_STEP)


@contextmanager
def _following(container: "Container", write: _Write) -> Iterator[None]:
    """Copy both streams of a container that is about to start, until it has ended.

    A fault in writing is raised at the end: streams that nobody reads would hold up
    the container, and with it the engine.
    """
    stream = container.attach(stdout=True, stderr=True, stream=True, logs=False, demux=True)
    faults: list[OSError] = []

    def follow() -> None:
        # The engine closes the connection when it goes away; the waiting sees to that.
        with suppress(OSError, ValueError):
            for chunks in stream:
                for name, data in zip(("stdout", "stderr"), chunks, strict=True):
                    if data and not faults:
                        try:
                            write(name, data)
                        except OSError as error:
                            faults.append(error)

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    patience = PATIENCE
    try:
        yield
    except BaseException:
        # Somebody ends the run, or the engine has gone: the container may go on for long.
        patience = 0
        raise
    finally:
        reader.join(patience)
    if faults:
        raise faults[0]


def _wait(name: str, ended: threading.Event) -> None:
    """Set `ended` when the container has ended, or the engine has gone."""
    try:
        with suppress(BundleError), docker_client(seconds=None) as client:
            client.api.wait(name)
    finally:
        ended.set()


def _memory(client: "DockerClient", container: "Container") -> int | None:
    """Return what a container holds in bytes, without the files that the system caches."""
    from docker.errors import APIError

    try:
        found = client.api.stats(str(container.id), stream=False, one_shot=True)
    except APIError:
        return None
    memory = found.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    cached = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    usage = memory.get("usage")
    return None if usage is None else max(0, int(usage) - int(cached))
