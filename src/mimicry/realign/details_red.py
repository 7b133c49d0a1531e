"""What the results page of Red tells of a set of stimuli, beyond the board's columns.

The hidden models stand in it under numbers that follow nothing of their names.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mimicry.realign.reference import Array, Matrix, RedReference, rows_of
from mimicry.realign.thumbnails import SHOWN_THUMBNAILS, read_thumbnails
from mimicry.realign.uncertainty import interval_of
from mimicry.reports.red import Chance, RedDetails, Share, Thumbnail


def red_details(
    rows: Sequence[int], reference: RedReference, scores: Mapping[str, float]
) -> RedDetails:
    """Return what the full results page shows of a set of stimuli.

    Parameters
    ----------
    rows : sequence of int, length k >= 4
        Rows of the catalogue, each once; their order does not matter.
    reference : RedReference
        Activations of the hidden models, rules, catalogue.
    scores : mapping
        What `mimicry.realign.red.score_images` returned for these rows.

    Raises
    ------
    BundleError
        ``activations-invalid`` when a value is not finite.
    """
    members = np.sort(np.asarray(rows, dtype=np.intp))
    biased, unbiased = divergences(
        [rows_of(array, members, "An array") for array in _shuffled(reference)]
    )
    catalogue = reference.catalogue.stimuli
    chosen = [catalogue[row] for row in members.tolist()]
    random = reference.rules.random
    assert random is not None
    return RedDetails(
        divergence=biased.tolist(),
        divergence_unbiased=unbiased.tolist(),
        interval=interval_of(scores["score"], scores["standard_error"]),
        chance=Chance(random.mean, random.standard_deviation, random.draws),
        classes=_shares([one.class_name for one in chosen], [one.class_name for one in catalogue]),
        datasets=_shares(
            [one.dataset_name for one in chosen], [one.dataset_name for one in catalogue]
        ),
        stimuli=len(chosen),
        catalogue=len(catalogue),
        thumbnails=_thumbnails(reference, members.tolist()),
    )


def divergences(activations: Sequence[Matrix]) -> tuple[Matrix, Matrix]:
    """Return 1 - linear CKA of every two models, biased and unbiased.

    The numbers of `mimicry.similarity.similarity_matrix` with ``cka`` and ``cka-unbiased``,
    to about 1e-6, with every Gram matrix formed once for both.

    Parameters
    ----------
    activations : sequence of float64 arrays, each (k, width of the model), k >= 4
        Finite.

    Returns
    -------
    two float64 arrays, shape (m, m)
        Symmetric, with a diagonal of 0, that of a model with constant features, too.
    """
    from mimicry.similarity.arrays import centre, read_features
    from mimicry.similarity.cka import BUDGET, U_FLOOR
    from mimicry.similarity.grams import cosines, gram_block, pack, panels, products, u_centre

    count, stimuli = len(activations), len(activations[0])
    inner = np.zeros((2, count, count))
    for panel in panels(stimuli, 2 * count, 4, BUDGET):
        stores = np.zeros((2, count, panel.size), dtype=np.float32)
        for row, array in enumerate(activations):
            model = centre(read_features(array, "An array"))
            if model.constant:
                continue
            block = gram_block(model, panel, unbiased=False)
            pack(block, panel, stores[0, row])
            u_centre(model, block, panel.start, panel.start)
            pack(block, panel, stores[1, row])
        inner += [products(store) for store in stores]
    biased = 1.0 - np.maximum(cosines(inner[0]), 0.0)
    unbiased = 1.0 - cosines(inner[1], U_FLOOR)
    for matrix in (biased, unbiased):
        # Also a model whose features are constant is itself.
        np.fill_diagonal(matrix, 0.0)
    return biased, unbiased


def spread_evenly(count: int, most: int) -> list[int]:
    """Return at most `most` places of a list of `count`, the first one, then evenly on.

    They depend on nothing but the two numbers.
    """
    shown = min(count, most)
    return [place * count // shown for place in range(shown)]


def _shuffled(reference: RedReference) -> list[Array]:
    """Return the models in an order that tells nothing of their names and never changes.

    The files are sorted by name; their first rows' bytes are as secret as the models.
    """
    return sorted(
        reference.activations,
        key=lambda array: hashlib.sha256(np.ascontiguousarray(array[0]).tobytes()).digest(),
    )


def _shares(chosen: Sequence[str | None], everything: Sequence[str | None]) -> tuple[Share, ...]:
    """Count names, the most frequent first; those of equal count by name."""
    counts, all_counts = Counter(chosen), Counter(everything)
    return tuple(
        Share(name, counts[name], of)
        for name, of in sorted(
            all_counts.items(), key=lambda item: (-counts[item[0]], item[0] or "")
        )
    )


def _thumbnails(reference: RedReference, members: Sequence[int]) -> tuple[Thumbnail, ...] | None:
    if not reference.rules.thumbnails:
        return ()
    shown = [members[place] for place in spread_evenly(len(members), SHOWN_THUMBNAILS)]
    pictures = read_thumbnails(reference, shown)
    if pictures is None:
        return None
    return tuple(
        Thumbnail(picture, reference.catalogue.stimuli[row].class_name)
        for picture, row in zip(pictures, shown, strict=True)
    )
