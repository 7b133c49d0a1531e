import numpy as np
import pytest
import similarity_naive as naive
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, compare
from scipy.spatial import procrustes as scipy_procrustes
from sklearn.linear_model import LinearRegression, Ridge

from mimicry.similarity import similarity, similarity_matrix


def toolbox(x, y, method, comparison):
    rdms = [calc_rdm(Dataset(features), method=method) for features in (x, y)]
    return rdms, float(compare(*rdms, method=comparison)[0, 0])


@pytest.mark.parametrize("widths", [(7, 5), (40, 90)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("pearson", "corr"), ("spearman", "spearman"), ("kendall", "kendall"), ("kendall-a", "tau-a")],
)
def test_rsa_equals_rsatoolbox(widths, ours, theirs):
    x, y = naive.related(30, widths)
    _, expected = toolbox(x, y, "correlation", theirs)
    assert similarity(x, y, "rsa", comparison=ours) == pytest.approx(expected, abs=1e-9)
    # Their Euclidean distances are squared: ranks are the same.
    if ours != "pearson":
        _, expected = toolbox(x, y, "euclidean", theirs)
        got = similarity(x, y, "rsa", distance="euclidean", comparison=ours)
        assert got == pytest.approx(expected, abs=1e-9)


def test_rdms_equal_those_of_rsatoolbox():
    from mimicry.similarity.arrays import read_features
    from mimicry.similarity.rsa import rdm

    (x,) = naive.related(20, (9,))
    features = read_features(x, "x")
    expected = calc_rdm(Dataset(x), method="correlation").dissimilarities[0]
    assert np.abs(rdm(features, "correlation") - expected).max() < 1e-12
    # Up to their scale, which no comparison sees.
    expected = np.sqrt(calc_rdm(Dataset(x), method="euclidean").dissimilarities[0])
    got = rdm(features, "euclidean")
    assert np.abs(got / got.max() - expected / expected.max()).max() < 1e-12
    lengths = np.linalg.norm(x, axis=1)
    expected = 1 - (x @ x.T / lengths / lengths[:, None])[np.triu_indices(20, 1)]
    assert np.abs(rdm(features, "cosine") - expected).max() < 1e-12


def test_whitened_rdm_cosine_of_rsatoolbox_is_linear_cka():
    x, y = naive.related(25, (8, 40))
    _, expected = toolbox(x, y, "euclidean", "cosine_cov")
    assert similarity(x, y) == pytest.approx(expected, abs=1e-6)


def test_ties_survive_rounding_in_ranks():
    x = np.random.default_rng(0).integers(0, 3, (25, 4)).astype(float)
    y = np.random.default_rng(1).integers(0, 3, (25, 3)).astype(float)
    turn, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((4, 4)))
    for comparison in ("spearman", "kendall", "kendall-a"):
        base = similarity(x, y, "rsa", distance="euclidean", comparison=comparison)
        turned = similarity(x @ turn, y, "rsa", distance="euclidean", comparison=comparison)
        assert turned == pytest.approx(base, abs=1e-12)


def test_rsa_of_stimuli_without_direction_and_without_spread():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    y = np.random.default_rng(0).standard_normal((4, 3))
    assert -1 <= similarity(x, y, "rsa", distance="cosine") <= 1
    assert similarity(np.eye(4), y, "rsa", distance="euclidean") == 0.0
    assert similarity(np.ones((4, 1)) * [[1], [2], [3], [4]], y, "rsa") == 0.0
    with pytest.raises(ValueError, match="at least 3 stimuli"):
        similarity(x[:2], y[:2], "rsa")


@pytest.mark.parametrize("widths", [(6, 6), (4, 9), (70, 6), (70, 120)])
def test_procrustes_equals_scipy_and_rsatoolbox(widths):
    x, y = naive.related(30, widths)
    got = similarity(x, y, "procrustes")
    padded = [np.pad(f, ((0, 0), (0, max(widths) - f.shape[1]))) for f in (x, y)]
    disparity = scipy_procrustes(*padded)[2]
    assert got == pytest.approx(np.sqrt(1 - disparity), abs=1e-9)
    _, expected = toolbox(x, y, "euclidean", "bures")
    assert got == pytest.approx(expected, abs=1e-6)
    angular = similarity(x, y, "procrustes", form="angular")
    assert angular == pytest.approx(1 - np.arccos(got) / (np.pi / 2), abs=1e-12)


@pytest.mark.parametrize("k", [1, 5, 29])
def test_neighbours_equal_a_plain_loop(k):
    x, y = naive.related(30, (4, 50))
    expected = naive.shared_neighbours(x, y, k)
    assert similarity(x, y, "mutual-knn", k=k) == pytest.approx(expected, abs=1e-12)


