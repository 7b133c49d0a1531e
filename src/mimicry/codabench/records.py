"""What a run leaves for others to read: ``run.json`` in its folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mimicry.codabench.record_values import FAULTS, flag, no_constant, number, text
from mimicry.errors import EXIT_BUG, EXIT_BUNDLE, EXIT_DONE, EXIT_SUBMISSION, BundleError
from mimicry.files import read_regular_file, write_atomically

RUN_FILE = "run.json"
VERSION = 1
LARGEST_FILE = 16 * 1024 * 1024

RUNNING, FINISHED, FAILED = "running", "finished", "failed"
_STATES = (RUNNING, FINISHED, FAILED)
EXIT_CODES = {"submission": EXIT_SUBMISSION, "bundle": EXIT_BUNDLE, "bug": EXIT_BUG}


@dataclass(frozen=True)
class TaskRecord:
    """How one task of a run stands.

    Attributes
    ----------
    state : {"running", "finished", "failed"}
        ``finished`` means that the platform would have scores for it.
    exit_codes, seconds : Mapping
        By step, ``ingestion`` and ``scoring``; None for a step that did not run.
    memory : Mapping
        By step, the most that it held at once, in bytes, as sampled; None where it
        ended too soon to be measured.
    scores : Mapping or None
        Column key -> value.
    error, error_code, error_kind : str or None
        The sentence, its code, and whose it is: ``submission``, ``bundle`` or ``bug``.
    notes : tuple of str
        What the platform would do that one might not expect.
    fingerprint : str
        Hash of everything that the task's outcome depends on but the submission.
    """

    state: str
    exit_codes: Mapping[str, int | None] = field(default_factory=dict)
    seconds: Mapping[str, float | None] = field(default_factory=dict)
    memory: Mapping[str, int | None] = field(default_factory=dict)
    scores: Mapping[str, float] | None = None
    error: str | None = None
    error_code: str | None = None
    error_kind: str | None = None
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def exit_code(self) -> int:
        """0 when finished, else 3, 4 or 1 by whose error it is."""
        return EXIT_DONE if self.state == FINISHED else EXIT_CODES[self.error_kind or "bug"]


@dataclass(frozen=True)
class RunRecord:
    """One run of one submission through tasks of one phase; times are UTC, ISO 8601.

    Attributes
    ----------
    competition, phase, submission, participant, submission_sha256, engine : str
        What was run, for whom and where.
    started : str
        When the run began.
    finished : str or None
        When it ended; None while it is at work, and for ever when it was killed.
    state : {"running", "finished", "failed"}
        ``finished`` only when every task is.
    tasks : Mapping
        Task key -> `TaskRecord`.
    submitted : str
        When it was handed in: what quotas and phases are counted by.
    migrated : bool
        Whether the platform would have brought it over from the phase before.
    image : str or None
        The container image's id, for engines that use one.
    """

    competition: str
    phase: str
    submission: str
    participant: str
    submission_sha256: str
    engine: str
    started: str
    finished: str | None
    state: str
    tasks: Mapping[str, TaskRecord]
    submitted: str = ""
    migrated: bool = False
    image: str | None = None
    version: int = VERSION

    def with_task(self, key: str, task: TaskRecord) -> "RunRecord":
        """Return this record with one task's record replaced."""
        return replace(self, tasks={**self.tasks, key: task})

    @property
    def exit_code(self) -> int:
        """The worst of the tasks': 1 before 4 before 3 before 0."""
        codes = {task.exit_code for task in self.tasks.values()}
        return next((c for c in (EXIT_BUG, EXIT_BUNDLE, EXIT_SUBMISSION) if c in codes), EXIT_DONE)


def now() -> str:
    """Return the time in UTC, to the microsecond: runs are ranked by their age."""
    return datetime.now(UTC).isoformat()


def write_run(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` so that a reader sees the old or the new one, never a part."""
    write_atomically(folder / RUN_FILE, json.dumps(asdict(record), indent=2) + "\n")


def read_run(folder: Path) -> RunRecord:
    """Read ``run.json`` from a run's folder.

    Raises
    ------
    BundleError
        `run-record` when it is missing, damaged or from another version.
    """
    path = folder / RUN_FILE
    try:
        content = read_regular_file(path, LARGEST_FILE).decode("utf-8")
        return run_record(json.loads(content, parse_constant=no_constant))
    except FAULTS as error:
        raise BundleError(
            "run-record",
            f"{path} cannot be read as the record of a run ({type(error).__name__}: {error}). "
            "Remove the folder and run again.",
        ) from error


def run_record(data: Any) -> RunRecord:
    """Return the record that parsed JSON holds; raise one of `FAULTS` where it holds none."""
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r}, not {VERSION}")
    return RunRecord(
        competition=text(data["competition"]),
        phase=text(data["phase"]),
        submission=text(data["submission"]),
        participant=text(data["participant"]),
        submission_sha256=text(data["submission_sha256"]),
        engine=text(data["engine"]),
        started=text(data["started"]),
        finished=None if data["finished"] is None else text(data["finished"]),
        state=_state(data["state"]),
        tasks={text(key): _task(task) for key, task in data["tasks"].items()},
        # Absent from records of before 2026-11-21.
        submitted=text(data.get("submitted", data["started"])),
        migrated=flag(data.get("migrated", False)),
        image=None if data.get("image") is None else text(data["image"]),
    )


def _task(data: Any) -> TaskRecord:
    scores = data["scores"]
    return TaskRecord(
        state=_state(data["state"]),
        exit_codes={
            text(k): None if v is None else int(number(v)) for k, v in data["exit_codes"].items()
        },
        seconds={text(k): None if v is None else number(v) for k, v in data["seconds"].items()},
        memory={
            text(k): None if v is None else int(number(v))
            for k, v in data.get("memory", {}).items()
        },
        scores=None if scores is None else {text(k): number(v) for k, v in scores.items()},
        error=None if data["error"] is None else text(data["error"]),
        error_code=None if data["error_code"] is None else text(data["error_code"]),
        error_kind=None if data["error_kind"] is None else _kind(data["error_kind"]),
        notes=tuple(text(note) for note in data["notes"]),
        fingerprint=text(data["fingerprint"]),
    )


def _state(value: Any) -> str:
    if value not in _STATES:
        raise ValueError(f"unknown state {value!r}")
    return str(value)


def _kind(value: Any) -> str:
    if value not in EXIT_CODES:
        raise ValueError(f"unknown kind of error {value!r}")
    return str(value)
