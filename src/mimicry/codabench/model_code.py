"""What can be known about a ``model.py`` without running it."""

import ast
import importlib.util
import sys
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
Function = ast.FunctionDef | ast.AsyncFunctionDef

LARGEST_SOURCE = 2 * 1024 * 1024
_METHODS = {"load": 0, "predict": 1, "predict_batch": 1}
_NEEDED = ("load", "predict")
_PLAIN_BASES = {"object", "ABC", "abc.ABC"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found; an ``error`` is sure to fail on the platform."""

    level: Level
    code: str
    sentence: str


def parse_source(name: str, source: bytes) -> ast.Module | Finding:
    """Parse Python source, or return what is wrong with it.

    Code `syntax-error` with the line, or `source-too-large`.
    """
    if len(source) > LARGEST_SOURCE:
        return Finding(
            "warning",
            "source-too-large",
            f"{name} is larger than {LARGEST_SOURCE // 1024**2} MiB; it was not looked at.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, filename=name)
    except SyntaxError as error:
        return Finding(
            "error", "syntax-error", f"{name}, line {error.lineno or 1}: {error.msg}. Mend it."
        )
    except (ValueError, RecursionError, MemoryError, UnicodeError) as error:
        return Finding(
            "error",
            "syntax-error",
            f"{name} is no Python source ({str(error) or type(error).__name__}); save it as text.",
        )


def model_findings(module: ast.Module, shown: str) -> list[Finding]:
    """Return what is wrong or unknown about ``class Model`` and its methods.

    That ``predict_batch`` will be used is told only where nothing stands in its way.
    """
    findings = list(_class_findings(module, shown))
    if any(finding.level == "error" for finding in findings):
        findings = [finding for finding in findings if finding.code != "predict-batch"]
    return findings


def _class_findings(module: ast.Module, shown: str) -> Iterator[Finding]:
    found = _find_class(module)
    if isinstance(found, Finding):
        yield found
        return
    open_ended = bool(
        found.keywords
        or found.decorator_list
        or any(_text(base) not in _PLAIN_BASES for base in found.bases)
    )
    methods = {
        item.name: item
        for item in found.body
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assigned = {name for item in found.body for name in _assigned(item)}
    for name in _NEEDED:
        if name not in methods and name not in assigned:
            yield _absent(name, shown, found.lineno, open_ended=open_ended)
    if "__init__" in methods:
        yield from _signature(methods["__init__"], 0, shown)
    for name, count in _METHODS.items():
        if name in methods:
            yield from _signature(methods[name], count, shown)
    if "predict_batch" in methods:
        yield Finding("note", "predict-batch", "predict_batch is defined and will be used.")
        yield from _batch_size(found, methods.get("__init__"), shown)


def import_findings(
    module: ast.Module, own: Collection[str], expected: Collection[str]
) -> Iterator[Finding]:
    """Yield the modules that are imported first thing and that nothing here provides.

    Parameters
    ----------
    module : ast.Module
        The parsed ``model.py``.
    own : collection of str
        Names of the submission's own modules beside it.
    expected : collection of str
        Names of distributions that would be installed, lower case.
    """
    for name in sorted(_imports(module)):
        if name in sys.stdlib_module_names or name in own or name.lower() in expected:
            continue
        try:
            known = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            known = False
        if not known:
            yield Finding(
                "warning",
                "import-unknown",
                f"model.py imports {name}, which is neither in the submission nor installed "
                "here; name its package in requirements.txt unless the container has it.",
            )


def _find_class(module: ast.Module) -> ast.ClassDef | Finding:
    statements = list(_top_level(module.body))
    classes = [s for s in statements if isinstance(s, ast.ClassDef) and s.name == "Model"]
    if classes:
        return classes[-1]
    for statement in statements:
        if "Model" in _assigned(statement):
            return Finding(
                "note",
                "model-class-elsewhere",
                f"model.py, line {statement.lineno}: Model is assigned or imported; its methods "
                "can only be seen by running it (--smoke).",
            )
    if any("*" in _assigned(statement) for statement in statements):
        return Finding(
            "note",
            "model-class-elsewhere",
            "model.py may get Model from an `import *`; run it with --smoke to see.",
        )
    return Finding(
        "error",
        "no-model-class",
        "model.py defines no class Model at its top level; add `class Model:` with load(self) "
        "and predict(self, image).",
    )


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also inside ``if``, ``try`` and ``with``."""
    waiting = [*reversed(body)]
    while waiting:
        statement = waiting.pop()
        yield statement
        for field in ("finalbody", "orelse", "body"):
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                waiting.extend(reversed(getattr(statement, field, [])))
        for handler in getattr(statement, "handlers", []):
            waiting.extend(reversed(handler.body))


def _assigned(statement: ast.stmt) -> set[str]:
    """Return the names that an assignment or import binds; ``*`` for a star import."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target] if statement.value is not None else []
    return {
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    }


def _absent(name: str, shown: str, line: int, *, open_ended: bool) -> Finding:
    if open_ended:
        return Finding(
            "note",
            "model-method-elsewhere",
            f"{shown}, line {line}: Model must get {name} from its base class or decorator.",
        )
    usage = "load(self)" if name == "load" else "predict(self, image)"
    return Finding(
        "error",
        f"no-{name}",
        f"{shown}, line {line}: class Model has no method {name}; add {usage}.",
    )


def _signature(function: Function, given: int, shown: str) -> Iterator[Finding]:
    """Yield a finding when `function` cannot be called with `given` positional arguments."""
    decorators = {_text(decorator) for decorator in function.decorator_list}
    if decorators - {"staticmethod", "classmethod"}:
        return
    where = f"{shown}, line {function.lineno}: {function.name}"
    if isinstance(function, ast.AsyncFunctionDef):
        yield Finding("error", "async-method", f"{where} is `async`; make it a plain method.")
        return
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    count = given + ("staticmethod" not in decorators)
    least = positional - len(arguments.defaults)
    keywords = [
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    most = None if arguments.vararg else positional
    if least > count or (most is not None and most < count) or keywords:
        wanted = {0: "no argument", 1: "one argument"}[given]
        yield Finding(
            "error",
            "method-arguments",
            f"{where} must take {wanted} besides self, it is called with no other.",
        )


def _batch_size(found: ast.ClassDef, init: Function | None, shown: str) -> Iterator[Finding]:
    for statement in [*found.body, *(ast.walk(init) if init else ())]:
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = {_text(target) for target in targets}
        if not names & {"batch_size", "self.batch_size"} or statement.value is None:
            continue
        try:
            value = ast.literal_eval(statement.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            yield Finding(
                "error",
                "batch-size",
                f"{shown}, line {statement.lineno}: batch_size must be a whole number, 1 or more.",
            )


def _text(node: ast.expr) -> str:
    """Return an expression as text; empty, which no name is, where it is too deep for that."""
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):
        return ""


def _imports(module: ast.Module) -> set[str]:
    names: set[str] = set()
    for statement in module.body:
        if isinstance(statement, ast.Import):
            names |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.add(statement.module.split(".")[0])
    return names
