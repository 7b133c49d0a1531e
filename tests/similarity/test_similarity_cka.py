import numpy as np
import pytest
import similarity_naive as naive

from mimicry.similarity import similarity, similarity_matrix

WIDE, NARROW, MIXED = (90, 120, 64), (5, 3, 8), (4, 200, 60)
KINDS = {"cka": naive.hsic_biased, "cka-unbiased": naive.hsic_unbiased}


@pytest.mark.parametrize("widths", [WIDE, NARROW, MIXED])
@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("n", [4, 7, 61])
def test_equals_the_trace_formula(metric, widths, n):
    models = naive.related(n, widths)
    expected = [[naive.cka(x, y, hsic=KINDS[metric]) for y in models] for x in models]
    exact = similarity_matrix(models, metric, dtype="float64")
    assert np.abs(exact - expected).max() < 1e-9
    assert np.abs(similarity_matrix(models, metric) - expected).max() < 1e-5
    assert similarity(models[0], models[1], metric) == pytest.approx(expected[0][1], abs=1e-9)


def test_biased_equals_the_formula_of_2026_where_its_epsilon_is_nothing():
    x, y = naive.related(80, (30, 50), seed=3)
    k, m = x @ x.T, y @ y.T
    h = naive.hsic_biased
    of_2026 = h(k, m) / (np.sqrt(h(k, k) * h(m, m)) + 1e-6)
    assert similarity(x, y) == pytest.approx(of_2026, abs=1e-9)


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("widths", [WIDE, NARROW])
def test_a_small_budget_gives_the_same_in_panels(metric, widths):
    models = naive.related(100, widths)
    seen = []
    whole = similarity_matrix(models, metric, dtype="float64")
    parts = similarity_matrix(
        models,
        metric,
        dtype="float64",
        budget=3 * 8 * 700,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert np.abs(whole - parts).max() < 1e-12
    assert seen[-1][0] == seen[-1][1]
    if widths is WIDE:
        assert len(seen) > 3


def test_many_narrow_models_need_several_tiles(monkeypatch):
    monkeypatch.setattr("mimicry.similarity.cka.TILE", 10)
    models = naive.related(80, (4, 7, 3, 12, 5, 5))
    for budget in (1, 1 << 30):
        got = similarity_matrix(models, "cka-unbiased", dtype="float64", budget=budget)
        for i in range(6):
            for j in range(i):
                expected = naive.cka(models[i], models[j], hsic=naive.hsic_unbiased)
                assert got[i, j] == pytest.approx(expected, abs=1e-10)


def test_no_gram_matrix_is_made_for_narrow_features(monkeypatch):
    def forbidden(*arguments):
        raise AssertionError("an n x n Gram matrix was asked for")

    monkeypatch.setattr("mimicry.similarity.cka.gram_block", forbidden)
    models = naive.related(10_000, (64, 16), noise=5.0)
    assert 0 < similarity(models[0], models[1], "cka-unbiased") < 1


@pytest.mark.parametrize("widths", [WIDE, NARROW])
@pytest.mark.parametrize("metric", ["cka", "cka-unbiased", "cka-rbf", "procrustes"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e-12, 1e-3, 1e12, 1e150])
def test_scale_does_not_matter(metric, widths, scale):
    x, y, _ = naive.related(40, widths)
    base = similarity(x, y, metric)
    assert similarity(x * scale, y, metric) == pytest.approx(base, abs=1e-12)
    assert similarity(x * scale, y / scale, metric) == pytest.approx(base, abs=1e-12)


def test_the_ends_of_the_range_of_float64():
    x, y, _ = naive.related(30, (5, 6, 7))
    base = similarity(x, y)
    huge = x / np.abs(x).max() * 1.6e308
    assert similarity(huge, y) == pytest.approx(base, abs=1e-12)
    tiny = np.ldexp(np.rint(np.ldexp(x, 20)), -1074)
    assert similarity(tiny, y) == pytest.approx(base, abs=1e-5)


@pytest.mark.parametrize("metric", ["cka", "cka-unbiased"])
def test_a_large_offset_costs_no_more_than_its_rounding(metric):
    # Quarters near 2**40 are exact in float64: nothing may be lost at all.
    x = np.random.default_rng(1).integers(-40, 40, (50, 9)) / 4
    y = x[:, ::-1] ** 2
    base = similarity(x, y, metric)
    assert similarity(x + 2.0**40, y, metric) == pytest.approx(base, abs=1e-12)


def test_rbf_equals_the_definition():
    x, y = naive.related(40, (6, 90), seed=2)
    for fraction in (0.3, 1.0):
        kernel = naive.gaussian(fraction)
        for unbiased, hsic in ((False, naive.hsic_biased), (True, naive.hsic_unbiased)):
            expected = naive.cka(x, y, hsic=hsic, kernel=kernel)
            got = similarity(x, y, "cka-rbf", bandwidth=fraction, unbiased=unbiased)
            assert got == pytest.approx(expected, abs=1e-9)


def test_rbf_with_mostly_equal_stimuli_uses_the_distances_that_are_there():
    x = np.zeros((20, 3))
    x[:4] = np.eye(4, 3) * 5
    assert similarity(x, x * 3, "cka-rbf") == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("unbiased", [False, True])
def test_rbf_with_extreme_bandwidths(unbiased):
    x, y = naive.related(30, (6, 50))
    linear = similarity(x, y, "cka-unbiased" if unbiased else "cka")
    for bandwidth, expected in ((1e-200, not unbiased), (1e-3, not unbiased), (1e7, linear)):
        options = {"bandwidth": bandwidth, "unbiased": unbiased}
        for dtype in ("float32", "float64"):
            got = similarity(x, y, "cka-rbf", dtype=dtype, **options)
            assert got == pytest.approx(float(expected), abs=1e-5)
    assert similarity(x, y, "cka-rbf", bandwidth=1e300, unbiased=unbiased) == 0.0


def test_unbiased_of_independent_features_is_near_zero_where_biased_is_not():
    draw = np.random.default_rng(5)
    for width, biased in ((64, 0.060), (2048, 0.67)):
        x, y = draw.standard_normal((2, 1000, width))
        assert similarity(x, y) == pytest.approx(biased, abs=0.01)
        assert abs(similarity(x, y, "cka-unbiased")) < 0.01


def test_unbiased_has_no_bias_on_small_samples():
    draw = np.random.default_rng(6)
    values = [similarity(*draw.standard_normal((2, 12, 30)), "cka-unbiased") for _ in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_unbiased_is_zero_where_all_stimuli_are_equally_related():
    onehot = np.eye(12)
    other = np.random.default_rng(0).standard_normal((12, 4))
    for dtype in ("float32", "float64"):
        got = similarity_matrix([onehot, other], "cka-unbiased", dtype=dtype)
        assert got[0, 1] == 0.0 and got[0, 0] == 0.0 and got[1, 1] == 1.0


def test_two_stimuli_are_always_alike_and_four_are_needed_for_unbiased():
    x, y = np.array([[1.0, 2.0], [0.0, 7.0]]), np.array([[3.0], [4.0]])
    assert similarity(x, y) == pytest.approx(1.0, abs=1e-12)
    for metric in ("cka-unbiased", "cka-rbf"):
        options = {} if metric == "cka-unbiased" else {"unbiased": True}
        with pytest.raises(ValueError, match="at least 4 stimuli, not 3"):
            similarity(np.eye(3), np.eye(3), metric, **options)
