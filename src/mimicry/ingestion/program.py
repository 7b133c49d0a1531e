"""The ingestion program: from four folders to predictions, or one sentence why not."""

import os
import platform
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import mimicry
from mimicry.errors import (
    BUG_SENTENCE,
    EXIT_DONE,
    EXIT_USAGE,
    BundleError,
    MimicryError,
    one_line,
    run_program,
)
from mimicry.files import remove_tree, write_atomically
from mimicry.ingestion import faults, overlay, pins, requirements, supervisor
from mimicry.ingestion.arguments import Arguments, clash, parse
from mimicry.ingestion.images import list_images
from mimicry.ingestion.isolation.hiding import hidden_input
from mimicry.ingestion.isolation.plan import Walls, find_layout
from mimicry.ingestion.outcome import (
    BUG_FILE,
    LOG_FILE,
    PREDICTIONS_FILE,
    Outcome,
    empty_folder,
    write_outcome,
    write_predictions,
)
from mimicry.ingestion.participant_log import ParticipantLog
from mimicry.ingestion.processes import become_subreaper, end_descendants
from mimicry.ingestion.settings import read_time_limit
from mimicry.ingestion.submission import find_model

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED_FILE = "allowed_packages.txt"


def main(arguments: Sequence[str]) -> int:
    """Run the ingestion program.

    The output folder is emptied first. It ends up with ``ingestion.json`` in any
    case, ``predictions.csv`` if and only if every image got a finite score, and
    ``participant.log``, which is meant for the organiser.

    Parameters
    ----------
    arguments : sequence of str
        INPUT_DIR OUTPUT_DIR PROGRAM_DIR SUBMISSION_DIR, each optional.

    Returns
    -------
    int
        Exit code: 0, 1, 2, 3 or 4.
    """
    started = time.monotonic()
    folders = parse(arguments)
    wrong = clash(folders)
    if wrong:
        print(f"ingestion.py: error: {wrong}", file=sys.stderr)
        return EXIT_USAGE
    folders.output = folders.output.resolve()

    def run() -> int:
        try:
            return _run(folders, started)
        except OSError as error:
            raise _cannot_write(folders.output, error) from error

    return run_program(run)


def _cannot_write(output: Path, error: OSError) -> BundleError:
    """Leave no prediction without its record behind, and say what is wrong."""
    fault = BundleError(
        "output-folder",
        f"the output folder cannot be written: {error.strerror or error}. Give it more room.",
    )
    # A record that cannot be written is no worse than none: both read as failed.
    with suppress(OSError):
        for name in (PREDICTIONS_FILE, LOG_FILE):
            (output / name).unlink(missing_ok=True)
        failed = Outcome("failed", "bundle", fault.code, fault.sentence, versions=_versions())
        write_outcome(output, failed)
    return fault


def _run(folders: Arguments, started: float) -> int:
    # The platform has put files of the submission here; a prediction among them
    # must never be taken for ours.
    empty_folder(folders.output)
    mine = folders.output.stat()
    images = 0
    state: supervisor.RunState | None = None
    write_outcome(folders.output, Outcome("running", versions=_versions()))
    failure: MimicryError | None = None
    scores: dict[str, float] = {}
    installed = pins.Installation([], ())
    log = ParticipantLog(folders.output / LOG_FILE)
    try:
        with _interruptible(), _private_folder() as scratch, ExitStack() as stack:
            become_subreaper()
            limit = read_time_limit(folders.program)
            layout = find_layout(folders.input, folders.output, folders.program, folders.submission)
            hidden = stack.enter_context(hidden_input(layout.input, own=layout.own))
            found = list_images(hidden.folder)
            images = len(found)
            print(
                f"Mimicry {mimicry.__version__} ingestion: {images:,} images, time limit "
                f"{limit.seconds:g} s ({limit.source}), model stopped at {limit.deadline:g} s, "
                f"{supervisor.decoding_threads()} decoding threads",
                flush=True,
            )
            model = find_model(folders.submission.resolve())
            if model.wrapper is not None:
                print(
                    f"model.py is in the folder {one_line(model.wrapper, 80)!r}, not at the "
                    "submission's root; using that folder",
                    flush=True,
                )
            state = supervisor.RunState(supervisor.shuffled(found), started, limit)
            installed = _install(folders, model.folder, scratch, state)
            walls = Walls(
                layout,
                tuple(folders.weights),
                network=folders.allow_network,
                disk_limit=folders.disk_limit,
                required=folders.require_isolation,
                hidden_problem=hidden.problem,
            )
            scores = supervisor.run_model(
                model.folder, installed.folders, state, scratch, log, walls
            )
    except MimicryError as error:
        failure = pins.with_replacements(error, installed.replaced)
    except BaseException:
        write_atomically(folders.output / BUG_FILE, traceback.format_exc())
        failure = MimicryError("bug", BUG_SENTENCE)
    finally:
        end_descendants()
        if _replaced(folders.output, mine):
            failure = faults.interference("the ingestion program's output elsewhere")
        kept = {BUG_FILE} if failure is not None and failure.kind == "bug" else set()
        if log.finish():
            kept.add(LOG_FILE)
        # Whatever a model has left here goes; then the result is written, last.
        empty_folder(folders.output, kept)
    outcome = Outcome(
        "finished",
        images=images,
        seconds=round(time.monotonic() - started, 3),
        versions=_versions(),
        replaced=installed.replaced,
    )
    if state is not None:
        outcome = _with_costs(outcome, state)
    return _conclude(folders.output, outcome, scores, failure)


