"""Does a kind of property predict a label? Tests by permutation, areas under the ROC curve.

Every property of a kind is looked at by itself, for a shift (Wilcoxon's rank sum) and for
any difference between ranges or categories (Pearson's chi-squared); all together go into a
ridge classifier whose predictions are made out of fold. The largest of these statistics is
compared with what the same data give when labels are shuffled, so that looking at many
properties at once costs no false alarm (Westfall and Young, 1993, Resampling-based multiple
testing). Units are taken as exchangeable under the null hypothesis: images with the same
pixels and label are one, since what holds for one of them holds for all.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mimicry.data_sets.audit_columns import Bools, Column, Floats

Ints = npt.NDArray[np.intp]

FIRST_DRAWS = 199
"""Shuffles of every test; those whose p-value looks small get fresh ones, and more."""
LOOK_AGAIN = 0.03
_FOLDS = 5
# Of images into folds, for an area that pairs most images.
_PARTITIONS = 2
_CHUNK_VALUES = 1_000_000
_PENALTY = 10.0
# Of labels shuffled at random, so many statistics as large end a second look early.
_ENOUGH = 20


class Tested(NamedTuple):
    """The outcome of one test.

    Attributes
    ----------
    p_value : float
        At least 1 / (draws + 1).
    draws : int
        Shuffles behind it.
    auc : float
        Of the classifier, out of fold; 0.5 is chance, 1 is perfect.
    interval : (float, float)
        95 %, see `auc_interval`.
    named : tuple of str
        Properties that separate by themselves more than the best of 95 % of the shuffles
        does, strongest first; the strongest one always.
    """

    p_value: float
    draws: int
    auc: float
    interval: tuple[float, float]
    named: tuple[str, ...]


def enough_orders(positive: int, n: int, least: float) -> bool:
    """Tell whether classes of units are large enough for a p-value as small as `least`."""
    return math.comb(n, positive) * least >= 2


def units_of_classes(labels: Bools, units: Ints) -> tuple[int, int]:
    """Return how many units are labelled and how many are not; see `examine`."""
    return len(np.unique(units[labels])), len(np.unique(units[~labels]))


def examine(
    columns: Sequence[Column],
    labels: Bools,
    units: Ints,
    most_draws: int,
    random: np.random.Generator,
) -> Tested:
    """Test whether properties predict labels.

    Parameters
    ----------
    columns : sequence of Column
        At least one.
    labels : ndarray of bool, shape (n,)
        Both values occur.
    units : ndarray of int, shape (n,)
        From 0, none left out; images of a unit have one label, are shuffled together and lie
        in one fold.
    most_draws : int
        Shuffles where the first `FIRST_DRAWS` leave a doubt; they decide by themselves, so
        that the p-value stays valid.
    random : numpy.random.Generator
    """
    y = labels.astype(float)
    ridge = Ridge(columns, _folds(units, random))
    first = _shuffled(y, units, FIRST_DRAWS, random)
    fits = ridge.fit(first)
    centre, spread = fits.mean(), max(float(fits.std()), 1e-9)

    def largest(several: Floats, scores: Floats) -> Floats:
        best: Floats = np.maximum(_alone(columns, several).max(axis=0), (scores - centre) / spread)
        return best

    observed = float(largest(y[:, None], ridge.fit(y[:, None]))[0])
    null = largest(first, fits)
    at_least = int((null >= observed - 1e-9).sum())
    draws = FIRST_DRAWS
    if (at_least + 1) / (draws + 1) <= LOOK_AGAIN:
        draws, at_least = 0, 0
        parts = []
        chunk = min(500, max(20, _CHUNK_VALUES // len(y)))
        while draws < most_draws and at_least < _ENOUGH:
            several = _shuffled(y, units, min(chunk, most_draws - draws), random)
            parts.append(largest(several, ridge.fit(several)))
            at_least += int((parts[-1] >= observed - 1e-9).sum())
            draws += several.shape[1]
        null = np.concatenate(parts)
    alone = _alone(columns, y[:, None])[:, 0]
    order = np.argsort(-alone, kind="stable")
    bound = np.quantile(null, 0.95)
    named = [columns[i].key for i in order if i == order[0] or alone[i] > bound]
    auc = _area_out_of_fold(columns, labels, units, random)
    return Tested(
        (at_least + 1) / (draws + 1),
        draws,
        auc,
        auc_interval(auc, *units_of_classes(labels, units)),
        tuple(named),
    )


def one_column(
    column: Column, labels: Bools, units: Ints, random: np.random.Generator
) -> tuple[float, bool]:
    """Return the area of one property, and whether it is that of its order.

    Where ranges or categories tell more than the order does, it is the area of a classifier
    that knows these, out of fold.
    """
    shift, any_way = _statistics(column, labels.astype(float)[:, None])
    if shift is not None and shift[0] >= any_way[0]:
        assert column.ranks is not None
        return area(column.ranks, labels), True
    return _area_out_of_fold([column._replace(ranks=None)], labels, units, random), False


def _area_out_of_fold(
    columns: Sequence[Column], labels: Bools, units: Ints, random: np.random.Generator
) -> float:
    """Return the area of the ridge classifier: of pairs of images in the same fold.

    Across folds equal images get different predictions, always the wrong way round: the
    fold that holds more hybrids is predicted from fewer of them.
    """
    right, pairs = 0.0, 0
    for _ in range(_PARTITIONS):
        folds = _folds(units, random)
        scores = Ridge(columns, folds).predict(labels.astype(float)[:, None])[:, 0]
        for fold in range(_FOLDS):
            own = labels[folds == fold]
            count = int(own.sum()) * int((~own).sum())
            if count:
                right += count * area(scores[folds == fold], own)
                pairs += count
    return right / pairs if pairs else 0.5


def _folds(units: Ints, random: np.random.Generator) -> Ints:
    return random.permutation(np.arange(units.max() + 1) % _FOLDS)[units]


def area(scores: Floats, labels: Bools) -> float:
    """Return the area under the ROC curve: ties count half, 0.5 is chance."""
    from scipy.stats import rankdata

    positive, negative = int(labels.sum()), int((~labels).sum())
    # Predictions of equal images may differ in their last digits.
    ranks = rankdata(np.round(scores, 9))
    return (float(ranks[labels].sum()) - positive * (positive + 1) / 2) / (positive * negative)


def auc_interval(auc: float, positive: int, negative: int) -> tuple[float, float]:
    """Return a 95 % interval of an area under the ROC curve.

    Newcombe (2006, Statistics in Medicine 25: 559-573, method 5): Hanley's and McNeil's
    variance (1982, Radiology 143: 29-36) at the bounds instead of at the estimate, so that
    an area of 1 from a dozen hybrids is not certain. Bounds lie in [0, 1].
    """
    z = NormalDist().inv_cdf(0.975)
    half = (positive + negative) / 2 - 1

    def variance(a: float) -> float:
        more = half * ((1 - a) / (2 - a) + a / (1 + a))
        return a * (1 - a) * (1 + more) / (positive * negative)

    def bound(end: float) -> float:
        inside, outside = auc, end
        for _ in range(60):
            middle = (inside + outside) / 2
            if abs(auc - middle) <= z * math.sqrt(variance(middle)):
                inside = middle
            else:
                outside = middle
        return inside

    return bound(0.0), bound(1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm, 1979, Scand. J. Statist. 6: 65-70)."""
    n = len(p_values)
    corrected, highest = [0.0] * n, 0.0
    for place, i in enumerate(sorted(range(n), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (n - place) * p_values[i]))
        corrected[i] = highest
    return corrected


