"""The organiser's table of labels: the three columns that are scored, and all others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimicry.data_sets.label_faults import SPLIT_COLUMN, labels_table, row_findings, unreadable
from mimicry.data_sets.options import stop_if_unfit
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.hybrids.reference import COLUMNS, parse_reference
from mimicry.hybrids.tables import MAX_TABLE_BYTES

# Looked for where none is named; the last is that of the 2024 butterfly data.
SPECIMEN_COLUMNS = ("specimen", "camid")


@dataclass(frozen=True)
class Row:
    """One image as the table has it.

    Attributes
    ----------
    number : int
        Its row, as an editor counts them.
    filename : str
        As written; never opened as a path.
    hybrid : bool
    group : {"major", "minor", "mimic"}
    split : {"development", "final", "training"} or None
        None where the table has no such column, or it is not used.
    specimen : str or None
        The animal; None where it is not known.
    other : dict
        Every other column.
    """

    number: int
    filename: str
    hybrid: bool
    group: str
    split: str | None = None
    specimen: str | None = None
    other: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> tuple[str, bool]:
        """Group and class together: what must not differ between two pictures of one animal."""
        return self.group, self.hybrid

    @property
    def may_train(self) -> bool:
        """Whether participants may see it: no mimic and no hybrid of the non-signal group."""
        return self.group == "major" or (self.group == "minor" and not self.hybrid)


@dataclass(frozen=True)
class Labels:
    """A table of labels.

    Attributes
    ----------
    rows : tuple of Row
        In the table's order.
    has_splits : bool
        Whether the table says which image belongs where.
    specimen_column : str or None
        The column that was read as the animal.
    """

    rows: tuple[Row, ...]
    has_splits: bool
    specimen_column: str | None


def read_labels(path: Path, *, specimen: str | None = None, use_splits: bool = True) -> Labels:
    """Read a table of labels.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with ``filename``, ``hybrid_stat`` (0 or 1), ``ssp_indicator``
        (major, minor or mimic), and where wanted ``split`` (development, final or
        training) and a column that names the animal.
    specimen : str, optional
        That column; by default ``specimen`` or ``CAMID`` in any case, where there is one.
        An empty cell is an animal of its own.
    use_splits : bool
        False ignores the column ``split``.

    Raises
    ------
    BundleError
        What `mimicry.data_sets.label_faults.labels_table` finds; `labels-column` when the
        specimen's column is missing.
    UnfitDataError
        `data-unfit` with everything that is wrong with rows, see
        `mimicry.data_sets.label_faults.row_findings`.
    """
    name = path.name
    try:
        data = read_regular_file(path, MAX_TABLE_BYTES)
    except UnusableFile as fault:
        raise unreadable(name, fault) from None
    titles, rows = labels_table(data, name)
    stop_if_unfit(row_findings(titles, rows, use_splits=use_splits), "the table of labels has")
    reference = parse_reference(data, name)
    chosen = _specimen_column(titles, specimen, name)
    splits = use_splits and SPLIT_COLUMN in titles
    read = []
    for i, (number, cells) in enumerate(rows):
        values = dict(zip(titles, (cell.strip() for cell in cells), strict=True))
        read.append(
            Row(
                number,
                reference.filenames[i],
                reference.hybrid[i],
                reference.group[i],
                values[SPLIT_COLUMN].lower() if splits else None,
                (values[chosen] or None) if chosen is not None else None,
                {title: value for title, value in values.items() if title not in COLUMNS},
            )
        )
    return Labels(tuple(read), splits, chosen)


def _specimen_column(titles: Sequence[str], wanted: str | None, name: str) -> str | None:
    if wanted is None:
        return next((title for title in titles if title.lower() in SPECIMEN_COLUMNS), None)
    if wanted not in titles:
        raise BundleError(
            "labels-column",
            f"{name} has no column {wanted!r}; its columns are {', '.join(titles)}.",
        )
    return wanted
