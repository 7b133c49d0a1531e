"""Reading activations from NumPy, torch or another array library, checked and centred.

NumPy arrays, and whatever else ``numpy.asarray`` takes, are worked on by NumPy
itself, 1.24 or newer. Arrays of torch, CuPy and the like stay where they are, on
their device, and are worked on through the package ``array_api_compat``.
"""

import math
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
Matrix: TypeAlias = npt.NDArray[np.float64]

FOREIGN_LIBRARIES = frozenset({"torch", "cupy", "dask", "jax", "jaxlib", "ndonnx", "sparse"})
# What float32 and float64 lose by rounding. Half precision and integers are taken as they
# stand: there four units in the last place would be a visible part of the value.
RESOLUTION = {"float32": 4 * 2.0**-23, "float64": 4 * 2.0**-52}
# Types that float64 holds without a chance of overflow, also of a difference.
NARROW = frozenset({"float32", "float16", "bfloat16", "int8", "uint8", "int16", "uint16", "int32"})


class Features(NamedTuple):
    """Activations of one model as float64, finite, not yet centred.

    `resolution` is the relative spread that counts as rounding; `owned` tells that the
    values are a copy of what was passed.
    """

    xp: ModuleType
    values: Array
    resolution: float
    owned: bool


class Centred(NamedTuple):
    """Activations of one model with every feature's mean removed.

    Attributes
    ----------
    xp : module
        NumPy or the namespace of the array's library.
    values : array of float64, shape (n, d)
        Scaled so that its squares sum to one; all zero where `constant`.
    squares : array of float64, shape (n,)
        Sums of squares of the rows: the diagonal of the centred Gram matrix.
    constant : bool
        All stimuli have the same features, up to rounding.
    """

    xp: ModuleType
    values: Array
    squares: Array
    constant: bool


def is_foreign(array: object) -> bool:
    """Tell whether an array belongs to a library that is not NumPy."""
    if isinstance(array, np.ndarray):
        return False
    return type(array).__module__.partition(".")[0] in FOREIGN_LIBRARIES or hasattr(
        array, "__array_namespace__"
    )


def read_features(array: object, name: str) -> Features:
    """Return `array` as finite float64 of two dimensions, on its own device.

    Parameters
    ----------
    array : array_like, shape (n, d)
        Any real type: integers and half precision are widened.
    name : str
        What an error calls the array.

    Raises
    ------
    ValueError
        It is not of two dimensions, has fewer than two stimuli or no feature, is not
        of real numbers, or holds a NaN or an infinity.
    """
    if is_foreign(array):
        xp, values, kind = _foreign(array)
    else:
        xp, values = np, np.asarray(array)
        kind = values.dtype.name
        if values.dtype.kind in "cOSUMm" or kind.startswith("void"):
            raise ValueError(f"{name} holds {kind}, but activations must be real numbers")
    check_shape(tuple(values.shape), name)
    wide = values.astype(np.float64, copy=False) if xp is np else xp.astype(values, xp.float64)
    with np.errstate(all="ignore"):
        # A finite sum proves finite elements; only a sum that overflowed needs a second look.
        if not math.isfinite(float(xp.sum(wide))) and not bool(xp.all(xp.isfinite(wide))):
            row = int(np.argmin(np.isfinite(to_numpy(wide)).all(axis=1)))
            raise ValueError(f"{name} holds a NaN or an infinity, first in row {row}")
    return Features(xp, wide, RESOLUTION.get(kind, 0.0), kind in NARROW)