def _shuffled(y: Floats, units: Ints, draws: int, random: np.random.Generator) -> Floats:
    _, first = np.unique(units, return_index=True)
    own = y[first]
    mixed: Floats = random.permuted(np.broadcast_to(own[:, None], (len(own), draws)), axis=0)
    return mixed if len(own) == len(y) else mixed[units]


def _alone(columns: Sequence[Column], several: Floats) -> Floats:
    """Return the larger statistic of each property, as standard normal deviates: (k, draws)."""
    rows = []
    for column in columns:
        shift, any_way = _statistics(column, several)
        rows.append(any_way if shift is None else np.maximum(shift, any_way))
    return np.array(rows)


def _statistics(column: Column, several: Floats) -> tuple[Floats | None, Floats]:
    n = len(several)
    # It varies where units of different sizes are shuffled.
    share = several.sum(axis=0) / n
    shift = None
    if column.ranks is not None and np.ptp(column.ranks) > 0:
        # Its variance under shuffling, ties included.
        deviation = np.sqrt(n / (n - 1) * share * (1 - share) * float(column.ranks @ column.ranks))
        shift = np.abs(column.ranks @ several) / deviation
    sizes = column.cells.sum(axis=0)[:, None]
    freedom = len(sizes) - 1
    if not freedom:
        return shift, np.full(several.shape[1], -np.inf)
    held = column.cells.T @ several
    squares = ((held - sizes * share) ** 2 / (sizes * share * (1 - share))).sum(axis=0)
    # Chi-squared as a normal deviate (Wilson and Hilferty, 1931).
    spread = 2 / (9 * freedom)
    any_way = (np.cbrt(squares * (n - 1) / n / freedom) - 1 + spread) / math.sqrt(spread)
    if column.ranks is None:
        # One telling word among dozens, as a letter that begins only hybrids' names.
        deviations = np.sqrt(share * (1 - share) * sizes * (n - sizes) / (n - 1))
        any_way = np.maximum(any_way, (np.abs(held - sizes * share) / deviations).max(axis=0))
    return shift, any_way


