"""What every search here needs: deadlines, groups of which one member may be chosen."""

import time
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from mimicry.errors import BundleError

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


def is_over(deadline: float | None) -> bool:
    """Tell whether a moment of `time.monotonic` has passed; None never does."""
    return deadline is not None and time.monotonic() >= deadline


def group_numbers(groups: Sequence[Hashable] | None, size: int) -> Indices:
    """Give groups numbers, in the order in which they appear.

    Parameters
    ----------
    groups : sequence of hashable or None
        One label for each thing; equal labels are one group, None is a group of its own.
    size : int
        How many things there are.

    Returns
    -------
    int64 ndarray of shape (size,)
        Equal numbers for members of one group.

    Raises
    ------
    ValueError
        When there is not one label for each thing.
    """
    if groups is None:
        return np.arange(size)
    if len(groups) != size:
        raise ValueError(f"groups has {len(groups)} labels for {size} things; give one for each.")
    seen: dict[Hashable, int] = {}
    labels = (("own", i) if label is None else ("named", label) for i, label in enumerate(groups))
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.int64)


def check_count(count: int, groups: Indices, things: str) -> None:
    """Refuse a count that cannot be chosen.

    Raises
    ------
    BundleError
        ``search-count`` when it is below 2 or above the number of groups.
    """
    available = len(np.unique(groups))
    if count < 2:
        raise BundleError(
            "search-count", f"{count} {things} make no pair to compare; ask for at least 2."
        )
    if count > available:
        more = "" if available == len(groups) else f" ({len(groups)} with their duplicates)"
        raise BundleError(
            "search-count",
            f"{count} {things} are wanted and only {available} different ones are there{more}; "
            "ask for fewer, or give more to choose from.",
        )
