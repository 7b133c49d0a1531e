"""One submission through one task, step by step as the platform's worker does it."""

import hashlib
import re
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from mimicry.codabench.competition import Task
from mimicry.codabench.engines import Engine, Job, JobResult, run_job
from mimicry.codabench.engines.jobs import Kind, program_command, read_metadata
from mimicry.codabench.packing import ProgramSettings, stage_program
from mimicry.codabench.records import FAILED, FINISHED, TaskRecord
from mimicry.codabench.run_files import (
    last_lines,
    read_ingestion_state,
    settle,
    unpack_data,
)
from mimicry.codabench.scores_file import platform_scores
from mimicry.errors import one_line
from mimicry.files import remove_tree, sha256_file

LIMIT_VARIABLE = "MIMICRY_TIME_LIMIT"
GRACE = 30.0
"""Seconds that a program gets over its limit before it is ended by force."""
REMEMBERED = 10

_CODE = re.compile(r"^(?P<sentence>.*) \[(?P<code>[a-z0-9-]{1,60})\]$")
_PLANTED_METADATA = (
    "Error, the output directory already contains a metadata file. This file is used to store "
    "exitCode and other data, do not write to this file manually."
)


@dataclass(frozen=True)
class TaskPlan:
    """One task to run.

    Attributes
    ----------
    task : Task
        Which programs and data.
    settings : ProgramSettings
        Packed with the programs.
    time_limit : float or None
        Seconds instead of the phase's limit.
    columns : tuple of str
        The board's column keys.
    primary : str
        The key of the column that ranks.
    """

    task: Task
    settings: ProgramSettings
    time_limit: float | None
    columns: tuple[str, ...]
    primary: str = ""

    @property
    def hard_limit(self) -> float:
        """Seconds after which a program is ended by force."""
        limit = self.time_limit or float(self.settings.execution_time_limit)
        return limit + GRACE


