"""Published bins against every labelling: none of them may tell a label."""

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.hybrids.published import Bin, _partition, published_bins

# Sizes of the real groups: images, hybrids.
REAL = [(409, 190), (218, 17), (548, 125), (820, 365), (435, 28), (1095, 248)]


def labellings(n, n1):
    for chosen in itertools.combinations(range(n), n1):
        hybrid = np.zeros(n, dtype=bool)
        hybrid[list(chosen)] = True
        yield hybrid


def told_labels(scores, n1, **options):
    """Return how many labels any answer gives away, and how many distinct answers show bins."""
    answers = defaultdict(list)
    for hybrid in labellings(len(scores), n1):
        answers[published_bins(scores, hybrid, **options)].append(hybrid)
    told = 0
    for bins, possible in answers.items():
        if bins:
            share = np.mean(possible, axis=0)
            told += int(np.count_nonzero((share == 0) | (share == 1)))
    return told, sum(1 for bins in answers if bins)


@pytest.mark.parametrize("block", [3, 4, 5])
@pytest.mark.parametrize("n", [6, 8, 9, 10, 11])
def test_no_answer_tells_a_label_of_untied_scores(n, block):
    scores = np.arange(n, dtype=float)
    for n1 in range(1, n):
        told, _ = told_labels(scores, n1, block=block)
        assert told == 0, n1


@pytest.mark.parametrize(
    "scores",
    [
        [9, 8, 7, 7, 7, 6, 5, 4, 3, 3, 2, 1],
        [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0],
        [5, 5, 5, 5, 4, 3, 3, 2, 2, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
    ],
)
def test_no_answer_tells_a_label_of_tied_scores(scores):
    values = np.array(scores, dtype=float)
    shown = 0
    for n1 in range(1, len(scores)):
        for block, cell in ((3, 3), (4, 4)):
            told, bins = told_labels(values, n1, block=block, cell=cell)
            assert told == 0, (n1, block)
            shown += bins
    assert shown


def test_exact_counts_at_the_cuts_would_be_caught():
    # The brute force above can fail: cut as published, but count exactly.
    answers = defaultdict(list)
    for hybrid in labellings(9, 4):
        answers[(hybrid[:3].sum(), hybrid[:6].sum())].append(hybrid)
    shares = [np.mean(possible, axis=0) for possible in answers.values()]
    assert any(((share == 0) | (share == 1)).any() for share in shares)


@pytest.mark.parametrize("n", [48, 50, 53, 55])
def test_no_answer_tells_a_label_with_the_blocks_that_pages_use(n):
    # All labellings with equal counts in the bins get one answer, so one of each will do.
    scores = np.arange(n, 0, -1, dtype=float)
    for n1 in (1, 2, 5, 13, 24, n - 3, n - 1):
        sizes = [each.images for each in published_bins(scores, np.arange(n) < n1)]
        if not sizes:
            continue
        answers = defaultdict(list)
        for counts in itertools.product(*(range(size + 1) for size in sizes[:-1])):
            rest = n1 - sum(counts)
            if 0 <= rest <= sizes[-1]:
                every = (*counts, rest)
                hybrid = np.concatenate(
                    [np.arange(size) < count for size, count in zip(sizes, every, strict=True)]
                )
                answers[published_bins(scores, hybrid)].append(every)
        for possible in answers.values():
            assert (np.max(possible, axis=0) > 0).all()
            assert (np.min(possible, axis=0) < sizes).all()


def forced(partition, hybrid):
    """Return whether a label follows from the cells, by bounds passed forward and back."""
    width, first, cuts = partition
    n, n1 = len(hybrid), int(hybrid.sum())
    places = [0, *cuts, n]
    counts = np.concatenate([[0], np.cumsum(hybrid)])[places]
    lows = (counts + first) // width * width - first
    bounds = [[0, 0], *([low, low + width - 1] for low in lows[1:-1]), [n1, n1]]
    for step in (1, -1):
        for k in range(1, len(places))[::step]:
            size = places[k] - places[k - 1]
            before, after = bounds[k - 1], bounds[k]
            if step == 1:
                after[:] = max(after[0], before[0]), min(after[1], before[1] + size)
            else:
                before[:] = max(before[0], after[0] - size), min(before[1], after[1])
    # The bounds are tight now: every value in them has neighbours that fit.
    for k in range(1, len(places)):
        size = places[k] - places[k - 1]
        (low0, high0), (low1, high1) = bounds[k - 1], bounds[k]
        if min(size, high1 - low0) <= 0 or max(0, low1 - high0) >= size:
            return True
    return False


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_label_follows_from_cells_of_any_size(data):
    # Rankings in runs, from perfect to inverted: where counts are tightest.
    runs = data.draw(st.lists(st.integers(1, 60), min_size=2, max_size=7))
    start = data.draw(st.booleans())
    hybrid = np.concatenate([np.full(run, (k % 2 == 0) == start) for k, run in enumerate(runs)])
    n = len(hybrid)
    block = data.draw(st.integers(6, 14))
    ends = np.arange(1, n)
    if data.draw(st.booleans()):
        ends = ends[np.random.default_rng(n).random(len(ends)) < 0.6]
    partition = _partition(ends, n, int(hybrid.sum()), block, 3)
    if partition.cuts:
        assert not forced(partition, hybrid)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=1, max_size=120),
    st.integers(3, 14),
)
def test_bins_add_up_and_keep_ties_together(rows, block):
    scores = np.array([score for score, _ in rows], dtype=float)
    hybrid = np.array([label for _, label in rows])
    bins = published_bins(scores, hybrid, block=block)
    if not bins:
        return
    assert all(isinstance(each, Bin) and 0 <= each.hybrids <= each.images for each in bins)
    assert sum(each.images for each in bins) == len(rows)
    assert sum(each.hybrids for each in bins) == hybrid.sum()
    assert min(each.images for each in bins) >= block
    ordered = np.sort(scores)[::-1]
    cuts = np.cumsum([each.images for each in bins])[:-1]
    assert (ordered[cuts - 1] > ordered[cuts]).all()
    # Only the order counts, of scores and of rows that it does not tell apart.
    back = np.arange(len(rows))[::-1]
    assert published_bins(scores[back] ** 3 * 1e300, hybrid[back], block=block) == bins


