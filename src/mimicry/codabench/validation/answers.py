"""What the reference data of a competition hold, in a form that can be recognised."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from mimicry.codabench.validation.labels import Labels, read_columns
from mimicry.codabench.validation.source import MIB, Source, SourceError

LARGEST_TABLE = 8 * MIB
TABLES_BUDGET = 16 * MIB
MOST_ROWS = 300_000
MOST_COLUMNS = 50
SHORTEST_ROW = 8
SMALLEST_FILE = 24
NEEDLES_PER_TABLE = 4

_TEXT_SUFFIXES = frozenset(
    {"", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".dat", ".lst", ".md", ".yaml"}
    | {".yml", ".xml", ".html", ".labels", ".tab", ".list", ".arff", ".data"}
)
# Files of these kinds are often given to the scorer again, beside the answers.
_SHARED_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".webp", ".bmp", ".wav", ".mp3", ".mp4"}
    | {".md", ".py", ".pdf"}
)
_SHARED_NAMES = ("readme", "license", "licence", "copying", "changelog", "metadata", "__init__")

# Re-Align's reference data hold what its participants choose from beside what is secret.
_RULES = "rules.json"
_CHOICES = frozenset({"registry.json", "catalogue.jsonl"})

_TOKEN = re.compile(r"[^\s,;|\"'{}\[\]()=<>]+")


class Row(NamedTuple):
    """What is said of one item: which tokens stand beside its name."""

    table: str
    tokens: frozenset[str]


@dataclass
class Answers:
    """What the reference data hold.

    Attributes
    ----------
    files : dict
        (size, CRC-32) -> the file's name, shown.
    lines : dict
        Rows of tables, word for word -> the table, shown.
    rows : dict
        An item's name -> its row.
    needles : dict
        Bytes that betray a table -> the table, shown.
    damaged : dict
        A data set's path -> its files that cannot be read.
    labels : Labels
        The columns of the tables, each by itself.
    """

    files: dict[tuple[int, int], str] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    needles: dict[bytes, str] = field(default_factory=dict)
    damaged: dict[str, list[str]] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)

    def sizes(self) -> frozenset[int]:
        """Return the sizes of all files."""
        return frozenset(size for size, _ in self.files)


def collect_answers(references: Mapping[str, Source]) -> Answers:
    """Read reference data sets, by their paths, within bounds."""
    answers, budget = Answers(), TABLES_BUDGET
    for path, source in references.items():
        public = _public_by_design(source)
        for name, entry in source.entries.items():
            if name in public:
                continue
            shown = f"{path}:{name}"
            text = may_be_table(name) and entry.size <= min(LARGEST_TABLE, budget)
            data = None
            if text:
                budget -= entry.size
                try:
                    data = source.read(name, LARGEST_TABLE)
                except SourceError as error:
                    if str(error).startswith("is damaged"):
                        answers.damaged.setdefault(path, []).append(name)
                    continue
            if entry.size >= SMALLEST_FILE and entry.crc is not None:
                answers.files[entry.size, entry.crc] = shown
            elif entry.size >= SMALLEST_FILE and data is not None:
                answers.files[entry.size, _crc(data)] = shown
            decoded = None if data is None else as_text(data)
            if decoded is not None and not _is_shared(name):
                _learn(answers, shown, name, decoded)
    return answers


def _public_by_design(source: Source) -> frozenset[str]:
    """Return the files of reference data that public data repeat: those of a Re-Align board."""
    names = set(source.entries)
    return _CHOICES | {_RULES} if _RULES in names and _CHOICES & names else frozenset()


def may_be_table(name: str) -> bool:
    """Tell whether a file may be a table, by its ending."""
    return PurePosixPath(name).suffix.lower() in _TEXT_SUFFIXES


def may_be_shared(shown: str) -> bool:
    """Tell whether a file is of a kind that input and reference data may rightly share."""
    return PurePosixPath(shown).suffix.lower() in _SHARED_SUFFIXES or _is_shared(shown)


def _is_shared(name: str) -> bool:
    stem = PurePosixPath(name.rpartition(":")[2]).name.lower()
    return stem.startswith(_SHARED_NAMES)


def as_text(data: bytes) -> str | None:
    """Return bytes as text, None where they are none."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:65_536]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheets of an older kind; binary files hold a zero byte as a rule.
        sample = data[:4096]
        odd = sum(byte < 9 or 13 < byte < 32 for byte in sample)
        return data.decode("latin-1") if odd * 50 < len(sample) else None


