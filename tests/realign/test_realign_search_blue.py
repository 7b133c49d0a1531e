"""Blue searches against brute force; proofs, gaps, groups, deadlines and checkpoints."""

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError
from mimicry.realign.search.blue import best_models, largest_set
from mimicry.realign.search.blue_bound import bound


def cka_like(models, clusters, seed):
    """A positive semi-definite matrix of cosines with clusters, as CKA of real models has."""
    random = np.random.default_rng(seed)

    def kernel(width):
        features = random.standard_normal((40, width))
        features -= features.mean(0)
        found = (features @ features.T).ravel()
        return found / np.linalg.norm(found)

    common = kernel(20)
    centres = [kernel(int(random.integers(5, 30))) for _ in range(clusters)]
    vectors = [
        random.uniform(0.2, 1) * common
        + random.uniform(0.2, 1) * centres[random.integers(clusters)]
        + random.uniform(0.1, 0.8) * kernel(int(random.integers(5, 50)))
        for _ in range(models)
    ]
    stacked = np.stack(vectors)
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    return stacked @ stacked.T


def mean_of(matrix, members):
    return float(np.mean([matrix[i, j] for i, j in itertools.combinations(members, 2)]))


def allowed(members, groups):
    return len({groups[one] for one in members}) == len(members)


@st.composite
def problems(draw):
    size = draw(st.integers(2, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    half = random.uniform(draw(st.sampled_from([-1.0, 0.0])), 1, (size, size))
    if draw(st.booleans()):
        # Ties everywhere.
        half = np.round(half, 1)
    matrix = np.triu(half, 1)
    matrix = matrix + matrix.T + np.eye(size)
    groups = draw(st.lists(st.integers(0, 6), min_size=size, max_size=size))
    return matrix, groups


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(0, 7))
def test_the_best_models_are_those_of_brute_force(problem, more):
    matrix, groups = problem
    different = len(set(groups))
    if different < 2:
        with pytest.raises(BundleError):
            best_models(matrix, 2, groups=groups)
        return
    count = min(2 + more, different)
    sets = [m for m in itertools.combinations(range(len(matrix)), count) if allowed(m, groups)]
    best = max(mean_of(matrix, members) for members in sets)
    found = best_models(matrix, count, groups=groups)
    assert found.proved and found.stopped == "proved" and found.gap == 0
    assert found.value == pytest.approx(best, abs=1e-9)
    assert found.members in sets
    assert found.value == pytest.approx(mean_of(matrix, found.members), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(problems(), st.floats(-0.5, 1))
def test_the_largest_set_is_that_of_brute_force(problem, threshold):
    matrix, groups = problem
    sets = (
        members
        for count in range(len(matrix), 0, -1)
        for members in itertools.combinations(range(len(matrix)), count)
        if allowed(members, groups)
        and all(matrix[i, j] >= threshold for i, j in itertools.combinations(members, 2))
    )
    found = largest_set(matrix, threshold, groups=groups)
    assert found.proved
    assert found.value == len(found.members) == len(next(sets))
    assert allowed(found.members, groups)
    pairs = itertools.combinations(found.members, 2)
    assert all(matrix[i, j] >= threshold for i, j in pairs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 30))
def test_the_bound_is_never_below_what_can_be_reached(seed, need, steps):
    random = np.random.default_rng(seed)
    weights = random.uniform(-0.2, 1, (6, 6))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    gains = random.uniform(0, 2, 6)
    groups = random.integers(0, 5, 6)
    shares = np.where(groups[:, None] == groups[None, :], -np.inf, weights / 2)
    reached = {
        m: gains[list(m)].sum() + weights[np.ix_(m, m)].sum() / 2
        for m in itertools.combinations(range(6), need)
        if allowed(m, groups)
    }
    found = bound(gains, shares, need, groups, -50.0, steps)
    assert found.value >= max(reached.values(), default=-np.inf) - 1e-9
    for model in range(6):
        of_model = [value for members, value in reached.items() if model in members]
        assert found.with_each[model] >= max(of_model, default=-np.inf) - 1e-9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twenty_of_141_are_proved_and_beat_chance(seed):
    matrix = cka_like(141, 8, seed)
    found = best_models(matrix, 20)
    assert found.proved
    assert found.upper_bound == found.value == pytest.approx(mean_of(matrix, found.members))
    random = np.random.default_rng(0)
    assert found.value > max(mean_of(matrix, random.choice(141, 20, False)) for _ in range(50))
    assert best_models(matrix, 20) == found


def test_a_copy_of_a_model_is_of_no_use():
    matrix = cka_like(30, 3, 5)
    twins = np.concatenate([np.arange(30), [7, 7, 9]])
    doubled = matrix[np.ix_(twins, twins)]
    without = best_models(matrix, 6)
    labels = [f"weights {one}" for one in twins]
    assert best_models(doubled, 6, groups=labels).value == pytest.approx(without.value, abs=1e-12)
    # Without the rule the copies would win.
    assert best_models(doubled, 6).value > without.value
    sizes = [largest_set(m, 0.6, groups=g).value for m, g in ((matrix, None), (doubled, labels))]
    assert sizes[0] == sizes[1]


def test_none_is_a_group_of_its_own():
    assert best_models(np.ones((3, 3)), 3, groups=[None, None, "a"]).members == (0, 1, 2)


@pytest.fixture(scope="module")
def hard():
    """Noise without structure: no proof in a moment."""
    half = np.triu(np.random.default_rng(3).uniform(0, 1, (300, 300)), 1)
    return half + half.T


def test_a_limit_leaves_a_gap_that_is_told(hard):
    limited = best_models(hard, 20, node_limit=5)
    assert (limited.stopped, limited.proved, limited.nodes) == ("node-limit", False, 5)
    assert limited.upper_bound > limited.value and limited.gap > 0
    further = best_models(hard, 20, node_limit=100)
    assert further.value >= limited.value
    assert further.upper_bound < limited.upper_bound


def test_a_deadline_ends_both_searches_in_time(hard):
    for search in (
        lambda deadline: best_models(hard, 20, deadline=deadline),
        lambda deadline: largest_set(hard, 0.1, deadline=deadline),
    ):
        began = time.monotonic()
        found = search(began + 0.3)
        assert time.monotonic() - began < 5
        assert found.stopped == "deadline" and not found.proved
        assert found.upper_bound > found.value > 0


def test_a_deadline_that_has_passed_still_gives_a_set(hard):
    found = best_models(hard, 20, deadline=time.monotonic() - 1)
    assert len(set(found.members)) == 20 and np.isfinite(found.upper_bound)
    assert largest_set(hard, 0.5, deadline=time.monotonic() - 1).value >= 1


@pytest.mark.parametrize("interrupted", [best_models, largest_set])
def test_ctrl_c_gives_the_best_so_far(hard, interrupted, tmp_path):
    seen = []

    def press(where):
        seen.append(where)
        if len(seen) == 3:
            raise KeyboardInterrupt

    what = 20 if interrupted is best_models else 0.1
    state = tmp_path / "state"
    found = interrupted(hard, what, progress=press, checkpoint=state)
    assert found.stopped == "interrupted" and not found.proved
    assert found.value >= seen[0].value and found.upper_bound >= found.value
    assert json.loads(state.read_text())["state"]["members"] == list(found.members)


def test_a_later_run_starts_from_the_best_set_and_the_bound(hard, tmp_path):
    state = tmp_path / "state"
    before = best_models(hard, 20, node_limit=60, checkpoint=state)
    after = best_models(hard, 20, node_limit=0, checkpoint=state)
    assert after.value == before.value
    assert after.upper_bound == pytest.approx(before.upper_bound, abs=1e-12)
    proof = cka_like(40, 4, 1)
    other = tmp_path / "proved"
    whole = best_models(proof, 8, checkpoint=other)
    again = best_models(proof, 8, checkpoint=other)
    assert whole.proved and again.proved and again.members == whole.members
    assert again.nodes == 0


def test_a_checkpoint_of_another_search_is_refused(hard, tmp_path):
    state = tmp_path / "state"
    best_models(hard, 20, node_limit=0, checkpoint=state)
    for search in (
        lambda: best_models(hard, 19, node_limit=0, checkpoint=state),
        lambda: best_models(hard * 0.5, 20, node_limit=0, checkpoint=state),
        lambda: best_models(hard, 20, groups=[0] * 2 + [None] * 298, checkpoint=state),
        lambda: largest_set(hard, 0.5, checkpoint=state),
    ):
        with pytest.raises(BundleError) as raised:
            search()
        assert raised.value.code == "search-checkpoint-other"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="other"),
        lambda d: d.update(state=[]),
        lambda d: d["state"].update(members=[0] * 20),
        lambda d: d["state"].update(members=[*range(19), 400]),
        lambda d: d["state"].update(members=[*range(19)]),
        lambda d: d["state"].update(upper_bound=None),
    ],
)
def test_a_checkpoint_that_no_search_wrote_is_refused(hard, tmp_path, change):
    state = tmp_path / "state"
    best_models(hard, 20, node_limit=0, checkpoint=state)
    document = json.loads(state.read_text())
    change(document)
    state.write_text(json.dumps(document))
    with pytest.raises(BundleError) as raised:
        best_models(hard, 20, node_limit=0, checkpoint=state)
    assert raised.value.code == "search-checkpoint-broken"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    state = tmp_path / "state"
    state.write_bytes(content)
    with pytest.raises(BundleError) as raised:
        best_models(np.ones((3, 3)), 2, checkpoint=state)
    assert raised.value.code == "search-checkpoint-broken"


