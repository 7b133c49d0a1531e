"""What the results page of Blue tells of a set of models, beyond the board's columns.

All of it is computed from the chosen models' similarities alone, in the submission's order:
neither their names nor their places in the registry have a part in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.realign.reference import BlueReference, Matrix
from mimicry.realign.uncertainty import interval_of
from mimicry.reports.blue import BlueDetails, Member, Pair, Spread

# Ordering costs the square of it in time, and a picture of more says nothing.
MOST_CLUSTERED = 1000
MOST_ORDERED = 150
SHOWN_PAIRS = 5
SHOWN_BELOW = 20

Order = npt.NDArray[np.intp]


def blue_details(
    rows: Sequence[int], reference: BlueReference, scores: Mapping[str, float]
) -> BlueDetails:
    """Return what the full results page shows of a set of models.

    Parameters
    ----------
    rows : sequence of int, length k >= 2
        Rows of the registry, each once, in the submission's order; the places in it are what
        models are called by.
    reference : BlueReference
        Matrices, rules with the optimum.
    scores : mapping
        What `mimicry.realign.blue.score_models` returned for these rows.
    """
    # Sorted by row, ties and the sides of a cluster would tell of the registry's order.
    members = np.asarray(rows, dtype=np.intp)
    places = np.arange(len(members))
    cka = reference.cka[np.ix_(members, members)]
    order = clustered_order(cka)
    if order is not None:
        members, places, cka = members[order], places[order], cka[np.ix_(order, order)]
    unbiased = reference.cka_unbiased[np.ix_(members, members)]
    one, other = np.triu_indices(len(members), k=1)
    pairs = cka[one, other]
    ascending = np.argsort(pairs, kind="stable")
    threshold = reference.rules.threshold

    def told(chosen: Order) -> tuple[Pair, ...]:
        ends = np.sort(np.stack([places[one[chosen]], places[other[chosen]]], axis=1), axis=1)
        return tuple(
            Pair(first, second, similarity)
            for (first, second), similarity in zip(
                ends.tolist(), pairs[chosen].tolist(), strict=True
            )
        )

    below = ascending[:0] if threshold is None else ascending[pairs[ascending] < threshold]
    changes = _changes(cka, threshold, scores["score"])
    similarities = (cka.sum(axis=1) - cka.diagonal()) / (len(members) - 1)
    listed = [
        Member(place, float(mean), None if changes is None else float(changes[at]))
        for at, (place, mean) in enumerate(zip(places.tolist(), similarities, strict=True))
    ]
    assert reference.rules.optimum is not None
    mean = float(pairs.mean())
    return BlueDetails(
        places=places.tolist(),
        cka=cka.tolist(),
        cka_unbiased=unbiased.tolist(),
        clustered=order is not None,
        members=tuple(sorted(listed, key=_worst_first)),
        least=told(ascending[:SHOWN_PAIRS]),
        most=told(ascending[: -SHOWN_PAIRS - 1 : -1]),
        pairs=len(pairs),
        spread=Spread(mean, scores["standard_error"], *interval_of(mean, scores["standard_error"])),
        threshold=threshold,
        below=told(below[:SHOWN_BELOW]),
        below_count=len(below),
        bound=reference.rules.optimum.upper_bound,
        proved=reference.rules.optimum.proved,
    )


def clustered_order(similarities: Matrix) -> Order | None:
    """Return an order in which models that are alike stand together.

    Average linkage on 1 - similarity (`scipy.cluster.hierarchy`), up to `MOST_ORDERED`
    models with the optimal order of the leaves.

    Parameters
    ----------
    similarities : array, shape (k, k)
        Symmetric.

    Returns
    -------
    array of int, shape (k,), or None
        A permutation; None above `MOST_CLUSTERED` models, where the order stays.
    """
    count = len(similarities)
    if count > MOST_CLUSTERED:
        return None
    if count <= 2:
        return np.arange(count)
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distances = squareform(np.clip(1.0 - similarities, 0.0, None), checks=False)
    tree: Any = linkage(distances, "average")
    if count <= MOST_ORDERED:
        tree = optimal_leaf_ordering(tree, distances)
    return np.asarray(leaves_list(tree), dtype=np.intp)


def _changes(cka: Matrix, threshold: float | None, score: float) -> Matrix | None:
    """Return by how much the score would change without each of the models; None for a pair."""
    count = len(cka)
    if count == 2:
        return None
    outside = ~np.eye(count, dtype=bool)
    if threshold is None:
        sums = np.where(outside, cka, 0.0).sum(axis=1)
        rest: Matrix = (sums.sum() / 2 - sums) / ((count - 1) * (count - 2) / 2)
        return rest - score
    low = np.where(outside, cka < threshold, False).sum(axis=1)
    alone = low == low.sum() // 2
    return np.where(alone, count - 1.0, 0.0) - score


def _worst_first(member: Member) -> tuple[float, float, int]:
    return (-(member.change or 0.0), member.similarity, member.place)
