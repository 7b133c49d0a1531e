"""The flags that a command gives to Mimicry's own programs, which refuse what they do not know."""

import ast
import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mimicry.codabench.program_command import CommandFault
from mimicry.codabench.reading.document import ERROR

_DASHES = ("\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", "\N{NON-BREAKING HYPHEN}")
_MOST_GIB = 2**20


class Takes(NamedTuple):
    """What a program's command line takes: how many folders, and flags with their value's name."""

    folders: int
    flags: Mapping[str, str | None]


INGESTION = Takes(
    4,
    {
        "--weights": "FOLDER",
        "--allow-network": None,
        "--disk-limit": "GIB",
        "--require-isolation": None,
    },
)
SCORING = Takes(2, {"--refuse-commands": None})
_PROGRAMS = {
    "mimicry.ingestion.program": INGESTION,
    "mimicry.hybrids.program": SCORING,
    "mimicry.realign.program": SCORING,
}


def own_program(tree: ast.Module) -> Takes | None:
    """Return what a script takes that runs one of Mimicry's programs; None for any other."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(one.name == "main" for one in node.names):
            found = _PROGRAMS.get(node.module or "")
            if found is not None:
                return found
    return None


def flag_faults(words: Sequence[str], takes: Takes) -> Iterator[CommandFault]:
    """Yield what one of Mimicry's programs refuses of its command line.

    Parameters
    ----------
    words : sequence of str
        What stands behind the script's name in the command.
    takes : Takes
        What the program takes.
    """
    folders, left, unknown = 0, list(words), False
    groups, between = 0, True
    while left:
        word = left.pop(0)
        if word == "--":
            folders += len(left)
            break
        if not word.startswith(("-", *_DASHES)) or word == "-":
            folders += 1
            groups += between
            between = False
            continue
        between = True
        name, equals, value = word.partition("=")
        if name not in takes.flags:
            unknown = True
            yield _fault(f"{name[:60]!r} is no flag of this program", _nearest(name, takes))
            continue
        wanted = takes.flags[name]
        if wanted is None:
            if equals:
                yield _fault(f"{name} takes no value", f"write {name} alone")
            continue
        if not equals:
            if not left or (left[0].startswith("-") and left[0] != "-"):
                yield _fault(f"{name} has no value", f"write {name} {wanted}")
                continue
            value = left.pop(0)
        if wanted == "GIB" and not _is_size(value):
            yield _fault(f"{value[:60]!r} is no size in GiB", f"write {name} with a number above 0")
    # An unknown flag's value would count as a folder.
    if folders > takes.folders and not unknown:
        yield _fault(
            f"the command names {folders} folders, and this program takes {takes.folders}",
            "remove the last ones",
        )
    elif groups > 1 and not unknown:
        # Of folders that are left out the parser decides at the first one.
        yield _fault("flags stand between its folders", "put the folders side by side")


def _fault(problem: str, mend: str) -> CommandFault:
    return CommandFault(
        ERROR,
        "command-flag",
        problem,
        "Runs it; it ends with exit code 2 before it does anything, in every run.",
        mend,
    )


def _nearest(name: str, takes: Takes) -> str:
    plain = "--" + name.lstrip("-" + "".join(_DASHES)).replace("_", "-").lower()
    near = difflib.get_close_matches(plain, takes.flags, 1, 0.5)
    return f"write {near[0]}" if near else f"remove it; there are {', '.join(takes.flags)}"


def _is_size(value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return math.isfinite(number) and 0 < number <= _MOST_GIB
