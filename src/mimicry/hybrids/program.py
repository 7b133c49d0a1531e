"""The scoring program: from the platform's folders to scores, or to a reason."""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from mimicry import __version__
from mimicry.errors import BUG_SENTENCE, BundleError, MimicryError, run_program
from mimicry.files import write_atomically
from mimicry.hybrids.outcome import Outcome, read_outcome
from mimicry.hybrids.predictions import match_predictions, parse_predictions
from mimicry.hybrids.reference import check_gradable, read_reference
from mimicry.hybrids.settings import PhaseSettings, read_phase_settings
from mimicry.hybrids.tasks import TASKS, Task
from mimicry.reports.failure import failure_page
from mimicry.reports.hybrids import ScoreRow, results_page

# The platform reads scores.json, the challenge's documents speak of score.json.
SCORES_NAME = "scores.json"
SCORES_COPY_NAME = "score.json"
PAGE_NAME = "detailed_results.html"
LOG_NAME = "scoring.log"


def main(task_key: str, program_folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the scoring program of one task and return its exit code.

    Parameters
    ----------
    task_key : str
        A key of ``mimicry.hybrids.tasks.TASKS``.
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
    task = TASKS[task_key]
    source, output = _parse_arguments(task, arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(
        f"mimicry {__version__}: scoring task {task.key}, reading {source / 'ref'} "
        f"and {source / 'res'}",
        flush=True,
    )

    def on_bug(details: str) -> None:
        _log(output, details)
        with contextlib.suppress(OSError):
            _remove_results(output)
        _leave_reason(output, task, MimicryError("bug", BUG_SENTENCE))

    return run_program(lambda: _score(task, program_folder, source, output), on_bug=on_bug)


def _parse_arguments(task: Task, arguments: Sequence[str] | None) -> tuple[Path, Path]:
    name = f"score_{task.key}.py"
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"Score one submission in task {task.key} ({task.title}). "
        "Reads INPUT_DIR/ref (one CSV file with labels) and INPUT_DIR/res (what ingestion "
        f"wrote); writes {SCORES_NAME}, {SCORES_COPY_NAME} and {PAGE_NAME} into OUTPUT_DIR.",
        epilog=f"Example: python3 {name} /app/input /app/output. Exit codes: 0 scored, 1 our own "
        "bug, 2 wrong usage, 3 the submission's fault, 4 the organiser's.",
    )
    parser.add_argument(
        "input_dir", metavar="INPUT_DIR", nargs="?", type=Path, default=Path("/app/input")
    )
    parser.add_argument(
        "output_dir", metavar="OUTPUT_DIR", nargs="?", type=Path, default=Path("/app/output")
    )
    options = parser.parse_args(arguments)
    if not options.input_dir.is_dir():
        parser.error(f"INPUT_DIR {options.input_dir} is not a folder")
    if options.output_dir.exists() and not options.output_dir.is_dir():
        parser.error(f"OUTPUT_DIR {options.output_dir} is not a folder")
    return options.input_dir, options.output_dir


def _score(task: Task, program_folder: Path, source: Path, output: Path) -> None:
    started = time.monotonic()
    _prepare(output)
    try:
        settings = read_phase_settings(program_folder, task.key)
        outcome = read_outcome(source / "res")
        reference = read_reference(source / "ref")
        check_gradable(reference, task.groups, task.key)
        scores = match_predictions(parse_predictions(outcome.predictions), reference.filenames)
        # The metrics run on one thread; pools of threads would only cost start-up
        # time. Faults above are told without loading numpy or scikit-learn.
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(variable, "1")
        from mimicry.hybrids.grading import grade

        results = grade(task, reference, scores)
        seconds = time.monotonic() - started
        _leave_results(output, task, results, settings, len(scores), outcome, seconds)
    except MimicryError as error:
        _remove_results(output)
        _leave_reason(output, task, error)
        raise


def _prepare(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_results(output)
        (output / LOG_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(output, error) from error


def _remove_results(output: Path) -> None:
    for name in (SCORES_NAME, SCORES_COPY_NAME, PAGE_NAME):
        path = output / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _leave_results(
    output: Path,
    task: Task,
    results: Mapping[str, float],
    settings: PhaseSettings | None,
    images: int,
    outcome: Outcome,
    seconds: float,
) -> None:
    try:
        rows = [ScoreRow(c.key, c.title, results[c.key], c.explanation) for c in task.columns]
        page = results_page(
            _title(task, settings), rows, images, outcome.seconds, seconds, __version__
        )
        write_atomically(output / PAGE_NAME, page)
    except Exception:
        # The page is a courtesy: without it the scores still stand.
        _log(output, traceback.format_exc())
    document = json.dumps(dict(results), indent=2, allow_nan=False) + "\n"
    try:
        write_atomically(output / SCORES_COPY_NAME, document)
        write_atomically(output / SCORES_NAME, document)
    except OSError as error:
        raise _unwritable(output, error) from error
    print(
        f"Wrote {SCORES_NAME}, {SCORES_COPY_NAME} ({len(results)} columns) and {PAGE_NAME} "
        f"for {images:,} images in {seconds:.1f} s",
        flush=True,
    )


def _leave_reason(output: Path, task: Task, error: MimicryError) -> None:
    """Write the page that tells why there are no scores; never hide the reason itself."""
    try:
        write_atomically(
            output / PAGE_NAME,
            failure_page(_title(task, None), error.sentence, error.code, error.kind, __version__),
        )
    except Exception:
        _log(output, traceback.format_exc())


def _title(task: Task, settings: PhaseSettings | None) -> str:
    where = f" · {settings.competition} · {settings.phase}" if settings else ""
    return f"{task.title} (task {task.key}){where}"


def _log(output: Path, details: str) -> None:
    """Append to the organiser's log; on stderr only where the folder takes no file."""
    try:
        with (output / LOG_NAME).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details)
    except OSError:
        with contextlib.suppress(OSError):
            print(details, file=sys.stderr)


def _unwritable(output: Path, error: OSError) -> BundleError:
    return BundleError(
        "output-unwritable",
        f"Cannot write in {output} ({error.strerror or 'unknown reason'}). Check the disk's space "
        "and that the container runs as the user who owns the folder.",
    )
