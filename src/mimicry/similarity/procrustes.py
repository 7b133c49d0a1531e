"""Similarity of shapes after the best rotation, reflection and scaling."""

import math
from types import ModuleType
from typing import Any

import numpy as np

from mimicry.similarity.arrays import Array, Centred, Matrix, centre
from mimicry.similarity.sources import Source

FORMS = ("cosine", "angular")


def procrustes(source: Source, *, form: str = "cosine") -> Matrix:
    """Return the Procrustes similarity of all pairs, shape (M, M).

    With centred features X and Y of unit Frobenius norm, the best rotation attains
    the inner product s = ||X'Y||_*, the nuclear norm (Schönemann 1966).

    Parameters
    ----------
    source : Source
        Activations of M models over the same n stimuli; widths may differ.
    form : {"cosine", "angular"}
        s itself, which is one minus half the squared Procrustes distance (scipy's
        disparity is 1 - s^2); or 1 - arccos(s) / (pi / 2), of which the distance is
        a metric (Williams et al. 2021) but which near 1 is known to 1e-8 only.

    Returns
    -------
    array of float64, shape (M, M)
        Exactly symmetric, in [0, 1]; higher is more alike. The diagonal is 1.0. Row and
        column of a model with constant features are 0.0. Wide features fit anything:
        independent ones with d >> n come near 1.

    Raises
    ------
    ValueError
        An unknown form.

    Notes
    -----
    Features wider than n are first replaced by n columns with the same Gram matrix (the
    triangle of a QR decomposition), so that the singular values of each pair are of a
    matrix of min(n, d_x) by min(n, d_y). All pairs cost M^2 / 2 such decompositions.
    """
    if form not in FORMS:
        raise ValueError(f"form is {form!r}, but must be one of {', '.join(FORMS)}")
    source.expect(source.count)
    factors = [_factor(centre(features, consume=True)) for features in source.read()]
    result = np.zeros((source.count, source.count))
    for row, left in enumerate(factors):
        if left is None:
            continue
        result[row, row] = 1.0
        for column in range(row):
            right = factors[column]
            if right is not None:
                value = min(1.0, _nuclear_norm(left[0], left[1].T @ right[1]))
                if form == "angular":
                    value = 1.0 - math.acos(value) / (0.5 * math.pi)
                result[row, column] = result[column, row] = value
    return result


def _factor(centred: Centred) -> tuple[ModuleType, Array] | None:
    """Return features of at most n columns with the same Gram matrix; None if constant."""
    if centred.constant:
        return None
    xp, values = centred.xp, centred.values
    if int(values.shape[1]) <= int(values.shape[0]):
        return xp, values
    if xp is np:
        triangle: Any = np.linalg.qr(values.T, mode="r")
        return xp, triangle.T
    return xp, xp.linalg.qr(values.T, mode="reduced")[1].T


def _nuclear_norm(xp: ModuleType, matrix: Array) -> float:
    if xp is np:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    return float(xp.sum(xp.linalg.svdvals(matrix)))
