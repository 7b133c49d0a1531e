"""The scores that the platform would take from a scoring program's output.

The platform reads ``scores.json``, else ``scores.txt``, and answers what it does not
like with silence. `platform_scores` says what it would keep and what it would drop.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimicry.codabench.engines.jobs import YAML_FAULTS
from mimicry.codabench.safe_yaml import load_yaml
from mimicry.errors import one_line

LARGEST_FILE = 1024 * 1024
TOO_LARGE = 1e10
DECIMALS = 10

NOT_FOUND = "Could not find scores file, did the scoring program output it?"
NOT_OPENED = "scores.json is a folder, and the platform reads no other file beside it."
NOT_DECODED = "Could not decode scores json properly, it contains an error."


@dataclass(frozen=True)
class PlatformScores:
    """What the platform would have after scoring.

    Attributes
    ----------
    scores : Mapping
        Column key -> value, rounded to 10 decimals as the platform stores them.
    failed : str or None
        The platform's message where it sets the submission to Failed.
    on_board : bool
        Whether the submission can stand on the board.
    notes : tuple of str
        What was dropped or missing, one sentence each.
    """

    scores: Mapping[str, float]
    failed: str | None
    on_board: bool
    notes: tuple[str, ...]


def platform_scores(
    output: Path, columns: Collection[str], primary: str, *, alone: bool = False
) -> PlatformScores:
    """Read the scores below a scoring program's `output` as the platform does.

    Parameters
    ----------
    output : Path
        What was ``/app/output``.
    columns : collection of str
        The board's column keys; the platform ignores all others.
    primary : str
        The key of the column that ranks.
    alone : bool
        Whether the phase has no other task: then this one must fill every column. Of
        several tasks each fills its own, and only the absence of `primary` is noted.
    """
    read = _read(output)
    if isinstance(read, str):
        return PlatformScores({}, read, False, ())
    content, size = read
    if _has_no_json(content, size):
        return PlatformScores(
            {},
            None,
            False,
            ("the scores hold NaN or Infinity: the platform would say Finished and keep none.",),
        )
    if not isinstance(content, dict):
        return PlatformScores(
            {}, None, False, ("the scores are no mapping: the platform would keep none.",)
        )
    return _keep(content, columns, primary, alone)


def _read(output: Path) -> tuple[Any, int] | str:
    json_file, text_file = output / "scores.json", output / "scores.txt"
    try:
        if json_file.is_dir() and not json_file.is_symlink():
            return NOT_OPENED
        if json_file.is_file() and not json_file.is_symlink():
            text = _text(json_file)
            return json.loads(text), len(text)
        if text_file.is_file() and not text_file.is_symlink():
            text = _text(text_file)
            return load_yaml(text), len(text)
    except YAML_FAULTS:
        return NOT_DECODED
    return NOT_FOUND


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError("the scores file is too large")
    return data.decode("utf-8")


def _keep(
    content: Mapping[Any, Any], columns: Collection[str], primary: str, alone: bool
) -> PlatformScores:
    scores: dict[str, float] = {}
    notes: list[str] = []
    on_board = True
    for key, raw in content.items():
        if key not in columns:
            continue
        value = _number(raw)
        if value is None:
            notes.append(
                f"{key} is no number below 1e10: the platform would drop it with everything "
                "after it, and put nothing on the board."
            )
            on_board = False
            break
        scores[key] = round(value, DECIMALS)
    extra = [one_line(str(key), 40) for key in content if key not in columns]
    if extra:
        notes.append(f"no column has the key {', '.join(extra[:5])}: the platform ignores it.")
    if on_board and not scores:
        notes.append("the platform would say Finished and put a row without values on the board.")
    missing = [key for key in columns if key not in scores and key != primary]
    if on_board and alone and missing:
        notes.append(f"no value for {', '.join(missing[:5])}: the board would show n/a there.")
    if on_board and primary not in scores:
        notes.append(
            f"no value for {primary}: the platform ranks a missing value above every real one "
            "where higher is better."
        )
    return PlatformScores(scores, None, on_board, tuple(notes))


def _number(raw: object) -> float | None:
    """Return `raw` as the platform's database would take it, or None."""
    if not isinstance(raw, (bool, int, float, str)):
        return None
    try:
        value = float(raw)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) < TOO_LARGE else None


def _has_no_json(content: object, size: int) -> bool:
    """Tell whether something in `content`, read from `size` bytes, cannot be sent as JSON.

    That is a float which is not finite, or aliases of YAML that multiply what the file holds
    or never end: any other value takes at least a byte of its own.
    """
    waiting = [content]
    for _ in range(size + 1):
        if not waiting:
            return False
        item = waiting.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return True
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return True
