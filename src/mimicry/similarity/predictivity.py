"""How well one model's features are predicted, linearly, from another's."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mimicry.similarity.arrays import Array, Centred, Matrix, centre, index_array, like_array
from mimicry.similarity.sources import Source

DIRECTIONS = ("forward", "backward", "mean")
Index: TypeAlias = npt.NDArray[np.intp]


def linear_predictivity(
    source: Source,
    *,
    penalty: float = 0.1,
    folds: int = 5,
    direction: str = "forward",
    seed: int = 0,
) -> Matrix:
    """Return the cross-validated share of variance explained for all pairs, shape (M, M).

    Features of the second model are predicted from those of the first by ridge
    regression with an intercept, fitted to all folds but one and tried on that one.
    The value is 1 - (sum of squared errors) / (sum of squared deviations from the
    training mean), both summed over all stimuli and features: so a feature weighs by
    its variance, and rotating the predicted features changes nothing.

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli.
    penalty : float
        Ridge penalty as a multiple of the mean squared norm of the centred training
        stimuli, so that scale does not matter; scikit-learn's ``alpha`` is penalty
        times that norm. 0.0 is least squares, with the smallest weights where they are
        not unique.
    folds : int
        From 2 to n. Stimuli are shuffled by `seed` and dealt to the folds in turn.
    direction : {"forward", "backward", "mean"}
        Entry (i, j) predicts j from i, i from j, or is the mean of both. Only the last
        is symmetric.
    seed : int
        Of the shuffle.

    Returns
    -------
    array of float64, shape (M, M)
        In [0, 1]; higher is better predicted. What predicts worse than the training
        mean does is 0.0, and so is every pair with a model of constant features. The
        diagonal is a model's prediction of itself: 1.0 only if it has fewer features
        than training stimuli and no penalty.

    Raises
    ------
    ValueError
        A negative or infinite penalty, less than 2 folds or more than stimuli, a
        training set of one stimulus, or an unknown direction.

    Notes
    -----
    The system solved has the order of the features or of the training stimuli,
    whichever is smaller. Predictions are linear in the predicted features, so all
    pairs need, for every model, its map E of residuals and its Gram matrix K alone:
    the sum of squared errors is <E'E, K>. That form is taken where it costs less; all
    features, and in that form all Gram matrices, are held in float64.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction is {direction!r}, but must be one of {', '.join(DIRECTIONS)}")
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"the penalty is {penalty}, but must be finite and not negative")
    if not 2 <= folds <= source.stimuli or source.stimuli < 3:
        raise ValueError(
            f"{folds} folds of {source.stimuli} stimuli: there must be from 2 to as many folds "
            "as stimuli, and at least 3 stimuli"
        )
    parts = _deal(source.stimuli, folds, seed)
    source.expect(source.count)
    models = [centre(features, consume=True) for features in source.read()]
    fits = (list(_fits(model, parts, penalty)) for model in models)
    errors = (_by_maps if _maps_are_cheaper(source) else _directly)(models, fits)
    totals = np.array([_baseline(model, parts) for model in models])
    alive = np.array([not model.constant for model in models]) & (totals > 0.0)
    shares = 1.0 - errors / np.where(totals > 0.0, totals, 1.0)
    result = np.clip(np.where(alive[:, None] & alive[None, :], shares, 0.0), 0.0, 1.0)
    if direction == "forward":
        return result
    return result.T.copy() if direction == "backward" else 0.5 * (result + result.T)


class _Fit(NamedTuple):
    """Regression from one training set: predictions are left @ (right @ Y_train) + mean."""

    test: Array
    train: Array
    left: Array
    right: Array | None


def _deal(stimuli: int, folds: int, seed: int) -> list[tuple[Index, Index]]:
    """Return test and training indices of every fold."""
    order = np.random.default_rng(seed).permutation(stimuli)
    return [
        (np.sort(order[fold::folds]), np.sort(np.delete(order, np.s_[fold::folds])))
        for fold in range(folds)
    ]


