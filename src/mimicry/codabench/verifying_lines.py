"""What `mimicry verify` finds out, line by line, and how it is told."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from mimicry.errors import one_line

AGREES, DIFFERS, UNCHECKED = "agrees", "differs", "unchecked"
VERSION = 1
# Which line tells that a finished task's predictions could not be scored, and why.
SCORED_AGAIN = "scored again"
_SHOWN = {AGREES: "agrees", DIFFERS: "DIFFERS", UNCHECKED: "not checked"}
_WIDTH = max(map(len, _SHOWN.values()))

Value = str | float | None


@dataclass(frozen=True)
class Line:
    """One thing that was compared, or could not be.

    Attributes
    ----------
    what : str
        Which.
    verdict : {"agrees", "differs", "unchecked"}
        Whether what was recorded is what is found.
    words : str
        How, or why it cannot be checked. Of data only that they differ: SHA-256 of labels
        are not shown, since what is printed gets passed on.
    task : str or None
        The task's key; None for what belongs to the whole run.
    recorded, found : str, float or None
        The two values, where they can be shown.
    """

    what: str
    verdict: str
    words: str
    task: str | None = None
    recorded: Value = None
    found: Value = None

    def text(self) -> str:
        """Return the line as it is printed."""
        place = f"task {one_line(self.task, 60)}, " if self.task is not None else ""
        return f"  {_SHOWN[self.verdict]:{_WIDTH}}  {place}{self.what}: {self.words}"


@dataclass(frozen=True)
class Verdict:
    """What was found out about one run."""

    folder: str
    title: str
    lines: tuple[Line, ...]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return any(line.verdict == DIFFERS for line in self.lines)

    @property
    def unscored(self) -> tuple[str, ...]:
        """The keys of finished tasks whose scores could not be recomputed."""
        return tuple(
            line.task or ""
            for line in self.lines
            if line.what == SCORED_AGAIN and line.verdict == UNCHECKED
        )

    def counts(self) -> str:
        """Return in words how many lines say what."""
        words = {AGREES: "agree", DIFFERS: "differ", UNCHECKED: "not checked"}
        numbers = [(sum(line.verdict == v for line in self.lines), w) for v, w in words.items()]
        return ", ".join(f"{number} {word}" for number, word in numbers if number)


def verdict_text(verdict: Verdict, *, short: bool) -> Iterator[str]:
    """Yield a verdict's lines; in the short form those of what differs."""
    yield f"{one_line(verdict.folder, 300)}: {verdict.title} ({verdict.counts()})"
    for line in verdict.lines:
        if not short or line.verdict == DIFFERS:
            yield line.text()


def unchecked_text(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield what could not be checked in several runs, each reason once, with their number."""
    found = Counter(
        text
        for one in verdicts
        for text in {f"{x.what}: {x.words}" for x in one.lines if x.verdict == UNCHECKED}
    )
    for text, number in found.most_common():
        yield f"not checked in {number} of {len(verdicts)} runs: {text}"


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the last line of runs in which nothing differs."""
    number = len(verdicts)
    unscored = sum(bool(one.unscored) for one in verdicts)
    if unscored:
        but = f"but the scores of {unscored} were not recomputed"
        return f"{number} of {number} runs: nothing differs, {but}."
    return f"{number} of {number} runs: nothing differs from what was recorded."


def verdicts_json(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as JSON."""
    runs = [
        {
            "folder": one.folder,
            "title": one.title,
            "differs": one.changed,
            "not_rescored": list(one.unscored),
            "checks": [asdict(line) for line in one.lines],
        }
        for one in verdicts
    ]
    return json.dumps({"version": VERSION, "runs": runs}, indent=2) + "\n"


def compared(
    what: str, recorded: Value, found: Value, *, task: str | None = None, same: str = "the same"
) -> Line:
    """Return the line of two values that must be equal."""
    if recorded == found:
        return Line(what, AGREES, same, task, recorded, found)
    return Line(what, DIFFERS, f"{shown(recorded)} -> {shown(found)}", task, recorded, found)


def shown(value: Value) -> str:
    """Return a value as it stands in a line."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return one_line(value, 80) or "nothing"
    return f"{value:.10g}"
