"""An upper bound on the sum of similarities in the best set, tight enough for proofs.

A weight w_ij is split into a share a_ij for i and a share a_ji for j. Whatever the
split, a set S of k models has the sum of all a_ij within S; so no set exceeds the sum
of the k largest rows, where a row is the sum of its k - 1 largest shares. Halves
already give a bound; moving shares along subgradients tightens it, since the bound is
convex in the split. It is the Lagrangian form of the first-level linearisation of the
quadratic problem (Caprara, Pisinger and Toth 1999, for the quadratic knapsack).
"""

from typing import NamedTuple

import numpy as np

from mimicry.realign.search.common import Floats, Indices

_PATIENCE = 8


class Bound(NamedTuple):
    """What is known of a subproblem.

    Attributes
    ----------
    value : float
        No choice has a larger sum; -inf when there is no choice at all.
    with_each : float64 ndarray of shape (r,)
        No choice that contains this model has a larger sum.
    rows : float64 ndarray of shape (r,)
        Each model's part in the bound; the largest is the one to decide on next.
    shares : float64 ndarray of shape (r, r)
        The split that gave it, -inf where two models exclude each other.
    """

    value: float
    with_each: Floats
    rows: Floats
    shares: Floats


def bound(
    gains: Floats, shares: Floats, need: int, groups: Indices, known: float, steps: int
) -> Bound:
    """Bound the best choice of `need` models out of r, and tighten the split on the way.

    Parameters
    ----------
    gains : float64 ndarray of shape (r,)
        What each model adds by itself: its weights to the models already chosen.
    shares : float64 ndarray of shape (r, r)
        A split: ``shares + shares.T`` are the weights, -inf on the diagonal and where two
        models exclude each other. Left as it is.
    need : int
        From 1 to r.
    groups : int64 ndarray of shape (r,)
        At most one model of each is chosen.
    known : float
        A sum that is already reached; a bound at or below it ends the work.
    steps : int
        How often to move the split.

    Returns
    -------
    Bound
        The best that was met.
    """
    best: Bound | None = None
    step_size, stalled = 1.0, 0
    for step in range(steps + 1):
        partners, rows = _rows(gains, shares, need)
        top, value, with_each = _choose(rows, need, groups)
        if best is None or value < best.value - 1e-12:
            best, stalled = Bound(value, with_each, rows, shares), 0
        else:
            stalled += 1
            if stalled >= _PATIENCE:
                step_size, stalled, shares = step_size / 2, 0, best.shares
        if value <= known or partners is None or step == steps:
            break
        wanted = np.zeros(shares.shape)
        wanted[top[:, None], partners[top]] = 1.0
        direction = wanted - wanted.T
        squares = float((direction * direction).sum())
        if squares == 0.0:
            break
        shares = shares - (step_size * (value - known) / squares) * direction
    assert best is not None
    return best


def _rows(gains: Floats, shares: Floats, need: int) -> tuple[Indices | None, Floats]:
    """Return each model's best partners and what it would contribute with them."""
    if need == 1:
        return None, gains.copy()
    first = len(gains) - (need - 1)
    partners = np.argpartition(shares, first, axis=1)[:, first:]
    return partners, gains + np.take_along_axis(shares, partners, axis=1).sum(axis=1)


def _choose(rows: Floats, need: int, groups: Indices) -> tuple[Indices, float, Floats]:
    """Return the best rows of different groups, their sum, and that sum with each row forced in."""
    order = np.argsort(-rows, kind="stable")
    # The best row of each group, best first.
    order = order[np.sort(np.unique(groups[order], return_index=True)[1])]
    top = order[:need]
    if len(top) < need or rows[top[-1]] == -np.inf:
        return top, -np.inf, np.full(len(rows), -np.inf)
    value = float(rows[top].sum())
    # A forced row takes the place of its group's row, or else of the least one.
    replaced = np.full(int(groups.max()) + 1, rows[top[-1]])
    replaced[groups[top]] = rows[top]
    return top, value, value - replaced[groups] + rows
