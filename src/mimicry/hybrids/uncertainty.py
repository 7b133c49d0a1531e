"""How far a task's first column would move if other images had been drawn.

The threshold of a species is set on a sample of non-hybrids and the recalls are counted
on samples of hybrids, so a score moves with both. The Bayesian bootstrap (Rubin 1981,
The Annals of Statistics 9, 130-134) gives every image a random weight; every submission
gets the same weights, so that a difference between two carries what their images have in
common. The weights of the top non-hybrids say, to first order, how many of them another
threshold would leave above it, and the ranking how many hybrids lie between the two.

A recall near 0 or 1, or of few hybrids, would hardly move that way: a pseudo-hybrid that
is found and one that is not, each of half an image's weight (Jeffreys' prior for a share),
keep the draws of a group's recall away from both ends. docs/uncertainty.md tells how often
such intervals hold what they should.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mimicry.hybrids.metrics import Scores
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.resampling import Draws, Species
from mimicry.hybrids.tasks import Task

# The 97.5 % point of the standard normal distribution.
NORMAL_POINT = 1.959963984540054
OUTSIDE = 0.025
FEWEST_DRAWS, MOST_DRAWS = 400, 4000
# Of the pseudo-hybrids' weights: found by both of a pair, by one, by the other, by neither.
# Each submission's own add up to a half; what one finds on an image the other mostly finds.
PAIR_SHAPES = (3 / 8, 1 / 8, 1 / 8, 3 / 8)
# Weights in all, and at a time.
WEIGHTS, CHUNK = 60_000_000, 1_000_000
# Groups that share a threshold.
SPECIES = (("major", "minor"), ("mimic",))


def wilson_interval(found: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, after Wilson (1927, JASA 22, 209-212).

    Of a recall it says how far other hybrids would move it at the same threshold.

    Parameters
    ----------
    found : int
        From 0 to `of`.
    of : int
        At least 1.

    Returns
    -------
    tuple of float
        Lower and upper end in [0, 1]; ``found / of`` lies between them. The lower end
        is 0 where nothing was found, the upper one 1 where everything was.

    Raises
    ------
    ValueError
        `of` is less than 1 or `found` not among 0, ..., `of`.
    """
    if of < 1 or not 0 <= found <= of:
        raise ValueError(f"{found} found of {of} is no share")
    share, square = found / of, NORMAL_POINT**2
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = NORMAL_POINT * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    half /= 1 + square / of
    low = 0.0 if found == 0 else max(0.0, centre - half)
    high = 1.0 if found == of else min(1.0, centre + half)
    return min(low, share), max(high, share)


def interval(draws: Draws, estimate: float) -> tuple[float, float]:
    """Return the 95 % interval of what `draws` were drawn for.

    Parameters
    ----------
    draws : array of float64, shape (B,)
        Of a score, or differences of the two arrays of ``HybridDraws.pair``.
    estimate : float
        The number itself, as graded.

    Returns
    -------
    tuple of float
        The 2.5 % and the 97.5 % point of the draws, moved outwards to `estimate` where
        it lies outside.

    Raises
    ------
    ValueError
        There are no draws.
    """
    if draws.size == 0:
        raise ValueError("an interval needs draws")
    low, high = np.quantile(draws, [OUTSIDE, 1.0 - OUTSIDE])
    return min(float(low), estimate), max(float(high), estimate)


