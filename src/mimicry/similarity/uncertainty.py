"""How far similarities move when other stimuli are drawn: bootstrap and its shortcut.

Plain resampling draws n of the n stimuli with replacement and computes everything anew.
For linear CKA its first order is known in closed form: with unit-norm centred Gram
matrices A and B, c = <A, B> and r_i(A, B) = sum_j A_ij B_ij, stimulus i has the influence

    n (2 r_i(A, B) - c (r_i(A, A) + r_i(B, B)))

on c. (The covariance, whose squared norm HSIC is, moves by the stimulus's own product of
centred features; what centring itself moves is of second order.) Weights then give a
replicate, and the squared influences a standard error: the infinitesimal jackknife
(Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6).

A first order is good where n is large: from some hundred stimuli on, its standard error
is within about 15 % of plain resampling's, and closer to the spread over fresh stimuli.
With tens of stimuli, or with values close to 0 or 1, it is not to be relied on. It has no
part in the upward shift of biased CKA under plain resampling, which comes from stimuli
drawn twice, since these are alike under every model.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mimicry.similarity.all_pairs import mean_pairwise, similarity_matrix
from mimicry.similarity.arrays import (
    Array,
    Matrix,
    centre,
    index_array,
    is_foreign,
    to_numpy,
    zeros,
)
from mimicry.similarity.cka import check_unbiased
from mimicry.similarity.grams import u_centre
from mimicry.similarity.sources import Source

BUDGET = 2 << 30
FLOOR = (64 * 2.0**-52) ** 2


class MeanCka(NamedTuple):
    """Mean CKA over all pairs of models, both estimators, with standard errors."""

    biased: float
    biased_standard_error: float
    unbiased: float
    unbiased_standard_error: float


class MeanInfluences(NamedTuple):
    """Mean CKA over all pairs of models, and how far each stimulus moves it.

    Attributes
    ----------
    mean : float
        In units of CKA.
    influences : array of float64, shape (n,)
        In the order of the stimuli, of sum 0 up to rounding and terms of second order;
        their root of the sum of squares, divided by n, is the standard error.
    """

    mean: float
    influences: npt.NDArray[np.float64]


def bootstrap_matrices(
    activations: Iterable[object],
    *,
    unbiased: bool = False,
    replicates: int = 200,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Return matrices of linear CKA under resampled stimuli, to first order.

    All pairs of one replicate share their stimuli, so a statistic of several pairs may
    be formed in each and its spread taken.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Of M models; read one at a time, once for each panel of stimuli.
    unbiased : bool
        Resample unbiased CKA.
    replicates : int
        Number of matrices, B.
    seed : int
        Of the multinomial weights. Equal calls give equal replicates.

    Returns
    -------
    array of float32, shape (B, M, M)
        Symmetric, clipped to [0, 1], or [-1, 1] when unbiased; diagonal as in
        `similarity_matrix`. About 2 n^2 (sum of widths) + n^2 M^2 operations.

    Raises
    ------
    ValueError
        Less than one replicate, or as for `similarity_matrix`.
    """
    if replicates < 1:
        raise ValueError(f"the bootstrap needs at least 1 replicate, not {replicates}")
    source = Source(activations)
    n, count = source.stimuli, source.count
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=replicates)
    upper = np.triu_indices(count)
    total = np.zeros(upper[0].size)
    moved = np.zeros((replicates, upper[0].size))
    for start, shares in _shares(source, (unbiased,), "float32"):
        stop = start + shares[0].shape[0]
        total += shares[0].sum(axis=0, dtype=np.float64)
        moved += draws[:, start:stop].astype(np.float32) @ shares[0]
    moved -= total
    norms, alive = _norms(total, upper)
    scale = norms[upper[0]] * norms[upper[1]]
    diagonal = np.flatnonzero(upper[0] == upper[1])
    own = moved[:, diagonal] / (norms * norms)
    value = total / scale
    moved *= 2.0 / scale
    moved += value * (1.0 - own[:, upper[0]] - own[:, upper[1]])
    moved[:, ~(alive[upper[0]] & alive[upper[1]])] = 0.0
    np.clip(moved, -1.0 if unbiased else 0.0, 1.0, out=moved)
    moved[:, diagonal] = alive
    result = np.empty((replicates, count, count), dtype=np.float32)
    result[:, upper[0], upper[1]] = moved
    result[:, upper[1], upper[0]] = moved
    return result


def bootstrap_standard_error(
    activations: Sequence[object],
    statistic: Callable[[Matrix], float] = mean_pairwise,
    metric: str = "cka",
    *,
    replicates: int = 200,
    seed: int = 0,
    **options: Any,
) -> float:
    """Return the standard deviation of a statistic under resampled stimuli.

    Plain resampling: any metric, any statistic, no approximation, and the whole matrix
    is computed for every replicate.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Of M models.
    statistic : callable
        Takes the matrix of similarities, shape (M, M), and returns a number.
    metric : str
        A name in ``METRICS``. A stimulus drawn twice is its own nearest neighbour, so for
        mutual k-nearest-neighbours the result says little; and it lets ``cka-unbiased``
        be biased.
    replicates : int
        At least 2.
    seed : int
        Of the draws.
    **options
        Of the metric.

    Raises
    ------
    ValueError
        Less than 2 replicates, or as for `similarity_matrix`.
    """
    if replicates < 2:
        raise ValueError(f"a standard error needs at least 2 replicates, not {replicates}")
    stimuli = Source(activations).stimuli
    draw = np.random.default_rng(seed)
    values = [
        float(
            statistic(
                similarity_matrix(
                    _Resampled(activations, draw.integers(stimuli, size=stimuli)),
                    metric,
                    **options,
                )
            )
        )
        for _ in range(replicates)
    ]
    return float(np.std(values, ddof=1))


