"""The best Blue set: most similar models, or the largest set of similar ones, with a proof."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.errors import BundleError
from mimicry.realign.search.blue_results import BlueProgress, BlueResult, checked_matrix
from mimicry.realign.search.blue_tree import Tree
from mimicry.realign.search.checkpoint import (
    Saver,
    broken_checkpoint,
    finite_number,
    index_list,
    input_key,
    read_checkpoint,
)
from mimicry.realign.search.clique import Cliques
from mimicry.realign.search.common import Floats, check_count, group_numbers

__all__ = ["BlueProgress", "BlueResult", "best_models", "largest_set"]

Progress = Callable[[BlueProgress], None]


def best_models(
    matrix: Floats,
    count: int,
    *,
    groups: Sequence[Hashable] | None = None,
    deadline: float | None = None,
    node_limit: int = 200_000,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> BlueResult:
    """Find the `count` models with the greatest mean pairwise similarity.

    Greedy sets from every start are improved by swaps; then branch and bound, the most
    promising subproblem first, either proves the best of them optimal or finds a better
    one. The bound is that of `mimicry.realign.search.blue_bound`. The search can end at
    any moment, also by Ctrl-C, and then tells the gap. The same matrix gives the same
    set, unless a deadline or Ctrl-C cuts it short. Of several sets within 1e-10 of the
    optimum the one that was met first is returned.

    Parameters
    ----------
    matrix : float64 ndarray of shape (M, M)
        Symmetric similarities; the diagonal is ignored.
    count : int
        How many models to choose, at least 2.
    groups : sequence of hashable, optional
        One label per model; of models with equal labels at most one is chosen. None is a
        group of its own.
    deadline : float, optional
        A moment of `time.monotonic`; the search ends soon after it.
    node_limit : int
        The most subproblems to split.
    checkpoint : Path, optional
        A file that keeps the best set and the least proved bound. A later call over the
        same input starts from both; the tree of open subproblems is built anew.
    progress : callable, optional
        Called with a `BlueProgress` after every subproblem.

    Returns
    -------
    BlueResult
        Its value is the mean over pairs.

    Raises
    ------
    BundleError
        ``search-count`` when `count` cannot be chosen; ``search-checkpoint-other`` or
        ``search-checkpoint-broken`` when the checkpoint is not this search's.
    ValueError
        When the matrix is not square, symmetric and finite.
    """
    weights = checked_matrix(matrix)
    np.fill_diagonal(weights, 0.0)
    numbers = group_numbers(groups, len(weights))
    check_count(count, numbers, "models")
    tree = Tree(weights, count, numbers)
    saver = Saver(checkpoint, input_key("mean_cka", weights, numbers, count))
    if (known := _resumed(saver, len(weights), numbers)) is not None:
        members, upper_bound = known
        if len(members) != count:
            raise broken_checkpoint(saver.path or Path())
        tree.offer(members)
        tree.upper = upper_bound * tree.pairs

    def report(where: BlueProgress) -> None:
        saver.note(lambda: _state(tree.best, where.upper_bound))
        if progress is not None:
            progress(where)

    try:
        result = tree.result(tree.run(deadline, node_limit, report))
        saver.note(lambda: _state(result.members, result.upper_bound))
    finally:
        # Also when the process is asked to end.
        saver.flush()
    return result


def largest_set(
    matrix: Floats,
    threshold: float,
    *,
    groups: Sequence[Hashable] | None = None,
    deadline: float | None = None,
    node_limit: int = 20_000_000,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> BlueResult:
    """Find the largest set of models whose least pairwise similarity reaches a threshold.

    That is a maximum clique of the graph that joins models with ``matrix[i, j] >=
    threshold``. Greedy sets come first, then branch and bound with greedy colouring
    (Tomita and Kameda 2007; San Segundo et al. 2011 for bit sets). Of several largest
    sets the one that was met first is returned.

    Parameters
    ----------
    matrix : float64 ndarray of shape (M, M)
        Symmetric similarities; the diagonal is ignored.
    threshold : float
        The least similarity allowed in the set, inclusive.
    groups, deadline, checkpoint, progress
        As for `best_models`.
    node_limit : int
        The most steps of the search.

    Returns
    -------
    BlueResult
        Its value is the number of members, at least 1; a set of 1 has no pair.

    Raises
    ------
    BundleError
        ``search-count`` when there is no model; ``search-checkpoint-other`` or
        ``search-checkpoint-broken`` when the checkpoint is not this search's.
    ValueError
        When the matrix is not square, symmetric and finite, or the threshold is NaN.
    """
    weights = checked_matrix(matrix)
    if np.isnan(threshold):
        raise ValueError("the threshold is not a number.")
    numbers = group_numbers(groups, len(weights))
    if not len(weights):
        raise BundleError("search-count", "There is no model to choose; give a larger matrix.")
    joined = (weights >= threshold) & (numbers[:, None] != numbers[None, :])
    cliques = Cliques(joined)
    saver = Saver(checkpoint, input_key("largest_set", joined))
    if (known := _resumed(saver, len(weights), numbers)) is not None:
        members, upper_bound = known
        if not joined[np.ix_(members, members)][~np.eye(len(members), dtype=bool)].all():
            raise broken_checkpoint(saver.path or Path())
        cliques.offer(members)
        cliques.upper = min(cliques.upper, int(upper_bound))

    def report(where: BlueProgress) -> None:
        saver.note(lambda: _state(cliques.best, where.upper_bound))
        if progress is not None:
            progress(where)

    try:
        result = cliques.result(cliques.run(deadline, node_limit, report))
        saver.note(lambda: _state(result.members, result.upper_bound))
    finally:
        # Also when the process is asked to end.
        saver.flush()
    return result


def _state(members: tuple[int, ...], upper_bound: float) -> dict[str, Any]:
    return {"members": list(members), "upper_bound": upper_bound}


def _resumed(saver: Saver, size: int, groups: np.ndarray) -> tuple[list[int], float] | None:
    """Return the set and the bound in the checkpoint, if there is one."""
    if saver.path is None or (state := read_checkpoint(saver.path, saver.key)) is None:
        return None
    members = index_list(state.get("members"), size, saver.path)
    if len(np.unique(groups[members])) != len(members):
        raise broken_checkpoint(saver.path)
    return members.tolist(), finite_number(state.get("upper_bound"), saver.path)
