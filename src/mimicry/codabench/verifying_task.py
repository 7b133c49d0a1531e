"""One task of a run against what was recorded of it, and against scoring it again."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.provenance import (
    INGESTION_PROGRAM,
    INPUT_DATA,
    PREDICTIONS,
    REFERENCE_DATA,
    SCORES,
    SCORES_COPY,
    SCORING_PROGRAM,
    Provenance,
    TaskProvenance,
    valid_sha256,
)
from mimicry.codabench.provenance_facts import (
    LARGEST_SCORES,
    file_sha256,
    input_digests,
    isolation_of,
    predictions_sha256,
    versions_of,
)
from mimicry.codabench.records import FINISHED, RunRecord
from mimicry.codabench.rescoring import TOLERANCE, score_again
from mimicry.codabench.run_files import read_ingestion_state
from mimicry.codabench.scores_file import DECIMALS
from mimicry.codabench.verifying_lines import (
    AGREES,
    DIFFERS,
    SCORED_AGAIN,
    UNCHECKED,
    Line,
    compared,
)
from mimicry.errors import BundleError, one_line
from mimicry.files import UnusableFile, read_regular_file
from mimicry.hybrids.predictions import FILE_NAME
from mimicry.hybrids.tables import MAX_TABLE_BYTES
from mimicry.ingestion.outcome import STATE_FILE
from mimicry.scoring.output import SCORES_COPY_NAME, SCORES_NAME

_INPUTS = {
    INPUT_DATA: "input data",
    REFERENCE_DATA: "reference data",
    INGESTION_PROGRAM: "ingestion program",
    SCORING_PROGRAM: "scoring program",
}
# What keeps from scoring again, and says nothing of the run.
_NO_VERDICT = frozenset(
    (
        *("scoring-foreign", "data-missing", "activations-missing", "temporary-folder"),
        *("seal-key-missing", "seal-key-unreadable", "seal-key-wrong", "seal-library"),
    )
)


def task_lines(
    folder: Path,
    record: RunRecord,
    key: str,
    origin: Provenance | None,
    competition: Competition | None,
    phase: Phase | None,
    *,
    worker_data: Path | None,
) -> list[Line]:
    """Return what can be said of one task of a run.

    Parameters
    ----------
    folder, record : Path, RunRecord
        The run's.
    key : str
        The task's, as the record has it; a stranger's text.
    origin : Provenance or None
        What was recorded of where it comes from.
    competition, phase : Competition, Phase or None
        The run's, where they can be had.
    worker_data : Path or None
        What a worker's operator shows as ``/app/data``.
    """
    recorded = origin.tasks.get(key) if origin is not None else None
    tasks = phase.tasks if phase is not None else ()
    task = next((one for one in tasks if one.key == key), None)
    lines: list[Line] = []
    if phase is not None and task is None:
        lines.append(Line("data and programs", DIFFERS, "the phase has no such task"))
    if recorded is not None and task is not None and competition and phase:
        lines += _inputs(recorded, competition, phase, task)
    outcome = list(_outcome(folder, record, key, recorded))
    lines += outcome
    if record.tasks[key].state == FINISHED:
        changed = any(line.verdict == DIFFERS for line in outcome)
        if task is None:
            words = "without its competition, phase and task there is nothing to score with"
            lines.append(Line(SCORED_AGAIN, UNCHECKED, words))
        else:
            lines += _again(folder, record, task, worker_data, changed=changed)
    else:
        code = one_line(record.tasks[key].error_code or "it did not end", 60)
        lines.append(Line("scores", UNCHECKED, f"the task has none ({code})"))
    return [replace(line, task=key) for line in lines]


def _inputs(
    recorded: TaskProvenance, competition: Competition, phase: Phase, task: Task
) -> Iterator[Line]:
    for path, what in ((task.input_data, INPUT_DATA), (task.reference_data, REFERENCE_DATA)):
        if path is not None and not path.exists():
            yield Line(_INPUTS[what], UNCHECKED, "they are not here")
            return
    try:
        found = input_digests(competition, phase, task)
    except (BundleError, OSError) as error:
        yield Line("data and programs", UNCHECKED, one_line(str(error), 300))
        return
    for what, words in _INPUTS.items():
        if recorded.sha256[what] is None and found[what] is None:
            continue
        if recorded.sha256[what] == found[what]:
            yield Line(words, AGREES, "the same")
        else:
            other = "not the one of the run, as this version packs it"
            yield Line(words, DIFFERS, other if "program" in what else "not those of the run")


def _outcome(
    folder: Path, record: RunRecord, key: str, recorded: TaskProvenance | None
) -> Iterator[Line]:
    """Compare what the task's folder holds with what was recorded of it."""
    prediction, scoring = (
        plain_folder(folder, key, "prediction"),
        plain_folder(folder, key, "scoring"),
    )
    if prediction is not None:
        yield from _predictions(prediction, recorded)
    elif record.tasks[key].state == FINISHED:
        yield Line("predictions", DIFFERS, "they are gone")
    if record.tasks[key].state != FINISHED:
        return
    if scoring is None:
        yield Line(SCORES_NAME, DIFFERS, "it is gone")
        return
    yield from _scores(scoring, record.tasks[key].scores or {}, recorded)


