"""One submission through one task, step by step as the platform's worker does it."""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from mimicry.codabench.competition import Task
from mimicry.codabench.engines import Engine, Job, JobResult, run_job
from mimicry.codabench.engines.jobs import Kind, program_command, read_metadata
from mimicry.codabench.packing import stage_program
from mimicry.codabench.records import FAILED, FINISHED, TaskRecord
from mimicry.codabench.run_files import (
    settle,
    unpack_data,
)
from mimicry.codabench.scores_file import platform_scores
from mimicry.codabench.task_plan import TaskPlan
from mimicry.codabench.verdicts import (
    Problem,
    ingestion_problem,
    memory_note,
    scoring_problem,
    unprotected,
)
from mimicry.errors import BundleError, one_line
from mimicry.files import remove_tree, sha256_file
from mimicry.ingestion.arguments import REQUIRE_VARIABLE
from mimicry.ingestion.settings import TIME_LIMIT_VARIABLE

REMEMBERED = 10

_PLANTED_METADATA = (
    "Error, the output directory already contains a metadata file. This file is used to store "
    "exitCode and other data, do not write to this file manually."
)


def stage_task(plan: TaskPlan, staging: Path) -> str:
    """Stage a task's programs below `staging` and return the task's fingerprint.

    The fingerprint covers both programs as packed, both data sets and the time limit.
    """
    digest = hashlib.sha256(repr(plan.time_limit).encode())
    for name, program in _programs(plan.task):
        folder = staging / name
        stage_program(program, folder, plan.settings)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(staging)}\0{sha256_file(path)}\n".encode())
    for data in (plan.task.input_data, plan.task.reference_data):
        digest.update(_data_digest(data).encode())
    return digest.hexdigest()


def _data_digest(data: Path | None) -> str:
    if data is None or not data.is_dir():
        return sha256_file(data) if data else "none"
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return repr([(path.relative_to(data).as_posix(), sha256_file(path)) for path in files])


def run_task(
    plan: TaskPlan,
    submission: Path,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
) -> TaskRecord:
    """Run one submission through one task: prediction, then scoring, whatever happened.

    Parameters
    ----------
    plan : TaskPlan
        The task; its programs have been staged below `staging` by `stage_task`.
    submission : Path
        The unpacked submission; left as it is.
    folder : Path
        New folder for ``prediction/``, ``scoring/`` and ``logs/``.
    staging : Path
        Work space on the same file system, removed by the caller.
    engine : Engine
        Where the programs run.
    report : callable
        Receives progress, line by line.
    """
    (folder / "logs").mkdir(parents=True)
    notes: list[str] = []
    # Scoring repeats why ingestion failed; on the terminal once is enough.
    heard: deque[str] = deque(maxlen=REMEMBERED)

    def hear(line: str) -> None:
        heard.append(line)
        report(line)

    def report_new(line: str) -> None:
        if line not in heard:
            report(line)

    prediction = _predict(plan, submission, folder, staging, engine, hear, notes)
    ingestion = prediction.ingestion
    refused = prediction.problem or unprotected(plan, folder, ingestion)
    if refused is not None:
        return _failed(refused, ingestion, None, notes)
    scoring = _score(plan, folder, staging, engine, report_new, prediction, notes)
    for step, ended in (("ingestion", ingestion), ("scoring", scoring)):
        notes += memory_note(plan, step, ended)
    result = platform_scores(folder / "scoring", plan.columns, plan.primary, alone=plan.alone)
    notes += result.notes
    problem = prediction.blamed or ingestion_problem(plan, folder, ingestion)
    problem = problem or scoring_problem(plan, folder, scoring)
    if (folder / "scoring" / "metadata").exists():
        return _failed(problem or _planted_metadata("scoring"), ingestion, scoring, notes)
    if scoring.exit_code == 0 and result.failed is None and result.on_board and result.scores:
        if problem is not None:
            notes.append(
                f"ingestion failed ({problem.sentence}) and the platform scores it all the same: "
                "a scoring program must look at ingestion.json."
            )
        return TaskRecord(
            state=FINISHED,
            exit_codes=_exit_codes(ingestion, scoring),
            seconds=_seconds(ingestion, scoring),
            memory=_memory(ingestion, scoring),
            scores=result.scores,
            notes=tuple(notes),
        )
    if problem is None:
        reason = result.failed or " ".join(result.notes) or "the scores file holds no column."
        problem = Problem(
            f"The scoring program of task {plan.task.key} ended without usable scores: {reason}",
            "no-scores",
            "bundle",
        )
    return _failed(problem, ingestion, scoring, notes)


