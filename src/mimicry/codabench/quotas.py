"""Dates and quotas of a phase, counted as the platform counts them.

Measured on the platform, or read in its source:

- Only the web form looks at a phase's dates: it takes a submission from `start` to
  `end`, both included, to the second. Versions from August 2026 on refuse in their API
  too; older ones take, run and rank what comes through it at any time.
- Quotas hold everywhere. They count a participant's submissions in the phase: one with
  several tasks once, failed ones not at all, a day being a date in UTC. None is no limit.
- What the platform brings over from the phase before is never refused, and counts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

from mimicry.codabench.model import Phase
from mimicry.codabench.records import FAILED, RunRecord

EARLY, LATE, SURPLUS = "early", "late", "surplus"

TODAY_IS_FULL = "Reached maximum allowed submissions for today for this phase"
PHASE_IS_FULL = "Reached maximum allowed submissions for this phase"


class HandedIn(NamedTuple):
    """One submission to a phase, as far as dates and quotas go.

    `when` is None where that is unknown; such a submission is neither marked nor counted.
    `counts` tells whether the platform counts it: all but failed ones.
    """

    participant: str
    when: datetime | None
    counts: bool = True
    migrated: bool = False


class Mark(NamedTuple):
    """What is wrong with when or how often something was handed in, and the sentence for it."""

    kind: str
    reason: str


@dataclass
class Quota:
    """What one participant has used up of a phase's quotas."""

    phase: Phase
    in_all: int = 0
    by_day: Counter[date] = field(default_factory=Counter)

    def refusal(self, when: datetime) -> str | None:
        """Return the platform's sentence where it takes nothing more at `when`, else None."""
        a_day, limit = self.phase.max_submissions_per_day, self.phase.max_submissions
        if a_day and self.by_day[_day(when)] >= a_day:
            return f"{TODAY_IS_FULL} ({a_day} a day, counted in UTC)"
        if limit and self.in_all >= limit:
            return f"{PHASE_IS_FULL} ({limit} in all)"
        return None

    def add(self, when: datetime) -> None:
        """Count one more."""
        self.by_day[_day(when)] += 1
        self.in_all += 1


def handed_in(record: RunRecord) -> HandedIn:
    """Return what dates and quotas need to know of a run.

    A run of one task counts unless it failed. One of several tasks counts in any case:
    the platform says Finished of it although its tasks failed. So does one that has not
    ended.
    """
    ended = record.finished is not None
    failed = ended and record.state == FAILED and len(record.tasks) < 2
    when = moment(record.submitted or record.started)
    return HandedIn(record.participant, when, not failed, record.migrated)


def date_mark(phase: Phase, when: datetime) -> Mark | None:
    """Tell whether the web form would refuse what is handed in at `when`.

    Returns
    -------
    Mark or None
        ``early`` or ``late``; None within the phase, its first and last second included.
    """
    second = when.replace(microsecond=0)
    if second < phase.start:
        return Mark(EARLY, f"handed in before {phase.name} begins ({shown(phase.start)})")
    if phase.end is not None and second > phase.end:
        return Mark(LATE, f"handed in after {phase.name} has ended ({shown(phase.end)})")
    return None


def marks(phase: Phase, submissions: Sequence[HandedIn]) -> list[Mark | None]:
    """Find what was handed in at the wrong time or too often.

    Parameters
    ----------
    phase : Phase
        Whose dates and quotas hold.
    submissions : sequence of HandedIn
        Everything handed in to the phase, in any order; of equal times the first in the
        sequence comes first. Each is taken to have ended before the next one comes.

    Returns
    -------
    list of (Mark or None)
        One for each submission: ``surplus`` where the platform would refuse it, else
        ``early`` or ``late`` where its web form would. Refused ones are not counted.
    """
    found: list[Mark | None] = [None] * len(submissions)
    quotas: dict[str, Quota] = {}
    dated = [(one.when, number) for number, one in enumerate(submissions) if one.when is not None]
    for when, number in sorted(dated):
        one = submissions[number]
        quota = quotas.setdefault(one.participant, Quota(phase))
        refusal = None if one.migrated else quota.refusal(when)
        if refusal is not None:
            found[number] = Mark(SURPLUS, refusal)
            continue
        if one.counts:
            quota.add(when)
        if not one.migrated:
            found[number] = date_mark(phase, when)
    return found


def moment(text: str) -> datetime | None:
    """Return a time of a record in UTC, None where it cannot be read as one."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def shown(when: datetime) -> str:
    """Return a time as people read it."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _day(when: datetime) -> date:
    return when.astimezone(UTC).date()