def _predictions(prediction: Path, recorded: TaskProvenance | None) -> Iterator[Line]:
    state = read_ingestion_state(prediction)
    said = valid_sha256(state.get("predictions_sha256"))
    if said is not None:
        found = file_sha256(prediction / FILE_NAME, MAX_TABLE_BYTES)
        yield compared(f"{FILE_NAME} against {STATE_FILE}", _short(said), _short(found))
    if recorded is None:
        return
    found = predictions_sha256(prediction)
    if recorded.sha256[PREDICTIONS] is None and found is None:
        return
    old = recorded.sha256[PREDICTIONS]
    if old == found:
        yield Line("predictions", AGREES, f"the same bytes (SHA-256 {_short(found)})")
    else:
        yield compared("predictions", old, found)
    for name, field in (("images", "images"), ("predictions", "predicted")):
        counted = state.get(field)
        number = float(counted) if type(counted) is int and 0 <= counted < 2**53 else None
        old_number = recorded.counts.get(name)
        if number != old_number:
            yield compared(f"{name} in {STATE_FILE}", old_number, number)
    if isolation_of(state.get("isolation")) != recorded.isolation:
        yield Line(f"isolation in {STATE_FILE}", DIFFERS, "not what the run said of it")
    if versions_of(state.get("versions")) != recorded.versions:
        yield Line(f"versions in {STATE_FILE}", DIFFERS, "not what the run said of them")


def _scores(
    scoring: Path, scores: Mapping[str, float], recorded: TaskProvenance | None
) -> Iterator[Line]:
    try:
        data = read_regular_file(scoring / SCORES_NAME, LARGEST_SCORES)
        content: Any = json.loads(data)
    except UnusableFile as fault:
        # A program of others may write its scores elsewhere.
        if recorded is not None and recorded.sha256[SCORES] is None and str(fault) == "is missing":
            return
        yield Line(SCORES_NAME, DIFFERS, f"it {fault}")
        return
    except (ValueError, RecursionError):
        yield Line(SCORES_NAME, DIFFERS, "it is not JSON")
        return
    held = content if isinstance(content, dict) else {}
    wrong = [(key, value, _number(held.get(key))) for key, value in scores.items()]
    wrong = [(key, value, one) for key, value, one in wrong if not _near(value, one)]
    for key, value, one in wrong:
        yield _difference(f"{one_line(key, 60)} in {SCORES_NAME}", value, one)
    if not wrong:
        yield Line(SCORES_NAME, AGREES, "has the recorded scores")
    names = {SCORES: SCORES_NAME, SCORES_COPY: SCORES_COPY_NAME}
    if recorded is None:
        copy = file_sha256(scoring / SCORES_COPY_NAME, LARGEST_SCORES)
        if copy is not None:
            own = file_sha256(scoring / SCORES_NAME, LARGEST_SCORES)
            yield compared(f"{SCORES_COPY_NAME} against {SCORES_NAME}", _short(own), _short(copy))
        return
    for what, name in names.items():
        found = file_sha256(scoring / name, LARGEST_SCORES)
        yield compared(
            f"{name}, its bytes", _short(recorded.sha256[what]), _short(found), same="the same"
        )


