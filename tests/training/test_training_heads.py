"""The three heads: what is fitted is what `head.py` scores, and hybrids never seen are found."""

import importlib
import importlib.util
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mimicry.errors import SubmissionError
from mimicry.hybrids import metrics

ROOT = Path(__file__).resolve().parents[2]
HEADS = ("BioCLIP", "DINO_SGD", "anomaly")


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    return importlib.import_module("heads")


def head_file(name: str) -> ModuleType:
    path = ROOT / "baselines" / f"{name}_code_submission" / "head.py"
    spec = importlib.util.spec_from_file_location(f"{name}_head", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class World:
    """Six subspecies as clusters; hybrids lie between two, aside by what is dominant in them."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = np.random.default_rng(seed)
        self.centres = self.chance.normal(size=(6, 24)) * 2

    def pure(self, kind: int, count: int) -> np.ndarray:
        return self.centres[kind] + self.chance.normal(size=(count, 24))

    def hybrids(self, first: int, second: int, count: int) -> np.ndarray:
        share = self.chance.uniform(0.35, 0.65, size=(count, 1))
        middle = share * self.centres[first] + (1 - share) * self.centres[second]
        dominance = np.random.default_rng([first, second]).normal(size=24)
        return middle + dominance + self.chance.normal(size=(count, 24))

    def training(self) -> tuple[np.ndarray, np.ndarray]:
        """Return features and kinds; the only hybrids are those of subspecies 0 and 1."""
        counts = (80, 60, 40, 30, 20, 10)
        parts = [self.pure(kind, count) for kind, count in enumerate(counts)]
        kinds = np.repeat([*range(6), -1], [*counts, 30])
        return np.concatenate([*parts, self.hybrids(0, 1, 30)]), kinds


def recall(scores: np.ndarray, hybrids: int) -> float:
    """Return the share found of the last `hybrids` images, at 95 % true negatives."""
    hybrid = np.arange(len(scores)) >= len(scores) - hybrids
    return metrics.recall_above(scores, hybrid, metrics.operating_threshold(scores, hybrid))


@pytest.mark.parametrize("name", HEADS)
def test_the_same_training_gives_the_same_bytes_without_pickle(heads, name):
    features, kinds = World().training()
    first, second = (heads.fit_head(name, features, kinds) for _ in range(2))
    assert {array.dtype for array in first.values()} == {np.dtype(np.float32)}
    for key in first:
        assert first[key].tobytes() == second[key].tobytes()
    buffer = io.BytesIO()
    np.savez(buffer, **first)
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as read:
        score = head_file(name).score
        read_back = {key: read[key] for key in read.files}
        assert (score(features, read_back) == score(features, first)).all()


@pytest.mark.parametrize("name", HEADS)
def test_a_score_does_not_depend_on_other_images(heads, name):
    world = World()
    weights = heads.fit_head(name, *world.training())
    score = head_file(name).score
    new = world.hybrids(2, 3, 37).astype(np.float32)
    together = score(new, weights)
    assert together.dtype == np.float64 and together.shape == (37,)
    assert (together == [score(one[None], weights)[0] for one in new]).all()
    assert (together[::-1] == score(new[::-1], weights)).all()


@pytest.mark.parametrize("name", HEADS)
def test_hybrids_of_seen_parents_are_found(heads, name):
    world = World()
    weights = heads.fit_head(name, *world.training())
    new = np.concatenate([world.pure(0, 100), world.pure(1, 100), world.hybrids(0, 1, 60)])
    assert recall(head_file(name).score(new, weights), 60) > 0.8


def test_hybrids_of_unseen_parents_are_found_by_the_anomaly_head_alone(heads):
    world = World()
    features, kinds = world.training()
    new = np.concatenate([world.pure(kind, 50) for kind in range(6)])
    new = np.concatenate([new, world.hybrids(2, 3, 60), world.hybrids(0, 4, 60)])
    found = {
        name: recall(head_file(name).score(new, heads.fit_head(name, features, kinds)), 120)
        for name in HEADS
    }
    assert found["anomaly"] > 0.6
    assert max(found["BioCLIP"], found["DINO_SGD"]) < found["anomaly"] - 0.2


def test_the_logistic_head_is_scikit_learns(heads):
    features, kinds = World().training()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    classifier = LogisticRegression(C=1.0, class_weight="balanced", max_iter=5000)
    expected = classifier.fit(features, kinds == -1).decision_function(features)
    scores = head_file("BioCLIP").score(features, heads.fit_head("BioCLIP", features, kinds))
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_the_anomaly_head_adds_two_parts_in_the_units_of_held_out_animals(heads):
    world = World()
    weights = heads.fit_head("anomaly", *world.training())
    module = head_file("anomaly")
    counts = (80, 60, 40, 30, 20, 10)
    fresh = np.concatenate([world.pure(kind, 5 * count) for kind, count in enumerate(counts)])
    strangeness = module.distance(fresh, weights) * weights["strangeness_scale"]
    strangeness = strangeness + weights["strangeness_shift"]
    opinion = module.directions(fresh) @ weights["coef"] + weights["intercept"]
    # New pure animals have their median at 0 and their top 5 % from 1 on, roughly.
    for part in (strangeness, opinion):
        assert abs(np.median(part)) < 0.35
        assert 0.7 < np.quantile(part, 0.95) < 1.5
    expected = strangeness + np.maximum(opinion - 0.5, 0)
    np.testing.assert_allclose(module.score(fresh, weights), expected, atol=1e-9)


def test_without_hybrids_only_the_anomaly_head_learns(heads):
    world = World()
    features, kinds = world.training()
    pure = kinds != -1
    weights = heads.fit_head("anomaly", features[pure], kinds[pure])
    assert not weights["coef"].any()
    new = np.concatenate([world.pure(0, 100), world.pure(3, 100), world.hybrids(0, 3, 60)])
    assert recall(head_file("anomaly").score(new, weights), 60) > 0.6
    for name in ("BioCLIP", "DINO_SGD"):
        with pytest.raises(SubmissionError, match="0 hybrids"):
            heads.fit_head(name, features[pure], kinds[pure])


@pytest.mark.parametrize("name", HEADS)
def test_rare_subspecies_and_dead_features_are_borne(heads, name):
    world = World()
    features, kinds = world.training()
    # One animal of a subspecies, two of another, a feature that never changes.
    features = np.concatenate([features, world.pure(2, 3)])
    kinds = np.concatenate([kinds, [7, 8, 8]])
    features[:, 5] = 0.0
    weights = heads.fit_head(name, features, kinds)
    assert all(np.isfinite(array).all() for array in weights.values())
    assert np.isfinite(head_file(name).score(features, weights)).all()
    assert np.isfinite(head_file(name).score(np.zeros((2, 24)), weights)).all()


@pytest.mark.parametrize("name", HEADS)
def test_two_hybrids_and_few_animals_are_enough(heads, name):
    world = World()
    features = np.concatenate([world.pure(0, 3), world.pure(1, 3), world.hybrids(0, 1, 2)])
    weights = heads.fit_head(name, features, np.array([0, 0, 0, 1, 1, 1, -1, -1]))
    assert np.isfinite(head_file(name).score(features, weights)).all()


def test_useless_training_data_are_refused(heads):
    features, kinds = World().training()
    with pytest.raises(ValueError, match="no head is called"):
        heads.fit_head("other", features, kinds)
    with pytest.raises(ValueError, match="do not match"):
        heads.fit_head("anomaly", features, kinds[1:])
    one_kind = (kinds == 0) | (kinds == -1)
    with pytest.raises(SubmissionError, match="1 subspecies of three"):
        heads.fit_head("anomaly", features[one_kind], kinds[one_kind])
    features[3, 3] = np.nan
    with pytest.raises(SubmissionError, match="not finite"):
        heads.fit_head("BioCLIP", features, kinds)
