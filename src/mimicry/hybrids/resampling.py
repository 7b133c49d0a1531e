"""Random weights on the images of a species, and what submissions find under them."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mimicry.hybrids.metrics import TARGET_TRUE_NEGATIVE_RATE, Mask, Scores

Draws: TypeAlias = npt.NDArray[np.float64]
_Weights: TypeAlias = npt.NDArray[np.float32]
_Indices: TypeAlias = npt.NDArray[np.intp]


class _Submission(NamedTuple):
    """What the draws need of a submission's scores in a species.

    Attributes
    ----------
    order : array of int, shape (n0,)
        Rows of the non-hybrids, highest score first.
    beaten : tuple of array of int, each of shape (n0,)
        For every group: how many of its hybrids score above the non-hybrid at a place
        of `order`.
    hybrids : tuple of array of int
        For every group: rows of its hybrids, highest score first.
    """

    order: _Indices
    beaten: tuple[_Indices, ...]
    hybrids: tuple[_Indices, ...]


class Species(NamedTuple):
    """Sizes of the strata that share a threshold, and the submissions' orders in them."""

    others: tuple[int, ...]
    hybrids: tuple[int, ...]
    submissions: tuple[_Submission, ...]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        hybrid: Mask,
        group: npt.NDArray[np.str_],
        values: Sequence[Scores],
    ) -> "Species":
        """Return the species made of the groups `names`, for submissions' `values`.

        Raises
        ------
        ValueError
            It has no non-hybrids, or a group no hybrids.
        """
        others = [np.flatnonzero((group == name) & ~hybrid) for name in names]
        hybrids = [np.flatnonzero((group == name) & hybrid) for name in names]
        if not sum(len(rows) for rows in others) or not all(len(rows) for rows in hybrids):
            raise ValueError("draws need non-hybrids, and hybrids of every group")
        pooled = np.concatenate(others)
        submissions = []
        for scores in values:
            order = np.argsort(-scores[pooled], kind="stable")
            thresholds = scores[pooled][order]
            ranked = [np.argsort(-scores[rows], kind="stable") for rows in hybrids]
            beaten = tuple(
                len(rows) - np.searchsorted(np.sort(scores[rows]), thresholds, side="right")
                for rows in hybrids
            )
            submissions.append(_Submission(order, beaten, tuple(ranked)))
        return cls(
            tuple(len(rows) for rows in others),
            tuple(len(rows) for rows in hybrids),
            tuple(submissions),
        )

    def draw(self, random: np.random.Generator, found: Draws, total: Draws) -> None:
        """Fill `found` (submissions, groups, draws) and `total` (groups, draws)."""
        width = total.shape[1]
        parts = [_weights(random, size, width) for size in self.others]
        for part in parts:
            # Every group keeps its share of the non-hybrids; an empty one has none.
            part *= np.float32(len(part)) / np.maximum(part.sum(axis=0), np.float32(1e-30))
        others = parts[0] if len(parts) == 1 else np.concatenate(parts)
        weights = [_weights(random, size, width) for size in self.hybrids]
        for index, own in enumerate(weights):
            total[index] = own.sum(axis=0)
        for index, submission in enumerate(self.submissions):
            places = _places(others, submission.order)
            for which, own in enumerate(weights):
                beaten = submission.beaten[which]
                now = int(beaten[_place(len(beaten))])
                heavy = own[submission.hybrids[which][:now]].sum(axis=0, dtype=np.float64)
                after = np.interp(places, np.arange(len(beaten)), beaten)
                found[index, which] = _moved(heavy, total[which], now, len(own), after)


def _weights(random: np.random.Generator, size: int, width: int) -> _Weights:
    # Single precision halves the time; its rounding is far below the sampling error.
    return random.standard_exponential((size, width), dtype=np.float32)


def _place(size: int) -> int:
    """Return the threshold's place among `size` non-hybrids, highest score first."""
    shares = np.arange(1, size + 1) / size
    return size - 1 - int(np.argmax(shares >= TARGET_TRUE_NEGATIVE_RATE))


def _places(others: _Weights, order: _Indices) -> Draws:
    """Return where in `order` the threshold lies in every draw, shape (B,).

    Where the top 5 % weigh more, fewer non-hybrids may lie above it. To first order their
    number is so much less; taken in square roots, it spreads as a count does.
    """
    allowed = (1.0 - TARGET_TRUE_NEGATIVE_RATE) * len(order)
    top = max(1, round(allowed))
    weight = others[order[:top]].sum(axis=0, dtype=np.float64) / top
    above = allowed * np.maximum(2.0 - np.sqrt(weight), 0.0) ** 2
    # A true threshold lies between the last that is above it and the next.
    places: Draws = above - 0.5
    return places


def _moved(heavy: Draws, total: Draws, now: int, of: int, after: Draws) -> Draws:
    """Return the found hybrids' weight once `after` of `of` are found in place of `now`.

    Found and missed hybrids keep the mean weights that they have at the threshold itself:
    weights of the few between two thresholds would count their chance twice.
    """
    less = heavy * (after / now) if now else heavy
    more = heavy + (total - heavy) * ((after - now) / (of - now)) if now < of else heavy
    return np.where(after <= now, less, more)