@given(st.permutations(range(40)), st.integers(1, 39), st.integers(0, 2**32 - 1))
def test_cuts_do_not_depend_on_labels(order, n1, seed):
    scores = np.array(order, dtype=float)
    draw = np.random.default_rng(seed)
    first, second = (draw.permutation(40) < n1 for _ in range(2))
    sizes = [[each.images for each in published_bins(scores, h)] for h in (first, second)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("n", "n1"), REAL)
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 3.0])
def test_curves_of_real_sizes_stay_close(n, n1, shift):
    for seed in range(20):
        draw = np.random.default_rng(seed)
        hybrid = np.arange(n) < n1
        scores = draw.normal(size=n) + shift * hybrid
        bins = published_bins(scores, hybrid)
        assert len(bins) >= 0.8 * n / 12 - 2
        found = np.cumsum([0, *(each.hybrids for each in bins)]) / n1
        false = np.cumsum([0, *(each.images - each.hybrids for each in bins)]) / (n - n1)
        above = scores[hybrid][:, None] > scores[~hybrid]
        area = ((found[1:] + found[:-1]) / 2 * np.diff(false)).sum()
        # Of 17 hybrids a cell of four is a quarter.
        allowed = 0.02 if n1 > 100 else 0.08
        assert area == pytest.approx(above.mean(), abs=allowed)


def test_nothing_is_told_of_what_is_too_small_or_too_much_tied():
    hybrid = np.arange(100) < 30
    assert published_bins(np.zeros(100), hybrid) == ()
    assert published_bins(np.arange(20.0), hybrid[:20] & (np.arange(20) < 5)) == ()
    assert published_bins(np.arange(100.0), np.zeros(100, dtype=bool)) == ()
    for few in (1, 2):
        assert published_bins(np.arange(100.0), np.arange(100) < few) == ()
    assert published_bins(np.arange(100.0), np.arange(100) < 3) != ()
    assert published_bins(np.arange(100.0), np.ones(100, dtype=bool)) == ()
    assert published_bins(np.arange(0.0), np.zeros(0, dtype=bool)) == ()


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        ([1.0, np.nan], {}),
        ([1.0, 2.0, 3.0], {}),
        ([1.0, 2.0], {"cell": 2}),
        ([1.0, 2.0], {"cell": 7}),
        ([1.0, 2.0], {"block": 2}),
    ],
)
def test_what_cannot_be_told_is_refused(scores, options):
    with pytest.raises(ValueError):
        published_bins(np.array(scores), np.array([True, False]), **options)
