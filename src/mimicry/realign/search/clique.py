"""Maximum clique by branch and bound with greedy colouring, on Python's integers as bit sets."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mimicry.realign.search.blue_results import BlueProgress, BlueResult, Ending
from mimicry.realign.search.common import is_over

# The clock and the progress are looked at once in so many steps.
_STEPS_BETWEEN_LOOKS = 256
_GREEDY_STARTS = 64


class Cliques:
    """One search: the largest clique so far and a bound on all.

    Parameters
    ----------
    joined : bool ndarray of shape (M, M)
        Symmetric, False on the diagonal.
    """

    def __init__(self, joined: NDArray[np.bool_]) -> None:
        self.order = _smallest_last(joined)
        ranked = joined[np.ix_(self.order, self.order)]
        self.neighbours = [_bits(row) for row in ranked]
        self.ranked = ranked.astype(np.int32)
        self.best: tuple[int, ...] = (0,)
        self.upper = len(joined)
        self.nodes = 0

    def offer(self, members: Sequence[int]) -> None:
        """Take a clique as the best one when it is larger."""
        if len(members) > len(self.best):
            self.best = tuple(sorted(int(one) for one in members))

    def result(self, stopped: Ending) -> BlueResult:
        """Return what is known now."""
        size = len(self.best)
        proved = stopped == "proved"
        upper = size if proved else max(self.upper, size)
        return BlueResult(self.best, float(size), float(upper), proved, self.nodes, stopped)

    def run(
        self,
        deadline: float | None,
        node_limit: int,
        report: Callable[[BlueProgress], None],
    ) -> Ending:
        """Search until the proof, the deadline, the limit or Ctrl-C."""
        try:
            colours = self._colours((1 << len(self.neighbours)) - 1, 0)[1]
            self.upper = min(self.upper, colours[-1])
            self._greedy(deadline)
            if self.upper <= len(self.best):
                return "proved"
            return self._branch(deadline, node_limit, report)
        except KeyboardInterrupt:
            return "interrupted"

    def _offer_ranked(self, members: Sequence[int]) -> None:
        self.offer([int(self.order[one]) for one in members])

    def _greedy(self, deadline: float | None) -> None:
        """Grow a clique from each of some vertices by what leaves most to choose from."""
        degrees = self.ranked.sum(axis=1)
        for start in np.argsort(-degrees, kind="stable")[:_GREEDY_STARTS]:
            if len(self.best) >= self.upper or is_over(deadline):
                return
            members = [int(start)]
            left = self.ranked[start].astype(bool)
            inside = self.ranked[:, left].sum(axis=1)
            while left.any():
                chosen = int(np.where(left, inside, -1).argmax())
                members.append(chosen)
                kept = left & self.ranked[chosen].astype(bool)
                inside -= self.ranked[:, left & ~kept].sum(axis=1)
                left = kept
            self._offer_ranked(members)

    def _colours(self, candidates: int, known: int) -> tuple[list[int], list[int]]:
        """Colour candidates greedily; return those of colours above `known`, colours ascending.

        A clique has at most one vertex of a colour, so the others alone hold no clique
        of more than `known` vertices.
        """
        vertices: list[int] = []
        colours: list[int] = []
        colour = 0
        while candidates:
            colour += 1
            free = candidates
            while free:
                lowest = free & -free
                vertex = lowest.bit_length() - 1
                candidates ^= lowest
                free = (free ^ lowest) & ~self.neighbours[vertex]
                if colour > known:
                    vertices.append(vertex)
                    colours.append(colour)
        return vertices, colours

    def _branch(
        self,
        deadline: float | None,
        node_limit: int,
        report: Callable[[BlueProgress], None],
    ) -> Ending:
        everything = (1 << len(self.neighbours)) - 1
        vertices, colours = self._colours(everything, len(self.best))
        # A frame: vertices to try, the last first, with their colours; candidates left.
        stack = [(vertices, colours, everything)]
        members: list[int] = []
        while stack:
            vertices, colours, candidates = stack.pop()
            if not vertices or len(members) + colours[-1] <= len(self.best):
                if members:
                    members.pop()
                continue
            if not members:
                self.upper = min(self.upper, colours[-1])
            if self.nodes >= node_limit:
                return "node-limit"
            self.nodes += 1
            if self.nodes % _STEPS_BETWEEN_LOOKS == 1:
                if is_over(deadline):
                    return "deadline"
                report(BlueProgress(len(self.best), self.upper, self.nodes, len(stack) + 1))
            vertex = vertices.pop()
            colours.pop()
            stack.append((vertices, colours, candidates & ~(1 << vertex)))
            below = candidates & self.neighbours[vertex]
            members.append(vertex)
            if len(members) > len(self.best):
                self._offer_ranked(members)
            stack.append((*self._colours(below, len(self.best) - len(members)), below))
        return "proved"


def _bits(row: NDArray[np.bool_]) -> int:
    """Return a row of truth values as an integer, the first as its lowest bit."""
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")


def _each(bits: int) -> list[int]:
    """Return the positions of the bits that are set, ascending."""
    found = []
    while bits:
        lowest = bits & -bits
        found.append(lowest.bit_length() - 1)
        bits ^= lowest
    return found


def _smallest_last(joined: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Order vertices so that each has few neighbours among those before it (degeneracy)."""
    degrees = joined.sum(axis=1).astype(np.int64)
    left = np.ones(len(joined), dtype=bool)
    order = np.empty(len(joined), dtype=np.int64)
    for position in range(len(joined) - 1, -1, -1):
        vertex = int(np.where(left, degrees, len(joined) + 1).argmin())
        order[position] = vertex
        left[vertex] = False
        degrees[joined[vertex]] -= 1
    return order
