"""Files from which a search that was ended goes on."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimicry.errors import BundleError
from mimicry.files import write_atomically

_FORMAT = "mimicry-search-1"
_SECONDS_BETWEEN_WRITES = 5.0


def input_key(*parts: object) -> str:
    """Return the SHA-256 of what a search works on: texts, numbers and arrays, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            head = f"{part.dtype.str}{part.shape}"
            body = np.ascontiguousarray(part).tobytes()
        else:
            head, body = type(part).__name__, repr(part).encode("utf-8", "backslashreplace")
        digest.update(f"{head}:{len(body)}:".encode())
        digest.update(body)
    return digest.hexdigest()


def read_checkpoint(path: Path, key: str) -> Mapping[str, Any] | None:
    """Return the state in a checkpoint, None when there is no such file yet.

    Raises
    ------
    BundleError
        ``search-checkpoint-broken`` when it is no checkpoint of a search,
        ``search-checkpoint-other`` when it belongs to other inputs or settings.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise broken_checkpoint(path) from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken_checkpoint(path) from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise broken_checkpoint(path)
    if document.get("key") != key:
        raise BundleError(
            "search-checkpoint-other",
            f"{path} is the checkpoint of a search over other data or with other settings; "
            "name another file, or remove it to start anew.",
        )
    state = document.get("state")
    if not isinstance(state, dict):
        raise broken_checkpoint(path)
    return state


def broken_checkpoint(path: Path) -> BundleError:
    """Return the error for a file that no search wrote."""
    return BundleError(
        "search-checkpoint-broken",
        f"{path} is not the checkpoint of a search; name another file, or remove it to start anew.",
    )


def write_checkpoint(path: Path, key: str, state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    document = {"format": _FORMAT, "key": key, "state": state}
    write_atomically(path, json.dumps(document) + "\n")


class Saver:
    """Writes a state every few seconds, and the newest when asked to.

    Parameters
    ----------
    path : Path or None
        The file; None writes nothing.
    key : str
        What the search works on.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key = path, key
        self.newest: Mapping[str, Any] | None = None
        self.written = time.monotonic()

    def note(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Remember a state that a later run can go on from, and write it when it is time."""
        if self.path is None:
            return
        self.newest = state()
        if time.monotonic() - self.written >= _SECONDS_BETWEEN_WRITES:
            self.flush()

    def flush(self) -> None:
        """Write the newest state unless it is written already."""
        if self.path is not None and self.newest is not None:
            write_checkpoint(self.path, self.key, self.newest)
            self.newest, self.written = None, time.monotonic()


def index_list(value: object, size: int, path: Path) -> NDArray[np.int64]:
    """Return a checkpoint's list of different indices below `size`.

    Raises
    ------
    BundleError
        ``search-checkpoint-broken`` when it is anything else.
    """
    if (
        not isinstance(value, list)
        or not all(type(one) is int and 0 <= one < size for one in value)
        or len(set(value)) != len(value)
    ):
        raise broken_checkpoint(path)
    return np.array(value, dtype=np.int64)


def finite_number(value: object, path: Path) -> float:
    """Return a checkpoint's finite number.

    Raises
    ------
    BundleError
        ``search-checkpoint-broken`` when it is anything else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise broken_checkpoint(path)
    try:
        number = float(value)
    except OverflowError as error:
        raise broken_checkpoint(path) from error
    if not np.isfinite(number):
        raise broken_checkpoint(path)
    return number
