"""Is a run what its records say? Everything that can be compared is compared.

A run's folder may come from a stranger: its records are read strictly, its predictions by
the scorer's own functions, and nothing in it is started.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mimicry import __version__
from mimicry.codabench.model import Competition
from mimicry.codabench.packing import zip_to_upload
from mimicry.codabench.provenance import PROVENANCE_FILE, Made, Provenance, read_provenance
from mimicry.codabench.records import FAILED, FINISHED, RUN_FILE, RunRecord, TaskRecord, read_run
from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.verifying_lines import (
    AGREES,
    DIFFERS,
    UNCHECKED,
    Line,
    Value,
    Verdict,
    compared,
)
from mimicry.codabench.verifying_task import task_lines
from mimicry.codabench.verifying_twice import twice_lines
from mimicry.errors import BundleError, MimicryError, SubmissionError, one_line
from mimicry.files import sha256_file

Load = Callable[[str], Competition]

_RUN_FIELDS = (
    *("competition", "phase", "submission", "participant", "submission_sha256", "engine"),
    *("image", "started", "finished", "submitted", "state"),
)
_TASK_FIELDS = ("state", "error", "error_code", "error_kind", "fingerprint")
_TASK_MAPPINGS = ("exit_codes", "seconds", "memory", "scores")


def verify_run(
    folder: Path,
    load: Load,
    *,
    shown: str | None = None,
    submission: Path | None = None,
    worker_data: Path | None = None,
) -> Verdict:
    """Compare a run with its records, its data, its programs and its predictions.

    Parameters
    ----------
    folder : Path
        The run's.
    load : callable
        Returns a competition by its id; raises `BundleError` where it cannot be had,
        ``competition-unknown`` where the bundle is there and lacks it: that differs.
    shown : str, optional
        How the folder is called; its path by default.
    submission : Path, optional
        What was handed in: a zip, or a folder or JSON file that is packed first.
    worker_data : Path, optional
        What a worker's operator shows as ``/app/data``.

    Returns
    -------
    Verdict
        What is wrong with a run is in it, not raised.
    """
    name = str(folder) if shown is None else shown
    try:
        record = read_run(folder)
    except BundleError as error:
        return Verdict(name, "no run", (Line(RUN_FILE, DIFFERS, str(error)),))
    lines: list[Line] = []
    origin = _origin(folder, record, lines)
    competition = _competition(record, load, lines)
    phase = None
    if competition is not None:
        phase = next((one for one in competition.phases if one.slug == record.phase), None)
        if phase is None:
            words = f"{competition.id} has no phase {one_line(record.phase, 60)}"
            lines.append(Line("data and programs", DIFFERS, words))
    lines += _contradictions(record)
    lines.append(_submission(record, competition, submission))
    lines += _image(record, competition)
    for key in record.tasks:
        lines += task_lines(
            folder, record, key, origin, competition, phase, worker_data=worker_data
        )
    lines += twice_lines(folder, record, origin, phase)
    return Verdict(name, _title(record, origin), tuple(lines))


def _title(record: RunRecord, origin: Provenance | None) -> str:
    words = (record.submission, record.participant, record.competition, record.phase)
    title = ", ".join(one_line(word, 60) for word in words)
    own = next(iter(origin.tasks.values())) if origin and origin.tasks else None
    return f"{title}; {_made_by(own.made, own.versions)}" if own else title


def _made_by(made: Made, versions: Mapping[str, str]) -> str:
    clone = f" at {made.commit[:7]}{' and changes' if made.changed else ''}" if made.commit else ""
    python = f"Python {made.python}"
    if made.image is not None:
        # Programs had the image's, whatever started them.
        inside = made.libraries.get("python") or versions.get("python")
        python = f"Python {inside} in its image" if inside else "its image's Python"
    system = f"{python}, {made.system} {made.machine}"
    return one_line(f"run by Mimicry {made.mimicry}{clone}, {system}; now {__version__}", 200)


def _origin(folder: Path, record: RunRecord, lines: list[Line]) -> Provenance | None:
    """Read where the run comes from, and compare its copy of the record."""
    try:
        origin = read_provenance(folder)
    except BundleError as error:
        lines.append(Line(PROVENANCE_FILE, DIFFERS, str(error)))
        return None
    if origin is None:
        words = "there is none, as in runs of earlier versions: what was recorded of data and "
        words += "programs cannot be compared"
        lines.append(Line(PROVENANCE_FILE, UNCHECKED, words))
        return None
    found = list(_changes(origin.run, record))
    lines += found or [Line(RUN_FILE, AGREES, f"as {PROVENANCE_FILE} has it")]
    return origin


def _changes(recorded: RunRecord, found: RunRecord) -> list[Line]:
    """Return a line for everything in which ``run.json`` differs from its copy."""

    def fields(names: Sequence[str], one: object, other: object, task: str | None) -> list[Line]:
        pairs = ((name, getattr(one, name), getattr(other, name)) for name in names)
        return [
            compared(f"{name} in {RUN_FILE}", old, new, task=task)
            for name, old, new in pairs
            if old != new
        ]

    lines = fields(_RUN_FIELDS, recorded, found, None)
    if recorded.migrated != found.migrated:
        old, new = str(recorded.migrated), str(found.migrated)
        lines.append(compared(f"migrated in {RUN_FILE}", old, new))
    for key in dict.fromkeys((*recorded.tasks, *found.tasks)):
        old_task, new_task = recorded.tasks.get(key), found.tasks.get(key)
        if old_task is None or new_task is None:
            words = "this task was added" if old_task is None else "this task was taken out"
            lines.append(Line(RUN_FILE, DIFFERS, words, key))
            continue
        lines += fields(_TASK_FIELDS, old_task, new_task, key)
        for name in _TASK_MAPPINGS:
            lines += _mapping(key, name, getattr(old_task, name), getattr(new_task, name))
        if old_task.notes != new_task.notes:
            lines.append(Line(f"notes in {RUN_FILE}", DIFFERS, "other ones", key))
    return lines


def _mapping(
    task: str, name: str, recorded: Mapping[str, Value] | None, found: Mapping[str, Value] | None
) -> list[Line]:
    old, new = recorded or {}, found or {}
    return [
        compared(
            f"{name.replace('_', ' ')}, {one_line(key, 60)} in {RUN_FILE}",
            *(old.get(key), new.get(key)),
            task=task,
        )
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def _competition(record: RunRecord, load: Load, lines: list[Line]) -> Competition | None:
    try:
        return load(record.competition)
    except BundleError as error:
        if error.code == "competition-unknown":
            # A name that nothing here answers to would keep every score from being checked.
            words = f"the bundle has no competition {one_line(record.competition, 60)}; if it is "
            words += "another bundle's, name that with --bundle"
            lines.append(Line("data and programs", DIFFERS, words))
        else:
            lines.append(Line("data and programs", UNCHECKED, str(error)))
        return None


def _contradictions(record: RunRecord) -> list[Line]:
    """Return a line for every way in which ``run.json`` contradicts itself."""
    if record.finished is None:
        words = "it has not ended: it is still running, or it was killed"
        return [Line("the run", UNCHECKED, words)]
    found: list[Line] = []
    done = all(task.state == FINISHED for task in record.tasks.values())
    if record.state != (FINISHED if done and record.tasks else FAILED):
        words = f"it says {record.state}, and its tasks do not"
        found.append(Line(RUN_FILE, DIFFERS, words))
    for key, task in record.tasks.items():
        contradiction = _contradiction(task)
        if contradiction is not None:
            found.append(Line(RUN_FILE, DIFFERS, contradiction, key))
    return found


def _contradiction(task: TaskRecord) -> str | None:
    if task.state == FINISHED and (not task.scores or task.error is not None):
        return "it says finished, and has no scores or an error"
    if task.state != FINISHED and task.scores is not None:
        return f"it says {task.state}, and has scores"
    return None


def _submission(
    record: RunRecord, competition: Competition | None, submission: Path | None
) -> Line:
    what = "submission"
    if submission is None:
        return Line(what, UNCHECKED, "name it with --submission")
    try:
        with scratch_folder() as scratch:
            archive = submission
            if competition is not None:
                archive, _ = zip_to_upload(submission, scratch / "submission.zip", competition)
            if not archive.is_file():
                return Line(what, UNCHECKED, f"{submission.name} is no zip")
            found = sha256_file(archive)
    except SubmissionError as error:
        return Line(what, DIFFERS, str(error))
    except (OSError, MimicryError) as error:
        return Line(what, UNCHECKED, one_line(str(error), 300))
    return compared(
        what, record.submission_sha256, found, same=f"the same bytes (SHA-256 {found[:12]})"
    )


def _image(record: RunRecord, competition: Competition | None) -> list[Line]:
    """Compare the image that a run used with what its competition's name means here today."""
    if record.image is None or competition is None:
        return []
    from mimicry.codabench.engines.docker_client import docker_problem, image_here

    name = competition.docker_image
    if (problem := docker_problem()) is not None:
        return [Line("image", UNCHECKED, one_line(problem, 300))]
    if (here := image_here(name)) is None:
        return [Line("image", UNCHECKED, f"the image {one_line(name, 200)} is not here")]
    return [compared("image", record.image, here.id, same=f"{name} is the one that was used")]
