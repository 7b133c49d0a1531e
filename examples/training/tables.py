"""The training table: which image shows which subspecies, or a hybrid of which two."""

import re
from pathlib import Path
from typing import NamedTuple

from mimicry.activations.stimulus_sources import SUFFIXES
from mimicry.errors import SubmissionError
from mimicry.files import UnusableFile, is_clutter, read_regular_file
from mimicry.hybrids.tables import MAX_TABLE_BYTES, csv_rows

HYBRID = -1
PARENTS = ("parent_subspecies_1", "parent_subspecies_2")
COLUMNS = ("filename", "hybrid_stat", "subspecies", *PARENTS)
# Only the real table has these; the demo's images are made, not downloaded.
DOWNLOAD_COLUMNS = ("file_url", "md5")
LARGEST_NUMBER = 9999

_NUMBER = re.compile(r"([0-9]{1,4})(\.0*)?", re.ASCII)
_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_URL = re.compile(r"https?://[^/\s\\@?#]+/[^\s\\]*", re.ASCII)


class Row(NamedTuple):
    """One image of a training table.

    Attributes
    ----------
    filename : str
        A plain file name, without folders.
    hybrid : bool
        Whether the image shows a hybrid.
    subspecies : int
        0 or more; -1 for hybrids.
    cross : str
        The parents of a hybrid, the smaller number first, such as ``8 x 9``: which of
        them was the mother does not matter. Empty for a pure animal.
    url, md5 : str or None
        Where the image can be had, and its MD5 in lower case; None where the table has
        no such column or nothing in it.
    """

    filename: str
    hybrid: bool
    subspecies: int
    cross: str
    url: str | None
    md5: str | None


def read_table(path: Path) -> tuple[Row, ...]:
    """Read the challenge's training table, or the demo's, whose columns are some of it.

    Parameters
    ----------
    path : Path
        A CSV with ``filename``, ``hybrid_stat`` (``hybrid`` or ``non-hybrid``),
        ``subspecies`` (a number, for pure animals) and ``parent_subspecies_1`` and ``_2``
        (numbers, for hybrids). ``file_url`` and ``md5`` are read where present, all
        other columns are ignored.

    Returns
    -------
    tuple of Row
        In the file's order, at least one; no two file names are equal, whatever their
        case.

    Raises
    ------
    SubmissionError
        ``table-unreadable``, ``table-columns``, ``table-row``, ``table-file-name``,
        ``table-duplicate``, ``table-value`` or ``table-contradict`` for the first fault.
        The sentence names the row as an editor counts it, the header being row 1.
    """
    lines = _lines(path)
    if not lines:
        raise SubmissionError(
            "table-unreadable", f"{path.name} is empty; name the challenge's training table."
        )
    header = [name.strip() for name in lines[0][1]]
    _check_header(path.name, header)
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, fields in lines[1:]:
        where = f"{path.name}, row {number}"
        if len(fields) != len(header):
            raise SubmissionError(
                "table-row",
                f"{where}: {len(fields)} cells where the header has {len(header)}; mend the "
                "commas or quotes.",
            )
        cells = {name: cell.strip() for name, cell in zip(header, fields, strict=True)}
        row = _row(cells, where)
        # Two names that differ in case are one file on many computers.
        earlier = seen.setdefault(row.filename.casefold(), number)
        if earlier != number:
            raise SubmissionError(
                "table-duplicate",
                f"{where}: the file name {row.filename!r} is already in row {earlier}; keep one.",
            )
        rows.append(row)
    if not rows:
        raise SubmissionError(
            "table-unreadable", f"{path.name} has a header and no rows; add one row an image."
        )
    return tuple(rows)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        return list(csv_rows(read_regular_file(path.resolve(), MAX_TABLE_BYTES)))
    except UnusableFile as fault:
        raise SubmissionError(
            "table-unreadable", f"The training table {path} {fault}; name a UTF-8 CSV file."
        ) from None


