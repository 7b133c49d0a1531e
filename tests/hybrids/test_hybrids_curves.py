"""Curves of binned rankings."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimicry.hybrids.curves import merged, precision_recall_points, roc_points, stretches
from mimicry.hybrids.metrics import average_precision
from mimicry.hybrids.published import Bin

# Davis and Goadrich (2006), section 4: 20 positives, 2,000 negatives; between (TP 5, FP 5) and
# (TP 10, FP 30) precision is not linear in recall.
PAPER = (Bin(10, 5), Bin(30, 5), Bin(1980, 10))
PAPER_PRECISION = {0.25: 0.5, 0.3: 0.375, 0.35: 0.318, 0.4: 0.286, 0.45: 0.265, 0.5: 0.25}


@st.composite
def binned(draw):
    """Draw bins with at least one hybrid and one non-hybrid in all."""
    pairs = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
    bins = [Bin(*pair) for pair in draw(st.lists(pairs, min_size=1, max_size=40))]
    at = draw(st.integers(0, len(bins)))
    bins.insert(at, Bin(2, 1))
    return tuple(bins)


@pytest.mark.parametrize(("recall", "precision"), PAPER_PRECISION.items())
def test_precision_between_bins_is_that_of_davis_and_goadrich(recall, precision):
    recalls, precisions = zip(*precision_recall_points(PAPER), strict=True)
    # Between points the picture has straight lines. One from 0.25 to 0.5 would be off by 0.07.
    assert np.interp(recall, recalls, precisions) == pytest.approx(precision, abs=0.012)


def test_a_bin_of_one_image_each_gives_the_exact_curves():
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 2, 60).astype(bool)
    bins = [Bin(1, int(label)) for label in labels]
    found, false = np.cumsum(labels), np.cumsum(~labels)
    exact = [(0, 0), *zip(false / false[-1], found / found[-1], strict=True)]
    assert np.array(roc_points(bins)) == pytest.approx(np.array(exact))
    points = precision_recall_points(bins)
    # The borders of the bins are among the points, and average precision is their sum.
    borders = list(zip(found / found[-1], found / (found + false), strict=True))
    for border in borders:
        assert any(border == pytest.approx(point) for point in points)
    area = sum(
        precision * (label / found[-1])
        for (_, precision), label in zip(borders, labels, strict=True)
    )
    assert area == pytest.approx(average_precision(-np.arange(60.0), labels))


@given(binned())
def test_curves_keep_within_the_square_and_never_turn_back(bins):
    roc, precision = roc_points(bins), precision_recall_points(bins)
    assert roc[0] == (0, 0) and roc[-1] == (1, 1)
    assert precision[-1][0] == 1
    for points in (roc, precision):
        assert all(0 <= x <= 1 + 1e-12 and 0 <= y <= 1 + 1e-12 for x, y in points)
        assert all(a[0] <= b[0] + 1e-12 for a, b in pairwise(points))
    assert all(a[1] <= b[1] for a, b in pairwise(roc))


@given(binned(), st.integers(1, 50))
def test_merging_keeps_the_counts(bins, most):
    fewer = merged(bins, most)
    assert len(fewer) <= max(most, 1) + 1
    assert sum(each.images for each in fewer) == sum(each.images for each in bins)
    assert sum(each.hybrids for each in fewer) == sum(each.hybrids for each in bins)
    assert set(roc_points(fewer)) <= set(roc_points(bins))


@given(binned())
def test_stretches_hold_everything_once(bins):
    hybrids, others = stretches(bins)
    assert len(hybrids) == len(others) == min(10, len(bins))
    assert sum(hybrids) == pytest.approx(1) and sum(others) == pytest.approx(1)
    assert min(hybrids + others) >= -1e-12


def test_stretches_begin_with_the_lowest_scores():
    hybrids, others = stretches([Bin(10, 10), Bin(10, 0)])
    assert (hybrids, others) == ((0, 1), (1, 0))


def test_without_bins_there_are_no_curves():
    assert roc_points(()) == precision_recall_points(()) == merged(()) == ()
    assert stretches(()) == ((), ())
