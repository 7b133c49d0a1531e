"""All cases, and on which engines each is run."""

import importlib
import itertools
import os

from hostile_case import CASES, ENGINES, Case

# What each file is about, as docs/security.md groups them.
GROUPS = {
    "hostile_archives": "zips",
    "hostile_packing": "packing and planted results",
    "hostile_reading": "names, labels, secrets and files",
    "hostile_processes": "processes",
    "hostile_channel": "the channel",
    "hostile_exits": "exits and texts",
    "hostile_floods": "floods",
    "hostile_network": "the network",
    "hostile_scores": "scores",
}
# What these do depends on ingestion alone: each case runs on one engine, in turn.
_IN_TURN = {"hostile_archives", "hostile_packing", "hostile_exits", "hostile_scores"}
# Of those, the ones that meet the engine's own folders and containers.
_ON_EACH = ("command-", "planted-", "honest", "hub-")
EVERYTHING = os.environ.get("MIMICRY_HOSTILE") == "all"

BY_GROUP: dict[str, list[str]] = {}
for module, title in GROUPS.items():
    before = set(CASES)
    importlib.import_module(module)
    BY_GROUP[title] = [name for name in CASES if name not in before]


def in_turn(case: Case) -> bool:
    """Tell whether one engine stands for all."""
    alone = next(title for title, names in BY_GROUP.items() if case.name in names)
    module = next(module for module, title in GROUPS.items() if title == alone)
    special = case.full or case.name.startswith(_ON_EACH) or case.elsewhere
    return module in _IN_TURN and not special and not EVERYTHING


def runs() -> list[tuple[str, str]]:
    """Return pairs of a case's name and an engine; engine by engine, so that failures group."""
    turn = itertools.cycle(ENGINES)
    found = []
    for case in CASES.values():
        once = in_turn(case) and len(case.engines) > 1
        found += [(case.name, engine) for engine in ([next(turn)] if once else case.engines)]
    return sorted(found, key=lambda pair: ENGINES.index(pair[1]))
