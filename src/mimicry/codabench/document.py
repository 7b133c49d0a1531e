"""A YAML document that knows where each of its keys stands.

The platform answers a malformed competition with the message of an uncaught
exception, and ignores keys that it does not know. Here every complaint names the
file, the line and the key, and says which edit mends it. A fault is noted and the
reading goes on with a stand-in for the value, so that all faults are told at once.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from mimicry.errors import BundleError, one_line

Keys = tuple[str | int, ...]

MOST_FAULTS = 20
LONGEST_FAULT = 400
# With the words around it within what an error's sentence holds.
LONGEST_MESSAGE = 1900

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?")
_STAND_IN_DATE = datetime(2000, 1, 1, tzinfo=UTC)


class Fault(NamedTuple):
    """One fault: its line, the keys that it is about, and the whole complaint."""

    line: int
    keys: Keys
    text: str


@dataclass(frozen=True)
class Document:
    """A parsed YAML file.

    Attributes
    ----------
    name : str
        The file as shown in messages, relative to the bundle where possible.
    data : Mapping
        Its content as plain Python objects.
    node : yaml.Node
        Its syntax tree, for line numbers.
    faults : list of Fault
        What was found so far, in the order of finding.
    """

    name: str
    data: Mapping[str, Any]
    node: yaml.Node
    faults: list[Fault] = field(default_factory=list)

    def fault(self, keys: Keys, problem: str, *, missing: str | None = None) -> None:
        """Note a fault with its line and key; each is noted once.

        Parameters
        ----------
        keys : tuple
            The key that the message names.
        problem : str
            What is wrong, and the edit that mends it.
        missing : str, optional
            The key below `keys` that should be there and is not.
        """
        line = self._line(keys)
        shown = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
        where = ", ".join(filter(None, (f"{self.name} line {line}", shown)))
        about = keys if missing is None else (*keys, missing)
        fault = Fault(line, about, f"{where}: {problem}")
        if fault not in self.faults:
            self.faults.append(fault)

    def sound(self, keys: Keys) -> bool:
        """Tell whether no fault was noted at `keys` or below."""
        return not any(fault.keys[: len(keys)] == keys for fault in self.faults)

    def refuse_faults(self) -> None:
        """Raise what was noted, in the order of the file.

        Raises
        ------
        BundleError
            `competition-yaml`, with as many faults as a message holds, at most `MOST_FAULTS`.
        """
        texts = [fault.text for fault in sorted(self.faults, key=lambda fault: fault.line)]
        if len(texts) == 1:
            raise BundleError("competition-yaml", texts[0])
        if not texts:
            return
        sentence, shown = f"{self.name} has {len(texts)} faults.", 0
        for number, text in enumerate(texts[:MOST_FAULTS], 1):
            longer = f"{sentence} ({number}) {one_line(text, LONGEST_FAULT)}"
            if len(longer) > LONGEST_MESSAGE:
                break
            sentence, shown = longer, number
        if shown < len(texts):
            sentence += f" And {len(texts) - shown} more: mend these first."
        raise BundleError("competition-yaml", sentence)

    def _line(self, keys: Keys) -> int:
        node, line = self.node, self.node.start_mark.line
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                found = [pair for pair in node.value if pair[0].value == str(key)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                if not 0 <= key < len(node.value):
                    break
                node = node.value[key]
                line = node.start_mark.line
        return int(line) + 1


def read_document(path: Path, name: str) -> Document:
    """Read `path` as one YAML mapping, safely.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        How messages call it.

    Raises
    ------
    BundleError
        `competition-yaml` when the file is missing, no UTF-8, no YAML, no mapping
        or writes one key twice (the platform would keep the last one in silence).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BundleError("competition-yaml", f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise BundleError(
            "competition-yaml", f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8."
        ) from None
    try:
        node, data = _parse(text, name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise BundleError(
            "competition-yaml",
            f"{name}{line} is not valid YAML: {problem}. Check the indentation (spaces, no tabs) "
            "and the quotes of that line and of the one before.",
        ) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        # The date 2026-13-45 and the like: YAML by its grammar, no value by its content.
        raise BundleError(
            "competition-yaml", f"{name} holds an impossible value: {error}."
        ) from None
    return Document(name, data, node)


def _parse(text: str, name: str) -> tuple[yaml.Node, Mapping[str, Any]]:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise BundleError(
                "competition-yaml",
                f"{name} holds no mapping of keys; it must begin with keys such as `version: 2`.",
            )
        _refuse_duplicates(node, name)
        return node, loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_duplicates(root: yaml.Node, name: str) -> None:
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        # Aliases make the tree a graph, perhaps with loops.
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        raise BundleError(
                            "competition-yaml",
                            f"{name} line {key.start_mark.line + 1}: the key `{key.value}` stands "
                            "twice in one mapping; remove one of the two.",
                        )
                    keys.add(key.value)
                pending.append(value)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)


@dataclass(frozen=True)
class Section:
    """One mapping of a document, read key by key.

    Every reader notes the fault that it finds and returns a stand-in of the right type;
    nothing may be made of the values before `Document.refuse_faults`. What compares
    several values asks `sound` first.
    """

    document: Document
    keys: Keys
    data: Mapping[str, Any]

    def fault(self, key: str | None, problem: str, *, missing: str | None = None) -> None:
        """Note a fault of `key` in this section, or of the section."""
        keys = self.keys if key is None else (*self.keys, key)
        self.document.fault(keys, problem, missing=missing)

    def sound(self, *names: str) -> bool:
        """Tell whether no fault was noted at any of these keys or below."""
        return all(self.document.sound((*self.keys, name)) for name in names)

    def known(self, names: Collection[str]) -> None:
        """Refuse every key that is not in `names`; the platform would ignore it in silence."""
        for key in self.data:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, 1, 0.7)
                hint = f"did you mean `{near[0]}`?" if near else "remove it."
                self.fault(
                    str(key), f"this key is unknown and the platform would ignore it; {hint}"
                )

    def has(self, key: str) -> bool:
        """Tell whether `key` is written with a value, refusing one without."""
        if key in self.data and self.data[key] is None:
            self.fault(key, "the key has no value; give one or remove the line.")
            return False
        return key in self.data

    def require(self, key: str, example: str) -> Any:
        """Return the value of `key`; None after a fault, with a line to add."""
        if not self.has(key) and key not in self.data:
            self.fault(
                None, f"the key `{key}` is missing; add a line such as `{example}`.", missing=key
            )
        return self.data.get(key)

    def text(self, key: str, example: str, *, limit: int = 256, default: str | None = None) -> str:
        """Return a text of 1 to `limit` characters; required unless there is a default."""
        if default is not None and not self.has(key):
            return default
        value = self.require(key, f"{key}: {example}")
        if value is None:
            return example
        if not isinstance(value, str) or not value.strip():
            self.fault(key, f"this must be a text, for example `{key}: {example}`.")
            return example
        if len(value) > limit:
            self.fault(key, f"{len(value)} characters are too long; the platform takes {limit}.")
            return example
        return value.strip()

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean, `default` when the key is absent."""
        if not self.has(key):
            return default
        value = self.data[key]
        if not isinstance(value, bool):
            self.fault(key, f"this must be true or false without quotes, not {value!r}.")
            return default
        return value

    def count(self, key: str, *, least: int, example: int) -> int | None:
        """Return a whole number of at least `least`, None when the key is absent."""
        return self.number(key, least=least, example=example) if self.has(key) else None

    def number(self, key: str, *, least: int, example: int) -> int:
        """Return a whole number of at least `least`; the key is required."""
        value = self.require(key, f"{key}: {example}")
        if value is None:
            return example
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fault(
                key,
                f"this must be a whole number of at least {least}, for example `{key}: {example}`, "
                f"not {value!r}.",
            )
            return example
        return value

    def choice(self, key: str, choices: Collection[str], *, default: str) -> str:
        """Return one of `choices`, `default` when the key is absent."""
        value = self.data[key] if self.has(key) else default
        if value not in choices:
            self.fault(key, f"{value!r} is unknown; choose one of {', '.join(choices)}.")
            return default
        return str(value)

    def moment(self, key: str) -> datetime:
        """Return a date as the platform reads it: UTC, a bare date is its first midnight.

        Quoted ``YYYY-MM-DD HH:MM:SS`` and plain ``YYYY-MM-DD`` are accepted. An unquoted
        time would lose its time of day on the platform, an offset would be dropped and
        other orders of day and month are read by guess: all three are refused.
        """
        value = self.require(key, f'{key}: "2026-11-01 00:00:00"')
        wanted = f'write it quoted and in UTC, for example `{key}: "2026-11-01 00:00:00"`.'
        if value is None:
            return _STAND_IN_DATE
        if isinstance(value, datetime):
            self.fault(key, f"unquoted, this time of day is lost on the platform; {wanted}")
        elif isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif not isinstance(value, str) or not _DATE.fullmatch(value.strip()):
            self.fault(key, f"{value!r} is no date that the platform reads for sure; {wanted}")
        else:
            try:
                return datetime.fromisoformat(value.strip()).replace(tzinfo=UTC)
            except ValueError:
                self.fault(key, f"{value!r} does not exist in the calendar; {wanted}")
        return _STAND_IN_DATE

    def path(self, key: str, example: str) -> PurePosixPath:
        """Return the bundle-relative path under `key`.

        Refused are absolute paths, ``..``, backslashes, and names with the word
        "private", which the platform's storage cannot fetch again.
        """
        text = self.text(key, example, limit=1024)
        path = PurePosixPath(text)
        if "\\" in text or path.is_absolute() or ".." in path.parts or ":" in text:
            self.fault(
                key,
                f"{text!r} must be a path below the bundle's root with `/`: `{key}: {example}`.",
            )
        elif "private" in text.lower():
            self.fault(
                key, f'{text!r} holds the word "private", which the platform\'s storage trips over.'
            )
        return path

    def sections(self, key: str, example: str) -> Iterator["Section"]:
        """Yield the mappings of the list under `key`, which needs at least one entry."""
        value = self.require(key, example)
        if value is None:
            return
        if not isinstance(value, list) or not value:
            self.fault(key, f"this must be a list with at least one entry: `{example}`.")
            return
        for index, item in enumerate(value):
            keys = (*self.keys, key, index)
            if isinstance(item, dict):
                yield Section(self.document, keys, item)
            else:
                self.document.fault(keys, f"this must be a mapping: `{example}`.")
