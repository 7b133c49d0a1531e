"""Parses a competition file, and says why it cannot be parsed."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from mimicry.codabench.reading.document import UNPACK_LOG, Document
from mimicry.codabench.safe_yaml import LARGEST_MERGE, merged_size, nodes, refuse_long_numbers
from mimicry.errors import one_line

# Reading YAML is slow: this much takes seconds.
LARGEST_FILE = 256 * 1024


def read_document(path: Path, name: str) -> Document:
    """Read the file `path`, which messages call `name`, as `parse_document` does."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        document = Document(name, {}, _empty(), readable=False)
        document.fault(
            (),
            "yaml-unreadable",
            f"the file cannot be read ({error.strerror})",
            "",
            "put a readable file there",
            line=0,
        )
        return document
    return parse_document(raw, name)


def parse_document(raw: bytes, name: str) -> Document:
    """Parse bytes as one YAML mapping, safely; raises nothing for what is in them.

    Noted are `yaml-encoding`, `yaml-size`, `yaml-syntax`, `yaml-value`, `yaml-merge`,
    `yaml-no-mapping` (then `Document.readable` is false) and `yaml-duplicate-key`.
    """
    document = Document(name, {}, _empty(), readable=False)
    if len(raw) > LARGEST_FILE:
        document.fault(
            (),
            "yaml-size",
            f"the file is larger than {LARGEST_FILE:,} bytes",
            "Reads it, in so far as its memory holds; no competition needs this much.",
            "move long texts into pages",
            line=0,
        )
        return document
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        document.fault(
            (),
            "yaml-encoding",
            f"the file is not UTF-8 text (byte {error.start})",
            f'"{UNPACK_LOG} ..." with the decoder\'s message.',
            "save it as UTF-8",
            line=raw.count(b"\n", 0, error.start) + 1,
        )
        return document
    if not text.strip():
        document.fault(
            (),
            "yaml-no-mapping",
            "the file is empty and holds no mapping of keys",
            f"\"{UNPACK_LOG} 'NoneType' object has no attribute 'get'\"",
            "begin it with keys such as `version: 2`",
            line=1,
        )
        return document
    try:
        return _parse(text, document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or one_line(str(error), 200)
        document.fault(
            (),
            "yaml-syntax",
            f"this is not valid YAML: {problem}",
            f'"{UNPACK_LOG} ..." with the same message and line.',
            _syntax_edit(problem),
            line=mark.line + 1 if mark is not None else 0,
        )
    except (
        *(ValueError, TypeError, LookupError, ArithmeticError),
        *(RecursionError, AttributeError),
    ) as error:
        # The date 2026-13-45 and the like: YAML by its grammar, no value by its content.
        document.fault(
            (),
            "yaml-value",
            f"the file holds an impossible value: {one_line(str(error), 200)}",
            f'"{UNPACK_LOG} ..." with the same message.',
            "correct it, or quote it if it is meant as text",
            line=0,
        )
    return document


def _syntax_edit(problem: str) -> str:
    if "mapping values" in problem:
        return 'put a value that holds a colon in quotes, as in `title: "Hybrids: 2027"`'
    if "\\t" in problem:
        return "indent that line with spaces; YAML takes no tab there"
    return "check the indentation and the quotes of that line and of the one before"


def _parse(text: str, document: Document) -> Document:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            document.fault(
                (),
                "yaml-no-mapping",
                "the file holds no mapping of keys",
                f'"{UNPACK_LOG} ..." with an exception about a missing attribute.',
                "begin it with keys such as `version: 2`",
                line=1,
            )
            return document
        if merged_size(node) > LARGEST_MERGE:
            document.fault(
                (),
                "yaml-merge",
                "merge keys (`<<`) multiply what the file holds",
                "Reads it, in so far as its time and memory hold.",
                "write the keys out",
                line=0,
            )
            return document
        refuse_long_numbers(node)
        read = Document(document.name, loader.construct_document(node), node)
        for key in _duplicates(node):
            read.fault(
                (),
                "yaml-duplicate-key",
                f"the key `{one_line(key.value, 40)}` stands twice in one mapping",
                "Keeps the last one in silence.",
                "remove one of the two",
                line=key.start_mark.line + 1,
            )
        return read
    finally:
        loader.dispose()


def _empty() -> yaml.MappingNode:
    mark = yaml.Mark("", 0, 0, 0, "", 0)
    return yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)


def _duplicates(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    for node in nodes(root):
        if isinstance(node, yaml.MappingNode):
            keys = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if (key.tag, key.value) in keys:
                        yield key
                    keys.add((key.tag, key.value))
