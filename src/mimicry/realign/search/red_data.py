"""Activations as the search reads them: by rows, centred, in one scale, never all at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimicry.errors import BundleError
from mimicry.realign.search.common import Indices

# CKA does not depend on the centre that is subtracted, so a sample of rows will do.
_ROWS_FOR_CENTRE = 512
_ROWS_FOR_FINGERPRINT = 64
# Rows are turned to the type of the computation so many columns at a time.
_COLUMNS = 8192


class Source(NamedTuple):
    """One model's activations.

    Attributes
    ----------
    array : array-like of shape (N, d)
        With ``rows(indices)``, or indexed by them as NumPy arrays are.
    centre : float64 ndarray of shape (d,)
        Where most rows are; it is subtracted so that kernels do not drown in a common offset.
    scale : float
        Makes a typical kernel value 1.
    dtype : numpy dtype
        Of the computation.
    name : str
        For messages.
    """

    array: Any
    centre: NDArray[np.float64]
    scale: float
    dtype: np.dtype[Any]
    name: str

    def rows(self, indices: Indices) -> NDArray[Any]:
        """Return rows, centred and scaled, of shape (k, d)."""
        return self._prepared(_raw_rows(self.array, indices, self.name), slice(None))

    def products(self, left: Indices, right: Indices) -> NDArray[Any]:
        """Return the kernel between two lists of rows, of shape (len(left), len(right))."""
        return self.products_and_squares(left, right)[0]

    def products_and_squares(
        self, left: Indices, right: Indices
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return `products`, and the kernel of each left row with itself.

        Wide rows are turned to the type of the computation a part at a time.
        """
        first = _raw_rows(self.array, left, self.name)
        second = first if right is left else _raw_rows(self.array, right, self.name)
        total: NDArray[Any] | None = None
        squares = np.zeros(len(left))
        for start in range(0, first.shape[1], _COLUMNS):
            part = slice(start, start + _COLUMNS)
            block = self._prepared(first[:, part], part)
            other = block if second is first else self._prepared(second[:, part], part)
            product = block @ other.T
            total = product if total is None else total + product
            squares += np.einsum("ij,ij->i", block, block, dtype=np.float64)
        assert total is not None
        return total, squares

    def values(self, indices: Indices) -> NDArray[Any]:
        """Return rows as they are stored, of shape (k, d)."""
        return _raw_rows(self.array, indices, self.name)

    def centred_on(self, indices: Indices) -> "Source":
        """Return this source with the mean of some rows as its centre."""
        rows = self.values(indices).astype(np.float64)
        # Around the first, so that rows that are all the same have themselves as their mean.
        return self._replace(centre=rows[0] + (rows - rows[0]).mean(axis=0))

    @property
    def rounding(self) -> float:
        """A kernel value that rounding alone makes of a stimulus that lies at the centre."""
        error = float(np.finfo(self.dtype).eps) * self.scale
        return 64.0 * float(self.centre @ self.centre) * error**2

    def _prepared(self, raw: NDArray[Any], part: slice) -> NDArray[Any]:
        centred: NDArray[Any] = raw.astype(self.dtype) - self.centre[part].astype(self.dtype)
        centred *= self.dtype.type(self.scale)
        return centred


def open_sources(
    activations: Sequence[Any], dtype: np.dtype[Any]
) -> tuple[tuple[Source, ...], int, tuple[object, ...]]:
    """Prepare activations for a search.

    Parameters
    ----------
    activations : sequence of array-likes of shape (N, d_m)
        The same stimuli in the same order for each model.
    dtype : numpy dtype
        Of kernels: float64 or float32.

    Returns
    -------
    sources : tuple of Source
    count : int
        N.
    fingerprint : tuple
        Shapes, types and some rows of each, for the key of a checkpoint.

    Raises
    ------
    BundleError
        ``search-models`` for fewer than two models, ``search-activations`` when they are
        not matrices over the same stimuli or hold numbers that are not finite.
    """
    if len(activations) < 2:
        raise BundleError(
            "search-models",
            f"{len(activations)} model is no pair to compare; give the activations of at least 2.",
        )
    sources, fingerprint = [], []
    size = 0
    for number, array in enumerate(activations):
        name = f"model {number} ({array.model_name})" if hasattr(array, "model_name") else ""
        name = name or f"model {number}"
        shape = getattr(array, "shape", None) or (array.count, array.width)
        if len(shape) != 2 or 0 in shape or (number and shape[0] != size):
            raise BundleError(
                "search-activations",
                f"The activations of {name} have the shape {tuple(shape)}; each model needs a row "
                f"for each stimulus{f', here {size}' if number else ''}. Extract them again.",
            )
        size = int(shape[0])
        centre, scale = _location(_raw_rows(array, _spread(size, _ROWS_FOR_CENTRE), name))
        sources.append(Source(array, centre, scale, dtype, name))
        some = _raw_rows(array, _spread(size, _ROWS_FOR_FINGERPRINT), name)
        fingerprint += [tuple(shape), some]
    return tuple(sources), size, tuple(fingerprint)


def _location(sample: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Return the feature-wise median and what makes a typical distance from it 1.

    Means would be where a single gross outlier is.
    """
    centre = np.empty(sample.shape[1])
    squares = np.zeros(len(sample))
    for start in range(0, sample.shape[1], _COLUMNS):
        part = sample[:, start : start + _COLUMNS].astype(np.float64)
        middle = np.median(part, axis=0)
        centre[start : start + _COLUMNS] = middle
        squares += np.square(part - middle).sum(axis=1)
    spread = float(np.median(squares)) or float(squares.mean())
    return centre, 1.0 / np.sqrt(spread) if spread > 0.0 else 1.0


def _spread(size: int, most: int) -> Indices:
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64))


def _raw_rows(array: Any, indices: Indices, name: str) -> NDArray[Any]:
    raw = np.asarray(array.rows(indices) if hasattr(array, "rows") else array[indices])
    if not np.isfinite(raw).all():
        row = int(indices[int(np.argwhere(~np.isfinite(raw))[0][0])])
        raise BundleError(
            "search-activations",
            f"The activations of {name} for stimulus {row} hold a number that is not finite; "
            "extract them again, in float32 if they were float16.",
        )
    return raw
