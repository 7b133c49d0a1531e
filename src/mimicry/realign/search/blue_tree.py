"""Branch and bound over sets of models, the most promising subproblem first."""

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mimicry.realign.search.blue_bound import Bound, bound
from mimicry.realign.search.blue_results import BlueProgress, BlueResult, Ending
from mimicry.realign.search.blue_start import greedy_with_swaps, improve_by_swaps
from mimicry.realign.search.common import Floats, Indices, is_over

# On the mean; a sum of similarities carries rounding of about 1e-13.
_TOLERANCE = 1e-10
_ROOT_STAGES, _ROOT_STEPS, _NODE_STEPS = 25, 40, 10
_WORTHWHILE = 1e-7
# Open nodes keep their split of the weights while all of them together have fewer shares.
_KEPT_SHARES = 32_000_000


class _Node(NamedTuple):
    """Sets that contain `chosen` and else only models of `rest`."""

    chosen: tuple[int, ...]
    rest: Indices
    rows: Floats
    shares: Floats | None


class Tree:
    """One search: the best set so far, the least proved bound, the open subproblems.

    Parameters
    ----------
    weights : float64 ndarray of shape (M, M)
        Symmetric, zero diagonal.
    count : int
        From 2 to the number of groups.
    groups : int64 ndarray of shape (M,)
        At most one model of each is chosen.
    """

    def __init__(self, weights: Floats, count: int, groups: Indices) -> None:
        self.weights, self.count, self.groups = weights, count, groups
        self.pairs = count * (count - 1) / 2
        self.tolerance = _TOLERANCE * self.pairs
        _, first = np.unique(groups, return_index=True)
        self.best: tuple[int, ...] = ()
        self.sum = -np.inf
        self.upper = float(weights.max()) * self.pairs
        self.nodes = self.pushed = self.kept = 0
        self.open: list[tuple[float, int, _Node]] = []
        self.root_shares, self.root_place = np.empty((0, 0)), np.empty(0, dtype=np.int64)
        self.offer(np.sort(first)[:count])

    def offer(self, members: Sequence[int] | Indices) -> None:
        """Take a set as the best one when its sum is larger."""
        chosen = np.sort(np.asarray(members, dtype=np.int64))
        total = float(self.weights[np.ix_(chosen, chosen)].sum() / 2)
        if total > self.sum:
            self.best, self.sum = tuple(int(one) for one in chosen), total

    def result(self, stopped: Ending) -> BlueResult:
        """Return what is known now."""
        proved = stopped == "proved"
        upper = self.sum if proved else max(self.upper, self.sum)
        value, upper_bound = self.sum / self.pairs, upper / self.pairs
        return BlueResult(self.best, value, upper_bound, proved, self.nodes, stopped)

    def run(
        self,
        deadline: float | None,
        node_limit: int,
        report: Callable[[BlueProgress], None],
    ) -> Ending:
        """Search until the proof, the deadline, the limit or Ctrl-C."""
        try:
            self.offer(greedy_with_swaps(self.weights, self.count, self.groups, deadline))
            if self.upper > self.sum + self.tolerance:
                self._root(deadline)
            report(self._where())
            while self.open and -self.open[0][0] > self._enough():
                if self.nodes >= node_limit:
                    return "node-limit"
                if is_over(deadline):
                    return "deadline"
                self._split(self._pop())
                if self.open:
                    self.upper = min(self.upper, -self.open[0][0])
                report(self._where())
            return "proved"
        except KeyboardInterrupt:
            return "interrupted"

    def _enough(self) -> float:
        return self.sum + self.tolerance

    def _where(self) -> BlueProgress:
        upper = max(self.upper, self.sum) if self.open else self.sum
        return BlueProgress(self.sum / self.pairs, upper / self.pairs, self.nodes, len(self.open))

    def _root(self, deadline: float | None) -> None:
        """Bound the whole problem, and drop the models that no better set has."""
        rest = np.arange(len(self.weights))
        shares = self.weights / 2.0
        shares[self.groups[:, None] == self.groups[None, :]] = -np.inf
        previous = np.inf
        for stage in range(_ROOT_STAGES):
            gains, steps = np.zeros(len(rest)), _ROOT_STEPS if stage else 0
            found = self._bound(gains, shares, rest, self.count, 0.0, steps)
            self.upper = min(self.upper, found.value)
            keep = found.with_each > self._enough()
            rest, rows = rest[keep], found.rows[keep]
            shares = found.shares[np.ix_(keep, keep)]
            if len(rest) < self.count or found.value <= self._enough():
                return
            self._polish((), rest, rows)
            slow = stage > 1 and previous - found.value < _WORTHWHILE * self.pairs
            if slow or is_over(deadline):
                break
            previous = found.value
        self.root_shares = shares
        self.root_place = np.full(len(self.weights), -1)
        self.root_place[rest] = np.arange(len(rest))
        self._push(found.value, _Node((), rest, rows, shares))

    def _bound(
        self, gains: Floats, shares: Floats, rest: Indices, need: int, have: float, steps: int
    ) -> Bound:
        return bound(gains, shares, need, self.groups[rest], self._enough() - have, steps)

    def _split(self, node: _Node) -> None:
        """Decide on the model that the bound counts on most: first with it, then without."""
        self.nodes += 1
        shares = node.shares
        if shares is None:
            place = self.root_place[node.rest]
            shares = self.root_shares[np.ix_(place, place)]
        at = int(node.rows.argmax())
        model = int(node.rest[at])
        others = self.groups[node.rest] != self.groups[model]
        self._child((*node.chosen, model), node.rest[others], shares[np.ix_(others, others)])
        others = node.rest != model
        self._child(node.chosen, node.rest[others], shares[np.ix_(others, others)])

    def _child(self, chosen: tuple[int, ...], rest: Indices, shares: Floats) -> None:
        """Bound a subproblem, and keep it when it promises more than the best set."""
        need = self.count - len(chosen)
        if need == 0:
            self.offer(chosen)
            return
        if len(rest) < need:
            return
        inside = np.array(chosen, dtype=np.int64)
        have = float(self.weights[np.ix_(inside, inside)].sum() / 2)
        gains = self.weights[np.ix_(rest, inside)].sum(axis=1)
        found = self._bound(gains, shares, rest, need, have, _NODE_STEPS)
        if have + found.value <= self._enough():
            return
        self._polish(chosen, rest, found.rows)
        keep = have + found.with_each > self._enough()
        if need > 1 and keep.sum() >= need:
            kept = found.shares[np.ix_(keep, keep)]
            self._push(have + found.value, _Node(chosen, rest[keep], found.rows[keep], kept))

    def _polish(self, chosen: tuple[int, ...], rest: Indices, rows: Floats) -> None:
        """Offer what the bound counts on, improved by swaps."""
        need = self.count - len(chosen)
        order = np.argsort(-rows, kind="stable")
        order = order[np.sort(np.unique(self.groups[rest[order]], return_index=True)[1])]
        if len(order) >= need:
            start = np.concatenate([np.array(chosen, dtype=np.int64), rest[order[:need]]])
            self.offer(improve_by_swaps(self.weights, start, self.groups))

    def _push(self, upper: float, node: _Node) -> None:
        size = 0 if node.shares is None else node.shares.size
        if self.kept + size > _KEPT_SHARES:
            node, size = node._replace(shares=None), 0
        self.kept += size
        heapq.heappush(self.open, (-upper, self.pushed, node))
        self.pushed += 1

    def _pop(self) -> _Node:
        node = heapq.heappop(self.open)[2]
        self.kept -= 0 if node.shares is None else node.shares.size
        return node
