"""Reads dates of a competition file as the platform does, and refuses what it guesses."""

import re
from datetime import UTC, date, datetime

from mimicry.codabench.reading.document import UNPACK_LOG, shown
from mimicry.codabench.reading.section import Section

STAND_IN = datetime(2000, 1, 1, tzinfo=UTC)

_FORM = '"YYYY-MM-DD HH:MM:SS"'
_DATE = re.compile(
    r"(\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?)(.*)", re.DOTALL
)
_UTC = re.compile(r" ?(Z|UTC|GMT|[+-]00:?(00)?)?", re.IGNORECASE)
_OFFSET = re.compile(r" ?([+-]\d{1,2}(:?\d{2})?|[A-Z]{3,5})", re.IGNORECASE)
_NUMBERS = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})\b")


def read_moment(section: Section, key: str) -> datetime:
    """Return a date in UTC; a bare date is its first midnight.

    Quoted ``YYYY-MM-DD HH:MM:SS`` and plain ``YYYY-MM-DD`` are accepted. An unquoted
    time would lose its time of day on the platform, an offset would be dropped and
    other orders of day and month are read by guess: all three are refused.
    """
    value = section.require(
        key,
        f"{key}: {_FORM}",
        f"\"{UNPACK_LOG} '<' not supported between instances of 'NoneType' and "
        "'datetime.datetime'\"",
    )
    if value is None:
        return STAND_IN
    if isinstance(value, datetime):
        return _unquoted(section, key, value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        section.fault(
            key,
            "date-type",
            f"{shown(value)} is no date that the platform reads",
            f'"{UNPACK_LOG} Parser must be a string ..."',
            f"write it quoted and in UTC, in the form `{key}: {_FORM}`",
        )
        return STAND_IN
    return _quoted(section, key, value.strip())


def _unquoted(section: Section, key: str, value: datetime) -> datetime:
    midnight = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None and value.replace(tzinfo=UTC) == midnight:
        return midnight
    zoned = value if value.tzinfo is None else value.astimezone(UTC)
    clock = zoned.replace(tzinfo=None, microsecond=0)
    section.fault(
        key,
        "date-unquoted",
        f"unquoted, this time of day is lost on the platform ({shown(value)})",
        f"Takes it in silence as midnight, {midnight:%Y-%m-%d} 00:00:00 UTC.",
        f'write it quoted and in UTC, `{key}: "{clock}"`',
    )
    return STAND_IN


def _in_utc(key: str, text: str, otherwise: str) -> str:
    """Return the edit for a time with an offset; what a zone's letters mean is not guessed."""
    try:
        moment = datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return otherwise
    clock = moment.astimezone(UTC).replace(tzinfo=None)
    return f'write it quoted and in UTC, `{key}: "{clock}"`'


def _quoted(section: Section, key: str, text: str) -> datetime:
    wanted = f"write it quoted and in UTC, in the form `{key}: {_FORM}`"
    match = _DATE.fullmatch(text)
    if match is None:
        _refuse_guess(section, key, text, wanted)
        return STAND_IN
    try:
        moment = datetime.fromisoformat(match[1])
    except ValueError:
        section.fault(
            key,
            "date-unknown",
            f"{shown(text)} does not exist in the calendar",
            f'Refuses the bundle: "{UNPACK_LOG} ..." with the parser\'s message.',
            wanted,
        )
        return STAND_IN
    if _UTC.fullmatch(match[2]):
        return moment.replace(tzinfo=UTC)
    if _OFFSET.fullmatch(match[2]):
        section.fault(
            key,
            "date-offset",
            f"{shown(text)} is no date in UTC, and its offset would be dropped",
            f"Keeps the clock time, {moment:%Y-%m-%d %H:%M:%S}, as UTC and drops the offset in "
            "silence.",
            _in_utc(key, text, wanted),
        )
    else:
        _refuse_guess(section, key, text, wanted)
    return STAND_IN


def _refuse_guess(section: Section, key: str, text: str, wanted: str) -> None:
    platform = f'Guesses; where it cannot, "{UNPACK_LOG} Unknown string format: {text[:60]}"'
    numbers = _NUMBERS.search(text)
    if numbers is not None:
        first, second, year = (int(number) for number in numbers.groups())
        month, day = (first, second) if first <= 12 else (second, first)
        if 1 <= month <= 12 and 1 <= day <= 31:
            order = "month-day-year" if first <= 12 else "day-month-year"
            platform = f"Reads it as {order}, {year:04}-{month:02}-{day:02}, in silence."
            wanted = wanted.replace(_FORM, f'"{year:04}-{month:02}-{day:02} 00:00:00"')
            wanted += ", if that is the day you mean"
    section.fault(
        key,
        "date-format",
        f"{shown(text)} is no date that the platform reads for sure",
        platform,
        wanted,
    )
