"""Centred kernel alignment: linear, biased or unbiased, and with a Gaussian kernel.

CKA of two models is the cosine of their centred Gram matrices (Kornblith et al. 2019;
biased: Gretton et al. 2005). The unbiased one is the cosine of their U-centred Gram
matrices, whose inner product is HSIC_1 of Song et al. 2012. Both are cosines, so
scale, offset and rotation of the features do not matter, and no epsilon is needed.

All pairs cost one Gram matrix per model and one product of all of them. Where the
features are narrow against the number of stimuli, cross-covariances of the features
take the Gram matrices' place, and nothing of order n x n is formed.
"""

import math
from types import ModuleType

import numpy as np

from mimicry.similarity.arrays import Array, Centred, Matrix, centre, like_array, to_numpy, zeros
from mimicry.similarity.grams import (
    Panel,
    cosines,
    gram_block,
    pack,
    panels,
    products,
    squared_distances,
    zero_diagonal,
)
from mimicry.similarity.sources import Source

BUDGET = 4 << 30
# Columns of features that are multiplied at once in the feature form.
TILE = 4096
# A U-centred matrix smaller than this, against a trace of one, is rounding: its square.
U_FLOOR = (64 * 2.0**-52) ** 2


def cka(
    source: Source, *, unbiased: bool = False, dtype: str = "float32", budget: int = BUDGET
) -> Matrix:
    """Return linear CKA of all pairs, shape (M, M).

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli.
    unbiased : bool
        Take HSIC_1 instead of the biased estimator.
    dtype : {"float32", "float64"}
        Of the stored Gram matrices. They are computed in float64 either way. The
        first agrees with exact arithmetic to about 1e-6, the second to 1e-12.
    budget : int
        Bytes of stored Gram matrices. What does not fit is done in panels of stimuli,
        each with a pass over the activations.

    Returns
    -------
    array of float64, shape (M, M)
        Exactly symmetric, in [0, 1], or in [-1, 1] when unbiased; higher is more
        alike. The diagonal is 1.0. Row and column of a model with constant features
        are 0.0, and so they are, if unbiased, where every pair of stimuli is equally
        related, since a U-centred matrix of zeros has no direction.

    Raises
    ------
    ValueError
        Unbiased with less than 4 stimuli; activations of other stimuli counts, not
        finite, or not of two dimensions.
    """
    item_bytes = _item_bytes(dtype)
    if unbiased:
        check_unbiased(source.stimuli)
    if _narrow(source, item_bytes):
        inner = _feature_form(source, unbiased, dtype, budget)
    else:
        inner = _gram_form(source, unbiased, dtype, budget)
    result = cosines(inner, U_FLOOR if unbiased else 0.0)
    return result if unbiased else np.maximum(result, 0.0)


def check_unbiased(stimuli: int) -> None:
    """Refuse sample sizes at which the unbiased estimator does not exist."""
    if stimuli < 4:
        raise ValueError(f"unbiased CKA needs at least 4 stimuli, not {stimuli}")


def _item_bytes(dtype: str) -> int:
    if dtype not in {"float32", "float64"}:
        raise ValueError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")
    return 4 if dtype == "float32" else 8


def _narrow(source: Source, item_bytes: int) -> bool:
    """Compare operations of the two forms; one in float64 counts for two in float32."""
    n, total, count = source.stimuli, sum(source.widths), source.count
    weight = item_bytes // 4
    gram_form = 2.0 * n * n * total + weight * float(n) * n * count * count / 2
    return weight * float(n) * total * total <= gram_form


def _gram_form(source: Source, unbiased: bool, dtype: str, budget: int) -> Matrix:
    parts = panels(source.stimuli, source.count, _item_bytes(dtype), budget)
    source.expect(len(parts) * source.count)
    inner = np.zeros((source.count, source.count))
    for panel in parts:
        store: Array = None
        for row, features in enumerate(source.read()):
            if store is None:
                shape = (source.count, panel.size)
                store = zeros(features.values, shape, dtype)
            centred = centre(features, consume=True)
            if not centred.constant:
                pack(gram_block(centred, panel, unbiased), panel, store[row, :])
        inner += products(store)
    return inner


