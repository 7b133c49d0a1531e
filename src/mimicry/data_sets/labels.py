"""The organiser's table of labels: the three columns that are scored, and all others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.hybrids.reference import COLUMNS, parse_reference
from mimicry.hybrids.tables import MAX_TABLE_BYTES, csv_rows

SPLITS = ("development", "final", "training")
SPLIT_COLUMN = "split"
# Looked for where none is named; the last is that of the 2024 butterfly data.
SPECIMEN_COLUMNS = ("specimen", "camid")
SHOWN = 5


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
        What `mimicry.hybrids.reference.parse_reference` finds; `labels-column` when a
        column occurs twice or the specimen's is missing; `labels-split` for other values
        of ``split``, with rows.
    """
    name = path.name
    try:
        data = read_regular_file(path, MAX_TABLE_BYTES)
    except UnusableFile as fault:
        raise BundleError(
            "reference-unreadable", f"{name} {fault}. Write the labels as one UTF-8 CSV file."
        ) from None
    reference = parse_reference(data, name)
    (_, header), *rows = csv_rows(data)
    titles = [title.strip() for title in header]
    repeated = sorted({title for title in titles if titles.count(title) > 1})
    if repeated:
        raise BundleError(
            "labels-column", f"{name} has several columns called {repeated[0]!r}; keep one."
        )
    chosen = _specimen_column(titles, specimen, name)
    splits = use_splits and SPLIT_COLUMN in titles
    read, wrong = [], []
    for i, (number, cells) in enumerate(rows):
        values = dict(zip(titles, (cell.strip() for cell in cells), strict=True))
        split = values.get(SPLIT_COLUMN, "").lower() if splits else None
        if split is not None and split not in SPLITS:
            wrong.append(number)
        read.append(
            Row(
                number,
                reference.filenames[i],
                reference.hybrid[i],
                reference.group[i],
                split,
                (values[chosen] or None) if chosen is not None else None,
                {title: value for title, value in values.items() if title not in COLUMNS},
            )
        )
    if wrong:
        raise BundleError(
            "labels-split",
            f"{name}: {_rows(wrong)} in column {SPLIT_COLUMN} none of {', '.join(SPLITS)}. "
            "Write one of them in every row, or let --split make the splits, which ignores "
            "the column.",
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


def _rows(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"row {numbers[0]} has"
    more = f" and {len(numbers) - SHOWN:,} more" if len(numbers) > SHOWN else ""
    return f"rows {', '.join(map(str, numbers[:SHOWN]))}{more} have"
