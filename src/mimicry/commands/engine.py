"""Choosing an engine from the command line."""

import click

from mimicry.codabench.engines import (
    AUTO,
    ENGINES,
    Engine,
    Resources,
    UnknownEngineError,
    choose_engine,
)
from mimicry.commands.options import EngineChoice


def engine_for(where: EngineChoice, image: str) -> Engine:
    """Return the engine asked for; with ``auto`` say why a better one was passed over.

    Parameters
    ----------
    where : EngineChoice
        What was asked for; that the engine cannot do it is wrong usage.
    image : str
        The competition's image.
    """
    try:
        engine = choose_engine(where.engine, image)
    except UnknownEngineError as error:
        raise click.BadParameter(str(error), param_hint="--engine") from error
    unable = [name for name in resources_of(where).asked() if name not in engine.limits]
    if where.pull and engine.prepare is None:
        unable.append("pull")
    if unable:
        raise click.UsageError(
            f"engine {engine.name} does not know --{unable[0]}; use --engine docker with it."
        )
    if where.engine == AUTO:
        _tell_passed_over(engine, image)
    return engine


def resources_of(where: EngineChoice) -> Resources:
    """Return what was asked for as an engine takes it."""
    return Resources(where.network, where.memory, where.cpus, where.pids, where.gpus)


def _tell_passed_over(engine: Engine, image: str) -> None:
    """Say what would make a better engine work, where that is worth a line."""
    for better in ENGINES.values():
        if better is engine:
            return
        problem = better.problem()
        missing = better.lacks(image) if problem is None else None
        # Without any walls every reason counts; with some, Docker need not be installed.
        if missing is not None or (problem is not None and not engine.shown()):
            click.echo(f"warning: {missing or problem}", err=True)
