"""Checks the phases of a competition against each other."""

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
