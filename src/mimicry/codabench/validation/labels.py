"""Labels that stand beside the names of items, in whatever words.

The reference data give each name some values. A text, or the names of folders, that
sorts the names in the same way tells these values, whatever it calls them. How
unlikely that is by chance is measured in bits, so that scores of a sample submission,
which sort nothing, are no finding.
"""

import csv
import heapq
import io
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

MOST_VALUES = 20
MOST_COLUMNS = 20
MOST_KNOWN = 100
MOST_RUNS = 500
MOST_TOKENS = 2_000_000
FEWEST_NAMES = 8
REACH = 12
# Bits below which a match may be chance: the same words for all names, other words for
# all names, some of the names, folders (whose names have many parts).
LEAST_SAME, LEAST_ALL, LEAST_SOME, LEAST_FOLDERS = 2.5, 4.0, 6.0, 6.0

_TOKEN = re.compile(r"[^\s,;|\"'`{}\[\]()=<>:\\]+")
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,4}$")
_PARTS = re.compile(r"[_\-. ]+")
# Values of a column that answers a yes-or-no question.
_NO = frozenset({"0", "no", "n", "false", "f", "pure", "parent", "negative", "non", "none"})
_YES = frozenset({"1", "yes", "y", "true", "t", "hybrid", "hybrids", "positive"})


class Column(NamedTuple):
    """One column of a table: the value of each name, and whether it is a yes-or-no answer."""

    table: str
    title: str
    values: Mapping[str, str]
    binary: bool


class Told(NamedTuple):
    """That something tells a column: how many names, and of how many."""

    column: Column
    names: int


