"""Runs: one submission through tasks of one phase, in a folder that can be resumed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from mimicry.codabench.engines import Image
from mimicry.codabench.packing import program_settings, zip_to_upload
from mimicry.codabench.provenance import (
    PROVENANCE_FILE,
    Provenance,
    read_provenance,
    write_provenance,
)
from mimicry.codabench.provenance_facts import input_digests, made_here, task_provenance
from mimicry.codabench.records import (
    FAILED,
    FINISHED,
    RUN_FILE,
    RUNNING,
    RunRecord,
    TaskRecord,
    now,
    read_run,
    write_run,
)
from mimicry.codabench.run_files import check_data_exists
from mimicry.codabench.run_request import CHOOSE_ANOTHER, RunRequest
from mimicry.codabench.scratch import locked, scratch_folder, writable
from mimicry.codabench.submission_zip import unpack_submission
from mimicry.codabench.task_plan import TaskPlan
from mimicry.codabench.worker import run_task, stage_task
from mimicry.errors import BundleError, MimicryError, SubmissionError, one_line
from mimicry.files import is_unfinished, remove_tree, remove_unfinished, sha256_file

LOCK_FILE = ".lock"
STAGING = ".staging"
_OURS = {LOCK_FILE, STAGING, PROVENANCE_FILE}

Report = Callable[[str], None]


def run_submission(request: RunRequest, report: Report = print) -> RunRecord:
    """Run a submission through the requested tasks as the platform would.

    Tasks that an earlier run in the same folder finished are kept, as long as
    programs, data, limit and engine are the same; everything else is run anew. The
    record says ``finished`` only after the last task, also if this process is killed.

    Returns
    -------
    RunRecord
        Also written to ``run.json``; a task's failure is in it, not raised. Beside it
        ``provenance.json`` says what every task was made from.

    Raises
    ------
    SubmissionError
        What `zip_to_upload` finds in a folder.
    BundleError
        `data-missing`; `submission-missing`; `not-a-run-folder`, `run-folder-taken`,
        `run-locked`, `run-folder-unwritable` about the output folder;
        `engine-exposes` where the engine would show labels to the submission;
        `temporary-folder`; `worker-data`; what staging the programs finds; what the
        engine finds wrong with the image.
    JobStoppedError
        When the request's `stop` was set.
    """
    output = request.output.resolve()
    check_data_exists(request.tasks, request.competition.bundle)
    _check_worker_data(request)
    _check_hidden(request, output)
    if not request.submission.exists():
        raise BundleError(
            "submission-missing",
            f"There is no file or folder {request.submission}; check the path.",
        )
    image = _prepare(request, report)
    with writable(output, "run-folder-unwritable", CHOOSE_ANOTHER):
        _check_folder(output)
        output.mkdir(parents=True, exist_ok=True)
    with _locked(output), scratch_folder() as scratch:
        for name in (RUN_FILE, PROVENANCE_FILE):
            # Nobody else writes here: the folder is locked.
            remove_unfinished(output / name, settled=0)
        archive = _as_zip(request, scratch, report)
        record = _begin(request, output, sha256_file(archive), image, report)
        earlier = _earlier_provenance(output, report)
        staging = output / STAGING
        # A container that the engine lost may still write there, until Docker is used again.
        with writable(staging, "run-folder-unwritable", CHOOSE_ANOTHER):
            remove_tree(staging)
        try:
            plans, record = _plan(request, record, output, staging, report)
            if not plans:
                # The run stays as old as it is, since age breaks ties on the board.
                record = replace(
                    read_run(output),
                    participant=request.participant,
                    submitted=record.submitted,
                    migrated=request.migrated,
                )
                # What an earlier version has run is not vouched for now.
                if earlier is not None:
                    write_provenance(output, replace(earlier, run=record))
                write_run(output, record)
                return record
            kept = {} if earlier is None else earlier.tasks
            origin = Provenance(
                record, {k: v for k, v in kept.items() if k in record.tasks and k not in plans}
            )
            _write(output, record, origin)
            report(request.engine.walls(request.resources))
            made = made_here(
                *(request.engine, image, request.resources),
                worker_data=request.worker_data is not None,
            )
            unpacked = staging / "submission"
            problem = _unpack(archive, unpacked)
            for key, plan in plans.items():
                report(f"task {key}: {plan.task.name}")
                remove_tree(output / key)
                inputs = input_digests(request.competition, request.phase, plan.task)
                task = problem or _run_one(request, plan, unpacked, output, staging, report)
                task = replace(task, fingerprint=record.tasks[key].fingerprint)
                record = record.with_task(key, task)
                found = task_provenance(made, plan.limit, inputs, output / key)
                origin = replace(origin, tasks={**origin.tasks, key: found})
                _write(output, record, origin)
        finally:
            _remove_staging(staging, report)
        done = all(task.state == FINISHED for task in record.tasks.values())
        record = replace(record, state=FINISHED if done else FAILED, finished=now())
        _write(output, record, origin)
    return record


def _remove_staging(staging: Path, report: Report) -> None:
    """Remove what a run worked in; what is still written to is left to the next one."""
    try:
        remove_tree(staging)
    except OSError as error:
        report(
            f"note: {staging} cannot be removed yet ({error.strerror or error}); the next run in "
            "this folder removes it."
        )


def _write(output: Path, record: RunRecord, origin: Provenance) -> None:
    """Write both records: a run that ``run.json`` says has ended has its provenance."""
    write_provenance(output, replace(origin, run=record))
    write_run(output, record)


def _earlier_provenance(output: Path, report: Report) -> Provenance | None:
    try:
        return read_provenance(output)
    except BundleError as error:
        report(f"note: {error.sentence}")
        return None


def _run_one(
    request: RunRequest,
    plan: TaskPlan,
    submission: Path,
    output: Path,
    staging: Path,
    report: Report,
) -> TaskRecord:
    key = plan.task.key
    try:
        return run_task(plan, submission, output / key, staging / key, request.engine, report)
    except MimicryError as error:
        report(f"  {error}")
        return _error_record(error)


def _plan(
    request: RunRequest, record: RunRecord, output: Path, staging: Path, report: Report
) -> tuple[dict[str, TaskPlan], RunRecord]:
    """Stage the programs and decide which tasks are kept from an earlier run."""
    columns = tuple(column.key for column in request.competition.leaderboard.columns)
    primary = request.competition.leaderboard.primary.key
    plans: dict[str, TaskPlan] = {}
    for task in request.tasks:
        settings = program_settings(request.competition, request.phase, task)
        plan = TaskPlan(
            task=task,
            settings=settings,
            time_limit=request.time_limit,
            columns=columns,
            primary=primary,
            alone=len(request.phase.tasks) == 1,
            image=request.competition.docker_image,
            resources=request.resources,
            worker_data=request.worker_data,
            require_isolation=request.require_isolation,
            stop=request.stop,
        )
        fingerprint = f"{stage_task(plan, staging / task.key)}-{_surroundings(request, record)}"
        earlier = record.tasks.get(task.key)
        if earlier is not None and earlier.state == FINISHED:
            kept = output / task.key
            if earlier.fingerprint == fingerprint and kept.is_dir() and not kept.is_symlink():
                report(f"task {task.key}: kept, it was finished by an earlier run in this folder")
                continue
            report(f"task {task.key}: redone, its programs, data, limit or engine have changed")
        elif earlier is not None:
            report(f"task {task.key}: redone, the earlier run in this folder did not finish it")
        plans[task.key] = plan
        record = record.with_task(task.key, TaskRecord(RUNNING, fingerprint=fingerprint))
    return plans, record


def _surroundings(request: RunRequest, record: RunRecord) -> str:
    """Return what else a task's outcome depends on: engine, image and what it may use."""
    asked = [f"{name}={getattr(request.resources, name)}" for name in request.resources.asked()]
    data = [] if request.worker_data is None else [f"data={request.worker_data.resolve()}"]
    image = [record.image] if record.image else []
    walls = ["require-isolation"] if request.require_isolation else []
    return " ".join([request.engine.name, *image, *asked, *data, *walls])


