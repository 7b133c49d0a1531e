"""Representational similarity analysis: dissimilarity matrices and their correlation.

After Kriegeskorte et al. 2008. A model's dissimilarity matrix (RDM) holds a distance
for each pair of stimuli; two models are compared by a correlation of their RDMs.
"""

import math

import numpy as np

from mimicry.similarity.arrays import Array, Features, Matrix, centre, index_array, to_numpy, zeros
from mimicry.similarity.grams import cosines, products, squared_distances
from mimicry.similarity.sources import Source

DISTANCES = ("correlation", "cosine", "euclidean")
COMPARISONS = ("pearson", "spearman", "kendall", "kendall-a")
# Distances that agree to so many digits of the largest one are ties, or no spread at all.
DIGITS = 12


def rsa(
    source: Source,
    *,
    distance: str = "correlation",
    comparison: str = "pearson",
    dtype: str = "float32",
) -> Matrix:
    """Return the correlation of the RDMs of all pairs, shape (M, M).

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli, n at least 3.
    distance : {"correlation", "cosine", "euclidean"}
        Between two stimuli: one minus the correlation across features, one minus the
        cosine, or the Euclidean distance (not squared). A stimulus without direction
        (all features equal; for the cosine all zero) has the distance 1 to all others.
    comparison : {"pearson", "spearman", "kendall", "kendall-a"}
        Kendall's is tau-b, or tau-a, in which tied pairs count as discordant as
        concordant. Spearman's gives ties their mean rank. For these three, distances
        equal to twelve digits are ties.
    dtype : {"float32", "float64"}
        Of the stored RDMs: n(n - 1) / 2 numbers for each model, all held at once.

    Returns
    -------
    array of float64, shape (M, M)
        Exactly symmetric, in [-1, 1]; higher is more alike. The diagonal is 1.0, for
        tau-a the share of pairs that are not tied. Row and column of a model whose
        distances are all equal are 0.0.

    Raises
    ------
    ValueError
        Less than 3 stimuli, or an unknown option.

    Notes
    -----
    Ranks are formed in NumPy, whatever the activations are. Kendall's has no form as
    a product: every pair of models costs a sort of n^2 / 2 numbers (``scipy.stats``).
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance is {distance!r}, but must be one of {', '.join(DISTANCES)}")
    if comparison not in COMPARISONS:
        raise ValueError(
            f"comparison is {comparison!r}, but must be one of {', '.join(COMPARISONS)}"
        )
    if dtype not in {"float32", "float64"}:
        raise ValueError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")
    if source.stimuli < 3:
        raise ValueError(f"RSA needs at least 3 stimuli, not {source.stimuli}")
    source.expect(source.count)
    if comparison.startswith("kendall"):
        return _kendall(source, distance, comparison == "kendall-a")
    store: Array = None
    for row, features in enumerate(source.read()):
        vector = rdm(features, distance)
        if comparison == "spearman":
            vector = _ranks(quantised(to_numpy(vector)))
        spread = float(vector.max() - vector.min())
        if store is None:
            store = zeros(vector, (source.count, int(vector.shape[0])), dtype)
        if spread > 0.0:
            vector = (vector - vector.mean()) / spread
            store[row, :] = vector / math.sqrt(float((vector * vector).sum()))
    return cosines(products(store))


def rdm(features: Features, distance: str) -> Array:
    """Return the distances of all pairs of stimuli i < j, row by row, shape (n(n - 1) / 2,).

    All are 0 where the features are constant or where all distances are equal to
    twelve digits of the largest one.
    """
    xp = features.xp
    order = int(features.values.shape[0])
    centred = centre(features)
    if centred.constant:
        matrix = xp.zeros_like(features.values[:, :1] + features.values[:, :1].T)
    elif distance == "euclidean":
        matrix = xp.sqrt(squared_distances(xp, centred.values))
    else:
        unit = unit_rows(features, centred=distance == "correlation")
        matrix = 1.0 - unit @ unit.T
    upper = index_array(np.ravel_multi_index(np.triu_indices(order, 1), (order, order)), matrix)
    vector = xp.take(matrix.reshape((order * order,)), upper)
    largest = float(xp.max(vector))
    if largest - float(xp.min(vector)) <= 10.0**-DIGITS * max(largest, 0.0):
        return xp.zeros_like(vector)
    return vector


def unit_rows(features: Features, *, centred: bool) -> Array:
    """Scale every stimulus to unit length, after removing its own mean if `centred`.

    Rows without direction stay zero.
    """
    xp, rows, resolution, _ = features
    with np.errstate(all="ignore"):
        if centred:
            shifted = rows - rows[:, :1]
            # Overflow at the very end of float64's range: a quarter of it is safe.
            if not bool(xp.all(xp.isfinite(shifted))):
                shifted = rows * 0.25 - rows[:, :1] * 0.25
            sizes = xp.max(xp.abs(shifted), axis=1)
            still = sizes <= resolution * xp.abs(rows[:, 0])
            rows, sizes = shifted, xp.where(still, xp.zeros_like(sizes), sizes)
        else:
            sizes = xp.max(xp.abs(rows), axis=1)
        empty_rows = (sizes == 0.0)[:, None]
        safe = xp.where(empty_rows, xp.ones_like(sizes[:, None]), sizes[:, None])
        rows = xp.where(empty_rows, xp.zeros_like(rows), rows / safe)
        if centred:
            rows = rows - xp.mean(rows, axis=1)[:, None]
        lengths = xp.sqrt(xp.sum(rows * rows, axis=1))[:, None]
        return rows / xp.where(empty_rows, xp.ones_like(lengths), lengths)


def quantised(values: Matrix) -> Matrix:
    """Round to twelve digits of the largest magnitude, so that ties survive rounding."""
    largest = float(np.abs(values).max())
    return np.rint(values * (10.0**DIGITS / largest)) if largest > 0 else values


def _ranks(values: Matrix) -> Matrix:
    """Return ranks from 1 on, ties at their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Matrix = (ends - 0.5 * (counts - 1)).astype(np.float64)
    return means[inverse.reshape(-1)]


def _kendall(source: Source, distance: str, of_all: bool) -> Matrix:
    from scipy.stats import kendalltau

    vectors = [quantised(to_numpy(rdm(features, distance))) for features in source.read()]
    result = np.zeros((source.count, source.count))
    shares = [_untied(vector) for vector in vectors]
    for row, left in enumerate(vectors):
        for column in range(row, source.count):
            if shares[row] == 0.0 or shares[column] == 0.0:
                continue
            tau = 1.0
            if column > row:
                tau = float(kendalltau(left, vectors[column], method="asymptotic")[0])
            if of_all:
                tau *= math.sqrt(shares[row] * shares[column])
            result[row, column] = result[column, row] = min(1.0, max(-1.0, tau))
    return result


def _untied(values: Matrix) -> float:
    """Return the share of pairs of entries that are not tied."""
    _, counts = np.unique(values, return_counts=True)
    total = values.size * (values.size - 1) / 2
    return 1.0 - float((counts * (counts - 1) / 2).sum()) / total if total else 0.0
