"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
ANY_PATH = click.Path(path_type=Path)


def read_size(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Turn WIDTHxHEIGHT into two numbers of pixels, as a click callback."""
    if value is None:
        return None
    width, _, height = value.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT such as 320x224.")
    return int(width), int(height)


def bundle_option(command: Command) -> Command:
    """Add ``--bundle``."""
    return click.option(
        "--bundle",
        type=FOLDER,
        help="The folder that holds competition.yaml; by default this one or the nearest above.",
    )(command)


def engine_option(command: Command) -> Command:
    """Add ``--engine``; the name is checked when the engine is chosen."""
    return click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="Where the code runs: bubblewrap (walled off), subprocess (not), or auto.",
    )(command)


def find(bundle: Path | None) -> Path:
    """Return the bundle to work on."""
    from mimicry.codabench.competition import find_bundle

    return find_bundle(bundle if bundle is not None else Path.cwd())
