"""Curves of a ranking that is known in bins alone.

Within a bin hybrids and non-hybrids are taken to be mixed evenly: counts grow linearly from
its highest to its lowest score. A precision-recall curve is then no straight line between
bins (Davis and Goadrich, 2006, The relationship between precision-recall and ROC curves), so
points within a bin are computed from the counts.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from mimicry.hybrids.published import Bin
from mimicry.reports.hybrid_facts import Point

# A picture of a phone's width shows no more.
_MOST_BINS = 100
_MOST_POINTS = 160
_MOST_WITHIN = 8


def merged(bins: Sequence[Bin], most: int = _MOST_BINS) -> tuple[Bin, ...]:
    """Return at most about `most` bins, neighbours put together to similar numbers of images."""
    if len(bins) <= most:
        return tuple(bins)
    wanted = sum(each.images for each in bins) / most
    result: list[Bin] = []
    images = hybrids = 0
    for each in bins:
        images, hybrids = images + each.images, hybrids + each.hybrids
        if images >= wanted:
            result.append(Bin(images, hybrids))
            images = hybrids = 0
    if images:
        result.append(Bin(images, hybrids))
    return tuple(result)


def roc_points(bins: Sequence[Bin]) -> tuple[Point, ...]:
    """Return (share of non-hybrids, share of hybrids) at the borders of the bins.

    Parameters
    ----------
    bins : sequence of Bin
        Highest scores first; at least one hybrid and one non-hybrid in all.

    Returns
    -------
    tuple of (float, float)
        From (0, 0) to (1, 1), never falling; empty without bins.
    """
    if not bins:
        return ()
    borders = list(_borders(bins))
    found_all, false_all = borders[-1]
    return tuple((false / false_all, found / found_all) for found, false in borders)


def precision_recall_points(bins: Sequence[Bin]) -> tuple[Point, ...]:
    """Return (recall, precision), recall never falling; parameters as `roc_points`.

    Where nothing is called a hybrid yet, precision is that of the first bin.
    """
    if not bins:
        return ()
    borders = list(_borders(bins))
    hybrids = borders[-1][0]
    within = max(1, min(_MOST_WITHIN, _MOST_POINTS // len(bins)))
    points = [(0.0, bins[0].hybrids / bins[0].images)]
    for (found, false), each in zip(borders, bins, strict=False):
        # Where a bin has no hybrids, recall stands still and precision falls in one line.
        steps = within if each.hybrids else 1
        for step in range(1, steps + 1):
            now = found + each.hybrids * step / steps
            called = now + false + (each.images - each.hybrids) * step / steps
            points.append((now / hybrids, now / called))
    return tuple(points)


def stretches(bins: Sequence[Bin], most: int = 10) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the share of hybrids and of non-hybrids in equal stretches of the ranking.

    Returns
    -------
    pair of tuples of float
        Lowest scores first, each adding up to 1; as many stretches as bins, at most `most`.
    """
    if not bins:
        return (), ()
    found, false = np.array(list(_borders(bins)), dtype=np.float64).T
    places = found + false
    cuts = np.linspace(0.0, places[-1], min(most, len(bins)) + 1)
    shares = (np.diff(np.interp(cuts, places, counts)) / counts[-1] for counts in (found, false))
    # What is interpolated may fall by a rounding error where it stands still.
    hybrids, others = (tuple(map(float, np.maximum(share[::-1], 0.0))) for share in shares)
    return hybrids, others


def _borders(bins: Sequence[Bin]) -> Iterator[tuple[int, int]]:
    """Yield the numbers of hybrids and non-hybrids above each border, the top's zeros first."""
    found = false = 0
    yield found, false
    for each in bins:
        found, false = found + each.hybrids, false + each.images - each.hybrids
        yield found, false