def records(name: str, text: str) -> Iterator[str]:
    """Yield one line for each record of a text, also where it is JSON in one line."""
    if text.lstrip()[:1] in {"{", "["} and len(text) <= LARGEST_TABLE:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            yield from _of_mapping(content)
            return
        if isinstance(content, list):
            for item in content[:MOST_ROWS]:
                yield _flat(item)
            return
    yield from text.splitlines()[:MOST_ROWS]


def tokens_of(line: str) -> list[str]:
    """Return the words of a line, whatever separates them."""
    return [token.rstrip(":") for token in _TOKEN.findall(line[:2000])]


def _of_mapping(content: dict[str, object]) -> Iterator[str]:
    values = list(content.values())
    columns = [value for value in values if isinstance(value, list)]
    even = len(columns) == len(values) and len({len(column) for column in columns}) == 1
    if even and len(values) < MOST_COLUMNS:
        # Perhaps columns: {"filename": [...], "label": [...]}.
        for row in zip(*columns, strict=True):
            yield _flat(list(row))
    for key, value in list(content.items())[:MOST_ROWS]:
        yield f"{key} {_flat(value)}"
        if isinstance(value, (dict, list)) and len(values) < 10:
            for item in list(value.values() if isinstance(value, dict) else value)[:MOST_ROWS]:
                if isinstance(item, (dict, list)):
                    yield _flat(item)
            if isinstance(value, dict):
                yield from (f"{k} {_flat(v)}" for k, v in list(value.items())[:MOST_ROWS])


def _flat(item: object, depth: int = 0) -> str:
    if isinstance(item, dict) and depth < 4:
        return " ".join(_flat(value, depth + 1) for value in list(item.values())[:200])
    if isinstance(item, list) and depth < 4:
        return " ".join(_flat(value, depth + 1) for value in item[:200])
    return str(item)[:500]


def _learn(answers: Answers, shown: str, name: str, text: str) -> None:
    rows = list(records(name, text))
    lines = [line.strip().rstrip(",") for line in rows]
    header = lines[0] if lines else ""
    column = _name_column(header)
    # Records of JSON begin with their item as a rule; tables need their empty cells.
    table = rows[1:] if column is None and _looks_like_header(lines) else rows
    answers.labels.learn(read_columns(shown, "\n".join(table), column))
    body = lines[1:] if column is not None or _looks_like_header(lines) else lines
    exact = [line for line in body if _tells_much(line)]
    counts: dict[str, int] = {}
    for line in exact:
        counts[line] = counts.get(line, 0) + 1
    unique = [line for line in exact if counts[line] == 1]
    for line in unique:
        answers.lines.setdefault(line, shown)
    step = max(1, len(unique) // NEEDLES_PER_TABLE)
    for line in [*unique[::step][:NEEDLES_PER_TABLE], *([header] if len(header) >= 16 else [])]:
        for encoding in ("utf-8", "utf-16-le"):
            answers.needles.setdefault(line.encode(encoding, "replace"), shown)
    for line in body:
        tokens = tokens_of(line)
        at = column or 0
        if len(tokens) > max(at, 1) and len(tokens[at]) >= 2:
            beside = frozenset(tokens[:at] + tokens[at + 1 :])
            answers.rows.setdefault(tokens[at], Row(shown, beside))


def _name_column(header: str) -> int | None:
    try:
        cells = next(csv.reader(io.StringIO(header)), [])
    except csv.Error:
        return None
    if len(cells) < 2:
        cells = header.split("\t")
    wanted = {"filename", "file_name", "file", "image", "name", "id", "image_id", "path", "key"}
    for number, cell in enumerate(cells):
        if cell.strip().lower() in wanted and len(cells) > 1:
            return number
    return None


def _looks_like_header(lines: list[str]) -> bool:
    if len(lines) < 3:
        return False
    digits = [any(character.isdigit() for character in line) for line in lines[:3]]
    return digits == [False, True, True]


def _tells_much(line: str) -> bool:
    """Tell whether a line is unlikely to stand elsewhere by chance."""
    if len(line) < SHORTEST_ROW or len(tokens_of(line)) < 2:
        return False
    return len(line) >= 16 or (
        any(character.isalpha() for character in line)
        and any(character.isdigit() for character in line)
    )


def _crc(data: bytes) -> int:
    import zlib

    return zlib.crc32(data)
