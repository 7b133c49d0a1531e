"""A YAML document that knows where each of its keys stands.

The platform answers a malformed competition with the message of an uncaught
exception, and ignores keys that it does not know. Here every complaint names the
file, the line and the key, and says which edit mends it.
"""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mimicry.errors import BundleError

Keys = tuple[str | int, ...]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?")


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
    """

    name: str
    data: Mapping[str, Any]
    node: yaml.Node

    def error(self, keys: Keys, problem: str) -> BundleError:
        """Return a `BundleError` that names the file, the line and the key."""
        where = f"{self.name} line {self._line(keys)}"
        shown = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")
        return BundleError(
            "competition-yaml", f"{where}, {shown}: {problem}" if shown else f"{where}: {problem}"
        )

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
    """One mapping of a document, read key by key with a complaint for each fault."""

    document: Document
    keys: Keys
    data: Mapping[str, Any]

    def error(self, key: str | None, problem: str) -> BundleError:
        """Return a `BundleError` about `key` of this section, or about the section."""
        return self.document.error(self.keys if key is None else (*self.keys, key), problem)

    def known(self, names: Collection[str]) -> None:
        """Refuse every key that is not in `names`; the platform would ignore it in silence."""
        for key in self.data:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, 1, 0.7)
                hint = f"did you mean `{near[0]}`?" if near else "remove it."
                raise self.error(
                    str(key), f"this key is unknown and the platform would ignore it; {hint}"
                )

    def has(self, key: str) -> bool:
        """Tell whether `key` is written, refusing one with an empty value."""
        if key in self.data and self.data[key] is None:
            raise self.error(key, "the key has no value; give one or remove the line.")
        return key in self.data

    def require(self, key: str, example: str) -> Any:
        """Return the value of `key`, or complain with a line to add."""
        if not self.has(key):
            raise self.error(None, f"the key `{key}` is missing; add a line such as `{example}`.")
        return self.data[key]

    def text(self, key: str, example: str, *, limit: int = 256, default: str | None = None) -> str:
        """Return a text of 1 to `limit` characters; required unless there is a default."""
        if default is not None and not self.has(key):
            return default
        value = self.require(key, f"{key}: {example}")
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"this must be a text, for example `{key}: {example}`.")
        if len(value) > limit:
            raise self.error(
                key, f"{len(value)} characters are too long; the platform takes {limit}."
            )
        return value.strip()

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a boolean, `default` when the key is absent."""
        if not self.has(key):
            return default
        value = self.data[key]
        if not isinstance(value, bool):
            raise self.error(key, f"this must be true or false without quotes, not {value!r}.")
        return value

    def count(self, key: str, *, least: int, example: int, required: bool = False) -> int | None:
        """Return a whole number of at least `least`, None when the key is absent."""
        if not required and not self.has(key):
            return None
        value = self.require(key, f"{key}: {example}")
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.error(
                key,
                f"this must be a whole number of at least {least}, for example `{key}: {example}`, "
                f"not {value!r}.",
            )
        return value

    def choice(self, key: str, choices: Collection[str], *, default: str) -> str:
        """Return one of `choices`, `default` when the key is absent."""
        value = self.data[key] if self.has(key) else default
        if value not in choices:
            raise self.error(key, f"{value!r} is unknown; choose one of {', '.join(choices)}.")
        return str(value)

    def moment(self, key: str, *, required: bool) -> datetime | None:
        """Return a date as the platform reads it: UTC, a bare date is its first midnight.

        Quoted ``YYYY-MM-DD HH:MM:SS`` and plain ``YYYY-MM-DD`` are accepted. An unquoted
        time would lose its time of day on the platform, an offset would be dropped and
        other orders of day and month are read by guess: all three are refused.
        """
        if not required and not self.has(key):
            return None
        value = self.require(key, f'{key}: "2026-11-01 00:00:00"')
        wanted = f'write it quoted and in UTC, for example `{key}: "2026-11-01 00:00:00"`.'
        if isinstance(value, datetime):
            raise self.error(key, f"unquoted, this time of day is lost on the platform; {wanted}")
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, str) or not _DATE.fullmatch(value.strip()):
            raise self.error(
                key, f"{value!r} is no date that the platform reads for sure; {wanted}"
            )
        try:
            return datetime.fromisoformat(value.strip()).replace(tzinfo=UTC)
        except ValueError:
            raise self.error(key, f"{value!r} does not exist in the calendar; {wanted}") from None

    def path(self, key: str, example: str) -> PurePosixPath:
        """Return the bundle-relative path under `key`.

        Raises
        ------
        BundleError
            `competition-yaml` for absolute paths, ``..``, backslashes, and names with the
            word "private", which the platform's storage cannot fetch again.
        """
        text = self.text(key, example, limit=1024)
        path = PurePosixPath(text)
        if "\\" in text or path.is_absolute() or ".." in path.parts or ":" in text:
            raise self.error(
                key,
                f"{text!r} must be a path below the bundle's root with `/`: `{key}: {example}`.",
            )
        if "private" in text.lower():
            raise self.error(
                key, f'{text!r} holds the word "private", which the platform\'s storage trips over.'
            )
        return path

    def sections(self, key: str, example: str) -> Iterator["Section"]:
        """Return the mappings of the list under `key`, at least one."""
        value = self.require(key, example)
        if not isinstance(value, list) or not value:
            raise self.error(key, f"this must be a list with at least one entry: `{example}`.")
        for index, item in enumerate(value):
            keys = (*self.keys, key, index)
            if not isinstance(item, dict):
                raise self.document.error(keys, f"this must be a mapping: `{example}`.")
            yield Section(self.document, keys, item)
