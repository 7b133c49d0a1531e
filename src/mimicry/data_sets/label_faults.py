"""What is wrong with the table of labels: its form first, then all faults of its rows together."""

from collections.abc import Callable, Sequence

from mimicry.data_sets.findings import Finding, judge
from mimicry.errors import BundleError
from mimicry.files import UnusableFile
from mimicry.hybrids.reference import COLUMNS, GROUPS
from mimicry.hybrids.tables import csv_rows

SPLITS = ("development", "final", "training")
SPLIT_COLUMN = "split"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}

_ROWS = {
    "reference-row": "%d {row|rows} of the table of labels {has|have} more or fewer fields than "
    "its header; quote values that hold commas.",
    "reference-filename": "%d {row|rows} of the table of labels {has|have} no filename; name the "
    "image of every row.",
    "reference-label": "%d {row|rows} of the table of labels {has|have} neither 0 nor 1 in column "
    "hybrid_stat; write 1 for a hybrid, 0 if not.",
    "reference-group": "%d {row|rows} of the table of labels {has|have} none of "
    f"{', '.join(GROUPS)} in column ssp_indicator; write one of them.",
    "reference-duplicate": "%d {row|rows} of the table of labels {repeats|repeat} the filename of "
    "an earlier row; keep one row per image.",
    "labels-split": "%d {row|rows} of the table of labels {has|have} none of "
    f"{', '.join(SPLITS)} in column {SPLIT_COLUMN}; write one of them in every row, or let --split "
    "make the splits, which ignores the column.",
}
"""Code -> sentence about rows."""


def labels_table(data: bytes, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the titles and the rows of a table of labels, with the rows' numbers.

    Parameters
    ----------
    data : bytes
        CSV.
    name : str
        What sentences call the file.

    Raises
    ------
    BundleError
        `reference-unreadable`; `reference-empty`; `reference-columns` when one that is
        needed is missing, or the columns are separated by something else than commas;
        `labels-column` when one occurs twice.
    """
    try:
        rows = list(csv_rows(data))
    except UnusableFile as fault:
        raise unreadable(name, fault) from None
    if len(rows) < 2:
        what = "has a header but no rows" if rows else "is empty"
        raise BundleError(
            "reference-empty",
            f"{name} {what}. Write the table of labels: a header with {', '.join(COLUMNS)}, then "
            "one row per image.",
        )
    titles = [title.strip() for title in rows.pop(0)[1]]
    missing = [title for title in COLUMNS if title not in titles]
    if missing:
        raise BundleError("reference-columns", f"{name} {_without(missing, titles)}")
    repeated = sorted({title for title in titles if titles.count(title) > 1})
    if repeated:
        raise BundleError(
            "labels-column", f"{name} has several columns called {repeated[0]!r}; keep one."
        )
    return titles, rows


def unreadable(name: str, fault: UnusableFile) -> BundleError:
    """Return the error of a file that is no table."""
    return BundleError(
        "reference-unreadable",
        f"{name} {fault}. Write the table of labels as one CSV file in UTF-8 (spreadsheets call "
        "it “CSV UTF-8”).",
    )


def _without(missing: Sequence[str], titles: Sequence[str]) -> str:
    for sign, word in _SEPARATORS.items():
        if len(titles) == 1 and sign in titles[0]:
            return (
                f"separates its columns by {word}, as spreadsheets do in some languages. Write "
                "the table of labels with commas between columns."
            )
    noun = "column" if len(missing) == 1 else "columns"
    return (
        f"has no {noun} {', '.join(missing)} in its first row (there are: {', '.join(titles)}). "
        f"The table of labels needs {', '.join(COLUMNS)}; others may be there."
    )


def row_findings(
    titles: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], *, use_splits: bool
) -> list[Finding]:
    """Return all that is wrong with the rows of a table of labels.

    Parameters
    ----------
    titles : sequence of str
        Its columns, see `labels_table`.
    rows : sequence of (int, sequence of str)
        Number and fields. Of a row with too many or too few nothing else is said.
    use_splits : bool
        Whether the column ``split``, where there is one, counts.

    Returns
    -------
    list of Finding
        One for each kind of fault, with the row, its file name and what stands there.
    """
    tests: dict[str, tuple[str, Callable[[str], bool]]] = {
        "reference-filename": ("filename", bool),
        "reference-label": ("hybrid_stat", lambda value: value in {"0", "1"}),
        "reference-group": ("ssp_indicator", lambda value: value in GROUPS),
    }
    if use_splits and SPLIT_COLUMN in titles:
        tests["labels-split"] = (SPLIT_COLUMN, lambda value: value.lower() in SPLITS)
    faults: dict[str, list[str]] = {}
    seen: dict[str, int] = {}
    for number, fields in rows:
        if len(fields) != len(titles):
            text = f"row {number}: {len(fields)} instead of {len(titles)}"
            faults.setdefault("reference-row", []).append(text)
            continue
        values = dict(zip(titles, fields, strict=True))
        filename = values["filename"]
        for code, (title, fits) in tests.items():
            value = values[title].strip()
            if not fits(value):
                where = f" ({filename})" if filename.strip() else ""
                faults.setdefault(code, []).append(f"row {number}{where}: {value!r}")
        first = seen.setdefault(filename, number)
        if first != number and filename.strip():
            text = f"row {number} ({filename}): as row {first}"
            faults.setdefault("reference-duplicate", []).append(text)
    return judge(_ROWS, faults, ())
