"""How sure a board's order is: an interval for every row, and the ranks that it may have.

The platform orders rows by their scores alone. Here two rows count as told apart only
where the 95 % interval of their paired difference (the same images, the same draws) does
not hold 0. The method stands in docs/uncertainty.md.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimicry.codabench.boards.board import Board, Entry
from mimicry.codabench.boards.history import ranked_task
from mimicry.codabench.boards.standing import Standing, Standings
from mimicry.codabench.boards.standing_text import shown_ranks
from mimicry.codabench.model import Competition, Leaderboard, Phase

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mimicry.codabench.boards.compared_rows import Compared, Row

MOST_NOTES = 8
PAIRWISE = (
    "Possible ranks count the rows that are better or worse beyond error: those for which the "
    "95 % interval of the difference of the two rows does not hold 0. Each pair is judged by "
    "itself, not all at once."
)

Report = Callable[[str], None]


def find_standings(
    board: Board,
    competition: Competition,
    phase: Phase,
    *,
    worker_data: Path | None = None,
    report: Report = lambda line: None,
) -> Standings:
    """Score the runs of a board again, and find their intervals and rank ranges.

    Rows whose data are missing or have changed, and those of scoring programs that are
    not of this project, have none; a note says so.

    Parameters
    ----------
    board : Board
        Of `phase`; the folders of its rows are read.
    competition, phase : Competition, Phase
        Its columns and data.
    worker_data : Path, optional
        What stands for ``/app/data``, where Red's activations may lie.
    report : callable
        Told before every step what comes next, in words.

    Returns
    -------
    Standings
        Never an exception because of what runs or data hold.
    """
    from mimicry.codabench.boards.compared_rows import reason_of
    from mimicry.codabench.boards.comparing import compare_runs
    from mimicry.codabench.rescoring import grader_of

    leaderboard = competition.leaderboard
    primary = leaderboard.primary
    if primary.hidden:
        return Standings(
            (None,) * len(board.rows), ("The column that ranks is hidden, so are intervals.",), ""
        )
    reasons: dict[int, str] = {}
    found: list[Compared] = []
    for key, rows in _by_task(board.rows, leaderboard, reasons).items():
        task = next((task for task in phase.tasks if task.key == key), None)
        grader = grader_of(task) if task is not None else None
        if task is None or grader is None:
            words = f"the scoring program of task {key} is not one of this project's"
            reasons |= dict.fromkeys((row.place for row in rows), words)
            continue
        try:
            compared = compare_runs(
                *(rows, task, grader, primary.key),
                worker_data=worker_data,
                fail=reasons.__setitem__,
                step=report,
            )
        except Exception as error:
            # The board is shown whatever is wrong with the data.
            reasons |= dict.fromkeys((row.place for row in rows), reason_of(error))
            continue
        if compared is not None:
            found.append(compared)
    above = _above(len(board.rows), found)
    limits = {
        int(place): (float(low), float(high))
        for one in found
        for place, low, high in zip(one.places, one.lows, one.highs, strict=True)
    }
    methods = dict.fromkeys(one.method for one in found)
    return Standings(
        rows=rank_ranges(above if primary.sorting == "desc" else above.T, limits),
        notes=_notes(reasons),
        method=" ".join([*methods, PAIRWISE]) if methods else "",
    )


def rank_ranges(
    better: "npt.NDArray[np.bool_]", limits: Mapping[int, tuple[float, float]]
) -> tuple[Standing | None, ...]:
    """Return every row's standing from who is better than whom.

    Parameters
    ----------
    better : array of bool, shape (n, n)
        Whether the row is better than the column's row beyond error; never both ways.
    limits : Mapping
        Row, from 0 -> its interval. Rows without one get None, and are told apart from
        no other.
    """
    import numpy as np

    count = len(better)
    ahead, behind = better.sum(axis=0), better.sum(axis=1)
    apart = better | better.T | np.eye(count, dtype=np.bool_)
    return tuple(
        Standing(
            *limits[row],
            best=1 + int(ahead[row]),
            worst=count - int(behind[row]),
            tied=tuple((np.flatnonzero(~apart[row]) + 1).tolist()),
        )
        if row in limits
        else None
        for row in range(count)
    )


def _by_task(
    rows: Sequence[Entry], leaderboard: Leaderboard, reasons: dict[int, str]
) -> "dict[str, list[Row]]":
    """Return the rows under the task that each is ranked by; `reasons` gets the others."""
    from mimicry.codabench.boards.compared_rows import Row

    found: dict[str, list[Row]] = {}
    for place, entry in enumerate(rows):
        key = ranked_task(entry.tasks, leaderboard)
        scores = {} if key is None else entry.tasks[key]
        if key is not None and leaderboard.primary.key in scores:
            found.setdefault(key, []).append(Row(place, Path(entry.folder), scores))
        else:
            reasons[place] = "it has no value in the column that ranks"
    return found


def _above(count: int, found: "Sequence[Compared]") -> "npt.NDArray[np.bool_]":
    """Return which rows of the board are larger than which beyond error."""
    import numpy as np

    above = np.zeros((count, count), dtype=np.bool_)
    for one in found:
        above[np.ix_(one.places, one.places)] = one.above
        for other in found:
            if other is not one:
                above[np.ix_(one.places, other.places)] = _apart(one, other)
    return above


def _apart(one: "Compared", other: "Compared") -> "npt.NDArray[np.bool_]":
    """Return which values are above those of another task beyond error.

    Images of two tasks are drawn independently, so the interval of the difference comes
    from the two intervals: their distances to the values, added in squares (Zou and
    Donner 2008, Statistics in Medicine 27, 1693-1702).
    """
    import numpy as np

    difference = one.values[:, None] - other.values
    down, up = one.values - one.lows, other.highs - other.values
    return np.asarray(difference > np.hypot(down[:, None], up))


def _notes(reasons: Mapping[int, str]) -> tuple[str, ...]:
    """Return one sentence for every reason, with the ranks of its rows."""
    ranks: dict[str, list[int]] = {}
    for place, reason in sorted(reasons.items()):
        ranks.setdefault(reason, []).append(place + 1)
    notes = [
        f"No interval for {'rank' if len(own) == 1 else 'ranks'} {shown_ranks(own)}, not told "
        f"apart from any other: {_ended(reason)}"
        for reason, own in ranks.items()
    ]
    if len(notes) > MOST_NOTES:
        more = sorted(rank for own in list(ranks.values())[MOST_NOTES - 1 :] for rank in own)
        notes[MOST_NOTES - 1 :] = [
            f"No interval for ranks {shown_ranks(more)} either, for other reasons."
        ]
    return tuple(notes)


def _ended(reason: str) -> str:
    """Return a reason as the end of a sentence; before a code in brackets it has ended."""
    return reason if reason.endswith("]") else f"{reason.rstrip('.')}."
