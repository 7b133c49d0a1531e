"""Red searches: exact steps, against brute force and annealing; groups, limits, checkpoints."""

import itertools
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from realign_annealing import annealed, mean_cka_naive

from mimicry.errors import BundleError
from mimicry.realign.search import red_pool
from mimicry.realign.search.red import best_stimuli, mean_cka_of
from mimicry.realign.search.red_data import open_sources
from mimicry.realign.search.red_kernels import Kernels
from mimicry.realign.search.red_state import State
from mimicry.similarity import mean_pairwise, similarity_matrix

ROOT = Path(__file__).resolve().parents[2]
CIFAR = ROOT.parent / "shared" / "data" / "cifar10"
ENTRY_POINT = ROOT / "examples" / "realign" / "cifar_resnet.py"


def made(stimuli=200, widths=(8, 20, 300), seed=0, dtype=np.float32):
    """Features of several models that share a part, with offsets and different scales."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((stimuli, 6))
    features = []
    for number, width in enumerate(widths):
        mixed = np.maximum(common @ random.standard_normal((6, width)), 0)
        own = random.standard_normal((stimuli, width)) * random.uniform(0.2, 1)
        features.append(((mixed + own + number) * 10.0 ** (number - 1)).astype(dtype))
    return features


def opened(features, dtype="float64"):
    return open_sources(features, np.dtype(dtype))[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(4, 12))
def test_every_score_of_a_step_is_that_of_the_definition(seed, models, count):
    random = np.random.default_rng(seed)
    # Narrow models keep features, wide ones kernels.
    features = made(24, tuple(random.integers(1, 40, models)), seed)
    members = random.choice(24, count, replace=False)
    state = State(Kernels(opened(features), np.arange(24)), members)
    assert state.value() == pytest.approx(mean_cka_naive(features, members), abs=1e-11)
    without = state.without_each()
    for place, member in enumerate(members):
        rest = members[members != member]
        assert without[place] == pytest.approx(mean_cka_naive(features, rest), abs=1e-10)
    added = state.with_each()
    for one in np.setdiff1d(np.arange(24), members):
        more = np.append(members, one)
        assert added[one] == pytest.approx(mean_cka_naive(features, more), abs=1e-10)


def test_sums_do_not_drift_over_thousands_of_swaps():
    features = made()
    kernels = Kernels(opened(features), np.arange(200))
    random = np.random.default_rng(1)
    state = State(kernels, random.choice(200, 40, replace=False))
    for _ in range(2000):
        state.remove(int(random.choice(state.chosen)))
        state.add(int(random.choice(np.setdiff1d(np.arange(200), state.chosen))))
    fresh = State(kernels, state.chosen)
    assert np.allclose(state.products, fresh.products, rtol=1e-10, atol=1e-10)
    assert np.allclose(state.sums, fresh.sums, rtol=1e-10, atol=1e-10)
    assert np.allclose(state.with_each(), fresh.with_each(), rtol=0, atol=1e-10)
    assert state.value() == pytest.approx(mean_cka_naive(features, state.chosen), abs=1e-10)


def test_going_back_leaves_no_trace():
    state = State(Kernels(opened(made()), np.arange(200)), np.arange(30))
    before = state.with_each()
    saved = state.saved()
    state.remove(3)
    state.add(100)
    state.restore(saved)
    assert np.array_equal(state.with_each(), before)


# A search without a proof: the same examples always, so that it fails for a change only.
@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(3, 5), st.booleans())
def test_small_searches_find_what_brute_force_finds(seed, count, twins):
    features = made(11, (3, 5), seed)
    labels = [0, 0, 1, 1, *range(2, 9)] if twins else list(range(11))
    best = min(
        mean_cka_naive(features, members)
        for members in itertools.combinations(range(11), count)
        if len({labels[one] for one in members}) == count
    )
    found = best_stimuli(features, count, groups=labels, random_starts=8, patience=60)
    assert len({labels[one] for one in found.members}) == count
    assert found.value == pytest.approx(mean_cka_naive(features, found.members), abs=1e-10)
    assert found.value == pytest.approx(best, abs=1e-9)


def test_the_value_is_that_of_the_metric():
    features = made()
    found = best_stimuli(features, 30, patience=3)
    chosen = [one[list(found.members)] for one in features]
    expected = mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64"))
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.score == 1 - found.value
    assert found.stopped == "settled" and len(set(found.members)) == 30


def test_the_result_is_far_from_chance_and_from_any_single_class():
    features = made()
    classes = [f"class {row % 5}" for row in range(200)]
    found = best_stimuli(features, 30, classes=classes, patience=5)
    random = np.random.default_rng(0)
    chance = [mean_cka_naive(features, random.choice(200, 30, False)) for _ in range(50)]
    single = [mean_cka_naive(features, np.arange(one, 200, 5)[:30]) for one in range(5)]
    assert found.value < min(chance) - 0.05
    assert found.value < min(single) - 0.05


def test_a_class_is_a_start_and_never_lost():
    features = made()
    classes = [f"class {row % 5}" for row in range(200)]
    only = best_stimuli(features, 40, classes=classes, swap_limit=0)
    assert only.stopped == "swap-limit" and only.swaps == 0
    starts = []
    best_stimuli(features, 40, classes=classes, patience=1, progress=lambda w: starts.append(w))
    begun = [w.current for w in starts if w.descents == 1]
    single = min(mean_cka_naive(features, np.arange(one, 200, 5)) for one in range(5))
    assert begun[0] == pytest.approx(single, abs=1e-9)


def test_the_same_seed_takes_the_same_walk():
    features = made()
    one, same, other = (best_stimuli(features, 30, seed=seed, patience=4) for seed in (1, 1, 2))
    assert one == same
    assert other.swaps != one.swaps


@pytest.mark.parametrize("parts", [False, True])
@pytest.mark.parametrize("stops", [(5,), (64,), (40, 90, 150)])
def test_a_walk_goes_on_as_if_it_had_never_ended(tmp_path, monkeypatch, parts, stops):
    features = made(400)
    options = {"swap_limit": 220, "patience": 6}
    if parts:
        monkeypatch.setattr(red_pool, "_PART", 150)
        options["memory"] = 2**16
    whole = best_stimuli(features, 30, **options)
    state = tmp_path / "state"
    for stop in stops:
        cut = best_stimuli(features, 30, **options | {"swap_limit": stop}, checkpoint=state)
        assert cut.swaps <= stop
    assert best_stimuli(features, 30, **options, checkpoint=state) == whole
    # Once more, from the end.
    again = best_stimuli(features, 30, **options, checkpoint=state)
    assert (again.members, again.value) == (whole.members, whole.value)


def test_a_catalogue_larger_than_memory_is_taken_in_parts(monkeypatch):
    features = made(1000)
    monkeypatch.setattr(red_pool, "_PART", 300)
    sizes = []
    products = red_pool.Kernels

    def recorded(sources, stimuli):
        sizes.append(len(stimuli))
        return products(sources, stimuli)

    monkeypatch.setattr(red_pool, "Kernels", recorded)
    by_parts = best_stimuli(features, 50, memory=2**16, patience=2)
    assert max(sizes) <= 50 + 64 < len(features[0])
    monkeypatch.undo()
    at_once = best_stimuli(features, 50, patience=2)
    assert by_parts.value == pytest.approx(at_once.value, rel=0.05)
    assert by_parts.value == pytest.approx(mean_cka_naive(features, by_parts.members), abs=1e-10)


def test_before_a_descent_ends_every_stimulus_was_scored(monkeypatch):
    features = made(600)
    monkeypatch.setattr(red_pool, "_BLOCK", 50)
    monkeypatch.setattr(red_pool, "_PART", 100)
    seen = []
    scores = red_pool.Pools._scores

    def recorded(self, candidates, chosen, *rest):
        seen.append((set(candidates) | set(chosen), set(chosen)))
        return scores(self, candidates, chosen, *rest)

    monkeypatch.setattr(red_pool.Pools, "_scores", recorded)
    found = best_stimuli(features, 20, memory=2**12, patience=1)
    ends = [chosen for _, chosen in seen[-6:]]
    assert found.descents >= 2 and all(one == ends[0] for one in ends)
    assert set().union(*(looked for looked, _ in seen[-6:])) == set(range(600))


def test_float32_finds_about_the_same():
    features = made()
    rough = best_stimuli(features, 30, dtype="float32", patience=5)
    exact = best_stimuli(features, 30, patience=5)
    assert rough.value == pytest.approx(mean_cka_naive(features, rough.members), abs=1e-9)
    assert rough.value == pytest.approx(exact.value, abs=0.01)


def test_memory_mapped_files_give_the_same_walk(tmp_path):
    features = made(dtype=np.float16)
    mapped = []
    for number, one in enumerate(features):
        np.save(tmp_path / f"{number}.npy", one)
        mapped.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    assert best_stimuli(mapped, 30, patience=2) == best_stimuli(features, 30, patience=2)


def test_copies_of_an_image_are_chosen_once():
    features = made(60)
    doubled = [np.concatenate([one, one]) for one in features]
    labels = [f"sha {row % 60}" for row in range(120)]
    found = best_stimuli(doubled, 40, groups=labels, patience=3)
    assert len({row % 60 for row in found.members}) == 40
    # All that there are: nothing is left to choose but which copy.
    every = best_stimuli(doubled, 60, groups=labels, patience=2)
    assert every.value == pytest.approx(mean_cka_naive(features, np.arange(60)), abs=1e-10)


def test_constant_features_count_as_unlike_everything():
    features = [*made(60, (5, 6)), np.full((60, 4), 7.5)]
    found = best_stimuli(features, 10, patience=2)
    chosen = [one[list(found.members)] for one in features]
    expected = mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64"))
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.value < 1 / 3
    constant = best_stimuli([np.ones((9, 2)), np.zeros((9, 3))], 4, patience=2)
    assert constant.value == 0 and len(constant.members) == 4


def test_a_model_that_is_blind_to_some_stimuli_is_found_out():
    features = made(60, (5, 6))
    features[1][::2] = features[1][0]
    found = best_stimuli(features, 10, patience=30)
    assert found.value == pytest.approx(0, abs=1e-9)
    chosen = [one[list(found.members)] for one in features]
    assert mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64")) == pytest.approx(0)


def outlier(one):
    one[5] *= 1e6


def outliers(one):
    one[::40] *= 1e6


def tiny_half(one):
    one[::2] *= 1e-9


def tiny_half_at_zero(one):
    one -= one.mean(axis=0)
    one[::2] *= 1e-9


def far_away(one):
    one += 1e6


def one_point(one):
    one[::2] = one[0] + 1e6


@pytest.mark.parametrize("options", [{}, {"memory": 2**14}], ids=["whole", "parts"])
@pytest.mark.parametrize(
    "spoil", [outlier, outliers, tiny_half, tiny_half_at_zero, far_away, one_point]
)
@pytest.mark.parametrize("which", [slice(None), slice(1)], ids=["all", "one"])
def test_gross_scales_do_not_mislead(monkeypatch, spoil, which, options):
    features = made(120, (5, 12, 150), dtype=np.float64)
    for one in features[which]:
        spoil(one)
    monkeypatch.setattr(red_pool, "_PART", 40)
    seen = []
    found = best_stimuli(features, 20, patience=3, progress=seen.append, **options)
    chosen = [one[list(found.members)] for one in features]
    expected = mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64"))
    assert found.value == pytest.approx(expected, abs=1e-9)
    # The definition itself has few digits where a point is far away.
    constant = any(np.ptp(one, axis=0).max() == 0 for one in chosen)
    naive = mean_cka_naive(features, found.members)
    assert constant or found.value == pytest.approx(naive, abs=1e-6)
    # The walk was at what it thought it was at.
    assert seen[-1].value == pytest.approx(expected, abs=1e-6)
    random = np.random.default_rng(0)
    chance = [
        mean_pairwise(similarity_matrix([one[rows] for one in features], "cka", dtype="float64"))
        for rows in (random.choice(120, 20, replace=False) for _ in range(30))
    ]
    assert found.value < min(chance) - 0.05


def test_tiny_features_are_not_constant():
    features = made(120, (5, 12, 150), dtype=np.float64)
    for one in features:
        tiny_half(one)
    tiny = np.arange(0, 120, 2)
    true = mean_cka_naive(features, tiny[:20])
    assert mean_cka_of(opened(features), tiny[:20]) == pytest.approx(true, abs=1e-9)
    state = State(Kernels(opened(features), np.arange(120)), tiny[:20])
    assert state.is_lost()
    state.settle()
    assert state.value() == pytest.approx(true, abs=1e-9)
    # A walk that begins there, by its class, sees where it is.
    classes = ["tiny" if row % 2 == 0 else None for row in range(120)]
    seen = []
    best_stimuli(features, 20, classes=classes, patience=1, progress=seen.append)
    begun = next(where.current for where in seen if where.descents == 1)
    assert begun == pytest.approx(true, abs=1e-9)


def test_a_state_that_lost_its_digits_is_made_anew():
    features = made(60, dtype=np.float64)
    for one in features:
        one[5] *= 1e7
    state = State(Kernels(opened(features), np.arange(60)), np.arange(20))
    assert not state.is_lost()
    saved = state.saved()
    state.remove(5)
    assert state.is_lost()
    state.settle()
    rest = np.delete(np.arange(20), 5)
    assert not state.is_lost()
    assert state.value() == pytest.approx(mean_cka_naive(features, rest), abs=1e-9)
    added = state.with_each()
    more = np.append(rest, 40)
    assert added[40] == pytest.approx(mean_cka_naive(features, more), abs=1e-9)
    state.restore(saved)
    assert state.value() == pytest.approx(mean_cka_naive(features, np.arange(20)), abs=1e-6)


def test_two_models_and_all_stimuli():
    features = made(30, (4, 5))
    every = best_stimuli(features, 30)
    assert every.members == tuple(range(30)) and every.stopped == "settled"
    assert every.value == pytest.approx(mean_cka_naive(features, np.arange(30)), abs=1e-11)
    assert best_stimuli(features, 2, patience=1).value == pytest.approx(1)


def test_a_deadline_and_ctrl_c_give_the_best_so_far():
    features = made()
    began = time.monotonic()
    ended = best_stimuli(features, 30, deadline=began + 0.2, patience=10**6)
    assert ended.stopped == "deadline" and time.monotonic() - began < 5
    assert ended.value < mean_cka_naive(features, np.arange(30))
    seen = []

    def press(where):
        seen.append(where)
        if where.swaps >= 20:
            raise KeyboardInterrupt

    pressed = best_stimuli(features, 30, progress=press)
    assert pressed.stopped == "interrupted"
    assert pressed.value == pytest.approx(seen[-1].value, abs=1e-10)
    past = best_stimuli(features, 30, deadline=began - 1)
    assert len(set(past.members)) == 30 and past.stopped == "deadline"


def test_a_checkpoint_of_other_inputs_or_settings_is_refused(tmp_path):
    features = made()
    state = tmp_path / "state"
    best_stimuli(features, 30, swap_limit=5, checkpoint=state)
    changed = [one.copy() for one in features]
    changed[1][0, 0] += 1
    for inputs, options in (
        (changed, {}),
        (features[:2], {}),
        (features, {"seed": 1}),
        (features, {"classes": ["a"] * 200}),
        (features, {"groups": [0, 0, *range(198)]}),
        (features, {"dtype": "float32"}),
        (features, {"memory": 2**20}),
    ):
        with pytest.raises(BundleError) as raised:
            best_stimuli(inputs, 30, swap_limit=5, checkpoint=state, **options)
        assert raised.value.code == "search-checkpoint-other"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(chosen=s["chosen"][:-1]),
        lambda s: s.update(chosen=[-1, *s["chosen"][1:]]),
        lambda s: s.update(best=[s["best"][0]] * 30),
        lambda s: s.update(best_value="low"),
        lambda s: s.update(counters=[1, 2]),
        lambda s: s.update(counters=[-1] * 6),
        lambda s: s.update(random={}),
        lambda s: s.pop("random"),
        lambda s: s.update(random={"bit_generator": "PCG64", "state": "x"}),
    ],
)
def test_a_broken_checkpoint_is_refused(tmp_path, change):
    features = made()
    state = tmp_path / "state"
    best_stimuli(features, 30, swap_limit=5, checkpoint=state)
    document = json.loads(state.read_text())
    change(document["state"])
    state.write_text(json.dumps(document))
    with pytest.raises(BundleError) as raised:
        best_stimuli(features, 30, swap_limit=5, checkpoint=state)
    assert raised.value.code == "search-checkpoint-broken"


@pytest.mark.parametrize(
    ("features", "count", "code"),
    [
        (made(20), 21, "search-count"),
        (made(20), 1, "search-count"),
        (made(20)[:1], 5, "search-models"),
        ([], 5, "search-models"),
        ([np.ones((20, 2)), np.ones((19, 2))], 5, "search-activations"),
        ([np.ones(20), np.ones(20)], 5, "search-activations"),
        ([np.ones((20, 2)), np.full((20, 2), np.nan)], 5, "search-activations"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(features, count, code):
    with pytest.raises(BundleError) as raised:
        best_stimuli(features, count)
    assert raised.value.code == code
    assert "\n" not in raised.value.sentence


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """The store of three networks trained on CIFAR-10, over 1,000 real images."""
    pytest.importorskip("torch")
    from mimicry.activations.entries import ModelEntry, Preprocess
    from mimicry.activations.extract import Settings
    from mimicry.activations.extraction import extract_activations
    from mimicry.activations.reading import open_store
    from mimicry.activations.registry import write_registry
    from mimicry.activations.store_sets import find_store_set

    folder = tmp_path_factory.mktemp("cifar")
    shutil.copy(ENTRY_POINT, folder)
    entries = []
    for depth in (20, 32, 44):
        (weights,) = CIFAR.glob(f"resnet{depth}-*.th")
        shutil.copy(weights, folder)
        entries.append(
            ModelEntry(
                model_name=f"cifar-resnet{depth}",
                source="custom",
                weights=f"file:{weights.name}",
                layer="pool",
                pooling="flatten",
                preprocess=Preprocess(None, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                model_parameters={"depth": depth},
                entry_point="cifar_resnet.py:cifar_resnet",
            )
        )
    write_registry(folder / "registry.json", entries)
    extract_activations(
        folder / "registry.json",
        [("cifar10", CIFAR / "images.zip")],
        folder / "store",
        settings=Settings(device="cpu", threads=1),
        progress=False,
    ).check()
    return open_store(find_store_set(folder / "store"))


@pytest.mark.skipif(not CIFAR.is_dir(), reason="the CIFAR-10 networks are not here")
def test_real_networks_differ_most_on_what_the_search_finds(cifar):
    from mimicry.activations.reading import stored_stimuli

    stimuli = stored_stimuli(cifar[0].folder.parent)
    features = [np.asarray(one) for one in cifar]
    assert [one.shape for one in features] == [(1000, 64)] * 3
    classes = [one.class_name for one in stimuli]
    names = np.array(classes)
    began = time.process_time()
    found = best_stimuli(
        cifar, 100, groups=[one.sha256 for one in stimuli], classes=classes, patience=50
    )
    spent = time.process_time() - began
    assert found.value == pytest.approx(mean_cka_naive(features, found.members), abs=1e-9)
    single = min(mean_cka_naive(features, np.flatnonzero(names == one)) for one in set(classes))
    assert found.value < single - 0.05
    assert found.value < annealed(features, 100, spent, exact=False)
    # Nor is annealing with steps as cheap as ours better.
    assert found.value < annealed(features, 100, spent) + 1e-9


def test_the_exact_value_needs_no_kernel_state():
    features = made()
    members = np.arange(0, 200, 7)
    value = mean_cka_of(opened(features, "float32"), members)
    assert value == pytest.approx(mean_cka_naive(features, members), abs=1e-11)
