"""The fingerprint of an organiser's own code: other code is another model.

Covered, each file with its name:

- of ``file.py:function``: the file, and every ``.py`` file below the registry's folder that
  it imports, also by way of others, at its top or inside its functions;
- of ``package.module:function``: every ``.py`` file of the top-level package. Of one with
  over 500 files or 10 MB: the module's file, and the version of its distribution.
- of ``module:function``: the module's file and what it imports from beside it. Of an
  installed one: its file, and the version of its distribution.

Not covered: data files, compiled code, files that are read and executed by other means than
an import, and other installed libraries.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from mimicry.activations.entries import ModelEntry
from mimicry.activations.sources.custom import module_of
from mimicry.errors import BundleError

MOST_FILES = 500
MOST_BYTES = 10_000_000
_INSTALLED = {"site-packages", "dist-packages"}

# What was loaded counts, not what became of its file since.
_seen: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def code_sha256(entry: ModelEntry, root: Path) -> str | None:
    """Return the SHA-256 over the code of a loaded custom model, None for other sources.

    Which other models were loaded before does not matter. See the head of this module for
    what is covered.

    Parameters
    ----------
    entry : ModelEntry
        Its model was made in this process.
    root : Path
        The registry's folder.

    Raises
    ------
    BundleError
        ``entry-point-failed`` when a file of it cannot be read.
    """
    if entry.entry_point is None:
        return None
    module = module_of(entry, root)
    where = entry.entry_point.rpartition(":")[0]
    top = sys.modules.get(where.partition(".")[0], module)
    own = _file(module)
    try:
        if where.endswith(".py"):
            return _digest(_imported(module, _real(root)), _real(root))
        folders = [_real(Path(folder)) for folder in getattr(top, "__path__", ())]
        if folders:
            files = _bounded(path for folder in folders for path in _below(folder))
            if files is not None:
                return _digest(files, *(folder.parent for folder in folders))
        elif own is not None and not _INSTALLED & set(own.parts):
            return _digest(_imported(module, own.parent), own.parent)
        return _digest([own] if own is not None else [], extra=_distribution(where))
    except OSError as error:
        raise BundleError(
            "entry-point-failed",
            f"{entry.model_name}: the code of the entry point {entry.entry_point} cannot be read "
            f"({error.filename}: {error.strerror}).",
        ) from error


def _digest(files: list[Path], *roots: Path, extra: str = "") -> str:
    modules = _loaded()
    rows = []
    for path in files:
        root = next((root for root in roots if path.is_relative_to(root)), path.parent)
        module = modules.get(path)
        digest = _seen.get(module) if module is not None else None
        if digest is None:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if module is not None:
                _seen[module] = digest
        rows.append(f"{path.relative_to(root).as_posix()}\0{digest}\n")
    text = "".join(sorted(rows)) + extra
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _distribution(name: str) -> str:
    top = name.partition(".")[0]
    found = sorted(set(metadata.packages_distributions().get(top, [])))
    return name + "".join(f"\0{one} {metadata.version(one)}" for one in found)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - _INSTALLED)
        yield from (_real(Path(place, name)) for name in sorted(names) if name.endswith(".py"))


def _bounded(paths: Iterator[Path]) -> list[Path] | None:
    found: dict[Path, None] = {}
    size = 0
    for path in paths:
        if path not in found:
            found[path] = None
            size += path.stat().st_size
        if len(found) > MOST_FILES or size > MOST_BYTES:
            return None
    return list(found)


def _imported(module: ModuleType, base: Path) -> list[Path]:
    """Return a module's file and those below `base` that it imports, by way of others too."""
    modules = _loaded()
    start = _file(module)
    waiting = [start] if start is not None else []
    found: dict[Path, None] = dict.fromkeys(waiting)
    while waiting:
        path = waiting.pop()
        loaded = module if path == start else modules.get(path)
        for one in sorted(_candidates(path, loaded, base)):
            inside = one.is_relative_to(base) and not _INSTALLED & set(one.relative_to(base).parts)
            if inside and one not in found and one.is_file():
                found[one] = None
                waiting.append(one)
    return list(found)


def _candidates(path: Path, module: ModuleType | None, base: Path) -> set[Path]:
    """Return where the modules that a file imports may be."""
    found: set[Path] = set()
    for level, name in _names(path):
        if level:
            parents = [path.parents[min(level, len(path.parents)) - 1]]
        else:
            parents = [path.parent, base]
            if (file := _file(sys.modules.get(name))) is not None:
                found.add(file)
        parts = name.split(".") if name else []
        for parent in parents:
            for end in range(len(parts) + 1):
                place = parent.joinpath(*parts[:end])
                if end or level:
                    found.add(_real(place / "__init__.py"))
                if end:
                    found.add(_real(place.with_name(f"{place.name}.py")))
    # Modules that were loaded by other means, and kept.
    if module is not None:
        found |= {file for one in vars(module).values() if (file := _file(one)) is not None}
    return found


def _names(path: Path) -> set[tuple[int, str]]:
    """Return the modules that a file's text imports, each with its level of dots."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        # It was not imported, then, or was changed since.
        return set()
    found: set[tuple[int, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                found |= {(0, ".".join(parts[:end])) for end in range(1, len(parts) + 1)}
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            found.add((node.level, start))
            found |= {(node.level, f"{start}.{one.name}".lstrip(".")) for one in node.names}
    return found - {(0, "")}


def _loaded() -> dict[Path, ModuleType]:
    return {
        file: module
        for module in tuple(sys.modules.values())
        if (file := _file(module)) is not None
    }


def _file(module: object) -> Path | None:
    """Return a module's source file, None where it has none or is no module."""
    if not isinstance(module, ModuleType):
        return None
    # Straight from its namespace: some modules make attributes up when asked.
    name = vars(module).get("__file__")
    return _real(Path(name)) if isinstance(name, str) and name.endswith(".py") else None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