def test_neighbours_ties_go_by_index():
    # On a ring every stimulus has two nearest at one distance; the lower index wins.
    angle = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    from mimicry.similarity.arrays import read_features
    from mimicry.similarity.neighbours import nearest

    expected = [[1], [0], [1], [2], [3], [0]]
    for distance in ("cosine", "euclidean"):
        found = nearest(read_features(ring, "ring"), 1, distance)
        assert found.tolist() == expected


def test_neighbours_in_blocks_of_stimuli(monkeypatch):
    x, y = naive.related(40, (4, 5))
    base = similarity(x, y, "mutual-knn", distance="euclidean")
    monkeypatch.setattr("mimicry.similarity.neighbours.ENTRIES", 130)
    assert similarity(x, y, "mutual-knn", distance="euclidean") == base


def test_too_many_neighbours():
    with pytest.raises(ValueError, match="k is 4, but must be from 1 to 3"):
        similarity(np.eye(4), np.eye(4), "mutual-knn", k=4)


def explained(x, y, penalty, folds=5, seed=0):
    order = np.random.default_rng(seed).permutation(len(x))
    error = spread = 0.0
    for fold in range(folds):
        test = order[fold::folds]
        train = np.setdiff1d(order, test)
        centred = x[train] - x[train].mean(0)
        alpha = penalty * (centred**2).sum() / len(train)
        model = Ridge(alpha=alpha, solver="svd") if penalty else LinearRegression()
        error += ((y[test] - model.fit(x[train], y[train]).predict(x[test])) ** 2).sum()
        spread += ((y[test] - y[train].mean(0)) ** 2).sum()
    return max(0.0, 1 - error / spread)


@pytest.mark.parametrize("widths", [(6, 4), (80, 70), (70, 3), (3, 90)])
@pytest.mark.parametrize("penalty", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("form", ["_directly", "_by_maps"])
def test_predictivity_equals_scikit_learn(monkeypatch, widths, penalty, form):
    monkeypatch.setattr(
        "mimicry.similarity.predictivity._maps_are_cheaper", lambda source: form == "_by_maps"
    )
    x, y = naive.related(50, widths, noise=0.3)
    options = {"penalty": penalty, "folds": 4, "seed": 9}
    forward = similarity(x, y, "linear-predictivity", **options)
    assert forward == pytest.approx(explained(x, y, penalty, 4, 9), abs=1e-8)
    backward = similarity(x, y, "linear-predictivity", direction="backward", **options)
    assert backward == pytest.approx(explained(y, x, penalty, 4, 9), abs=1e-8)
    mean = similarity(x, y, "linear-predictivity", direction="mean", **options)
    assert mean == pytest.approx((forward + backward) / 2, abs=1e-12)


def test_predictivity_is_one_for_what_is_linear_and_nought_for_noise():
    draw = np.random.default_rng(0)
    x = draw.standard_normal((60, 5))
    y = x @ draw.standard_normal((5, 9)) + 4
    assert similarity(x, y, "linear-predictivity", penalty=0) == pytest.approx(1.0, abs=1e-10)
    noise = draw.standard_normal((60, 9))
    assert similarity(x, noise, "linear-predictivity") < 0.05
    matrix = similarity_matrix([x[:, :1], y], "linear-predictivity")
    assert matrix[0, 1] < matrix[1, 0]


def test_predictivity_where_training_sees_no_variation():
    x = np.zeros((6, 2))
    x[0] = 1.0
    y = np.random.default_rng(0).standard_normal((6, 3))
    for penalty in (0.0, 0.1):
        assert 0.0 <= similarity(x, y, "linear-predictivity", folds=6, penalty=penalty) <= 1.0


@pytest.mark.parametrize(
    ("metric", "options", "words"),
    [
        ("rsa", {"distance": "manhattan"}, "must be one of correlation"),
        ("rsa", {"comparison": "cosine"}, "must be one of pearson"),
        ("procrustes", {"form": "square"}, "must be one of cosine"),
        ("mutual-knn", {"distance": "correlation"}, "must be one of cosine"),
        ("mutual-knn", {"k": 0}, "k is 0"),
        ("linear-predictivity", {"folds": 1}, "1 folds of 8 stimuli"),
        ("linear-predictivity", {"folds": 9}, "9 folds of 8 stimuli"),
        ("linear-predictivity", {"penalty": -1}, "not negative"),
        ("linear-predictivity", {"direction": "both"}, "must be one of forward"),
        ("cka", {"dtype": "float16"}, "dtype is 'float16'"),
        ("cka-rbf", {"bandwidth": 0}, "positive and finite"),
        ("unknown", {}, "there are cka, cka-unbiased"),
    ],
)
def test_options_out_of_range(metric, options, words):
    x = np.random.default_rng(0).standard_normal((8, 3))
    with pytest.raises(ValueError, match=words):
        similarity(x, x, metric, **options)


def test_an_option_of_another_metric():
    with pytest.raises(TypeError, match="cka has no option 'k'"):
        similarity(np.eye(3), np.eye(3), k=2)
