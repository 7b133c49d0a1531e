"""What every parser owes whoever hands it bytes: a value, or one of the declared errors."""

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimicry.errors import BundleError, MimicryError, SubmissionError

REPOSITORY = Path(__file__).resolve().parents[2]
CATALOGUES = ("docs/errors.md", "pages/errors.md", "pages/errors-realign.md")
LONGEST_SENTENCE = 2000
ACCEPTED = "accepted"

_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


@functools.cache
def catalogue() -> frozenset[str]:
    """The codes that the documents list: what the first cell of a table's row names."""
    codes: set[str] = set()
    for name in CATALOGUES:
        for line in (REPOSITORY / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("| `"):
                codes.update(re.findall(r"`([a-z0-9-]+)`", line.split("|")[1]))
    return frozenset(codes)


def check_sentence(text: str, limit: int = LONGEST_SENTENCE) -> None:
    """Refuse what cannot be shown as one line of text."""
    assert text.strip(), "an empty sentence"
    assert text.isprintable(), f"characters that cannot be shown: {text!r}"
    assert len(text) <= limit, f"a sentence of {len(text)} characters"
    text.encode("utf-8")


def check_error(error: MimicryError, kind: type[MimicryError], *, relayed: bool = False) -> None:
    """Refuse an error that is not of `kind`, has no listed code or is no plain sentence.

    A `relayed` error comes from a file: its kind and its code are that file's.
    """
    assert _CODE.fullmatch(error.code), error.code
    check_sentence(error.sentence)
    for part in error.parts:
        check_sentence(part)
    if not relayed:
        assert type(error) is kind, f"{type(error).__name__}, not {kind.__name__}: {error}"
        assert error.code in catalogue(), f"{error.code} is in none of {', '.join(CATALOGUES)}"


def submission_fault(read: Callable[[], Any]) -> tuple[Any, SubmissionError | None]:
    """Return what `read` gives, or the participant's error that it raises, checked."""
    try:
        return read(), None
    except MimicryError as error:
        check_error(error, SubmissionError)
        assert isinstance(error, SubmissionError)
        return None, error


def bundle_fault(read: Callable[[], Any]) -> tuple[Any, BundleError | None]:
    """Return what `read` gives, or the organiser's error that it raises, checked."""
    try:
        return read(), None
    except MimicryError as error:
        check_error(error, BundleError)
        assert isinstance(error, BundleError)
        return None, error


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def scratch(name: str) -> Path:
    """Return a folder for a target's files, removed when the process ends."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix=f"fuzzing-{name}-"))
    return Path(_FOLDERS[-1].name)
