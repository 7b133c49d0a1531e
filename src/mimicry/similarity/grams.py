"""Gram matrices as packed vectors, and the products of many of them at once.

A symmetric matrix is stored as rows of its upper triangle, 32 at a time: the square on
the diagonal as it is, everything to its right multiplied by the square root of two. The
inner product of two such vectors is the inner product of the two matrices. The squares
cost 32 / n more than a strict triangle and leave only a few large slices to copy.
"""

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np

from mimicry.similarity.arrays import Array, Centred, Matrix, row_squares, to_numpy

HEIGHT = 32
CHUNK = 1 << 16
# Entries of a Gram matrix that may be unpacked at once: 1 GiB of float64.
UNPACKED = 1 << 27
ROOT_TWO = math.sqrt(2.0)


class Panel(NamedTuple):
    """Rows `start` to `stop` of a symmetric matrix of order `order`, from the diagonal on."""

    start: int
    stop: int
    order: int

    @property
    def steps(self) -> list[tuple[int, int]]:
        """First and last row of every slice."""
        starts = range(self.start, self.stop, HEIGHT)
        return [(row, min(row + HEIGHT, self.stop)) for row in starts]

    @property
    def size(self) -> int:
        """Length of the packed vector."""
        return sum((stop - start) * (self.order - start) for start, stop in self.steps)


def panels(order: int, count: int, item_bytes: int, budget: int) -> list[Panel]:
    """Split a matrix into panels such that `count` packed ones fit into `budget` bytes."""
    entries = budget // (count * item_bytes)
    start, result = 0, []
    while start < order:
        width = order - start
        rest = Panel(start, order, order)
        fits = rest.size <= entries and width * width <= UNPACKED
        height = width if fits else max(1, min(entries, UNPACKED) // width)
        result.append(Panel(start, min(order, start + height), order))
        start += height
    return result


def pack(block: Array, panel: Panel, out: Array) -> None:
    """Write rows of a symmetric matrix, shape (stop - start, order - start), into `out`."""
    offset = 0
    for start, stop in panel.steps:
        rows, columns = stop - start, panel.order - start
        target = out[offset : offset + rows * columns].reshape((rows, columns))
        source = block[start - panel.start : stop - panel.start, start - panel.start :]
        target[:, :rows] = source[:, :rows]
        target[:, rows:] = source[:, rows:] * ROOT_TWO
        offset += rows * columns


def gram_block(centred: Centred, panel: Panel, unbiased: bool) -> Array:
    """Return rows of the centred Gram matrix, or of the U-centred one.

    U-centring (Székely and Rizzo 2014) of a Gram matrix K whose diagonal was set to
    zero subtracts its row and column sums over n - 2 and adds its total over
    (n - 1)(n - 2). With features centred before, the row sums are minus the diagonal
    that was removed, so no pass over the matrix is needed for them.
    """
    values = centred.values
    # NumPy recognises the product of an array with its own transpose and forms one triangle.
    block = values[panel.start : panel.stop, :] @ values[panel.start :, :].T
    if unbiased:
        u_centre(centred, block, panel.start, panel.start)
    return block


def u_centre(centred: Centred, block: Array, first_row: int, first_column: int) -> None:
    """U-centre, in place, a block of a centred Gram matrix that begins where told."""
    xp, squares = centred.xp, centred.squares
    order = int(squares.shape[0])
    height, width = (int(size) for size in block.shape)
    shares = squares / (order - 2)
    total = float(xp.sum(squares)) / ((order - 1) * (order - 2))
    block += (shares[first_row : first_row + height] - total)[:, None]
    block += shares[None, first_column : first_column + width]
    zero_diagonal(block, first_row - first_column)


def zero_diagonal(block: Array, shift: int = 0) -> None:
    """Set to zero, in place, the entries (i, i + shift) of a contiguous block."""
    height, width = (int(size) for size in block.shape)
    last = shift + (height - 1) * (width + 1)
    block.reshape((height * width,))[shift : last + 1 : width + 1] = 0.0


def squared_distances(xp: ModuleType, values: Array) -> Array:
    """Return squared Euclidean distances of centred rows, shape (n, n).

    What is within rounding of zero is set to zero, so that equal stimuli stay equal.
    """
    squares = row_squares(xp, values)
    sums = squares[:, None] + squares[None, :]
    result = sums - 2.0 * (values @ values.T)
    result = xp.where(result <= 1e-14 * sums, xp.zeros_like(result), result)
    result = 0.5 * (result + result.T)
    zero_diagonal(result)
    return result


def products(vectors: Array) -> Matrix:
    """Return all inner products of the rows of `vectors`, shape (M, M), as float64.

    Sums over chunks of columns are kept in float64, whatever the vectors are.
    """
    count, size = (int(length) for length in vectors.shape)
    total = np.zeros((count, count))
    for start in range(0, size, CHUNK):
        part = vectors[:, start : start + CHUNK]
        total += to_numpy(part @ part.T)
    return total


def cosines(inner: Matrix, floor: float = 0.0) -> Matrix:
    """Turn inner products into cosines in [-1, 1]; squared norms up to `floor` give 0.0.

    The result is exactly symmetric, and its diagonal is exactly 1.0 or 0.0.
    """
    squares = np.diagonal(inner)
    alive = squares > floor
    norms = np.sqrt(np.where(alive, squares, 1.0))
    result = inner / norms[:, None] / norms[None, :]
    result = np.clip(0.5 * (result + result.T), -1.0, 1.0)
    result[~alive, :] = 0.0
    result[:, ~alive] = 0.0
    np.fill_diagonal(result, alive.astype(np.float64))
    return result
