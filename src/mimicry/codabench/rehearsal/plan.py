"""What a rehearsal plays: who hands in what and when, what is refused, what migrates."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from mimicry.codabench.boards.board import MANUAL_RULES, Board
from mimicry.codabench.model import Phase
from mimicry.codabench.quotas import Quota

PACE = timedelta(minutes=1)
LONGEST_NAME = 60
TIMER = timedelta(minutes=5)
"""How often the platform looks whether a phase has begun and something is to migrate."""


class Submission(NamedTuple):
    """A submission of a rehearsal; `name` is its own, and fit for a folder."""

    name: str
    participant: str
    path: Path


class Arrival(NamedTuple):
    """A submission that comes to a phase, and when."""

    submission: Submission
    when: datetime
    migrated: bool = False


class Wave(NamedTuple):
    """What can be said of arrivals by now.

    `ready` may be run, `refused` has the platform's sentence for each, `waiting` depends
    on how earlier ones of the same participant end.
    """

    ready: tuple[Arrival, ...]
    refused: tuple[tuple[Arrival, str], ...]
    waiting: tuple[Arrival, ...]


class Migration(NamedTuple):
    """Which runs, by folder, the platform brings over to a phase, and what to know of it."""

    folders: tuple[str, ...]
    sentences: tuple[str, ...]


def name_submissions(given: Iterable[tuple[str, Path]]) -> tuple[Submission, ...]:
    """Give every submission a name: its participant's, numbered from the second one on.

    Parameters
    ----------
    given : iterable of (str, Path)
        Participant and submission; of one participant in the order of handing in.
    """
    found: list[Submission] = []
    taken: set[str] = set()
    for participant, path in given:
        stem = re.sub(r"[^\w.-]+", "_", participant)[:LONGEST_NAME].strip(".") or "participant"
        number, name = 1, stem
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        found.append(Submission(name, participant, path))
    return tuple(found)


def arrivals(phase: Phase, submissions: Sequence[Submission]) -> tuple[Arrival, ...]:
    """Let `submissions` arrive one after the other, a minute apart, from the phase's start.

    In a phase too short for that they come closer together, so that all are in time.
    """
    pace = PACE
    if phase.end is not None:
        pace = min(PACE, (phase.end - phase.start) / (len(submissions) + 1))
    return tuple(Arrival(one, phase.start + n * pace) for n, one in enumerate(submissions, 1))


def next_wave(phase: Phase, all_of_it: Sequence[Arrival], counts: Mapping[str, bool]) -> Wave:
    """Decide which arrivals the platform takes, as far as that can be told.

    Parameters
    ----------
    phase : Phase
        Whose quotas hold.
    all_of_it : sequence of Arrival
        Everything that arrives in the phase, the earliest first.
    counts : Mapping
        By name, for every arrival that has ended or was refused: whether it counts.

    Returns
    -------
    Wave
        Of those not in `counts`. As long as some of a participant's have not ended, the
        quota may be full or not, since failed ones do not count; then the rest waits.
    """
    ready: list[Arrival] = []
    refused: list[tuple[Arrival, str]] = []
    waiting: list[Arrival] = []
    quotas: dict[str, Quota] = {}
    open_ends: set[str] = set()
    blocked: set[str] = set()
    # With several tasks the platform calls every submission finished.
    all_count = len(phase.tasks) > 1
    for one in all_of_it:
        name, who, _ = one.submission
        quota = quotas.setdefault(who, Quota(phase))
        if name in counts:
            if counts[name]:
                quota.add(one.when)
            continue
        refusal = None if one.migrated else quota.refusal(one.when)
        if who in blocked or (refusal is not None and who in open_ends):
            blocked.add(who)
            waiting.append(one)
        elif refusal is not None:
            refused.append((one, refusal))
        else:
            ready.append(one)
            quota.add(one.when)
            if not all_count:
                open_ends.add(who)
    return Wave(tuple(ready), tuple(refused), tuple(waiting))


def migration(board: Board, before: Phase, phase: Phase) -> Migration:
    """Find out what the platform brings over from the phase `before` to `phase`.

    It takes what is finished and stands on the board, and only where the new phase
    asks for it. Of phases with several tasks it takes nothing: the board holds their
    parts, and it looks for the whole.

    Parameters
    ----------
    board : Board
        Of the phase `before`.
    before, phase : Phase
        The two phases.
    """
    if max(len(before.tasks), len(phase.tasks)) > 1:
        return Migration(
            (),
            (
                f"Nothing migrates from {before.name} to {phase.name}: the platform never migrates "
                "submissions of phases with several tasks. Participants hand in again.",
            ),
        )
    if not phase.auto_migrate:
        return Migration(
            (),
            (
                f"Nothing migrates from {before.name} to {phase.name}, which has no "
                "auto_migrate_to_this_phase. Participants hand in again.",
            ),
        )
    folders = tuple(row.folder for row in board.rows)
    if not folders:
        return Migration(
            (), (f"Nothing migrates to {phase.name}: the board of {before.name} is empty.",)
        )
    sentences = [
        f"{len(folders)} on the board of {before.name} under {board.rule}: run again on the task "
        f"of {phase.name}, whatever its quotas; each counts as one of its participant's there. "
        "Everything else stays behind.",
        "Some versions of the platform run migrated submissions on the task of the phase before: "
        "compare the first one's scores there with those here.",
    ]
    if board.rule in MANUAL_RULES:
        which = "every finished run" if board.rule.endswith("_Multiple") else "the latest one"
        sentences.insert(
            1,
            f"Assumed: every participant has put {which} on the board by hand. What nobody puts "
            "there does not migrate.",
        )
    return Migration(folders, tuple(sentences))


def migrated(phase: Phase, submissions: Sequence[Submission]) -> tuple[Arrival, ...]:
    """Let `submissions` arrive as the platform brings them over: in turn, by its timer."""
    begin = phase.start + TIMER
    return tuple(
        Arrival(one, begin + n * timedelta(seconds=1), migrated=True)
        for n, one in enumerate(submissions)
    )
