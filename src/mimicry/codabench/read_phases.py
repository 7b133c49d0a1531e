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

    Faults are noted in the document.
    """
    tasks: dict[int, Task] = {}
    indexes: set[int] = set()
    example = "tasks: [{index: 0, name: All, scoring_program: scoring_program_all}]"
    for section in top.sections("tasks", example):
        section.known(_TASK_KEYS)
        index = section.number("index", least=0, example=0)
        if section.sound("index") and index in indexes:
            section.fault("index", f"two tasks have the index {index}; number them anew.")
        if section.sound("index"):
            indexes.add(index)
        section.require("scoring_program", "scoring_program: scoring_program_hybrid")
        paths: dict[str, Path | None] = {}
        for key in _TASK_PATHS:
            example = f"{key}/val.zip" if key.endswith("_data") else key
            relative = section.path(key, example) if section.has(key) else None
            if relative and key.endswith("_data") and relative.suffix != ".zip":
                section.fault(
                    key, f"{str(relative)!r} must be a .zip: a bare file breaks the worker."
                )
            paths[key] = bundle / relative if relative else None
        scoring = paths["scoring_program"] or bundle
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

    Faults are noted in the document. What phases say of tasks, or of each other, is
    checked where the values compared have no fault of their own.
    """
    found = []
    tasks_sound = top.sound("tasks")
    for section in top.sections("phases", "phases: [{index: 0, name: Development, tasks: [0]}]"):
        section.known(_PHASE_KEYS)
        index = section.number("index", least=0, example=0)
        limit = section.number("execution_time_limit", least=1, example=600)
        start, end = section.moment("start"), section.moment("end") if section.has("end") else None
        if end is not None and section.sound("start", "end") and end <= start:
            section.fault("end", "the phase ends before it has begun; move this date.")
        name = section.text("name", "Development")
        phase = Phase(
            index=index,
            name=name,
            slug=slug(name),
            description=section.text("description", "", limit=10_000, default=""),
            start=start,
            end=end,
            tasks=_phase_tasks(section, tasks, comparable=tasks_sound),
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
    if all(section.sound("index") for _, section in found):
        for number, (phase, section) in enumerate(found):
            _check_order(found[number - 1] if number else None, phase, section)
    slugs = [phase.slug for phase, section in found if section.sound("name")]
    if "" in slugs or len(set(slugs)) < len(slugs):
        top.fault("phases", "every phase needs a name of its own, with letters or digits.")
    return tuple(phase for phase, _ in found)


def _phase_tasks(
    section: Section, tasks: Mapping[int, Task], *, comparable: bool
) -> tuple[Task, ...]:
    numbers = section.require("tasks", "tasks: [0]")
    if numbers is None:
        return ()
    if not isinstance(numbers, list) or not numbers:
        section.fault("tasks", "a phase needs the list of its tasks' indexes: `tasks: [0]`.")
        return ()
    if not comparable:
        return ()
    for number in numbers:
        # A boolean or "0" would not be found by the platform either: it compares by type.
        if isinstance(number, bool) or not isinstance(number, int) or number not in tasks:
            known = ", ".join(map(str, tasks))
            section.fault("tasks", f"no task has the index {number!r}; there are: {known}.")
    if not section.sound("tasks"):
        return ()
    if len(set(numbers)) < len(numbers):
        section.fault("tasks", "one task is listed twice; remove one of the two.")
    # The platform runs tasks in the order of the top-level list, whatever stands here.
    chosen = tuple(task for index, task in tasks.items() if index in numbers)
    keys = [task.key for task in chosen]
    if len(set(keys)) < len(keys):
        section.fault("tasks", "two tasks of one phase share a scoring program's name.")
    return chosen


def _check_order(before: tuple[Phase, Section] | None, phase: Phase, section: Section) -> None:
    migrate = "auto_migrate_to_this_phase"
    if before is None:
        if phase.auto_migrate:
            section.fault(migrate, "nothing can migrate to the first phase; remove it.")
        return
    earlier, earlier_section = before
    if earlier.index == phase.index:
        section.fault("index", f"two phases have the index {phase.index}; number them anew.")
        return
    if earlier_section.sound("end") and section.sound("start"):
        if earlier.end is None:
            section.fault(
                "start", f"{earlier.name} has no end, but only the last phase may be endless."
            )
        elif phase.start <= earlier.end:
            section.fault(
                "start", f"{phase.name} must start strictly later than {earlier.name} ends."
            )
    comparable = earlier_section.sound("tasks") and section.sound("tasks")
    if phase.auto_migrate and comparable and max(len(phase.tasks), len(earlier.tasks)) > 1:
        section.fault(
            migrate,
            "the platform never migrates submissions of phases with several tasks; remove this, "
            "or give each phase one task.",
        )
