"""The page of one run: what was run, how it went, and what it scored."""

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.facts import ScoreRow
from mimicry.reports.failure import failure_parts
from mimicry.reports.layout import document
from mimicry.reports.markup import element, group
from mimicry.reports.parts import (
    card,
    facts_table,
    number_text,
    score_table,
    section,
    table,
)


class StepPart(NamedTuple):
    """A step of a task: its name, exit code, seconds and bytes, None where unknown."""

    name: str
    exit_code: int | None
    seconds: float | None
    memory: int | None


class FaultPart(NamedTuple):
    """Why a task failed: the sentence, its code, and who can mend it."""

    sentence: str
    code: str
    kind: str


class TaskPart(NamedTuple):
    """One task of a run.

    Attributes
    ----------
    name : str
        For people.
    state : str
        ``finished``, ``failed``, ``running``, or what else is known.
    steps : sequence of StepPart
        In the order in which they run.
    notes : sequence of str
        What the platform would do that one might not expect.
    fault : FaultPart or None
        Why it has no scores.
    recorded : sequence of ScoreRow
        The scores of the run's record.
    results : sequence of Element
        What the scoring program's page shows; empty where that is unknown, and then the
        recorded scores are shown.
    missing : str or None
        Why the results cannot be shown.
    log : sequence of str
        The end of what the participant's code printed, for organisers.
    """

    name: str
    state: str
    steps: Sequence[StepPart]
    notes: Sequence[str]
    fault: FaultPart | None
    recorded: Sequence[ScoreRow]
    results: Sequence[Element]
    missing: str | None
    log: Sequence[str]


def report_page(
    title: str,
    subtitle: str,
    facts: Sequence[tuple[str, str]],
    tasks: Sequence[TaskPart],
    *,
    warnings: Sequence[str] = (),
    private: bool = False,
    back: tuple[str, str] | None = None,
) -> str:
    """Return the page of a run.

    Parameters
    ----------
    title, subtitle : str
        Whose run, and of what.
    facts : sequence of (str, str)
        What was run.
    tasks : sequence of TaskPart
        In order.
    warnings : sequence of str
        What must be known before anything else.
    private : bool
        Whether the page shows more than the phase lets participants see.
    back : (str, str), optional
        Address and name of the page that leads here.
    """
    banner = None
    if private:
        banner = card(
            element("p", element("strong", "For organisers' eyes only.")),
            element(
                "p",
                "This page shows more than the rules of the phase let participants see, and the "
                "end of what their code printed. Do not publish it.",
            ),
            role="bad",
        )
    return document(
        title,
        None if back is None else element("p", element("a", f"← {back[1]}", href=back[0])),
        banner,
        *(card(element("p", warning), role="bad") for warning in warnings),
        facts_table(facts, caption="What was run"),
        *(part for task in tasks for part in _task(task, alone=len(tasks) == 1)),
        subtitle=subtitle,
    )


def _task(task: TaskPart, *, alone: bool) -> list[Element]:
    steps = notes = log = None
    if task.steps:
        steps = table(
            ("Step", "Exit code", "Seconds", "Most memory"),
            [_step(one) for one in task.steps],
            caption=f"Steps of task {task.name}",
            numeric={1, 2, 3},
        )
    if task.notes:
        notes = group((element("li", element("bdi", note)) for note in task.notes), "ul")
    if task.log:
        log = element(
            "details",
            element("summary", "The end of what the submission printed"),
            element("pre", element("code", "\n".join(task.log)), class_="scroll", tabindex=0),
        )
    fault = [] if task.fault is None else _fault(task.fault)
    recorded = None
    if task.recorded and not task.results:
        recorded = score_table(task.recorded, caption="As recorded when the run was scored.")
    head = section(
        f"Task {task.name}: {task.state}",
        *fault,
        None if task.missing is None else card(element("p", task.missing)),
        recorded,
        steps,
        notes,
        log,
    )
    return [head, *(task.results if alone else (_named(one, task.name) for one in task.results))]


def _named(part: Element, task: str) -> Element:
    """Return a copy whose regions have names that no other task's have."""
    made = deepcopy(part)
    for region in made.iterfind(".//*[@role='region']"):
        region.set("aria-label", f"{task}: {region.get('aria-label', '')}")
    return made


def _step(one: StepPart) -> list[str]:
    return [
        one.name,
        "–" if one.exit_code is None else number_text(one.exit_code, ".0f"),
        "–" if one.seconds is None else number_text(one.seconds, ",.1f"),
        "–" if one.memory is None else f"{number_text(one.memory / 1e6, ',.0f')} MB",
    ]


def _fault(fault: FaultPart) -> list[Element]:
    parts = failure_parts(fault.sentence, fault.code, fault.kind, state="This task has no scores.")
    return [*parts, element("p", "Code: ", element("code", fault.code))]
