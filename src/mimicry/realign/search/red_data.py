"""Activations as the search reads them: by rows, centred, in one scale, never all at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimicry.errors import BundleError
from mimicry.realign.search.common import Indices

# CKA does not depend on the centre that is subtracted, so a sample of rows will do.
_ROWS_FOR_CENTRE = 4096
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
        About the mean; it is subtracted so that kernels do not drown in a common offset.
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
        sample = _raw_rows(array, _spread(size, _ROWS_FOR_CENTRE), name)
        centre = sample.mean(axis=0, dtype=np.float64)
        spread = float(np.square(sample - centre).sum(axis=1).mean())
        scale = 1.0 / np.sqrt(spread) if spread > 0.0 else 1.0
        sources.append(Source(array, centre, scale, dtype, name))
        some = _raw_rows(array, _spread(size, _ROWS_FOR_FINGERPRINT), name)
        fingerprint += [tuple(shape), some]
    return tuple(sources), size, tuple(fingerprint)


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
