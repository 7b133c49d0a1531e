"""Runs of one task against each other: intervals of their scores, and who is beyond error.

What counts as error is told in docs/uncertainty.md; the numbers come from
`mimicry.hybrids.uncertainty` and `mimicry.realign.draws`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mimicry.codabench.model import Task
from mimicry.codabench.rescoring import (
    TOLERANCE,
    Grader,
    check_unchanged,
    predictions_of,
    staged_reference,
    unchanged_submission,
)
from mimicry.errors import BundleError, MimicryError, one_line

if TYPE_CHECKING:
    from mimicry.hybrids.reference import Reference
    from mimicry.hybrids.tasks import Task as HybridTask

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Fail = Callable[[int, str], None]
Step = Callable[[str], None]
T = TypeVar("T")

LEVEL = 0.95
# Of the draws of a score: where two scores keep this far apart, nobody needs their pair.
FAR = 0.005
HYBRIDS_METHOD = (
    "95 % intervals: how far a score would move, were the images drawn anew (weighted images, "
    "the same weights for every submission)."
)
MEAN_METHOD = "95 % intervals: 1.96 standard errors to both sides, were the images drawn anew."
SEARCHED = (
    " Stimuli were chosen, not drawn: the intervals say how far a score moves with stimuli of "
    "the same kind."
)
COUNT_METHOD = (
    "95 % intervals: what the score would be, 0 or the number of models, in the bootstrap "
    "replicates of the similarities."
)


class Row(NamedTuple):
    """One row of a board: its place from 0, its run's folder, its recorded scores."""

    place: int
    folder: Path
    recorded: Mapping[str, float]


@dataclass(frozen=True)
class Compared:
    """k submissions to one task, compared.

    Attributes
    ----------
    places : array of int, shape (k,)
        Of the board's rows, from 0.
    values, lows, highs : arrays of float64, shape (k,)
        The ranking value and its 95 % interval, which holds it.
    above : array of bool, shape (k, k)
        Whether the row's value is the larger one beyond error: the 95 % interval of the
        paired difference lies above 0. Two equal submissions are never apart.
    method : str
        In words.
    """

    places: npt.NDArray[np.intp]
    values: Matrix
    lows: Matrix
    highs: Matrix
    above: Mask
    method: str


def compare_runs(
    rows: Sequence[Row],
    task: Task,
    grader: Grader,
    primary: str,
    *,
    worker_data: Path | None,
    fail: Fail,
    step: Step,
) -> Compared | None:
    """Score the runs of one task again and compare every two of them.

    Parameters
    ----------
    rows : sequence of Row
        Those whose ranking value is of this task.
    task, grader : Task, Grader
        Whose data, and what scores it.
    primary : str
        Key of the column that ranks.
    worker_data : Path or None
        What stands for ``/app/data``.
    fail : callable
        Called as ``fail(place, reason)`` for every row that cannot be compared.
    step : callable
        Called with words on what is done next.

    Returns
    -------
    Compared or None
        Of the rows that did not fail, None where there is none.

    Raises
    ------
    BundleError
        What is wrong with the task's data, or `activations-missing` where they lie on
        the worker and `worker_data` is None.
    """
    with staged_reference(task, worker_data=worker_data) as source:
        if grader.room == "hybrids":
            return _hybrids(rows, task, grader.key, primary, source, fail, step)
        team = _blue if grader.key == "blue" else _red
        return team(rows, task, primary, source, fail, step)


