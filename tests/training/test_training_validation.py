"""Validation: who is held out, and figures that are the scorer's own."""

import importlib
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from mimicry.errors import SubmissionError
from mimicry.hybrids import metrics
from mimicry.hybrids.reference import Reference

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = HealthCheck.function_scoped_fixture


@pytest.fixture
def validation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    return importlib.import_module("validation")


def animals(pure: dict[int, int], crosses: dict[str, int]) -> list[object]:
    """Rows of a table; feature 0 of animal i is i, so that a head can tell who is who."""
    from tables import Row

    found = [
        Row(f"p{kind}-{i}.jpg", False, kind, "", None, None)
        for kind, count in pure.items()
        for i in range(count)
    ]
    return found + [
        Row(f"h{cross}-{i}.jpg", True, -1, cross, None, None)
        for cross, count in crosses.items()
        for i in range(count)
    ]


class Spy:
    """A head that notes whom it was fitted on and whom it scored, fold by fold."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores
        self.folds: list[tuple[set[int], list[int]]] = []

    def fit(self, features: np.ndarray, subspecies: np.ndarray) -> dict[str, np.ndarray]:
        self.folds.append((set(features[:, 0].astype(int)), []))
        return {"shift": np.array(1000.0 * len(self.folds))}

    def score(self, features: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
        who = features[:, 0].astype(int)
        self.folds[-1][1].extend(who)
        # Another scale in each fold: nothing may compare scores of two folds.
        return self.scores[who] + weights["shift"]


def spied(validation: ModuleType, scores: np.ndarray, *, needs_hybrids: bool = True):
    spy = Spy(np.asarray(scores, dtype=np.float64))
    return spy, validation.Head("spy", spy.fit, spy.score, needs_hybrids)


def numbered(rows: list[object]) -> np.ndarray:
    return np.arange(len(rows), dtype=np.float32)[:, None]


def perfect(rows: list[object]) -> np.ndarray:
    return np.array([float(row.hybrid) for row in rows])


def test_intervals_are_wilsons(validation):
    for count in (1, 2, 17, 36, 500):
        for found in {0, 1, count // 3, count - 1, count}:
            expected = binomtest(found, count).proportion_ci(method="wilson")
            low, high = validation.wilson(found, count)
            assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
            assert 0 <= low <= found / count <= high <= 1
    for found, count in ((1, 0), (2, 1), (-1, 3)):
        with pytest.raises(ValueError, match="no share"):
            validation.wilson(found, count)


@settings(max_examples=60, deadline=None, suppress_health_check=[FIXTURE])
@given(
    pure=st.dictionaries(st.integers(0, 14), st.integers(1, 12), min_size=1, max_size=8),
    crosses=st.dictionaries(st.sampled_from(["1 x 2", "10 x 11", "8 x 9"]), st.integers(1, 9)),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_folds_have_equal_shares_of_everything(validation, pure, crosses, folds, seed):
    rows = animals(pure, crosses)
    kinds = np.array([row.cross or str(row.subspecies) for row in rows])
    dealt = validation.deal(kinds, folds, seed)
    hybrid = perfect(rows) == 1
    for group in (hybrid, ~hybrid, *(kinds == kind for kind in set(kinds))):
        sizes = np.bincount(dealt[group], minlength=folds)
        assert len(sizes) == folds and sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(dealt, validation.deal(kinds, folds, seed))


@pytest.mark.parametrize("pure", [{8: 40, 9: 20, 6: 2, 12: 2, 3: 1}, {1: 3, 2: 2}])
def test_everybody_is_held_out_once(validation, pure):
    rows = animals(pure, {"8 x 9": 12})
    spy, head = spied(validation, perfect(rows))
    recall = validation.seen_crosses(head, numbered(rows), rows)
    assert recall.share == 1.0 and recall.hybrids == 12 and recall.average_precision == 1.0
    assert len(spy.folds) == 5
    assert Counter(who for _, held_out in spy.folds for who in held_out) == Counter(
        range(len(rows))
    )
    for known, held_out in spy.folds:
        assert known == set(range(len(rows))) - set(held_out)


def test_hybrids_of_an_unseen_cross_are_not_trained_on(validation):
    rows = animals({8: 30, 9: 20, 5: 10}, {"8 x 9": 12, "5 x 8": 3, "5 x 9": 1})
    spy, head = spied(validation, perfect(rows))
    figures = validation.unseen_crosses(head, numbered(rows), rows)
    assert list(figures) == ["5 x 8", "5 x 9", "8 x 9"]
    assert [figures[cross].hybrids for cross in figures] == [3, 1, 12]
    assert all(recall.share == 1.0 for recall in figures.values())
    # Folds come cross after cross; one without hybrids of the cross is not judged.
    assert len(spy.folds) == 3 + 1 + 5
    held_out_hybrids: Counter[str] = Counter()
    for known, held_out in spy.folds:
        (cross,) = {rows[who].cross for who in held_out} - {""}
        assert not any(rows[who].cross == cross for who in known)
        assert any(rows[who].hybrid for who in known)
        assert not known & set(held_out)
        held_out_hybrids.update(rows[who].filename for who in held_out if rows[who].hybrid)
    assert set(held_out_hybrids.values()) == {1} and len(held_out_hybrids) == 16


def test_without_another_cross_there_is_no_figure_for_what_learns_from_hybrids(validation):
    rows = animals({8: 30, 9: 20}, {"8 x 9": 12})
    spy, head = spied(validation, perfect(rows))
    assert validation.unseen_crosses(head, numbered(rows), rows) == {"8 x 9": None}
    assert spy.folds == []
    spy, head = spied(validation, perfect(rows), needs_hybrids=False)
    (recall,) = validation.unseen_crosses(head, numbered(rows), rows).values()
    assert recall.share == 1.0 and recall.hybrids == 12
    assert all(not rows[who].hybrid for known, _ in spy.folds for who in known)


def test_each_fold_is_judged_at_the_scorers_threshold(validation):
    rows = animals({8: 100, 9: 80}, {"8 x 9": 40})
    scores = np.random.default_rng(3).normal(size=len(rows)) + 1.5 * perfect(rows)
    spy, head = spied(validation, scores)
    recall = validation.seen_crosses(head, numbered(rows), rows, seed=5)
    found = 0
    areas = []
    for _, held_out in spy.folds:
        some = scores[held_out]
        truth = np.array([rows[who].hybrid for who in held_out])
        threshold = metrics.operating_threshold(some, truth)
        found += int((some[truth] > threshold).sum())
        areas.append(metrics.average_precision(some, truth))
    assert recall.found == found and 0 < found < 40
    assert recall.average_precision == pytest.approx(np.mean(areas))


def test_a_constant_head_finds_nothing(validation):
    rows = animals({8: 20, 9: 20}, {"8 x 9": 10})
    _, head = spied(validation, np.zeros(len(rows)))
    assert validation.seen_crosses(head, numbered(rows), rows).found == 0


@pytest.mark.parametrize(
    ("pure", "crosses", "code"),
    [
        ({8: 9}, {}, "too-few-hybrids"),
        ({8: 9}, {"8 x 9": 1}, "too-few-hybrids"),
        ({8: 1}, {"8 x 9": 5}, "too-few-pure"),
    ],
)
def test_too_few_animals_are_told(validation, pure, crosses, code):
    rows = animals(pure, crosses)
    _, head = spied(validation, perfect(rows), needs_hybrids=False)
    with pytest.raises(SubmissionError) as caught:
        validation.seen_crosses(head, numbered(rows), rows)
    assert caught.value.code == code
    if not crosses or sum(pure.values()) < 2:
        with pytest.raises(SubmissionError) as caught:
            validation.unseen_crosses(head, numbered(rows), rows)
        assert caught.value.code == code


def test_a_bundles_data_are_graded_as_the_scorer_does(validation):
    draw = np.random.default_rng(7)
    group = draw.choice(["major", "minor", "mimic"], 600)
    hybrid = draw.random(600) < 0.3
    scores = draw.normal(size=600) + hybrid
    names = tuple(f"{i}.jpg" for i in range(600))
    reference = Reference(names, tuple(hybrid.tolist()), tuple(group.tolist()))
    recalls, columns = validation.grade_bundle(scores, reference)
    in_a = group != "mimic"
    for name, whole in (("major", in_a), ("minor", in_a), ("mimic", ~in_a)):
        threshold = metrics.operating_threshold(scores[whole], hybrid[whole])
        chosen = hybrid & (group == name)
        assert recalls[name].hybrids == chosen.sum()
        assert recalls[name].found == (scores[chosen] > threshold).sum()
    assert columns["challenge_score"] == pytest.approx(
        metrics.harmonic_mean([recall.share for recall in recalls.values()])
    )