def _feature_form(source: Source, unbiased: bool, dtype: str, budget: int) -> Matrix:
    """Return <K_a, K_b> = ||X_a' X_b||^2 of all pairs, with HSIC_1's correction if unbiased.

    For centred features with row squares p and q, HSIC_1 is, up to the factor n(n - 3),
    ||X'Y||^2 - n/(n - 2) p.q + sum(p) sum(q) / ((n - 1)(n - 2)).
    """
    n, count = source.stimuli, source.count
    inner, squares = np.zeros((count, count)), np.zeros((count, n))
    groups = _groups(source.widths)
    hold = sum(source.widths) * n * _item_bytes(dtype) <= budget
    source.expect(count if hold else count * (len(groups) + 1) // 2)
    held = [_joined(source, group, squares, dtype) for group in groups] if hold else []
    for row, rows in enumerate(groups):
        left = held[row] if hold else _joined(source, rows, squares, dtype)
        for column in range(row, len(groups)):
            columns, right = groups[column], left
            if column > row:
                right = held[column] if hold else _joined(source, columns, squares, dtype)
            part = _block_squares(left, right, *(_widths(source, g) for g in (rows, columns)))
            inner[rows.start : rows.stop, columns.start : columns.stop] = part
            inner[columns.start : columns.stop, rows.start : rows.stop] = part.T
    if unbiased:
        traces = squares.sum(axis=1)
        inner -= n / (n - 2) * (squares @ squares.T)
        inner += traces[:, None] * traces[None, :] / ((n - 1) * (n - 2))
    return inner


def _widths(source: Source, group: range) -> tuple[int, ...]:
    return source.widths[group.start : group.stop]


def _groups(widths: tuple[int, ...]) -> list[range]:
    """Split models into runs whose widths together stay within `TILE`, or single ones."""
    groups, first, total = [], 0, 0
    for index, width in enumerate(widths):
        if index > first and total + width > TILE:
            groups.append(range(first, index))
            first, total = index, 0
        total += width
    return [*groups, range(first, len(widths))]


def _joined(source: Source, group: range, squares: Matrix, dtype: str) -> Array:
    """Put the centred features of several models side by side; note their row squares."""
    result: Array = None
    offset = 0
    for index, features in zip(group, source.read(group), strict=True):
        if result is None:
            shape = (source.stimuli, sum(_widths(source, group)))
            result = zeros(features.values, shape, dtype)
        centred = centre(features, consume=True)
        result[:, offset : offset + source.widths[index]] = centred.values
        squares[index] = to_numpy(centred.squares)
        offset += source.widths[index]
    return result


def _block_squares(
    left: Array, right: Array, left_widths: tuple[int, ...], right_widths: tuple[int, ...]
) -> Matrix:
    """Return the squared Frobenius norm of every model's block of left.T @ right."""
    product = left.T @ right
    product *= product
    # Sums over blocks as products with indicators, which every array library has.
    rows = like_array(_indicator(left_widths), product)
    columns = like_array(_indicator(right_widths), product)
    return to_numpy(rows.T @ product @ columns).astype(np.float64)


def _indicator(widths: tuple[int, ...]) -> Matrix:
    return np.repeat(np.eye(len(widths)), widths, axis=0)


def rbf_cka(
    source: Source, *, bandwidth: float = 0.5, unbiased: bool = False, dtype: str = "float32"
) -> Matrix:
    """Return CKA of all pairs with the Gaussian kernel exp(-d^2 / (2 s^2)), shape (M, M).

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli.
    bandwidth : float
        s as a fraction of the median Euclidean distance between stimuli that differ
        (Kornblith et al. 2019), for each model by itself.
    unbiased : bool
        Take HSIC_1 instead of the biased estimator.
    dtype : {"float32", "float64"}
        Of the stored Gram matrices: n^2 / 2 numbers for each model, all held at once.

    Returns
    -------
    array of float64, shape (M, M)
        As for `cka`. A small bandwidth turns every kernel into the identity: biased CKA
        then tends to 1.0, the unbiased one to 0.0, whatever the models are. A large one
        tends to linear CKA.

    Raises
    ------
    ValueError
        As for `cka`, or a bandwidth that is not positive and finite.
    """
    if not (math.isfinite(bandwidth) and bandwidth > 0):
        raise ValueError(f"the bandwidth is {bandwidth}, but must be positive and finite")
    _item_bytes(dtype)
    if unbiased:
        check_unbiased(source.stimuli)
    order = source.stimuli
    whole, store = Panel(0, order, order), None
    source.expect(source.count)
    for row, features in enumerate(source.read()):
        if store is None:
            store = zeros(features.values, (source.count, whole.size), dtype)
        centred = centre(features, consume=True)
        if not centred.constant:
            pack(_gaussian_gram(centred, bandwidth, unbiased), whole, store[row, :])
    result = cosines(products(store), U_FLOOR if unbiased else 0.0)
    return result if unbiased else np.maximum(result, 0.0)


def _gaussian_gram(centred: Centred, bandwidth: float, unbiased: bool) -> Array:
    """Return the (U-)centred Gaussian Gram matrix, scaled so that its trace is about one."""
    xp = centred.xp
    distances = squared_distances(xp, centred.values)
    order = int(distances.shape[0])
    with np.errstate(all="ignore"):
        # Step by step, since the square of a bandwidth may be zero or infinite.
        exponent = -0.5 * (distances / _median_square(xp, distances) / bandwidth / bandwidth)
        # Centring removes the constant, so exp(x) - 1 keeps what a large bandwidth leaves.
        gram = xp.expm1(exponent)
        largest = -float(xp.min(gram))
        gram = gram / ((largest or 1.0) * order)
    if unbiased:
        zero_diagonal(gram)
        sums = xp.sum(gram, axis=1) / (order - 2)
        gram -= (sums - xp.sum(sums) / (2 * (order - 1)))[:, None]
        gram -= (sums - xp.sum(sums) / (2 * (order - 1)))[None, :]
        zero_diagonal(gram)
        return gram
    means = xp.mean(gram, axis=1)
    gram -= (means - 0.5 * xp.mean(means))[:, None]
    gram -= (means - 0.5 * xp.mean(means))[None, :]
    return gram


def _median_square(xp: ModuleType, distances: Array) -> float:
    """Return the square of the median of the positive distances, given squared ones."""
    positive = xp.sort(distances[distances > 0])
    count = int(positive.shape[0])
    low, high = float(positive[(count - 1) // 2]), float(positive[count // 2])
    return (0.5 * (math.sqrt(low) + math.sqrt(high))) ** 2
