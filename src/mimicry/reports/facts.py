"""What every page says of the run that it shows."""

from collections.abc import Sequence
from typing import NamedTuple


class ScoreRow(NamedTuple):
    """A column of the board: its key in ``scores.json``, its value and what it means."""

    key: str
    title: str
    value: float
    explanation: str


class Facts(NamedTuple):
    """Where and how a submission was scored.

    Attributes
    ----------
    title : str
        The task, for people.
    subtitle : str or None
        Competition and phase; None where the program was not packed for one.
    full : bool
        Whether the phase's rules allow more than the board's columns to be shown.
    seconds : float
        How long scoring took.
    provenance : sequence of (str, str)
        What and which version, such as ``("NumPy", "2.4.6")``; nothing that tells of labels.
    """

    title: str
    subtitle: str | None
    full: bool
    seconds: float
    provenance: Sequence[tuple[str, str]]
