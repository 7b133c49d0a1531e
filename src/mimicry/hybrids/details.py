"""What the full results page tells beyond the board's columns.

Nothing here depends on a single image's label but through the counts and bins that
`mimicry.hybrids.published` lets out, the columns and the interval of the score.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mimicry.hybrids.curves import merged, precision_recall_points, roc_points, stretches
from mimicry.hybrids.metrics import TARGET_TRUE_NEGATIVE_RATE, Scores, harmonic_mean
from mimicry.hybrids.published import Bin, published_bins
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import Task
from mimicry.hybrids.uncertainty import draw_scores, interval, wilson_interval
from mimicry.reports.hybrid_facts import Found, HybridDetails, Point, Ranking, ScoreFacts


class _Group(NamedTuple):
    """A group as people and the board know it."""

    key: str
    name: str
    role: str
    recall: str
    average_precision: str


_GROUPS = (
    _Group("major", "Signal hybrids", "signal", "A_score_major_recall", "A_PRC_AUC_major"),
    _Group("minor", "Non-signal hybrids", "non-signal", "A_score_minor_recall", "A_PRC_AUC_minor"),
    _Group("mimic", "Mimic hybrids", "mimic", "mimic_recall", "mimic_PRC_AUC"),
)


_HYBRIDS_A_STRETCH, _FEWEST_STRETCHES, _MOST_STRETCHES = 4, 3, 10


class Sizes(NamedTuple):
    """How many images of a group there are, and how many of them are hybrids."""

    images: int
    hybrids: int


def find_details(
    task: Task, reference: Reference, scores: Sequence[float], results: Mapping[str, float]
) -> HybridDetails:
    """Return what the full page shows of a graded submission.

    Parameters
    ----------
    task : Task
        One of ``mimicry.hybrids.tasks.TASKS``.
    reference : Reference
        Labels of n images, gradable for the task.
    scores : sequence of float, shape (n,)
        Finite scores in the reference's order; higher means more likely a hybrid.
    results : mapping of str to float
        What ``mimicry.hybrids.grading.grade`` gave for them.
    """
    values = np.asarray(scores, dtype=np.float64)
    hybrid = np.asarray(reference.hybrid, dtype=np.bool_)
    names = np.asarray(reference.group)
    sizes: dict[str, Sizes] = {}
    bins: dict[str, Sequence[Bin]] = {}
    for key in task.groups:
        member = names == key
        sizes[key] = Sizes(int(np.count_nonzero(member)), int(np.count_nonzero(hybrid[member])))
        bins[key] = published_bins(values[member], hybrid[member])
    estimate = results[task.keys[0]]
    draws = draw_scores(task, reference, [scores])
    return assemble(
        task, results, sizes, bins, interval(draws.one(0), estimate), score_facts(values)
    )


def assemble(
    task: Task,
    results: Mapping[str, float],
    sizes: Mapping[str, Sizes],
    bins: Mapping[str, Sequence[Bin]],
    score_interval: tuple[float, float],
    scores: ScoreFacts,
) -> HybridDetails:
    """Put together what the page draws, from all that may be told and nothing else.

    Parameters
    ----------
    task, results
        As in `find_details`.
    sizes : mapping of str to Sizes
        Of every group of the task.
    bins : mapping of str to sequence of Bin
        The published bins of every group, highest scores first; empty where there are none.
    score_interval : (float, float)
        Of the task's first column.
    scores : ScoreFacts
        Of all scores.
    """
    groups = [group for group in _GROUPS if group.key in task.groups]
    recalls = {group.key: results[group.recall] for group in groups}
    low, high = score_interval
    return HybridDetails(
        # In hundredths: finer ends would move with every single label.
        low=round(low, 2),
        high=round(high, 2),
        found=[_found(group, sizes[group.key], recalls) for group in groups],
        rankings=[_ranking(group, sizes[group.key], bins[group.key], results) for group in groups],
        scores=scores,
    )


def score_facts(scores: Scores) -> ScoreFacts:
    """Describe scores, shape (n,) with n at least 1, without their labels."""
    _, counts = np.unique(scores, return_counts=True)
    ordered = np.sort(scores)
    # Scores themselves, not means of two: those of the largest floats would overflow.
    low, middle, high = (float(ordered[(ordered.size - 1) * k // 4]) for k in (1, 2, 3))
    return ScoreFacts(
        images=int(scores.size),
        distinct=int(counts.size),
        tied=int(counts[counts > 1].sum()),
        quartiles=(low, middle, high),
    )


def _found(group: _Group, size: Sizes, recalls: Mapping[str, float]) -> Found:
    recall = recalls[group.key]
    found = round(recall * size.hybrids)
    low, high = wilson_interval(found, size.hybrids)
    more: float | None = None
    if found < size.hybrids:
        changed = {**recalls, group.key: (found + 1) / size.hybrids}.values()
        more = next(iter(changed)) if len(changed) == 1 else harmonic_mean(changed)
    return Found(group.name, group.role, found, size.hybrids, size.images, recall, low, high, more)


def _ranking(
    group: _Group, size: Sizes, bins: Sequence[Bin], results: Mapping[str, float]
) -> Ranking:
    drawn = merged(bins)
    roc_mark, precision_recall_mark = _marks(results[group.recall], size)
    # A few hybrids, their counts rounded, fill no ten stretches.
    few = sum(each.hybrids for each in bins) // _HYBRIDS_A_STRETCH
    hybrids, non_hybrids = stretches(drawn, max(_FEWEST_STRETCHES, min(_MOST_STRETCHES, few)))
    return Ranking(
        name=group.name,
        role=group.role,
        average_precision=results[group.average_precision],
        roc=roc_points(drawn),
        precision_recall=precision_recall_points(drawn),
        roc_mark=roc_mark,
        precision_recall_mark=precision_recall_mark,
        hybrids=hybrids,
        non_hybrids=non_hybrids,
    )


def _marks(recall: float, size: Sizes) -> tuple[Point, Point | None]:
    """Return where the threshold lies on the two curves, by the rule and the column alone.

    The group's own share of false alarms is no column: the rule's share, which holds for the
    species, stands for it. Without a hybrid found there is no precision to speak of.
    """
    allowed = 1.0 - TARGET_TRUE_NEGATIVE_RATE
    found = round(recall * size.hybrids)
    alarms = allowed * (size.images - size.hybrids)
    return (allowed, recall), (recall, found / (found + alarms)) if found else None
