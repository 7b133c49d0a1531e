"""Engines: where the platform's programs run on this machine.

Every engine runs a `Job` as the platform's worker does: the same folders under
``/app``, the same command line without a shell, the program's folder as the working
directory, a clean environment. They differ in the walls around it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench.engines import docker
from mimicry.codabench.engines.bubblewrap import (
    bubblewrap_problem,
    launch_bubblewrap,
    shown_folders,
)
from mimicry.codabench.engines.docker_client import (
    Image,
    docker_problem,
    image_here,
    prepare_image,
)
from mimicry.codabench.engines.docker_guard import remove_orphans
from mimicry.codabench.engines.jobs import (
    NO_LIMITS,
    Job,
    JobResult,
    JobStoppedError,
    Launch,
    Resources,
)
from mimicry.codabench.engines.local import WARNING, run_subprocess
from mimicry.codabench.engines.watch import watch
from mimicry.errors import BundleError

__all__ = [
    "AUTO",
    "ENGINES",
    "NO_LIMITS",
    "Engine",
    "Image",
    "Job",
    "JobResult",
    "JobStoppedError",
    "Launch",
    "Resources",
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
    walls : callable
        Returns what it keeps the program from, in one line printed before every run.
    run : callable
        Runs a job to its end and leaves nothing of it behind.
    problem : callable
        Returns why the engine cannot be used here, or None when it can.
    lacks : callable
        Returns why ``auto`` passes it over for a competition's image though it works.
    prepare : callable or None
        Gets a competition's image ready, pulled if need be or asked for. None for an
        engine whose programs run with this machine's own Python.
    limits : frozenset of str
        Which `Resources` it can give or limit.
    shown : callable
        Returns the folders of this machine that every program may read; empty for an
        engine without walls, whose programs read what the user may.
    """

    name: str
    walls: Callable[[Resources], str]
    run: Callable[[Job], JobResult]
    problem: Callable[[], str | None]
    lacks: Callable[[str], str | None] = lambda image: None
    prepare: Callable[[str, bool], Image] | None = None
    limits: frozenset[str] = frozenset()
    shown: Callable[[], tuple[Path, ...]] = tuple


class UnknownEngineError(ValueError):
    """An engine's name that is not in the registry; the message lists those that are."""


def _launched(launch: Callable[[Job], Launch]) -> Callable[[Job], JobResult]:
    return lambda job: watch(launch(job), job)


def _no_image(image: str) -> str | None:
    if image_here(image) is not None:
        return None
    return f"Docker answers, but the image {image} is not here: `make image` builds it"


def _prepare_docker(image: str, pull: bool) -> Image:
    remove_orphans()
    return prepare_image(image, pull=pull)


_BUBBLEWRAP_WALLS = (
    "engine bubblewrap: no network, read-only system, only the run's own folders; "
    "no memory limit; this machine's Python, not the competition's image."
)

# In the order in which `auto` tries them. An engine more is one entry more.
ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            name="docker",
            walls=docker.walls,
            run=docker.run_docker,
            problem=docker_problem,
            lacks=_no_image,
            prepare=_prepare_docker,
            limits=frozenset(("network", "memory", "cpus", "pids", "gpus")),
        ),
        Engine(
            name="bubblewrap",
            walls=lambda resources: _BUBBLEWRAP_WALLS,
            run=_launched(launch_bubblewrap),
            problem=bubblewrap_problem,
            shown=shown_folders,
        ),
        Engine(
            name="subprocess",
            walls=lambda resources: WARNING,
            run=run_subprocess,
            problem=lambda: None,
        ),
    )
}


def choose_engine(name: str = AUTO, image: str = "") -> Engine:
    """Return the engine `name`, or for ``auto`` the first that works here.

    Parameters
    ----------
    name : str
        An engine, or ``auto``.
    image : str
        The competition's image: ``auto`` takes Docker only where that is at hand.

    Raises
    ------
    UnknownEngineError
        For a name that is not registered.
    BundleError
        `engine-unavailable` when the engine asked for by name does not work here.
    """
    if name == AUTO:
        return next(
            engine
            for engine in ENGINES.values()
            if engine.problem() is None and engine.lacks(image) is None
        )
    if name not in ENGINES:
        raise UnknownEngineError(
            f"there is no engine {name!r}; choose one of: {', '.join([AUTO, *ENGINES])}"
        )
    problem = ENGINES[name].problem()
    if problem is not None:
        raise BundleError("engine-unavailable", f"{problem}; or use --engine subprocess.")
    return ENGINES[name]


def run_job(engine: Engine, job: Job) -> JobResult:
    """Run `job` in `engine` to its end; nothing that it started is left running.

    Raises
    ------
    BundleError
        When it cannot be started.
    JobStoppedError
        When the job's `stop` was set.
    """
    return engine.run(job)
