"""``ingestion.json``, which a participant's code may have written itself."""

import functools
import hashlib
import json
import math
from pathlib import Path

from fuzzing_checks import ACCEPTED, check_error, check_sentence, scratch

from mimicry.errors import BundleError, MimicryError, SubmissionError
from mimicry.hybrids.outcome import RECORD_NAME, Outcome, read_outcome

PREDICTIONS = b"filename,score\na.jpg,1\n"
DIGEST = hashlib.sha256(PREDICTIONS).hexdigest()
KINDS = {"submission": SubmissionError, "bundle": BundleError, "bug": MimicryError}


def _record(**more: object) -> bytes:
    return json.dumps({"state": "finished", "predictions_sha256": DIGEST, **more}).encode()


VALID = [
    _record(),
    _record(
        seconds=1.5,
        load_seconds=0,
        predict_seconds=1,
        time_limit=600,
        peak_memory_bytes=10**9,
        batch_size=32,
        versions={"numpy": "2.4.6", "python": "3.11.7", "other": "x"},
        replaced=["torch 2.13.0 for torch==2.3.0"],
    ),
    _record(seconds=float("nan"), versions=[], replaced=["\x1b[31m" * 90, 3], batch_size=True),
]
NASTY = [
    b"",
    b"{}",
    b"[" * 3000,
    b'{"state": "running"}',
    b'{"state": "finished", "predictions_sha256": "' + b"0" * 64 + b'"}',
    b'{"state": "failed"}',
    b'{"state": "failed", "error_kind": "submission", "error_code": "x", "error": "y"}',
    b'{"state": "failed", "error_kind": "bug", "error_code": "bug", "error": "\\u0007"}',
    b'{"state": "failed", "error_kind": [], "error_code": {}, "error": 1e999}',
    b'{"state": "failed", "error_kind": "bundle", "error_code": "A B", "error": "\\ud800"}',
    # One line of it is empty: what is kept of a long text begins with white space alone.
    json.dumps(
        {"state": "failed", "error_kind": "bug", "error_code": "x", "error": " " * 9000 + "x"}
    ).encode(),
    b'\xff\xfe{\0"\0',
]
WORDS = [
    *(b'"state"', b'"finished"', b'"failed"', b'"running"', b'"predictions_sha256"'),
    *(b'"error_kind"', b'"error_code"', b'"error"', b'"submission"', b'"bundle"', b'"bug"'),
    *(b'"seconds"', b'"versions"', b'"replaced"', DIGEST.encode(), b"\\u0000", b"1e999"),
]
SHARE = 10


@functools.cache
def folder() -> Path:
    """What ingestion's output is here: the predictions, and a record to be written."""
    made = scratch("ingestion-record")
    (made / "predictions.csv").write_bytes(PREDICTIONS)
    return made


def judge(data: bytes) -> str:
    """Read `data` as ingestion's record, check what comes of it and return its outcome."""
    (folder() / RECORD_NAME).write_bytes(data)
    try:
        found = read_outcome(folder())
    except MimicryError as error:
        record = _plain(data)
        relayed = record.get("state") == "failed" and error.code == record.get("error_code")
        check_error(error, SubmissionError, relayed=relayed)
        if relayed:
            assert type(error) is KINDS[record["error_kind"]]
        return error.code
    record = _plain(data)
    assert record["state"] == "finished" and record["predictions_sha256"] == DIGEST
    _check(found)
    return ACCEPTED


def _plain(data: bytes) -> dict:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _check(found: Outcome) -> None:
    assert found.predictions == PREDICTIONS and found.sha256 == DIGEST
    for value in found.costs:
        assert value is None or (math.isfinite(value) and value >= 0)
    for text in (*found.replaced, *(version for _, version in found.versions)):
        check_sentence(text, 120)
    assert len(found.replaced) <= 20


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