@dataclass(frozen=True)
class _Problem:
    sentence: str
    code: str
    kind: str


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
        digest.update((sha256_file(data) if data else "none").encode())
    return digest.hexdigest()


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

    ingestion = _predict(plan, submission, folder, staging, engine, hear, notes)
    prediction = folder / "prediction"
    if (prediction / "metadata").exists():
        return _failed(
            _Problem(f"The platform would fail: {_PLANTED_METADATA}", "output-metadata", "bundle"),
            ingestion,
            None,
            notes,
        )
    scoring = _score(plan, folder, staging, engine, report_new, ingestion)
    result = platform_scores(folder / "scoring", plan.columns, plan.primary)
    notes += result.notes
    problem = _ingestion_problem(plan, folder, ingestion) or _scoring_problem(plan, folder, scoring)
    if scoring.exit_code == 0 and result.failed is None and result.on_board and result.scores:
        if problem is not None:
            notes.append(f"ingestion failed ({problem.sentence}) and was scored all the same.")
        return TaskRecord(
            state=FINISHED,
            exit_codes=_exit_codes(ingestion, scoring),
            seconds=_seconds(ingestion, scoring),
            scores=result.scores,
            notes=tuple(notes),
        )
    if problem is None:
        reason = result.failed or " ".join(result.notes) or "the scores file holds no column."
        problem = _Problem(
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
    shutil.copytree(submission, app / "ingested_program")
    if images is not None:
        shutil.copytree(images, app / "input_data")
    elif plan.task.input_data is not None and not (app / "input_data").exists():
        unpack_data(plan.task.input_data, app / "input_data")
    for name in ("output", "data"):
        (app / name).mkdir(exist_ok=True)
    command = program_command(app / "program", "ingestion_program")
    return _run(plan, root, command, "ingestion", logs, engine, report)


def _predict(
    plan: TaskPlan,
    submission: Path,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
    notes: list[str],
) -> JobResult | None:
    root = staging / "prediction"
    app = root / "app"
    (app / "output").mkdir(parents=True)
    metadata = read_metadata(submission)
    if metadata.name is None:
        # The worker does so with every submission that has no metadata file.
        shutil.copytree(submission, app / "output", dirs_exist_ok=True)
    elif metadata.command is not None:
        notes.append(
            f"{metadata.name} has a command: the platform ran it as a program of its own first."
        )
        _run_submission(plan, submission, metadata.command, root, folder, staging, engine, report)
    result = None
    program = staging / "ingestion_program"
    if program.is_dir():
        report(f"  ingestion (limit {plan.hard_limit - GRACE:g} s)")
        result = run_ingestion(plan, program, submission, root, folder / "logs", engine, report)
        report(f"  ingestion ended with exit code {result.exit_code} after {result.seconds:.1f} s")
    removed = settle(app / "output")
    if removed:
        notes.append(
            f"{len(removed)} links, special files or too deep folders in the prediction output "
            f"were left out ({one_line(removed[0], 100)})."
        )
    shutil.move(app / "output", folder / "prediction")
    remove_tree(root)
    return result


def _run_submission(
    plan: TaskPlan,
    submission: Path,
    command: str,
    prediction: Path,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
) -> None:
    root = staging / "submission_program"
    app = root / "app"
    app.mkdir(parents=True)
    shutil.copytree(submission, app / "program")
    if plan.task.input_data is not None:
        unpack_data(plan.task.input_data, prediction / "app" / "input_data")
        (app / "input_data").symlink_to(prediction / "app" / "input_data")
    (app / "output").symlink_to(prediction / "app" / "output")
    (app / "data").mkdir()
    report("  the submission's own command")
    _run(plan, root, command, "submission", folder / "logs", engine, report)
    remove_tree(root)


def _score(
    plan: TaskPlan,
    folder: Path,
    staging: Path,
    engine: Engine,
    report: Callable[[str], None],
    ingestion: JobResult | None,
) -> JobResult:
    root = staging / "scoring"
    app = root / "app"
    for name in ("input", "output", "shared", "data"):
        (app / name).mkdir(parents=True)
    shutil.move(staging / "scoring_program", app / "program")
    shutil.copytree(folder / "prediction", app / "input" / "res")
    elapsed = ingestion.seconds if ingestion else None
    status = {
        "exitCode": None,
        "elapsedTime": elapsed,
        "ingestionExitCode": ingestion.exit_code if ingestion else None,
        "ingestionElapsedTime": elapsed,
    }
    (app / "input" / "res" / "metadata").write_text(yaml.safe_dump(status), encoding="utf-8")
    if plan.task.reference_data is not None:
        unpack_data(plan.task.reference_data, app / "input" / "ref")
    report("  scoring")
    command = program_command(app / "program", plan.task.scoring_program.name)
    result = _run(plan, root, command, "scoring", folder / "logs", engine, report)
    settle(app / "output")
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
    limit = {} if plan.time_limit is None else {LIMIT_VARIABLE: f"{plan.time_limit:g}"}
    job = Job(
        root=root,
        command=command,
        kind=kind,
        stdout=logs / f"{kind}.stdout.txt",
        stderr=logs / f"{kind}.stderr.txt",
        seconds=plan.hard_limit,
        environment=limit,
        echo=lambda line: report(f"    {one_line(line, 400)}"),
    )
    return run_job(engine, job)


def _ingestion_problem(plan: TaskPlan, folder: Path, result: JobResult | None) -> _Problem | None:
    if result is None:
        return None
    state = read_ingestion_state(folder / "prediction")
    if state.get("state") == "failed":
        kind, code = str(state.get("error_kind")), str(state.get("error_code"))
        return _Problem(
            one_line(str(state.get("error"))),
            code if re.fullmatch(r"[a-z0-9-]{1,60}", code) else "ingestion-failed",
            kind if kind in {"submission", "bundle"} else "bug",
        )
    if result.timed_out:
        return _Problem(
            f"Ingestion was ended by force after {result.seconds:.0f} s, "
            f"{GRACE:g} s over its limit; the platform may wait longer or not at all.",
            "hard-time-limit",
            "submission",
        )
    return _exit_problem("ingestion", folder, result)


def _scoring_problem(plan: TaskPlan, folder: Path, result: JobResult) -> _Problem | None:
    if result.timed_out:
        return _Problem(
            f"Scoring of task {plan.task.key} was ended by force after {result.seconds:.0f} s.",
            "hard-time-limit",
            "bundle",
        )
    return _exit_problem("scoring", folder, result)


def _exit_problem(step: str, folder: Path, result: JobResult) -> _Problem | None:
    if result.exit_code == 0:
        return None
    said = last_lines(folder / "logs" / f"{step}.stderr.txt", 1, 2000)
    sentence = said[0].strip() if said else f"{step} ended with exit code {result.exit_code}."
    match = _CODE.match(sentence)
    kind = {3: "submission", 4: "bundle"}.get(result.exit_code, "bug")
    if match:
        return _Problem(match["sentence"], match["code"], kind)
    return _Problem(
        f"{step} ended with exit code {result.exit_code}: {sentence}" if said else sentence,
        f"{step}-exit",
        kind,
    )


def _failed(
    problem: _Problem, ingestion: JobResult | None, scoring: JobResult | None, notes: list[str]
) -> TaskRecord:
    return TaskRecord(
        state=FAILED,
        exit_codes=_exit_codes(ingestion, scoring),
        seconds=_seconds(ingestion, scoring),
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


def _programs(task: Task) -> list[tuple[str, Path]]:
    programs = [("scoring_program", task.scoring_program)]
    if task.ingestion_program is not None:
        programs.append(("ingestion_program", task.ingestion_program))
    return programs