def run_ingestion(
    plan: TaskPlan,
    program: Path,
    submission: Path,
    root: Path,
    logs: Path,
    engine: Engine,
    report: Callable[[str], None],
    *,
    images: Path | None = None,
) -> JobResult:
    """Run a staged ingestion program over a task's input data, or over `images`.

    The folders lie below ``root/app``; what ingestion wrote is in ``root/app/output``.
    """
    app = root / "app"
    app.mkdir(parents=True, exist_ok=True)
    shutil.copytree(program, app / "program")
    if not (app / "ingested_program").exists():
        shutil.copytree(submission, app / "ingested_program")
    if images is not None:
        shutil.copytree(images, app / "input_data")
    elif plan.task.input_data is not None and not (app / "input_data").exists():
        unpack_data(plan.task.input_data, app / "input_data")
    (app / "output").mkdir(exist_ok=True)
    _show_worker_data(plan, app)
    command = program_command(app / "program", "ingestion_program")
    return _run(plan, root, command, "ingestion", logs, engine, report)


class _Prediction(NamedTuple):
    """How the prediction job ended: both programs, and why there is nothing to score.

    `blamed` is what to say in place of ingestion's own reason.
    """

    ingestion: JobResult | None
    submission: JobResult | None
    problem: Problem | None
    blamed: Problem | None = None


def _predict(
    plan: TaskPlan,
    submission: Path,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
    notes: list[str],
) -> _Prediction:
    root = staging / "prediction"
    app = root / "app"
    (app / "output").mkdir(parents=True)
    own, ingestion, harmed = None, None, False
    metadata = read_metadata(submission)
    program = staging / "ingestion_program"
    if metadata.name is None:
        # The worker does so with every submission that has no metadata file.
        shutil.copytree(submission, app / "output", dirs_exist_ok=True)
        if program.is_dir():
            notes.append(
                "the submission has no metadata file: the platform copies all its files into the "
                "prediction output before ingestion, where scoring sees them too. An empty file "
                "`metadata` prevents that."
            )
    elif metadata.command is not None:
        notes.append(
            f"{metadata.name} has a command: the platform starts the submission with it, in a "
            "container of its own, before ingestion; both write to the same output."
        )
        shutil.copytree(submission, app / "ingested_program")
        try:
            own, harmed = _run_submission(
                plan, metadata.command, root, folder, staging, engine, report
            )
        except BundleError as error:
            if error.code != "program-command":
                raise
            sentence = f"{metadata.name}: {error.sentence} The platform cannot start it either."
            return _Prediction(None, None, Problem(sentence, "submission-command", "submission"))
        if own.exit_code != 0:
            notes.append(
                f"the submission's own command {own.ending()}; the platform goes on with ingestion."
            )
    if program.is_dir():
        report(f"  ingestion (limit {plan.limit:g} s)")
        ingestion = run_ingestion(plan, program, submission, root, folder / "logs", engine, report)
        report(f"  ingestion {ingestion.ending()}, {ingestion.seconds:.1f} s")
    notes += _left_out("prediction", settle(app / "output"))
    shutil.move(app / "output", folder / "prediction")
    remove_tree(root)
    problem, blamed = None, None
    if harmed:
        notes.append(f"{metadata.name}: its command has changed the input data of this run.")
        blamed = _blamed_on_command(plan, folder, ingestion)
    if (folder / "prediction" / "metadata").exists():
        problem = _planted_metadata("prediction")
    elif own is None and ingestion is None and metadata.name is not None:
        problem = Problem(
            f"The platform would fail after minutes with `Bad or empty zip file`: without an "
            f"ingestion program a submission must have no {metadata.name}; remove that file.",
            "empty-prediction",
            "submission",
        )
    return _Prediction(ingestion, own, problem, blamed)


def _blamed_on_command(plan: TaskPlan, folder: Path, ingestion: JobResult | None) -> Problem | None:
    """Return why ingestion took the input data for unsound when the submission made them so."""
    found = ingestion_problem(plan, folder, ingestion)
    if found is None or found.kind != "bundle":
        return None
    return Problem(
        "The command in the submission's metadata has changed the input data, and so ingestion "
        f"failed: {found.sentence} Leave the input data alone.",
        "submission-command-input",
        "submission",
    )


def _left_out(step: str, removed: list[str]) -> list[str]:
    if not removed:
        return []
    return [
        f"{len(removed)} links, special files or too deep folders in the {step} output were left "
        f"out ({one_line(removed[0], 100)})."
    ]


def _planted_metadata(step: str) -> Problem:
    kept = " although it has stored the scores" if step == "scoring" else ""
    return Problem(
        f"The platform would fail{kept}: {_PLANTED_METADATA}",
        "output-metadata",
        # Before scoring, the participant's code is what writes there.
        "bundle" if step == "scoring" else "submission",
    )


def _show_worker_data(plan: TaskPlan, app: Path) -> None:
    if plan.worker_data is None:
        (app / "data").mkdir()
    else:
        (app / "data").symlink_to(plan.worker_data.resolve())


