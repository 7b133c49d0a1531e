"""What to run: a submission, the tasks of a phase, an engine, and the folder for it all."""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench.competition import Competition, Phase, Task
from mimicry.codabench.engines import NO_LIMITS, Engine, Resources
from mimicry.codabench.scratch import writable

RUNS_FOLDER = "runs"
CHOOSE_ANOTHER = "choose another --output"


@dataclass(frozen=True)
class RunRequest:
    """What to run.

    Attributes
    ----------
    competition, phase : Competition, Phase
        Whose programs, data and limits.
    tasks : tuple of Task
        Some or all of the phase's tasks, in its order.
    submission : Path
        A zip, or a folder, which is packed first as `mimicry pack-submission` does.
    participant : str
        Who the board shows this run for.
    engine : Engine
        Where the programs run.
    output : Path
        The run's folder: new, empty, or one of an earlier run of the same submission.
    time_limit : float or None
        Seconds for every program instead of the phase's limit.
    resources : Resources
        What every program may use, where the engine can tell.
    pull : bool
        Whether to pull the image first, as the platform does before every job.
    worker_data : Path or None
        A folder to show as ``/app/data``, read-only.
    submitted : str or None
        When it is handed in, ISO 8601 in UTC; now by default. An earlier run in the
        same folder keeps its time unless another one is given.
    migrated : bool
        Whether the platform would have brought it over from the phase before.
    require_isolation : bool
        Whether a model without all protections is not started.
    stop : threading.Event or None
        Once set, the run is given up; it can be resumed.
    """

    competition: Competition
    phase: Phase
    tasks: tuple[Task, ...]
    submission: Path
    participant: str
    engine: Engine
    output: Path
    time_limit: float | None = None
    resources: Resources = NO_LIMITS
    pull: bool = False
    worker_data: Path | None = None
    submitted: str | None = None
    migrated: bool = False
    require_isolation: bool = False
    stop: threading.Event | None = None


def choose_tasks(phase: Phase, keys: Sequence[str]) -> tuple[Task, ...]:
    """Return the tasks with these keys in the phase's order; all for no keys.

    Raises
    ------
    ValueError
        For a key that the phase does not have, listing those it has.
    """
    known = [task.key for task in phase.tasks]
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(
            f"{phase.name} has no task {unknown[0]!r}; choose from: {', '.join(known)}"
        )
    return tuple(task for task in phase.tasks if not keys or task.key in keys)


def default_output(bundle: Path, competition: str, phase: str, submission: Path) -> Path:
    """Return ``runs/<competition>/<phase>/<stem>-<n>`` with the first free number.

    Raises
    ------
    BundleError
        `run-folder-unwritable` where one may not even look.
    """
    stem = re.sub(r"[^\w.-]+", "_", submission_stem(submission)) or "submission"
    parent = bundle / RUNS_FOLDER / competition / phase
    number = 1
    with writable(parent, "run-folder-unwritable", CHOOSE_ANOTHER):
        while (parent / f"{stem}-{number}").exists():
            number += 1
    return parent / f"{stem}-{number}"


def submission_stem(submission: Path) -> str:
    """Return a submission's name without ``.zip``."""
    path = submission.resolve()
    return path.stem if path.suffix.lower() == ".zip" and path.is_file() else path.name
