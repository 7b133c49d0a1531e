"""What the platform's worker is told to run: a job, its folders and its command line."""

import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from mimicry.codabench.safe_yaml import load_yaml
from mimicry.errors import BundleError

Kind = Literal["ingestion", "scoring", "submission"]

METADATA_NAMES = ("metadata.yaml", "metadata")
LONGEST_COMMAND = 16 * 1024
LARGEST_METADATA = 1024 * 1024
# Everything that PyYAML's safe loader raises on hostile text, not only its own class:
# impossible dates, malformed numbers, nesting without end.
YAML_FAULTS = (
    *(yaml.YAMLError, ValueError, TypeError, AttributeError),
    *(KeyError, IndexError, OverflowError, RecursionError),
)

_APP = re.compile(r"(^|[=:,])/app(?=/|$)")


class Metadata(NamedTuple):
    """What a program's ``metadata.yaml`` or ``metadata`` says.

    `name` is the file that counts, or None without one; `command` is what the worker
    would run, or None; `problem` says why a file that is there gives no command.
    """

    name: str | None
    command: str | None
    problem: str | None


@dataclass(frozen=True)
class Resources:
    """What a container may use; the defaults are a default worker's, but for the network.

    Attributes
    ----------
    network : bool
        Whether the container has one; a default worker's has.
    memory : int or None
        Bytes, swap included; None for all of the machine's.
    cpus : float or None
        Processors, fractions allowed.
    pids : int or None
        Processes and threads at once.
    gpus : str or None
        ``all``, a number, or ``device=ID,ID``.
    """

    network: bool = False
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    gpus: str | None = None

    def asked(self) -> tuple[str, ...]:
        """Return the names of what differs from the defaults."""
        names = (one.name for one in fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(NO_LIMITS, name))


NO_LIMITS = Resources()


@dataclass(frozen=True)
class Job:
    """One program to run as the worker does.

    Attributes
    ----------
    root : Path
        The folder that stands for ``/`` and holds ``app/`` with the job's folders.
    command : str
        As written in the program's metadata; split like a shell would, run without one.
    kind : {"ingestion", "scoring", "submission"}
        Which program this is; decides what the legacy variables stand for.
    stdout, stderr : Path
        Log files to write, bounded.
    seconds : float or None
        When the job is ended, whatever it does.
    environment : mapping
        Variables to add to the worker's few.
    echo : callable or None
        Receives every line of both streams while the job runs.
    image : str
        The container image, for engines that use one.
    resources : Resources
        What the job may use, for engines that can limit it.
    stop : threading.Event or None
        Once set, the job is ended and `JobStoppedError` raised.
    """

    root: Path
    command: str
    kind: Kind
    stdout: Path
    stderr: Path
    seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    echo: Callable[[str], None] | None = None
    image: str = ""
    resources: Resources = NO_LIMITS
    stop: threading.Event | None = None

    @property
    def app(self) -> Path:
        """The folder that stands for ``/app``."""
        return self.root / "app"

    def folders(self) -> tuple[str, ...]:
        """Return the names below ``/app`` that the worker would mount, in order."""
        names = ("program", "ingested_program", "input_data", "output", "shared", "input", "data")
        return tuple(name for name in names if (self.app / name).is_dir())


class JobStoppedError(Exception):
    """The job was ended because its `Job.stop` was set."""


@dataclass(frozen=True)
class JobResult:
    """How a job ended.

    Attributes
    ----------
    exit_code : int
        A signal N counts as 128 + N, as in a container.
    seconds : float
        Wall time from before the start to after the end.
    timed_out : bool
        Whether it was ended by force because its time was over.
    log_cut : bool
        Whether a stream was longer than its log file holds.
    out_of_memory : bool
        Whether the kernel ended it, or a process of it, for want of memory. Only
        engines with a memory limit of their own can tell.
    peak_memory : int or None
        Bytes: of the whole container where there is one, as sampled; else of the
        largest single process.
    """

    exit_code: int
    seconds: float
    timed_out: bool
    log_cut: bool
    out_of_memory: bool = False
    peak_memory: int | None = None

    def ending(self) -> str:
        """Return in a few words how the job ended."""
        if self.timed_out:
            return f"was ended by force after {self.seconds:.0f} s"
        if self.out_of_memory and self.exit_code == 128 + signal.SIGKILL:
            return "was ended by the system: out of memory"
        if self.exit_code > 128 and self.exit_code - 128 in set(signal.Signals):
            return f"was ended by signal {signal.Signals(self.exit_code - 128).name}"
        return f"ended with exit code {self.exit_code}"


