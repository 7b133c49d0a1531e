"""Several heads judged on the same images, with what chance may do to their figures."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mimicry.hybrids import metrics
from mimicry.hybrids.reference import Reference

# The head that the others are compared with.
OWN = "anomaly"
COLUMNS = ("signal", "non-signal", "mimic", "challenge score")
GROUPS = {"signal": "major", "non-signal": "minor", "mimic": "mimic"}

Scores: TypeAlias = npt.NDArray[np.float64]
Figures: TypeAlias = npt.NDArray[np.float64]


class Difference(NamedTuple):
    """By how much the anomaly head is better than another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def within_error(self) -> bool:
        """Whether the interval holds 0, so that chance may be all there is."""
        return self.low <= 0.0 <= self.high


class Comparison(NamedTuple):
    """What was found on one set of images.

    Attributes
    ----------
    figures : dict of str to ndarray, shape (4,)
        Head -> its `COLUMNS`, each in [0, 1], higher is better.
    found : dict of str to tuple of int
        Head -> hybrids found in each of `GROUPS`.
    hybrids : tuple of int
        Hybrids there are in each of `GROUPS`.
    score_interval : dict of str to (float, float)
        Head -> 95 % bootstrap interval of its challenge score.
    differences : dict of str to tuple of Difference
        Other head -> anomaly head minus it, in each of `COLUMNS`.
    """

    figures: Mapping[str, Figures]
    found: Mapping[str, tuple[int, ...]]
    hybrids: tuple[int, ...]
    score_interval: Mapping[str, tuple[float, float]]
    differences: Mapping[str, tuple[Difference, ...]]


def compared(
    scores: Mapping[str, Scores], reference: Reference, *, draws: int = 2000, seed: int = 0
) -> Comparison:
    """Judge several heads on the same images, with bootstrap intervals.

    Images are drawn with replacement inside each group of hybrids and of non-hybrids, the
    same ones for all heads, and thresholds are set anew in every draw. An interval reaches
    from the 2.5th to the 97.5th percentile; it covers the choice of test images, not that
    of training images.

    Parameters
    ----------
    scores : mapping of str to array of float64, shape (n,)
        Of each head, ``anomaly`` among them.
    reference : Reference
        Labels of the n images, of all three groups.
    draws : int
        Of the bootstrap, 1 or more.
    seed : int
        Of the bootstrap.
    """
    hybrid, group = np.asarray(reference.hybrid), np.asarray(reference.group)
    figures = {name: graded(values, hybrid, group) for name, values in scores.items()}
    hybrids = tuple(int((hybrid & (group == code)).sum()) for code in GROUPS.values())
    strata = [
        np.flatnonzero((group == code) & (hybrid == kind))
        for code in GROUPS.values()
        for kind in (False, True)
    ]
    chance = np.random.default_rng(seed)
    drawn: dict[str, list[Figures]] = {name: [] for name in scores}
    for _ in range(draws):
        chosen = np.concatenate([chance.choice(part, len(part)) for part in strata])
        for name, values in scores.items():
            drawn[name].append(graded(values[chosen], hybrid[chosen], group[chosen]))
    tables = {name: np.array(rows) for name, rows in drawn.items()}
    return Comparison(
        figures,
        {
            name: tuple(round(share * n) for share, n in zip(row[:3], hybrids, strict=True))
            for name, row in figures.items()
        },
        hybrids,
        {name: _interval(rows[:, 3]) for name, rows in tables.items()},
        {
            name: tuple(
                Difference(float(value), *_interval(column))
                for value, column in zip(
                    figures[OWN] - figures[name], (tables[OWN] - rows).T, strict=True
                )
            )
            for name, rows in tables.items()
            if name != OWN
        },
    )


def graded(scores: Scores, hybrid: npt.NDArray[np.bool_], group: npt.NDArray[np.str_]) -> Figures:
    """Return `COLUMNS` of one head: the scorer's figures without what takes it long."""
    recalls: list[float] = []
    for members in (("major", "minor"), ("mimic",)):
        inside = np.isin(group, members)
        threshold = metrics.operating_threshold(scores[inside], hybrid[inside])
        for code in members:
            chosen = group == code
            recalls.append(metrics.recall_above(scores[chosen], hybrid[chosen], threshold))
    return np.array([*recalls, metrics.harmonic_mean(recalls)])


def _interval(values: Figures) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
