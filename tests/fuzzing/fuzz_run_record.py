"""``run.json``, the record of a run in its folder."""

import json
import math

from fuzzing_checks import ACCEPTED, bundle_fault, scratch

from mimicry.codabench.records import (
    FINISHED,
    RUN_FILE,
    RunRecord,
    TaskRecord,
    read_run,
    write_run,
)

_TASK = TaskRecord(
    "finished",
    {"ingestion": 0, "scoring": 0},
    {"ingestion": 1.5, "scoring": None},
    {"ingestion": 10**9, "scoring": None},
    {"score": 0.5},
    notes=("a note",),
    fingerprint="f" * 64,
)
_FAILED = TaskRecord("failed", error="x", error_code="no-images", error_kind="bundle")


def _file(**more: object) -> bytes:
    record = RunRecord(
        *("hybrid", "Development", "baseline", "me", "0" * 64, "subprocess"),
        *("2026-01-01T00:00:00+00:00", None, "finished"),
        {"hybrid": _TASK, "mimic": _FAILED},
    )
    folder = scratch("run-record")
    write_run(folder, record)
    return json.dumps({**json.loads((folder / RUN_FILE).read_bytes()), **more}).encode()


VALID = [_file(), _file(tasks={}), _file(finished="x", image="sha256:1", migrated=True)]
NASTY = [
    b"",
    b"{}",
    b"[]",
    b"3",
    b"[" * 3000,
    _file(version=2),
    _file(version=10**300),
    _file(state="done"),
    _file(tasks=[]),
    _file(tasks={"x": {}}),
    _file(competition=None),
    _file(started=3),
    _file(migrated="yes"),
    _file().replace(b"1.5", b"NaN"),
    _file().replace(b"1.5", b"1e999"),
    _file().replace(b"0.5", b"9" * 400),
    _file().replace(b'"bundle"', b"{}"),
    _file().replace(b'"f', b'"\\ud800\\u001b', 1),
    _file(participant="\x1b[31m" * 900)[:-1],
]
WORDS = [
    *(b'"version"', b'"state"', b'"tasks"', b'"scores"', b'"error_kind"', b'"exit_codes"'),
    *(b'"finished"', b'"failed"', b'"running"', b'"bundle"', b"NaN", b"1e999", b"null", b"\\ud800"),
]
SHARE = 8


def judge(data: bytes) -> str:
    """Read `data` as the record of a run, check what comes of it and return its outcome."""
    folder = scratch("run-record")
    (folder / RUN_FILE).write_bytes(data)
    found, error = bundle_fault(lambda: read_run(folder))
    if error is not None:
        return error.code
    plain = json.loads(data)
    assert found.exit_code in {0, 1, 3, 4} and found.state == plain["state"]
    assert set(found.tasks) == set(plain["tasks"])
    for task in found.tasks.values():
        assert all(map(math.isfinite, (task.scores or {}).values()))
        assert (task.exit_code == 0) == (task.state == FINISHED)
    write_run(folder, found)
    assert read_run(folder) == found
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
