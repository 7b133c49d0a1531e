"""Reads the tasks and phases of a competition file."""

from collections.abc import Mapping
from pathlib import Path

from mimicry.codabench.document import Section
from mimicry.codabench.model import Phase, Task, slug

SCORING_PREFIX = "scoring_program_"

_TASK_PATHS = ("input_data", "reference_data", "ingestion_program", "scoring_program")

_TASK_KEYS = ("index", "name", "description", *_TASK_PATHS)

_PHASE_KEYS = (
    *("index", "name", "description", "start", "end", "tasks", "execution_time_limit"),
    *("max_submissions_per_day", "max_submissions", "auto_migrate_to_this_phase"),
    *("hide_output", "hide_prediction_output", "hide_score_output"),
)


def read_tasks(top: Section, bundle: Path) -> dict[int, Task]:
    """Return the tasks by index, in the order in which the platform runs them.

    Raises
    ------
    BundleError
        `competition-yaml`, with the line and the edit that mends it.
    """
    tasks: dict[int, Task] = {}
    example = "tasks: [{index: 0, name: All, scoring_program: scoring_program_all}]"
    for section in top.sections("tasks", example):
        section.known(_TASK_KEYS)
        index = section.count("index", least=0, example=0, required=True)
        assert index is not None
        if index in tasks:
            raise section.error("index", f"two tasks have the index {index}; number them anew.")
        section.require("scoring_program", "scoring_program: scoring_program_hybrid")
        paths: dict[str, Path | None] = {}
        for key in _TASK_PATHS:
            example = f"{key}/val.zip" if key.endswith("_data") else key
            relative = section.path(key, example) if section.has(key) else None
            if relative and key.endswith("_data") and relative.suffix != ".zip":
                raise section.error(
                    key, f"{str(relative)!r} must be a .zip: a bare file breaks the worker."
                )
            paths[key] = bundle / relative if relative else None
        scoring = paths["scoring_program"]
        assert scoring is not None
        tasks[index] = Task(
            index=index,
            name=section.text("name", "Species A"),
            key=scoring.name.removeprefix(SCORING_PREFIX),
            input_data=paths["input_data"],
            reference_data=paths["reference_data"],
            ingestion_program=paths["ingestion_program"],
            scoring_program=scoring,
        )
    return tasks


def read_phases(top: Section, tasks: Mapping[int, Task]) -> tuple[Phase, ...]:
    """Return the phases in the order of their indexes.

    Raises
    ------
    BundleError
        `competition-yaml`, with the line and the edit that mends it.
    """
    found = []
    for section in top.sections("phases", "phases: [{index: 0, name: Development, tasks: [0]}]"):
        section.known(_PHASE_KEYS)
        index = section.count("index", least=0, example=0, required=True)
        limit = section.count("execution_time_limit", least=1, example=600, required=True)
        start, end = section.moment("start", required=True), section.moment("end", required=False)
        assert index is not None and limit is not None and start is not None
        if end is not None and end <= start:
            raise section.error("end", "the phase ends before it has begun; move this date.")
        name = section.text("name", "Development")
        phase = Phase(
            index=index,
            name=name,
            slug=slug(name),
            description=section.text("description", "", limit=10_000, default=""),
            start=start,
            end=end,
            tasks=_phase_tasks(section, tasks),
            execution_time_limit=limit,
            max_submissions_per_day=section.count("max_submissions_per_day", least=1, example=10),
            max_submissions=section.count("max_submissions", least=1, example=200),
            auto_migrate=section.flag("auto_migrate_to_this_phase", default=False),
            hide_output=section.flag("hide_output", default=False),
            hide_prediction_output=section.flag("hide_prediction_output", default=False),
            hide_score_output=section.flag("hide_score_output", default=False),
        )
        found.append((phase, section))
    found.sort(key=lambda pair: pair[0].index)
    for (before, _), (phase, section) in zip([(None, None), *found], found, strict=False):
        _check_order(before, phase, section)
    slugs = [phase.slug for phase, _ in found]
    if "" in slugs or len(set(slugs)) < len(slugs):
        raise top.error("phases", "every phase needs a name of its own, with letters or digits.")
    return tuple(phase for phase, _ in found)


def _phase_tasks(section: Section, tasks: Mapping[int, Task]) -> tuple[Task, ...]:
    numbers = section.require("tasks", "tasks: [0]")
    if not isinstance(numbers, list) or not numbers:
        raise section.error("tasks", "a phase needs the list of its tasks' indexes: `tasks: [0]`.")
    for number in numbers:
        # A boolean or "0" would not be found by the platform either: it compares by type.
        if isinstance(number, bool) or not isinstance(number, int) or number not in tasks:
            known = ", ".join(map(str, tasks))
            raise section.error("tasks", f"no task has the index {number!r}; there are: {known}.")
    if len(set(numbers)) < len(numbers):
        raise section.error("tasks", "one task is listed twice; remove one of the two.")
    # The platform runs tasks in the order of the top-level list, whatever stands here.
    chosen = tuple(task for index, task in tasks.items() if index in numbers)
    keys = [task.key for task in chosen]
    if len(set(keys)) < len(keys):
        raise section.error("tasks", "two tasks of one phase share a scoring program's name.")
    return chosen


def _check_order(before: Phase | None, phase: Phase, section: Section) -> None:
    if before is None:
        if phase.auto_migrate:
            raise section.error(
                "auto_migrate_to_this_phase", "nothing can migrate to the first phase; remove it."
            )
        return
    if before.index == phase.index:
        raise section.error("index", f"two phases have the index {phase.index}; number them anew.")
    if before.end is None:
        raise section.error(
            "start", f"{before.name} has no end, but only the last phase may be endless."
        )
    if phase.start <= before.end:
        raise section.error(
            "start", f"{phase.name} must start strictly later than {before.name} ends."
        )
    if phase.auto_migrate and (len(phase.tasks) > 1 or len(before.tasks) > 1):
        raise section.error(
            "auto_migrate_to_this_phase",
            "the platform never migrates submissions of phases with several tasks; remove this, "
            "or give each phase one task.",
        )
