"""From labels and scores to the columns of a task."""

import math
from collections.abc import Sequence

import numpy as np

from mimicry.hybrids.metrics import (
    Mask,
    Scores,
    average_precision,
    harmonic_mean,
    operating_threshold,
    recall_above,
)
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import Task


def grade(task: Task, reference: Reference, scores: Sequence[float]) -> dict[str, float]:
    """Return every column of `task`, in its order.

    Species A (groups ``major`` and ``minor``) and the mimics get a threshold each,
    taken over the whole of that species; the recalls of ``major`` and ``minor``
    are then counted at Species A's one threshold.

    Parameters
    ----------
    task : Task
        One of ``mimicry.hybrids.tasks.TASKS``.
    reference : Reference
        Labels of n images, as ``check_gradable`` accepts them for the task.
    scores : sequence of float, shape (n,)
        Finite scores in the reference's order; higher means more likely a hybrid.

    Returns
    -------
    dict of str to float
        All of ``task.keys``; each in [0, 1], higher is better.
    """
    values = np.asarray(scores, dtype=np.float64)
    hybrid = np.asarray(reference.hybrid, dtype=np.bool_)
    group = np.asarray(reference.group)
    results: dict[str, float] = {}
    recalls: list[float] = []
    if "major" in task.groups:
        results |= _species_a(values, hybrid, group == "major", group == "minor")
        recalls += [results["A_score_major_recall"], results["A_score_minor_recall"]]
    if "mimic" in task.groups:
        results |= _mimics(values, hybrid, group == "mimic")
        recalls.append(results["mimic_recall"])
    results[task.keys[0]] = recalls[0] if len(recalls) == 1 else harmonic_mean(recalls)
    return _complete(task, results)


def _species_a(scores: Scores, hybrid: Mask, major: Mask, minor: Mask) -> dict[str, float]:
    both = major | minor
    threshold = operating_threshold(scores[both], hybrid[both])
    return {
        "A_score_major_recall": recall_above(scores[major], hybrid[major], threshold),
        "A_score_minor_recall": recall_above(scores[minor], hybrid[minor], threshold),
        "A_PRC_AUC": average_precision(scores[both], hybrid[both]),
        "A_PRC_AUC_major": average_precision(scores[major], hybrid[major]),
        "A_PRC_AUC_minor": average_precision(scores[minor], hybrid[minor]),
    }


def _mimics(scores: Scores, hybrid: Mask, mimic: Mask) -> dict[str, float]:
    threshold = operating_threshold(scores[mimic], hybrid[mimic])
    return {
        "mimic_recall": recall_above(scores[mimic], hybrid[mimic], threshold),
        "mimic_PRC_AUC": average_precision(scores[mimic], hybrid[mimic]),
    }


def _complete(task: Task, results: dict[str, float]) -> dict[str, float]:
    # A missing or non-finite column would rank first on the platform's board.
    if set(results) != set(task.keys):
        raise RuntimeError(f"task {task.key} computed {sorted(results)}, declared {task.keys}")
    for key, value in results.items():
        if not math.isfinite(value) or not 0.0 <= value <= 1.0 + 1e-9:
            raise RuntimeError(f"task {task.key}: {key} is out of range")
    return {key: results[key] for key in task.keys}
