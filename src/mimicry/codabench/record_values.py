"""Values of the records in a run's folder: what is not of its kind is refused, never guessed."""

import math
from typing import Any, NoReturn


def text(value: Any) -> str:
    """Return `value` where it is text; raise TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def flag(value: Any) -> bool:
    """Return `value` where it is true or false; raise TypeError otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


def number(value: Any) -> float:
    """Return `value` as a finite number; raise TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{found} is no finite number")
    return found


def count(value: Any) -> int:
    """Return `value` where it is a whole number from 0; raise TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    if not 0 <= value < 2**63:
        raise ValueError("a count lies outside its range")
    return value


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities, as ``json.loads``'s ``parse_constant``."""
    raise ValueError(f"{name} is no finite number")


FAULTS = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError),
    *(RecursionError, OverflowError),
)
"""What reading a record raises when it is missing, damaged or a stranger's idea of one."""
