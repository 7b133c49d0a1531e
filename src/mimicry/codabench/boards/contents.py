"""What the page of the boards shows, from the boards, their standings and all runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mimicry.codabench.boards.board import Board, Entry
from mimicry.codabench.boards.history import Attempt, attempts, ranked_task
from mimicry.codabench.boards.page_files import quoted
from mimicry.codabench.boards.standing_text import together_text
from mimicry.codabench.model import Column, Competition, Phase, slug
from mimicry.codabench.quotas import shown
from mimicry.codabench.records import RunRecord
from mimicry.errors import one_line
from mimicry.reports.board_parts import (
    BoardColumn,
    BoardFailure,
    BoardRow,
    CompetitionPart,
    PhasePart,
)

if TYPE_CHECKING:
    from mimicry.codabench.boards.standing import Standings

NAME_WIDTH = 60


@dataclass(frozen=True)
class ShownBoard:
    """A board with what its page needs to know beside it."""

    competition: Competition
    phase: Phase
    board: Board
    standings: "Standings | None" = None


def anchors_of(boards: Sequence[ShownBoard]) -> dict[tuple[str, str | None], str]:
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


def competition_parts(
    boards: Sequence[ShownBoard],
    runs: Sequence[tuple[str, RunRecord]],
    links: Mapping[str, str],
    *,
    surplus: bool,
    every_column: bool,
) -> list[CompetitionPart]:
    """Return what the page shows of boards.

    Parameters
    ----------
    boards, runs, surplus, every_column
        As for `mimicry.codabench.boards.page.write_board_pages`.
    links : Mapping
        A run's folder -> its page, relative to the boards' page and not yet quoted.
    """
    anchors = anchors_of(boards)
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
    return f"{quoted(folder)}/{quoted(name)}"


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
    ranking = None
    if not primary.hidden:
        ranking = _column(primary.key if single else "ranked", primary)
        if not single:
            ranking = ranking._replace(title=f"{ranking.title}, best task")
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
        together=together_text(one.standings) if one.standings is not None else None,
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
    task = None if primary.hidden else ranked_task(entry.tasks, leaderboard)
    history = () if primary.hidden else histories.get(entry.participant, ())
    return BoardRow(
        participant=one_line(entry.participant, NAME_WIDTH),
        submission=one_line(entry.submission, NAME_WIDTH),
        value=None if task is None else entry.tasks[task].get(primary.key),
        interval=interval,
        ranks=ranks,
        tied_with_first=_tied_with_first(one.standings, number),
        cells=[entry.tasks.get(key, {}).get(column.key) for key, column in columns],
        marks=marks,
        history=[(_day(attempt.when), attempt.value) for attempt in history],
        link=links.get(entry.folder),
        task=task if len(one.board.tasks) > 1 else None,
    )


def _tied_with_first(standings: "Standings | None", number: int) -> bool:
    """Tell whether a row, counted from 0, was compared with the first and is not told apart."""
    if standings is None or standings.rows[0] is None:
        return False
    standing = standings.rows[number]
    return standing is not None and 1 in standing.tied


def _day(when: datetime | None) -> str:
    return "unknown" if when is None else f"{when:%Y-%m-%d %H:%M}"
