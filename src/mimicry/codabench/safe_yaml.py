"""YAML from people who may mean harm: parsed safely, and without multiplying."""

from collections.abc import Iterator
from typing import Any

import yaml

LARGEST_MERGE = 10_000
LONGEST_NUMBER = 100
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MERGE = "tag:yaml.org,2002:merge"


def load_yaml(text: str) -> Any:
    """Return what `text` holds as plain Python objects.

    Raises
    ------
    yaml.YAMLError
        When it is not YAML, or its merge keys (``<<``) multiply what it holds.
    ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AttributeError
        For values such as impossible dates, and nesting without end.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if merged_size(node) > LARGEST_MERGE:
            raise yaml.YAMLError("merge keys (`<<`) multiply what it holds")
        refuse_long_numbers(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def refuse_long_numbers(root: yaml.Node) -> None:
    """Refuse numbers of absurd length, which take minutes to read and trip what prints them.

    Raises
    ------
    ValueError
        For the first of them, with its line.
    """
    for node in nodes(root):
        if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
            raise ValueError(
                f"line {node.start_mark.line + 1}: a number of {len(node.value)} characters"
            )


def merged_size(node: yaml.Node) -> int:
    """Return how many pairs the largest mapping has when its merge keys are followed.

    Merging copies pairs, so that nested merges of lists multiply without bound. Every
    other part of a document is as large as its text.
    """
    largest = 0
    known: dict[int, int] = {}
    for here in nodes(node):
        merges = isinstance(here, yaml.MappingNode) and any(k.tag == _MERGE for k, _ in here.value)
        if isinstance(here, yaml.MappingNode) and merges:
            largest = max(largest, _pairs(here, known))
    return largest


def nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every node below `root`, keys too, each once: aliases make a tree a graph."""
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            pending.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)


def _pairs(node: yaml.MappingNode, known: dict[int, int]) -> int:
    if id(node) in known:
        return known[id(node)]
    # A mapping that merges itself is refused as one that multiplies.
    known[id(node)] = LARGEST_MERGE + 1
    count = 0
    for key, value in node.value:
        if key.tag != _MERGE:
            count += 1
            continue
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        count += sum(_pairs(one, known) for one in sources if isinstance(one, yaml.MappingNode))
    known[id(node)] = count
    return count
