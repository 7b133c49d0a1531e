"""The board, as the platform would show it: who stands on it, and in which order.

Pure functions over runs that have ended. The platform's rules, as measured on it:

- Rows are ordered by the primary column, then by the other visible columns in the
  order of their index, each in its own direction, then oldest first. A hidden primary
  column still ranks; other hidden columns break no ties.
- A missing value ranks first where higher is better and last where lower is better.
- With several tasks in a phase every run is one row, placed by its best single task.
- Columns are rounded for display only.
- A run handed in outside the phase's dates ranks all the same and is marked; one above
  the quotas is not on the board, since the platform would have refused it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mimicry.codabench.competition import Column, Competition, Leaderboard, Phase
from mimicry.codabench.quotas import SURPLUS, Mark, handed_in, marks
from mimicry.codabench.records import FINISHED, RunRecord

MANUAL_RULES = frozenset({"Add", "Add_And_Delete", "Add_And_Delete_Multiple"})
NOT_AVAILABLE = "n/a"

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """One run that can stand on the board.

    Attributes
    ----------
    participant, submission, folder : str
        Whose it is, the submission's file name, where the run lies.
    finished : str
        When it ended, UTC, ISO 8601.
    tasks : Mapping
        Task key -> column key -> value, for the tasks that finished.
    submitted : str
        When it was handed in, UTC, ISO 8601; empty where that is unknown.
    mark : Mark or None
        What is wrong with that.
    """

    participant: str
    submission: str
    folder: str
    finished: str
    tasks: Mapping[str, Scores]
    submitted: str = ""
    mark: Mark | None = None

    @property
    def age(self) -> tuple[str, str]:
        """What sorts the oldest first: when it was handed in, then when it ended."""
        return self.submitted, self.finished


@dataclass(frozen=True)
class Failure:
    """A run, or a part of one, that is not on the board, and why."""

    participant: str
    submission: str
    folder: str
    reason: str
    mark: Mark | None = None


@dataclass(frozen=True)
class Board:
    """A phase's board.

    Attributes
    ----------
    competition, title, phase, rule : str
        The competition's id, the board's title, the phase's name, the submission rule.
    tasks : tuple of (str, str)
        Key and name of every task of the phase, in order.
    columns : tuple of Column
        The visible columns by index.
    rows : tuple of Entry
        Best first.
    failures : tuple of Failure
        What is not on the board though it was run.
    note : str or None
        What the participant still has to do on the platform.
    primary : str
        Key of the column that ranks, also where it is hidden.
    """

    competition: str
    title: str
    phase: str
    rule: str
    tasks: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    rows: tuple[Entry, ...]
    failures: tuple[Failure, ...]
    note: str | None
    primary: str = ""


def ranking_key(scores: Scores, leaderboard: Leaderboard) -> tuple[tuple[int, float], ...]:
    """Return what one task's scores are sorted by, ascending: the best comes first.

    Parameters
    ----------
    scores : Mapping
        Column key -> value; absent means missing.
    leaderboard : Leaderboard
        Its primary column counts first, then the other visible ones by index.
    """
    return placing_key(scores, leaderboard.primary, visible_columns(leaderboard))


def placing_key(
    scores: Scores, primary: Column, columns: Iterable[Column]
) -> tuple[tuple[int, float], ...]:
    """Return what `ranking_key` does, given the column that ranks and the visible ones."""
    others = [column for column in columns if column.index != primary.index]
    return tuple(_place(scores.get(column.key), column) for column in (primary, *others))


def finished_scores(record: RunRecord, keys: Iterable[str]) -> dict[str, Scores]:
    """Return the scores of those tasks among `keys` that a run has finished, in that order."""
    return {
        key: record.tasks[key].scores or {}
        for key in keys
        if key in record.tasks and record.tasks[key].state == FINISHED
    }


def rank(entries: Iterable[Entry], leaderboard: Leaderboard) -> list[Entry]:
    """Order `entries` as the platform does, the best first.

    Each entry counts by its best single task; equal ones by age, the oldest first.
    Entries without any finished task are left out.
    """
    best = [
        (min(ranking_key(scores, leaderboard) for scores in entry.tasks.values()), entry)
        for entry in entries
        if entry.tasks
    ]
    return [entry for _, entry in sorted(best, key=lambda pair: (pair[0], pair[1].age))]


def apply_rule(entries: Iterable[Entry], leaderboard: Leaderboard) -> list[Entry]:
    """Keep what each participant would have on the board under its submission rule.

    ``Force_Best`` keeps the best run by the primary column (the earlier one of equal
    ones), by the sum over its tasks where higher is better and by the best single
    task, alone, where lower is better. ``Force_Last`` keeps the last run, of several
    tasks only the one that ended last. ``Force_Latest_Multiple`` and
    ``Add_And_Delete_Multiple`` keep all. ``Add`` and ``Add_And_Delete`` keep the last
    run, as if the participant had put it on the board.
    """
    rule = leaderboard.submission_rule
    by_participant: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.age):
        if entry.tasks:
            by_participant.setdefault(entry.participant, []).append(entry)
    if rule.endswith("_Multiple"):
        return [entry for own in by_participant.values() for entry in own]
    choose = {"Force_Best": _best, "Force_Last": _last_task}.get(rule, _last)
    return [choose(own, leaderboard) for own in by_participant.values()]


def visible_columns(leaderboard: Leaderboard) -> tuple[Column, ...]:
    """Return the columns that are shown, by their index."""
    shown = (column for column in leaderboard.columns if not column.hidden)
    return tuple(sorted(shown, key=lambda column: column.index))


def make_board(
    competition: Competition,
    phase: Phase,
    runs: Iterable[tuple[str, RunRecord]],
    *,
    surplus: bool = False,
) -> Board:
    """Make a phase's board from runs, given as pairs of folder and record.

    Runs of other competitions and phases are ignored.

    Parameters
    ----------
    competition, phase : Competition, Phase
        Whose board.
    runs : iterable of (str, RunRecord)
        All of the phase: quotas count them. Of equal times the first given is older.
    surplus : bool
        Rank what is above the quotas, too; it stays marked.
    """
    tasks = tuple((task.key, task.name) for task in phase.tasks)
    entries: list[Entry] = []
    failures: list[Failure] = []
    own = [(f, r) for f, r in runs if (r.competition, r.phase) == (competition.id, phase.slug)]
    times = [handed_in(record) for _, record in own]
    for (folder, record), time, mark in zip(own, times, marks(phase, times), strict=True):
        scores = finished_scores(record, (key for key, _ in tasks))
        reasons = _reasons(record)
        refused = mark is not None and mark.kind == SURPLUS and not surplus
        if mark is not None and refused:
            reasons.insert(0, f"{SURPLUS}: the platform refuses it: {mark.reason}")
        if record.finished is None:
            reasons.append("still running, or it was killed")
        elif scores and not refused:
            submitted = time.when.isoformat() if time.when is not None else ""
            entries.append(
                Entry(
                    *(record.participant, record.submission, folder, record.finished, scores),
                    submitted=submitted,
                    mark=mark,
                )
            )
        failures += [
            Failure(record.participant, record.submission, folder, reason, mark)
            for reason in reasons
        ]
    leaderboard = competition.leaderboard
    rule = leaderboard.submission_rule
    note = None
    if rule in MANUAL_RULES:
        note = (
            f"Rule {rule}: on the platform nothing appears before the participant adds it by "
            "hand; shown here is "
            + ("every run." if rule.endswith("_Multiple") else "each participant's latest run.")
        )
    return Board(
        competition=competition.id,
        title=leaderboard.title,
        phase=phase.name,
        rule=rule,
        tasks=tasks,
        columns=visible_columns(leaderboard),
        rows=tuple(rank(apply_rule(entries, leaderboard), leaderboard)),
        failures=tuple(failures),
        note=note,
        primary=leaderboard.primary.key,
    )


def cell(scores: Scores | None, column: Column) -> str:
    """Return a value as the board shows it, rounded to the column's precision."""
    if scores is None or column.key not in scores:
        return NOT_AVAILABLE
    return f"{scores[column.key]:.{column.precision}f}"