def _prepare(request: RunRequest, report: Report) -> Image | None:
    """Get the image ready, where the engine uses one."""
    if request.engine.prepare is None:
        return None
    image = request.engine.prepare(request.competition.docker_image, request.pull)
    report(image.line())
    for warning in image.warnings:
        report(f"warning: {warning}")
    return image


def _begin(
    request: RunRequest, output: Path, sha256: str, image: Image | None, report: Report
) -> RunRecord:
    """Return the record to start from: a new one, or an earlier run's."""
    began = now()
    started = RunRecord(
        competition=request.competition.id,
        phase=request.phase.slug,
        submission=request.submission.resolve().name,
        participant=request.participant,
        submission_sha256=sha256,
        engine=request.engine.name,
        started=began,
        finished=None,
        state=RUNNING,
        tasks={},
        submitted=request.submitted or began,
        migrated=request.migrated,
        image=image.id if image else None,
    )
    report(
        f"{request.competition.id}, {request.phase.name}: {one_line(started.submission, 200)} "
        f"(SHA-256 {sha256[:12]}) -> {output}"
    )
    if not (output / RUN_FILE).exists():
        return started
    earlier = read_run(output)
    held, wanted = _identity(earlier), _identity(started)
    for what in held:
        # The same content under another name is the same submission.
        if held[what][0] != wanted[what][0]:
            raise BundleError(
                "run-folder-taken",
                f"{output} holds a run of another {what}: {held[what][1]}, not "
                f"{wanted[what][1]}; {CHOOSE_ANOTHER}.",
            )
    submitted = request.submitted or earlier.submitted or earlier.started
    for what, old, new in (
        ("participant", earlier.participant, request.participant),
        ("time of submission", earlier.submitted or earlier.started, submitted),
    ):
        if old != new:
            report(
                f"the {what} of this run was {one_line(old, 80)}, and is now {one_line(new, 80)}"
            )
    order = {task.key: i for i, task in enumerate(request.phase.tasks)}
    kept = sorted(earlier.tasks.items(), key=lambda item: order.get(item[0], len(order)))
    return replace(started, tasks=dict(kept), submitted=submitted)