@dataclass(frozen=True)
class HybridDraws:
    """Draws of a task's first column for S submissions over the same images.

    Attributes
    ----------
    found : array of float64, shape (S, G, B)
        Weight of the hybrids that each submission finds in each of G groups.
    total : array of float64, shape (G, B)
        Weight of all hybrids of each group.
    alone : array of float64, shape (2, G, B)
        Weights of the pseudo-hybrids, found and not found, of a submission by itself.
    together : array of float64, shape (4, G, B)
        Weights of the pseudo-hybrids of a pair: found by both, by the first, by the
        second, by neither.
    """

    found: Draws
    total: Draws
    alone: Draws
    together: Draws

    def one(self, index: int) -> Draws:
        """Return the draws of a submission's score, shape (B,), each in [0, 1]."""
        return self._scores(index, self.alone[0], self.alone.sum(axis=0))

    def pair(self, first: int, second: int) -> tuple[Draws, Draws]:
        """Return joint draws of two submissions' scores, each of shape (B,).

        They belong together draw by draw: take the difference, then its `interval`.
        ``pair(second, first)`` returns the same arrays in the other order. Each array by
        itself is distributed as that of `one`.
        """
        if second < first:
            return self.pair(second, first)[::-1]
        both, only_first, only_second, _ = self.together
        pseudo = self.together.sum(axis=0)
        return (
            self._scores(first, both + only_first, pseudo),
            self._scores(second, both + only_second, pseudo),
        )

    def _scores(self, index: int, pseudo_found: Draws, pseudo: Draws) -> Draws:
        recalls = (self.found[index] + pseudo_found) / (self.total + pseudo)
        lowest = recalls.min(axis=0)
        # As in `harmonic_mean`: scaled by the lowest, and 0 where that is 0.
        scaled = np.divide(lowest, recalls, out=np.ones_like(recalls), where=recalls > 0.0)
        means: Draws = np.minimum(lowest * (len(recalls) / scaled.sum(axis=0)), 1.0)
        return means


def draw_scores(
    task: Task,
    reference: Reference,
    scores: Sequence[Sequence[float]],
    *,
    draws: int | None = None,
    seed: int = 0,
) -> HybridDraws:
    """Draw the first column of `task` as other images might have given it.

    Images vary within their group and class, whose sizes stay. A submission's draws
    depend on `task`, `reference`, its own scores, `draws` and `seed`, and on no other
    submission in the list.

    Parameters
    ----------
    task : Task
        One of ``mimicry.hybrids.tasks.TASKS``.
    reference : Reference
        Labels of n images, as ``check_gradable`` accepts them for the task.
    scores : sequence of S sequences of float, each of shape (n,)
        Finite scores in the reference's order; only their order counts, and a score
        equal to a threshold counts as a non-hybrid, as in `operating_threshold`.
    draws : int, optional
        Number of draws, B. By default 4,000, fewer for more than 15,000 images, and
        never less than 400.
    seed : int
        Of the weights.

    Returns
    -------
    HybridDraws

    Raises
    ------
    ValueError
        A shape does not fit, a score is not finite, a group lacks hybrids or a species
        non-hybrids, or `draws` is less than 1.
    """
    hybrid = np.asarray(reference.hybrid, dtype=np.bool_)
    group = np.asarray(reference.group)
    count = min(max(WEIGHTS // max(hybrid.size, 1), FEWEST_DRAWS), MOST_DRAWS)
    count = count if draws is None else draws
    if count < 1:
        raise ValueError(f"{count} draws are too few")
    values = [_checked(submission, hybrid.size) for submission in scores]
    species = [
        tuple(name for name in names if name in task.groups)
        for names in SPECIES
        if set(names) & set(task.groups)
    ]
    random = [np.random.default_rng([seed, stream]) for stream in range(3)]
    groups = sum(len(names) for names in species)
    found, total = np.zeros((len(values), groups, count)), np.zeros((groups, count))
    width = max(1, CHUNK // max(hybrid.size, 1))
    sets = [Species.of(names, hybrid, group, values) for names in species]
    for start in range(0, count, width):
        part = slice(start, min(count, start + width))
        row = 0
        for one in sets:
            rows = slice(row, row + len(one.hybrids))
            one.draw(random[0], found[:, rows, part], total[rows, part])
            row = rows.stop
    return HybridDraws(
        found,
        total,
        random[1].standard_gamma(1 / 2, (2, groups, count)),
        random[2].standard_gamma(PAIR_SHAPES, (count, groups, 4)).T,
    )


def _checked(scores: Sequence[float], size: int) -> Scores:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (size,) or not np.isfinite(values).all():
        raise ValueError(f"scores {values.shape} must be {size} finite numbers")
    return values
