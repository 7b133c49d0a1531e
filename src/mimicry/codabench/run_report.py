"""A run's page, from its record and, where the data are there, from scoring it again.

A run's folder may come from anywhere and hold anything: nothing in it is believed but
its record and its predictions, and the scores of both must agree.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from mimicry import __version__
from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.programs import results_page
from mimicry.codabench.quotas import Mark, date_mark, moment, shown
from mimicry.codabench.records import FINISHED, RUNNING, RunRecord, TaskRecord
from mimicry.codabench.rescoring import rescored
from mimicry.codabench.run_text import failure_tail
from mimicry.errors import MimicryError, one_line
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.layout import LARGEST_PAGE
from mimicry.reports.markup import written
from mimicry.reports.run import FaultPart, StepPart, TaskPart, report_page
from mimicry.scoring.settings import FULL

STEPS = ("ingestion", "scoring")
MOST = 50
"""Tasks, and notes or scores of each, that are shown."""

_FEWER = (MOST, 10, 1)
TOO_LARGE = "More than the recorded scores cannot be shown: the page would be too large."
_NAME_WIDTH = 120
# Of a page, for what stands around the results.
_ROOM = 60_000
_KILLED = "still running, or it was killed"


def run_page(
    folder: Path,
    record: RunRecord,
    competition: Competition | None,
    *,
    full: bool = False,
    unknown: str | None = None,
    mark: Mark | None = None,
    worker_data: Path | None = None,
    back: tuple[str, str] | None = None,
) -> str:
    """Return the page of a run.

    Parameters
    ----------
    folder : Path
        The run's; nothing is written there.
    record : RunRecord
        What its ``run.json`` says.
    competition : Competition or None
        The run's; None where it cannot be had.
    full : bool
        For organisers: everything the scoring program can show whatever the phase's rules,
        and the end of the participant's log.
    unknown : str, optional
        Why there is no competition.
    mark : Mark, optional
        What the board says of when and how often it was handed in; by default what the
        phase's dates alone say.
    worker_data : Path, optional
        What a worker's operator shows as ``/app/data``.
    back : (str, str), optional
        Address and name of the page that leads here.
    """
    phase = None
    warnings = [] if unknown is None else [unknown]
    if competition is not None:
        phase = next((one for one in competition.phases if one.slug == record.phase), None)
        if phase is None:
            warnings.append(
                f"{competition.id} has no phase {one_line(record.phase, _NAME_WIDTH)} any more, "
                "so what was recorded is all that can be shown."
            )
    if record.finished is None:
        warnings.append(f"This run has not ended: it is {_KILLED}.")
    known = {task.key: task for task in phase.tasks} if phase is not None else {}
    order = {key: number for number, key in enumerate(known)}
    keys = sorted(record.tasks, key=lambda key: order.get(key, len(order)))
    tasks = [
        _task(
            folder,
            record,
            key,
            _Place(competition, phase, known.get(key), full, worker_data),
        )
        for key in keys[:MOST]
    ]
    title = one_line(record.submission, _NAME_WIDTH)
    about = _subtitle(record, competition, phase), _facts(record, phase, mark)
    tasks = _lighter(tasks)
    page = ""
    for most in _FEWER:
        left = len(keys) - len(tasks[:most])
        page = report_page(
            title,
            *about,
            [_shortened(task, most) for task in tasks[:most]],
            warnings=[*warnings, *([f"{left:,} more tasks are not shown."] if left else [])],
            private=full,
            back=back,
        )
        if len(page.encode()) <= LARGEST_PAGE:
            break
        tasks = [_without_results(task) for task in tasks]
    return page


def _lighter(tasks: Sequence[TaskPart]) -> list[TaskPart]:
    """Return tasks whose results fit into a page together: the largest ones go first."""
    sizes = [sum(len(written(part).encode()) for part in task.results) for task in tasks]
    kept = list(tasks)
    while any(sizes) and sum(sizes) > LARGEST_PAGE - _ROOM:
        largest = sizes.index(max(sizes))
        kept[largest] = _without_results(kept[largest])
        sizes[largest] = 0
    return kept


def _without_results(task: TaskPart) -> TaskPart:
    return task._replace(results=(), missing=TOO_LARGE) if task.results else task


def _shortened(task: TaskPart, most: int) -> TaskPart:
    """Return a task with so many notes and scores at most, and how many more there are."""
    return task._replace(
        notes=[
            *task.notes[:most],
            *_more(len(task.notes) - most, "note"),
            *_more(len(task.recorded) - most, "score"),
        ],
        recorded=task.recorded[:most],
        log=task.log if most == MOST else (),
    )


def _more(count: int, what: str) -> list[str]:
    return [f"and {count:,} more {what}{'' if count == 1 else 's'}"] if count > 0 else []


@dataclass(frozen=True)
class _Place:
    """Where a task's record belongs, as far as that is known, and how much may be shown."""

    competition: Competition | None
    phase: Phase | None
    task: Task | None
    private: bool
    worker_data: Path | None

    @property
    def full(self) -> bool:
        """Whether results may show more than the board's columns."""
        return self.private or (self.phase is not None and results_page(self.phase) == FULL)


