"""What a page may tell of a group's ranking without telling the label of any image.

A participant knows the scores, how many images the group has and how many of them are
hybrids; exact counts along the ranking would then tell labels, the first hybrid's at the
latest. So counts are told at few places, and there only up to a cell of some numbers.

Places. The ranking is cut after b images, only where scores differ, with all such b alike
modulo the cells' width w, and `block` images or more between two.

Cells. The hybrids c among the first b images are told as the cell they fall in: w
consecutive numbers, 0 standing at place a of its cell and all n1 hybrids at place z of
theirs, neither first nor last, so 0 < a < w - 1 and 0 < z < w - 1.

Why no label follows. Let e be the place of c in its cell, from 0 to w - 1. Since the blocks
are multiples of w, a block of s images confines the counts at its ends in two cases only:
where the cells lie s apart (the counts can differ by s, all of them hybrids, at most), which
says e after <= e before, and where the cell is the same (none at least), which says
e after >= e before. All other pairs of cells leave both counts free. An image's label
is forced only if the two places of such a case must be equal, that is, if a chain of the
same case confines them from both sides. Along a chain from the start, e is at most the
place u of c = b ("all so far are hybrids") or at least a; along one to the end, at least the
place v of c = n1 - (n - b) ("all the rest are hybrids") or at most z. With u > 0, v < w - 1,
a < w - 1 and z > 0 one side always has room, and no chain goes all the way, since a group
has hybrids and non-hybrids. For every image there is thus a labelling with the same
cells in which it is a hybrid, and one in which it is not.

Everything but the cells depends on the scores, n and n1 alone: no labelling is answered
with a different partition, and none with silence, so that these say nothing either.

Not promised: anything beyond one answer. The columns of the board are told exactly, other
submissions cut at other places, and together they narrow labels down, as a board's scores
always do; limits on submissions are what holds against that.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mimicry.hybrids.metrics import Mask, Scores

BLOCK, CELL = 12, 3
# Some alignment exists for every number of hybrids from a width of 5 on; with more, ties
# find more places to cut at.
WIDEST = 6


class Bin(NamedTuple):
    """Neighbours in a ranking: how many images, and about how many hybrids among them."""

    images: int
    hybrids: int


class _Partition(NamedTuple):
    """Where a ranking is cut, and how counts are rounded there.

    Attributes
    ----------
    width : int
        Numbers in a cell, w.
    first : int
        Place of 0 in its cell, a.
    cuts : tuple of int
        Numbers of images above each cut, ascending; neither 0 nor n.
    """

    width: int
    first: int
    cuts: tuple[int, ...]


def published_bins(
    scores: Scores, hybrid: Mask, *, block: int = BLOCK, cell: int = CELL
) -> tuple[Bin, ...]:
    """Return a group's ranking in bins that leave every image's label open.

    Given the bins, the scores and the numbers of images and hybrids, each image may still
    be a hybrid, and may still be none; the module's text has the reason.

    Parameters
    ----------
    scores : array of float64, shape (n,)
        Finite scores of one group; equal scores stay in one bin.
    hybrid : array of bool, shape (n,)
        True for hybrids.
    block : int
        Images in a bin at least, and at least `cell`; ties and cells make some larger.
    cell : int
        Numbers that a told count may stand for, at least; from 3 to 6.

    Returns
    -------
    tuple of Bin
        Highest scores first; images add up to n and hybrids to their true number. Empty
        where nothing can be told: there are no non-hybrids or less than 3 hybrids, or the
        group is too small or its scores too much tied for two bins.

    Raises
    ------
    ValueError
        Shapes differ, a score is not finite, or `block` or `cell` is out of range.
    """
    if scores.ndim != 1 or scores.shape != hybrid.shape or not np.isfinite(scores).all():
        raise ValueError(f"scores {scores.shape} and labels {hybrid.shape} must match, finite")
    if not 3 <= cell <= min(WIDEST, block):
        raise ValueError(f"bins of {block} images and cells of {cell} are out of range")
    n, n1 = scores.size, int(np.count_nonzero(hybrid))
    if n1 in (0, n):
        return ()
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    # Compared, not subtracted: the difference of the largest floats overflows.
    ends = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    partition = _partition(ends, n, n1, block, cell)
    if not partition.cuts:
        return ()
    counts = np.cumsum(hybrid[order])[np.array(partition.cuts) - 1]
    return _bins(partition, counts, n, n1)


def _partition(ends: npt.NDArray[np.intp], n: int, n1: int, block: int, cell: int) -> _Partition:
    """Return the partition with the most cuts, of those the one with the narrowest cells.

    Parameters
    ----------
    ends : array of int, ascending
        Numbers of images above which the ranking may be cut.
    """
    best = _Partition(cell, 1, ())
    for width in range(cell, min(WIDEST, block) + 1):
        # Cuts lie multiples of the width apart.
        apart = -(-block // width) * width
        found: dict[int, tuple[int, ...]] = {}
        for first in sorted(range(1, width - 1), key=lambda a: abs(2 * a - (width - 1))):
            last = (n1 + first) % width
            # With all counts in one cell there would be nothing to tell.
            if not 0 < last < width - 1 or n1 + first < width:
                continue
            for residue in range(width):
                all_hybrids = (residue + first) % width
                rest_hybrids = (last - (n - residue)) % width
                if all_hybrids == 0 or rest_hybrids == width - 1:
                    continue
                if (n - 2 * block) // apart + 1 <= len(best.cuts):
                    break
                if residue not in found:
                    found[residue] = _spaced(ends[ends % width == residue], n, block)
                if len(found[residue]) > len(best.cuts):
                    best = _Partition(width, first, found[residue])
    return best


def _spaced(candidates: npt.NDArray[np.intp], n: int, block: int) -> tuple[int, ...]:
    """Return candidates from the top on that lie at least `block` from each other and the ends."""
    cuts: list[int] = []
    place = 0
    while True:
        index = int(np.searchsorted(candidates, place + block))
        if index == len(candidates) or candidates[index] > n - block:
            return tuple(cuts)
        place = int(candidates[index])
        cuts.append(place)


def _bins(partition: _Partition, counts: npt.NDArray[np.intp], n: int, n1: int) -> tuple[Bin, ...]:
    """Return bins whose hybrids are differences of what the cells stand for."""
    cuts = np.array(partition.cuts)
    cells = (counts + partition.first) // partition.width
    last = (n1 + partition.first) // partition.width
    # Spread evenly from 0 to n1, which is near the cells' middles.
    told = (2 * n1 * cells + last) // (2 * last)
    # What is possible at all: the first and the last cells reach beyond it.
    told = np.clip(told, np.maximum(0, n1 - (n - cuts)), np.minimum(cuts, n1))
    told = np.minimum.accumulate(told - cuts) + cuts
    images = np.diff([0, *cuts, n])
    hybrids = np.diff([0, *told, n1])
    return tuple(Bin(int(a), int(b)) for a, b in zip(images, hybrids, strict=True))
