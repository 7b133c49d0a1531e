"""How well a head finds hybrids that it was not fitted on, judged as the challenge judges.

No threshold is set here. Held-out scores go to the scorer's own functions
(`mimicry.hybrids`), which take the threshold at which 95 % of the non-hybrids are
recognised. Scores of two heads are never compared: each fold is judged by itself, at its
own threshold, and then the hybrids that were found are counted together.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from tables import Row

from mimicry.errors import SubmissionError
from mimicry.hybrids import metrics
from mimicry.hybrids.grading import grade
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS

Features: TypeAlias = npt.NDArray[np.float32]
Weights: TypeAlias = Mapping[str, npt.NDArray[np.generic]]
# Features (n, d) and subspecies (n,), -1 for hybrids -> arrays for `Score`.
Fit: TypeAlias = Callable[[Features, npt.NDArray[np.int64]], Weights]
# Features (n, d) and what `Fit` returned -> scores (n,), higher for hybrids.
Score: TypeAlias = Callable[[Features, Weights], npt.NDArray[np.float64]]

FOLDS = 5
# Of the standard normal distribution, for intervals that hold in 95 of 100 cases.
NORMAL_95 = 1.959963984540054


class Head(NamedTuple):
    """A classifier on features.

    Attributes
    ----------
    name : str
        Of the baseline that it belongs to.
    fit, score : callable
        See `Fit` and `Score`.
    needs_hybrids : bool
        Whether it learns from hybrids only what hybrids are, so that without any it has
        nothing to learn.
    """

    name: str
    fit: Fit
    score: Score
    needs_hybrids: bool


class Recall(NamedTuple):
    """Hybrids that were found, at 95 % true negatives.

    Attributes
    ----------
    found, hybrids : int
        Counts; `hybrids` is 1 or more.
    average_precision : float or None
        In (0, 1], the mean over folds; it depends on how many non-hybrids there are for
        each hybrid. None where it was not taken.
    """

    found: int
    hybrids: int
    average_precision: float | None

    @property
    def share(self) -> float:
        """The recall, in [0, 1]; higher is better."""
        return self.found / self.hybrids

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the recall."""
        return wilson(self.found, self.hybrids)

    def text(self) -> str:
        """Return it for people."""
        low, high = self.interval
        line = f"{self.share:.3f} ({low:.3f} to {high:.3f}), {self.found} of {self.hybrids}"
        if self.average_precision is not None:
            line += f"; average precision {self.average_precision:.3f}"
        return line


