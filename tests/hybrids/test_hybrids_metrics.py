"""The metrics against a brute force that tries every threshold, and their invariances."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, recall_score

from mimicry.hybrids.grading import grade
from mimicry.hybrids.metrics import (
    average_precision,
    dense_ranks,
    harmonic_mean,
    operating_threshold,
    recall_above,
)
from mimicry.hybrids.reference import Reference, parse_reference
from mimicry.hybrids.tasks import TASKS

HYBRID = TASKS["hybrid"]
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "hdr" / "ref_val.csv"


def looped_threshold(scores, hybrid):
    """Try every distinct score in ascending order, counting in plain Python."""
    negatives = [score for score, is_hybrid in zip(scores, hybrid, strict=True) if not is_hybrid]
    for candidate in sorted(set(scores)):
        if sum(score <= candidate for score in negatives) / len(negatives) >= 0.95:
            return candidate
    raise AssertionError


def pandas_threshold(frame):
    for candidate in sorted(frame["score"].unique()):
        called = (frame["score"] > candidate).astype(int)
        if recall_score(frame["hybrid"], called, pos_label=0) >= 0.95:
            return candidate
    raise AssertionError


def brute_force(reference, scores):
    """All eight columns as the 2024 programs computed them, by value with a strict >."""
    table = pd.DataFrame(
        {"score": scores, "hybrid": np.array(reference.hybrid, int), "group": reference.group}
    )
    species_a, mimics = table[table.group != "mimic"], table[table.group == "mimic"]
    at_a, at_mimic = pandas_threshold(species_a), pandas_threshold(mimics)

    def recall(frame, threshold):
        called = (frame["score"] > threshold).astype(int)
        return recall_score(frame["hybrid"], called, pos_label=1)

    def area(frame):
        return average_precision_score(frame["hybrid"], frame["score"])

    major, minor = (species_a[species_a.group == name] for name in ("major", "minor"))
    recalls = [recall(major, at_a), recall(minor, at_a), recall(mimics, at_mimic)]
    return {
        "challenge_score": 0.0 if 0 in recalls else 3 / sum(1 / value for value in recalls),
        "A_score_major_recall": recalls[0],
        "A_score_minor_recall": recalls[1],
        "A_PRC_AUC": area(species_a),
        "A_PRC_AUC_major": area(major),
        "A_PRC_AUC_minor": area(minor),
        "mimic_recall": recalls[2],
        "mimic_PRC_AUC": area(mimics),
    }


def random_reference(draw, rows):
    # Every group has both classes; the rest is drawn.
    group = ["major", "major", "minor", "minor", "mimic", "mimic"]
    hybrid = [True, False] * 3
    group += list(draw.choice(["major", "minor", "mimic"], size=rows - 6))
    hybrid += [bool(value) for value in draw.random(rows - 6) < draw.uniform(0.05, 0.6)]
    order = draw.permutation(rows)
    return Reference(
        tuple(f"{index}.jpg" for index in range(rows)),
        tuple(hybrid[index] for index in order),
        tuple(group[index] for index in order),
    )


def random_scores(draw, reference):
    shift = draw.uniform(0, 3) * np.array(reference.hybrid)
    levels = int(draw.integers(1, 12))
    return np.round((draw.normal(size=len(shift)) + shift) * levels / 4) / levels


def only(reference, scores, groups):
    kept = [index for index, group in enumerate(reference.group) if group in groups]
    return (
        Reference(*(tuple(column[index] for index in kept) for column in reference)),
        [scores[index] for index in kept],
    )


@pytest.mark.parametrize("seed", range(4))
def test_threshold_and_recall_equal_the_loop_on_thousands_of_tied_cases(seed):
    draw = np.random.default_rng(seed)
    for _ in range(1000):
        rows = int(draw.integers(2, 60))
        hybrid = draw.random(rows) < 0.4
        hybrid[:2] = [True, False]
        scores = np.round(draw.normal(size=rows) + hybrid, int(draw.integers(0, 2)))
        expected = looped_threshold(scores.tolist(), hybrid.tolist())
        assert operating_threshold(scores, hybrid) == expected
        found = sum(score > expected for score in scores[hybrid]) / hybrid.sum()
        assert recall_above(scores, hybrid, expected) == found


@pytest.mark.parametrize("seed", range(3))
def test_all_columns_equal_the_brute_force(seed):
    draw = np.random.default_rng(100 + seed)
    for _ in range(40):
        reference = random_reference(draw, int(draw.integers(12, 120)))
        scores = random_scores(draw, reference)
        expected = brute_force(reference, scores)
        got = grade(HYBRID, reference, scores.tolist())
        assert got == pytest.approx(expected, rel=0, abs=1e-12)
        assert list(got) == list(HYBRID.keys)
        for key, groups in (("A", ("major", "minor")), ("mimic", ("mimic",))):
            single = grade(TASKS[key], *only(reference, scores, groups))
            shared = set(single) - {"score"}
            assert {name: single[name] for name in shared} == {name: got[name] for name in shared}
        score_a = grade(TASKS["A"], *only(reference, scores, ("major", "minor")))["score"]
        pair = (expected["A_score_major_recall"], expected["A_score_minor_recall"])
        assert score_a == pytest.approx(
            0 if 0 in pair else 2 * pair[0] * pair[1] / sum(pair), rel=0, abs=1e-12
        )
        mimic = grade(TASKS["mimic"], *only(reference, scores, ("mimic",)))
        assert mimic["score"] == mimic["mimic_recall"]


def test_published_labels_are_graded_as_the_brute_force_does():
    if not SHARED.is_file():
        pytest.skip("the published label file is not part of the repository")
    reference = parse_reference(SHARED.read_bytes(), SHARED.name)
    draw = np.random.default_rng(5)
    labels = np.array(reference.hybrid)
    for digits in (1, 2, 4):
        scores = np.round(draw.normal(size=labels.size) + labels, digits)
        got = grade(HYBRID, reference, scores.tolist())
        assert got == pytest.approx(brute_force(reference, scores), rel=0, abs=1e-12)
        assert 0 < got["challenge_score"] < 1


@pytest.mark.parametrize("negatives", [1, 2, 19, 20, 21, 40, 60, 100, 140, 219, 423, 862, 1709])
def test_the_first_count_whose_float_quotient_reaches_095(negatives):
    scores = np.arange(negatives + 1, dtype=float)
    hybrid = scores == negatives
    threshold = operating_threshold(scores, hybrid)
    assert threshold == looped_threshold(scores.tolist(), hybrid.tolist())
    # For these counts the quotient of floats and the exact one agree.
    assert threshold + 1 == math.ceil(Fraction(95, 100) * negatives)


def test_a_tie_at_the_threshold_counts_as_non_hybrid():
    scores = np.array([0.0] * 18 + [1.0, 2.0] + [1.0, 1.0, 1.5, 2.0])
    hybrid = np.array([False] * 20 + [True] * 4)
    assert operating_threshold(scores, hybrid) == 1.0
    assert recall_above(scores, hybrid, 1.0) == 0.5


def test_a_tie_moves_the_threshold_up_over_all_of_it():
    scores = np.array([0.0] * 10 + [1.0] * 10 + [1.0, 2.0])
    hybrid = np.array([False] * 20 + [True] * 2)
    assert operating_threshold(scores, hybrid) == 1.0
    assert recall_above(scores, hybrid, 1.0) == 0.5


def test_a_constant_predictor_scores_zero_and_keeps_its_average_precision():
    reference = random_reference(np.random.default_rng(3), 90)
    result = grade(HYBRID, reference, [0.5] * 90)
    for key in ("challenge_score", "A_score_major_recall", "A_score_minor_recall", "mimic_recall"):
        assert result[key] == 0.0
    mimics = [h for h, g in zip(reference.hybrid, reference.group, strict=True) if g == "mimic"]
    assert result["mimic_PRC_AUC"] == pytest.approx(sum(mimics) / len(mimics))


def test_a_perfect_predictor_scores_one_everywhere():
    reference = random_reference(np.random.default_rng(4), 90)
    result = grade(HYBRID, reference, [float(label) for label in reference.hybrid])
    assert result == pytest.approx(dict.fromkeys(HYBRID.keys, 1.0), abs=1e-12)


# Four cases of the kind that the 2024 programs were checked with: nothing wrong,
# everything wrong, all scores equal, and labels that do not fit the scores.
@pytest.mark.parametrize(
    ("scores", "hybrid", "recall", "precision"),
    [
        ([0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [0, 0, 0, 1, 1, 1], 1.0, 1.0),
        ([0.9, 0.8, 0.7, 0.3, 0.2, 0.1], [0, 0, 0, 1, 1, 1], 0.0, (1 / 4 + 2 / 5 + 3 / 6) / 3),
        ([0.0] * 6, [0, 0, 0, 1, 1, 1], 0.0, 0.5),
        ([0.1, 0.2, 0.3, 0.7, 0.8, 0.9], [0, 0, 1, 0, 1, 1], 2 / 3, (1 + 1 + 3 / 4) / 3),
    ],
)
def test_four_small_cases_by_hand(scores, hybrid, recall, precision):
    values, mask = np.array(scores), np.array(hybrid, dtype=bool)
    assert recall_above(values, mask, operating_threshold(values, mask)) == pytest.approx(recall)
    assert average_precision(values, mask) == pytest.approx(precision, abs=1e-12)


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=12, max_size=40), st.randoms(use_true_random=False))
def test_scores_depend_on_order_alone(values, random):
    reference = random_reference(np.random.default_rng(random.randrange(2**32)), len(values))
    expected = grade(HYBRID, reference, values)
    distinct = sorted(set(values))
    maps = {
        "ranks": [float(index) for index in range(len(distinct))],
        "subnormal": [index * 5e-324 for index in range(len(distinct))],
        "huge": [1.7e308 - (len(distinct) - index) * 2.0e292 for index in range(len(distinct))],
        "neighbours": [],
    }
    step = 0.5
    for _ in distinct:
        maps["neighbours"].append(step)
        step = float(np.nextafter(step, 1.0))
    for name, targets in maps.items():
        assert targets == sorted(set(targets)), name
        mapped = [dict(zip(distinct, targets, strict=True))[value] for value in values]
        assert grade(HYBRID, reference, mapped) == expected, name
    order = list(range(len(values)))
    random.shuffle(order)
    shuffled = Reference(*(tuple(column[index] for index in order) for column in reference))
    assert grade(HYBRID, shuffled, [values[index] for index in order]) == expected


@given(st.lists(finite, min_size=1, max_size=30))
def test_dense_ranks_keep_order_and_ties(values):
    ranks = dense_ranks(np.array(values))
    for left, left_rank in zip(values, ranks, strict=True):
        for right, right_rank in zip(values, ranks, strict=True):
            assert (left < right) == (left_rank < right_rank)
            assert (left == right) == (left_rank == right_rank)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_harmonic_mean_lies_between_smallest_and_largest(values):
    mean = harmonic_mean(values)
    if 0 in values:
        assert mean == 0
    else:
        assert min(values) * (1 - 1e-12) <= mean <= max(values) * (1 + 1e-12)


@pytest.mark.parametrize("values", [[], [0.5, -0.1], [0.5, math.nan], [1.1]])
def test_harmonic_mean_refuses_what_is_no_share(values):
    with pytest.raises(ValueError, match="harmonic mean"):
        harmonic_mean(values)


@pytest.mark.parametrize(
    ("function", "scores", "hybrid"),
    [
        (operating_threshold, [1.0, 2.0], [True, True]),
        (operating_threshold, [1.0, math.nan], [True, False]),
        (operating_threshold, [1.0], [True, False]),
        (average_precision, [1.0, 2.0], [True, True]),
        (average_precision, [1.0, 2.0], [False, False]),
        (average_precision, [1.0, math.inf], [True, False]),
    ],
)
def test_metrics_refuse_undefined_cases(function, scores, hybrid):
    with pytest.raises(ValueError):
        function(np.array(scores), np.array(hybrid))


def test_a_recall_needs_hybrids():
    with pytest.raises(ValueError, match="hybrid"):
        recall_above(np.array([1.0]), np.array([False]), 0.0)


def test_declared_keys_of_the_three_tasks():
    assert TASKS["A"].keys == (
        "score",
        "A_score_major_recall",
        "A_score_minor_recall",
        "A_PRC_AUC",
        "A_PRC_AUC_major",
        "A_PRC_AUC_minor",
    )
    assert TASKS["mimic"].keys == ("score", "mimic_recall", "mimic_PRC_AUC")
    assert TASKS["hybrid"].keys == (
        "challenge_score",
        *TASKS["A"].keys[1:],
        *TASKS["mimic"].keys[1:],
    )
