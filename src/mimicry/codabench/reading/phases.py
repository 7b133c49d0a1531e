"""Reads the phases of a competition file."""

import difflib
from collections.abc import Hashable
from datetime import datetime
from pathlib import Path

from mimicry.codabench.model import Phase, Task, slug
from mimicry.codabench.reading.dates import read_moment
from mimicry.codabench.reading.document import TOOL, UNPACK_LOG, WARNING, shown
from mimicry.codabench.reading.known_keys import PHASE_KEYS
from mimicry.codabench.reading.phase_order import MIGRATE, check_names, check_order, check_unused
from mimicry.codabench.reading.section import Section, is_uuid
from mimicry.codabench.reading.tasks import find_task, known_indexes

DEFAULT_QUEUE_CAP = 600
"""Seconds that the platform's default queue allows at most, and takes without a limit."""
LONGEST_STEM = 35
"""Characters of a stored file's name, without its ending."""
DEFAULT_QUOTAS = {"max_submissions_per_day": 5, "max_submissions": 100}

_DEFAULT_LIMIT = f"Takes {DEFAULT_QUEUE_CAP} s in silence."


def read_phases(
    top: Section, tasks: dict[Hashable, Task], bundle: Path | None = None
) -> tuple[Phase, ...]:
    """Return the phases in the order of their indexes.

    Faults are noted in the document. What phases say of tasks, or of each other, is
    checked where the values compared have no fault of their own.
    """
    found = []
    tasks_sound = _indexes_sound(top)
    sections = top.sections(
        "phases",
        "phases: [{index: 0, name: Development, tasks: [0]}]",
        f'"{UNPACK_LOG} ..." with an exception.',
        empty=f'"{UNPACK_LOG} list index out of range"',
    )
    for section in sections:
        section.known(PHASE_KEYS, "phase")
        found.append((_read_phase(top, section, tasks, bundle, comparable=tasks_sound), section))
    found.sort(key=lambda pair: pair[0].index)
    if all(section.sound("index") for _, section in found):
        for number, (phase, section) in enumerate(found):
            check_order(found[number - 1] if number else None, phase, section)
    check_names([section for _, section in found])
    check_unused(top, [section for _, section in found], sound=tasks_sound)
    slugs = [phase.slug for phase, section in found if section.sound("name")]
    if "" in slugs or len(set(slugs)) < len(slugs):
        top.fault(
            "phases",
            "phase-names",
            "every phase needs a name of its own, with letters or digits",
            "Takes them; `mimicry run` and `mimicry pack` could not tell them apart.",
            "rename one of them",
            level=TOOL,
        )
    return tuple(phase for phase, _ in found)


def _read_phase(
    top: Section,
    section: Section,
    tasks: dict[Hashable, Task],
    bundle: Path | None,
    *,
    comparable: bool,
) -> Phase:
    index = _read_index(section)
    limit = _read_limit(top, section)
    start = read_moment(section, "start")
    # Without a value the phase is endless, as without the key.
    end = read_moment(section, "end") if section.data.get("end") is not None else None
    if end is not None and section.sound("start", "end") and end <= start:
        section.fault(
            "end",
            "phase-ends-early",
            "the phase ends before it has begun, or at that moment",
            "Takes it in silence: a phase without time. A plain date is its first midnight.",
            f'write a date after the start, `end: "{start:%Y-%m-%d} 23:59:00"` or later',
        )
    elif end is not None and section.sound("start", "end"):
        _check_midnight(section, end)
    name = section.text("name", "Development")
    phase = Phase(
        index=index,
        name=name,
        slug=slug(name),
        description=section.text("description", "", limit=100_000, default=""),
        start=start,
        end=end,
        tasks=_phase_tasks(top, section, tasks, comparable=comparable),
        execution_time_limit=limit,
        auto_migrate=section.flag(MIGRATE, default=False),
        max_submissions_per_day=_read_quota(section, "max_submissions_per_day"),
        max_submissions=_read_quota(section, "max_submissions"),
        hide_output=section.flag("hide_output", default=False),
        hide_prediction_output=section.flag("hide_prediction_output", default=False),
        hide_score_output=section.flag("hide_score_output", default=False),
        public_data=_read_download(section, "public_data", bundle),
        starting_kit=_read_download(section, "starting_kit", bundle),
    )
    if any(task.ingestion_program for task in phase.tasks) and not (
        phase.hide_prediction_output or phase.hide_output
    ):
        section.warn(
            None,
            "predictions-open",
            "participants can download the prediction output, and with it what their code wrote "
            "there while it saw the input data",
            "Offers the zip to its participant.",
            "add `hide_prediction_output: true`",
        )
    if phase.hide_score_output and not phase.hide_output:
        section.warn(
            "hide_score_output",
            "hides-little",
            "this hides the scoring output as a zip and nothing else",
            "Still shows scores, leaderboard, logs and detailed results.",
            "add `hide_output: true` for the logs; keep scores secret by not running them, "
            "`auto_run_submissions: false`",
        )
    return phase