def _again(
    folder: Path, record: RunRecord, task: Task, worker_data: Path | None, *, changed: bool
) -> Iterator[Line]:
    """Score the predictions again and compare every column.

    `changed` is whether the task's files differ from what was recorded of them: then nothing
    is put down to rounding.
    """
    what = SCORED_AGAIN
    try:
        scored = score_again(folder, task, worker_data=worker_data)
    except BundleError as error:
        verdict = UNCHECKED if error.code in _NO_VERDICT else DIFFERS
        yield Line(what, verdict, str(error))
        return
    except OSError as error:
        # No words of the system's about a stranger's files.
        yield Line(what, DIFFERS, f"reading failed ({error.strerror or type(error).__name__})")
        return
    except Exception as error:
        # It was scored once, so what cannot be any more is not what it was.
        yield Line(what, DIFFERS, f"it cannot be scored any more ({type(error).__name__})")
        return
    recorded = record.tasks[task.key].scores or {}
    found = dict(scored.scores)
    for key in dict.fromkeys((*recorded, *found)):
        old, new = recorded.get(key), found.get(key)
        # A board may leave out columns of the program.
        if old is None and key in found:
            continue
        if _near(old, new):
            yield Line(f"{what}, {one_line(key, 60)}", AGREES, f"{old:.10g}", None, old, new)
        else:
            changed = True
            yield _difference(f"{what}, {one_line(key, 60)}", old, new)
    scoring = plain_folder(folder, task.key, "scoring")
    if scoring is not None:
        expected = (json.dumps(found, indent=2, allow_nan=False) + "\n").encode()
        try:
            same = read_regular_file(scoring / SCORES_NAME, LARGEST_SCORES) == expected
        except UnusableFile:
            return
        if same:
            verdict, words = AGREES, "byte for byte what scoring writes now"
        elif changed:
            verdict, words = DIFFERS, "not what scoring writes now"
        else:
            verdict = UNCHECKED
            words = "not byte for byte what scoring writes now; scores count as equal up to "
            words += f"{TOLERANCE:g}, as on another machine"
        yield Line(f"{what}, {SCORES_NAME}", verdict, words)


def _difference(what: str, recorded: float | None, found: float | None) -> Line:
    line = compared(what, recorded, found)
    if recorded is None or found is None:
        return line
    words = f"{line.words} (difference {found - recorded:+.3g})"
    return Line(what, DIFFERS, words, None, recorded, found)


def _near(recorded: float | None, found: float | None) -> bool:
    """Tell whether two scores are equal up to rounding; what is no number is not."""
    if recorded is None or found is None:
        return False
    return abs(recorded - found) <= TOLERANCE + 10.0**-DECIMALS


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _short(digest: str | None) -> str | None:
    return None if digest is None else digest[:12]


def plain_folder(run: Path, key: str, name: str) -> Path | None:
    """Return a folder of a run's task; None where a link leads there, or there is none."""
    if key in {"", ".", ".."} or "/" in key or "\0" in key:
        return None
    here = run
    for part in (key, name):
        here = here / part
        try:
            if not stat.S_ISDIR(os.lstat(here).st_mode):
                return None
        except (OSError, ValueError):
            return None
    return here
