"""Strict reading of one JSON document that somebody else wrote.

Python's own parser does the parsing. What it lets pass (repeated keys, NaN, numbers
that are none) is refused here, and faults are told with line and column in words that
say what to do.
"""

import json
import unicodedata
from pathlib import Path
from typing import Any, NoReturn

from mimicry.errors import SubmissionError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.realign.json_faults import (
    DEEPEST,
    DocumentFault,
    Refused,
    located,
    nesting_fault,
    place_of,
    syntax_fault,
)

# 1,000 stimuli take 0.1 MB and 10,000 with long names 3 MB; whatever fits here is
# parsed in about a second and a few hundred megabytes at worst.
LARGEST_DOCUMENT = 4 * 1024 * 1024
LONGEST_NUMBER = 40

_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_submission_file(path: Path, shown: str | None = None) -> dict[str, Any]:
    """Read the JSON object in a participant's file.

    A file that is too large is refused by its size, before it is read; links, pipes and
    folders are not followed or waited for.

    Parameters
    ----------
    path : Path
        The file.
    shown : str, optional
        What sentences call it; its name by default.

    Raises
    ------
    SubmissionError
        ``json-unreadable``, ``json-too-large`` and what `parse_object` finds.
    """
    name = shown if shown is not None else path.name
    return submission_object(read_submission_bytes(path, name), name)


def read_submission_bytes(path: Path, shown: str) -> bytes:
    """Return the content of a participant's JSON file, if its size allows.

    Raises
    ------
    SubmissionError
        ``json-unreadable`` or ``json-too-large``.
    """
    try:
        return read_regular_file(path, LARGEST_DOCUMENT)
    except UnusableFile as fault:
        if "larger" in str(fault):
            raise too_large(shown) from None
        raise SubmissionError(
            "json-unreadable", f"{shown} {fault}. Submit one plain JSON file."
        ) from None


def too_large(shown: str) -> SubmissionError:
    """Return the error about a document of more than `LARGEST_DOCUMENT` bytes."""
    return SubmissionError(
        "json-too-large",
        f"{shown} is larger than {LARGEST_DOCUMENT // 1024**2} MiB. Leave only what the "
        "submission's format asks for.",
    )


def submission_object(data: bytes, shown: str) -> dict[str, Any]:
    """Return the JSON object in a participant's bytes; `shown` is the file's name.

    Raises
    ------
    SubmissionError
        ``json-too-large`` and what `parse_object` finds, after the file's name.
    """
    if len(data) > LARGEST_DOCUMENT:
        raise too_large(shown)
    try:
        return parse_object(data)
    except DocumentFault as fault:
        raise SubmissionError(fault.code, f"{shown}: {fault.text}") from None


def parse_object(data: bytes) -> dict[str, Any]:
    """Parse strict JSON whose value is an object.

    Time and memory are bounded by the length of `data`, which callers limit.

    Parameters
    ----------
    data : bytes
        UTF-8 without a byte order mark.

    Returns
    -------
    dict
        Nested at most `DEEPEST` levels; keys are unique, numbers are finite, texts
        hold neither unpaired surrogates nor control characters other than line
        breaks and tabs.

    Raises
    ------
    DocumentFault
        ``json-empty``, ``json-encoding``, ``json-syntax``, ``json-duplicate-key``,
        ``json-number``, ``json-nesting``, ``json-character``, ``json-not-object``.
    """
    text = _decode(data)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short,
        )
    except json.JSONDecodeError as error:
        raise syntax_fault(text, error) from None
    except Refused as refused:
        raise located(text, refused) from None
    except RecursionError:
        raise nesting_fault(text) from None
    _check_values(text, value)
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
        raise DocumentFault(
            "json-not-object",
            f"holds {kind.get(type(value), 'a number')} where one object is expected; the "
            "document must begin with { and end with }.",
        )
    return value


def _decode(data: bytes) -> str:
    if not data.strip():
        raise DocumentFault("json-empty", "is empty; write one JSON object.")
    if data.startswith(b"\xef\xbb\xbf"):
        raise DocumentFault(
            "json-encoding",
            "begins with a byte order mark; save it as plain UTF-8, which some editors call "
            "'UTF-8 without BOM'.",
        )
    wide = next((name for mark, name in _WIDE_MARKS.items() if data.startswith(mark)), None)
    if wide is None and b"\0" in data[:4]:
        wide = "UTF-32" if data[:4].count(b"\0") > 2 else "UTF-16"
    if wide is not None:
        raise DocumentFault("json-encoding", f"is {wide} text; save it as UTF-8.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentFault(
            "json-encoding",
            f"is not UTF-8 text (line {line:,}, byte {error.start + 1:,} of the file); save it "
            "as UTF-8, not as Latin-1 or another encoding.",
        ) from None
    if "\0" in text:
        raise DocumentFault(
            "json-character",
            f"{place_of(text, text.index(chr(0)))}: a NUL byte, which no text file holds; "
            "write the file anew.",
        )
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Refused("json-duplicate-key", twice)
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise Refused("json-number", name)


def _finite(digits: str) -> float:
    # Short enough that converting it costs nothing.
    if len(digits) > LONGEST_NUMBER or (value := float(digits)) in (float("inf"), float("-inf")):
        raise Refused("json-number", digits)
    return value


def _short(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Refused("json-number", digits)
    return int(digits)


def _check_values(text: str, value: object) -> None:
    """Refuse too deep nesting and texts that are none, without recursion."""
    level: list[object] = [value]
    depth = 0
    while level:
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not item.isprintable() and (odd := _odd(item)):
                raise located(text, Refused("json-character", odd))
        level = below
        # Plain values stand one level below what holds them.
        depth += 1
        if depth >= DEEPEST and any(isinstance(item, (dict, list)) for item in level):
            raise nesting_fault(text)


def _odd(string: str) -> str | None:
    """Return the first character that no text should hold: control, unpaired surrogate."""
    return next(
        (c for c in string if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\r\t"), None
    )
