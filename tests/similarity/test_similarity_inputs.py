import numpy as np
import pytest
import similarity_naive as naive
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mimicry.similarity import (
    METRICS,
    mean_pairwise,
    minimum_pairwise,
    similarity,
    similarity_matrix,
)

SMALL = {"mutual-knn": {"k": 2}, "linear-predictivity": {"folds": 2}}
INVARIANT = ["cka", "cka-unbiased", "cka-rbf", "procrustes"]
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-2, 2).map(float)


def compare(x, y, metric, **options):
    return similarity(x, y, metric, **SMALL.get(metric, {}) | options)


def tables():
    """Two tables over as many stimuli, ties and constant columns among them."""
    width = st.integers(1, 6)
    return st.tuples(st.integers(4, 9), width, width).flatmap(
        lambda s: st.tuples(
            hnp.arrays(np.float64, (s[0], s[1]), elements=FINITE),
            hnp.arrays(np.float64, (s[0], s[2]), elements=FINITE),
        )
    )


@settings(max_examples=60, deadline=None)
@given(pair=tables(), metric=st.sampled_from(sorted(METRICS)))
def test_always_finite_in_range_and_symmetric(pair, metric):
    value = compare(*pair, metric)
    assert METRICS[metric].lowest <= value <= 1.0
    if METRICS[metric].symmetric:
        matrix = similarity_matrix(pair, metric, **SMALL.get(metric, {}))
        assert matrix[0, 1] == matrix[1, 0]
        assert compare(*pair[::-1], metric) == pytest.approx(value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(6, 40),
    widths=st.tuples(st.integers(2, 60), st.integers(2, 60)),
    metric=st.sampled_from(sorted(METRICS)),
)
def test_invariances(seed, n, widths, metric):
    draw = np.random.default_rng(seed)
    x, y = naive.related(n, widths, seed=seed)
    base = compare(x, y, metric)
    order = draw.permutation(n)
    if metric != "linear-predictivity":
        assert compare(x[order], y[order], metric) == pytest.approx(base, abs=1e-9)
        assert compare(x, x, metric) == pytest.approx(1.0, abs=1e-9)
    turn = np.linalg.qr(draw.standard_normal((widths[0], widths[0])))[0]
    options = {"distance": "euclidean"} if metric in {"rsa", "mutual-knn"} else {}
    base = compare(x, y, metric, **options)
    for changed in (x @ turn, x * 37.5, x + draw.standard_normal(widths[0]) * 10):
        assert compare(changed, y, metric, **options) == pytest.approx(base, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e300, -3.7])
def test_constant_features_give_zero(metric, value):
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    constant = np.full((9, 5), value) @ turn
    other = np.random.default_rng(1).standard_normal((9, 4))
    for x, y in ((constant, other), (other, constant), (constant, constant)):
        assert compare(x, y, metric) == 0.0
        assert compare(x.astype(np.float32) if value < 1e30 else x, y, metric) == 0.0
    matrix = similarity_matrix([other, constant, other], metric, **SMALL.get(metric, {}))
    assert not matrix[1].any() and not matrix[:, 1].any()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("widths", [(5, 7), (60, 80)])
def test_torch_equals_numpy(metric, widths):
    x, y = naive.related(40, widths)
    base = compare(x, y, metric)
    assert compare(torch.tensor(x), torch.tensor(y), metric) == pytest.approx(base, abs=1e-10)
    matrix = similarity_matrix([x, y, x**2], metric)
    other = similarity_matrix([torch.tensor(f) for f in (x, y, x**2)], metric)
    assert isinstance(other, np.ndarray) and other.dtype == np.float64
    assert np.abs(matrix - other).max() < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        ("rsa", {"distance": "cosine", "comparison": "spearman"}),
        ("rsa", {"distance": "euclidean", "comparison": "kendall"}),
        ("cka-rbf", {"unbiased": True}),
        ("linear-predictivity", {"penalty": 0.0}),
        ("mutual-knn", {"distance": "euclidean"}),
        ("procrustes", {"form": "angular"}),
    ],
)
def test_torch_equals_numpy_with_options(options):
    metric, chosen = options
    x, y = naive.related(30, (5, 50))
    base = similarity(x, y, metric, **chosen)
    turned = similarity(torch.tensor(x), torch.tensor(y), metric, **chosen)
    assert turned == pytest.approx(base, abs=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_equals_numpy(metric):
    models = naive.related(80, (5, 120, 40))
    base = similarity_matrix(models, metric)
    got = similarity_matrix([torch.tensor(f, device="cuda") for f in models], metric)
    assert np.abs(base - got).max() < 1e-5


def test_narrow_types_are_widened():
    x = np.random.default_rng(0).integers(0, 100, (20, 6))
    y = np.random.default_rng(1).integers(0, 50, (20, 5))
    base = similarity(x.astype(float), y.astype(float))
    for dtype in (np.uint8, np.int64, np.float16, np.float32):
        before = x.astype(dtype)
        kept = before.copy()
        assert similarity(before, y) == pytest.approx(base, abs=1e-12)
        assert (before == kept).all()
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float64):
        tensor = torch.tensor(x).to(dtype)
        assert similarity(tensor, torch.tensor(y)) == pytest.approx(base, abs=1e-12)
        assert (tensor == torch.tensor(x).to(dtype)).all()
    assert similarity(x > 50, y.tolist()) == pytest.approx(similarity((x > 50) * 1.0, y), abs=1e-12)
    trained = torch.nn.Parameter(torch.tensor(x, dtype=torch.float32))
    assert similarity(trained, torch.tensor(y)) == pytest.approx(base, abs=1e-12)


