"""Intervals: against scipy, against themselves in other company, and against known truths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm

from mimicry.hybrids.grading import grade
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS
from mimicry.hybrids.uncertainty import draw_scores, interval, wilson_interval

VALIDATION = {"major": (219, 190), "minor": (201, 17), "mimic": (423, 125)}
SMALL = {"major": (30, 12), "minor": (25, 5), "mimic": (41, 9)}
HYBRID = TASKS["hybrid"]


def reference_of(sizes):
    rows = [
        (group, label)
        for group, counts in sizes.items()
        for label, count in zip((False, True), counts, strict=True)
        for _ in range(count)
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    return Reference(
        tuple(f"{index}.jpg" for index in range(len(rows))),
        tuple(rows[index][1] for index in order),
        tuple(rows[index][0] for index in order),
    )


def made_scores(reference, shift, seed):
    noise = np.random.default_rng(seed).normal(size=len(reference.hybrid))
    return (noise + shift * np.array(reference.hybrid)).tolist()


@given(st.integers(1, 2000), st.data())
def test_wilson_equals_scipy(of, data):
    found = data.draw(st.integers(0, of))
    low, high = wilson_interval(found, of)
    expected = binomtest(found, of).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= found / of <= high <= 1
    assert (low == 0, high == 1) == (found == 0, found == of)


@pytest.mark.parametrize(("found", "of"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_share(found, of):
    with pytest.raises(ValueError, match="share"):
        wilson_interval(found, of)


def test_an_interval_holds_the_middle_and_the_estimate():
    draws = np.linspace(0, 1, 1001)
    assert interval(draws, 0.5) == pytest.approx((0.025, 0.975))
    assert interval(draws, 0.99) == pytest.approx((0.025, 0.99))
    assert interval(draws, -0.5) == pytest.approx((-0.5, 0.975))
    with pytest.raises(ValueError, match="draws"):
        interval(np.zeros(0), 0.5)


@pytest.mark.parametrize("key", ["A", "mimic", "hybrid"])
def test_a_submission_has_the_same_draws_in_any_company(key):
    reference = reference_of(SMALL)
    scores = [made_scores(reference, shift, seed) for seed, shift in enumerate((1, 2, 3, 0, 2))]
    every = draw_scores(TASKS[key], reference, scores)
    for index, own in enumerate(scores):
        alone = draw_scores(TASKS[key], reference, [own])
        assert np.array_equal(every.one(index), alone.one(0))
    others = draw_scores(TASKS[key], reference, scores[2:])
    for mine, theirs in zip(every.pair(2, 4), others.pair(0, 2), strict=True):
        assert np.array_equal(mine, theirs)
    for forward, back in zip(every.pair(1, 3), every.pair(3, 1)[::-1], strict=True):
        assert np.array_equal(forward, back)


def test_company_makes_no_difference_where_weights_come_in_parts():
    sizes = {group: (20 * others, 20 * hybrids) for group, (others, hybrids) in SMALL.items()}
    reference = reference_of(sizes)
    assert len(reference.hybrid) > 2000
    scores = [made_scores(reference, shift, seed) for seed, shift in enumerate((1, 2))]
    every = draw_scores(HYBRID, reference, scores, draws=900)
    assert np.array_equal(
        every.one(1), draw_scores(HYBRID, reference, scores[1:], draws=900).one(0)
    )


def test_draws_follow_their_seed_and_number():
    reference = reference_of(SMALL)
    scores = [made_scores(reference, 2, 1)]
    first = draw_scores(HYBRID, reference, scores, draws=50).one(0)
    assert first.shape == (50,) and np.unique(first).size > 40
    assert np.array_equal(first, draw_scores(HYBRID, reference, scores, draws=50, seed=0).one(0))
    assert not np.array_equal(
        first, draw_scores(HYBRID, reference, scores, draws=50, seed=1).one(0)
    )


def test_more_images_get_fewer_draws_but_never_few():
    reference = reference_of(SMALL)
    assert draw_scores(HYBRID, reference, []).total.shape == (3, 4000)
    large = reference_of({"mimic": (90_000, 70_000)})
    assert draw_scores(TASKS["mimic"], large, []).total.shape == (1, 400)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-3, 3), min_size=122, max_size=122),
    st.sampled_from(["A", "mimic", "hybrid"]),
)
def test_only_order_counts_and_draws_are_shares(values, key):
    reference = reference_of(SMALL)
    scores = [float(value) for value in values]
    order = {value: rank for rank, value in enumerate(sorted(set(scores)))}
    huge = [1.7e308 - (len(order) - order[value]) * 2e292 for value in scores]
    tiny = [order[value] * 5e-324 for value in scores]
    draws = draw_scores(TASKS[key], reference, [scores, huge, tiny], draws=60)
    expected = draws.one(0)
    assert np.isfinite(expected).all() and (expected >= 0).all() and (expected <= 1).all()
    assert np.array_equal(expected, draws.one(1))
    assert np.array_equal(expected, draws.one(2))


def test_a_constant_a_perfect_and_an_inverted_ranking():
    reference = reference_of(VALIDATION)
    labels = np.array(reference.hybrid, dtype=float)
    scores = [np.zeros(labels.size), labels, -labels]
    draws = draw_scores(HYBRID, reference, [each.tolist() for each in scores])
    for index, estimate in ((0, 0.0), (1, 1.0), (2, 0.0)):
        low, high = interval(draws.one(index), estimate)
        assert low <= estimate <= high
        assert 0.005 < high - low < 0.25
    # Both find everything: the pseudo-hybrids alone let them differ.
    twice = draw_scores(HYBRID, reference, [scores[1].tolist()] * 2)
    first, second = twice.pair(0, 1)
    low, high = interval(first - second, 0.0)
    assert -0.2 < low < 0 < high < 0.2


def test_where_the_threshold_is_certain_a_recall_is_drawn_from_jeffreys_posterior():
    # Two levels only: no other non-hybrids could move the threshold.
    reference = reference_of({"mimic": (400, 40)})
    seen = 0
    scores = []
    for label in reference.hybrid:
        seen += label
        scores.append(1.0 if label and seen <= 30 else 0.0)
    draws = draw_scores(TASKS["mimic"], reference, [scores], draws=20_000).one(0)
    expected = beta(30.5, 10.5)
    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert np.quantile(draws, share) == pytest.approx(expected.ppf(share), abs=0.006)


def test_the_threshold_moves_as_other_non_hybrids_would_move_it():
    # Hybrids all at a place of their own between the non-hybrids: only thresholds decide
    # whether they are found. The place is exceeded by 15 of 400, 20 may exceed.
    reference = reference_of({"mimic": (400, 3000)})
    others = np.linspace(0, 1, 400)
    scores = np.empty(3400)
    labels = np.array(reference.hybrid)
    scores[~labels] = others
    scores[labels] = (others[-16] + others[-15]) / 2
    draws = draw_scores(TASKS["mimic"], reference, [scores.tolist()], draws=20_000).one(0)
    lost = (draws < 0.5).mean()
    # Fewer than 15 above a threshold that 20 exceed on average.
    assert lost == pytest.approx(norm.cdf((15 - 20) / math.sqrt(400 * 0.05 * 0.95)), abs=0.03)


def test_draws_of_a_pair_share_their_images():
    reference = reference_of(VALIDATION)
    base = np.array(made_scores(reference, 1.5, 1))
    near = (base + 0.05 * np.random.default_rng(2).normal(size=base.size)).tolist()
    far = made_scores(reference, 1.5, 3)
    draws = draw_scores(HYBRID, reference, [base.tolist(), near, far])
    together = np.std(np.subtract(*draws.pair(0, 1)))
    apart = np.std(np.subtract(*draws.pair(0, 2)))
    assert together < 0.6 * apart
    # Alone or in a pair, the distribution is one and the same.
    for share in (0.1, 0.5, 0.9):
        alone = np.quantile(draws.one(0), share)
        assert np.quantile(draws.pair(0, 2)[0], share) == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize(
    ("sizes", "scores", "options"),
    [
        (SMALL, [0.0] * 121, {}),
        (SMALL, [0.0] * 121 + [math.inf], {}),
        (SMALL, [0.0] * 122, {"draws": 0}),
        (SMALL | {"minor": (25, 0)}, [0.0] * 117, {}),
        (SMALL | {"mimic": (0, 9)}, [0.0] * 81, {}),
    ],
)
def test_what_cannot_be_drawn_is_refused(sizes, scores, options):
    with pytest.raises(ValueError):
        draw_scores(HYBRID, reference_of(sizes), [scores], **options)


# Signal, non-signal, mimic: how much higher hybrids score, in standard deviations.
@pytest.mark.parametrize("shifts", [(1.2, 0.9, 1.1), (2.8, 1.8, 2.4)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(shifts):
    """A small simulation; benchmarks/coverage.py has the full one.

    With 400 sets a share of 95 % has a standard error of 1.1 points; the bounds leave
    three and more, and what docs/uncertainty.md says of differences.
    """
    sets, held = 400, np.zeros(3)
    reference = reference_of(VALIDATION)
    hybrid, group = np.array(reference.hybrid), np.array(reference.group)
    gains = np.zeros(len(hybrid))
    for name, shift in zip(VALIDATION, shifts, strict=True):
        gains[hybrid & (group == name)] = shift
    recalls = [float(norm.sf(norm.isf(0.05) - shift)) for shift in shifts]
    truth = len(recalls) / sum(1 / recall for recall in recalls)
    random = np.random.default_rng(1)
    mimics = np.flatnonzero(group == "mimic")
    for _ in range(sets):
        common = 0.7 * random.standard_normal(len(hybrid))
        first, second = (
            gains + common + math.sqrt(0.51) * random.standard_normal(len(hybrid)) for _ in range(2)
        )
        draws = draw_scores(HYBRID, reference, [first.tolist(), second.tolist()], draws=800)
        estimates = [plain_score(each, hybrid, group) for each in (first, second)]
        low, high = interval(draws.one(0), estimates[0])
        held[0] += low <= truth <= high
        low, high = interval(np.subtract(*draws.pair(0, 1)), estimates[0] - estimates[1])
        held[1] += low <= 0 <= high
        threshold = np.sort(first[mimics][~hybrid[mimics]])[401]
        found = int((first[mimics][hybrid[mimics]] > threshold).sum())
        low, high = wilson_interval(found, 125)
        held[2] += low <= norm.sf(threshold - shifts[2]) <= high
    score, difference, wilson = held / sets
    assert 0.915 <= score <= 0.985
    assert 0.925 <= difference <= 0.995
    assert 0.915 <= wilson <= 0.985


def plain_score(scores, hybrid, group):
    """The challenge score in a few lines: k-th smallest non-hybrid, strictly above it."""
    recalls = []
    for species, names in (("A", ("major", "minor")), ("mimic", ("mimic",))):
        member = group == "mimic" if species == "mimic" else group != "mimic"
        others = np.sort(scores[member & ~hybrid])
        threshold = others[math.ceil(0.95 * others.size) - 1]
        recalls += [(scores[hybrid & (group == name)] > threshold).mean() for name in names]
    return 0.0 if 0 in recalls else 3 / sum(1 / recall for recall in recalls)


def test_the_plain_score_is_the_graded_one():
    reference = reference_of(VALIDATION)
    scores = made_scores(reference, 1.5, 8)
    graded = grade(HYBRID, reference, scores)["challenge_score"]
    hybrid, group = np.array(reference.hybrid), np.array(reference.group)
    assert plain_score(np.array(scores), hybrid, group) == pytest.approx(graded, abs=1e-12)
