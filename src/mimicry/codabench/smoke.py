"""A submission over a few generated images, through ingestion as on the platform."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench.competition import Competition
from mimicry.codabench.engines import NO_LIMITS, Engine, Resources
from mimicry.codabench.packing import pack_submission, program_settings, stage_program
from mimicry.codabench.run_files import last_lines, read_ingestion_state, settle
from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.submission_zip import unpack_submission
from mimicry.codabench.task_plan import TaskPlan
from mimicry.codabench.worker import run_ingestion
from mimicry.errors import BundleError, one_line

IMAGES = 8
TIME_LIMIT = 120.0
TAIL_LINES = 20


@dataclass(frozen=True)
class SmokeResult:
    """How a smoke run ended.

    Attributes
    ----------
    exit_code : int
        Ingestion's: 0, 3 for the submission's fault, 4 for the organiser's, 1 for a bug.
    sentence : str
        One sentence for people.
    seconds : float
        Wall time of the whole ingestion, start-up and loading included.
    tail : tuple of str
        The end of what the submission printed, if it failed.
    """

    exit_code: int
    sentence: str
    seconds: float
    tail: tuple[str, ...]


def smoke_run(
    submission: Path,
    competition: Competition,
    engine: Engine,
    report: Callable[[str], None],
    *,
    resources: Resources = NO_LIMITS,
    worker_data: Path | None = None,
) -> SmokeResult:
    """Run a submission over `IMAGES` generated images.

    Parameters
    ----------
    submission : Path
        A zip or a folder.
    competition : Competition
        Whose ingestion program to use; its data is not needed.
    engine : Engine
        Where it runs.
    report : callable
        Receives progress, line by line.
    resources : Resources
        What it may use, where the engine can tell.
    worker_data : Path, optional
        A folder to show as ``/app/data``.

    Raises
    ------
    BundleError
        `no-ingestion` when the competition's first phase has no ingestion program;
        `temporary-folder`.
    SubmissionError
        When the submission cannot be packed or unpacked.
    """
    from mimicry.demo.build import write_samples

    phase = competition.phases[0]
    task = next((task for task in phase.tasks if task.ingestion_program is not None), None)
    if task is None or task.ingestion_program is None:
        raise BundleError("no-ingestion", f"{competition.id} has no ingestion program to try.")
    settings = program_settings(competition, phase, task)
    plan = TaskPlan(
        task,
        settings,
        TIME_LIMIT,
        (),
        image=competition.docker_image,
        resources=resources,
        worker_data=worker_data,
    )
    with scratch_folder() as folder:
        archive = submission
        if submission.is_dir():
            archive = pack_submission(submission, folder / "submission.zip").path
        unpack_submission(archive, folder / "submission")
        stage_program(task.ingestion_program, folder / "program", settings)
        images = folder / "images"
        images.mkdir()
        write_samples(images, IMAGES, seed=8)
        logs = folder / "logs"
        logs.mkdir()
        result = run_ingestion(
            plan,
            folder / "program",
            folder / "submission",
            folder / "root",
            logs,
            engine,
            report,
            images=images,
        )
        output = folder / "root" / "app" / "output"
        settle(output)
        state = read_ingestion_state(output)
        if result.exit_code == 0 and state.get("state") == "finished":
            sentence = f"smoke run: {IMAGES} images in {result.seconds:.1f} s, start-up included"
            spent = state.get("seconds")
            if isinstance(spent, (int, float)):
                sentence += f"; {spent / IMAGES * 1000:.0f} ms per image"
            return SmokeResult(0, f"{sentence}.", result.seconds, ())
        said = last_lines(logs / "ingestion.stderr.txt", 1, 2000)
        sentence = said[0] if said else "no message"
        if state.get("error"):
            sentence = f"{state['error']} [{state.get('error_code')}]"
        code = result.exit_code if result.exit_code in {3, 4} else 1
        tail = tuple(last_lines(output / "participant.log", TAIL_LINES))
        return SmokeResult(code, f"smoke run failed: {one_line(sentence)}", result.seconds, tail)
