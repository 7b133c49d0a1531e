"""What comparing runs starts from and ends with: rows of a board, and who is above whom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mimicry.codabench.rescoring import unchanged_submission
from mimicry.errors import BundleError, MimicryError, one_line

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Fail = Callable[[int, str], None]
Step = Callable[[str], None]
T = TypeVar("T")


class Row(NamedTuple):
    """One row of a board: its place from 0, its run's folder, its recorded scores."""

    place: int
    folder: Path
    recorded: Mapping[str, float]


@dataclass(frozen=True)
class Compared:
    """k submissions to one task, compared.

    Attributes
    ----------
    places : array of int, shape (k,)
        Of the board's rows, from 0.
    values, lows, highs : arrays of float64, shape (k,)
        The ranking value and its 95 % interval, which holds it.
    above : array of bool, shape (k, k)
        Whether the row's value is the larger one beyond error: the 95 % interval of the
        paired difference lies above 0. Two equal submissions are never apart.
    method : str
        In words.
    """

    places: npt.NDArray[np.intp]
    values: Matrix
    lows: Matrix
    highs: Matrix
    above: Mask
    method: str


def read_each(
    rows: Sequence[Row], read: Callable[[Row], T], fail: Fail, step: Step
) -> tuple[list[Row], list[T]]:
    """Read every row's submission; those that cannot be are told to `fail`."""
    kept: list[Row] = []
    found: list[T] = []
    for number, row in enumerate(rows, 1):
        step(f"reading run {number} of {len(rows)}")
        try:
            with unchanged_submission():
                found.append(read(row))
        except Exception as error:
            # The board is shown whatever a run's folder holds.
            fail(row.place, reason_of(error))
        else:
            kept.append(row)
    return kept, found


def reason_of(error: Exception) -> str:
    """Return an error's sentence; of one that nobody foresaw, its kind."""
    if isinstance(error, MimicryError):
        return one_line(str(error), 300)
    return f"it could not be scored again ({type(error).__name__})"


def recorded(rows: Sequence[Row], primary: str) -> Matrix:
    """Return the rows' recorded values of the column that ranks, shape (k,)."""
    return np.array([row.recorded[primary] for row in rows], dtype=np.float64)


def places(rows: Sequence[Row]) -> npt.NDArray[np.intp]:
    """Return the rows' places on the board, from 0, shape (k,)."""
    return np.array([row.place for row in rows], dtype=np.intp)


def check_primary(primary: str, ours: str) -> None:
    """Raise `scoring-foreign` unless a board ranks by the column whose intervals are known."""
    if primary != ours:
        raise BundleError(
            "scoring-foreign",
            f"This board ranks by {primary}; intervals are known of {ours} alone.",
        )