class Ridge:
    """Ridge regression out of fold, solved once for labels of any number of shuffles.

    Parameters
    ----------
    columns : sequence of Column
    folds : ndarray of int, shape (n,)
    """

    def __init__(self, columns: Sequence[Column], folds: Ints) -> None:
        parts = [column.cells for column in columns]
        parts += [column.ranks[:, None] for column in columns if column.ranks is not None]
        matrix = _standard(np.concatenate(parts, axis=1))
        penalty = (_PENALTY + matrix.shape[1]) * np.eye(matrix.shape[1])
        self._solved = []
        for fold in np.unique(folds):
            test = folds == fold
            train = matrix[~test]
            weights = np.linalg.solve(train.T @ train + penalty, train.T)
            self._solved.append((test, matrix[test], weights))

    def predict(self, several: Floats) -> Floats:
        """Return predictions for labels of shape (n, draws), less the mean of each fold.

        What another fold's labels leave over would lift a fold that holds few hybrids.
        """
        aimed = several - several.mean(axis=0)
        found = np.empty_like(several)
        for test, rows, weights in self._solved:
            predicted = rows @ (weights @ aimed[~test])
            found[test] = predicted - predicted.mean(axis=0)
        return found

    def fit(self, several: Floats) -> Floats:
        """Return how predictions and labels correlate, for every column of labels."""
        found = self.predict(several)
        aimed = several - several.mean(axis=0)
        scale = np.sqrt((found**2).sum(axis=0) * (aimed**2).sum(axis=0))
        fit: Floats = (found * aimed).sum(axis=0) / np.maximum(scale, 1e-12)
        return fit


def _standard(matrix: Floats) -> Floats:
    deviation = matrix.std(axis=0)
    varied = deviation > 0
    scaled: Floats = (matrix[:, varied] - matrix[:, varied].mean(axis=0)) / deviation[varied]
    return scaled