@dataclass(frozen=True)
class Launch:
    """How an engine starts a job.

    With `control`, the command's first ``{control}`` argument becomes a descriptor
    whose closing tells the command to end everything it started.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    control: bool = False


def read_metadata(folder: Path) -> Metadata:
    """Read a program's metadata as the worker does: ``metadata.yaml`` wins, no error raised."""
    for name in METADATA_NAMES:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            return parse_metadata(name, file.read(LARGEST_METADATA + 1))
    return Metadata(None, None, None)


def parse_metadata(name: str, data: bytes) -> Metadata:
    """Return what the metadata file `name` with the content `data` says."""
    if len(data) > LARGEST_METADATA:
        return Metadata(name, None, f"is larger than {LARGEST_METADATA} bytes")
    try:
        content = load_yaml(data.decode("utf-8"))
    except YAML_FAULTS as error:
        return Metadata(name, None, f"is not YAML ({type(error).__name__})")
    if not isinstance(content, dict):
        return Metadata(name, None, "is no mapping with a `command`")
    command = content.get("command")
    if not command:
        return Metadata(name, None, "has no `command`")
    if not isinstance(command, str):
        return Metadata(name, None, "has a `command` that is not text")
    return Metadata(name, command, None)


def program_command(program: Path, shown: str) -> str:
    """Return the command of an organiser's program.

    Raises
    ------
    BundleError
        `program-command` where the worker would find none.
    """
    metadata = read_metadata(program)
    if metadata.command is None:
        problem = metadata.problem or "is missing"
        raise BundleError(
            "program-command",
            f"{shown}/{metadata.name or METADATA_NAMES[0]} {problem}; write one line such as "
            "`command: python3 /app/program/main.py /app/input /app/output`.",
        )
    return metadata.command


def split_command(command: str, kind: Kind) -> list[str]:
    """Return a command's arguments, the platform's legacy variables replaced.

    Raises
    ------
    BundleError
        `program-command` for unbalanced quotes or an empty command.
    """
    if len(command) > LONGEST_COMMAND or any(
        c == "\0" or "\ud800" <= c <= "\udfff" for c in command
    ):
        raise BundleError(
            "program-command",
            f"The command is longer than {LONGEST_COMMAND} characters, or holds some that no "
            "program can be given; write one plain line.",
        )
    for variable, path in _legacy_variables(kind):
        command = command.replace(variable, path)
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise BundleError(
            "program-command", f"The command {command!r} cannot be split: {error}."
        ) from error
    if not arguments:
        raise BundleError("program-command", "The command is empty; name a program to run.")
    return arguments


def this_python(arguments: list[str]) -> list[str]:
    """Return `arguments` with ``python3`` or ``python`` as the Python that runs now."""
    if arguments[0] in {"python3", "python"}:
        return [sys.executable, *arguments[1:]]
    return arguments


def below(root: Path, argument: str) -> str:
    """Return `argument` with every ``/app`` path moved below `root`."""
    return _APP.sub(lambda match: f"{match[1]}{root / 'app'}", argument)


def worker_environment(job: Job, *, home: str, temporary: str) -> dict[str, str]:
    """Return the whole environment of a job: nothing of the caller's own is in it."""
    folder = Path(sys.executable).parent
    return {
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        **job.environment,
    }


def _legacy_variables(kind: Kind) -> tuple[tuple[str, str], ...]:
    scoring = kind == "scoring"
    return (
        ("$input", "/app/input_data" if kind == "ingestion" else "/app/input"),
        ("$output", "/app/output"),
        ("$program", "/app/program"),
        ("$ingestion_program", "/app/program"),
        ("$hidden", "/app/input/ref"),
        ("$shared", "/app/shared"),
        ("$submission_program", "/app/ingested_program"),
        ("$tmp", "/app/output"),
        ("$predictions", "/app/input/res" if scoring else "/app/output"),
    )
