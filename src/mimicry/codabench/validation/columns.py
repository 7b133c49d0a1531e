"""Columns of the board against the keys that the scoring programs write.

The keys are known for this project's own programs, and where a program writes a
dictionary that can be read without running it. About others nothing is said.
"""

import ast
import re
from collections.abc import Iterator
from itertools import islice

from mimicry.codabench.model import Competition, Leaderboard
from mimicry.codabench.reading.document import Document
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.data import entries
from mimicry.codabench.validation.finding import WARNING
from mimicry.codabench.validation.programs import parse_script, read_scripts
from mimicry.codabench.validation.source import SourceError

_OURS = re.compile(r"^from mimicry\.hybrids\.program import main\b", re.MULTILINE)
_TASK = re.compile(r"\bmain\(\s*[\"'](\w+)[\"']")
_FOREMOST = "Ranks a submission without this value above all others, where higher is better."


def check_columns(context: Context, document: Document, competition: Competition) -> None:
    """Compare the columns with what the scoring programs of the tasks write."""
    if not document.sound(("leaderboards",)):
        return
    written: dict[str, frozenset[str] | None] = {}
    for index, task in entries(document, "tasks"):
        path = context.path(
            document, ("tasks", index, "scoring_program"), task.get("scoring_program")
        )
        if path is not None and path not in written and context.tree.kind(path) is not None:
            try:
                written[path] = written_keys(context.dataset(path))
            except SourceError:
                written[path] = None
        elif path is None:
            written[f"task {index}"] = None
    _compare(context, document, competition.leaderboard, written)


def _compare(
    context: Context,
    document: Document,
    board: Leaderboard,
    written: dict[str, frozenset[str] | None],
) -> None:
    known = {path: keys for path, keys in written.items() if keys is not None}
    listed = document.data["leaderboards"][0]["columns"]
    columns = {str(column["key"]).strip(): number for number, column in enumerate(listed)}
    computed = {key for key, n in columns.items() if listed[n].get("computation") is not None}
    everything = frozenset[str]().union(*known.values())
    if known and len(known) == len(written):
        for key in columns:
            if key not in everything and key not in computed:
                _never_written(context, document, columns[key], key, everything)
    primary = board.primary.key
    for path, keys in known.items():
        if primary in everything and primary not in keys and primary not in computed:
            context.notes.at(
                document,
                ("leaderboards", 0, "columns", columns[primary], "key"),
                "primary-not-everywhere",
                f"the scoring program {path} does not write the ranking column {primary!r}",
                _FOREMOST,
                f"write `{primary}` in that program, too, or rank by a column that all write",
            )
        for key in sorted(keys & computed):
            context.notes.at(
                document,
                ("leaderboards", 0, "columns", columns[key], "key"),
                "computed-and-written",
                f"the column {key!r} is computed, and {path} writes it, too",
                "Answers 500: the submission gets no entry.",
                "remove `computation` and `computation_indexes`",
            )
        unused = sorted(keys - set(columns))
        if unused:
            context.notes.at(
                document,
                ("leaderboards", 0, "columns"),
                "score-without-column",
                f"the scoring program {path} writes {', '.join(unused[:5])}, which no column shows",
                "Leaves it in the scoring output and shows it nowhere.",
                f"add a column such as `{{title: {unused[0][:36]}, key: {unused[0]}, index: "
                f"{max(c.index for c in board.columns) + 1}, sorting: desc, precision: 4}}`",
                level=WARNING,
            )


def _never_written(
    context: Context, document: Document, number: int, key: str, everything: frozenset[str]
) -> None:
    context.notes.at(
        document,
        ("leaderboards", 0, "columns", number, "key"),
        "column-never-written",
        f"no scoring program writes {key!r}",
        'Shows "n/a" in this column. A ranking column without values ranks nothing.',
        f"name one of the keys that are written: {', '.join(sorted(everything)[:12])}",
    )


def written_keys(program: Dataset) -> frozenset[str] | None:
    """Return the keys that a scoring program writes, None where that cannot be told.

    Told are this project's own programs, and those with one ``json.dump`` of a
    dictionary whose keys all stand in the source.
    """
    scripts = dict(read_scripts(program))
    for source in scripts.values():
        text = source.decode("utf-8", "replace")
        task = _TASK.search(text) if _OURS.search(text) else None
        if task is not None:
            from mimicry.hybrids.tasks import TASKS

            return frozenset(TASKS[task[1]].keys) if task[1] in TASKS else None
    # Of two it cannot be told which is the score file; looking up their keys would be in vain.
    found = list(islice((dump for source in scripts.values() for dump in _dumped(source)), 2))
    return _keys_of(*found[0]) if len(found) == 1 else None


def _dumped(source: bytes) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Yield everything that a script dumps as JSON, with the function or module around it."""
    tree = parse_script(source)
    if not isinstance(tree, ast.Module):
        return
    for scope in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]:
        for node in _own_nodes(scope):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"dump", "dumps"}
                and getattr(node.func.value, "id", None) == "json"
                and node.args
            ):
                yield node.args[0], scope


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    pending = list(ast.iter_child_nodes(scope))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def _keys_of(value: ast.expr, scope: ast.AST) -> frozenset[str] | None:
    if isinstance(value, ast.Dict):
        return _literal_keys(value)
    if not isinstance(value, ast.Name):
        return None
    keys, assigned = set[str](), 0
    for node in _own_nodes(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == value.id:
                    literal = _literal_keys(node.value)
                    if literal is None:
                        return None
                    assigned += 1
                    keys |= literal
                elif isinstance(target, ast.Subscript) and _is(target.value, value.id):
                    key = target.slice
                    if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
                        return None
                    keys.add(key.value)
        elif isinstance(node, ast.Call):
            # update(), or a function that may fill it.
            changed = isinstance(node.func, ast.Attribute) and _is(node.func.value, value.id)
            given = any(_is(argument, value.id) for argument in node.args)
            if changed or (given and not _is_dump(node)):
                return None
        elif isinstance(node, ast.AugAssign) and _is(node.target, value.id):
            return None
    return frozenset(keys) if assigned == 1 else None


def _literal_keys(value: ast.expr) -> frozenset[str] | None:
    if not isinstance(value, ast.Dict):
        return None
    keys = [key.value if isinstance(key, ast.Constant) else None for key in value.keys]
    found = [key for key in keys if isinstance(key, str)]
    return frozenset(found) if len(found) == len(keys) else None


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_dump(node: ast.Call) -> bool:
    shown = {"dump", "dumps", "print"}
    return (getattr(node.func, "attr", None) or getattr(node.func, "id", None)) in shown