def _fits(model: Centred, parts: list[tuple[Index, Index]], penalty: float) -> Iterator[_Fit]:
    for test_index, train_index in parts:
        test = index_array(test_index, model.values)
        train = index_array(train_index, model.values)
        yield _Fit(test, train, *_regression(model, test, train, penalty))


def _regression(
    model: Centred, test: Array, train: Array, penalty: float
) -> tuple[Array, Array | None]:
    xp = model.xp
    chosen = xp.take(model.values, train, axis=0)
    means = xp.mean(chosen, axis=0)
    chosen = chosen - means
    tried = xp.take(model.values, test, axis=0) - means
    count, width = (int(size) for size in chosen.shape)
    norm = float(xp.sum(chosen * chosen)) / count
    # All that varies is in the test fold: nothing but the mean can be predicted.
    if norm <= 1e-28:
        return tried * 0.0, chosen.T * 0.0
    if penalty == 0.0:
        return tried, _pseudo_inverse(xp, chosen)
    identity = like_array(np.eye(min(count, width)), chosen)
    if width <= count:
        system = chosen.T @ chosen + (penalty * norm) * identity
        return tried, xp.linalg.solve(system, chosen.T)
    system = chosen @ chosen.T + (penalty * norm) * identity
    return xp.linalg.solve(system, chosen @ tried.T).T, None


def _pseudo_inverse(xp: ModuleType, matrix: Array) -> Array:
    left, values, right = xp.linalg.svd(matrix, full_matrices=False)
    floor = max(matrix.shape) * 2.0**-52 * float(xp.max(values))
    kept = values > floor
    inverse = xp.where(kept, 1.0 / xp.where(kept, values, xp.ones_like(values)), 0.0 * values)
    return (right.T * inverse[None, :]) @ left.T


def _maps_are_cheaper(source: Source) -> bool:
    n, total, count = float(source.stimuli), sum(source.widths), source.count
    ranks = sum(min(width, source.stimuli) for width in source.widths)
    by_maps = 2 * count * n**3 + 2 * n * n * total + 2 * (count * n) ** 2
    return by_maps < 2 * n * ranks * total


def _directly(models: list[Centred], fits: Iterator[list[_Fit]]) -> Matrix:
    """Return sums of squared errors, predicting every model's features from every other's."""
    errors = np.zeros((len(models), len(models)))
    for row, own_fits in enumerate(fits):
        for column, model in enumerate(models):
            xp, values = model.xp, model.values
            for fit in own_fits:
                known = xp.take(values, fit.train, axis=0)
                miss = xp.take(values, fit.test, axis=0) - xp.mean(known, axis=0)
                inner = known if fit.right is None else fit.right @ known
                miss = miss - fit.left @ inner
                errors[row, column] += float(xp.sum(miss * miss))
    return errors


def _by_maps(models: list[Centred], fits: Iterator[list[_Fit]]) -> Matrix:
    """Return the same through maps of residuals and Gram matrices, all of order n."""
    grams = [model.values @ model.values.T for model in models]
    errors = np.zeros((len(models), len(models)))
    for row, (model, own_fits) in enumerate(zip(models, fits, strict=True)):
        xp, order = model.xp, int(model.values.shape[0])
        residual = like_array(np.eye(order), model.values)
        for fit in own_fits:
            weights = fit.left if fit.right is None else fit.left @ fit.right
            block = xp.take(residual, fit.test, axis=0)
            block[:, fit.train] = -1.0 / int(fit.train.shape[0]) - weights
            residual[fit.test, :] = block
        square = residual.T @ residual
        errors[row] = [float(xp.sum(square * gram)) for gram in grams]
    return errors


def _baseline(model: Centred, parts: list[tuple[Index, Index]]) -> float:
    """Return the sum of squared errors of predicting the training mean."""
    total = 0.0
    for test, train in parts:
        tried = model.xp.take(model.values, index_array(test, model.values), axis=0)
        known = model.xp.take(model.values, index_array(train, model.values), axis=0)
        miss = tried - model.xp.mean(known, axis=0)
        total += float(model.xp.sum(miss * miss))
    return total
