import time

import numpy as np
import pytest
import similarity_naive as naive
import torch

from mimicry.similarity import (
    bootstrap_matrices,
    bootstrap_standard_error,
    mean_cka,
    mean_cka_influences,
    mean_cka_standard_error,
    mean_pairwise,
    similarity,
    similarity_matrix,
)


def features(n, widths, seed):
    """Activations with classes and rectification, from weights that do not depend on `seed`."""
    fixed, draw = np.random.default_rng(0), np.random.default_rng(seed)
    classes = 2 * fixed.standard_normal((10, 12))
    weights = [fixed.standard_normal((12, d)) / 3 for d in widths]
    cause = classes[draw.integers(10, size=n)] + 2 * draw.standard_normal((n, 12))
    return [np.maximum(cause @ w + draw.standard_normal((n, w.shape[1])), 0) for w in weights]


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize(("n", "widths"), [(400, (48, 24, 96)), (250, (500, 300, 24))])
def test_first_order_agrees_with_plain_resampling(unbiased, n, widths):
    models = features(n, widths, seed=1)
    metric = "cka-unbiased" if unbiased else "cka"
    plain = bootstrap_standard_error(models, metric=metric, replicates=300, seed=2)
    first = mean_cka_standard_error(models, unbiased=unbiased)
    assert first == pytest.approx(plain, rel=0.15)
    replicates = bootstrap_matrices(models, unbiased=unbiased, replicates=1000)
    spread = np.std([mean_pairwise(matrix) for matrix in replicates], ddof=1)
    assert spread == pytest.approx(first, rel=0.08)


@pytest.mark.parametrize("unbiased", [False, True])
def test_first_order_agrees_with_fresh_samples(unbiased):
    drawn = [mean_cka(features(300, (40, 20, 60), seed=s)) for s in range(100, 250)]
    kind = 2 if unbiased else 0
    truth = np.std([result[kind] for result in drawn], ddof=1)
    assert np.mean([result[kind + 1] for result in drawn]) == pytest.approx(truth, rel=0.2)


def test_influences_are_the_derivative_of_weighted_cka():
    x, y = naive.related(20, (3, 5))

    def weighted(w):
        c = [f - w @ f / w.sum() for f in (x, y)]
        cross = [[np.sum((a.T * w @ b) ** 2) for b in c] for a in c]
        return cross[0][1] / np.sqrt(cross[0][0] * cross[1][1])

    step, ones = 1e-6, np.ones(20)
    slopes = [
        (weighted(ones + step * np.eye(20)[i]) - weighted(ones - step * np.eye(20)[i])) / (2 * step)
        for i in range(20)
    ]
    assert mean_cka_standard_error([x, y]) == pytest.approx(np.linalg.norm(slopes), rel=1e-6)
    weights = np.random.default_rng(7).multinomial(20, np.full(20, 0.05), size=50)
    expected = similarity(x, y) + (weights - 1) @ np.array(slopes)
    got = bootstrap_matrices([x, y], replicates=50, seed=7)[:, 0, 1]
    assert np.abs(got - np.clip(expected, 0, 1)).max() < 1e-5


def test_replicates_are_matrices_of_similarity_and_repeatable(monkeypatch):
    models = [*features(60, (8, 90, 5), seed=3), np.ones((60, 4))]
    whole = bootstrap_matrices(models, replicates=12)
    assert whole.shape == (12, 4, 4) and whole.dtype == np.float32
    assert (whole == whole.transpose(0, 2, 1)).all()
    assert (np.diagonal(whole, axis1=1, axis2=2) == [1, 1, 1, 0]).all()
    assert not whole[:, 3].any() and whole.min() >= 0 and whole.max() <= 1
    assert np.abs(whole.mean(0) - similarity_matrix(models)).max() < 0.1
    assert (bootstrap_matrices(models, replicates=12) == whole).all()
    assert (bootstrap_matrices(models, replicates=12, seed=1) != whole).any()
    monkeypatch.setattr("mimicry.similarity.uncertainty.BUDGET", 4 * 64 * 4 * 7)
    assert np.abs(bootstrap_matrices(models, replicates=12) - whole).max() < 1e-5


def test_one_pass_gives_the_means_and_their_errors(monkeypatch):
    models = [*features(70, (8, 90, 5), seed=4), np.ones((70, 2))]
    got = mean_cka(models)
    for metric, mean in (("cka", got.biased), ("cka-unbiased", got.unbiased)):
        expected = mean_pairwise(similarity_matrix(models, metric, dtype="float64"))
        assert mean == pytest.approx(expected, abs=1e-12)
    assert got.biased_standard_error == mean_cka_standard_error(models)
    assert got.unbiased_standard_error == pytest.approx(
        mean_cka_standard_error(models, unbiased=True), rel=1e-12
    )
    other = mean_cka([torch.tensor(f) for f in models])
    assert np.abs(np.subtract(got, other)).max() < 1e-12
    monkeypatch.setattr("mimicry.similarity.uncertainty.BUDGET", 8 * 2 * 74 * 4 * 9)
    assert np.abs(np.subtract(got, mean_cka(models))).max() < 1e-12


@pytest.mark.parametrize("unbiased", [False, True])
def test_influences_of_the_mean_are_those_of_its_pairs(unbiased):
    models = [*features(50, (8, 30, 5), seed=6), np.ones((50, 2))]
    whole = mean_cka_influences(models, unbiased=unbiased)
    pairs = [(a, b) for a in range(4) for b in range(a)]
    single = [mean_cka_influences([models[a], models[b]], unbiased=unbiased) for a, b in pairs]
    assert whole.mean == pytest.approx(np.mean([one.mean for one in single]), abs=1e-12)
    expected = np.mean([one.influences for one in single], axis=0)
    assert np.abs(whole.influences - expected).max() < 1e-10
    assert abs(whole.influences.sum()) < 1e-8
    error = np.linalg.norm(whole.influences) / 50
    assert error == mean_cka_standard_error(models, unbiased=unbiased)
    # The order of the stimuli is theirs.
    turned = mean_cka_influences([model[::-1] for model in models], unbiased=unbiased)
    assert np.abs(turned.influences[::-1] - whole.influences).max() < 1e-10


def test_plain_resampling_of_any_metric_and_statistic():
    models = features(40, (6, 5), seed=5)
    for metric in ("rsa", "procrustes"):
        value = bootstrap_standard_error(models, metric=metric, replicates=8)
        assert 0 < value < 0.5
        tensors = [torch.tensor(f) for f in models]
        other = bootstrap_standard_error(tensors, metric=metric, replicates=8)
        assert other == pytest.approx(value, abs=1e-6)
    constant = bootstrap_standard_error(models, statistic=lambda matrix: 3.0, replicates=3)
    assert constant == 0.0
    with pytest.raises(ValueError, match="at least 2 replicates"):
        bootstrap_standard_error(models, replicates=1)
    with pytest.raises(ValueError, match="at least 1 replicate"):
        bootstrap_matrices(models, replicates=0)
    with pytest.raises(ValueError, match="at least 4 stimuli"):
        mean_cka([f[:3] for f in models])


def test_twenty_models_take_no_more_than_moments():
    draw = np.random.default_rng(0)
    models = [draw.standard_normal((1000, 128), dtype=np.float32) for _ in range(20)]
    mean_cka_standard_error(models)
    started = time.process_time()
    mean_cka_standard_error(models)
    assert time.process_time() - started < 2.0
