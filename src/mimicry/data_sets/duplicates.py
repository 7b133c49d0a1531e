"""Images that look alike, found by their hashes: exact ones and near ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimicry.errors import BundleError

# Bits of 256. Measured on the 1,410 butterflies of the demo: copies with another quality,
# size or brightness differ in up to 12, any two animals in at least 30 (docs/data.md).
NEAR = 20
MOST_LINKS = 1_000_000
_BLOCK = 2048


class Link(NamedTuple):
    """Two images that look alike.

    Attributes
    ----------
    first, second : int
        Positions, the first smaller.
    distance : int
        Bits in which their perceptual hashes differ; -1 where all pixels are the same.
    """

    first: int
    second: int
    distance: int

    def words(self) -> str:
        """Return how alike they are."""
        return "the same pixels" if self.distance < 0 else f"{self.distance} of 256 bits differ"


def find_links(pixels: Sequence[str], looks: Sequence[str], near: int = NEAR) -> list[Link]:
    """Find images with the same pixels or with nearly the same look.

    Of several images with the same pixels, or with the same hash, each is linked to the
    first; everything that is alike hangs together, directly or through others.

    Parameters
    ----------
    pixels : sequence of str, length n
        SHA-256 of each image's pixels.
    looks : sequence of str, length n
        Perceptual hashes in hexadecimal, all of one length.
    near : int
        Most bits that may differ; with 0 hashes have to be equal.

    Returns
    -------
    list of Link
        Sorted.

    Raises
    ------
    BundleError
        `duplicates-many` for more than a million links between different hashes.

    Notes
    -----
    All pairs of different hashes are compared by products of matrices of +1 and -1, whose
    entries are 256 minus twice the distance: exact in float32, n x n / 2 x 256
    multiplications, in bounded memory.
    """
    links: list[Link] = []
    by_pixels: dict[str, int] = {}
    by_look: dict[str, int] = {}
    for i, (pixel, look) in enumerate(zip(pixels, looks, strict=True)):
        first = by_pixels.setdefault(pixel, i)
        if first != i:
            links.append(Link(first, i, -1))
            continue
        same_look = by_look.setdefault(look, i)
        if same_look != i:
            links.append(Link(same_look, i, 0))
    if near > 0:
        positions = np.array(list(by_look.values()), dtype=np.intp)
        for a, b, distance in _near_pairs(list(by_look), near):
            one, other = sorted((int(positions[a]), int(positions[b])))
            links.append(Link(one, other, distance))
    return sorted(links)


def _near_pairs(looks: Sequence[str], near: int) -> list[tuple[int, int, int]]:
    if len(looks) < 2:
        return []
    signs = _signs(looks)
    size = signs.shape[1]
    found: list[tuple[int, int, int]] = []
    for start in range(0, len(signs), _BLOCK):
        rows = signs[start : start + _BLOCK]
        for other in range(start, len(signs), _BLOCK):
            products = rows @ signs[other : other + _BLOCK].T
            at, beside = np.nonzero(products >= size - 2 * near)
            distances = ((size - products[at, beside]) / 2).astype(int)
            keep = at + start < beside + other
            found.extend(
                zip(
                    (at[keep] + start).tolist(),
                    (beside[keep] + other).tolist(),
                    distances[keep].tolist(),
                    strict=True,
                )
            )
            if len(found) > MOST_LINKS:
                raise BundleError(
                    "duplicates-many",
                    f"more than {MOST_LINKS:,} pairs of images look alike, so that the hash tells "
                    "nothing about these photographs. Lower --near; 0 finds equal hashes only.",
                )
    return found


def _signs(looks: Sequence[str]) -> NDArray[np.float32]:
    """Return hashes as rows of +1 and -1."""
    packed = np.frombuffer(bytes.fromhex("".join(looks)), dtype=np.uint8)
    bits = np.unpackbits(packed.reshape(len(looks), -1), axis=1)
    return bits.astype(np.float32) * 2 - 1


def components(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """Return for each of `count` things the number of the group it hangs together with."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not links:
        return list(range(count))
    pairs = np.array(links, dtype=np.intp)
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return [int(label) for label in labels]
