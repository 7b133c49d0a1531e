"""Reads the tasks of a competition file."""

from collections.abc import Hashable
from pathlib import Path

from mimicry.codabench.model import Task
from mimicry.codabench.reading.document import TOOL, shown
from mimicry.codabench.reading.known_keys import TASK_KEYS, TASK_PATHS
from mimicry.codabench.reading.section import NULL_PATH, Section, is_uuid

SCORING_PREFIX = "scoring_program_"

FILE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("csv", "tsv", "txt", "json", "jsonl", "yaml", "yml", "xml", "md", "pdf"),
        *("npy", "h5", "hdf5", "pkl", "pickle", "parquet", "feather", "mat", "db"),
        *("tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar"),
        *("png", "jpg", "jpeg", "tif", "tiff", "gif", "webp", "bmp", "wav", "mp4"),
    )
)
"""Endings of plain files; a folder's name may hold a point, and an .npz is a zip."""

_NO_TASKS = 'Refuses the bundle: "No tasks listed in this competition"'
_LATE = (
    "Unpacks it; then every submission blocks a worker for about 3 minutes and ends Failed, with "
    '"Bad or empty zip file".'
)


def read_tasks(top: Section, bundle: Path) -> dict[Hashable, Task]:
    """Return the tasks by index, in the order in which the platform runs them.

    The platform takes any index that YAML can write and tells ``0`` from ``"0"``; so do
    the keys here. Faults are noted in the document.
    """
    tasks: dict[Hashable, Task] = {}
    example = "tasks: [{index: 0, name: All, scoring_program: scoring_program_all}]"
    for section in top.sections("tasks", example, _NO_TASKS, empty=_NO_TASKS):
        section.known(TASK_KEYS, "task")
        index = _read_index(section, tasks)
        if "key" in section.data:
            _check_key(section)
            continue
        name = section.text("name", "Species A")
        section.text("description", "", limit=100_000, default="")
        section.require(
            "scoring_program",
            "scoring_program: scoring_program_hybrid",
            f'Refuses the bundle: "ERROR: Task "{name[:60]}" does not have a scoring program"',
            null=NULL_PATH,
        )
        if section.flag("ingestion_only_during_scoring", default=False):
            section.fault(
                "ingestion_only_during_scoring",
                "ingestion-during-scoring",
                "this mode does not work",
                "Runs the scoring program to its end and only then starts ingestion; a scorer that "
                "waits for it waits in vain.",
                "remove the line",
            )
        paths = {key: _read_path(section, key, bundle) for key in TASK_PATHS}
        scoring = paths["scoring_program"] or bundle
        tasks[_typed(index)] = Task(
            index=index if isinstance(index, int) else len(tasks),
            name=name,
            key=scoring.name.removeprefix(SCORING_PREFIX),
            input_data=paths["input_data"],
            reference_data=paths["reference_data"],
            ingestion_program=paths["ingestion_program"],
            scoring_program=scoring,
        )
    return tasks


def find_task(tasks: dict[Hashable, Task], index: object) -> Task | None:
    """Return the task that the platform would find under `index`, None without one."""
    return tasks.get(_typed(index)) if isinstance(index, Hashable) else None


def known_indexes(top: Section) -> str:
    """Return the indexes of all tasks, to be shown."""
    tasks = top.data.get("tasks")
    listed = tasks if isinstance(tasks, list) else []
    return ", ".join(shown(t.get("index")) for t in listed[:20] if isinstance(t, dict)) or "none"


def _typed(index: object) -> Hashable:
    # 0, "0", 0.0 and false: the platform tells apart what Python's hashes do not.
    return (type(index).__name__, index)


def _read_index(section: Section, tasks: dict[Hashable, Task]) -> Hashable:
    name = section.data.get("name")
    called = name[:60] if isinstance(name, str) else "X"
    index: object = section.require(
        "index", "index: 0", f'Refuses the bundle: "ERROR: No index for task: {called}"'
    )
    if index is None:
        return 0
    if not isinstance(index, Hashable):
        section.fault(
            "index",
            "task-index",
            f"{shown(index)} cannot be an index",
            "Fails with an exception.",
            "write a whole number, `index: 0`",
        )
        return 0
    if find_task(tasks, index) is not None:
        section.fault(
            "index",
            "task-index-twice",
            f"two tasks have the index {shown(index)}",
            f'Refuses the bundle: "ERROR: Duplicate task indexes. Index: {shown(index)}"',
            "number them anew",
        )
    elif isinstance(index, bool) or not isinstance(index, int) or index < 0:
        section.fault(
            "index",
            "task-index-type",
            f"here an index is a whole number of at least 0, not {shown(index)}",
            "Takes it, and compares it by type.",
            "write `index: 0`, and the same in the phase",
            level=TOOL,
        )
    return index


def _check_key(section: Section) -> None:
    if not is_uuid(section.data["key"]):
        section.fault(
            "key",
            "task-key",
            f"{shown(section.data['key'])} is not the key of a task",
            "Refuses the bundle, since it finds no task with that key.",
            "copy the task's UUID from its page, or describe the task here",
        )
        return
    others = [key for key in section.data if key not in ("index", "key")]
    if others:
        section.warn(
            "key",
            "task-key-and-more",
            f"with `key` the task is one that exists; {shown(str(others[0]))} says nothing more",
            "Uses the existing task as it is.",
            "leave `index` and `key` alone, or remove `key`",
        )
    section.fault(
        "key",
        "task-elsewhere",
        "the task lies on a server and not in this bundle",
        "Uses the task that it has under this key.",
        "describe the task here to run or pack it",
        level=TOOL,
    )


def _read_path(section: Section, key: str, bundle: Path) -> Path | None:
    data = key.endswith("_data")
    if key not in section.data:
        return None
    if key == "scoring_program" and section.data[key] is None:
        return None
    if is_uuid(section.data[key]):
        section.warn(
            key,
            "dataset-by-key",
            "this is the key of something on one server, which cannot be checked here",
            'Looks it up there; without it, "Cannot find <type> with key: "<uuid>"".',
            "put the files into the bundle and name them",
        )
        section.fault(
            key,
            "dataset-elsewhere",
            "the files lie on a server and not in this bundle",
            "Uses what it has under this key.",
            "put the files into the bundle to run or pack it",
            level=TOOL,
        )
        return None
    relative = section.path(key, f"{key}/val.zip" if data else key)
    if not section.sound(key):
        return bundle / "?"
    if data and relative.suffix.lower() in FILE_SUFFIXES:
        section.fault(
            key,
            "data-bare-file",
            f"{str(relative)!r} must be a .zip or a folder: a bare file breaks the worker",
            _LATE,
            f"zip the file by itself and write `{key}: {relative.with_suffix('.zip')}`",
        )
    return bundle / relative