def _foreign(array: Any) -> tuple[ModuleType, Array, str]:
    try:
        from array_api_compat import array_namespace
    except ImportError as error:
        raise ImportError(
            "arrays of other libraries than NumPy need the package array-api-compat"
        ) from error
    values = array.detach() if hasattr(array, "detach") else array
    kind = str(values.dtype).rpartition(".")[2]
    if "complex" in kind:
        raise ValueError(f"activations must be real numbers, not {kind}")
    return array_namespace(values), values, kind


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """Refuse what is not (n, d) with n >= 2 and d >= 1."""
    if len(shape) != 2:
        raise ValueError(
            f"{name} has the shape {shape}, but activations are a table (stimuli, features)"
        )
    if shape[0] < 2:
        raise ValueError(f"{name} has {shape[0]} stimuli, but a comparison needs at least 2")
    if shape[1] < 1:
        raise ValueError(f"{name} has no feature")


def centre(features: Features, *, consume: bool = False) -> Centred:
    """Remove every feature's mean and scale to a sum of squares of one.

    The first stimulus is subtracted before the mean is formed. So an offset, however
    large, costs no more accuracy than the input has lost already, and features that
    do not vary come out as exact zeros. A spread within four units in the last place
    of float32 or float64 counts as none, where no feature varies by more. With
    `consume`, the features may be overwritten, which saves a copy.
    """
    xp, values, resolution, owned = features
    with np.errstate(all="ignore"):
        first = values[:1, :] + 0.0
        limit = resolution * _largest(xp, first)
        if consume and owned:
            shifted = values
            shifted -= first
        else:
            shifted = values - first
        size = _largest(xp, shifted)
        if math.isinf(size):
            first = first * 0.25
            shifted = values * 0.25 - first
            size = _largest(xp, shifted)
        if size <= limit:
            noise = xp.max(xp.abs(shifted), axis=0) <= resolution * xp.abs(first[0, :])
            shifted = xp.where(noise, xp.zeros_like(shifted), shifted)
            size = _largest(xp, shifted)
        if size == 0.0:
            return Centred(xp, shifted, shifted[:, 0], True)
        if not 1e-50 < size < 1e50:
            shifted = rescale(shifted, size)
        shifted -= xp.mean(shifted, axis=0)
        squares = row_squares(xp, shifted)
        trace = float(xp.sum(squares))
        shifted *= 1.0 / math.sqrt(trace)
        return Centred(xp, shifted, squares / trace, False)


def rescale(values: Array, size: float) -> Array:
    """Multiply by the power of two that brings `size`, the largest magnitude, near one."""
    exponent = math.frexp(size)[1]
    half = exponent // 2
    # In two steps, since 2.0**1074 is no float.
    return values * 2.0**-half * 2.0 ** (half - exponent)


def row_squares(xp: ModuleType, values: Array) -> Array:
    """Return the sum of squares of every row, shape (n,)."""
    if xp is np:
        return np.einsum("ij,ij->i", values, values)
    return xp.sum(values * values, axis=1)


def _largest(xp: ModuleType, values: Array) -> float:
    return max(float(xp.max(values)), -float(xp.min(values)))


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """Copy an array of any library to NumPy, from whatever device it is on."""
    if not is_foreign(array):
        return np.asarray(array)
    from array_api_compat import to_device

    return np.asarray(to_device(array, "cpu"))


def like_array(values: npt.NDArray[Any], like: Array) -> Array:
    """Return a NumPy array as one of the library, the device and the dtype of `like`."""
    if not is_foreign(like):
        return values.astype(like.dtype, copy=False)
    from array_api_compat import array_namespace, device

    return array_namespace(like).asarray(values, dtype=like.dtype, device=device(like))


def index_array(index: npt.NDArray[np.intp], like: Array) -> Array:
    """Return a NumPy index as an array of the library and the device of `like`."""
    if not is_foreign(like):
        return index
    from array_api_compat import array_namespace, device

    return array_namespace(like).asarray(index, device=device(like))


def zeros(like: Array, shape: tuple[int, ...], dtype: str) -> Array:
    """Return zeros of the library and on the device of `like`."""
    if not is_foreign(like):
        return np.zeros(shape, dtype=dtype)
    from array_api_compat import array_namespace, device

    xp = array_namespace(like)
    return xp.zeros(shape, dtype=getattr(xp, dtype), device=device(like))