def _check_header(table: str, header: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise SubmissionError(
            "table-columns",
            f"{table}, row 1: no column {', '.join(missing)}; a training table has "
            f"{', '.join(COLUMNS)}.",
        )
    for name in (*COLUMNS, *DOWNLOAD_COLUMNS):
        if header.count(name) > 1:
            raise SubmissionError(
                "table-columns", f"{table}, row 1: the column {name} occurs twice; keep one."
            )


def _row(cells: dict[str, str], where: str) -> Row:
    filename = cells["filename"]
    _check_name(filename, where)
    kind = cells["hybrid_stat"]
    if kind not in {"hybrid", "non-hybrid"}:
        raise SubmissionError(
            "table-value", f"{where}: hybrid_stat is {kind[:40]!r}; write hybrid or non-hybrid."
        )
    hybrid = kind == "hybrid"
    for name in ("subspecies",) if hybrid else PARENTS:
        if cells[name]:
            raise SubmissionError(
                "table-contradict",
                f"{where}: hybrid_stat is {kind} but {name} is {cells[name][:40]!r}; a hybrid "
                "has two parents and no subspecies, a pure animal a subspecies and no parents.",
            )
    if hybrid:
        subspecies = HYBRID
        first, second = sorted(_number(cells, name, where) for name in PARENTS)
        if first == second:
            raise SubmissionError(
                "table-contradict",
                f"{where}: both parents are of subspecies {first}, so it is no hybrid; mend one.",
            )
        cross = f"{first} x {second}"
    else:
        subspecies, cross = _number(cells, "subspecies", where), ""
    url = _matching(cells, "file_url", _URL, where, "an address that begins with http:// or https")
    md5 = _matching(cells, "md5", _MD5, where, "32 hexadecimal digits")
    return Row(filename, hybrid, subspecies, cross, url, md5)


def _number(cells: dict[str, str], name: str, where: str) -> int:
    # The real table writes them as spreadsheets do: 8.0.
    found = _NUMBER.fullmatch(cells[name])
    if found is None:
        raise SubmissionError(
            "table-value",
            f"{where}: {name} is {cells[name][:40]!r}; write a whole number from 0 to "
            f"{LARGEST_NUMBER}.",
        )
    return int(found[1])


def _matching(
    cells: dict[str, str], name: str, pattern: re.Pattern[str], where: str, form: str
) -> str | None:
    value = cells.get(name, "")
    if name == "md5":
        value = value.lower()
    if value and pattern.fullmatch(value) is None:
        raise SubmissionError(
            "table-value", f"{where}: {name} is {value[:80]!r}; write {form}, or nothing."
        )
    return value or None


def _check_name(filename: str, where: str) -> None:
    """Refuse a name that could lead out of the images' folder or that readers overlook."""
    plain = filename.isprintable() and not set(filename) & set('/\\:*?"<>|')
    suffix = Path(filename).suffix.lower()
    if (
        not filename
        or not plain
        or is_clutter(filename)
        or len(filename.encode("utf-8", "replace")) > 200
        or suffix not in SUFFIXES
    ):
        raise SubmissionError(
            "table-file-name",
            f"{where}: {filename[:80]!r} is no plain name of an image; write one without folders, "
            'control characters, a leading dot and any of \\ / : * ? " < > |, that ends in .jpg, '
            ".png or another image format.",
        )


def places(row: Row) -> tuple[str, str]:
    """Return where an image may lie below the images' folder, with ``/``.

    First where the challenge's own download puts it, ``hybrid/NAME`` or
    ``non-hybrid/NAME``, then ``NAME`` in a folder without others.
    """
    return f"{'hybrid' if row.hybrid else 'non-hybrid'}/{row.filename}", row.filename


def find_image(folder: Path, row: Row) -> str | None:
    """Return the first of a row's `places` below `folder` where a file is, else None."""
    return next((place for place in places(row) if (folder / place).is_file()), None)
