"""Good sets of models in no time: greedy from every start, then the best swaps."""

import numpy as np
from numpy.typing import NDArray

from mimicry.realign.search.common import Floats, Indices, is_over

# A gain below this share of a typical weight is rounding, and could go round in circles.
_LEAST_GAIN = 1e-12


def greedy_with_swaps(
    weights: Floats, count: int, groups: Indices, deadline: float | None
) -> tuple[int, ...]:
    """Return a set that no single swap improves, the best over greedy runs from every model.

    Parameters
    ----------
    weights : float64 ndarray of shape (M, M)
        Symmetric, zero diagonal.
    count : int
        How many models, at least 2 and at most the number of groups.
    groups : int64 ndarray of shape (M,)
        At most one model of each is chosen.
    deadline : float or None
        Moment of `time.monotonic` after which the starts that are left are not improved.

    Returns
    -------
    tuple of int
        Ascending. Of sets with equal sums, the one of the first start.
    """
    same_group = groups[:, None] == groups[None, :]
    sets = _greedy_from_every_start(weights, count, same_group)
    best: tuple[int, ...] = ()
    best_sum = -np.inf
    for number, chosen in enumerate(np.unique(sets, axis=0)):
        if number and is_over(deadline):
            break
        improved = improve_by_swaps(weights, chosen, groups)
        total = float(weights[np.ix_(improved, improved)].sum() / 2)
        if total > best_sum:
            best, best_sum = tuple(int(one) for one in improved), total
    return best


def _greedy_from_every_start(
    weights: Floats, count: int, same_group: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Grow a set from each model at once, always by the model that adds most."""
    size = len(weights)
    starts = np.arange(size)
    members = np.empty((size, count), dtype=np.int64)
    gain = np.zeros((size, size))
    picked = starts
    for step in range(count):
        if step:
            picked = gain.argmax(axis=1)
        members[:, step] = picked
        gain += weights[picked]
        gain[same_group[picked]] = -np.inf
    members.sort(axis=1)
    return members


def improve_by_swaps(weights: Floats, chosen: Indices, groups: Indices) -> Indices:
    """Make the best swap of one model until none improves the sum.

    Parameters
    ----------
    weights : float64 ndarray of shape (M, M)
        Symmetric, zero diagonal.
    chosen : int64 ndarray of shape (count,)
        Where to start.
    groups : int64 ndarray of shape (M,)
        At most one model of each is chosen.

    Returns
    -------
    int64 ndarray of shape (count,)
        Ascending.
    """
    inside = np.zeros(len(weights), dtype=bool)
    inside[chosen] = True
    gain = weights[:, inside].sum(axis=1)
    least = _LEAST_GAIN * (1.0 + float(np.abs(weights).max()))
    while True:
        out, into = np.flatnonzero(inside), np.flatnonzero(~inside)
        if not len(into):
            return out
        change = gain[into][None, :] - weights[np.ix_(out, into)] - gain[out][:, None]
        # What shares a group with another member may not come in for this one.
        taken = np.flatnonzero(np.isin(groups[into], groups[out]))
        change[:, taken] = np.where(
            groups[out][:, None] == groups[into[taken]][None, :], change[:, taken], -np.inf
        )
        best = int(change.argmax())
        if change.flat[best] <= least:
            return out
        leaving, coming = out[best // len(into)], into[best % len(into)]
        inside[leaving], inside[coming] = False, True
        gain += weights[coming] - weights[leaving]
