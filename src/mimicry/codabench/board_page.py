"""The boards as pages in a folder: one with all boards, one for each run."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mimicry.codabench.board_contents import ShownBoard, anchors_of, competition_parts, quoted
from mimicry.codabench.page_files import make_folder, page_name, remove_stale, write_page
from mimicry.codabench.quotas import Mark, shown
from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_report import run_page
from mimicry.codabench.scratch import writable
from mimicry.errors import one_line
from mimicry.files import write_atomically
from mimicry.reports.board import board_page

INDEX_NAME = "index.html"

Report = Callable[[str], None]


def write_board_pages(
    target: Path,
    boards: Sequence[ShownBoard],
    runs: Sequence[tuple[str, RunRecord]],
    *,
    surplus: bool = False,
    every_column: bool = False,
    worker_data: Path | None = None,
    report: Report = lambda line: None,
) -> tuple[Path, int]:
    """Write the page with the boards, and beside it a folder with a page for each run.

    Parameters
    ----------
    target : Path
        The page's file, or an existing folder, which gets an ``index.html``. Pages of runs
        lie in ``<stem>-runs`` beside it; those of an earlier call that are not made anew
        are removed, other files stay.
    boards : sequence of ShownBoard
        In the order in which they are shown; one competition's follow each other.
    runs : sequence of (str, RunRecord)
        Folders and records, as `mimicry.codabench.board.find_runs` returns them.
    surplus, every_column : bool
        Whether runs above the quotas rank, and columns without any value are shown.
    worker_data : Path, optional
        What a worker's operator shows as ``/app/data``.
    report : callable
        Told of every page of a run.

    Returns
    -------
    (Path, int)
        The board's page, and how many pages of runs there are.

    Raises
    ------
    BundleError
        `page-unwritable`; `page-taken` where somebody else's file or a link stands where a
        page of a run, or their folder, belongs.
    """
    page = target / INDEX_NAME if target.is_dir() else target
    folder = page.with_name(f"{page.stem}-runs")
    with writable(page, "page-unwritable", "name another file with --html"):
        made = _run_pages(folder, page.name, boards, runs, worker_data, report)
        links = {run: f"{folder.name}/{name}" for run, name in made.items()}
        parts = competition_parts(boards, runs, links, surplus=surplus, every_column=every_column)
        when = shown(datetime.now(UTC))
        write_atomically(page, board_page(parts, made=f"Made on {when} from {len(made):,} runs."))
        remove_stale(folder, set(made.values()))
    return page, len(made)


def _run_pages(
    folder: Path,
    index: str,
    boards: Sequence[ShownBoard],
    runs: Sequence[tuple[str, RunRecord]],
    worker_data: Path | None,
    report: Report,
) -> dict[str, str]:
    """Write a page for each run of the boards; return their names by the runs' folders."""
    anchors = anchors_of(boards)
    by_phase = {(one.competition.id, one.phase.slug): one for one in boards}
    chosen = [
        (run, record, by_phase[record.competition, record.phase])
        for run, record in runs
        if (record.competition, record.phase) in by_phase
    ]
    if not chosen:
        return {}
    board_marks: dict[str, Mark | None] = {}
    for one in boards:
        board_marks |= {row.folder: row.mark for row in one.board.rows}
        board_marks |= {failure.folder: failure.mark for failure in one.board.failures}
    make_folder(folder)
    made: dict[str, str] = {}
    for number, (run, record, one) in enumerate(chosen, 1):
        report(f"page {number} of {len(chosen)}: {one_line(run, 200)}")
        name = page_name(run, record)
        anchor = anchors[one.competition.id, one.phase.slug]
        text = run_page(
            *(Path(run), record, one.competition),
            mark=board_marks.get(run),
            worker_data=worker_data,
            back=(f"../{quoted(index)}#{anchor}", "Board"),
        )
        write_page(folder / name, text)
        made[run] = name
    return made
