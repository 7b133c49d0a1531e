"""Kernels of several models over a working set of stimuli, in the smaller of two forms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimicry.realign.search.common import Floats, Indices
from mimicry.realign.search.red_data import Source

# Kernel values between a chunk of stimuli and the chosen ones, of all models at once.
_CHUNK_BYTES = 64 * 2**20


def pair_order(models: int) -> tuple[Indices, Indices]:
    """Return the models of each pair: first each with itself, then i < j row by row."""
    first, second = np.triu_indices(models, k=1)
    own = np.arange(models)
    return np.concatenate([own, first]), np.concatenate([own, second])


def chunk_rows(models: int, count: int, bytes_at_once: int = _CHUNK_BYTES) -> int:
    """Return how many stimuli fit into a chunk when `count` are chosen."""
    return max(1, bytes_at_once // (8 * models * count))


def kernel_moments(kernels: NDArray[Any]) -> tuple[Floats, Floats]:
    """Reduce kernel values against the chosen stimuli to what the scores need.

    Parameters
    ----------
    kernels : ndarray of shape (k, M, n)
        Of k stimuli, M models, n chosen stimuli.

    Returns
    -------
    products : float64 ndarray of shape (pairs, k)
        Sums over the chosen stimuli of one model's values times another's, in
        `pair_order`.
    sums : float64 ndarray of shape (M, k)
    """
    first, second = pair_order(kernels.shape[1])
    products = np.matmul(kernels, kernels.transpose(0, 2, 1))[:, first, second].T
    return products.astype(np.float64), kernels.sum(axis=2, dtype=np.float64).T


class Kernels:
    """What the models say of any two stimuli of a working set.

    A model keeps its features when they are narrower than the set is large, and else the
    kernel of the set; never one of the whole catalogue.

    Parameters
    ----------
    sources : sequence of Source
        M models.
    stimuli : int64 ndarray of shape (w,)
        The working set.

    Attributes
    ----------
    rounding : float64 ndarray of shape (M,)
        The kernel value that rounding alone can make.
    """

    def __init__(self, sources: Sequence[Source], stimuli: Indices) -> None:
        self.sources, self.stimuli = tuple(sources), stimuli
        self.rounding = np.array([source.rounding for source in sources])
        self.size = len(stimuli)
        self.features: list[NDArray[Any] | None] = []
        self.grams: list[NDArray[Any] | None] = []
        diagonal = []
        for source in sources:
            if len(source.centre) < self.size:
                features = source.rows(stimuli)
                self.features.append(features)
                self.grams.append(None)
                diagonal.append(np.einsum("ij,ij->i", features, features, dtype=np.float64))
            else:
                gram = source.products(stimuli, stimuli)
                self.features.append(None)
                self.grams.append(gram)
                diagonal.append(gram.diagonal().astype(np.float64))
        self.diagonal: Floats = np.stack(diagonal)
        self.models = len(sources)

    def centred_on(self, places: Indices) -> "Kernels":
        """Return the kernels of the same stimuli, centred on the mean of some of them."""
        stimuli = self.stimuli[places]
        return Kernels([source.centred_on(stimuli) for source in self.sources], self.stimuli)

    def columns(self, stimuli: Indices) -> Floats:
        """Return the kernel of some stimuli with all, of shape (len(stimuli), M, w)."""
        columns = np.empty((len(stimuli), self.models, self.size))
        for model, (features, gram) in enumerate(zip(self.features, self.grams, strict=True)):
            if features is not None:
                columns[:, model] = features[stimuli] @ features.T
            elif gram is not None:
                columns[:, model] = gram[stimuli]
        return columns

    def weighted(self, weights: Floats, wanted: Indices | slice) -> Floats:
        """Return sums of kernel values over the working set, with weights.

        Parameters
        ----------
        weights : float64 ndarray of shape (M, w)
        wanted : indices or slice
            Of the k stimuli that the sums are for.

        Returns
        -------
        float64 ndarray of shape (M, M, k)
            Of the first model's kernel with the second model's weights.
        """
        sums = []
        for features, gram in zip(self.features, self.grams, strict=True):
            if features is not None:
                # The narrow product first: no kernel is made.
                inner = weights.astype(features.dtype, copy=False) @ features
                sums.append(inner @ features[wanted].T)
            elif gram is not None:
                sums.append((weights.astype(gram.dtype, copy=False) @ gram)[:, wanted])
        return np.stack(sums).astype(np.float64, copy=False)

    def moments(self, chosen: Indices) -> tuple[Floats, Floats]:
        """Return `kernel_moments` of the whole working set."""
        parts = []
        step = chunk_rows(self.models, len(chosen))
        for start in range(0, self.size, step):
            part = slice(start, min(start + step, self.size))
            values = np.empty((part.stop - start, self.models, len(chosen)))
            for model, (features, gram) in enumerate(zip(self.features, self.grams, strict=True)):
                if features is not None:
                    values[:, model] = features[part] @ features[chosen].T
                elif gram is not None:
                    values[:, model] = gram[part][:, chosen]
            parts.append(kernel_moments(values))
        products, sums = zip(*parts, strict=True)
        return np.concatenate(products, axis=1), np.concatenate(sums, axis=1)
