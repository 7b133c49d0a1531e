"""Reference data of Re-Align's boards: whose they are, and whether the phases fit together."""

from pathlib import Path

from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.reading.document import Document
from mimicry.codabench.realign_data import (
    PhaseData,
    check_phases,
    team_of_data,
    team_of_program,
)
from mimicry.codabench.validation.context import Context, Dataset
from mimicry.codabench.validation.sealed import is_sealed_source
from mimicry.codabench.validation.source import SourceError

_FAILS = "Takes it; then submissions fail in scoring, or are scored by other rules than told."


def check_realign(context: Context, document: Document, competition: Competition) -> None:
    """Check the reference data that this project's Re-Align programs score with."""
    found: list[tuple[int, PhaseData]] = []
    for phase in competition.phases:
        for task in phase.tasks:
            data = _data(context, competition, phase, task)
            if data is not None and task.index not in {index for index, _ in found}:
                found.append((task.index, data))
    faults, unread = check_phases([data for _, data in found])
    places = {
        entry.get("index"): number
        for number, entry in enumerate(document.data.get("tasks") or [])
        if isinstance(entry, dict) and isinstance(entry.get("index"), int)
    }
    for fault in faults:
        index, data = found[fault.at]
        context.notes.at(
            document,
            ("tasks", places.get(index, 0), "reference_data"),
            fault.code,
            f"{data.shown}: {fault.problem}",
            _FAILS,
            fault.mend,
        )
    for text in unread:
        context.notes.skip(text)


def _data(context: Context, competition: Competition, phase: Phase, task: Task) -> PhaseData | None:
    def opened(path: Path | None) -> tuple[str, Dataset] | None:
        if path is None or not path.is_relative_to(competition.bundle):
            return None
        shown = path.relative_to(competition.bundle).as_posix()
        if shown == "." or context.tree.kind(shown) is None:
            return None
        try:
            return shown, context.dataset(shown)
        except SourceError:
            # Noted where data are looked at.
            return None

    program = opened(task.scoring_program)
    reference = opened(task.reference_data)
    if program is None or reference is None or is_sealed_source(reference[1]):
        return None
    team = team_of_program(program[1])
    if team is None and task.input_data is None:
        team = team_of_data(reference[1].entries)
    if team is None:
        return None
    public = opened(phase.public_data)
    return PhaseData(
        team,
        reference[1],
        reference[0],
        None if public is None else public[1],
        "" if public is None else public[0],
    )
