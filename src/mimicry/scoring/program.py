"""What every scoring program does around its scores: folders, files, reasons, exit codes."""

import argparse
import contextlib
import io
import json
import math
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry import __version__
from mimicry.errors import BUG_SENTENCE, BundleError, MimicryError, run_program
from mimicry.files import write_atomically
from mimicry.reports.facts import Facts
from mimicry.reports.layout import document
from mimicry.scoring.settings import PhaseSettings, read_phase_settings

# The platform reads scores.json, the challenge's documents speak of score.json.
SCORES_NAME = "scores.json"
SCORES_COPY_NAME = "score.json"
PAGE_NAME = "detailed_results.html"
LOG_NAME = "scoring.log"
LARGEST_PAGE = 400_000


class Scored(NamedTuple):
    """A scored submission.

    Attributes
    ----------
    scores : mapping of str to float
        Every column of the task, in order; finite.
    counted : str
        What was scored, for the log, such as ``1,175 images``.
    page : callable
        Given what is known of the run, returns what the results page shows below its
        heading. It keeps to the board's columns unless ``facts.full``. What it raises
        costs no scores.
    """

    scores: Mapping[str, float]
    counted: str
    page: Callable[[Facts], Sequence[Element]]


@dataclass(frozen=True)
class ScoringProgram:
    """A scoring program as its entry script starts it.

    Attributes
    ----------
    task : str
        Key of the task: the program folder's name without ``scoring_program_``.
    title : str
        The task's, for people.
    reads : str
        For the help: what lies in ``INPUT_DIR/ref`` and ``INPUT_DIR/res``.
    columns : tuple of str
        Keys of the board's columns.
    score : callable
        Given the input folder, returns what was scored. Raises `MimicryError`.
    """

    task: str
    title: str
    reads: str
    columns: tuple[str, ...]
    score: Callable[[Path], Scored]


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
    source, output = _parse_arguments(program, arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(
        f"mimicry {__version__}: scoring task {program.task}, reading {source / 'ref'} "
        f"and {source / 'res'}",
        flush=True,
    )

    def on_bug(details: str) -> None:
        _log(output, details)
        with contextlib.suppress(OSError):
            _remove_results(output)
        _leave_reason(program, program_folder, output, MimicryError("bug", BUG_SENTENCE))

    return run_program(lambda: _score(program, program_folder, source, output), on_bug=on_bug)


def _parse_arguments(program: ScoringProgram, arguments: Sequence[str] | None) -> tuple[Path, Path]:
    name = f"score_{program.task}.py"
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"Score one submission in task {program.task} ({program.title}). "
        f"Reads {program.reads}; writes {SCORES_NAME}, {SCORES_COPY_NAME} and {PAGE_NAME} "
        "into OUTPUT_DIR.",
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


def _score(program: ScoringProgram, program_folder: Path, source: Path, output: Path) -> None:
    started = time.monotonic()
    _prepare(output)
    try:
        settings = read_phase_settings(program_folder, program.task)
        scored = program.score(source)
        seconds = time.monotonic() - started
        _leave_results(program, output, scored, seconds)
        _leave_page(output, scored, _facts(program, settings, seconds))
    except MimicryError as error:
        _remove_results(output)
        _leave_reason(program, program_folder, output, error)
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
        raise _unwritable(output, error) from error
    print(
        f"Wrote {SCORES_NAME} and {SCORES_COPY_NAME} ({len(scores)} columns) for "
        f"{scored.counted} in {seconds:.1f} s",
        flush=True,
    )


def _leave_page(output: Path, scored: Scored, facts: Facts) -> None:
    """Write the results page: a courtesy, without which the scores still stand.

    Where the full page cannot be had, that of the board's columns takes its place, and the
    organiser's log says why.
    """
    for full in (True, False) if facts.full else (False,):
        try:
            content = scored.page(facts._replace(full=full))
            page = document(facts.title, *content, subtitle=facts.subtitle).encode("utf-8")
            if len(page) > LARGEST_PAGE:
                raise RuntimeError(
                    f"the page has {len(page):,} bytes, allowed are {LARGEST_PAGE:,}"
                )
            write_atomically(output / PAGE_NAME, page)
        except Exception:
            _log(output, traceback.format_exc())
        else:
            print(f"Wrote {PAGE_NAME}" + (" (the board's columns)" if not full else ""), flush=True)
            return
    print(f"{PAGE_NAME} could not be written; {LOG_NAME} says why. The scores stand.", flush=True)


def _leave_reason(
    program: ScoringProgram, program_folder: Path, output: Path, error: MimicryError
) -> None:
    """Write the page that tells why there are no scores; never hide the reason itself."""
    try:
        # Only a run that fails needs the list of errors.
        from mimicry.reports.failure import failure_page

        settings = None
        with contextlib.suppress(MimicryError):
            settings = read_phase_settings(program_folder, program.task)
        title, subtitle = _names(program, settings)
        page = failure_page(title, error.sentence, error.code, error.kind, __version__, subtitle)
        write_atomically(output / PAGE_NAME, page)
    except Exception:
        _log(output, traceback.format_exc())


def _facts(program: ScoringProgram, settings: PhaseSettings | None, seconds: float) -> Facts:
    title, subtitle = _names(program, settings)
    versions = [("Mimicry", __version__), ("Python", platform.python_version())]
    # What scoring has loaded; naming more would only cost the time to load it.
    for module, name in (("numpy", "NumPy"), ("sklearn", "scikit-learn")):
        if module in sys.modules:
            versions.append((name, str(sys.modules[module].__version__)))
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Facts(
        title=title,
        subtitle=subtitle,
        full=settings is not None and settings.full_page,
        seconds=seconds,
        provenance=(("Scored", now), *versions),
    )


def _names(program: ScoringProgram, settings: PhaseSettings | None) -> tuple[str, str | None]:
    title = f"{program.title} (task {program.task})"
    return title, f"{settings.competition} · {settings.phase}" if settings else None


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
