"""The summary of a rehearsal in plain text."""

import io
from collections.abc import Iterator

from mimicry.codabench.records import FAILED, TaskRecord
from mimicry.codabench.rehearsal.record import (
    REFUSED,
    Outcome,
    Rehearsal,
    peak_memory,
    share_of_limit,
)
from mimicry.errors import one_line

WIDEST = 2000
NONE = "-"
NEAR = 0.75
"""The part of the time limit from which a run is told to be near it."""

_FINISHED_ALL_THE_SAME = (
    "a task failed: of several tasks, the platform calls the submission Finished all the same, and "
    "counts it."
)


def rehearsal_table(rehearsal: Rehearsal) -> str:
    """Return one row for every submission, phase and task, and below it what to know.

    Times are wall seconds, the share is the slower program's of the phase's limit.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    several = any(len(result.phase.tasks) > 1 for result in rehearsal.phases)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("phase", "submission", "participant", *(["task"] if several else []), "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("ingestion\ns", "scoring\ns", "memory\nMiB", "of limit"):
        table.add_column(heading, justify="right")
    table.add_column("code", overflow="fold")
    for row in _rows(rehearsal, several):
        table.add_row(*map(escape, row))
    text = io.StringIO()
    Console(file=text, width=WIDEST, force_terminal=False, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]
    return "\n".join([*lines, "", *_below(rehearsal)]) + "\n"


def _rows(rehearsal: Rehearsal, several: bool) -> Iterator[list[str]]:
    for result in rehearsal.phases:
        for one in result.outcomes:
            names = [result.phase.name, one.submission.name, one_line(one.submission.participant)]
            state = one.state + (", migrated" if one.migrated else "")
            if one.record is None:
                code = one.error.code if one.error is not None else NONE
                yield [*names, *([NONE] if several else []), state, *[NONE] * 4, code]
                continue
            for key, task in one.record.tasks.items():
                own = task.state + (", migrated" if one.migrated else "")
                figures = _figures(task, result.phase.execution_time_limit)
                yield [*names, *([key] if several else []), own, *figures, task.error_code or NONE]


def _figures(task: TaskRecord, limit: int) -> list[str]:
    memory, share = peak_memory(task), share_of_limit(task, limit)
    return [
        *(_seconds(task.seconds.get(step)) for step in ("ingestion", "scoring")),
        NONE if memory is None else f"{memory / 2**20:.0f}",
        NONE if share is None else f"{share:.0%}",
    ]


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _below(rehearsal: Rehearsal) -> list[str]:
    lines: list[str] = []
    failed = [(one, reason) for one in rehearsal.outcomes for reason in one.reasons()]
    if failed:
        lines.append("Failed:")
        lines += [one_line(f"- {_name(one)}: {reason}", 600) for one, reason in failed]
    refused = [one for one in rehearsal.outcomes if one.refusal is not None]
    if refused:
        lines.append("Refused, as the platform would:")
        lines += [f"- {_name(one)}: {one.refusal}" for one in refused]
    unexpected = list(_unexpected(rehearsal))
    if unexpected:
        lines.append("What one might not expect:")
        lines += [f"- {line}" for line in unexpected]
    return [*lines, _counted(rehearsal)]


def _unexpected(rehearsal: Rehearsal) -> Iterator[str]:
    """Yield what the platform does that one might not expect, each once."""
    for result in rehearsal.phases:
        if result.moved is not None:
            # The first one of a migration that takes place tells only how many.
            yield from result.moved.sentences[1 if result.moved.folders else 0 :]
    told: dict[str, list[str]] = {}
    for result in rehearsal.phases:
        limit = result.phase.execution_time_limit
        for one in result.outcomes:
            tasks = one.record.tasks if one.record is not None else {}
            if len(tasks) > 1 and one.state == FAILED:
                told.setdefault(_FINISHED_ALL_THE_SAME, []).append(_name(one))
            for task in tasks.values():
                notes = list(task.notes)
                if (share_of_limit(task, limit) or 0.0) >= NEAR:
                    notes.append(f"near the time limit of {limit} s, or over it.")
                for note in notes:
                    names = told.setdefault(note, [])
                    names += [_name(one)] if _name(one) not in names else []
    everything = sum(one.record is not None for one in rehearsal.outcomes)
    for note, names in told.items():
        who = "all runs" if len(names) == everything > 1 else "; ".join(names)
        yield one_line(f"{note} ({who})", 600)


def _counted(rehearsal: Rehearsal) -> str:
    states = [one.state for one in rehearsal.outcomes]
    failed, refused = states.count(FAILED), states.count(REFUSED)
    kept = sum(one.kept for one in rehearsal.outcomes)
    ran = len(states) - refused
    line = f"{counted(ran, 'run')}: {ran - failed} finished, {failed} failed; "
    line += f"{refused} refused by quotas"
    line += f"; {kept} kept from an earlier rehearsal" if kept else ""
    if rehearsal.jobs > 1:
        line += f". Times with {rehearsal.jobs} at once are longer than alone (--jobs 1)"
    return line + "."


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _name(one: Outcome) -> str:
    return f"{one.phase}, {one.submission.name}"