def _hybrids(
    rows: Sequence[Row], task: Task, key: str, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    from mimicry.hybrids.grading import grade
    from mimicry.hybrids.outcome import read_outcome
    from mimicry.hybrids.predictions import match_predictions, parse_predictions
    from mimicry.hybrids.reference import check_gradable, read_reference
    from mimicry.hybrids.tasks import TASKS

    graded = TASKS[key]
    _check_primary(primary, graded.keys[0])
    reference = read_reference(source / "ref")
    check_gradable(reference, graded.groups, graded.key)

    def read(row: Row) -> Matrix:
        outcome = read_outcome(predictions_of(row.folder, task))
        found = match_predictions(parse_predictions(outcome.predictions), reference.filenames)
        check_unchanged(row.recorded, grade(graded, reference, found))
        return np.asarray(found, dtype=np.float64)

    kept, scores = _read_each(rows, read, fail, step)
    if not kept:
        return None
    values = _recorded(kept, primary)
    limits, above = compare_scores(graded, reference, scores, values, step=step)
    lows, highs = np.array(limits).T
    return Compared(_places(kept), values, lows, highs, above, HYBRIDS_METHOD)


def compare_scores(
    task: "HybridTask",
    reference: "Reference",
    scores: Sequence[Matrix],
    values: Matrix,
    *,
    draws: int | None = None,
    step: Step = lambda words: None,
) -> tuple[list[tuple[float, float]], Mask]:
    """Return intervals of the first column of several submissions, and who is above whom.

    Parameters
    ----------
    task, reference, scores, draws
        As for `mimicry.hybrids.uncertainty.draw_scores`; k submissions.
    values : array of float64, shape (k,)
        Their first columns, as graded.
    step : callable
        Called with words on what is done next.

    Returns
    -------
    list of (float, float)
        The 95 % interval of every submission.
    array of bool, shape (k, k)
        As ``Compared.above``.
    """
    from mimicry.hybrids.metrics import dense_ranks
    from mimicry.hybrids.uncertainty import draw_scores, interval

    # Only the order of scores counts, so equal orders are one submission.
    kinds: dict[bytes, int] = {}
    kind = [kinds.setdefault(dense_ranks(one).tobytes(), len(kinds)) for one in scores]
    firsts = [kind.index(number) for number in range(len(kinds))]
    count = len(firsts)
    step("drawing the images anew")
    # An array is a sequence to everybody but the type checker.
    kept = cast("Sequence[Sequence[float]]", [scores[first] for first in firsts])
    drawn = draw_scores(task, reference, kept, draws=draws)
    own = [drawn.one(number) for number in range(count)]
    limits = [interval(own[n], float(values[first])) for n, first in enumerate(firsts)]
    bottoms, tops = (np.quantile(own, share, axis=1) for share in (FAR, 1 - FAR))
    above = np.zeros((count, count), dtype=np.bool_)
    for one in range(count):
        step(f"comparing submission {one + 1} of {count}")
        for two in range(one + 1, count):
            difference = float(values[firsts[one]] - values[firsts[two]])
            # Both tails together hold less than the difference's own may.
            if bottoms[one] > tops[two] and difference > 0:
                above[one, two] = True
            elif bottoms[two] > tops[one] and difference < 0:
                above[two, one] = True
            else:
                a, b = drawn.pair(one, two)
                low, high = interval(a - b, difference)
                above[one, two], above[two, one] = low > 0, high < 0
    return [limits[number] for number in kind], above[np.ix_(kind, kind)]


def _blue(
    rows: Sequence[Row], task: Task, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    from mimicry.realign.blue import chosen_models, score_models
    from mimicry.realign.columns import BLUE_COLUMNS
    from mimicry.realign.documents import read_submission_file
    from mimicry.realign.draws import blue_counts, blue_deviations
    from mimicry.realign.found import find_submission
    from mimicry.realign.reference import read_blue_reference

    _check_primary(primary, BLUE_COLUMNS[0].key)
    reference = read_blue_reference(source / "ref")

    def read(row: Row) -> tuple[int, ...]:
        path = find_submission(predictions_of(row.folder, task))
        members = chosen_models(read_submission_file(path), path.name, reference)
        check_unchanged(row.recorded, score_models(members, reference))
        return members

    kept, members = _read_each(rows, read, fail, step)
    if not kept:
        return None
    values = _recorded(kept, primary)
    if reference.rules.rule == "mean_cka":
        deviations = blue_deviations(members, reference)
        return _normal(kept, values, deviations.standard_errors, deviations.difference_errors)
    draws = blue_counts(members, reference).draws
    lows, highs = _middle(draws, values)
    above = np.zeros((len(kept), len(kept)), dtype=np.bool_)
    for index in range(len(kept)):
        above[index] = _middle(draws[index] - draws, values[index] - values)[0] > 0
    return Compared(_places(kept), values, lows, highs, above, COUNT_METHOD)


def _red(
    rows: Sequence[Row], task: Task, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    from mimicry.realign.columns import RED_COLUMNS
    from mimicry.realign.documents import read_submission_file
    from mimicry.realign.draws import red_deviations
    from mimicry.realign.found import find_submission
    from mimicry.realign.red import chosen_images
    from mimicry.realign.reference import read_red_reference
    from mimicry.realign.rules import read_red_rules

    _check_primary(primary, RED_COLUMNS[0].key)
    worker = source.parent / "data"
    if read_red_rules(source / "ref").activations is not None and not worker.is_dir():
        raise BundleError(
            "activations-missing",
            "The secret models' activations lie on the worker; say where with --worker-data.",
        )
    reference = read_red_reference(source / "ref", worker)

    def read(row: Row) -> tuple[int, ...]:
        path = find_submission(predictions_of(row.folder, task))
        return chosen_images(read_submission_file(path), path.name, reference)

    kept, members = _read_each(rows, read, fail, step)
    if not kept:
        return None
    counted = iter(range(2, len(kept) + 2))
    step(f"scoring submission 1 of {len(kept)} again")
    deviations = red_deviations(
        members, reference, lambda: step(f"scoring submission {next(counted)} of {len(kept)} again")
    )
    errors = deviations.standard_errors
    sound = []
    for index, row in enumerate(kept):
        found = {"score": deviations.values[index], "standard_error": errors[index]}
        try:
            check_unchanged(row.recorded, found)
            sound.append(index)
        except BundleError as error:
            fail(row.place, str(error))
    if not sound:
        return None
    left = [kept[index] for index in sound]
    between = deviations.difference_errors[np.ix_(sound, sound)]
    compared = _normal(left, _recorded(left, primary), errors[sound], between)
    return replace(compared, method=MEAN_METHOD + SEARCHED)


def _normal(rows: Sequence[Row], values: Matrix, errors: Matrix, between: Matrix) -> Compared:
    """Compare means by their standard errors and those between every two of them."""
    from mimicry.realign.uncertainty import STANDARD_ERRORS, interval_of

    limits = []
    for row, value, error in zip(rows, values.tolist(), errors.tolist(), strict=True):
        # The page has the board's own column, which is the same but for rounding.
        limits.append(interval_of(value, row.recorded.get("standard_error", error)))
    # Scores are equal up to what recomputing may move them by.
    above = values[:, None] - values > np.maximum(STANDARD_ERRORS * between, TOLERANCE)
    lows, highs = np.array(limits).T
    return Compared(_places(rows), values, lows, highs, above, MEAN_METHOD)


def _read_each(
    rows: Sequence[Row], read: Callable[[Row], T], fail: Fail, step: Step
) -> tuple[list[Row], list[T]]:
    """Read every row's submission; those that cannot be are told to `fail`."""
    kept: list[Row] = []
    found: list[T] = []
    for number, row in enumerate(rows, 1):
        step(f"reading run {number} of {len(rows)}")
        try:
            with unchanged_submission():
                found.append(read(row))
        except Exception as error:
            # The board is shown whatever a run's folder holds.
            fail(row.place, reason_of(error))
        else:
            kept.append(row)
    return kept, found


def reason_of(error: Exception) -> str:
    """Return an error's sentence; of one that nobody foresaw, its kind."""
    if isinstance(error, MimicryError):
        return one_line(str(error), 300)
    return f"it could not be scored again ({type(error).__name__})"


def _middle(draws: Matrix, values: Matrix) -> tuple[Matrix, Matrix]:
    """Return the middle 95 % of every row of draws, widened to hold its value."""
    tail = (1 - LEVEL) / 2
    # Of whole numbers, no mean of two neighbours.
    low = np.quantile(draws, tail, axis=1, method="lower")
    high = np.quantile(draws, 1 - tail, axis=1, method="higher")
    return np.minimum(low, values), np.maximum(high, values)


def _recorded(rows: Sequence[Row], primary: str) -> Matrix:
    return np.array([row.recorded[primary] for row in rows], dtype=np.float64)


def _places(rows: Sequence[Row]) -> npt.NDArray[np.intp]:
    return np.array([row.place for row in rows], dtype=np.intp)


def _check_primary(primary: str, ours: str) -> None:
    if primary != ours:
        raise BundleError(
            "scoring-foreign",
            f"This board ranks by {primary}; intervals are known of {ours} alone.",
        )
