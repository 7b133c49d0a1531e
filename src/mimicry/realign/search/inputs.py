"""Models and their similarities for a Blue search: from a matrix, or from a store."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mimicry.activations.entries import ModelEntry
from mimicry.errors import BundleError
from mimicry.realign.search.blue_results import checked_matrix
from mimicry.realign.search.common import Floats


def from_matrix(path: Path, registry: Path) -> tuple[tuple[ModelEntry, ...], Floats]:
    """Read a similarity matrix and the registry that names its rows.

    Parameters
    ----------
    path : Path
        A ``.npy`` file of shape (M, M).
    registry : Path
        Entry i is row i.

    Raises
    ------
    BundleError
        ``search-matrix`` when the matrix cannot be read, is not symmetric and finite or
        has another size; and what `mimicry.activations.registry.read_registry` finds.
    """
    from mimicry.activations.registry import read_registry

    entries = read_registry(registry)
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.ndarray) or loaded.dtype.kind not in "fiu":
            raise ValueError("it is not one array of numbers.")
        matrix = checked_matrix(loaded)
        if len(matrix) != len(entries):
            raise ValueError(
                f"it has {len(matrix)} rows, and {registry.name} has {len(entries)} entries."
            )
    except (ValueError, EOFError) as error:
        raise BundleError(
            "search-matrix",
            f"{path.name} is not the similarity matrix of this registry: {error} Give the matrix "
            "and the registry of one build.",
        ) from error
    return entries, matrix


def from_store(
    store: Path,
    registry: Path | None,
    patterns: Sequence[str],
    progress: Callable[[int, int], None],
) -> tuple[tuple[ModelEntry, ...], Floats]:
    """Compare the models of a store by biased linear CKA, in float64.

    Parameters
    ----------
    store : Path
        Activations over one list of stimuli.
    registry : Path or None
        What the models must agree with, and their order; sorted by name without one.
    patterns : sequence of str
        As for `mimicry.realign.stored.stored_models`.
    progress : callable
        Called as ``progress(done, total)`` for each model.

    Raises
    ------
    BundleError
        ``search-models`` for fewer than two, and what `mimicry.realign.stored` finds.
    """
    from mimicry.activations.registry import read_registry
    from mimicry.activations.store_sets import find_store_set
    from mimicry.realign.stored import check_finite, stored_models
    from mimicry.similarity import similarity_matrix

    known = None if registry is None else read_registry(registry)
    chosen = stored_models(find_store_set(store), known, patterns)
    if len(chosen) < 2:
        raise BundleError(
            "search-models",
            f"{store} has {len(chosen)} of the models; at least 2 are needed to compare.",
        )
    check_finite(chosen)
    activations = [model.activations for model in chosen]
    matrix = similarity_matrix(activations, "cka", dtype="float64", progress=progress)
    return tuple(model.entry for model in chosen), matrix