def read_columns(shown: str, text: str, name_at: int | None) -> list[Column]:
    """Return the columns of a table that sort its names into few groups."""
    rows = _cells(text)
    if len(rows) < 3:
        return []
    header = rows[0] if name_at is not None else []
    at = name_at or 0
    body = [row for row in (rows[1:] if header else rows) if len(row) > at and row[at].strip()]
    width = min(max((len(row) for row in body), default=0), MOST_COLUMNS)
    columns = []
    for number in (n for n in range(width) if n != at):
        values = {
            name_key(row[at]): _value(row[number])
            for row in body
            if len(row) > number and row[number].strip()
        }
        kinds = set(values.values())
        if 2 <= len(kinds) <= min(MOST_VALUES, max(2, len(values) // 2)):
            title = header[number].strip()[:60] if len(header) > number else f"column {number + 1}"
            columns.append(Column(shown, title, values, _is_binary(kinds)))
    return columns


# Texts repeat their words.
@lru_cache(maxsize=65536)
def name_key(name: str) -> str:
    """Return a name without folders, case and ending."""
    base = name.strip().strip("'\"").replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    stem = _SUFFIX.sub("", base)
    # A short number stands everywhere: only with its ending it is a name.
    return base if len(stem) < 2 or (stem.isdigit() and len(stem) < 4) else stem


class Labels:
    """The columns of all reference tables, and who stands in them."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.names: dict[str, list[int]] = {}

    def learn(self, columns: Iterable[Column]) -> None:
        """Take over the columns of a table, those that are known already aside."""
        for column in columns:
            if len(self.columns) >= MOST_KNOWN:
                return
            if any(c.title == column.title and c.values == column.values for c in self.columns):
                continue
            for name in column.values:
                self.names.setdefault(name, []).append(len(self.columns))
            self.columns.append(column)

    def told_in(self, text: str) -> Told | None:
        """Return what a text tells by the words beside names, or by a list of names."""
        if not self.names:
            return None
        stream = self._stream(text)
        if not any(is_name for _, is_name in stream):
            return None
        beside = _beside(stream)
        for slot in sorted(beside, key=abs):
            told = self._sorted_alike(beside[slot])
            if told is not None:
                return told
        return self._listed(stream)

    def told_by_paths(self, paths: Iterable[str]) -> Told | None:
        """Return what the folders of files, or the first or last parts of their names, tell."""
        slots: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for path in paths:
            folder, _, base = path.replace("\\", "/").rpartition("/")
            for name, first, last in self._named(base):
                slots["folder"].append((name, folder))
                slots["parent"].append((name, folder.rpartition("/")[2]))
                slots["first"].append((name, first))
                slots["last"].append((name, last))
        for pairs in slots.values():
            told = self._sorted_alike(pairs, least=LEAST_FOLDERS)
            if told is not None:
                return told
        return None

    def _named(self, base: str) -> Iterator[tuple[str, str, str]]:
        key = name_key(base)
        parts = _PARTS.split(_SUFFIX.sub("", base.lower()))
        if key in self.names:
            yield key, parts[0], parts[-1]
        elif len(parts) > 1:
            stem = _SUFFIX.sub("", base.lower())
            without_first = stem[len(parts[0]) :].lstrip("_-. ")
            without_last = stem[: len(stem) - len(parts[-1])].rstrip("_-. ")
            if without_first in self.names:
                yield without_first, parts[0], ""
            elif without_last in self.names:
                yield without_last, "", parts[-1]

    def _stream(self, text: str) -> list[tuple[str, bool]]:
        found = []
        for number, match in enumerate(_TOKEN.finditer(text)):
            if number >= MOST_TOKENS:
                break
            token = match[0]
            key = name_key(token) if len(token) < 300 else ""
            if key in self.names:
                found.append((key, True))
            elif any(map(str.isalnum, token[:300])):
                found.append((_value(token[:60]), False))
        return found

    def _sorted_alike(
        self, pairs: Collection[tuple[str, str]], least: float | None = None
    ) -> Told | None:
        if len({token for _, token in pairs}) < 2:
            return None
        sorting = self._consistent(pairs)
        for number in sorted(sorting):
            column = self.columns[number]
            mine = [pair for pair in pairs if pair[0] in column.values]
            if (column.binary or least is None) and _tells(column, mine, least):
                return Told(column, len({name for name, _ in mine}))
        return None

    def _consistent(self, pairs: Collection[tuple[str, str]]) -> set[int]:
        """Return the columns of which no token stands beside names of two values."""
        seen: dict[tuple[int, str], str] = {}
        refuted = set[int]()
        for name, token in pairs:
            for number in self.names[name]:
                if number not in refuted:
                    value = self.columns[number].values[name]
                    if seen.setdefault((number, token), value) != value:
                        refuted.add(number)
            if len(refuted) == len(self.columns):
                break
        return {number for number, _ in seen} - refuted

    def _listed(self, stream: list[tuple[str, bool]]) -> Told | None:
        runs, run = [], set[str]()
        everyone = {token for token, is_name in stream if is_name}
        for token, is_name in stream:
            if is_name:
                run.add(token)
            elif run:
                runs.append(run)
                run = set()
        runs = heapq.nlargest(MOST_RUNS, [everyone, run, *runs], key=len)
        for column in (column for column in self.columns if column.binary):
            kinds = Counter(column.values.values())
            if _bits(kinds) < LEAST_ALL:
                continue
            groups: dict[str, set[str]] = defaultdict(set)
            for name, value in column.values.items():
                groups[value].add(name)
            for found in runs:
                if len(found) < max(2, min(kinds.values())):
                    continue
                mine = {name for name in found if name in column.values}
                if any(mine == group for group in groups.values()):
                    return Told(column, len(mine))
        return None


def _tells(column: Column, pairs: list[tuple[str, str]], least: float | None) -> bool:
    value_of: dict[str, str] = {}
    for name, token in pairs:
        value = column.values[name]
        if value_of.setdefault(token, value) != value:
            return False
    names = {name for name, _ in pairs}
    kinds = Counter(column.values[name] for name in names)
    if len(kinds) < 2 or len(value_of) < 2:
        return False
    everyone = len(names) == len(column.values)
    if not everyone and len(names) < FEWEST_NAMES:
        return False
    same = all(token == value for token, value in value_of.items())
    # As many ways to call the values by these words as chance has.
    bits = _bits(kinds) - (0 if same else len(value_of) * math.log2(len(kinds)))
    if least is None:
        least = LEAST_SOME if not everyone else LEAST_SAME if same else LEAST_ALL
    return bits >= least


def _bits(kinds: Counter[str]) -> float:
    """Return how many bits it takes to say which name has which value, their counts known."""
    ways = math.lgamma(sum(kinds.values()) + 1) - sum(math.lgamma(n + 1) for n in kinds.values())
    return ways / math.log(2)


def _beside(stream: list[tuple[str, bool]]) -> dict[int, list[tuple[str, str]]]:
    """Return the tokens beside names, by how far they stand from them."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    last: int | None = None
    for at, (token, is_name) in enumerate(stream):
        if is_name:
            start = max(0 if last is None else last + 1, at - REACH)
            for before in range(start, at):
                found[before - at].append((token, stream[before][0]))
            last = at
        elif last is not None and at - last <= REACH:
            found[at - last].append((stream[last][0], token))
    return found


def _cells(text: str) -> list[list[str]]:
    head = text[:2000].splitlines()[:1]
    if not head or text.lstrip()[:1] in {"{", "["}:
        return [_TOKEN.findall(line) for line in text.splitlines()]
    separator = max(",;\t|", key=head[0].count)
    if not head[0].count(separator):
        return [line.split() for line in text.splitlines()]
    try:
        return list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error:
        return []


def _value(token: str) -> str:
    """Return a value in one notation: ``1.0`` as ``1``, ``True`` as ``true``."""
    text = token.strip().strip("'\"").lower()
    try:
        number = float(text) if len(text) < 30 else math.nan
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number == int(number) else text


def _is_binary(kinds: set[str]) -> bool:
    def answer(value: str) -> bool | None:
        if value in _YES:
            return True
        return False if value in _NO or value.startswith("non") else None

    return len(kinds) == 2 and {answer(value) for value in kinds} == {True, False}
