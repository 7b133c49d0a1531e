"""Extraction by several processes of this machine, one model at a time each.

A worker is ``python -m mimicry.activations.jobs``: it reads the request and then what
to do from its standard input, one model a line, and answers in lines of JSON. Models go to
whichever worker is free, since some take a thousand times as long as others; those that a
process elsewhere is writing come last. A worker that dies (memory, a crash in a library)
costs the model that it was at: another takes its place.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from mimicry.activations.extract import (
    Count,
    Outcome,
    Request,
    Room,
    Say,
    extract_model,
    extract_models,
)
from mimicry.activations.locks import StoreBusyError
from mimicry.errors import MimicryError, one_line

_END = "end"
# Give a model back when another process writes it, or wait for that process.
_TRY, _WAIT = "try", "wait"


@dataclass(frozen=True)
class Model:
    """A position in the registry, and the name to tell it by."""

    index: int
    label: str


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    model: Model | None = None


def run_processes(
    request: Request, models: Sequence[Model], processes: int, *, count: Count, say: Say
) -> list[Outcome]:
    """Extract models by `processes` processes.

    GPUs are dealt out in turn where the device is ``auto`` or ``cuda``; on a CPU, torch's
    threads are divided unless the settings give their number.

    Returns
    -------
    list of Outcome
        As they became known; `worker-died` for a model whose process ended without one.
    """
    waiting = deque((model, _TRY) for model in models)
    events: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
    requests = _requests(request, min(processes, max(1, len(models))))
    workers: dict[int, _Worker] = {}
    outcomes: list[Outcome] = []
    try:
        for number, own in enumerate(requests):
            workers[number] = _start(own, number, events)
            _hand_out(workers[number], waiting)
        while any(worker.model is not None for worker in workers.values()):
            number, event = events.get()
            worker = workers[number]
            match event:
                case {"count": done, "computed": computed}:
                    count(done, computed=computed)
                case {"say": line}:
                    say(line)
                case {"busy": _}:
                    assert worker.model is not None
                    waiting.append((worker.model, _WAIT))
                    _hand_out(worker, waiting)
                case {"outcome": fields}:
                    outcomes.append(Outcome(*fields))
                    _hand_out(worker, waiting)
                case {"event": "end"}:
                    code = worker.process.wait()
                    if worker.model is None:
                        continue
                    outcome = Outcome(
                        worker.model.label,
                        "failed",
                        f"Its process ended ({_reason(code)}) without a result; look at memory, "
                        "then run the command again. [worker-died]",
                        "worker-died",
                    )
                    outcomes.append(outcome)
                    say(f"{outcome.label}: {outcome.text}")
                    if waiting:
                        workers[number] = _start(requests[number], number, events)
                        _hand_out(workers[number], waiting)
                    else:
                        worker.model = None
    finally:
        _stop([worker.process for worker in workers.values()])
    return outcomes


def _requests(request: Request, processes: int) -> list[Request]:
    settings = request.settings
    threads = settings.threads or max(1, _cores() // processes)
    workers = max(1, settings.workers // processes)
    gpus = count_gpus() if settings.device in {"auto", "cuda"} else 0
    return [
        replace(
            request,
            settings=replace(
                settings,
                threads=threads,
                workers=workers,
                device=f"cuda:{number % gpus}" if gpus else settings.device,
            ),
        )
        for number in range(processes)
    ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_gpus() -> int:
    """Return how many GPUs torch can use here."""
    # In a process of its own: asking makes a context, which would hold memory on each GPU.
    code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdecimal() else 0


def _start(request: Request, number: int, events: "queue.Queue[Any]") -> _Worker:
    process = subprocess.Popen(
        [sys.executable, "-m", "mimicry.activations.jobs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # A group of its own, which ends with it: a model may leave processes behind.
        start_new_session=True,
    )
    threading.Thread(target=_listen, args=(process, number, events), daemon=True).start()
    threading.Thread(target=_clear, args=(process,), daemon=True).start()
    _send(process, request.text())
    return _Worker(process)


def _listen(process: subprocess.Popen[str], number: int, events: "queue.Queue[Any]") -> None:
    assert process.stdout is not None
    with suppress(OSError, ValueError):
        for line in process.stdout:
            events.put((number, json.loads(line)))
    events.put((number, {"event": _END}))


def _hand_out(worker: _Worker, waiting: deque[tuple[Model, str]]) -> None:
    worker.model = None
    if waiting:
        worker.model, how = waiting.popleft()
        _send(worker.process, f"{how} {worker.model.index}")


def _send(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    # A worker that is gone is told of by its end.
    with suppress(OSError):
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _stop(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        with suppress(OSError):
            # What a worker reads then ends it, in the middle of a model too.
            if process.stdin is not None:
                process.stdin.close()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _kill_group(process.pid)


def _clear(process: subprocess.Popen[str]) -> None:
    """End what a worker leaves behind, which may hold the channel of its answers open."""
    with suppress(ChildProcessError):
        # Its number stays its own until somebody asks how it ended.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        _kill_group(process.pid)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def worker(
    lines: IO[str],
    answer: Callable[[dict[str, Any]], None],
    end: Callable[[], object] = lambda: os._exit(0),
) -> None:
    """Do what the lines say, and `end` after the last; see the head of this module."""
    tasks: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in lines:
            tasks.put(line)
        # The parent has ended, or wants no more: what is half done is not worth finishing.
        end()

    threading.Thread(target=read, daemon=True).start()
    request = Request.from_text(tasks.get())
    room: Room | None = None

    def count(done: int, computed: bool = True) -> None:
        answer({"count": done, "computed": computed})

    def say(line: str) -> None:
        answer({"say": line})

    while True:
        how, _, number = tasks.get().partition(" ")
        index = int(number)
        try:
            room = room or Room(request)
            if how == _TRY:
                outcome = extract_model(room, index, count=count, say=say)
            else:
                (outcome,) = extract_models(room, [index], count=count, say=say)
        except StoreBusyError:
            answer({"busy": index})
        except MimicryError as error:
            answer({"outcome": Outcome(f"model {index}", "failed", str(error), error.code)})
        else:
            answer({"outcome": list(outcome)})


def _main() -> None:
    # Whatever a model prints must not get between the answers, nor may it read the tasks.
    # What `dup` makes is closed in the programs that a model starts.
    tasks = os.fdopen(os.dup(0), encoding="utf-8")
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    own = os.getpid()

    def answer(document: dict[str, Any]) -> None:
        if os.getpid() != own:
            # A model forked, and its child came back from it.
            os._exit(0)
        try:
            channel.write(json.dumps(document) + "\n")
            channel.flush()
        except BrokenPipeError:
            end()

    def end() -> None:
        # Nobody else may be left to end what a model has started; the group is this process's.
        if os.getpgid(0) == own == os.getpid():
            os.killpg(own, signal.SIGKILL)
        os._exit(0)

    try:
        worker(tasks, answer, end)
    except Exception as error:
        print(f"{type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
        raise


if __name__ == "__main__":
    _main()