def wilson(found: int, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share, within [0, 1].

    Raises
    ------
    ValueError
        When `count` is not positive or `found` not between 0 and it.
    """
    if not 0 <= found <= count or count < 1:
        raise ValueError(f"{found} of {count} is no share")
    squared = NORMAL_95**2
    middle = (found + squared / 2) / (count + squared)
    half = NORMAL_95 * math.sqrt(found * (count - found) / count + squared / 4) / (count + squared)
    # At the ends rounding would leave 1e-17 and the like.
    low = 0.0 if found == 0 else max(0.0, middle - half)
    high = 1.0 if found == count else min(1.0, middle + half)
    return low, high


def seen_crosses(head: Head, features: Features, rows: Sequence[Row], *, seed: int = 0) -> Recall:
    """Judge a head on held-out animals of the same subspecies and crosses.

    Every animal is held out once. Folds are dealt within each subspecies and each cross,
    so that all have their share of each; of a subspecies of two animals most have none.

    Parameters
    ----------
    head : Head
        What is judged.
    features : array of float32, shape (n, d)
        Of the rows, in their order.
    rows : sequence of Row
        With two hybrids and two pure animals at least.
    seed : int
        Decides who is in which fold.

    Raises
    ------
    SubmissionError
        ``too-few-hybrids`` or ``too-few-pure``.
    """
    kinds, hybrid = _kinds(rows), _hybrid(rows)
    count = fold_count(hybrid)
    folds = deal(kinds, count, seed)
    return _judged(head, features, rows, [(folds != fold, folds == fold) for fold in range(count)])


def unseen_crosses(
    head: Head, features: Features, rows: Sequence[Row], *, seed: int = 0
) -> dict[str, Recall | None]:
    """Judge a head on hybrids of crosses of which it saw none, one cross after the other.

    This stands for the challenge's non-signal hybrids, of which no training set has any.
    All hybrids of a cross are kept out of training, and each is scored once, together with
    pure animals that were held out as well.

    Parameters
    ----------
    head, features, rows, seed
        As for `seen_crosses`.

    Returns
    -------
    dict of str to Recall or None
        Of each cross, sorted. None where the training set has no other cross and the head
        `needs_hybrids`: then there is nothing to learn from, and so no figure.

    Raises
    ------
    SubmissionError
        ``too-few-pure``, or ``too-few-hybrids`` when there is not even one.
    """
    kinds, hybrid = _kinds(rows), _hybrid(rows)
    crosses = sorted(set(kinds[hybrid]))
    figures: dict[str, Recall | None] = {}
    for cross in crosses:
        held_out = kinds == cross
        if head.needs_hybrids and not (hybrid & ~held_out).any():
            figures[cross] = None
            continue
        count = min(FOLDS, _pure(hybrid))
        if count < 2:
            raise _too_few("pure", 2)
        folds = deal(kinds, count, seed)
        figures[cross] = _judged(
            head,
            features,
            rows,
            [
                ((folds != fold) & ~held_out, (folds == fold) & (held_out | ~hybrid))
                for fold in range(count)
            ],
        )
    if not figures:
        raise _too_few("hybrids", 1)
    return figures


def grade_bundle(
    scores: npt.NDArray[np.float64], reference: Reference
) -> tuple[dict[str, Recall], dict[str, float]]:
    """Grade scores of a bundle's data set as the challenge does.

    Parameters
    ----------
    scores : array of float64, shape (n,)
        In the reference's order.
    reference : Reference
        With hybrids and non-hybrids of all three groups.

    Returns
    -------
    recalls : dict of str to Recall
        Of ``major``, ``minor`` and ``mimic``.
    columns : dict of str to float
        All that the scorer writes, ``challenge_score`` first.
    """
    columns = grade(TASKS["hybrid"], reference, scores.tolist())
    hybrid, group = np.asarray(reference.hybrid), np.asarray(reference.group)
    recalls: dict[str, Recall] = {}
    for name, key, area in (
        ("major", "A_score_major_recall", "A_PRC_AUC_major"),
        ("minor", "A_score_minor_recall", "A_PRC_AUC_minor"),
        ("mimic", "mimic_recall", "mimic_PRC_AUC"),
    ):
        hybrids = int((hybrid & (group == name)).sum())
        recalls[name] = Recall(round(columns[key] * hybrids), hybrids, columns[area])
    return recalls, columns


def deal(kinds: npt.NDArray[np.str_], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold from 0 to `folds` - 1 for each animal, in equal shares of each kind.

    Each kind goes on where the one before ended, so that small kinds do not all end up in
    the first folds; crosses come after the subspecies. Of pure animals and of hybrids, two
    folds have numbers that differ by one at most.
    """
    draw = np.random.default_rng(seed)
    result = np.empty(len(kinds), dtype=np.int64)
    dealt = 0
    for kind in sorted(set(kinds), key=lambda kind: (" x " in kind, kind)):
        members = draw.permutation(np.flatnonzero(kinds == kind))
        result[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return result


def fold_count(hybrid: npt.NDArray[np.bool_]) -> int:
    """Return how many folds there can be, each with a hybrid and a pure animal.

    Raises
    ------
    SubmissionError
        ``too-few-hybrids`` or ``too-few-pure`` when it would be under two.
    """
    if hybrid.sum() < 2:
        raise _too_few("hybrids", 2)
    if _pure(hybrid) < 2:
        raise _too_few("pure", 2)
    return min(FOLDS, int(hybrid.sum()), _pure(hybrid))


def subspecies_of(rows: Sequence[Row]) -> npt.NDArray[np.int64]:
    """Return the subspecies of rows, -1 for hybrids, as heads are fitted with."""
    return np.array([row.subspecies for row in rows], dtype=np.int64)


def _judged(
    head: Head,
    features: Features,
    rows: Sequence[Row],
    splits: Sequence[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]],
) -> Recall:
    subspecies, hybrid = subspecies_of(rows), _hybrid(rows)
    found = hybrids = 0
    areas: list[float] = []
    for known, held_out in splits:
        if not hybrid[held_out].any():
            # Of a cross of two animals most folds have none.
            continue
        weights = head.fit(features[known], subspecies[known])
        scores = np.asarray(head.score(features[held_out], weights), dtype=np.float64)
        truth = hybrid[held_out]
        threshold = metrics.operating_threshold(scores, truth)
        count = int(truth.sum())
        found += round(metrics.recall_above(scores, truth, threshold) * count)
        hybrids += count
        areas.append(metrics.average_precision(scores, truth))
    return Recall(found, hybrids, float(np.mean(areas)))


def _kinds(rows: Sequence[Row]) -> npt.NDArray[np.str_]:
    return np.array([row.cross if row.hybrid else str(row.subspecies) for row in rows])


def _hybrid(rows: Sequence[Row]) -> npt.NDArray[np.bool_]:
    return np.array([row.hybrid for row in rows], dtype=np.bool_)


def _pure(hybrid: npt.NDArray[np.bool_]) -> int:
    return int((~hybrid).sum())


def _too_few(what: str, count: int) -> SubmissionError:
    names = {"hybrids": "hybrids", "pure": "pure animals"}
    return SubmissionError(
        f"too-few-{what}",
        f"The training table has fewer than {count} {names[what]}, so nothing can be held out; "
        "add some, or go on without validation (--no-validation).",
    )
