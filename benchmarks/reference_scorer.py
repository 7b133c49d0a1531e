"""A slow scorer, to measure against: it tries every score as a threshold.

It works as the programs of the 2024 challenge did: a data frame merged by file
name, and for each distinct score in ascending order an ``apply`` over the
scores and a scikit-learn recall, until the recall of non-hybrids reaches 0.95. Its results are
the same as Mimicry's; only its cost differs.

Usage: python benchmarks/reference_scorer.py PREDICTIONS_CSV REFERENCE_CSV SCORES_JSON
"""

import json
import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import average_precision_score, recall_score

TARGET = 0.95


def first_threshold(frame: pd.DataFrame) -> float:
    """Return the first score at which 95 % of the non-hybrids are called non-hybrids."""
    for threshold in sorted(frame["score"].unique()):
        called = frame["score"].apply(lambda score, t=threshold: int(score > t))
        if recall_score(frame["hybrid_stat"], called, pos_label=0) >= TARGET:
            return float(threshold)
    raise ValueError("no threshold reaches the target")


def hybrid_recall(frame: pd.DataFrame, threshold: float) -> float:
    """Return scikit-learn's recall of hybrids at a threshold."""
    called = frame["score"].apply(lambda score: int(score > threshold))
    return float(recall_score(frame["hybrid_stat"], called, pos_label=1, zero_division=0))


def curve_area(frame: pd.DataFrame) -> float:
    """Return scikit-learn's average precision."""
    return float(average_precision_score(frame["hybrid_stat"], frame["score"]))


def score(table: pd.DataFrame) -> dict[str, float]:
    """Return the eight columns of the hybrid task.

    Parameters
    ----------
    table : DataFrame
        Columns ``score``, ``hybrid_stat`` and ``ssp_indicator``.
    """
    mimics = table[table["ssp_indicator"] == "mimic"]
    species_a = table[table["ssp_indicator"] != "mimic"]
    groups: dict[Hashable, Any] = dict(list(species_a.groupby("ssp_indicator")))
    major, minor = groups["major"], groups["minor"]
    threshold = first_threshold(species_a)
    recalls = [
        hybrid_recall(major, threshold),
        hybrid_recall(minor, threshold),
        hybrid_recall(mimics, first_threshold(mimics)),
    ]
    return {
        "challenge_score": 3 / sum(1 / r for r in recalls) if min(recalls) > 0 else 0.0,
        "A_score_major_recall": recalls[0],
        "A_score_minor_recall": recalls[1],
        "A_PRC_AUC": curve_area(species_a),
        "A_PRC_AUC_major": curve_area(major),
        "A_PRC_AUC_minor": curve_area(minor),
        "mimic_recall": recalls[2],
        "mimic_PRC_AUC": curve_area(mimics),
    }


def main(predictions: str, reference: str, output: str) -> None:
    """Score one pair of files."""
    table = pd.read_csv(reference).merge(pd.read_csv(predictions), on="filename")
    Path(output).write_text(json.dumps(score(table), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: reference_scorer.py PREDICTIONS_CSV REFERENCE_CSV SCORES_JSON")
    main(*sys.argv[1:])
