"""What a scoring program is, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.facts import Facts


class Scored(NamedTuple):
    """A scored submission.

    Attributes
    ----------
    scores : mapping of str to float
        Every column of the task, in order; finite.
    counted : str
        What was scored, for the log, such as ``1,175 images``.
    page : callable
        Given what is known of the run, returns what the results page shows below its
        heading. It keeps to the board's columns unless ``facts.full``. What it raises
        costs no scores.
    """

    scores: Mapping[str, float]
    counted: str
    page: Callable[[Facts], Sequence[Element]]


@dataclass(frozen=True)
class ScoringProgram:
    """A scoring program as its entry script starts it.

    Attributes
    ----------
    task : str
        Key of the task: the program folder's name without ``scoring_program_``.
    title : str
        The task's, for people.
    reads : str
        For the help: what lies in ``INPUT_DIR/ref`` and ``INPUT_DIR/res``.
    columns : tuple of str
        Keys of the board's columns.
    score : callable
        Given the input folder, returns what was scored. Raises `MimicryError`.
    """

    task: str
    title: str
    reads: str
    columns: tuple[str, ...]
    score: Callable[[Path], Scored]
