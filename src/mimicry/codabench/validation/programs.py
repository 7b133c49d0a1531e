"""The programs that a worker would run: their metadata, command and scripts."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

from mimicry.codabench.engines.jobs import (
    METADATA_NAMES,
    Kind,
    Metadata,
    parse_metadata,
    split_command,
)
from mimicry.codabench.program_command import PROGRAM_ROOT, CommandFault, command_faults
from mimicry.codabench.reachable import PACKAGE
from mimicry.codabench.reading.document import Document
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.data import Named, named_paths
from mimicry.codabench.validation.finding import ERROR, WARNING
from mimicry.codabench.validation.flags import flag_faults, own_program
from mimicry.codabench.validation.source import MIB, SourceError
from mimicry.errors import BundleError

LARGEST_METADATA = 64 * 1024
MOST_SCRIPTS = 200
LARGEST_SCRIPT = MIB // 4
SCRIPTS_BUDGET = MIB
SCORE_FILES = ("scores.json", "scores.txt")

_KINDS: dict[str, Kind] = {"ingestion_program": "ingestion", "scoring_program": "scoring"}
_FAILS = (
    'Runs it; it ends with an error: "Child task failed or non-zero return code" in scoring, '
    "nothing in ingestion."
)


def check_programs(context: Context, document: Document) -> None:
    """Check every program that can be opened; each once, whoever names it."""
    seen = set[tuple[str, str]]()
    for named in named_paths(context, document):
        kind = _KINDS.get(named.role)
        if kind is None or (named.path, kind) in seen or context.tree.kind(named.path) is None:
            continue
        seen.add((named.path, kind))
        try:
            program = context.dataset(named.path)
        except SourceError:
            # Noted where data are looked at.
            continue
        if program.entries:
            _check_program(context, named, kind, program)


def _check_program(context: Context, named: Named, kind: Kind, program: Dataset) -> None:
    names = set(program.entries)
    name = next((n for n in METADATA_NAMES if n in names), None)
    metadata = _read_metadata(program, name)
    if metadata is None:
        context.notes.skip(f"{named.path}/{name} is too large or intricate, and was not looked at")
        return
    where = f"{named.path}/{name}" if name else named.path
    scripts = dict(read_scripts(program))
    faults = [*command_faults(metadata, names, kind), *_flag_faults(metadata, kind, scripts)]
    for fault in faults:
        context.notes.add(
            fault.level,
            fault.code,
            where,
            fault.problem,
            fault.platform,
            fault.mend,
            line=_command_line(program, name),
            key="command" if name else "",
        )
    _check_second_metadata(context, named, program, metadata)
    _check_scripts(context, named, names, scripts)
    if kind == "scoring":
        _check_score_file(context, named, scripts)


def _flag_faults(
    metadata: Metadata, kind: Kind, scripts: dict[str, bytes]
) -> Iterator[CommandFault]:
    """Yield what is wrong with the flags of a command that starts one of Mimicry's programs."""
    try:
        words = split_command(metadata.command or "", kind)
    except BundleError:
        # Told as a fault of the command.
        return
    for number, word in enumerate(words):
        source = scripts.get(word.removeprefix(PROGRAM_ROOT).removeprefix("./"))
        if source is None:
            continue
        tree = parse_script(source)
        takes = own_program(tree) if isinstance(tree, ast.Module) else None
        if takes is not None:
            yield from flag_faults(words[number + 1 :], takes)
        return


def _read_metadata(program: Dataset, name: str | None) -> Metadata | None:
    """Return what a program's metadata say, None where reading them would take too long."""
    if name is None:
        return Metadata(None, None, None)
    try:
        data = program.read(name, LARGEST_METADATA + 1)
    except SourceError as error:
        return Metadata(name, None, str(error))
    # Merge keys multiply in the YAML reader; no command needs them.
    if len(data) > LARGEST_METADATA or b"<<" in data:
        return None
    return parse_metadata(name, data)


def _check_second_metadata(
    context: Context, named: Named, program: Dataset, first: Metadata
) -> None:
    second = METADATA_NAMES[-1]
    if first.name == second or second not in program.entries:
        return
    other = _read_metadata(program, second)
    if other is not None and other.command != first.command:
        context.notes.add(
            WARNING,
            "metadata-twice",
            f"{named.path}/{second}",
            f"it says another command than {first.name}",
            f"Reads {first.name} and ignores this file.",
            f"remove {second}, or {first.name} if this is the command that is meant",
            line=_command_line(program, second),
            key="command",
        )


def _command_line(program: Dataset, name: str | None) -> int | None:
    if name is None:
        return None
    try:
        lines = program.read(name, LARGEST_METADATA).splitlines()
    except SourceError:
        return None
    return next((n for n, line in enumerate(lines, 1) if line.startswith(b"command")), 1)


def read_scripts(program: Dataset) -> Iterator[tuple[str, bytes]]:
    """Yield the Python files of a program but the package's own, as far as bounds allow."""
    budget = SCRIPTS_BUDGET
    scripts = [n for n in sorted(program.entries) if n.endswith(".py")]
    for name in [n for n in scripts if not n.startswith(f"{PACKAGE}/")][:MOST_SCRIPTS]:
        size = program.entries[name].size
        if size > min(budget, LARGEST_SCRIPT):
            continue
        budget -= size
        try:
            yield name, program.read(name, LARGEST_SCRIPT)
        except SourceError:
            continue


@lru_cache(maxsize=64)
def parse_script(source: bytes) -> ast.Module | SyntaxError | None:
    """Return a script's syntax tree, its fault, or None where it cannot be judged."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError):
        return None


def _check_scripts(
    context: Context, named: Named, names: set[str], scripts: dict[str, bytes]
) -> None:
    imports_package = None
    for name, source in scripts.items():
        tree = parse_script(source)
        if isinstance(tree, SyntaxError):
            context.notes.add(
                WARNING,
                "script-syntax",
                f"{named.path}/{name}",
                f"this is no Python that this version reads: {tree.msg}",
                _FAILS,
                "correct the line, or check that the image's Python is another version",
                line=tree.lineno,
            )
        elif imports_package is None and re.search(
            rf"^\s*(from|import) {PACKAGE}\b".encode(), source, re.MULTILINE
        ):
            imports_package = name
    if context.tree.zipped and imports_package and f"{PACKAGE}/__init__.py" not in names:
        context.notes.add(
            ERROR,
            "package-missing",
            f"{named.path}/{imports_package}",
            f"it imports {PACKAGE}, and the program holds no copy of it",
            _FAILS,
            "make the zip with `mimicry pack`, which puts the package beside the script",
        )


def _check_score_file(context: Context, named: Named, scripts: dict[str, bytes]) -> None:
    text = b"\n".join(scripts.values())
    if b"score.json" in text and not any(name.encode() in text for name in SCORE_FILES):
        name = next(n for n, source in scripts.items() if b"score.json" in source)
        line = scripts[name][: scripts[name].index(b"score.json")].count(b"\n") + 1
        context.notes.add(
            WARNING,
            "score-file-name",
            f"{named.path}/{name}",
            "it seems to write score.json, and nothing names scores.json",
            'Reads scores.json or scores.txt alone: "Could not find scores file, did the scoring '
            'program output it?"',
            "write scores.json",
            line=line,
        )
