"""The three tasks: which groups each grades and which columns it writes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Column(NamedTuple):
    """A number that a task writes: its key in ``scores.json`` and what it means."""

    key: str
    title: str
    explanation: str


class Task(NamedTuple):
    """A task as its scoring program sees it.

    Attributes
    ----------
    key : str
        The scoring program folder's name without ``scoring_program_``.
    title : str
        For people.
    groups : tuple of str
        Values of ``ssp_indicator`` that its reference data must hold, and no others.
    columns : tuple of Column
        What it writes, always all of them, in this order. Each lies in [0, 1];
        higher is better. The first one ranks.
    """

    key: str
    title: str
    groups: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its columns, in order."""
        return tuple(column.key for column in self.columns)


_A_COLUMNS = (
    Column(
        "A_score_major_recall",
        "Signal hybrids found",
        "Share of Species A's signal hybrids that are found while 95 % of Species A's "
        "non-hybrids are recognised.",
    ),
    Column(
        "A_score_minor_recall",
        "Non-signal hybrids found",
        "Share of Species A's non-signal hybrids that are found at the same threshold.",
    ),
    Column(
        "A_PRC_AUC",
        "Species A, average precision",
        "Area under the precision-recall curve over all images of Species A.",
    ),
    Column(
        "A_PRC_AUC_major",
        "Signal group, average precision",
        "The same over the signal hybrids and their parent subspecies.",
    ),
    Column(
        "A_PRC_AUC_minor",
        "Non-signal group, average precision",
        "The same over the non-signal hybrids and their parent subspecies.",
    ),
)
_MIMIC_RECALL = Column(
    "mimic_recall",
    "Mimic hybrids found",
    "Share of the mimic species' hybrids that are found while 95 % of its non-hybrids "
    "are recognised.",
)
_MIMIC_PRC_AUC = Column(
    "mimic_PRC_AUC",
    "Mimics, average precision",
    "Area under the precision-recall curve over all images of the mimic species.",
)

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "A": Task(
            "A",
            "Species A",
            ("major", "minor"),
            (
                Column(
                    "score",
                    "Score",
                    "Harmonic mean of the two shares of hybrids found; 0 if either is 0.",
                ),
                *_A_COLUMNS,
            ),
        ),
        "mimic": Task(
            "mimic",
            "Mimics",
            ("mimic",),
            (
                Column("score", "Score", "The share of mimic hybrids found."),
                _MIMIC_RECALL,
                _MIMIC_PRC_AUC,
            ),
        ),
        "hybrid": Task(
            "hybrid",
            "Species A and mimics",
            ("major", "minor", "mimic"),
            (
                Column(
                    "challenge_score",
                    "Challenge score",
                    "Harmonic mean of the three shares of hybrids found; 0 if any is 0.",
                ),
                *_A_COLUMNS,
                _MIMIC_RECALL,
                _MIMIC_PRC_AUC,
            ),
        ),
    }
)
