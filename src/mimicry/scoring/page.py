"""The pages of a scoring run: of its results, or of the reason why there are none."""

import contextlib
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from mimicry import __version__
from mimicry.errors import MimicryError
from mimicry.files import write_atomically
from mimicry.reports.facts import Facts
from mimicry.reports.layout import LARGEST_PAGE, document
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.output import LOG_NAME, PAGE_NAME, log, tell
from mimicry.scoring.settings import PhaseSettings, read_phase_settings

# Many times what any page takes; a page that hangs must not cost the run.
PAGE_SECONDS = 20.0


def leave_page(
    program: ScoringProgram,
    settings: PhaseSettings | None,
    output: Path,
    scored: Scored,
    seconds: float,
) -> None:
    """Write the results page: a courtesy, without which the scores still stand.

    Where the full page cannot be had, or not in time, that of the board's columns takes its
    place, and the organiser's log says why.
    """
    allowed = settings is not None and settings.full_page
    for full in (True, False) if allowed else (False,):
        try:
            with _no_longer_than(PAGE_SECONDS):
                facts = _facts(program, settings, seconds, full=full)
                content = scored.page(facts)
                page = document(facts.title, *content, subtitle=facts.subtitle).encode("utf-8")
            if len(page) > LARGEST_PAGE:
                raise RuntimeError(
                    f"the page has {len(page):,} bytes, allowed are {LARGEST_PAGE:,}"
                )
            write_atomically(output / PAGE_NAME, page)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log(output, traceback.format_exc())
        else:
            tell(f"Wrote {PAGE_NAME}" + ("" if full else " (the board's columns)"))
            return
    tell(f"{PAGE_NAME} could not be written; {LOG_NAME} says why. The scores stand.")


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside when the time is up; without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the page took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def leave_reason(
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
        page = failure_page(
            title,
            error.sentence,
            error.code,
            error.kind,
            __version__,
            subtitle,
            parts=error.parts,
        )
        write_atomically(output / PAGE_NAME, page)
    except Exception:
        log(output, traceback.format_exc())


def _facts(
    program: ScoringProgram, settings: PhaseSettings | None, seconds: float, *, full: bool
) -> Facts:
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
        full=full,
        seconds=seconds,
        provenance=(("Scored", now), *versions),
    )


def _names(program: ScoringProgram, settings: PhaseSettings | None) -> tuple[str, str | None]:
    title = f"{program.title} (task {program.task})"
    return title, f"{settings.competition} · {settings.phase}" if settings else None
