"""What every scoring program does around its scores: folders, files, reasons, exit codes."""

import argparse
import contextlib
import io
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mimicry import __version__
from mimicry.errors import BUG_SENTENCE, MimicryError, run_program
from mimicry.files import write_atomically
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.output import (
    LOG_NAME,
    PAGE_NAME,
    SCORES_COPY_NAME,
    SCORES_NAME,
    log,
    remove_results,
    tell,
    unwritable,
)
from mimicry.scoring.page import leave_page, leave_reason
from mimicry.scoring.sealed import opened_source, shown_as
from mimicry.scoring.settings import read_phase_settings
from mimicry.scoring.versions import versions_words
from mimicry.scoring.worker_record import refuse_own_command


def run_scoring(
    program: ScoringProgram, program_folder: Path, arguments: Sequence[str] | None = None
) -> int:
    """Run a scoring program and return its exit code.

    Parameters
    ----------
    program : ScoringProgram
        What to run.
    program_folder : Path
        Where the entry script lies, and ``phase.json`` if it was packed.
    arguments : sequence of str, optional
        ``[INPUT_DIR [OUTPUT_DIR]]``; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0: scores written. 1, 3, 4: no scores, the reason in
        ``detailed_results.html`` and as the last line on stderr. Wrong usage
        raises ``SystemExit(2)``.
    """
    options = _parse_arguments(program, arguments)
    source, output = options.input_dir, options.output_dir
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    tell(
        f"mimicry {__version__}: scoring task {program.task}, reading {source / 'ref'} "
        f"and {source / 'res'}{versions_words()}"
    )

    def on_bug(details: str) -> None:
        log(output, details)
        with contextlib.suppress(OSError):
            remove_results(output)
        leave_reason(program, program_folder, output, MimicryError("bug", BUG_SENTENCE))

    def run() -> None:
        _score(program, program_folder, options)

    return run_program(run, on_bug=on_bug)


class _Options(argparse.Namespace):
    input_dir: Path
    output_dir: Path
    refuse_commands: bool


def _parse_arguments(program: ScoringProgram, arguments: Sequence[str] | None) -> _Options:
    name = f"score_{program.task}.py"
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"Score one submission in task {program.task} ({program.title}). "
        f"Reads {program.reads}; writes {SCORES_NAME}, {SCORES_COPY_NAME} and {PAGE_NAME} "
        "into OUTPUT_DIR.",
        epilog=f"Example: python3 {name} /app/input /app/output. Exit codes: 0 scored, 1 our own "
        "bug, 2 wrong usage, 3 the submission's fault, 4 the organiser's.",
        # A flag decides what is graded: none is guessed from its beginning.
        allow_abbrev=False,
    )
    parser.add_argument(
        "input_dir", metavar="INPUT_DIR", nargs="?", type=Path, default=Path("/app/input")
    )
    parser.add_argument(
        "output_dir", metavar="OUTPUT_DIR", nargs="?", type=Path, default=Path("/app/output")
    )
    parser.add_argument(
        "--refuse-commands",
        action="store_true",
        help="grade no submission that was started with a command of its own",
    )
    options = parser.parse_args(arguments, namespace=_Options())
    if not options.input_dir.is_dir():
        parser.error(f"INPUT_DIR {options.input_dir} is not a folder")
    if options.output_dir.exists() and not options.output_dir.is_dir():
        parser.error(f"OUTPUT_DIR {options.output_dir} is not a folder")
    return options


def _score(program: ScoringProgram, program_folder: Path, options: _Options) -> None:
    started = time.monotonic()
    source, output = options.input_dir, options.output_dir
    _prepare(output)
    # The page reads the reference data again, so they stay open until it is written.
    with contextlib.ExitStack() as held:
        try:
            if options.refuse_commands:
                refuse_own_command(source / "res")
            settings = read_phase_settings(program_folder, program.task)
            sealed = None if settings is None else settings.sealed
            opened = held.enter_context(opened_source(source, sealed))
            with shown_as(opened, source):
                scored = program.score(opened)
            seconds = time.monotonic() - started
            _leave_results(program, output, scored, seconds)
        except MimicryError as error:
            remove_results(output)
            leave_reason(program, program_folder, output, error)
            raise
        # The scores are written: nothing from here on may cost them.
        leave_page(program, settings, output, scored, seconds)


def _prepare(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        remove_results(output)
        (output / LOG_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(output, error) from error


def _leave_results(program: ScoringProgram, output: Path, scored: Scored, seconds: float) -> None:
    scores = dict(scored.scores)
    if tuple(scores) != program.columns or not all(map(math.isfinite, scores.values())):
        # The platform would show a submission with a missing score above all others.
        raise RuntimeError(f"task {program.task} must write {program.columns}, each of them finite")
    document = json.dumps(scores, indent=2, allow_nan=False) + "\n"
    try:
        write_atomically(output / SCORES_COPY_NAME, document)
        write_atomically(output / SCORES_NAME, document)
    except OSError as error:
        raise unwritable(output, error) from error
    tell(
        f"Wrote {SCORES_NAME} and {SCORES_COPY_NAME} ({len(scores)} columns) for "
        f"{scored.counted} in {seconds:.1f} s"
    )
