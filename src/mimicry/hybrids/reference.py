"""Reference data: one CSV file with the labels of a task's images.

Sentences of this module end up on a page that anyone may read, so they name
files, columns and rows, and never repeat a value.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, is_clutter, read_regular_file
from mimicry.hybrids.tables import MAX_TABLE_BYTES, csv_rows

COLUMNS = ("filename", "hybrid_stat", "ssp_indicator")
GROUPS = ("major", "minor", "mimic")
SHOWN = 5


class Reference(NamedTuple):
    """The labels of a set of images, row by row as in the file.

    Attributes
    ----------
    filenames : tuple of str, shape (n,)
        Each name once.
    hybrid : tuple of bool, shape (n,)
        Whether the image shows a hybrid.
    group : tuple of str, shape (n,)
        ``major`` (signal hybrids and their parents), ``minor`` (non-signal
        hybrids and their parents) or ``mimic``.
    """

    filenames: tuple[str, ...]
    hybrid: tuple[bool, ...]
    group: tuple[str, ...]


def read_reference(folder: Path) -> Reference:
    """Read the only CSV file of `folder`.

    Raises
    ------
    BundleError
        ``reference-missing`` or ``reference-ambiguous`` when there is not exactly
        one CSV file, and whatever `parse_reference` finds.
    """
    path = find_reference(folder)
    try:
        data = read_regular_file(path, MAX_TABLE_BYTES)
    except UnusableFile as fault:
        raise _unreadable(path.name, fault) from None
    return parse_reference(data, path.name)


def find_reference(folder: Path) -> Path:
    """Return the only CSV file directly in `folder`, an operating system's clutter aside.

    Raises
    ------
    BundleError
        ``reference-missing`` or ``reference-ambiguous``.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        names = []
    found = [name for name in names if name.lower().endswith(".csv") and not is_clutter(name)]
    if not found:
        raise BundleError(
            "reference-missing",
            f"The reference data ({folder}) hold no CSV file. Put one CSV file with the columns "
            f"{', '.join(COLUMNS)} at the root of the reference data's zip.",
        )
    if len(found) > 1:
        raise BundleError(
            "reference-ambiguous",
            f"The reference data ({folder}) hold {len(found)} CSV files "
            f"({_listed(found)}). Leave exactly one.",
        )
    return folder / found[0]


def parse_reference(data: bytes, file_name: str) -> Reference:
    """Read labels from the bytes of a CSV file.

    Parameters
    ----------
    data : bytes
        UTF-8 text, with or without a byte order mark. Columns other than
        `COLUMNS` and blank lines are ignored.
    file_name : str
        What the sentences call the file.

    Returns
    -------
    Reference
        At least one row; names unique; groups among `GROUPS`.

    Raises
    ------
    BundleError
        ``reference-unreadable``, ``reference-empty``, ``reference-columns``,
        ``reference-row``, ``reference-filename``, ``reference-label``,
        ``reference-group`` or ``reference-duplicate``, with row numbers.
    """
    try:
        rows = list(csv_rows(data))
    except UnusableFile as fault:
        raise _unreadable(file_name, fault) from None
    if not rows:
        raise BundleError(
            "reference-empty",
            f"{file_name} is empty. Write a header with {', '.join(COLUMNS)} and one row "
            "per image.",
        )
    header = [title.strip() for title in rows[0][1]]
    positions = [_position(header, title, file_name) for title in COLUMNS]
    del rows[0]
    if not rows:
        raise BundleError(
            "reference-empty", f"{file_name} has a header but no rows. Write one row per image."
        )
    _refuse(
        "reference-row",
        [row for row, fields in rows if len(fields) != len(header)],
        f"{file_name}: %s not as many fields as the header ({len(header)}). "
        "Quote values that hold commas.",
        ("has", "have"),
    )
    at_name, at_label, at_group = positions
    names = tuple(fields[at_name] for _, fields in rows)
    labels = [fields[at_label].strip() for _, fields in rows]
    groups = tuple(fields[at_group].strip() for _, fields in rows)
    numbers = [row for row, _ in rows]
    _refuse(
        "reference-filename",
        [row for row, name in zip(numbers, names, strict=True) if not name.strip()],
        f"{file_name}: %s no filename. Name the image of every row.",
        ("has", "have"),
    )
    _refuse(
        "reference-label",
        [row for row, label in zip(numbers, labels, strict=True) if label not in {"0", "1"}],
        f"{file_name}: %s neither 0 nor 1 in column hybrid_stat. Write 1 for a hybrid, 0 if not.",
        ("has", "have"),
    )
    _refuse(
        "reference-group",
        [row for row, group in zip(numbers, groups, strict=True) if group not in GROUPS],
        f"{file_name}: %s an unknown value in column ssp_indicator. "
        f"It must be one of {', '.join(GROUPS)}.",
        ("has", "have"),
    )
    _refuse(
        "reference-duplicate",
        _repeated(numbers, names),
        f"{file_name}: %s a filename that an earlier row has. Keep one row per image.",
        ("repeats", "repeat"),
    )
    return Reference(names, tuple(label == "1" for label in labels), groups)


def check_gradable(reference: Reference, groups: Collection[str], task: str) -> None:
    """Check that `reference` holds the groups that a task grades, and only those.

    Raises
    ------
    BundleError
        ``reference-foreign-group`` when a row belongs to another group,
        ``reference-incomplete-group`` when a group lacks hybrids, non-hybrids or
        both. Which of them is not said, nor which image.
    """
    foreign = next((i for i, g in enumerate(reference.group, 1) if g not in groups), None)
    if foreign is not None:
        raise BundleError(
            "reference-foreign-group",
            f"The reference data of task {task} hold rows of a group that it does not grade, "
            f"first in row {foreign:,} below the header (column ssp_indicator; it grades "
            f"{', '.join(groups)}). Attach the reference data made for this task.",
        )
    kinds = set(zip(reference.group, reference.hybrid, strict=True))
    incomplete = [g for g in groups if (g, True) not in kinds or (g, False) not in kinds]
    if incomplete:
        raise BundleError(
            "reference-incomplete-group",
            f"The reference data of task {task} cannot be graded: column ssp_indicator = "
            f"{', '.join(incomplete)} needs at least one hybrid and one non-hybrid "
            "(column hybrid_stat). Add the missing rows and images.",
        )


def _position(header: Sequence[str], title: str, file_name: str) -> int:
    count = header.count(title)
    if count == 1:
        return header.index(title)
    what = "has no column" if count == 0 else f"has {count} columns called"
    raise BundleError(
        "reference-columns",
        f"{file_name} {what} {title} in its first row. It needs each of "
        f"{', '.join(COLUMNS)} once; others are ignored.",
    )


def _refuse(code: str, rows: Sequence[int], sentence: str, verbs: tuple[str, str]) -> None:
    if rows:
        subject = (
            f"row {rows[0]} {verbs[0]}" if len(rows) == 1 else f"rows {_listed(rows)} {verbs[1]}"
        )
        raise BundleError(code, sentence.replace("%s", subject, 1))


def _listed(items: Sequence[object]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


def _repeated(rows: Sequence[int], names: Sequence[str]) -> list[int]:
    seen: set[str] = set()
    repeated = []
    for row, name in zip(rows, names, strict=True):
        if name in seen:
            repeated.append(row)
        seen.add(name)
    return repeated


def _unreadable(file_name: str, fault: UnusableFile) -> BundleError:
    return BundleError(
        "reference-unreadable",
        f"{file_name} {fault}. Write the reference data as one UTF-8 CSV file.",
    )
