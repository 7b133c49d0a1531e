"""Recall at 95 % true negatives, average precision and their harmonic mean.

Every number depends on the order of the scores alone: values are compared, and
never added, scaled or rounded. Higher scores mean more likely a hybrid. Ties are
resolved against the participant: a score equal to the threshold counts as a
non-hybrid.
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

TARGET_TRUE_NEGATIVE_RATE = 0.95

Scores: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]


def operating_threshold(scores: Scores, hybrid: Mask) -> float:
    """Return the threshold at which a set of images is graded.

    It is the smallest score t for which the share of non-hybrids with a score of
    at most t reaches 0.95, by value: the rule that the challenge of 2024 used
    from 13 August on. (Its first rule went by position in a sorted table, and
    differs on ties.) The share is the unrounded quotient of two counts.

    Only at a non-hybrid's score does the share change, so t is the k-th smallest
    of them, with k the first count whose quotient reaches 0.95: one sort instead
    of a trial of every score.

    Parameters
    ----------
    scores : array of float64, shape (n,)
        Finite scores of the whole set.
    hybrid : array of bool, shape (n,)
        True for hybrids; at least one False.

    Returns
    -------
    float
        One of `scores`. Images with a strictly greater score are called hybrids.

    Raises
    ------
    ValueError
        Shapes differ, a score is not finite, or there is no non-hybrid.
    """
    _check(scores, hybrid)
    negatives = np.sort(scores[~hybrid])
    if negatives.size == 0:
        raise ValueError("a threshold needs at least one non-hybrid")
    shares = np.arange(1, negatives.size + 1) / negatives.size
    return float(negatives[np.argmax(shares >= TARGET_TRUE_NEGATIVE_RATE)])


def recall_above(scores: Scores, hybrid: Mask, threshold: float) -> float:
    """Return the share of hybrids whose score is strictly greater than `threshold`.

    Returns
    -------
    float
        In [0, 1], higher is better. A constant predictor at its own threshold
        gets 0.

    Raises
    ------
    ValueError
        Shapes differ, a score is not finite, or there is no hybrid.
    """
    _check(scores, hybrid)
    positives = scores[hybrid]
    if positives.size == 0:
        raise ValueError("a recall needs at least one hybrid")
    return float(np.count_nonzero(positives > threshold) / positives.size)


def average_precision(scores: Scores, hybrid: Mask) -> float:
    """Return the area under the precision-recall curve, as average precision.

    scikit-learn's ``average_precision_score``: the sum of precision at each
    distinct score weighted by the gain in recall, without interpolation. It gets
    the ranks of the scores in place of the scores (equal scores, equal rank), so
    that no size of number can change the result.

    Parameters
    ----------
    scores : array of float64, shape (n,)
        Finite scores.
    hybrid : array of bool, shape (n,)
        At least one True and one False.

    Returns
    -------
    float
        In (0, 1], higher is better. A constant predictor gets the share of hybrids.

    Raises
    ------
    ValueError
        Shapes differ, a score is not finite, or a class is empty.
    """
    _check(scores, hybrid)
    if hybrid.all() or not hybrid.any():
        raise ValueError("average precision needs hybrids and non-hybrids")
    # Most of a scoring run's time goes into this import, so faults are told before it.
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(hybrid.astype(np.int64), dense_ranks(scores)))


def dense_ranks(scores: Scores) -> Scores:
    """Return 0 for the smallest distinct score, 1 for the next and so on, as float64.

    Equal scores share a rank; 0.0 and -0.0 are equal.
    """
    ranks = np.unique(scores, return_inverse=True)[1]
    return ranks.reshape(scores.shape).astype(np.float64)


def harmonic_mean(values: Iterable[float]) -> float:
    """Return the harmonic mean of numbers in [0, 1]; 0 when any of them is 0.

    Raises
    ------
    ValueError
        There are no values, or one lies outside [0, 1].
    """
    numbers = list(values)
    if not numbers or not all(0.0 <= number <= 1.0 for number in numbers):
        raise ValueError("a harmonic mean needs numbers from 0 to 1")
    lowest = min(numbers)
    if lowest == 0.0:
        return 0.0
    # Scaled by the lowest, since the reciprocal of a subnormal number overflows.
    return float(lowest * (len(numbers) / sum(lowest / number for number in numbers)))


def _check(scores: Scores, hybrid: Mask) -> None:
    if scores.ndim != 1 or scores.shape != hybrid.shape:
        raise ValueError(f"scores {scores.shape} and labels {hybrid.shape} do not match")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
