"""``phase.json``, as ingestion and as scoring read it."""

import json
import math

from fuzzing_checks import ACCEPTED, bundle_fault, check_sentence, scratch

from mimicry.ingestion.settings import LONGEST_LIMIT, read_time_limit
from mimicry.scoring.settings import FILE_NAME, read_phase_settings

GOOD = {
    "competition": "hybrid",
    "phase": "Development",
    "task": "hybrid",
    "execution_time_limit": 300,
    "results_page": "full",
}
VALID = [
    json.dumps(GOOD).encode(),
    json.dumps({**GOOD, "results_page": "declared", "execution_time_limit": 0.5}).encode(),
    json.dumps({**GOOD, "phase": "\x1b[31m\ud800\n" * 900}).encode(),
]
NASTY = [
    b"",
    b"null",
    b"[]",
    b"{}",
    json.dumps({**GOOD, "task": "mimic"}).encode(),
    json.dumps({**GOOD, "results_page": []}).encode(),
    json.dumps({**GOOD, "execution_time_limit": True}).encode(),
    json.dumps({**GOOD, "execution_time_limit": math.nan}).encode(),
    json.dumps({**GOOD, "execution_time_limit": 10**400}).encode(),
    json.dumps({**GOOD, "execution_time_limit": -1}).encode(),
    json.dumps({**GOOD, "execution_time_limit": -(10**400)}).encode(),
    json.dumps({**GOOD, "execution_time_limit": None}).encode(),
    json.dumps({**GOOD, "phase": [[]]}).encode(),
    json.dumps({**GOOD, "task": "\u202e" * 400}).encode(),
    b"[" * 3000,
    b'\xff\xfe{\0"\0',
    b'{"execution_time_limit": ' + b"9" * 4000 + b"}",
]
WORDS = [
    *(b'"competition"', b'"phase"', b'"task"', b'"execution_time_limit"', b'"results_page"'),
    *(b'"full"', b'"declared"', b'"hybrid"', b"1e999", b"NaN", b"-Infinity", b"\\ud800", b"null"),
]
SHARE = 10


def judge(data: bytes) -> str:
    """Read `data` as both programs do, check what comes of it and return its outcome."""
    folder = scratch("phase-settings")
    (folder / FILE_NAME).write_bytes(data)
    limit, ingestion = bundle_fault(lambda: read_time_limit(folder, {}))
    if ingestion is None:
        assert math.isfinite(limit.deadline) and 0 < limit.seconds <= LONGEST_LIMIT
        # It goes into the log's first line.
        check_sentence(limit.source)
    settings, scoring = bundle_fault(lambda: read_phase_settings(folder, "hybrid"))
    if scoring is None:
        record = json.loads(data)
        assert settings is not None and settings.task == "hybrid"
        assert settings.full_page == (record.get("results_page") == "full")
    error = scoring or ingestion
    return ACCEPTED if error is None else error.code


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
