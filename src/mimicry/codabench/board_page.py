"""The boards as pages in a folder: one with all boards, one for each run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mimicry.codabench.board import Board, Entry
from mimicry.codabench.history import Attempt, attempts, ranked_value
from mimicry.codabench.model import Column, Competition, Phase, slug
from mimicry.codabench.page_files import make_folder, page_name, remove_stale, write_page
from mimicry.codabench.quotas import Mark, shown
from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_report import run_page
from mimicry.codabench.scratch import writable
from mimicry.errors import one_line
from mimicry.files import write_atomically
from mimicry.reports.board import board_page
from mimicry.reports.board_parts import (
    BoardColumn,
    BoardFailure,
    BoardRow,
    CompetitionPart,
    PhasePart,
)

if TYPE_CHECKING:
    from mimicry.codabench.standings import Standings

INDEX_NAME = "index.html"
NAME_WIDTH = 60

Report = Callable[[str], None]


@dataclass(frozen=True)
class ShownBoard:
    """A board with what its page needs to know beside it."""

    competition: Competition
    phase: Phase
    board: Board
    standings: "Standings | None" = None


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
        parts = _competitions(boards, runs, links, surplus=surplus, every_column=every_column)
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
    anchors = _anchors(boards)
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
            back=(f"../{_quoted(index)}#{anchor}", "Board"),
        )
        write_page(folder / name, text)
        made[run] = name
    return made


def _quoted(name: str) -> str:
    return quote(name, errors="surrogateescape")


def _anchors(boards: Sequence[ShownBoard]) -> dict[tuple[str, str | None], str]:
    """Return a place in the page for each competition, by None as its phase, and each board."""
    found: dict[tuple[str, str | None], str] = {}
    for one in boards:
        id = one.competition.id
        base = slug(id) or "competition"
        places: tuple[tuple[str | None, str], ...] = (
            (None, base),
            (one.phase.slug, f"{base}-{one.phase.slug or 'phase'}"),
        )
        for phase, wanted in places:
            key = (id, phase)
            if key in found:
                continue
            number, name = 1, wanted
            while name in found.values():
                number += 1
                name = f"{wanted}-{number}"
            found[key] = name
    return found


def _competitions(
    boards: Sequence[ShownBoard],
    runs: Sequence[tuple[str, RunRecord]],
    links: Mapping[str, str],
    *,
    surplus: bool,
    every_column: bool,
) -> list[CompetitionPart]:
    anchors = _anchors(boards)
    records = dict(runs)
    linked = {run: _linked(link) for run, link in links.items()}
    grouped: dict[str, list[ShownBoard]] = {}
    for one in boards:
        grouped.setdefault(one.competition.id, []).append(one)
    return [
        CompetitionPart(
            key=id,
            anchor=anchors[id, None],
            name=one_line(own[0].competition.title, 200),
            phases=[
                _phase(
                    one,
                    anchors[id, one.phase.slug],
                    attempts(one.competition, one.phase, runs, surplus=surplus),
                    records,
                    linked,
                    every_column=every_column,
                )
                for one in own
            ],
        )
        for id, own in grouped.items()
    ]


def _linked(link: str) -> str:
    folder, _, name = link.rpartition("/")
    return f"{_quoted(folder)}/{_quoted(name)}"


def _phase(
    one: ShownBoard,
    anchor: str,
    histories: Mapping[str, tuple[Attempt, ...]],
    records: Mapping[str, RunRecord],
    links: Mapping[str, str],
    *,
    every_column: bool,
) -> PhasePart:
    board, leaderboard = one.board, one.competition.leaderboard
    primary = leaderboard.primary
    single = len(board.tasks) == 1
    # With several tasks the value that ranks is of one task, and of another in the next row.
    columns = [
        (key, column)
        for key, _ in board.tasks
        for column in board.columns
        if (every_column or any(column.key in row.tasks.get(key, {}) for row in board.rows))
        and not (single and column.index == primary.index)
    ]
    rows = [
        _row(one, number, row, columns, histories, records, links)
        for number, row in enumerate(board.rows)
    ]
    ranking = None if primary.hidden else _column(primary.key if single else "ranked", primary)
    return PhasePart(
        key=one.phase.slug,
        anchor=anchor,
        name=board.phase,
        about=_about(one),
        ranking=ranking,
        columns=[
            _column(f"{k}.{c.key}" if not single else c.key, c, k if not single else "")
            for k, c in columns
        ],
        rows=rows,
        failures=[
            BoardFailure(
                one_line(failure.participant, NAME_WIDTH),
                one_line(failure.submission, NAME_WIDTH),
                one_line(failure.reason, 600),
                links.get(failure.folder),
            )
            for failure in board.failures
        ],
        notes=list(_notes(one)),
        method=(one.standings.method or None) if one.standings is not None else None,
    )


def _about(one: ShownBoard) -> str:
    end = "without an end" if one.phase.end is None else f"to {shown(one.phase.end)}"
    tasks = ""
    if len(one.board.tasks) > 1:
        tasks = " A row is placed by its best single task, as on the platform."
    return f"{one.board.title}, {shown(one.phase.start)} {end}. Rule: {one.board.rule}.{tasks}"


def _notes(one: ShownBoard) -> Iterator[str]:
    if one.board.note and one.board.rows:
        yield one.board.note
    if one.standings is not None:
        yield from one.standings.notes
    elif one.competition.leaderboard.primary.hidden:
        yield "The column that ranks is hidden."


def _column(key: str, column: Column, task: str = "") -> BoardColumn:
    title = f"{task}: {column.title}" if task else column.title
    return BoardColumn(key, one_line(title, 100), column.precision, column.sorting == "desc")


def _row(
    one: ShownBoard,
    number: int,
    entry: Entry,
    columns: Sequence[tuple[str, Column]],
    histories: Mapping[str, tuple[Attempt, ...]],
    records: Mapping[str, RunRecord],
    links: Mapping[str, str],
) -> BoardRow:
    leaderboard = one.competition.leaderboard
    primary = leaderboard.primary
    standing = None if one.standings is None else one.standings.rows[number]
    interval = ranks = None
    if standing is not None:
        ranks = (standing.best, standing.worst)
        if standing.low is not None and standing.high is not None and not primary.hidden:
            interval = (standing.low, standing.high)
    record = records.get(entry.folder)
    marks = [] if entry.mark is None else [(entry.mark.kind, entry.mark.reason)]
    if record is not None and record.migrated:
        marks.append(("migrated", "brought over from the phase before, as the platform does"))
    history = () if primary.hidden else histories.get(entry.participant, ())
    return BoardRow(
        participant=one_line(entry.participant, NAME_WIDTH),
        submission=one_line(entry.submission, NAME_WIDTH),
        value=None if primary.hidden else ranked_value(entry.tasks, leaderboard),
        interval=interval,
        ranks=ranks,
        tied_with_first=standing is not None and 1 in standing.tied,
        cells=[entry.tasks.get(key, {}).get(column.key) for key, column in columns],
        marks=marks,
        history=[(_day(attempt.when), attempt.value) for attempt in history],
        link=links.get(entry.folder),
    )


def _day(when: datetime | None) -> str:
    return "unknown" if when is None else f"{when:%Y-%m-%d %H:%M}"
