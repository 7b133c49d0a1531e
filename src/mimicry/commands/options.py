"""Options and arguments that several commands share.

What names something that is not there is wrong usage (exit code 2): a path, a
competition, a phase. The library has sentences for them; here they become usage errors.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition, Phase

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


def existing_path(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse a path, or any of several, that does not exist, as a click callback."""
    for path in value if isinstance(value, tuple) else (value,):
        try:
            found = path.exists()
        except OSError as error:
            raise click.BadParameter(f"{path} cannot be read: {error.strerror}.") from error
        if not found:
            raise click.BadParameter(f"there is no file or folder {path}; check the path.")
    return value


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


def find_if_any(bundle: Path | None) -> Path | None:
    """Return the bundle to work on, None when there is none and none was named."""
    try:
        return find(bundle)
    except BundleError:
        # A participant may have this package and no clone.
        if bundle is not None:
            raise
        return None


def competition_named(root: Path, id: str) -> "Competition":
    """Read a competition; an unknown one is wrong usage."""
    from mimicry.codabench.competition import load_competition

    with _usage("competition-unknown", "--competition"):
        return load_competition(root, id)


def competition_exists(root: Path, id: str) -> None:
    """Refuse the name of a competition that is unknown, without reading any."""
    from mimicry.codabench.competition import list_competitions

    known = list_competitions(root)
    if id not in known:
        raise click.BadParameter(
            f"there is no competition {id!r}; choose one of: {', '.join(known)}.",
            param_hint="--competition",
        )


def phase_named(competition: "Competition", name: str) -> "Phase":
    """Return a phase; an unknown one is wrong usage."""
    with _usage("phase-unknown", "--phase"):
        return competition.phase(name)


@contextmanager
def _usage(code: str, option: str) -> Iterator[None]:
    try:
        yield
    except BundleError as error:
        if error.code != code:
            raise
        raise click.BadParameter(error.sentence, param_hint=option) from error
