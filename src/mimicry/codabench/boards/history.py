"""What a participant has achieved in a phase over time, run by run."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from mimicry.codabench.boards.board import (
    Board,
    Entry,
    Scores,
    finished_scores,
    placing_key,
    visible_columns,
)
from mimicry.codabench.model import Column, Competition, Leaderboard, Phase
from mimicry.codabench.quotas import SURPLUS, handed_in, marks
from mimicry.codabench.records import RunRecord

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Attempt(NamedTuple):
    """A run that has a value to rank by.

    Attributes
    ----------
    when : datetime or None
        When it was handed in, UTC; None where that is unknown.
    value : float
        Of the primary column, of the task that the run ranks by.
    folder : str
        Where the run lies.
    """

    when: datetime | None
    value: float
    folder: str


def ranked_task(tasks: Mapping[str, Scores], leaderboard: Leaderboard) -> str | None:
    """Return the key of the task that a run is placed by: its best single one.

    None for a run without any finished task; of equal tasks the first.
    """
    return _placing_task(tasks, leaderboard.primary, visible_columns(leaderboard))


def _placing_task(
    tasks: Mapping[str, Scores], primary: Column, columns: Sequence[Column]
) -> str | None:
    if not tasks:
        return None
    return min(tasks, key=lambda key: placing_key(tasks[key], primary, columns))


def ranked_value(tasks: Mapping[str, Scores], leaderboard: Leaderboard) -> float | None:
    """Return the value that a run is placed by, None where it has none."""
    key = ranked_task(tasks, leaderboard)
    return None if key is None else tasks[key].get(leaderboard.primary.key)


def ranked_on(board: Board, entry: Entry) -> tuple[str, float] | None:
    """Return the task by which a row of a board is placed, and the value that ranks it.

    Returns
    -------
    (str, float) or None
        The task's key and the value of the column that ranks; None where that column is
        hidden, or the row has no value in it.
    """
    primary = next((column for column in board.columns if column.key == board.primary), None)
    if primary is None:
        return None
    key = _placing_task(entry.tasks, primary, board.columns)
    value = None if key is None else entry.tasks[key].get(primary.key)
    return None if key is None or value is None else (key, value)


def attempts(
    competition: Competition,
    phase: Phase,
    runs: Iterable[tuple[str, RunRecord]],
    *,
    surplus: bool = False,
) -> dict[str, tuple[Attempt, ...]]:
    """Collect what every participant has handed in to a phase and got a score for.

    Parameters
    ----------
    competition, phase : Competition, Phase
        Whose runs; others are ignored.
    runs : iterable of (str, RunRecord)
        Pairs of folder and record, all of the phase: quotas count them.
    surplus : bool
        Also count what is above the quotas, which the platform refuses.

    Returns
    -------
    dict of str to tuple of Attempt
        By participant, each by time of submission, unknown times first; of equal times
        in the order given. The last one is the latest.
    """
    own = [(f, r) for f, r in runs if (r.competition, r.phase) == (competition.id, phase.slug)]
    times = [handed_in(record) for _, record in own]
    keys = [task.key for task in phase.tasks]
    found: dict[str, list[Attempt]] = {}
    for (folder, record), time, mark in zip(own, times, marks(phase, times), strict=True):
        refused = mark is not None and mark.kind == SURPLUS and not surplus
        if record.finished is None or refused:
            continue
        value = ranked_value(finished_scores(record, keys), competition.leaderboard)
        if value is not None:
            found.setdefault(record.participant, []).append(Attempt(time.when, value, folder))
    return {
        name: tuple(sorted(own_attempts, key=lambda one: one.when or _LONG_AGO))
        for name, own_attempts in found.items()
    }