def mean_cka_standard_error(activations: Iterable[object], *, unbiased: bool = False) -> float:
    """Return the standard error of the mean of linear CKA over all pairs of models.

    The infinitesimal jackknife: no randomness, and the cost of one matrix.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Of M models over the same n stimuli.
    unbiased : bool
        Of unbiased CKA.

    Returns
    -------
    float
        In units of CKA; 0.0 where all features are constant.

    Raises
    ------
    ValueError
        As for `similarity_matrix`.
    """
    return _standard_error(_mean_cka(Source(activations), (unbiased,))[0])


def mean_cka_influences(activations: Iterable[object], *, unbiased: bool = False) -> MeanInfluences:
    """Return the mean of linear CKA over all pairs, and what every stimulus adds to it.

    Sums of products of two sets' influences over the stimuli that both hold give the
    covariance of their means, so that sets that overlap can be compared.

    Parameters
    ----------
    activations : sequence or re-iterable of array_like, each (n, d_m)
        Of M models over the same n stimuli.
    unbiased : bool
        Of unbiased CKA.

    Raises
    ------
    ValueError
        As for `similarity_matrix`.
    """
    return _mean_cka(Source(activations), (unbiased,))[0]


def mean_cka(activations: Iterable[object]) -> MeanCka:
    """Return the mean of linear CKA over all pairs, biased and unbiased, in one pass.

    The same numbers as ``mean_pairwise(similarity_matrix(..., dtype="float64"))`` and
    `mean_cka_standard_error`, with every Gram matrix formed once. 8 n M (M + 1) bytes
    are held, so it is meant for tens of models.

    Raises
    ------
    ValueError
        As for `similarity_matrix`; less than 4 stimuli.
    """
    biased, unbiased = _mean_cka(Source(activations), (False, True))
    return MeanCka(
        *(biased.mean, _standard_error(biased)), *(unbiased.mean, _standard_error(unbiased))
    )


def _standard_error(found: MeanInfluences) -> float:
    """Return the standard error that influences of one mean make."""
    return float(np.linalg.norm(found.influences) / found.influences.size)


def _mean_cka(source: Source, kinds: tuple[bool, ...]) -> list[MeanInfluences]:
    """Return mean and influences for each kind asked for, unbiased or not."""
    n, count = source.stimuli, source.count
    upper = np.triu_indices(count)
    parts = [shares for _, shares in _shares(source, kinds, "float64")]
    result = []
    for kind in range(len(kinds)):
        shares = np.concatenate([part[kind] for part in parts])
        total = shares.sum(axis=0)
        norms, alive = _norms(total, upper)
        usable = (upper[0] != upper[1]) & alive[upper[0]] & alive[upper[1]]
        scale = norms[upper[0]] * norms[upper[1]]
        value = np.where(usable, total / scale, 0.0)
        value = np.clip(value, -1.0 if kinds[kind] else 0.0, 1.0)
        own = shares[:, upper[0] == upper[1]] / (norms * norms)
        # Every model's share of the second term: half the sum of its pairs' values.
        weights = np.bincount(upper[0], value, count) + np.bincount(upper[1], value, count)
        pairs = count * (count - 1) / 2
        influence = n * (2.0 * shares @ np.where(usable, 1.0 / scale, 0.0) - own @ weights) / pairs
        result.append(MeanInfluences(float(value.sum() / pairs), influence))
    return result


def _norms(total: Matrix, upper: tuple[npt.NDArray[np.intp], ...]) -> tuple[Matrix, Any]:
    """Return the norm of every model's matrix, 1.0 where it has none, and which have one."""
    squares = total[upper[0] == upper[1]]
    alive = squares > FLOOR
    return np.sqrt(np.where(alive, squares, 1.0)), alive


def _shares(
    source: Source, kinds: tuple[bool, ...], dtype: str
) -> Iterator[tuple[int, list[npt.NDArray[Any]]]]:
    """Yield, for panels of stimuli i, r_i of all pairs of models as rows of the upper triangle.

    The Gram matrices in it have a trace of one before any U-centring; their norms are
    the roots of the sums of r_i(A, A).
    """
    n, count = source.stimuli, source.count
    if any(kinds):
        check_unbiased(n)
    itemsize = np.dtype(dtype).itemsize
    height = max(1, min(n, BUDGET // (count * (n + count) * itemsize * len(kinds))))
    upper = np.ravel_multi_index(np.triu_indices(count), (count, count))
    for start in range(0, n, height):
        stop = min(n, start + height)
        rows: list[Array] = []
        for index, features in enumerate(source.read()):
            if not rows:
                shape = (stop - start, count, n)
                rows = [zeros(features.values, shape, dtype) for _ in kinds]
            centred = centre(features, consume=True)
            if centred.constant:
                continue
            block = centred.values[start:stop, :] @ centred.values.T
            # The biased kind comes first, before the block is changed in place.
            for kind, unbiased in enumerate(kinds):
                if unbiased:
                    u_centre(centred, block, start, 0)
                rows[kind][:, index, :] = block
        chosen = index_array(upper, rows[0])
        shares = []
        for kind in rows:
            inner = kind @ kind.swapaxes(1, 2)
            flat = inner.reshape((stop - start, count * count))
            shares.append(to_numpy(flat[:, chosen]))
        yield start, shares


class _Resampled:
    """Activations of drawn stimuli, taken when a model's turn comes."""

    def __init__(self, activations: Iterable[object], draw: npt.NDArray[np.intp]) -> None:
        self._activations = activations
        self._draw = draw

    def __iter__(self) -> Iterator[object]:
        for array in self._activations:
            values: Any = array if is_foreign(array) else np.asarray(array)
            yield values[index_array(self._draw, values)]
