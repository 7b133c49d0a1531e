"""Checks the phases of a competition against each other."""

from collections.abc import Sequence

from mimicry.codabench.model import Phase
from mimicry.codabench.reading.document import WARNING, shown
from mimicry.codabench.reading.section import Section

MIGRATE = "auto_migrate_to_this_phase"


def check_order(before: tuple[Phase, Section] | None, phase: Phase, section: Section) -> None:
    """Note what a phase may not be after the one before it, None for the first."""
    if before is None:
        if phase.auto_migrate:
            section.fault(
                MIGRATE,
                "migrate-to-first",
                "nothing can migrate to the first phase",
                "Refuses the bundle.",
                "remove the line",
            )
        return
    earlier, earlier_section = before
    if earlier.index == phase.index and "index" in section.data:
        section.fault(
            "index",
            "phase-index-twice",
            f"two phases have the index {phase.index}",
            "Keeps them in the order of the list.",
            "number them anew",
            level=WARNING,
        )
    _check_dates(earlier, earlier_section, phase, section)
    comparable = earlier_section.sound("tasks") and section.sound("tasks")
    several = max(_count(section), _count(earlier_section)) > 1
    if phase.auto_migrate and comparable and several:
        section.fault(
            MIGRATE,
            "migrate-several-tasks",
            "the platform never migrates submissions of phases with several tasks",
            "Takes it, and nothing ever migrates.",
            "remove the line, or give each phase one task",
        )


def check_names(sections: Sequence[Section]) -> None:
    """Warn of phases that have the name of an earlier one."""
    seen = set[str]()
    for section in sections:
        name = section.data.get("name")
        if not section.sound("name") or not isinstance(name, str):
            continue
        if name.strip() in seen:
            section.warn(
                "name",
                "phase-name-twice",
                f"another phase is called {shown(name)}, too",
                "Takes both; nobody can tell them apart on the site.",
                "rename one of them",
            )
        seen.add(name.strip())


def check_unused(top: Section, sections: Sequence[Section], *, sound: bool) -> None:
    """Warn of tasks that no phase names, where it is known which they name."""
    tasks = top.data.get("tasks")
    if not (sound and sections and top.document.sound(("phases",), depth=2)):
        return
    if not isinstance(tasks, list) or not all(section.sound("tasks") for section in sections):
        return
    named = [n for section in sections for n in section.data.get("tasks", ())]
    for number, task in enumerate(tasks):
        index = task.get("index") if isinstance(task, dict) else None
        if not any(type(index) is type(other) and index == other for other in named):
            top.document.fault(
                ("tasks", number),
                "task-unused",
                "no phase names this task",
                "Stores it with copies of its data, and never runs it.",
                f"add {shown(index)} to the `tasks` of a phase, or remove the task",
                level=WARNING,
            )


def _count(section: Section) -> int:
    tasks = section.data.get("tasks")
    return len({shown(task) for task in tasks}) if isinstance(tasks, list) else 0


def _check_dates(earlier: Phase, before: Section, phase: Phase, section: Section) -> None:
    if not (before.sound("start", "end") and section.sound("start")):
        return
    if earlier.end is None:
        section.fault(
            "start",
            "phase-after-endless",
            f"{shown(earlier.name)} has no end, but only the last phase may be endless",
            f'Refuses the bundle: "Phase: {earlier.name[:60]} must have an end time because it '
            'has a phase after it."',
            f"give {shown(earlier.name)} an `end` before {phase.start:%Y-%m-%d %H:%M:%S}",
        )
    elif phase.start <= earlier.end:
        names = phase.name[:60], earlier.name[:60]
        said = (
            f"Phases dates conflict. Phase: {names[0]} should start after Phase: {names[1]} has "
            "ended"
            if phase.start == earlier.end
            else f"Phases must be sequential. Phase: {names[0]}starts before Phase: {names[1]} "
            "has ended"
        )
        section.fault(
            "start",
            "phase-overlap",
            f"{shown(phase.name)} must start strictly later than {shown(earlier.name)} ends; "
            "phases cannot run side by side",
            f'Refuses the bundle: "{said}"',
            f'write a later date than `"{earlier.end:%Y-%m-%d %H:%M:%S}"`',
        )
