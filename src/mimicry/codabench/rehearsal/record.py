"""What a rehearsal found out, and how it stands in ``rehearsal.json``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimicry.codabench.boards.board import Board
from mimicry.codabench.boards.data import board_content
from mimicry.codabench.competition import Competition, Phase
from mimicry.codabench.records import RUNNING, RunRecord, TaskRecord
from mimicry.codabench.rehearsal.folder import VERSION
from mimicry.codabench.rehearsal.plan import Migration, Submission
from mimicry.codabench.run_text import failures
from mimicry.errors import EXIT_BUG, EXIT_BUNDLE, EXIT_DONE, EXIT_SUBMISSION, MimicryError

REFUSED, STOPPED = "refused", "stopped"


@dataclass(frozen=True)
class Outcome:
    """What became of one submission in one phase.

    Attributes
    ----------
    submission : Submission
        Which one.
    phase : str
        The phase's slug.
    state : {"finished", "failed", "refused"}
        ``refused`` by the phase's quotas, as the platform would.
    submitted : str
        When it was handed in, ISO 8601; empty when it could not be packed.
    migrated : bool
        Whether it was brought over from the phase before.
    kept : bool
        Whether an earlier rehearsal's run was kept.
    folder : str
        The run's, relative to the rehearsal's.
    record : RunRecord or None
        How the run went; None where there was none.
    refusal : str or None
        The platform's sentence for what it refuses.
    error : MimicryError or None
        Why there was no run at all.
    """

    submission: Submission
    phase: str
    state: str
    submitted: str = ""
    migrated: bool = False
    kept: bool = False
    folder: str = ""
    record: RunRecord | None = None
    refusal: str | None = None
    error: MimicryError | None = None

    @property
    def exit_code(self) -> int:
        """0 for what went as it should, refusals among it, else 3, 4 or 1."""
        if self.error is not None:
            return self.error.exit_code
        return self.record.exit_code if self.record is not None else EXIT_DONE

    def reasons(self) -> list[str]:
        """Return one sentence for everything that failed, each with its code."""
        if self.error is not None:
            return [str(self.error)]
        if self.record is None:
            return []
        told = failures(self.record)
        alone = next(iter(self.record.tasks), "") if len(self.record.tasks) == 1 else None
        return told if alone is None else [line.removeprefix(f"task {alone}: ") for line in told]

    def line(self) -> str:
        """Return in one line how the run ended."""
        name = f"[{self.submission.name}]"
        if self.kept:
            return f"{name} kept from an earlier rehearsal: {self.state}"
        failed = "; ".join(self.reasons())
        if self.record is None or failed:
            return f"{name} {self.state}: {failed}"
        spent = sum(s or 0.0 for task in self.record.tasks.values() for s in task.seconds.values())
        return f"{name} {self.state} in {spent:.1f} s"


@dataclass(frozen=True)
class PhaseResult:
    """One phase of a rehearsal: its outcomes in the order of handing in, and its board.

    `moved` tells what the platform brings over to it; None for the first phase.
    """

    phase: Phase
    outcomes: tuple[Outcome, ...]
    board: Board
    moved: Migration | None


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal, played or at work.

    Attributes
    ----------
    competition : Competition
        Which one.
    engine : str
        Where programs ran.
    jobs : int
        How many submissions ran side by side.
    folder : Path
        Where everything lies.
    started : str
        When this rehearsal, or the latest part of it, began.
    finished : str or None
        When it ended.
    state : {"running", "stopped", "finished"}
        How it stands; ``running`` for ever when it was killed.
    phases : tuple of PhaseResult
        Those played so far.
    """

    competition: Competition
    engine: str
    jobs: int
    folder: Path
    started: str = ""
    finished: str | None = None
    state: str = RUNNING
    phases: tuple[PhaseResult, ...] = ()

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All outcomes, phase by phase."""
        return tuple(outcome for phase in self.phases for outcome in phase.outcomes)

    @property
    def exit_code(self) -> int:
        """The worst of the outcomes': 1 before 4 before 3 before 0."""
        codes = {outcome.exit_code for outcome in self.outcomes}
        return next((c for c in (EXIT_BUG, EXIT_BUNDLE, EXIT_SUBMISSION) if c in codes), EXIT_DONE)


def share_of_limit(task: TaskRecord, limit: int) -> float | None:
    """Return the slowest step's part of the time limit, 0 to 1 and above; None without a step."""
    spent = [seconds for seconds in task.seconds.values() if seconds is not None]
    return max(spent) / limit if spent else None


def peak_memory(task: TaskRecord) -> int | None:
    """Return the larger of the steps' peaks in bytes, None where none was measured."""
    return max((peak for peak in task.memory.values() if peak is not None), default=None)


def rehearsal_content(rehearsal: Rehearsal) -> dict[str, Any]:
    """Return what stands in ``rehearsal.json``; folders are relative to its own."""
    return {
        "version": VERSION,
        "competition": rehearsal.competition.id,
        "title": rehearsal.competition.title,
        "state": rehearsal.state,
        "engine": rehearsal.engine,
        "jobs": rehearsal.jobs,
        "started": rehearsal.started,
        "finished": rehearsal.finished,
        "exit_code": rehearsal.exit_code,
        "phases": [_phase(result) for result in rehearsal.phases],
    }


def rehearsal_json(rehearsal: Rehearsal) -> str:
    """Return ``rehearsal.json``'s text."""
    return json.dumps(rehearsal_content(rehearsal), indent=2) + "\n"


def _phase(result: PhaseResult) -> dict[str, Any]:
    phase = result.phase
    return {
        "name": phase.name,
        "phase": phase.slug,
        "start": phase.start.isoformat(),
        "end": phase.end.isoformat() if phase.end is not None else None,
        "execution_time_limit": phase.execution_time_limit,
        "max_submissions_per_day": phase.max_submissions_per_day,
        "max_submissions": phase.max_submissions,
        "migration": None if result.moved is None else result.moved._asdict(),
        "submissions": [_outcome(one, phase.execution_time_limit) for one in result.outcomes],
        "board": board_content(result.board),
    }


def _outcome(one: Outcome, limit: int) -> dict[str, Any]:
    record = one.record
    return {
        "name": one.submission.name,
        "participant": one.submission.participant,
        "sha256": record.submission_sha256 if record is not None else None,
        "state": one.state,
        "submitted": one.submitted,
        "migrated": one.migrated,
        "kept": one.kept,
        "folder": one.folder,
        "refusal": one.refusal,
        "error": one.error.sentence if one.error is not None else None,
        "error_code": one.error.code if one.error is not None else None,
        "exit_code": one.exit_code,
        "tasks": {
            key: {
                "state": task.state,
                "exit_codes": dict(task.exit_codes),
                "seconds": dict(task.seconds),
                "memory": dict(task.memory),
                "share_of_limit": share_of_limit(task, limit),
                "scores": None if task.scores is None else dict(task.scores),
                "error": task.error,
                "error_code": task.error_code,
                "notes": list(task.notes),
            }
            for key, task in (record.tasks.items() if record is not None else ())
        },
    }
