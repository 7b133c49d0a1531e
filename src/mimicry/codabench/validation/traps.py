"""What a bundle does that the platform takes, and that does not do what is meant."""

import ast
import re
from collections.abc import Iterator

from mimicry.codabench.reading.document import Document
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.data import entries, named_paths
from mimicry.codabench.validation.finding import ERROR, WARNING
from mimicry.codabench.validation.programs import parse_script, read_scripts
from mimicry.codabench.validation.source import MIB, SourceError, crc_of

OURS = re.compile(rb"^from mimicry\.(hybrids|ingestion|realign)\b", re.MULTILINE)
LARGEST_COMPARED = 64 * MIB

_NOT_MOUNTED = {
    "scoring_program": (
        "/app/input_data",
        "Mounts the input data for ingestion alone; scoring finds no such folder.",
        "read what ingestion wrote from /app/input/res, and answers from /app/input/ref",
    ),
    "ingestion_program": (
        "/app/input/ref",
        "Mounts the reference data for scoring alone; ingestion finds no such folder.",
        "read the input data from /app/input_data, and leave the answers to scoring",
    ),
}
_METADATA = "/app/output/metadata"


def check_traps(context: Context, document: Document) -> None:
    """Check paths in scripts, detailed results, and answers that are used in two phases."""
    seen = set[tuple[str, str]]()
    for named in named_paths(context, document):
        if named.role not in _NOT_MOUNTED or (named.path, named.role) in seen:
            continue
        seen.add((named.path, named.role))
        program = _open(context, named.path)
        if program is None:
            continue
        scripts = dict(read_scripts(program))
        for name, source in scripts.items():
            _check_script(context, named.role, f"{named.path}/{name}", source)
        if named.role == "scoring_program":
            _check_detailed(context, document, named.path, program, scripts)
    _check_reuse(context, document)


def _open(context: Context, path: str) -> Dataset | None:
    try:
        return context.dataset(path) if context.tree.kind(path) is not None else None
    except SourceError:
        # Noted where data are looked at.
        return None


def _check_script(context: Context, role: str, shown: str, source: bytes) -> None:
    if b"/app/" not in source:
        return
    folder, platform, mend = _NOT_MOUNTED[role]
    for text, line in _paths(source):
        if text == folder or text.startswith(f"{folder}/"):
            context.notes.add(
                WARNING,
                "script-absent-folder",
                shown,
                f"it names {folder}, which is not there for this program",
                platform,
                mend,
                line=line,
            )
        elif text == _METADATA:
            context.notes.add(
                ERROR,
                "output-metadata",
                shown,
                f"it names {_METADATA}, a file that the worker writes itself",
                'Ends every submission Failed: "Bad or empty zip file" after 3 minutes.'
                if role == "ingestion_program"
                else 'Ends it Failed: "output directory already contains a metadata file".',
                "write the file under another name",
                line=line,
            )


def _paths(source: bytes) -> Iterator[tuple[str, int]]:
    """Yield the texts of a script that may be paths, with their lines."""
    tree = parse_script(source)
    if not isinstance(tree, ast.Module):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            if text.startswith("/app/") and len(text) < 300 and not any(map(str.isspace, text)):
                yield re.sub(r"/{2,}", "/", text).rstrip("/"), node.lineno


def _check_detailed(
    context: Context,
    document: Document,
    path: str,
    program: Dataset,
    scripts: dict[str, bytes],
) -> None:
    """Warn where detailed results are shown, and a program of plain Python writes none."""
    others = (name for name in program.entries if name.endswith((".sh", ".ipynb", ".R", ".jl")))
    python = {name for name in program.entries if name.endswith(".py")}
    if document.data.get("enable_detailed_results") is not True or not scripts:
        return
    if next(others, None) or python - set(scripts):
        return
    text = b"\n".join(scripts.values())
    if b".html" in text.lower() or OURS.search(text):
        return
    context.notes.at(
        document,
        ("enable_detailed_results",),
        "no-detailed-results",
        f"no script of the scoring program {path} names an .html file",
        "Shows an empty page for each submission.",
        "write /app/output/detailed_results.html in scoring, or write "
        "`enable_detailed_results: false`",
        level=WARNING,
    )


def _check_reuse(context: Context, document: Document) -> None:
    """Warn where a later phase is scored with the answers of an earlier one."""
    role = "reference_data"
    tasks = [
        (task.get("index"), context.path(document, ("tasks", n, role), task.get(role)))
        for n, task in entries(document, "tasks")
    ]
    used: dict[object, tuple[int, str]] = {}
    for number, phase in entries(document, "phases"):
        listed = phase.get("tasks")
        mine = [
            path
            for index, path in tasks
            if path is not None
            and isinstance(listed, list)
            and any(type(index) is type(other) and index == other for other in listed)
        ]
        for path in dict.fromkeys(mine):
            content = _content(context, path)
            earlier = used.setdefault(path if content is None else content, (number, path))
            if earlier[0] == number:
                continue
            same = f" ({earlier[1]!r})" if earlier[1] != path else ""
            context.notes.at(
                document,
                ("phases", number, "tasks"),
                "reference-reused",
                f"this phase is scored with {path!r}, the answers of phases[{earlier[0]}]{same}",
                "Takes it: whoever tried models in the earlier phase has tuned them to these "
                "answers.",
                "give the phase a task with reference data of its own",
                level=WARNING,
            )


def _content(context: Context, path: str) -> object:
    """Return what tells the files of a data set from others, None where it is not known."""
    data = _open(context, path)
    if data is None or not data.entries:
        return None
    if sum(entry.size for entry in data.entries.values()) > LARGEST_COMPARED:
        return None
    checks = [(e.size, crc_of(data, name, LARGEST_COMPARED)) for name, e in data.entries.items()]
    return None if any(crc is None for _, crc in checks) else tuple(sorted(checks, key=str))
