"""Bounded reading of CSV that others wrote."""

import csv
import io
from collections.abc import Iterator

from mimicry.files import UnusableFile

MAX_TABLE_BYTES = 128 * 1024 * 1024
MAX_TABLE_ROWS = 1_000_000


def csv_rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield ``(row number, fields)`` of every row of a CSV file that is not blank.

    The number is the line on which the row ends, from 1, as editors and
    spreadsheets show it. A UTF-8 byte order mark is dropped.

    Raises
    ------
    UnusableFile
        Not UTF-8, NUL bytes, broken quoting, a field of more than 131,072
        characters, more than a million rows.
    """
    if b"\0" in data:
        raise UnusableFile("holds NUL bytes, so it is not a text file")
    if data.count(b"\n") + data.count(b"\r") > 2 * MAX_TABLE_ROWS:
        raise UnusableFile(f"holds more than {MAX_TABLE_ROWS:,} rows")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableFile(f"is not UTF-8 text (byte {error.start + 1:,})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for fields in reader:
            if reader.line_num > MAX_TABLE_ROWS + 1:
                raise UnusableFile(f"holds more than {MAX_TABLE_ROWS:,} rows")
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise UnusableFile(f"is not valid CSV (row {reader.line_num:,}: {error})") from None