def _subtitle(record: RunRecord, competition: Competition | None, phase: Phase | None) -> str:
    title = record.competition if competition is None else competition.title
    name = record.phase if phase is None else phase.name
    words = (record.participant, title, name)
    return " · ".join(one_line(word, _NAME_WIDTH) for word in words)


def _facts(record: RunRecord, phase: Phase | None, mark: Mark | None) -> list[tuple[str, str]]:
    rows = [
        ("Submission", record.submission),
        ("SHA-256 of the submission", record.submission_sha256),
        ("Participant", record.participant),
        ("Competition", record.competition),
        ("Phase", record.phase if phase is None else phase.name),
        ("State", record.state if record.finished is not None else _KILLED),
        ("Submitted", _time(record.submitted or record.started)),
        ("Started", _time(record.started)),
        ("Finished", "–" if record.finished is None else _time(record.finished)),
        ("Engine", record.engine),
    ]
    if record.image is not None:
        rows.append(("Image", record.image))
    if record.migrated:
        rows.append(("Migrated", "brought over from the phase before, as the platform does"))
    if phase is not None:
        mark = mark or _dated(record, phase)
        if mark is not None:
            rows.append(("Mark", f"{mark.kind}: {mark.reason}"))
    return [(name, one_line(value, 400)) for name, value in rows]


def _dated(record: RunRecord, phase: Phase) -> Mark | None:
    when = moment(record.submitted or record.started)
    return None if when is None or record.migrated else date_mark(phase, when)


def _time(text: str) -> str:
    when = moment(text)
    return text if when is None else shown(when)


def _task(folder: Path, record: RunRecord, key: str, place: _Place) -> TaskPart:
    task = record.tasks[key]
    results: Sequence[Element] = ()
    missing = None
    if task.state == FINISHED:
        results, missing = _results(folder, record, key, place)
    fault = None
    if task.error is not None:
        fault = _fault(task)
    log: list[str] = []
    if place.private and _is_plain(folder, key):
        log = failure_tail(folder, key)
    name = key if place.task is None else f"{key}, {place.task.name}"
    ended = record.finished is not None or task.state != RUNNING
    return TaskPart(
        name=one_line(name, _NAME_WIDTH),
        state=task.state if ended else _KILLED,
        steps=[
            StepPart(step, task.exit_codes.get(step), task.seconds.get(step), task.memory.get(step))
            for step in STEPS
            if step in {*task.exit_codes, *task.seconds, *task.memory}
        ],
        notes=[one_line(note, 600) for note in task.notes],
        fault=fault,
        recorded=_recorded(task, place),
        results=results,
        missing=missing,
        log=log,
    )


def _fault(task: TaskRecord) -> FaultPart:
    sentence = one_line(task.error or "", 2000)
    code = one_line(task.error_code or "", 60)
    return FaultPart(sentence, code, task.error_kind or "bug")


def _results(
    folder: Path, record: RunRecord, key: str, place: _Place
) -> tuple[Sequence[Element], str | None]:
    """Return what the scoring program's page shows of a task, or why it cannot be had."""
    if place.task is None:
        return (), None
    try:
        scored = rescored(folder, record, place.task, worker_data=place.worker_data)
    except MimicryError as error:
        return (), f"More than the recorded scores cannot be shown: {error}"
    except OSError as error:
        # No words of the system's about a stranger's files.
        why = error.strerror or type(error).__name__
        return (), f"More than the recorded scores cannot be shown: reading failed ({why})."
    facts = Facts(
        title=place.task.name,
        subtitle=None,
        full=place.full,
        seconds=record.tasks[key].seconds.get("scoring") or 0.0,
        provenance=(
            ("Recorded", _time(record.finished or record.started)),
            ("Scored again with Mimicry", __version__),
        ),
    )
    for full in (True, False) if place.full else (False,):
        try:
            found = scored.page(facts._replace(full=full))
            if sum(len(written(part).encode()) for part in found) <= LARGEST_PAGE - _ROOM:
                return found, None
        except Exception as error:
            # A page is a courtesy; the recorded scores stand.
            why = type(error).__name__
            continue
        why = "it is too large"
    return (), f"More than the recorded scores cannot be shown: the results page failed ({why})."


def _recorded(task: TaskRecord, place: _Place) -> list[ScoreRow]:
    scores = task.scores or {}
    if place.competition is None:
        return [ScoreRow(one_line(k, 60), one_line(k, 60), v, "") for k, v in scores.items()]
    leaderboard = place.competition.leaderboard
    first = leaderboard.primary
    others = sorted((c for c in leaderboard.columns if c != first), key=lambda c: c.index)
    return [
        ScoreRow(
            column.key,
            one_line(column.title, 100),
            scores[column.key],
            f"{'Higher' if column.sorting == 'desc' else 'Lower'} is better.",
        )
        for column in (first, *others)
        if column.key in scores and (place.private or not column.hidden)
    ]


def _is_plain(folder: Path, key: str) -> bool:
    """Tell whether a task's log lies in the run's own folder, reached by no link."""
    if key in {"", ".", ".."} or "/" in key or "\0" in key:
        return False
    for place in (folder / key, folder / key / "prediction"):
        try:
            if not stat.S_ISDIR(os.lstat(place).st_mode):
                return False
        except OSError:
            return False
    return True
