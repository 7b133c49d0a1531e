"""Running one command to its end: bounded logs, live lines, a hard time limit."""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from mimicry.codabench.engines.jobs import Job, JobResult, JobStoppedError, Launch
from mimicry.codabench.engines.memory_use import PeakMemory, memory_of
from mimicry.errors import BundleError

LOG_HEAD = 1024 * 1024
LOG_TAIL = 256 * 1024
LONGEST_LINE = 4096
MOST_LINES = 2000
# What a stopped command, and then pipes that somebody still holds open, are given.
PATIENCE = 30.0
CONTROL = "{control}"


class BoundedLog:
    """A log file that keeps the beginning and the end of what is written to it."""

    def __init__(self, path: Path, head: int = LOG_HEAD, tail: int = LOG_TAIL) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._head = head
        self._tail: deque[bytes] = deque()
        self._tail_limit = tail
        self._tail_size = 0
        self.left_out = 0

    def write(self, data: bytes) -> None:
        """Add `data`; what lies between the beginning and the end is dropped."""
        first = data[: self._head]
        if first:
            self._file.write(first)
            self._file.flush()
            self._head -= len(first)
        rest = data[len(first) :]
        if not rest:
            return
        self._tail.append(rest)
        self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0]) >= self._tail_limit:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self.left_out += dropped

    def close(self) -> None:
        """Write the end, with a line that says how much is missing before it."""
        if self.left_out:
            self._file.write(f"\n[... {self.left_out} bytes left out ...]\n".encode())
        self._file.write(b"".join(self._tail))
        self._file.close()


class LineCutter:
    """Cuts a stream into lines for `echo`; overlong ones and endless streams are cut."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._pending = b""
        self._left = MOST_LINES

    def write(self, data: bytes) -> None:
        """Hand every line that `data` completes to the reader."""
        *lines, self._pending = (self._pending + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._pending) > LONGEST_LINE:
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            if not line.strip():
                continue
            self._left -= 1
            if self._left == 0:
                self._echo("[more lines are in the log file only]")
            elif self._left > 0:
                self._echo(line[:LONGEST_LINE].decode("utf-8", "replace"))

    def close(self) -> None:
        """Hand over what the stream ended with."""
        self.write(b"\n")


def watch(launch: Launch, job: Job) -> JobResult:
    """Run a command until it ends or its time is over, and leave nothing of it behind.

    Both streams go to the job's log files and, line by line, to its `echo`. The
    command gets no input and a session of its own. However this function is left,
    the command has been ended.

    Raises
    ------
    BundleError
        `engine-start` when the command cannot be started at all.
    JobStoppedError
        When the job's `stop` was set.
    """
    begun = time.monotonic()
    logs = (BoundedLog(job.stdout), BoundedLog(job.stderr))
    lines = [LineCutter(job.echo) for _ in logs] if job.echo else []
    reading, control = os.pipe() if launch.control else (-1, -1)
    argv = [str(reading) if word == CONTROL else word for word in launch.argv]
    try:
        process = subprocess.Popen(
            argv,
            cwd=launch.folder,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[reading] if launch.control else [],
        )
    except OSError as error:
        for log in logs:
            log.close()
        if control >= 0:
            os.close(control)
        raise BundleError(
            "engine-start", f"{argv[0]} cannot be started: {error.strerror or error}."
        ) from error
    finally:
        if reading >= 0:
            os.close(reading)
    timed_out = False
    peak = PeakMemory()
    try:
        timed_out = _read(process, logs, lines, begun, job, peak)
    finally:
        _end(process, control)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        for log in logs:
            log.close()
        for line in lines:
            line.close()
    code = process.returncode
    return JobResult(
        exit_code=128 - code if code < 0 else code,
        seconds=time.monotonic() - begun,
        timed_out=timed_out,
        log_cut=any(log.left_out for log in logs),
        peak_memory=peak.bytes,
    )


def _read(
    process: subprocess.Popen[bytes],
    logs: tuple[BoundedLog, ...],
    lines: list[LineCutter],
    begun: float,
    job: Job,
    peak: PeakMemory,
) -> bool:
    """Copy both streams until they end; tell whether the time was over first."""
    deadline = begun + job.seconds if job.seconds is not None else float("inf")
    ended_at: float | None = None
    with selectors.DefaultSelector() as selector:
        for number, stream in enumerate((process.stdout, process.stderr)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, number)
        while selector.get_map():
            now = time.monotonic()
            _stop_if_asked(job)
            if process.poll() is None:
                if peak.due():
                    peak.add(memory_of(process.pid))
                if now >= deadline:
                    return True
            else:
                ended_at = now if ended_at is None else ended_at
                if now - ended_at > PATIENCE:
                    return False
            for key, _ in selector.select(min(0.2, max(0.0, deadline - now))):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                logs[key.data].write(data)
                if lines:
                    lines[key.data].write(data)
    while process.poll() is None:
        # Closing both streams does not end a program.
        if time.monotonic() >= deadline:
            return True
        _stop_if_asked(job)
        if peak.due():
            peak.add(memory_of(process.pid))
        time.sleep(0.02)
    return False


def _stop_if_asked(job: Job) -> None:
    if job.stop is not None and job.stop.is_set():
        raise JobStoppedError


def _end(process: subprocess.Popen[bytes], control: int) -> None:
    """End the command and everything it has started."""
    if control >= 0:
        os.close(control)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