@pytest.mark.parametrize(("count", "groups"), [(1, None), (5, None), (3, [0, 0, 1, 1])])
def test_a_count_that_cannot_be_chosen_is_refused(count, groups):
    with pytest.raises(BundleError) as raised:
        best_models(np.ones((4, 4)), count, groups=groups)
    assert raised.value.code == "search-count"


@pytest.mark.parametrize(
    "matrix",
    [np.ones((2, 3)), np.array([[1, np.nan], [np.nan, 1]]), np.array([[1, 0.2], [0.3, 1]])],
)
def test_what_is_no_similarity_matrix_is_refused(matrix):
    for search in (lambda: best_models(matrix, 2), lambda: largest_set(matrix, 0.5)):
        with pytest.raises(ValueError):
            search()


def test_the_smallest_and_the_most_uniform_cases():
    assert best_models(np.array([[1, 0.3], [0.3, 1]]), 2).value == 0.3
    assert best_models(np.ones((60, 60)), 20).value == 1
    assert best_models(np.zeros((60, 60)), 20).value == 0
    everything = largest_set(np.ones((300, 300)), 1)
    assert everything.proved and everything.members == tuple(range(300))
    alone = largest_set(np.eye(4), 0.5)
    assert alone.proved and alone.value == 1


def test_a_thousand_models_take_seconds():
    matrix = cka_like(1300, 8, 0)
    began = time.process_time()
    found = best_models(matrix, 20)
    assert found.proved
    assert time.process_time() - began < 30
