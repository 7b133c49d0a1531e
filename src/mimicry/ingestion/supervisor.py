"""Running a model over the images: feeding it, timing it, believing nothing it sends."""

import math
import os
import secrets
import selectors
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError, SubmissionError
from mimicry.ingestion import faults, memory
from mimicry.ingestion.arena import Arena, make_arena
from mimicry.ingestion.feed import Feed
from mimicry.ingestion.images import InputImage
from mimicry.ingestion.isolation import confine
from mimicry.ingestion.isolation.disk_use import DiskUse
from mimicry.ingestion.isolation.hiding import closed
from mimicry.ingestion.isolation.plan import Walls
from mimicry.ingestion.isolation.protections import (
    HIDDEN_INPUT,
    NOT_DUMPABLE,
    Protections,
    check_required,
    find_protections,
    not_dumpable,
    read_report,
)
from mimicry.ingestion.model_process import (
    Failed,
    Message,
    ModelProcess,
    Ready,
    Scores,
    interfered,
    start_model,
)
from mimicry.ingestion.participant_log import ParticipantLog
from mimicry.ingestion.processes import end_descendants
from mimicry.ingestion.progress import Progress
from mimicry.ingestion.settings import DECODE_BUDGET, TimeLimit

# Packets that may wait in the model's process while it works on another.
_AHEAD = 8
# A process that has closed its channel gets so long to end before it is ended.
_ENDING_PATIENCE = 2.0
_TICK = 0.25


@dataclass
class RunState:
    """What one run has come to."""

    images: Sequence[InputImage]
    started: float
    limit: TimeLimit
    started_model_at: float | None = None
    loaded_at: float | None = None
    ended_at: float | None = None
    peak_memory: int | None = None
    batch_size: int = 1
    sent: int = 0
    protections: Protections | None = None
    unanswered: deque[int] = field(default_factory=deque)
    scores: list[float] = field(default_factory=list)

    @property
    def place(self) -> faults.Place:
        """How far the model has come."""
        return faults.Place(len(self.scores), len(self.images))

    @property
    def seconds(self) -> float:
        """Seconds since the program's start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the deadline; may be negative."""
        return self.limit.deadline - self.seconds

    @property
    def load_seconds(self) -> float | None:
        """Seconds from the start of the model's process until it was loaded, if it was."""
        if self.started_model_at is None or self.loaded_at is None:
            return None
        return self.loaded_at - self.started_model_at

    @property
    def predict_seconds(self) -> float | None:
        """Seconds from then to the last score, or to the fault that ended the run."""
        if self.loaded_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.loaded_at


def decoding_threads() -> int:
    """Return how many threads decode: one a core that this process may use."""
    return min(len(os.sched_getaffinity(0)), 16)


def run_model(
    folder: Path,
    extra: Sequence[str],
    state: RunState,
    scratch: Path,
    log: ParticipantLog,
    walls: Walls,
) -> dict[str, float]:
    """Score every image with the model in `folder`.

    Parameters
    ----------
    folder : Path
        Holds ``model.py``.
    extra : sequence of str
        Folders of installed requirements.
    state : RunState
        The images in the order in which the model gets them; kept up to date, so
        that the caller knows how far it came when this raises.
    scratch : Path
        A private folder for the model's own files.
    log : ParticipantLog
        Takes what the model prints.
    walls : Walls
        What the model must not have.

    Returns
    -------
    dict
        From file name to score, all finite.

    Raises
    ------
    SubmissionError
        One of the faults of ``docs/errors.md`` and ``pages/errors.md``.
    BundleError
        ``unreadable-image``; ``model-start`` where no process can be started;
        ``isolation-missing`` where protections are required and missing.
    """
    images = state.images
    largest = max(image.stored_bytes for image in images)
    threads = decoding_threads()
    arena = make_arena(largest, 2 * len(images), DECODE_BUDGET)
    kills_before = memory.out_of_memory_kills()
    # The feed's threads exist before the model does: a model that starts processes
    # without end cannot keep the supervisor from having its own.
    with (
        Progress(len(images), lambda: state.seconds) as progress,
        Feed(images, arena, threads, window=2 * threads + 2) as feed,
    ):
        state.started_model_at = state.seconds
        try:
            model = start_model(folder, extra, arena, scratch, log.write_end, walls)
        except OSError as error:
            raise BundleError(
                "model-start", f"no process can be started for the model: {error.strerror}."
            ) from error
        log.close_write_end()
        try:
            # Its thread, too, exists before the model's code does anything.
            with DiskUse(model.writable, walls.disk_limit) as disk, _confined(model, state, walls):
                _converse(_Conversation(model, feed, arena, state, progress, threads, disk))
        except _ModelEndedError:
            raise _how_it_ended(model, state, kills_before) from None
        finally:
            state.ended_at = state.seconds
            try:
                state.peak_memory = memory.peak_of_running(model.process.pid)
            finally:
                model.channel.close()
                model.control.close()
                end_descendants()
    return {image.name: score for image, score in zip(images, state.scores, strict=True)}


def shuffled(images: Sequence[InputImage]) -> list[InputImage]:
    """Return the images in an order that nobody can foresee."""
    order = list(images)
    secrets.SystemRandom().shuffle(order)
    return order