def _identity(record: RunRecord) -> dict[str, tuple[str, str]]:
    """Return by what a run is told apart from another, each with how people are told."""
    submission = f"{record.submission} (SHA-256 {record.submission_sha256[:12]})"
    return {
        "competition": (record.competition, record.competition),
        "phase": (record.phase, record.phase),
        "submission": (record.submission_sha256, submission),
    }


def _unpack(archive: Path, folder: Path) -> TaskRecord | None:
    try:
        unpack_submission(archive, folder)
    except SubmissionError as error:
        return _error_record(error)
    return None


def _error_record(error: MimicryError) -> TaskRecord:
    return TaskRecord(
        FAILED, error=error.sentence, error_code=error.code, error_kind=type(error).kind
    )


def _as_zip(request: RunRequest, scratch: Path, report: Report) -> Path:
    archive, warnings = zip_to_upload(
        request.submission, scratch / "submission.zip", request.competition
    )
    for warning in warnings:
        report(f"packed: {warning}")
    return archive


def _check_worker_data(request: RunRequest) -> None:
    if request.worker_data is not None and not request.worker_data.is_dir():
        raise BundleError(
            "worker-data",
            f"There is no folder {request.worker_data} to show as /app/data; check the path.",
        )


def _check_hidden(request: RunRequest, output: Path) -> None:
    """Refuse to run where the engine's programs could read the labels."""
    places = {"bundle": request.competition.bundle, "run folder": output}
    for task in request.tasks:
        if task.reference_data is not None:
            places[f"reference data of task {task.key}"] = task.reference_data
    shown_folders = [*request.engine.shown()]
    if request.worker_data is not None:
        shown_folders.append(request.worker_data)
    for what, path in places.items():
        for shown in shown_folders:
            if path.resolve().is_relative_to(shown.resolve()):
                raise BundleError(
                    "engine-exposes",
                    f"The {what} {path} lies inside {shown}, which engine {request.engine.name} "
                    "lets every submission read, so it could read the labels; move it elsewhere.",
                )


def _check_folder(output: Path) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise BundleError("not-a-run-folder", f"{output} is a file; {CHOOSE_ANOTHER}.")
    names = {entry.name for entry in output.iterdir()}
    others = sorted(name for name in names - _OURS if not _is_unfinished_record(name))
    if RUN_FILE not in names and others:
        raise BundleError(
            "not-a-run-folder",
            f"{output} is not empty and holds no run ({one_line(others[0], 80)} is "
            f"in it); {CHOOSE_ANOTHER}.",
        )


def _is_unfinished_record(name: str) -> bool:
    """Tell whether a run that was killed has left this while it wrote its first records."""
    return any(is_unfinished(name, of) for of in (RUN_FILE, PROVENANCE_FILE))


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    busy = BundleError(
        "run-locked", f"Another run is at work in {output}; wait for it, or {CHOOSE_ANOTHER}."
    )
    with ExitStack() as held:
        with writable(output, "run-folder-unwritable", CHOOSE_ANOTHER):
            held.enter_context(locked(output / LOCK_FILE, busy))
        yield