def _with_costs(outcome: Outcome, state: supervisor.RunState) -> Outcome:
    """Add how far a run came and what it cost."""
    return replace(
        outcome,
        predicted=len(state.scores),
        time_limit=state.limit.seconds,
        load_seconds=_rounded(state.load_seconds),
        predict_seconds=_rounded(state.predict_seconds),
        batch_size=state.batch_size if state.loaded_at is not None else None,
        peak_memory_bytes=state.peak_memory,
        isolation=None if state.protections is None else state.protections._asdict(),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _replaced(output: Path, mine: os.stat_result) -> bool:
    """Tell whether the model has put something else in the output folder's place; undo it."""
    with suppress(FileNotFoundError):
        there = output.lstat()
        if os.path.samestat(there, mine):
            return False
        if stat.S_ISDIR(there.st_mode):
            remove_tree(output)
        else:
            output.unlink()
    output.mkdir(parents=True)
    return True


def _install(
    folders: Arguments, model: Path, scratch: Path, state: supervisor.RunState
) -> pins.Installation:
    allowed_file = folders.program / ALLOWED_FILE
    text = requirements.read_requirements(model)
    if not text.strip():
        return pins.Installation([], ())
    allowed = requirements.read_allowed(allowed_file)
    wheels = overlay.find_wheels(folders.program)
    return pins.install(text, allowed, allowed_file, scratch, wheels, lambda: state.left)


def _conclude(
    output: Path, outcome: Outcome, scores: dict[str, float], failure: MimicryError | None
) -> int:
    """Write the end of a run: its predictions and their record, or why there are none."""
    if failure is None:
        digest = write_predictions(output, scores)
        write_outcome(output, replace(outcome, predictions_sha256=digest))
        print(f"finished: {outcome.predicted:,} predictions in {outcome.seconds:.1f} s", flush=True)
        return EXIT_DONE
    failed = replace(
        outcome,
        state="failed",
        error_kind=failure.kind,
        error_code=failure.code,
        error=failure.sentence,
    )
    write_outcome(output, failed)
    print(failure, file=sys.stderr, flush=True)
    return failure.exit_code


@contextmanager
def _private_folder() -> "Iterator[Path]":
    folder = Path(tempfile.mkdtemp(prefix="mimicry-"))
    try:
        yield folder
    finally:
        remove_tree(folder)


@contextmanager
def _interruptible() -> "Iterator[None]":
    """Let a request to end (Ctrl-C, SIGTERM) still write a truthful outcome."""

    def interrupt(number: int, frame: object) -> None:
        raise BundleError(
            "interrupted",
            f"the run was ended from outside by {signal.Signals(number).name}. Run it again.",
        )

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _versions() -> dict[str, str]:
    versions = {"mimicry": mimicry.__version__, "python": platform.python_version()}
    for name in ("pillow", "numpy"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
