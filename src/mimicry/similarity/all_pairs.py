"""One function for a pair of models, one for all pairs, and what they can measure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from types import MappingProxyType
from typing import Any

import numpy as np

from mimicry.similarity.arrays import Matrix
from mimicry.similarity.cka import cka, rbf_cka
from mimicry.similarity.neighbours import mutual_knn
from mimicry.similarity.predictivity import linear_predictivity
from mimicry.similarity.procrustes import procrustes
from mimicry.similarity.rsa import rsa
from mimicry.similarity.sources import Progress, Source


@dataclass(frozen=True)
class Metric:
    """A measure of similarity; higher is always more alike.

    Attributes
    ----------
    name : str
        As `similarity` takes it.
    compute : callable
        Takes a `Source` and options, returns all pairs, shape (M, M).
    lowest : float
        The least value it can have; the highest is 1.0.
    symmetric : bool
        Whether the order of the two models never matters.
    options : frozenset of str
        Names of the options.
    """

    name: str
    compute: Callable[..., Matrix]
    lowest: float
    symmetric: bool
    options: frozenset[str]


def _unbiased_cka(source: Source, *, dtype: str = "float32", **options: Any) -> Matrix:
    return cka(source, unbiased=True, dtype=dtype, **options)


def _metric(
    name: str,
    compute: Callable[..., Matrix],
    *,
    lowest: float = 0.0,
    symmetric: bool = True,
    options: Iterable[str] | None = None,
) -> Metric:
    named = list(signature(compute).parameters)[1:] if options is None else options
    return Metric(name, compute, lowest, symmetric, frozenset(named))


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _metric("cka", cka, options=("dtype", "budget")),
            _metric("cka-unbiased", _unbiased_cka, lowest=-1.0, options=("dtype", "budget")),
            _metric("cka-rbf", rbf_cka, lowest=-1.0),
            _metric("rsa", rsa, lowest=-1.0),
            _metric("procrustes", procrustes),
            _metric("mutual-knn", mutual_knn),
            _metric("linear-predictivity", linear_predictivity, symmetric=False),
        )
    }
)


def similarity(x: object, y: object, metric: str = "cka", **options: Any) -> float:
    """Compare two models' activations for the same stimuli.

    Parameters
    ----------
    x : array_like, shape (n, d_x)
        A row for each stimulus. NumPy, torch (CPU or GPU) or another library with the
        array API; integers, bfloat16 and float16 are widened. All is computed in float64.
    y : array_like, shape (n, d_y)
        Of the same library and on the same device as `x`.
    metric : str
        A name in `METRICS`.
    **options
        Of the metric; see the notes.

    Returns
    -------
    float
        Higher is more alike, at most 1.0; never NaN. 0.0 where a model's features are
        constant. Every metric is symmetric but linear predictivity, which predicts `y`
        from `x` unless told otherwise.

    Raises
    ------
    ValueError
        An unknown metric; numbers of stimuli that differ or are too small for the
        metric; arrays that are not of two dimensions, not finite, not real, or not of
        one library and device; an option out of its range.
    TypeError
        An option that the metric does not have.

    Notes
    -----
    The metrics and their options, with the defaults (``METRICS[metric].options`` names them):

    ``cka``
        Linear CKA, biased, in [0, 1]. dtype="float64" is what Gram matrices are stored in,
        or "float32", to about 1e-6; budget is the bytes of them that are held at once.
    ``cka-unbiased``
        Linear CKA with HSIC_1, in [-1, 1]; at least 4 stimuli. Options as for ``cka``.
    ``cka-rbf``
        CKA with the Gaussian kernel, in [0, 1], or [-1, 1] when unbiased. bandwidth=0.5 is
        the kernel's as a fraction of the median distance between stimuli; unbiased=False;
        dtype as for ``cka``.
    ``rsa``
        Correlation of the RDMs, in [-1, 1]; at least 3 stimuli. distance="correlation",
        "cosine" or "euclidean" between stimuli; comparison="pearson", "spearman", "kendall"
        (tau-b) or "kendall-a" of the RDMs; dtype as for ``cka``, of the RDMs.
    ``procrustes``
        Inner product after the best rotation, in [0, 1]. form="cosine", or "angular", of
        which the distance is a metric.
    ``mutual-knn``
        Mean share of common nearest neighbours, in [0, 1]. k=10 neighbours, below the
        number of stimuli; distance="cosine" or "euclidean".
    ``linear-predictivity``
        Share of variance explained by ridge regression, cross-validated, in [0, 1].
        penalty=0.1 as a multiple of the mean squared norm of the stimuli; folds=5;
        direction="forward" (`y` from `x`), "backward" or "mean"; seed=0 of the folds.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(4, 3) ** 2
    >>> round(similarity(x, 3 * x + 7), 12)
    1.0
    """
    chosen = _chosen(metric, options)
    if "dtype" in chosen.options:
        options = {"dtype": "float64"} | options
    return float(chosen.compute(Source((x, y), ("x", "y")), **options)[0, 1])


def similarity_matrix(
    activations: Iterable[object],
    metric: str = "cka",
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Matrix:
    """Compare all pairs of models at once.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Read one at a time, so they may be memory-mapped; as for `similarity`.
    metric : str
        A name in `METRICS`.
    progress : callable, optional
        Called as ``progress(done, total)``, counting arrays read.
    **options
        Of the metric: see `similarity`. For CKA and RSA ``dtype`` is "float32" by default,
        which agrees with float64 to about 1e-6; "float64" takes twice the memory.

    Returns
    -------
    array of float64, shape (M, M)
        Entry (i, j) compares models i and j; exactly symmetric for symmetric metrics.
        The diagonal is 1.0, or 0.0 for constant features; for tau-a the share of pairs that
        are not tied, for linear predictivity a model's prediction of itself. Never NaN.

    Raises
    ------
    ValueError
        As for `similarity`, naming ``activations[index]``; or less than two models.
    TypeError
        An option that the metric does not have, or an iterator, which can be read
        only once.
    """
    chosen = _chosen(metric, options)
    return chosen.compute(Source(activations, progress=progress), **options)


def _chosen(metric: str, options: Mapping[str, object]) -> Metric:
    if metric not in METRICS:
        raise ValueError(f"no metric is called {metric!r}; there are {', '.join(METRICS)}")
    chosen = METRICS[metric]
    for name in options:
        if name not in chosen.options:
            known = ", ".join(sorted(chosen.options))
            raise TypeError(f"{metric} has no option {name!r}; it has {known}")
    return chosen


def mean_pairwise(matrix: Matrix) -> float:
    """Return the mean over all pairs i < j of a matrix of similarities.

    Raises
    ------
    ValueError
        The matrix is not square or has less than two rows.
    """
    return float(_pairs(matrix).mean())


def minimum_pairwise(matrix: Matrix) -> float:
    """Return the least similarity over all pairs i < j.

    Raises
    ------
    ValueError
        The matrix is not square or has less than two rows.
    """
    return float(_pairs(matrix).min())


def _pairs(matrix: Matrix) -> Matrix:
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] < 2:
        raise ValueError(
            f"a matrix of similarities is square with at least 2 rows, not {values.shape}"
        )
    return values[np.triu_indices(values.shape[0], 1)]
