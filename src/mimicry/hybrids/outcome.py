"""What ingestion left for scoring: whether it finished, and what it vouches for."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from mimicry.errors import BundleError, MimicryError, SubmissionError, one_line
from mimicry.files import UnusableFile, read_regular_file
from mimicry.hybrids.predictions import FILE_NAME
from mimicry.hybrids.tables import MAX_TABLE_BYTES, MAX_TABLE_ROWS
from mimicry.reports.hybrid_facts import Costs
from mimicry.scoring.worker_record import check_ingestion_ended

RECORD_NAME = "ingestion.json"
MAX_RECORD_BYTES = 1024 * 1024
_ERROR_KINDS: dict[str, type[MimicryError]] = {
    "submission": SubmissionError,
    "bundle": BundleError,
    "bug": MimicryError,
}
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+-]{0,31}", re.ASCII)
_VERSIONS_SHOWN = {
    "mimicry": "Mimicry",
    "python": "Python",
    "numpy": "NumPy",
    "pillow": "Pillow",
}
_LONGEST_SECONDS = 366 * 86400
_MOST_BYTES = 2**50
_MOST_REPLACED = 20
_LONGEST_REPLACED = 120


class Outcome(NamedTuple):
    """A finished ingestion.

    Attributes
    ----------
    predictions : bytes
        The content of its predictions file, whose SHA-256 is the recorded one.
    sha256 : str
        That SHA-256, 64 hexadecimal digits.
    costs : Costs
        What the run cost, each number only if the record says so in a usable way.
    versions : tuple of (str, str)
        What ingestion ran with, such as ``("NumPy", "2.4.6")``.
    replaced : tuple of str
        What served in the place of exact versions that could not be had; strangers' texts
        of at most 120 characters, at most 20.
    """

    predictions: bytes
    sha256: str
    costs: Costs
    versions: tuple[tuple[str, str], ...]
    replaced: tuple[str, ...]


def read_outcome(folder: Path) -> Outcome:
    """Read what a finished ingestion vouches for; refuse everything else.

    Parameters
    ----------
    folder : Path
        The prediction step's output (``/app/input/res`` on the platform). Any
        file in it may be the participant's own.

    Raises
    ------
    MimicryError
        When ingestion failed: the same kind, code and sentence that it recorded.
    SubmissionError
        ``ingestion-unfinished`` without a record of the end,
        ``ingestion-record-broken`` when the record cannot be read,
        ``predictions-missing`` and ``predictions-changed`` when the predictions
        are not there or not those that ingestion wrote.
    BundleError
        ``ingestion-exit-code`` when the platform's own record contradicts it.
    """
    record = _read_record(folder / RECORD_NAME)
    state = record.get("state")
    if state == "failed":
        raise _recorded_error(record)
    if state == "running":
        raise _unfinished("ingestion.json still says running")
    digest = record.get("predictions_sha256")
    if state != "finished" or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise _broken("lacks a known state or the predictions' SHA-256")
    check_ingestion_ended(folder)
    try:
        data = read_regular_file(folder / FILE_NAME, MAX_TABLE_BYTES)
    except UnusableFile as fault:
        raise SubmissionError(
            "predictions-missing",
            f"Ingestion finished, but {FILE_NAME} {fault}. Nothing but ingestion may write in the "
            "output folder; submit again, and tell the organisers if it happens twice.",
        ) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise SubmissionError(
            "predictions-changed",
            f"{FILE_NAME} is not the file that ingestion wrote (its SHA-256 differs), so it is not "
            "graded. Nothing but ingestion may write it; submit again, and tell the organisers "
            "if it happens twice.",
        )
    return Outcome(data, digest, _costs(record), _versions(record), _replaced(record))


def _read_record(path: Path) -> dict[str, Any]:
    try:
        data = read_regular_file(path, MAX_RECORD_BYTES)
    except UnusableFile as fault:
        if str(fault) == "is missing":
            raise _unfinished("there is no ingestion.json") from None
        raise _broken(str(fault)) from None
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        raise _broken("is not JSON") from None
    if not isinstance(record, dict):
        raise _broken("is not a JSON object")
    return record


def _recorded_error(record: dict[str, Any]) -> MimicryError:
    kind, code, sentence = (record.get(key) for key in ("error_kind", "error_code", "error"))
    if (
        not isinstance(kind, str)
        or kind not in _ERROR_KINDS
        or not isinstance(code, str)
        or len(code) > 64
        or not _CODE.fullmatch(code)
        or not isinstance(sentence, str)
        # Of a long text the beginning counts, and that may be white space.
        or not one_line(sentence)
    ):
        return _broken("says failed without a known kind, code and sentence")
    return _ERROR_KINDS[kind](code, sentence)


def _costs(record: dict[str, Any]) -> Costs:
    peak, batch = record.get("peak_memory_bytes"), record.get("batch_size")
    return Costs(
        seconds=_seconds(record.get("seconds")),
        load_seconds=_seconds(record.get("load_seconds")),
        predict_seconds=_seconds(record.get("predict_seconds")),
        time_limit=_seconds(record.get("time_limit")) or None,
        peak_memory=peak if type(peak) is int and 0 < peak <= _MOST_BYTES else None,
        batch_size=batch if type(batch) is int and 0 < batch <= MAX_TABLE_ROWS else None,
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is converted: a whole number may be too large for a float.
    return float(value) if 0 <= value <= _LONGEST_SECONDS else None


def _versions(record: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found = record.get("versions")
    if not isinstance(found, dict):
        return ()
    return tuple(
        (shown, version)
        for name, shown in _VERSIONS_SHOWN.items()
        if isinstance(version := found.get(name), str) and _VERSION.fullmatch(version)
    )


def _replaced(record: dict[str, Any]) -> tuple[str, ...]:
    found = record.get("replaced")
    if not isinstance(found, list):
        return ()
    texts = [text for text in found if isinstance(text, str)]
    return tuple(one_line(text, _LONGEST_REPLACED) for text in texts[:_MOST_REPLACED])


def _unfinished(finding: str) -> SubmissionError:
    return SubmissionError(
        "ingestion-unfinished",
        f"Ingestion did not finish ({finding}), so there are no predictions to grade. Usually it "
        "was ended by the time limit or for lack of memory: make the model faster or smaller, "
        "or predict in smaller batches.",
    )


def _broken(finding: str) -> SubmissionError:
    return SubmissionError(
        "ingestion-record-broken",
        f"The record that ingestion leaves is unusable (ingestion.json {finding}), so nothing is "
        "graded. Submit again; if it happens twice, tell the organisers.",
    )
