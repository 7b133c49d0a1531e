"""Options and arguments that several commands share.

What names something that is not there is wrong usage (exit code 2): a path, a
competition, a phase. The library has sentences for them; here they become usage errors.
"""

import functools
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition, Phase

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_COMPETITION = "hybrid"
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


def finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no finite number, which no range does, as a click callback."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no finite number.")
    return value


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


@dataclass(frozen=True)
class EngineChoice:
    """What was said on the command line about where code runs.

    Attributes
    ----------
    engine : str
        Its name, or ``auto``.
    network : bool
        Whether containers get a network.
    memory : int or None
        Bytes.
    cpus : float or None
        Processors.
    pids : int or None
        Processes and threads.
    gpus : str or None
        ``all``, a number, or ``device=ID,ID``.
    pull : bool
        Whether to pull the image first.
    worker_data : Path or None
        The folder to show as ``/app/data``.
    """

    engine: str = "auto"
    network: bool = False
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    gpus: str | None = None
    pull: bool = False
    worker_data: Path | None = None


def engine_options(command: Command) -> Command:
    """Add ``--engine`` and what goes with it; the command gets one `EngineChoice`, `where`."""

    @functools.wraps(command)
    def wrapped(**values: Any) -> Any:
        chosen = {field.name: values.pop(field.name) for field in fields(EngineChoice)}
        return command(where=EngineChoice(**chosen), **values)

    for option in reversed(_ENGINE_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def read_memory(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    """Turn an amount of memory such as 4g into bytes, as a click callback."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", value.strip().lower())
    size = int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " ")) if found else 0
    if size < LEAST_MEMORY:
        raise click.BadParameter(
            f"{value!r} is no amount of memory of at least {LEAST_MEMORY // 2**20} MiB, such as "
            "512m or 4g."
        )
    return size


def read_gpus(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check which GPUs are wanted, as a click callback."""
    if value is not None and not re.fullmatch(r"all|[1-9]\d*|device=[\w:.-]+(,[\w:.-]+)*", value):
        raise click.BadParameter(f"{value!r} is neither all, nor a number, nor device=0,1.")
    return value


def read_moment(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Turn a time in UTC into ISO 8601, as a click callback."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is no time such as '2027-01-31 12:00:00' (UTC)."
        ) from error
    zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return zoned.isoformat()


# Docker gives a container no less.
LEAST_MEMORY = 6 * 2**20

_ENGINE_OPTIONS = (
    click.option(
        "--engine",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="Where the code runs: docker (the competition's image), bubblewrap (walled off), "
        "subprocess (not), or auto, the first of these that works here.",
    ),
    click.option("--network", is_flag=True, help="docker: with a network, as on a default worker."),
    click.option(
        "--memory", metavar="SIZE", callback=read_memory, help="docker: at most this, as 4g."
    ),
    click.option(
        "--cpus",
        type=click.FloatRange(min=0.01),
        callback=finite,
        metavar="N",
        help="docker: at most so many processors.",
    ),
    click.option(
        "--pids",
        type=click.IntRange(min=1),
        metavar="N",
        help="docker: at most so many processes and threads.",
    ),
    click.option(
        "--gpus", metavar="WHICH", callback=read_gpus, help="docker: all, a number, or device=0,1."
    ),
    click.option("--pull", is_flag=True, help="docker: pull the image first, as a worker does."),
    click.option(
        "--worker-data",
        type=FOLDER,
        help="A folder to show as /app/data, as a worker's operator can.",
    ),
)


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


def competition_option(command: Command) -> Command:
    """Add ``--competition``, for commands that need one."""
    return click.option(
        "--competition",
        metavar="ID",
        help="Which one: competition.yaml is two-task, competitions/ID.yaml is ID. "
        f"By default {DEFAULT_COMPETITION}, or the only one.",
    )(command)


def competition_named(root: Path, id: str | None) -> "Competition":
    """Read a competition, None for the default; an unknown one is wrong usage."""
    from mimicry.codabench.competition import load_competition

    with _usage("competition-unknown", "--competition"):
        return load_competition(root, id or _default_competition(root))


def _default_competition(root: Path) -> str:
    from mimicry.codabench.competition import list_competitions

    known = list(list_competitions(root))
    return known[0] if len(known) == 1 else DEFAULT_COMPETITION


def competition_exists(root: Path, id: str | None) -> None:
    """Refuse the name of a competition that is unknown, without reading any."""
    from mimicry.codabench.competition import list_competitions

    known = list_competitions(root)
    if id is not None and id not in known:
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