class _ModelEndedError(Exception):
    pass


@contextmanager
def _confined(model: ModelProcess, state: RunState, walls: Walls) -> Iterator[None]:
    """Let a model's process go on once it has given up what it must not have."""
    with not_dumpable() as dumpable, ExitStack() as stack:
        found = read_report(model.control, max(1.0, state.left))
        found |= {HIDDEN_INPUT: walls.hidden_problem, NOT_DUMPABLE: dumpable}
        protections = state.protections = find_protections(found, network=walls.network)
        print(protections.line(), flush=True)
        if walls.required:
            check_required(protections)
        if found[confine.FILES] is not None and walls.layout.own:
            stack.enter_context(closed([walls.layout.output, walls.layout.program]))
        with suppress(OSError):
            # One that has ended is found out by reading.
            model.control.sendall(confine.GO)
        yield


class _Conversation(NamedTuple):
    model: ModelProcess
    feed: Feed
    arena: Arena
    state: RunState
    progress: Progress
    threads: int
    disk: DiskUse


def _converse(talk: _Conversation) -> None:
    model, feed, state = talk.model, talk.feed, talk.state
    with selectors.DefaultSelector() as selector:
        selector.register(model.channel, selectors.EVENT_READ)
        selector.register(feed.wake_up, selectors.EVENT_READ)
        while len(state.scores) < len(state.images):
            _send_what_is_ready(talk)
            if state.left <= 0:
                raise _too_slow(state)
            talk.disk.check()
            events = selector.select(min(max(state.left, 0), _TICK))
            for key, _ in events:
                if key.fileobj is model.channel:
                    message = model.receive()
                    if message is None:
                        raise _ModelEndedError
                    _take(message, talk)
                else:
                    os.eventfd_read(feed.wake_up)
            if not events and model.process.poll() is not None:
                # A process of its own may still hold the channel open.
                raise _ModelEndedError


def _send_what_is_ready(talk: _Conversation) -> None:
    model, feed, state = talk.model, talk.feed, talk.state
    if state.loaded_at is None:
        # Raises what a decoding thread has met, so that bad data does not wait for the model.
        feed.ready(0, 0)
        return
    while state.sent < len(state.images) and len(state.unanswered) < _AHEAD:
        count = min(state.batch_size, len(state.images) - state.sent)
        if not feed.ready(state.sent, count):
            return
        numbers = range(state.sent, state.sent + count)
        places = [feed.place(number) for number in numbers]
        if not model.send_images([state.images[number] for number in numbers], places):
            return
        state.sent += count
        state.unanswered.append(count)


def _take(message: Message, talk: _Conversation) -> None:
    feed, state = talk.feed, talk.state
    if isinstance(message, Failed):
        raise faults.reported_fault(message.code, message.position, message.text, state.place)
    if isinstance(message, Ready) and state.loaded_at is None:
        state.loaded_at = state.seconds
        state.batch_size = _fit_batch(message.batch_size, talk.arena)
        feed.widen(2 * state.batch_size + 2 * talk.threads)
        talk.progress.restart()
        return
    if not isinstance(message, Scores) or not state.unanswered:
        raise interfered(message)
    count = state.unanswered.popleft()
    if len(message.values) != count:
        raise faults.interference(f"{len(message.values)} scores for {count} images")
    first = len(state.scores)
    for value in message.values:
        if not math.isfinite(value):
            raise faults.not_finite(value, state.place)
        state.scores.append(value)
    feed.release(first, count)
    talk.progress.advance(count)


def _fit_batch(asked: int, arena: Arena) -> int:
    """Choose the batch size: what the model asks for, or what half of the arena holds.

    It depends on the data and the model only, never on timing, so that a batch
    is cut the same way on every machine.
    """
    wanted = max(asked, 1)
    size = max(1, min(wanted, arena.slots // 2))
    if size < wanted and arena.slots * arena.slot_bytes > DECODE_BUDGET // 2:
        print(
            f"batches of {size} images instead of {wanted}: decoded images may take "
            f"{DECODE_BUDGET // 2**20} MiB, and one takes {arena.slot_bytes / 2**20:.0f} MiB",
            flush=True,
        )
    call = f"predict_batch, {size} images a call" if asked else "predict, one image a call"
    print(f"model loaded ({call})", flush=True)
    return size


def _too_slow(state: RunState) -> SubmissionError:
    loading = state.loaded_at is None
    return faults.over_deadline(
        state.place,
        loading=loading,
        model_seconds=state.seconds - (state.loaded_at or 0.0),
        spent=state.seconds,
        limit=state.limit.seconds,
    )


def _how_it_ended(model: ModelProcess, state: RunState, kills_before: int) -> SubmissionError:
    end = time.monotonic() + _ENDING_PATIENCE
    while (returncode := model.process.poll()) is None:
        if time.monotonic() > end:
            return faults.interference("the end of its channel and ran on")
        time.sleep(0.01)
    return faults.ended(
        returncode,
        state.place,
        ran_out_of_memory=memory.out_of_memory_kills() > kills_before,
        peak_bytes=memory.peak_of_ended_children(),
    )
