"""The boards as pages in a folder: one with all boards, one for each run."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mimicry.codabench.boards.contents import ShownBoard, anchors_of, competition_parts
from mimicry.codabench.boards.page_files import (
    check_index,
    is_stream,
    make_folder,
    page_name,
    quoted,
    remove_stale,
    runs_folder,
    write_index,
    write_page,
)
from mimicry.codabench.quotas import Mark, shown
from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_report import run_page
from mimicry.codabench.scratch import writable
from mimicry.errors import one_line
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
        lie beside it in the folder ``<stem>-runs`` (``<name>-runs`` for a name that does
        not end in ``.html``); those of an earlier call that are not made anew are removed,
        other files stay. A device or a pipe gets the page, and runs have none.
    boards : sequence of ShownBoard
        In the order in which they are shown; one competition's follow each other.
    runs : sequence of (str, RunRecord)
        Folders and records, as `mimicry.codabench.boards.board.find_runs` returns them.
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
        `page-unwritable`; `page-taken` where somebody else's file stands where a page
        belongs, or a link where a page of a run or their folder does.
    """
    page = target / INDEX_NAME if target.is_dir() else target
    folder = runs_folder(page)
    with writable(page, "page-unwritable", "name another file with --html"):
        alone = is_stream(page)
        check_index(page)
        made = {}
        if not alone:
            made = _run_pages(folder, page.name, boards, runs, worker_data, report)
        links = {run: f"{folder.name}/{name}" for run, name in made.items()}
        parts = competition_parts(boards, runs, links, surplus=surplus, every_column=every_column)
        when = shown(datetime.now(UTC))
        count = len(_chosen(boards, runs))
        write_index(page, board_page(parts, made=f"Made on {when} from {count:,} runs."))
        if not alone:
            remove_stale(folder, set(made.values()), page.name)
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
    chosen = _chosen(boards, runs)
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
        write_page(folder / name, text, index)
        made[run] = name
    return made


def _chosen(
    boards: Sequence[ShownBoard], runs: Sequence[tuple[str, RunRecord]]
) -> list[tuple[str, RunRecord, ShownBoard]]:
    """Return the runs of the boards, each with its board."""
    by_phase = {(one.competition.id, one.phase.slug): one for one in boards}
    return [
        (run, record, by_phase[record.competition, record.phase])
        for run, record in runs
        if (record.competition, record.phase) in by_phase
    ]
