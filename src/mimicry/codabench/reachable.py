"""Which modules of the package a program's scripts can reach, found without running any.

The platform's container does not hold the package: packing puts the reachable part
of it beside the entry script, so that a program is complete by itself.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeGuard

from mimicry.errors import BundleError

PACKAGE = "mimicry"

_Reference = ast.Import | ast.ImportFrom | ast.Constant


class Reachable(NamedTuple):
    """What the scripts of a program need.

    Attributes
    ----------
    modules : tuple of str
        Files of the package relative to its folder, with ``/``, sorted. Empty when
        the scripts do not import the package.
    imported : frozenset of str
        Top-level names of everything else that the scripts or these modules import,
        the standard library among them.
    """

    modules: tuple[str, ...]
    imported: frozenset[str]


def package_folder() -> Path:
    """Return the folder of the `mimicry` package that is running now."""
    return Path(__file__).resolve().parent.parent


def reachable_modules(program: Path, package: Path | None = None) -> Reachable:
    """Follow the imports of all Python files below `program` through the package.

    Imports at any depth of the code count, except under ``if TYPE_CHECKING``; so do
    relative imports, submodules named in ``from mimicry.x import y``, the packages
    around a module, and texts that are a module's full name (as in
    ``python -m mimicry.x`` or ``import_module("mimicry.x")``).

    Parameters
    ----------
    program : Path
        The program's folder.
    package : Path, optional
        The package's folder, the running one by default.

    Raises
    ------
    BundleError
        `program-syntax` when a file is no Python, `program-import` when it imports a
        module that the package does not have.
    """
    root = package if package is not None else package_folder()
    found: dict[str, Path] = {}
    imported: set[str] = set()
    pending: list[tuple[Path, str, str | None]] = [
        (path, f"{program.name}/{path.relative_to(program).as_posix()}", None)
        for path in sorted(program.rglob("*.py"))
        if "__pycache__" not in path.parts
    ]
    while pending:
        path, shown, module = pending.pop()
        for needed in _imports(path, shown, module, root, imported):
            for name in _with_parents(needed):
                if name not in found:
                    found[name] = file = _module_file(root, name) or root / "?"
                    relative = file.relative_to(root).as_posix()
                    pending.append((file, f"{PACKAGE}/{relative}", name))
    files = sorted(path.relative_to(root).as_posix() for path in found.values())
    return Reachable(tuple(files), frozenset(imported))


def _imports(
    path: Path, shown: str, module: str | None, root: Path, imported: set[str]
) -> Iterator[str]:
    """Yield the package's modules that one file needs; note the others in `imported`."""
    for node in _references(path.read_bytes(), shown):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    yield _existing(root, alias.name, shown, node.lineno)
                else:
                    imported.add(alias.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, path)
            if base is None:
                continue
            if not _is_ours(base):
                imported.add(base.partition(".")[0])
                continue
            yield _existing(root, base, shown, node.lineno)
            for alias in node.names:
                if _module_file(root, f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}"
        elif _module_file(root, str(node.value)):
            yield str(node.value)


# Every run stages the same programs, and looks once more at them for its record.
@lru_cache(maxsize=1024)
def _references(source: bytes, shown: str) -> tuple[_Reference, ...]:
    """Return a file's imports, and its texts that may be a module's full name."""
    try:
        tree = ast.parse(source, shown)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise BundleError(
            "program-syntax",
            f"{shown}{f' line {line}' if line else ''} is not valid Python: "
            f"{getattr(error, 'msg', None) or error}.",
        ) from None
    return tuple(node for node in _runtime_nodes(tree) if _may_refer(node))


def _may_refer(node: ast.AST) -> TypeGuard[_Reference]:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.startswith(f"{PACKAGE}.")
    return isinstance(node, ast.Import | ast.ImportFrom)


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _base(node: ast.ImportFrom, module: str | None, path: Path) -> str | None:
    """Return the absolute name behind ``from``; None for a script's own relative import."""
    if node.level == 0:
        return node.module
    if module is None:
        return None
    parts = module.split(".")
    # Inside a package's __init__ one dot is the package itself.
    drop = node.level - 1 if path.name == "__init__.py" else node.level
    parts = parts[: len(parts) - drop]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def _module_file(root: Path, name: str) -> Path | None:
    parts = name.split(".")[1:]
    if not all(part.isidentifier() for part in parts):
        return None
    base = root.joinpath(*parts)
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    file = base.with_name(f"{base.name}.py")
    return file if parts and file.is_file() else None


def _existing(root: Path, name: str, shown: str, line: int) -> str:
    if _module_file(root, name) is None:
        raise BundleError(
            "program-import",
            f"{shown} line {line} imports {name}, which the package does not have; "
            "correct the name.",
        )
    return name
