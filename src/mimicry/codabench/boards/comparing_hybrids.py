"""Submissions to hybrid detection against each other, over the same images drawn anew."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from mimicry.codabench.boards.compared_rows import (
    Compared,
    Fail,
    Mask,
    Matrix,
    Row,
    Step,
    check_primary,
    places,
    read_each,
    recorded,
)
from mimicry.codabench.model import Task
from mimicry.codabench.rescoring import check_unchanged, predictions_of

if TYPE_CHECKING:
    from mimicry.hybrids.reference import Reference
    from mimicry.hybrids.tasks import Task as HybridTask
    from mimicry.hybrids.uncertainty import HybridDraws

Ranks = npt.NDArray[np.int32]

# Images of the submissions drawn at a time: what the draws need of each is about 30 bytes.
CHUNK = 2_000_000
# Of the draws of a score: where two scores keep this far apart, nobody needs their pair.
FAR = 0.005
METHOD = (
    "95 % intervals: how far a score would move, were the images drawn anew (weighted images, "
    "the same weights for every submission)."
)


def compare_hybrids(
    rows: Sequence[Row], task: Task, key: str, primary: str, source: Path, fail: Fail, step: Step
) -> Compared | None:
    """Compare predictions; `key` names the form, `source` holds ``ref``.

    The rest is as for `mimicry.codabench.boards.comparing.compare_runs`.
    """
    from mimicry.hybrids.grading import grade
    from mimicry.hybrids.outcome import read_outcome
    from mimicry.hybrids.predictions import match_predictions, parse_predictions
    from mimicry.hybrids.reference import check_gradable, read_reference
    from mimicry.hybrids.tasks import TASKS

    graded = TASKS[key]
    check_primary(primary, graded.keys[0])
    reference = read_reference(source / "ref")
    check_gradable(reference, graded.groups, graded.key)

    def read(row: Row) -> Ranks:
        outcome = read_outcome(predictions_of(row.folder, task))
        found = match_predictions(parse_predictions(outcome.predictions), reference.filenames)
        check_unchanged(row.recorded, grade(graded, reference, found))
        return ranks_of(found)

    kept, ranks = read_each(rows, read, fail, step)
    if not kept:
        return None
    values = recorded(kept, primary)
    limits, above = compare_scores(graded, reference, ranks, values, step=step)
    lows, highs = np.array(limits).T
    return Compared(places(kept), values, lows, highs, above, METHOD)


def compare_scores(
    task: "HybridTask",
    reference: "Reference",
    scores: Sequence[Sequence[float] | Matrix | Ranks],
    values: Matrix,
    *,
    draws: int | None = None,
    step: Step = lambda words: None,
) -> tuple[list[tuple[float, float]], Mask]:
    """Return intervals of the first column of several submissions, and who is above whom.

    Parameters
    ----------
    task, reference, scores, draws
        As for `mimicry.hybrids.uncertainty.draw_scores`; k submissions. What `ranks_of`
        makes of scores gives the same.
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
    from mimicry.hybrids.uncertainty import interval

    # Only the order of scores counts, so equal orders are one submission.
    digests = [sha256(ranks_of(one).tobytes()).digest() for one in scores]
    # What a pair's draws share depends on which comes first, so the list must not decide it.
    kinds = {digest: number for number, digest in enumerate(sorted(set(digests)))}
    kind = [kinds[digest] for digest in digests]
    firsts = [kind.index(number) for number in range(len(kinds))]
    count = len(firsts)
    drawn = _draw([scores[first] for first in firsts], task, reference, draws, step)
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


def ranks_of(scores: Sequence[float] | Matrix | Ranks) -> Ranks:
    """Return the order of scores, shape (n,): all that counts of them, in half the memory."""
    from mimicry.hybrids.metrics import dense_ranks

    return dense_ranks(np.asarray(scores, dtype=np.float64)).astype(np.int32)


def _draw(
    scores: Sequence[Sequence[float] | Matrix | Ranks],
    task: "HybridTask",
    reference: "Reference",
    draws: int | None,
    step: Step,
) -> "HybridDraws":
    """Draw several submissions' scores, a few of them at a time; all get the same weights."""
    from mimicry.hybrids.uncertainty import draw_scores

    width = max(1, CHUNK // max(len(reference.hybrid), 1))
    parts = []
    for start in range(0, len(scores), width):
        step(f"drawing the images anew for submission {start + 1} of {len(scores)}")
        # An array is a sequence to everybody but the type checker.
        own = cast("Sequence[Sequence[float]]", scores[start : start + width])
        parts.append(draw_scores(task, reference, own, draws=draws))
    return replace(parts[0], found=np.concatenate([part.found for part in parts]))
