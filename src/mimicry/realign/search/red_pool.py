"""Which stimuli a round of swaps looks at: all of them, or the best of a part of the catalogue."""

from collections.abc import Callable, Sequence

import numpy as np

from mimicry.realign.search.common import Floats, Indices, is_over
from mimicry.realign.search.red_data import Source
from mimicry.realign.search.red_kernels import Kernels, chunk_rows, kernel_moments
from mimicry.realign.search.red_state import Candidates, State, both_ways, with_each

# Neighbours in the catalogue are read together.
_BLOCK = 256
_PART = 4096
# Arrays of (pairs, stimuli) that a step of swaps holds at once, roughly.
_ARRAYS = 10


class Pools:
    """Cuts the catalogue into parts and finds the stimuli of each that promise most.

    Parameters
    ----------
    sources : sequence of Source
        M models.
    size, count : int
        Stimuli to choose from, and to choose.
    seed : int
        Of the order of the parts.
    memory : int
        Bytes; when the whole catalogue's features or kernels and scores fit in, there is
        one part, and nothing is passed over.
    """

    def __init__(
        self, sources: Sequence[Source], size: int, count: int, seed: int, memory: int
    ) -> None:
        self.sources, self.size, self.count, self.memory = sources, size, count, memory
        models = len(sources)
        numbers = sum(min(len(source.centre), size) for source in sources)
        numbers += _ARRAYS * models * (models + 1) // 2
        self.whole = 8 * numbers * size <= memory
        blocks = np.random.default_rng([seed, 1]).permutation(-(-size // _BLOCK))
        order = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
        self.order = order[order < size]
        self.parts = 1 if self.whole else -(-size // _PART)
        self.kept = max(64, count // 2)
        self._everything: Kernels | None = None

    def working_set(
        self,
        part: int,
        chosen: Indices,
        deadline: float | None,
        scored: Callable[[int], None],
    ) -> tuple[Indices, Kernels] | None:
        """Return the stimuli for a round of swaps, the chosen among them, ascending.

        Parameters
        ----------
        part : int
            Which part of the catalogue to look at.
        chosen : int64 ndarray of shape (n,)
        deadline : float or None
            A moment of `time.monotonic`.
        scored : callable
            Told how many candidates were scored.

        Returns
        -------
        tuple of stimuli and their kernels, or None
            None when the deadline came first.
        """
        if self.whole:
            if self._everything is None:
                self._everything = Kernels(self.sources, np.arange(self.size))
            return np.arange(self.size), self._everything
        candidates = np.setdiff1d(self.order[part * _PART : (part + 1) * _PART], chosen)
        values = self._scores(candidates, chosen, deadline, scored)
        if values is None:
            return None
        best = candidates[np.argsort(values, kind="stable")[: self.kept]]
        stimuli = np.union1d(chosen, best)
        return stimuli, Kernels(self.sources, stimuli)

    def _scores(
        self,
        candidates: Indices,
        chosen: Indices,
        deadline: float | None,
        scored: Callable[[int], None],
    ) -> Floats | None:
        """Return the mean CKA with each candidate added to the chosen stimuli."""
        state = State(Kernels(self.sources, chosen), np.arange(len(chosen)))
        state.settle()
        sources = state.kernels.sources
        totals, rows = state.totals(), state.sums
        models = len(self.sources)
        step = chunk_rows(models, len(chosen), self.memory // 4)
        values = []
        for start in range(0, len(candidates), step):
            if is_over(deadline):
                return None
            part = candidates[start : start + step]
            kernels = np.empty((len(part), models, len(chosen)), dtype=self.sources[0].dtype)
            diagonal = np.empty((models, len(part)))
            for model, source in enumerate(sources):
                kernels[:, model], diagonal[model] = source.products_and_squares(part, chosen)
            products, sums = kernel_moments(kernels)
            weighted = kernels.reshape(-1, len(chosen)) @ rows.T.astype(kernels.dtype)
            by_model = weighted.reshape(len(part), models, models).transpose(1, 2, 0)
            found = Candidates(diagonal, products, sums, both_ways(by_model.astype(np.float64)))
            values.append(with_each(totals, found))
            scored(len(part))
        return np.concatenate(values) if values else np.empty(0)