def _place(value: float | None, column: Column) -> tuple[int, float]:
    descending = column.sorting == "desc"
    if value is None:
        return (-1, 0.0) if descending else (1, 0.0)
    return (0, -value if descending else value)


def _primary_sum(entry: Entry, leaderboard: Leaderboard) -> tuple[int, float]:
    key = leaderboard.primary.key
    values = [scores[key] for scores in entry.tasks.values() if key in scores]
    # The platform prefers an entry without a value to a real one.
    return _place(sum(values) if values else None, leaderboard.primary)


def _best(own: list[Entry], leaderboard: Leaderboard) -> Entry:
    if leaderboard.primary.sorting == "desc":
        return min(own, key=lambda entry: _primary_sum(entry, leaderboard))
    singles = [
        replace(entry, tasks={key: scores}) for entry in own for key, scores in entry.tasks.items()
    ]
    return min(singles, key=lambda entry: _primary_sum(entry, leaderboard))


def _last(own: list[Entry], leaderboard: Leaderboard) -> Entry:
    return own[-1]


def _last_task(own: list[Entry], leaderboard: Leaderboard) -> Entry:
    key, scores = list(own[-1].tasks.items())[-1]
    return replace(own[-1], tasks={key: scores})


def _reasons(record: RunRecord) -> list[str]:
    return [
        f"task {key}: {task.error} [{task.error_code}]"
        for key, task in record.tasks.items()
        if task.error is not None
    ]