def _run_submission(
    plan: TaskPlan,
    command: str,
    prediction: Path,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
) -> tuple[JobResult, bool]:
    """Run a submission's own command; tell also whether it has changed the input data."""
    root = staging / "submission_program"
    app = root / "app"
    app.mkdir(parents=True)
    # One folder of the worker's for both: what the command changes, ingestion finds.
    (app / "program").symlink_to(prediction / "app" / "ingested_program")
    if plan.task.input_data is not None:
        unpack_data(plan.task.input_data, prediction / "app" / "input_data")
        (app / "input_data").symlink_to(prediction / "app" / "input_data")
    (app / "output").symlink_to(prediction / "app" / "output")
    _show_worker_data(plan, app)
    report("  the submission's own command")
    before = _state_of(prediction / "app" / "input_data")
    result = _run(plan, root, command, "submission", folder / "logs", engine, report)
    remove_tree(root)
    return result, _state_of(prediction / "app" / "input_data") != before


def _state_of(folder: Path) -> object:
    """Return what tells whether anything in a folder has been changed."""
    try:
        found = [folder.lstat(), *(path.lstat() for path in sorted(folder.rglob("*")))]
    except OSError as error:
        return error.errno
    return [
        (one.st_mode, one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in found
    ]


def _score(
    plan: TaskPlan,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
    prediction: _Prediction,
    notes: list[str],
) -> JobResult:
    root = staging / "scoring"
    app = root / "app"
    for name in ("input", "output", "shared"):
        (app / name).mkdir(parents=True)
    _show_worker_data(plan, app)
    shutil.move(staging / "scoring_program", app / "program")
    shutil.copytree(folder / "prediction", app / "input" / "res")
    own, ingestion = prediction.submission, prediction.ingestion
    timed = own or ingestion
    status = {
        "exitCode": own.exit_code if own else None,
        "elapsedTime": timed.seconds if timed else None,
        "ingestionExitCode": ingestion.exit_code if ingestion else None,
        "ingestionElapsedTime": ingestion.seconds if ingestion else None,
    }
    (app / "input" / "res" / "metadata").write_text(yaml.safe_dump(status), encoding="utf-8")
    if plan.task.reference_data is not None:
        unpack_data(plan.task.reference_data, app / "input" / "ref")
    report("  scoring")
    command = program_command(app / "program", plan.task.scoring_program.name)
    result = _run(plan, root, command, "scoring", folder / "logs", engine, report)
    notes += _left_out("scoring", settle(app / "output"))
    shutil.move(app / "output", folder / "scoring")
    remove_tree(root)
    return result


def _run(
    plan: TaskPlan,
    root: Path,
    command: str,
    kind: Kind,
    logs: Path,
    engine: Engine,
    report: Callable[[str], None],
) -> JobResult:
    environment = {} if plan.time_limit is None else {TIME_LIMIT_VARIABLE: f"{plan.time_limit:g}"}
    if plan.require_isolation:
        environment[REQUIRE_VARIABLE] = "1"
    job = Job(
        root=root,
        command=command,
        kind=kind,
        stdout=logs / f"{kind}.stdout.txt",
        stderr=logs / f"{kind}.stderr.txt",
        seconds=plan.hard_limit,
        environment=environment,
        echo=lambda line: report(f"    {one_line(line, 400)}"),
        image=plan.image,
        resources=plan.resources,
        stop=plan.stop,
    )
    return run_job(engine, job)


def _failed(
    problem: Problem, ingestion: JobResult | None, scoring: JobResult | None, notes: list[str]
) -> TaskRecord:
    return TaskRecord(
        state=FAILED,
        exit_codes=_exit_codes(ingestion, scoring),
        seconds=_seconds(ingestion, scoring),
        memory=_memory(ingestion, scoring),
        error=problem.sentence,
        error_code=problem.code,
        error_kind=problem.kind,
        notes=tuple(notes),
    )


def _exit_codes(ingestion: JobResult | None, scoring: JobResult | None) -> dict[str, int | None]:
    return {
        "ingestion": ingestion.exit_code if ingestion else None,
        "scoring": scoring.exit_code if scoring else None,
    }


def _seconds(ingestion: JobResult | None, scoring: JobResult | None) -> dict[str, float | None]:
    return {
        "ingestion": round(ingestion.seconds, 3) if ingestion else None,
        "scoring": round(scoring.seconds, 3) if scoring else None,
    }


def _memory(ingestion: JobResult | None, scoring: JobResult | None) -> dict[str, int | None]:
    return {
        "ingestion": ingestion.peak_memory if ingestion else None,
        "scoring": scoring.peak_memory if scoring else None,
    }


def _programs(task: Task) -> list[tuple[str, Path]]:
    programs = [("scoring_program", task.scoring_program)]
    if task.ingestion_program is not None:
        programs.append(("ingestion_program", task.ingestion_program))
    return programs
