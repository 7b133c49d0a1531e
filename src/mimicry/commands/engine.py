"""Choosing an engine from the command line."""

import click

from mimicry.codabench.engines import AUTO, ENGINES, Engine, UnknownEngineError, choose_engine


def engine_for(name: str) -> Engine:
    """Return the engine `name`; with ``auto`` say why a better one was passed over."""
    try:
        engine = choose_engine(name)
    except UnknownEngineError as error:
        raise click.BadParameter(str(error), param_hint="--engine") from error
    if name == AUTO:
        for better in ENGINES.values():
            if better is engine:
                break
            click.echo(f"warning: {better.problem()}", err=True)
    return engine