def _check_midnight(section: Section, end: datetime) -> None:
    written = section.data["end"]
    if isinstance(written, str) and len(written.strip()) > len("2026-02-01"):
        return
    section.warn(
        "end",
        "end-at-midnight",
        f"a plain date is the first moment of that day, so {end:%Y-%m-%d} is no part of the phase",
        f"Ends the phase at {end:%Y-%m-%d} 00:00:00 UTC.",
        f'write `end: "{end:%Y-%m-%d} 23:59:00"` for the whole day, or '
        f'"{end:%Y-%m-%d} 00:00:00" if midnight is meant',
    )


def _read_index(section: Section) -> int:
    if "index" not in section.data:
        others = section.document.data.get("phases")
        if isinstance(others, list) and len(others) > 1:
            section.fault(
                None,
                "phase-index-missing",
                "the key `index` is missing",
                "Takes 0, sorts by it and numbers anew.",
                "add a line such as `index: 0`",
                level=WARNING,
                missing="index",
            )
        return 0
    return section.number(
        "index",
        least=0,
        example=0,
        platform="Sorts the phases by it, and fails with an exception where it cannot.",
    )


def _read_limit(top: Section, section: Section) -> int:
    key = "execution_time_limit"
    value = section.data.get(key)
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        # The platform takes "600" as 600.
        value = int(value)
    elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        section.number(key, least=1, example=600, platform="Refuses the bundle.")
        return DEFAULT_QUEUE_CAP
    if value is None or value < 1:
        section.number(
            key,
            least=1,
            example=600,
            platform=_DEFAULT_LIMIT if not value else "Refuses the bundle.",
        )
        return DEFAULT_QUEUE_CAP
    if value > DEFAULT_QUEUE_CAP and top.data.get("queue") is None:
        section.warn(
            key,
            "limit-above-cap",
            f"{value} s are more than the default queue gives",
            f"Cuts it to {DEFAULT_QUEUE_CAP} s on the default queue, unless its server raises "
            "the cap.",
            f"write `{key}: {DEFAULT_QUEUE_CAP}`, or name a queue of your own with `queue:`",
        )
    return int(value)


def _read_quota(section: Section, key: str) -> int | None:
    default = DEFAULT_QUOTAS[key]
    per = "a day and person" if key.endswith("day") else "a person"
    if key not in section.data:
        unknown = [str(name) for name in section.data if name not in PHASE_KEYS]
        if difflib.get_close_matches(key, unknown, 1, 0.9):
            # The misspelt key is a fault of its own, with the right edit.
            return default
        section.fault(
            None,
            "quota-missing",
            f"the key `{key}` is missing",
            f"Takes {default} submissions {per} in silence.",
            f"add a line such as `{key}: {default}`",
            level=WARNING,
            missing=key,
        )
        return default
    value = section.data[key]
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value == 0):
        what = "the key has no value, which is" if value is None else "0 is"
        section.fault(
            key,
            "quota-unlimited",
            f"{what} no limit at all; a limit must be a whole number of at least 1",
            f"Takes any number of submissions {per}, in silence.",
            f"write `{key}: {default}`, or a large number if everybody may submit without end",
        )
        return None
    return section.number(
        key, least=1, example=default, platform="Refuses the bundle, or fails with an exception."
    )


