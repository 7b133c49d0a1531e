"""Properties of a test's images, as the audit's statistics work on them: ranks and cells."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mimicry.data_sets.properties import WORDS, Value

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_MOST_BINS = 8
_RARE = 0.02


class Column(NamedTuple):
    """One property of all images of a test, ready for the tests.

    Attributes
    ----------
    key : str
    ranks : ndarray of shape (n,) or None
        Midranks minus their mean; None for words.
    cells : ndarray of shape (n, k)
        1 where an image lies in a range of values, or has a word; each row sums to 1.
    """

    key: str
    ranks: Floats | None
    cells: Floats


def prepare(values: Mapping[str, Sequence[Value]], fewest: int) -> list[Column]:
    """Turn properties into what the tests work on; those that never vary are left out.

    Parameters
    ----------
    values : mapping
        Property -> values of all images of a test; None counts as a value of its own.
    fewest : int
        Images in the smaller class; the fewer, the wider the ranges.
    """
    columns = []
    for key, column in values.items():
        if len(set(column)) < 2:
            continue
        ranks = None if key in WORDS else _ranks(column)
        bins = min(max(fewest // 3, 3), _MOST_BINS)
        cells = _categories(column) if ranks is None else _ranges(ranks, bins)
        if cells.shape[1] > 1 or (ranks is not None and np.ptp(ranks) > 0):
            columns.append(Column(key, ranks, cells))
    return columns


def _ranks(column: Sequence[Value]) -> Floats:
    from scipy.stats import rankdata

    # Names may hold numbers of hundreds of digits, which are beyond a float's last steps.
    known = [value for value in column if isinstance(value, float) and not math.isnan(value)]
    missing = -math.inf if known else 0.0
    plain = [v if isinstance(v, float) and not math.isnan(v) else missing for v in column]
    ranks = rankdata(plain)
    centred: Floats = ranks - ranks.mean()
    return centred


def _ranges(ranks: Floats, bins: int) -> Floats:
    # Ties stay together, whatever the bounds.
    levels, place = np.unique(ranks, return_inverse=True)
    if len(levels) > bins:
        place = ((ranks - ranks.min()) * bins / (np.ptp(ranks) + 1)).astype(int)
        _, place = np.unique(place, return_inverse=True)
    return np.eye(place.max() + 1)[place]


def _categories(column: Sequence[Value]) -> Floats:
    words = np.array([str(value) for value in column])
    _, place, counts = np.unique(words, return_inverse=True, return_counts=True)
    rare = counts < max(2, _RARE * len(words))
    order = np.argsort(-counts, kind="stable")
    kept = [int(i) for i in order if not rare[i]][: 4 * _MOST_BINS]
    at = {category: i for i, category in enumerate(kept)}
    cells = np.array([at.get(int(i), len(kept)) for i in place])
    _, cells = np.unique(cells, return_inverse=True)
    return np.eye(cells.max() + 1)[cells]
