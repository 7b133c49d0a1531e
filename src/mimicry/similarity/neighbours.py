"""How many nearest neighbours two models share."""

import numpy as np
import numpy.typing as npt

from mimicry.similarity.arrays import Features, Matrix, centre, row_squares, to_numpy
from mimicry.similarity.rsa import DIGITS, unit_rows
from mimicry.similarity.sources import Source

DISTANCES = ("cosine", "euclidean")
# Entries of a matrix of distances that are held at once: 256 MiB of float64.
ENTRIES = 1 << 25


def mutual_knn(source: Source, *, k: int = 10, distance: str = "cosine") -> Matrix:
    """Return the mean share of common nearest neighbours of all pairs, shape (M, M).

    For every stimulus the k nearest others are found under either model; the value is
    the mean size of their intersection over k (Huh et al. 2024).

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli.
    k : int
        Neighbours of each stimulus, itself excluded: 1 to n - 1.
    distance : {"cosine", "euclidean"}
        The cosine is taken of the features as they are, not centred; a stimulus of
        zeros has the distance 1 to all others. Distances that agree to twelve digits
        are ties, and of those the stimulus with the lower index is the nearer one.

    Returns
    -------
    array of float64, shape (M, M)
        Exactly symmetric, in [0, 1]; higher is more alike, and k / (n - 1) is expected
        by chance. The diagonal is 1.0. Row and column of a model with constant features
        are 0.0.

    Raises
    ------
    ValueError
        k is below 1 or not below n, or an unknown distance.

    Notes
    -----
    Distances are products on the activations' own device; the neighbours are sorted
    and compared in NumPy.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance is {distance!r}, but must be one of {', '.join(DISTANCES)}")
    if not 1 <= k < source.stimuli:
        raise ValueError(
            f"k is {k}, but must be from 1 to {source.stimuli - 1}, one less than the stimuli"
        )
    source.expect(source.count)
    tables = [nearest(features, k, distance) for features in source.read()]
    result = np.zeros((source.count, source.count))
    for row, table in enumerate(tables):
        if table is None:
            continue
        result[row, row] = 1.0
        chosen = np.zeros((source.stimuli, source.stimuli), dtype=np.bool_)
        np.put_along_axis(chosen, table, True, axis=1)
        for column in range(row):
            other = tables[column]
            if other is not None:
                share = float(np.take_along_axis(chosen, other, axis=1).mean())
                result[row, column] = result[column, row] = share
    return result


def nearest(features: Features, k: int, distance: str) -> npt.NDArray[np.intp] | None:
    """Return the indices of the k nearest stimuli of each, nearest first, shape (n, k).

    None where the features are constant.
    """
    xp = features.xp
    centred = centre(features)
    if centred.constant:
        return None
    order = int(features.values.shape[0])
    cosine = distance == "cosine"
    rows = unit_rows(features, centred=False) if cosine else centred.values
    squares = to_numpy(row_squares(xp, rows))
    # At most four times the largest square is a squared distance.
    unit = 10.0 ** (DIGITS - 1) / (1.0 if cosine else 4.0 * float(squares.max()))
    result = np.empty((order, k), dtype=np.intp)
    height = max(1, ENTRIES // order)
    for start in range(0, order, height):
        stop = min(order, start + height)
        inner = to_numpy(rows[start:stop, :] @ rows.T)
        far = -inner if cosine else squares[start:stop, None] + squares[None, :] - 2.0 * inner
        far = np.rint(far * unit)
        far[np.arange(stop - start), np.arange(start, stop)] = np.inf
        result[start:stop] = np.argsort(far, axis=1, kind="stable")[:, :k]
    return result