def test_memory_mapped_files_and_iterables_that_can_be_read_again(tmp_path):
    models = naive.related(30, (50, 4, 70))
    for index, features in enumerate(models):
        np.save(tmp_path / f"{index}.npy", features)

    class Folder:
        def __iter__(self):
            return (np.load(tmp_path / f"{index}.npy", mmap_mode="r") for index in range(3))

    expected = similarity_matrix(models)
    assert (similarity_matrix(Folder()) == expected).all()
    with pytest.raises(TypeError, match="no iterator"):
        similarity_matrix(iter(models))


BAD = np.ones((6, 3))
BAD[4, 1] = np.nan
ENDLESS = np.eye(6)
ENDLESS[2, 0] = -np.inf


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.eye(6), np.eye(5), "y has 5 stimuli, but x has 6"),
        (np.eye(6), np.ones(6), r"y has the shape \(6,\)"),
        (np.ones((6, 2, 2)), np.eye(6), r"x has the shape \(6, 2, 2\)"),
        (np.eye(6), BAD, "y holds a NaN or an infinity, first in row 4"),
        (ENDLESS, np.eye(6), "x holds a NaN or an infinity, first in row 2"),
        (np.eye(6) * 1j, np.eye(6), "x holds complex128"),
        (np.eye(6).astype(object), np.eye(6), "x holds object"),
        (np.zeros((6, 2), dtype=[("a", "f4")]), np.eye(6), "x holds void"),
        (np.ones((1, 3)), np.ones((1, 3)), "at least 2"),
        (np.ones((6, 0)), np.eye(6), "x has no feature"),
        (torch.eye(6), np.eye(6), "bring all to one library and device"),
        (torch.tensor(BAD), torch.eye(6), "x holds a NaN or an infinity, first in row 4"),
        (torch.eye(6) * 1j, torch.eye(6), "not complex64"),
    ],
)
def test_input_that_is_refused(metric, x, y, words):
    with pytest.raises(ValueError, match=words):
        compare(x, y, metric)


def test_input_of_a_matrix_that_is_refused():
    with pytest.raises(ValueError, match="at least 2 models, not 1"):
        similarity_matrix([np.eye(4)])
    with pytest.raises(ValueError, match=r"activations\[2\] holds a NaN"):
        similarity_matrix([np.eye(6), np.eye(6), BAD])


def test_sums_that_overflow_are_no_infinities():
    x = np.full((4, 4), 1.7e308)
    x[0] = 1e307
    assert similarity(x, x) == pytest.approx(1.0, abs=1e-12)


def test_statistics_of_pairs():
    matrix = np.array([[1.0, 0.25, 0.5], [0.25, 1.0, 0.75], [0.5, 0.75, 1.0]])
    assert mean_pairwise(matrix) == 0.5
    assert minimum_pairwise(matrix) == 0.25
    for wrong in (np.ones((1, 1)), np.ones((2, 3)), np.ones(4)):
        with pytest.raises(ValueError, match="square"):
            mean_pairwise(wrong)


def test_numpy_alone_is_enough(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['array_api_compat'] = None; sys.modules['scipy'] = None\n"
        "import numpy as np; from mimicry.similarity import METRICS, similarity, mean_cka\n"
        "x = np.random.default_rng(0).standard_normal((20, 4))\n"
        "assert all(similarity(x, x[:, :2], m) > 0 for m in METRICS)\n"
        "assert mean_cka([x, x[:, :2]]).biased > 0\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
