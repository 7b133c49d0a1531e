"""What the page of the boards is told of them."""

from collections.abc import Sequence
from typing import NamedTuple


class BoardColumn(NamedTuple):
    """A column: a name that no other has, its heading, its decimals, what is better."""

    key: str
    title: str
    decimals: int
    higher_is_better: bool


class BoardRow(NamedTuple):
    """A row of a board.

    Attributes
    ----------
    participant, submission : str
        Strangers' texts, short enough to be shown.
    value : float or None
        What the row is placed by; None where it has none or it must not be shown.
    interval : (float, float) or None
        Where that value may lie, as far as can be told.
    ranks : (int, int) or None
        The best and the worst rank that the numbers allow.
    tied_with_first : bool
        Whether the row is not told apart from the first.
    cells : sequence of float or None
        One for each column.
    marks : sequence of (str, str)
        What is odd about the run: a word, and a sentence.
    history : sequence of (str, float)
        When the participant handed in, and the value then; the oldest first.
    link : str or None
        The run's page, relative to this one.
    task : str or None
        Of which task the value is, where there are several.
    """

    participant: str
    submission: str
    value: float | None
    interval: tuple[float, float] | None
    ranks: tuple[int, int] | None
    tied_with_first: bool
    cells: Sequence[float | None]
    marks: Sequence[tuple[str, str]]
    history: Sequence[tuple[str, float]]
    link: str | None
    task: str | None = None


class BoardFailure(NamedTuple):
    """A run that is not on the board: whose, why, and its page."""

    participant: str
    submission: str
    reason: str
    link: str | None


class PhasePart(NamedTuple):
    """A phase's board.

    Attributes
    ----------
    key : str
        The phase's name on the command line.
    anchor : str
        In the page's address; unique on the page, letters, digits and hyphens.
    name : str
        For people.
    about : str
        A sentence below the heading.
    ranking : BoardColumn or None
        What ranks; None where it is hidden.
    columns : sequence of BoardColumn
        All that is shown beside it.
    rows, failures : sequence
        Best first; what is not on the board.
    together : str or None
        A sentence on which ranks are not told apart.
    notes : sequence of str
        What must be said of the board.
    method : str or None
        How intervals and ranges of ranks were found; None where there are none.
    """

    key: str
    anchor: str
    name: str
    about: str
    ranking: BoardColumn | None
    columns: Sequence[BoardColumn]
    rows: Sequence[BoardRow]
    failures: Sequence[BoardFailure]
    together: str | None
    notes: Sequence[str]
    method: str | None


class CompetitionPart(NamedTuple):
    """A competition's boards; `key` is its name on the command line, `name` for people."""

    key: str
    anchor: str
    name: str
    phases: Sequence[PhasePart]