def _read_download(section: Section, key: str, bundle: Path | None) -> Path | None:
    if key not in section.data or is_uuid(section.data[key]):
        return None
    relative = section.path(key, f"{key}.zip")
    stem = relative.name.removesuffix(relative.suffix)
    if section.sound(key) and len(stem) > LONGEST_STEM:
        section.warn(
            key,
            "name-cut",
            f"{relative.name!r} is longer than {LONGEST_STEM} characters and its ending",
            f"Stores it as {(stem[:LONGEST_STEM] + relative.suffix)!r}; participants see that.",
            "shorten the file's name",
        )
    return bundle / relative if bundle is not None and section.sound(key) else None


def _free_task(top: Section, tasks: dict[Hashable, Task]) -> Hashable:
    """Return the index of a task that no phase has yet, for an example."""
    phases = top.data.get("phases")
    entries = phases if isinstance(phases, list) else []
    lists = [entry.get("tasks") for entry in entries if isinstance(entry, dict)]
    taken = [one for numbers in lists if isinstance(numbers, list) for one in numbers]
    return next((t.index for t in tasks.values() if t.index not in taken), "INDEX")


def _phase_tasks(
    top: Section, section: Section, tasks: dict[Hashable, Task], *, comparable: bool
) -> tuple[Task, ...]:
    example = f"tasks: [{_free_task(top, tasks)}]"
    numbers = section.require("tasks", example, f"\"{UNPACK_LOG} 'tasks'\"")
    if numbers is None:
        return ()
    if not isinstance(numbers, list) or not numbers:
        section.fault(
            "tasks",
            "phase-without-task",
            "a phase needs the list of its tasks' indexes",
            "Takes an empty list, and a phase in which nothing can be run."
            if numbers == []
            else "Fails with an exception.",
            f"write `tasks: [{_free_task(top, tasks)}]`",
        )
        return ()
    if not comparable:
        return ()
    elsewhere = _indexes_elsewhere(top)
    chosen = []
    for number in numbers:
        task = find_task(tasks, number)
        if task is not None:
            chosen.append(task)
        elif not any(type(number) is type(other) and number == other for other in elsewhere):
            # A boolean or "0" would not be found by the platform either: it compares by type.
            section.fault(
                "tasks",
                "phase-task-unknown",
                f"no task has the index {shown(number)}; there are: {known_indexes(top)}",
                f'"{UNPACK_LOG} {shown(number)}"',
                "name indexes that stand under `tasks`, written the same way",
            )
    if not section.sound("tasks"):
        return ()
    if len({id(task) for task in chosen}) < len(chosen):
        section.fault(
            "tasks",
            "phase-task-twice",
            "one task is listed twice",
            "Runs it once.",
            "remove one of the two",
            level=TOOL,
        )
        section.warn(
            "tasks", "phase-task-twice", "one task is listed twice", "Runs it once.", "remove one"
        )
    # The platform runs tasks in the order of the top-level list, whatever stands here.
    chosen = [task for task in tasks.values() if any(task is one for one in chosen)]
    keys = [task.key for task in chosen]
    if len(set(keys)) < len(keys):
        section.fault(
            "tasks",
            "phase-task-names",
            "two tasks of one phase share a scoring program's name",
            "Takes it; `mimicry run` and `mimicry pack` name a task by its scoring program.",
            "copy the scoring program under another name",
            level=TOOL,
        )
    return tuple(chosen)


def _indexes_sound(top: Section) -> bool:
    """Tell whether every task has an index, whatever else is wrong with it."""
    tasks = top.data.get("tasks")
    return top.document.sound(("tasks",), depth=2) and all(
        top.document.sound(("tasks", number, "index"))
        for number in range(len(tasks) if isinstance(tasks, list) else 0)
    )


def _indexes_elsewhere(top: Section) -> list[object]:
    tasks = top.data.get("tasks")
    listed = tasks if isinstance(tasks, list) else []
    return [task.get("index") for task in listed if isinstance(task, dict) and "key" in task]
