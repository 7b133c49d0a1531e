"""Bounded reading of files that others wrote, and of CSV inside them."""

import csv
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MAX_TABLE_BYTES = 128 * 1024 * 1024
MAX_TABLE_ROWS = 1_000_000


class UnusableFile(ValueError):  # noqa: N818 - an outcome the caller words, not an error to show
    """Says in a few words why a file cannot be read, to follow the file's name.

    Callers know whose file it is and turn this into a `SubmissionError` or a
    `BundleError`; it never leaves this package.
    """


def read_regular_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Symbolic links are not followed, and neither a named pipe nor a device can
    make this wait.

    Raises
    ------
    UnusableFile
        The file is missing, a link, a folder, a pipe, too large or unreadable.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise UnusableFile("is missing") from None
    except OSError:
        what = "is a symbolic link" if path.is_symlink() else "cannot be opened"
        raise UnusableFile(what) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFile("is not a regular file")
        data = None
        if status.st_size <= limit:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
    except OSError:
        raise UnusableFile("cannot be read") from None
    finally:
        os.close(descriptor)
    if data is None or len(data) > limit:
        raise UnusableFile(f"is larger than {limit:,} bytes")
    return data


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
