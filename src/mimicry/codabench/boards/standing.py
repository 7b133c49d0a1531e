"""What is known of how sure a row's place on a board is."""

from dataclasses import dataclass
from typing import NamedTuple


class Standing(NamedTuple):
    """How sure one row's place is.

    Attributes
    ----------
    low, high : float or None
        95 % interval of the value that ranks the row; holds that value.
    best, worst : int
        The row's first and last possible rank, from 1: 1 + the number of rows that are
        better beyond error, and the number of rows - those that are worse. The row's
        place on the board lies between them.
    tied : tuple of int
        Ranks of the other rows that it is not told apart from. Rows about which nothing
        is known are among them.
    """

    low: float | None
    high: float | None
    best: int
    worst: int
    tied: tuple[int, ...]


@dataclass(frozen=True)
class Standings:
    """What goes with a board's rows.

    Attributes
    ----------
    rows : tuple of Standing or None
        In the board's order; None where nothing is known.
    notes : tuple of str
        Why, and what else one has to know; a few sentences.
    method : str
        In words, what intervals and ranks mean; empty where there are none.
    """

    rows: tuple[Standing | None, ...]
    notes: tuple[str, ...]
    method: str
