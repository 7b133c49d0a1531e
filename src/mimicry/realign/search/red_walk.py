"""The walk of a Red search: descents by swaps from several starts, then from shaken sets.

A descent is cut into rounds. At the start of each round everything is computed anew from
the activations, so rounding cannot build up, and a walk that is read back from there takes
the same steps as one that was never ended.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimicry.realign.search.checkpoint import broken_checkpoint, finite_number, index_list
from mimicry.realign.search.common import Floats, Indices, is_over
from mimicry.realign.search.red_pool import Pools
from mimicry.realign.search.red_state import State

# Gains below these are rounding, and could go round in circles.
_LEAST_GAINS = {8: 1e-12, 4: 1e-7}
# Members that are tried, those first without which the rest differs most.
_TRIES = 8
_SHAKEN = (0.05, 0.2, 0.4)


class RedProgress(NamedTuple):
    """Where a search is.

    Attributes
    ----------
    value : float
        The best mean CKA so far, lower is better.
    current : float
        That of the set the walk is at.
    swaps, scored, descents : int
        Swaps made, candidates scored, descents ended.
    """

    value: float
    current: float
    swaps: int
    scored: int
    descents: int


class Walk:
    """A walk over sets of stimuli.

    Parameters
    ----------
    pools : Pools
        What a round looks at.
    groups : int64 ndarray of shape (N,)
        At most one stimulus of each is chosen.
    starts : sequence of int64 ndarray
        Sets to start from, after the first random one.
    random_starts : int
        At least 1.
    seed : int
        Of everything random.
    progress : callable or None
        Told where the walk is.
    """

    def __init__(
        self,
        pools: Pools,
        groups: Indices,
        starts: list[Indices],
        random_starts: int,
        seed: int,
        progress: Callable[[RedProgress], None] | None,
    ) -> None:
        self.pools, self.groups, self.progress = pools, groups, progress
        self.round_swaps = max(64, pools.count // 4)
        self.followers = max(4, pools.count // 16)
        self.least_gain = _LEAST_GAINS[pools.sources[0].dtype.itemsize]
        self.starts, self.random_starts = starts, random_starts
        self.random = np.random.default_rng(seed)
        self.chosen = self._random_set(np.empty(0, dtype=np.int64))
        self.home, self.home_value = self.chosen, np.inf
        self.best, self.best_value = self.chosen, np.inf
        self.current = np.inf
        self.part = self.idle = self.descents = self.failures = self.swaps = self.scored = 0

    def document(self) -> dict[str, Any]:
        """Return all that the walk's next round depends on, for a checkpoint."""
        return {
            "chosen": self.chosen.tolist(),
            "home": self.home.tolist(),
            "home_value": self.home_value if np.isfinite(self.home_value) else None,
            "best": self.best.tolist(),
            "best_value": self.best_value if np.isfinite(self.best_value) else None,
            "counters": [getattr(self, name) for name in _COUNTERS],
            "random": self.random.bit_generator.state,
        }

    def resume(self, document: Mapping[str, Any], path: Path) -> None:
        """Go to where a checkpoint was written.

        Raises
        ------
        BundleError
            ``search-checkpoint-broken`` when it is not of a walk.
        """
        size = self.pools.size
        for name in ("chosen", "home", "best"):
            members = index_list(document.get(name), size, path)
            if len(np.unique(self.groups[members])) != self.pools.count:
                raise broken_checkpoint(path)
            setattr(self, name, members)
        for name in ("home_value", "best_value"):
            value = document.get(name)
            setattr(self, name, np.inf if value is None else finite_number(value, path))
        counters = document.get("counters")
        if (
            not isinstance(counters, list)
            or len(counters) != len(_COUNTERS)
            or not all(type(one) is int and one >= 0 for one in counters)
        ):
            raise broken_checkpoint(path)
        for name, value in zip(_COUNTERS, counters, strict=True):
            setattr(self, name, value)
        self.part %= self.pools.parts
        try:
            self.random.bit_generator.state = document["random"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise broken_checkpoint(path) from error

    def round(self, deadline: float | None, swaps: int) -> bool:
        """Make up to a round of swaps.

        Parameters
        ----------
        deadline : float or None
            A moment of `time.monotonic`.
        swaps : int
            The most that may be made.

        Returns
        -------
        bool
            False when the deadline or `swaps` cut the round short: the walk is then at a
            better set perhaps, and its place in the walk is lost.
        """
        found = self.pools.working_set(self.part, self.chosen, deadline, self._count)
        if found is None:
            return False
        stimuli, kernels = found
        state = State(kernels, np.searchsorted(stimuli, self.chosen))
        state.settle()
        self._at(state, stimuli, state.value())
        before, most = self.swaps, min(swaps, self.round_swaps)
        at_bottom = False
        while self.swaps - before < most and not at_bottom:
            step = self._swap(state, stimuli, deadline, most - (self.swaps - before))
            if step is None:
                return False
            at_bottom = not step
        if not at_bottom and most < self.round_swaps:
            return False
        self.chosen = np.sort(self.chosen)
        self.idle = 0 if self.swaps > before else self.idle + 1
        self.part = (self.part + 1) % self.pools.parts
        if at_bottom and (self.pools.whole or self.idle >= self.pools.parts):
            self._next_descent()
        return True

    def _swap(
        self, state: State, stimuli: Indices, deadline: float | None, most: int
    ) -> bool | None:
        """Make 1 to `most` swaps that improve; False when none was found, None at the deadline."""
        groups = self.groups[stimuli]
        order = np.argsort(state.without_each(), kind="stable")
        for leaving in state.chosen[order[:_TRIES]]:
            if is_over(deadline):
                return None
            saved = state.saved()
            state.remove(int(leaving))
            state.settle()
            values = state.with_each()
            values[np.isin(groups, groups[state.chosen])] = np.inf
            self._count(len(stimuli) - len(state.chosen))
            coming = int(values.argmin())
            if values[coming] < self.current - self.least_gain and coming != leaving:
                state.add(coming)
                self.swaps += 1
                self._at(state, stimuli, float(values[coming]))
                self._follow(state, stimuli, saved.chosen[order], values, most - 1)
                return True
            state.restore(saved)
        return False

    def _follow(
        self, state: State, stimuli: Indices, leaving: Indices, values: Floats, most: int
    ) -> None:
        """Make the next swaps in the same order while they improve; each is checked exactly.

        Their kernel columns come from one product, so that they cost little beside what
        it takes to rank all stimuli again.
        """
        groups = self.groups[stimuli]
        few = min(self.followers, most)
        out = leaving[np.isin(leaving, state.chosen)][:few]
        into = np.argsort(values, kind="stable")[: few + self.followers]
        into = into[np.isfinite(values[into]) & ~np.isin(groups[into], groups[state.chosen])]
        into = into[np.sort(np.unique(groups[into], return_index=True)[1])][:few]
        few = min(len(out), len(into))
        if not few:
            return
        columns = state.kernels.columns(np.concatenate([out[:few], into[:few]]))
        for number in range(few):
            saved = state.saved()
            state.remove(int(out[number]), columns[number])
            state.add(int(into[number]), columns[few + number])
            value = state.value()
            if state.is_lost() or value >= self.current - self.least_gain:
                state.restore(saved)
                return
            self.swaps += 1
            self._at(state, stimuli, value)

    def _at(self, state: State, stimuli: Indices, value: float) -> None:
        self.chosen, self.current = stimuli[state.chosen], value
        if value < self.best_value:
            self.best, self.best_value = self.chosen, value
        self._tell()

    def _count(self, scored: int) -> None:
        self.scored += scored
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(
                RedProgress(self.best_value, self.current, self.swaps, self.scored, self.descents)
            )

    def _next_descent(self) -> None:
        """Go on from another start, or from the best end of a descent, shaken."""
        if self.current < self.home_value - self.least_gain:
            self.home, self.home_value = self.chosen, self.current
            self.failures = 0
        else:
            self.failures += 1
        self.descents += 1
        self.idle = 0
        extra = self.descents - 1
        if extra < len(self.starts):
            self.chosen, self.failures = self.starts[extra], 0
        elif extra < len(self.starts) + self.random_starts - 1:
            self.chosen, self.failures = self._random_set(np.empty(0, dtype=np.int64)), 0
        else:
            share = _SHAKEN[int(self.random.integers(len(_SHAKEN)))]
            kept = self.pools.count - max(1, round(share * self.pools.count))
            self.chosen = self._random_set(self.random.permutation(self.home)[:kept])

    def _random_set(self, kept: Indices) -> Indices:
        """Return `kept` filled up at random, ascending."""
        order = self.random.permutation(self.pools.size)
        order = order[~np.isin(self.groups[order], self.groups[kept])]
        order = order[np.sort(np.unique(self.groups[order], return_index=True)[1])]
        return np.sort(np.concatenate([kept, order[: self.pools.count - len(kept)]]))


_COUNTERS = ("part", "idle", "descents", "failures", "swaps", "scored")
