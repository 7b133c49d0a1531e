"""What a run may cost, as packed with the program."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError, one_line

SETTINGS_FILE = "phase.json"
TIME_LIMIT_VARIABLE = "MIMICRY_TIME_LIMIT"
# What the platform assumes for a phase without `execution_time_limit`.
PLATFORM_DEFAULT_LIMIT = 600.0
# The share of the limit after which the model is stopped. The rest is for ending
# its processes, writing the outcome, and the container's own start.
DEADLINE_SHARE = 0.9
# A year; more is a mistake, and trips timers.
LONGEST_LIMIT = 366 * 86400
# Of the phase's name, which the log shows.
LONGEST_SOURCE = 100

# Decoded images wait in at most this many bytes (more where two images need it).
DECODE_BUDGET = 512 * 2**20


class TimeLimit(NamedTuple):
    """A time limit in seconds and where it comes from."""

    seconds: float
    source: str

    @property
    def deadline(self) -> float:
        """Seconds after the start at which the model is stopped."""
        return self.seconds * DEADLINE_SHARE


def read_time_limit(program: Path, environment: Mapping[str, str] = os.environ) -> TimeLimit:
    """Return the phase's time limit.

    ``MIMICRY_TIME_LIMIT`` (seconds) comes first, then ``phase.json`` beside the
    program, then the platform's default; `TimeLimit.source` says which.

    Raises
    ------
    BundleError
        ``time-limit``: the variable or the file holds no positive number.
    """
    value = environment.get(TIME_LIMIT_VARIABLE)
    if value is not None:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        return TimeLimit(
            _positive(seconds, f"{TIME_LIMIT_VARIABLE}={value!r}"), TIME_LIMIT_VARIABLE
        )
    path = program / SETTINGS_FILE
    if not path.exists():
        return TimeLimit(PLATFORM_DEFAULT_LIMIT, f"the platform's default: no {SETTINGS_FILE}")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        limit = settings["execution_time_limit"]
        phase = one_line(str(settings.get("phase", SETTINGS_FILE)), LONGEST_SOURCE)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(
            "time-limit",
            f"{SETTINGS_FILE} beside the ingestion program has no readable execution_time_limit "
            f"({type(error).__name__}). Pack the bundle anew with: mimicry pack",
        ) from error
    where = f"execution_time_limit in {SETTINGS_FILE}"
    # Compared before it is converted: a whole number may be too large for a float.
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or abs(limit) > LONGEST_LIMIT:
        limit = math.nan
    return TimeLimit(_positive(float(limit), where), phase or SETTINGS_FILE)


def _positive(seconds: float, where: str) -> float:
    if not 0 < seconds <= LONGEST_LIMIT:
        raise BundleError("time-limit", f"{where} is not a positive number of seconds.")
    return seconds
