"""What is wrong with the command of a program, as a worker would run it."""

import difflib
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from mimicry.codabench.engines.jobs import Kind, Metadata, split_command
from mimicry.codabench.reading.document import ERROR, WARNING
from mimicry.errors import BundleError

PROGRAM_ROOT = "/app/program/"

_SHELL = ("&&", "||", "|", ";", ">", ">>", "<", "<<", "&", "2>", "2>&1", "&>")
_BUILTINS = {"cd", "source", ".", "export", "set", "ulimit", "exec", "eval", "alias"}
_MOUNTED = {
    "ingestion": ("program", "ingested_program", "input_data", "output", "data"),
    "scoring": ("program", "input", "output", "shared", "data"),
}
_SCRIPTS = (".py", ".sh", ".r", ".jl", ".pl", ".js", ".m")


class CommandFault(NamedTuple):
    """One fault of a program's metadata; see `mimicry.codabench.reading.document.Fault`."""

    level: str
    code: str
    problem: str
    platform: str
    mend: str


def not_run(kind: Kind) -> str:
    """Return what the platform does with a program that has no command."""
    if kind == "scoring":
        return (
            'Does not run it; every submission ends Failed, with "Could not find scores file, did '
            'the scoring program output it?"'
        )
    return "Does not run it, says nothing, and scores what is not there."


def example_command(kind: Kind) -> str:
    """Return a line for the metadata file."""
    if kind == "scoring":
        return f"command: python3 {PROGRAM_ROOT}score.py /app/input /app/output"
    return (
        f"command: python3 {PROGRAM_ROOT}ingestion.py /app/input_data /app/output /app/program "
        "/app/ingested_program"
    )


def command_faults(
    metadata: Metadata, names: Collection[str], kind: Kind
) -> Iterator[CommandFault]:
    """Yield what is wrong with a program's metadata, the gravest first.

    Parameters
    ----------
    metadata : Metadata
        What its metadata file says, `name` None without one.
    names : collection of str
        The files of the program.
    kind : {"ingestion", "scoring"}
        Which program it is.
    """
    example = f"write a line such as `{example_command(kind)}` into metadata.yaml"
    if metadata.name is None:
        nested = next((n for n in names if n.endswith(("/metadata.yaml", "/metadata"))), None)
        where = f" (there is {nested!r}: zip the folder's contents)" if nested else ""
        yield CommandFault(
            ERROR,
            "program-metadata",
            f"there is no metadata.yaml at the program's root{where}",
            not_run(kind),
            example,
        )
        return
    if metadata.command is None or not metadata.command.strip():
        problem = metadata.problem or "has no `command`"
        yield CommandFault(
            ERROR, "program-metadata", f"{metadata.name} {problem}", not_run(kind), example
        )
        return
    try:
        words = split_command(metadata.command, kind)
    except BundleError as error:
        yield CommandFault(
            ERROR, "command-quotes", error.sentence.rstrip("."), "Fails to start it.", example
        )
        return
    yield from _shell_faults(words, example)
    yield from _first_word(words, names, example)
    yield from _script_faults(words, names, kind, example)


def _shell_faults(words: list[str], example: str) -> Iterator[CommandFault]:
    def fault(code: str, word: str, does: str, mend: str) -> CommandFault:
        return CommandFault(
            ERROR,
            code,
            f"the command is run without a shell, so {word[:60]!r} {does}",
            "Passes it to the program as an argument.",
            mend,
        )

    script = "put what needs a shell into a script and run that, `command: sh run.sh`"
    for word in words:
        if word in _SHELL or word.endswith(";"):
            yield fault("command-shell", word, "does nothing", script)
        elif "$" in word or "`" in word:
            yield fault("command-variable", word, "is not replaced", script)
        elif word.startswith("~"):
            yield fault("command-variable", word, "is no home folder", "write the whole path")
        elif re.search(r"[*?]|\[[^\]]+\]", word):
            yield fault("command-glob", word, "stays as it is", script)


def _first_word(words: list[str], names: Collection[str], example: str) -> Iterator[CommandFault]:
    first = words[0]
    own = first.removeprefix(PROGRAM_ROOT).removeprefix("./")
    if first in _BUILTINS or re.match(r"\w+=", first):
        yield CommandFault(
            ERROR,
            "command-builtin",
            f"{first[:60]!r} is a word of the shell, and there is no shell",
            "Cannot start the container: the run fails.",
            example,
        )
    elif first.startswith(("./", PROGRAM_ROOT)) or own in names:
        runner = "sh" if own.endswith(".sh") else "python3"
        yield CommandFault(
            ERROR,
            "command-not-executable",
            f"{first[:60]!r} will not be executable",
            "Unzips without executable bits, so that the run fails.",
            f"put its interpreter before it, `command: {runner} {own[:60]} ...`",
        )


def _script_faults(
    words: list[str], names: Collection[str], kind: Kind, example: str
) -> Iterator[CommandFault]:
    own = list(_own_files(words, names))
    folders = {name[:end] for name in names for end in _slashes(name)}
    for file in own:
        if file in names or file in folders:
            continue
        near = difflib.get_close_matches(file, names, 1, 0.5)
        mend = f"write {PROGRAM_ROOT}{near[0]}" if near else example
        yield CommandFault(
            ERROR,
            "command-missing-file",
            f"the command names {file[:100]!r}, which the program does not have",
            "Runs it; the interpreter finds no file and ends with an error: "
            + (
                '"Child task failed or non-zero return code".'
                if kind == "scoring"
                else "scoring runs all the same, on nothing."
            ),
            mend,
        )
    if not own and "-c" not in words:
        yield CommandFault(
            WARNING,
            "command-no-script",
            "the command names no script of the program",
            "Runs what the image has under that name.",
            example,
        )
    mounted = _MOUNTED.get(kind, ())
    for word in words[1:]:
        folder = re.match(r"/app/([^/]+)", word)
        if folder is None or folder[1] in mounted:
            continue
        script = word.lower().endswith(_SCRIPTS)
        yield CommandFault(
            ERROR if script else WARNING,
            "command-absent-folder",
            f"{word[:100]!r} does not exist in {kind}",
            f"Mounts other folders there: /app/{', /app/'.join(mounted)}.",
            example,
        )


def _own_files(words: list[str], names: Collection[str]) -> Iterator[str]:
    """Yield the files that a command must find in its program."""
    for number, word in enumerate(words):
        if number and words[number - 1] == "-m":
            base = word.replace(".", "/")
            found = [n for n in (f"{base}.py", f"{base}/__main__.py") if n in names]
            yield from found[:1]
        elif number and word.startswith(PROGRAM_ROOT):
            if word != PROGRAM_ROOT:
                yield word.removeprefix(PROGRAM_ROOT).rstrip("/")
        elif number and word.lower().endswith(_SCRIPTS) and not word.startswith(("/", "-")):
            yield word.removeprefix("./")


def _slashes(name: str) -> list[int]:
    return [at for at, character in enumerate(name) if character == "/"]
