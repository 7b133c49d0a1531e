"""What a search over a similarity matrix finds and tells, and how it checks its input."""

from typing import Literal, NamedTuple

import numpy as np

from mimicry.realign.search.common import Floats

Ending = Literal["proved", "deadline", "node-limit", "interrupted"]


class BlueResult(NamedTuple):
    """A set of models and what is proved of it.

    Attributes
    ----------
    members : tuple of int
        Indices into the matrix, ascending.
    value : float
        Higher is better: the mean over pairs, or the size of the set.
    upper_bound : float
        No allowed set has a larger value; equal to `value` when that is proved.
    proved : bool
        Whether `value` is the optimum; a mean to 1e-10, a size exactly.
    nodes : int
        Subproblems that were split; 0 when the first bound was proof enough.
    stopped : str
        ``proved``, ``deadline``, ``node-limit`` or ``interrupted``.
    """

    members: tuple[int, ...]
    value: float
    upper_bound: float
    proved: bool
    nodes: int
    stopped: Ending

    @property
    def gap(self) -> float:
        """How much better another set could be at most."""
        return self.upper_bound - self.value


class BlueProgress(NamedTuple):
    """Where a search is: best value, bound on any, subproblems done and still open."""

    value: float
    upper_bound: float
    nodes: int
    open_nodes: int


def checked_matrix(matrix: Floats) -> Floats:
    """Return a float64 copy of a symmetric, finite matrix.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    weights = np.array(matrix, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise ValueError(f"a similarity matrix is square; this one has the shape {weights.shape}.")
    if not np.isfinite(weights).all():
        row, column = np.argwhere(~np.isfinite(weights))[0]
        raise ValueError(f"the similarity in row {row}, column {column} is not a finite number.")
    uneven = np.abs(weights - weights.T) > 1e-9
    if uneven.any():
        row, column = np.argwhere(uneven)[0]
        raise ValueError(
            f"a similarity matrix is symmetric; row {row}, column {column} differs from row "
            f"{column}, column {row}."
        )
    return (weights + weights.T) / 2.0
