"""Engines: where the platform's programs run on this machine.

Every engine runs a `Job` as the platform's worker does: the same folders under
``/app``, the same command line without a shell, the program's folder as the working
directory, a clean environment. They differ in the walls around it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench.engines.bubblewrap import (
    bubblewrap_problem,
    launch_bubblewrap,
    shown_folders,
)
from mimicry.codabench.engines.jobs import Job, JobResult, Launch
from mimicry.codabench.engines.local import WARNING, launch_subprocess
from mimicry.codabench.engines.watch import watch
from mimicry.errors import BundleError

__all__ = [
    "AUTO",
    "ENGINES",
    "Engine",
    "Job",
    "JobResult",
    "Launch",
    "UnknownEngineError",
    "choose_engine",
    "run_job",
]

AUTO = "auto"


@dataclass(frozen=True)
class Engine:
    """One way to run programs.

    Attributes
    ----------
    name : str
        As given to ``--engine``.
    walls : str
        What it keeps the program from, in one line printed before every run.
    launch : callable
        Turns a job into a command of this machine.
    problem : callable
        Returns why the engine cannot be used here, or None when it can.
    shown : callable
        Returns the folders of this machine that every program may read; empty for an
        engine without walls, whose programs read what the user may.
    """

    name: str
    walls: str
    launch: Callable[[Job], Launch]
    problem: Callable[[], str | None]
    shown: Callable[[], tuple[Path, ...]] = tuple


class UnknownEngineError(ValueError):
    """An engine's name that is not in the registry; the message lists those that are."""


# In the order in which `auto` tries them. An engine more is one entry more.
ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            name="bubblewrap",
            walls=(
                "engine bubblewrap: no network, read-only system, only the run's own folders; "
                "no memory limit."
            ),
            launch=launch_bubblewrap,
            problem=bubblewrap_problem,
            shown=shown_folders,
        ),
        Engine(
            name="subprocess",
            walls=WARNING,
            launch=launch_subprocess,
            problem=lambda: None,
        ),
    )
}


def choose_engine(name: str = AUTO) -> Engine:
    """Return the engine `name`, or for ``auto`` the first that works here.

    Raises
    ------
    UnknownEngineError
        For a name that is not registered.
    BundleError
        `engine-unavailable` when the engine asked for by name does not work here.
    """
    if name == AUTO:
        return next(engine for engine in ENGINES.values() if engine.problem() is None)
    if name not in ENGINES:
        raise UnknownEngineError(
            f"there is no engine {name!r}; choose one of: {', '.join([AUTO, *ENGINES])}"
        )
    problem = ENGINES[name].problem()
    if problem is not None:
        raise BundleError("engine-unavailable", f"{problem}; or use --engine subprocess.")
    return ENGINES[name]


def run_job(engine: Engine, job: Job) -> JobResult:
    """Run `job` in `engine` to its end; nothing that it started is left running."""
    return watch(engine.launch(job), job)
