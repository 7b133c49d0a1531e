"""Submissions to Re-Align's teams against each other, by the draws of their similarities."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mimicry.codabench.boards.compared_rows import (
    Compared,
    Fail,
    Matrix,
    Row,
    Step,
    check_primary,
    places,
    read_each,
    recorded,
)
from mimicry.codabench.model import Task
from mimicry.codabench.rescoring import TOLERANCE, check_unchanged, predictions_of
from mimicry.errors import BundleError

LEVEL = 0.95
MEAN_METHOD = "95 % intervals: 1.96 standard errors to both sides, were the images drawn anew."
SEARCHED = (
    " Stimuli were chosen, not drawn: the intervals say how far a score moves with stimuli of "
    "the same kind."
)
COUNT_METHOD = (
    "95 % intervals: what the score would be, 0 or the number of models, in the bootstrap "
    "replicates of the similarities."
)


def compare_blue(
    rows: Sequence[Row], task: Task, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    """Compare choices of models; `source` holds ``ref``, the rest is as for `compare_runs`."""
    from mimicry.realign.blue import chosen_models, score_models
    from mimicry.realign.columns import BLUE_COLUMNS
    from mimicry.realign.documents import read_submission_file
    from mimicry.realign.draws import blue_counts, blue_deviations
    from mimicry.realign.found import find_submission
    from mimicry.realign.reference import read_blue_reference

    check_primary(primary, BLUE_COLUMNS[0].key)
    reference = read_blue_reference(source / "ref")

    def read(row: Row) -> tuple[int, ...]:
        path = find_submission(predictions_of(row.folder, task))
        members = chosen_models(read_submission_file(path), path.name, reference)
        check_unchanged(row.recorded, score_models(members, reference))
        return members

    kept, members = read_each(rows, read, fail, step)
    if not kept:
        return None
    values = recorded(kept, primary)
    if reference.rules.rule == "mean_cka":
        deviations = blue_deviations(members, reference)
        return _normal(kept, values, deviations.standard_errors, deviations.difference_errors)
    draws = blue_counts(members, reference).draws
    lows, highs = _middle(draws, values)
    above = np.zeros((len(kept), len(kept)), dtype=np.bool_)
    for index in range(len(kept)):
        above[index] = _middle(draws[index] - draws, values[index] - values)[0] > 0
    return Compared(places(kept), values, lows, highs, above, COUNT_METHOD)


def compare_red(
    rows: Sequence[Row], task: Task, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    """Compare choices of images; `source` holds ``ref``, the rest is as for `compare_runs`."""
    from mimicry.realign.columns import RED_COLUMNS
    from mimicry.realign.documents import read_submission_file
    from mimicry.realign.draws import red_deviations
    from mimicry.realign.found import find_submission
    from mimicry.realign.red import chosen_images
    from mimicry.realign.reference import read_red_reference
    from mimicry.realign.rules import read_red_rules

    check_primary(primary, RED_COLUMNS[0].key)
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

    kept, members = read_each(rows, read, fail, step)
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
    compared = _normal(left, recorded(left, primary), errors[sound], between)
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
    return Compared(places(rows), values, lows, highs, above, MEAN_METHOD)


def _middle(draws: Matrix, values: Matrix) -> tuple[Matrix, Matrix]:
    """Return the middle 95 % of every row of draws, widened to hold its value."""
    tail = (1 - LEVEL) / 2
    # Of whole numbers, no mean of two neighbours.
    low = np.quantile(draws, tail, axis=1, method="lower")
    high = np.quantile(draws, 1 - tail, axis=1, method="higher")
    return np.minimum(low, values), np.maximum(high, values)
