"""Where a run's scores come from: ``provenance.json`` beside ``run.json``.

It is the organiser's alone. It names the SHA-256 of the reference data, by which guesses of
labels could be tried, so no page that participants see is made from it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mimicry.codabench.record_values import FAULTS, count, flag, no_constant, number, text
from mimicry.codabench.records import RunRecord, run_record
from mimicry.errors import BundleError, one_line
from mimicry.files import UnusableFile, read_regular_file, write_atomically

PROVENANCE_FILE = "provenance.json"
VERSION = 1
LARGEST_FILE = 32 * 1024 * 1024

INPUT_DATA, REFERENCE_DATA = "input_data", "reference_data"
INGESTION_PROGRAM, SCORING_PROGRAM = "ingestion_program", "scoring_program"
PREDICTIONS, SCORES, SCORES_COPY = "predictions", "scores", "scores_copy"
DIGESTS = (
    *(INPUT_DATA, REFERENCE_DATA, INGESTION_PROGRAM, SCORING_PROGRAM),
    *(PREDICTIONS, SCORES, SCORES_COPY),
)
IDENTICAL, DIFFERS = "identical", "differs"

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_MOST = 200
_LONGEST = 300


@dataclass(frozen=True)
class Made:
    """On what a task was run; nothing that names a machine, a person or a place.

    Attributes
    ----------
    mimicry, python, system, kernel, machine : str
        Versions, the kernel's release, the kind of processor: of the process that started
        the programs. What runs in an image has its own: in `libraries` that of scoring, in
        `TaskProvenance.versions` that of ingestion.
    commit : str or None
        Of the clone that the package lies in; None outside of one.
    changed : bool or None
        Whether the package differed from that commit.
    libraries : Mapping
        Name -> version of what scoring computes with. For a program in an image what its
        output says, Python's version among it; empty where that says nothing.
    engine : str
        Where programs ran.
    image : str or None
        The image's id.
    resources : Mapping
        What the engine can give or limit, as text; ``default`` for what was left alone.
    """

    mimicry: str
    python: str
    system: str
    kernel: str
    machine: str
    engine: str
    commit: str | None = None
    changed: bool | None = None
    image: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Isolation:
    """Which of the walls around the model were up, and which were missing, by name."""

    active: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class TaskProvenance:
    """What one task of a run was made from, and what came of it.

    Attributes
    ----------
    made : Made
        On what.
    time_limit : float
        Seconds for each program.
    sha256 : Mapping
        One of `DIGESTS` -> 64 hexadecimal digits, None for what there is not. Of a zip its
        bytes; of a folder and of a program as packed the list of its files and theirs.
    counts : Mapping
        ``images`` and ``predictions`` as ingestion counted them; None where it did not.
    versions : Mapping
        What ingestion ran with, as it says.
    isolation : Isolation or None
        As ingestion says; None where it says nothing.
    """

    made: Made
    time_limit: float
    sha256: Mapping[str, str | None]
    counts: Mapping[str, int | None] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    isolation: Isolation | None = None


@dataclass(frozen=True)
class Provenance:
    """What ``provenance.json`` holds.

    Attributes
    ----------
    run : RunRecord
        A copy of the record, by which later changes of ``run.json`` are found. Exit codes
        and durations of each task are in it.
    tasks : Mapping
        Task key -> `TaskProvenance`, for tasks that have ended. One that an earlier
        version ran has none.
    repeated : {"identical", "differs"} or None
        What a second run of the same gave; None where there was none.
    """

    run: RunRecord
    tasks: Mapping[str, TaskProvenance] = field(default_factory=dict)
    repeated: str | None = None
    version: int = VERSION


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write ``provenance.json`` as a whole or not at all."""
    content = {"version": provenance.version, **asdict(provenance)}
    write_atomically(folder / PROVENANCE_FILE, json.dumps(content, indent=2) + "\n")


def read_provenance(folder: Path) -> Provenance | None:
    """Read a run's ``provenance.json``; None where there is none, as in older runs.

    Raises
    ------
    BundleError
        `provenance-record` when it is a link, damaged, too large or from another version.
    """
    try:
        try:
            data = read_regular_file(folder / PROVENANCE_FILE, LARGEST_FILE)
        except UnusableFile as fault:
            if str(fault) == "is missing":
                return None
            raise
        return _provenance(json.loads(data.decode("utf-8"), parse_constant=no_constant))
    except FAULTS as error:
        why = one_line(f"{type(error).__name__}: {error}", 200)
        raise BundleError(
            "provenance-record",
            f"{PROVENANCE_FILE} cannot be read as the provenance of a run ({why}). Run the "
            "submission again in a new folder.",
        ) from error


def valid_sha256(value: object) -> str | None:
    """Return `value` where it is a SHA-256 in lower-case hexadecimal digits, else None."""
    return value if isinstance(value, str) and _SHA256.fullmatch(value) else None


def short_words(values: object) -> tuple[str, ...]:
    """Return those of a stranger's list that are text, at most 50 of 100 characters."""
    if not isinstance(values, list):
        return ()
    found: Iterable[str] = (value for value in values if isinstance(value, str))
    return tuple(one_line(value, 100) for value in list(found)[:50])


def _provenance(data: Any) -> Provenance:
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r}, not {VERSION}")
    repeated = data["repeated"]
    if repeated not in (None, IDENTICAL, DIFFERS):
        raise ValueError(f"repeated is {repeated!r}")
    return Provenance(
        run=run_record(data["run"]),
        tasks={_short(key): _task(task) for key, task in _few(data["tasks"])},
        repeated=repeated,
    )


def _task(data: Any) -> TaskProvenance:
    limit = number(data["time_limit"])
    if limit <= 0:
        raise ValueError("the time limit is not positive")
    isolation = data["isolation"]
    return TaskProvenance(
        made=_made(data["made"]),
        time_limit=limit,
        sha256={key: _sha256(data["sha256"][key]) for key in DIGESTS},
        counts={_short(k): None if v is None else count(v) for k, v in _few(data["counts"])},
        versions=_texts(data["versions"]),
        isolation=None
        if isolation is None
        else Isolation(short_words(isolation["active"]), short_words(isolation["missing"])),
    )


def _made(data: Any) -> Made:
    commit = data["commit"]
    if commit is not None and not _COMMIT.fullmatch(text(commit)):
        raise ValueError(f"{commit!r} is no commit")
    return Made(
        mimicry=_short(data["mimicry"]),
        python=_short(data["python"]),
        system=_short(data["system"]),
        kernel=_short(data["kernel"]),
        machine=_short(data["machine"]),
        engine=_short(data["engine"]),
        commit=commit,
        changed=None if data["changed"] is None else flag(data["changed"]),
        image=None if data["image"] is None else _short(data["image"]),
        libraries=_texts(data["libraries"]),
        resources=_texts(data["resources"]),
    )


def _sha256(value: Any) -> str | None:
    if value is not None and valid_sha256(value) is None:
        raise ValueError(f"{value!r} is no SHA-256")
    return valid_sha256(value)


def _texts(data: Any) -> dict[str, str]:
    return {_short(key): _short(value) for key, value in _few(data)}


def _few(data: Any) -> list[tuple[Any, Any]]:
    if len(data) > _MOST:
        raise ValueError(f"more than {_MOST} entries")
    return list(data.items())


def _short(value: Any) -> str:
    if len(text(value)) > _LONGEST:
        raise ValueError(f"a text of more than {_LONGEST} characters")
    return str(value)
