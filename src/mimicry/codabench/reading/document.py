"""A YAML document that knows where each of its keys stands.

The platform answers a malformed competition with the message of an uncaught
exception, and ignores keys that it does not know. Here every complaint names the
file, the line and the key, says what the platform would do, and which edit mends it.
A fault is noted and the reading goes on with a stand-in for the value, so that all
faults are told at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import yaml

from mimicry.errors import BundleError, one_line

Keys = tuple[str | int, ...]

ERROR = "error"
"""The platform refuses it, it fails there, or something is lost in silence."""
WARNING = "warning"
"""Works on the platform, but at a risk."""
TOOL = "tool"
"""Fine on the platform; only running, packing and ranking here cannot deal with it."""

UNKNOWN_KEY = "unknown-key"

MOST_FAULTS = 20
LONGEST_FAULT = 400
# With the words around it within what an error's sentence holds.
LONGEST_MESSAGE = 1900
MOST_NOTED = 500
LONGEST_SHOWN = 60

UNPACK_LOG = "Unpacking the bundle failed. Here is the error log:"
"""How the platform begins its message after an exception that nobody caught."""


class Fault(NamedTuple):
    """One fault.

    Attributes
    ----------
    level : {"error", "warning", "tool"}
        See `ERROR`, `WARNING` and `TOOL`.
    code : str
        Stable name in lower-case-with-hyphens.
    line : int
        Line in the file from 1; 0 for the file as a whole.
    keys : tuple
        The key that it is about, also where that key is missing.
    shown : str
        The nearest key that is there, as shown.
    problem, platform, mend : str
        What is wrong; what the platform says, or does in silence; the edit that mends it.
    """

    level: str
    code: str
    line: int
    keys: Keys
    shown: str
    problem: str
    platform: str
    mend: str


@dataclass(frozen=True)
class Document:
    """A parsed YAML file.

    Attributes
    ----------
    name : str
        The file as shown in messages, relative to the bundle where possible.
    data : Mapping
        Its content as plain Python objects; empty when it could not be parsed.
    node : yaml.Node
        Its syntax tree, for line numbers.
    faults : list of Fault
        What was found so far, in the order of finding.
    readable : bool
        Whether there is content to look at.
    """

    name: str
    data: Mapping[str, Any]
    node: yaml.Node
    faults: list[Fault] = field(default_factory=list)
    readable: bool = True

    def fault(
        self,
        keys: Keys,
        code: str,
        problem: str,
        platform: str,
        mend: str,
        *,
        level: str = ERROR,
        missing: str | None = None,
        line: int | None = None,
    ) -> None:
        """Note a fault with its line and key; each is noted once.

        Parameters
        ----------
        keys : tuple
            The key that the message names.
        code, problem, platform, mend, level : str
            See `Fault`.
        missing : str, optional
            The key below `keys` that should be there and is not.
        line : int, optional
            The line, where it is not that of `keys`.
        """
        if self.full:
            return
        about = keys if missing is None else (*keys, missing)
        at = self.line(keys) if line is None else line
        fault = Fault(level, code, at, about, show_keys(keys), problem, platform, mend)
        if fault not in self.faults:
            self.faults.append(fault)

    @property
    def full(self) -> bool:
        """Whether so many faults were noted that no more are."""
        return len(self.faults) >= MOST_NOTED

    def sound(self, keys: Keys, *, depth: int | None = None) -> bool:
        """Tell whether no error was noted at `keys` or below, unknown keys aside.

        With `depth`, errors at paths of more keys than that do not count.
        """
        return not self.full and not any(
            fault.level == ERROR
            and fault.code != UNKNOWN_KEY
            and fault.keys[: len(keys)] == keys
            and (depth is None or len(fault.keys) <= depth)
            for fault in self.faults
        )

    def refuse_faults(self) -> None:
        """Raise what was noted, in the order of the file; warnings are let pass.

        Raises
        ------
        BundleError
            `competition-yaml`, with as many faults as a message holds, at most `MOST_FAULTS`.
        """
        faults = [fault for fault in self.faults if fault.level != WARNING]
        texts = [self._sentence(fault) for fault in sorted(faults, key=lambda fault: fault.line)]
        if len(texts) == 1:
            raise BundleError("competition-yaml", texts[0])
        if not texts:
            return
        sentence, told = f"{self.name} has {len(texts)} faults.", 0
        for number, text in enumerate(texts[:MOST_FAULTS], 1):
            longer = f"{sentence} ({number}) {one_line(text, LONGEST_FAULT)}"
            if len(longer) > LONGEST_MESSAGE:
                break
            sentence, told = longer, number
        if told < len(texts):
            sentence += f" And {len(texts) - told} more: `mimicry validate` tells all."
        raise BundleError("competition-yaml", sentence)

    def line(self, keys: Keys) -> int:
        """Return the line, from 1, of the key `keys` or of the nearest one around it."""
        node, line = self.node, self.node.start_mark.line
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                found = [pair for pair in node.value if pair[0].value == str(key)]
                if not found:
                    break
                line, node = found[-1][0].start_mark.line, found[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                if not 0 <= key < len(node.value):
                    break
                node = node.value[key]
                line = node.start_mark.line
        return int(line) + 1

    def _sentence(self, fault: Fault) -> str:
        line = f"{self.name} line {fault.line}" if fault.line else self.name
        where = f"{line}, {fault.shown}" if fault.shown else line
        return f"{where}: {fault.problem}; {fault.mend}{'' if fault.mend.endswith('?') else '.'}"


def show_keys(keys: Keys) -> str:
    """Return keys as people write them: ``phases[0].end``."""
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")


def shown(value: object) -> str:
    """Return a value of a document in a few words, whatever its size."""
    if isinstance(value, str):
        short = value if len(value) <= LONGEST_SHOWN else value[: LONGEST_SHOWN - 1] + "…"
        return repr(short)
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, (int, float, date)):
        try:
            text = "null" if value is None else str(value)
        except ValueError:
            return "a number of very many digits"
        return text if len(text) <= LONGEST_SHOWN else "a number of very many digits"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "a mapping" if isinstance(value, dict) else f"a value of type {type(value).__name__}"
