"""Rehearsals: a whole competition played through on this machine.

Phase after phase, submissions are handed in at times inside the phase, taken or refused
by its quotas, run side by side, and put on the board; between two phases the platform's
migration is played. Every run has a folder of its own below the rehearsal's, so that the
same rehearsal goes on where it was stopped.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mimicry.codabench.boards.board import Board, make_board
from mimicry.codabench.boards.found_runs import REHEARSAL_FILE
from mimicry.codabench.competition import Competition, Phase
from mimicry.codabench.engines import NO_LIMITS, Engine, JobStoppedError, Resources
from mimicry.codabench.quotas import handed_in, shown
from mimicry.codabench.records import FAILED, FINISHED, RUN_FILE, RunRecord, now, read_run
from mimicry.codabench.rehearsal.folder import (
    SUBMISSIONS,
    packed,
    rehearsal_folder,
)
from mimicry.codabench.rehearsal.plan import (
    Arrival,
    Migration,
    Submission,
    arrivals,
    migrated,
    migration,
    next_wave,
)
from mimicry.codabench.rehearsal.record import (
    REFUSED,
    STOPPED,
    Outcome,
    PhaseResult,
    Rehearsal,
    rehearsal_json,
)
from mimicry.codabench.rehearsal.text import counted
from mimicry.codabench.rehearsal.voice import Voice
from mimicry.codabench.run_files import check_data_exists
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission
from mimicry.errors import BundleError, MimicryError, SubmissionError, one_line
from mimicry.files import remove_tree, sha256_file, write_atomically
from mimicry.system_faults import system_fault

Report = Callable[[str], None]
ShowBoard = Callable[[Board], str]


@dataclass(frozen=True)
class RehearsalRequest:
    """What to rehearse.

    Attributes
    ----------
    competition : Competition
        Whose phases are played.
    submissions : tuple of Submission
        Zips or folders, in the order in which they are handed in.
    engine : Engine
        Where programs run.
    output : Path
        The rehearsal's folder: new, empty, or one of an earlier rehearsal.
    jobs : int
        How many submissions run side by side.
    resources : Resources
        What every program may use.
    pull : bool
        Whether to pull the image first.
    worker_data : Path or None
        Shown to programs as ``/app/data``.
    verbose : bool
        Report every line that a run reports, not only warnings, beginnings and ends.
    """

    competition: Competition
    submissions: tuple[Submission, ...]
    engine: Engine
    output: Path
    jobs: int = 1
    resources: Resources = NO_LIMITS
    pull: bool = False
    worker_data: Path | None = None
    verbose: bool = False


def rehearse(
    request: RehearsalRequest, report: Report = print, show_board: ShowBoard | None = None
) -> Rehearsal:
    """Play a competition through, from its first phase to its last.

    Runs that an earlier rehearsal in the same folder finished are kept, as long as
    submission, programs, data, limit and engine are the same. ``rehearsal.json`` is
    written after every phase.

    Parameters
    ----------
    request : RehearsalRequest
        What to rehearse.
    report : callable
        Receives what happens, line by line, from one thread at a time.
    show_board : callable, optional
        Returns a board as text; it is reported after every phase.

    Returns
    -------
    Rehearsal
        Failures of submissions are in it, not raised.

    Raises
    ------
    BundleError
        `data-missing` for data of any phase; `rehearsal-folder`, `rehearsal-locked`,
        `run-folder-unwritable` about the output folder; what the engine finds wrong
        with the image.
    """
    return _Play(request, Voice(report, verbose=request.verbose), show_board).play()


class _Play:
    """A rehearsal at work."""

    def __init__(
        self, request: RehearsalRequest, voice: Voice, show_board: ShowBoard | None
    ) -> None:
        self.request = request
        self.voice = voice
        self.show_board = show_board
        self.stop = threading.Event()
        self.archives: dict[str, tuple[Path, str]] = {}
        """The zip of every submission that can be packed, and its SHA-256."""
        self._output = request.output.resolve()
        self._result = Rehearsal(
            request.competition, request.engine.name, request.jobs, self._output
        )

    def play(self) -> Rehearsal:
        """Do what `rehearse` says."""
        competition = self.request.competition
        tasks = {task.index: task for phase in competition.phases for task in phase.tasks}
        check_data_exists(tasks.values(), competition.bundle)
        with rehearsal_folder(self._output, competition.id):
            self._result = replace(self._result, started=now())
            self._save()
            try:
                self._introduce()
                self._phases()
            except BaseException as error:
                self._result = replace(self._result, state=STOPPED)
                self._save()
                if not isinstance(error, Exception):
                    # The terminal may be what went away.
                    with suppress(OSError):
                        self.voice.say("\nStopped. The same command goes on where this one was.")
                raise
            self._result = replace(self._result, state=FINISHED, finished=now())
            self._save()
        return self._result

    def _introduce(self) -> None:
        request = self.request
        people = counted(len({one.participant for one in request.submissions}), "participant")
        self.voice.say(
            f"Rehearsal of {request.competition.id}: "
            f"{counted(len(request.submissions), 'submission')} of {people}, {request.jobs} at a "
            f"time -> {self._output}"
        )
        if request.engine.prepare is not None:
            image = request.engine.prepare(request.competition.docker_image, request.pull)
            self.voice.say(image.line())
            for warning in image.warnings:
                self.voice.warn(f"warning: {warning}")
        self.voice.warn(request.engine.walls(request.resources))

    def _phases(self) -> None:
        phases = self.request.competition.phases
        failed = self._pack(phases[0])
        before: PhaseResult | None = None
        for phase in phases:
            moved = self._migrate(before, phase) if before is not None else None
            if moved is not None and moved.folders and before is not None:
                own = {one.folder: one.submission for one in before.outcomes}
                chosen = {own[folder].name for folder in moved.folders}
                coming = migrated(phase, [s for s in self._ready() if s.name in chosen])
            elif moved is not None and phase.auto_migrate:
                coming = ()
            else:
                coming = arrivals(phase, self._ready())
            before = self._play_phase(phase, coming, failed, moved)
            failed = ()
            self._result = replace(self._result, phases=(*self._result.phases, before))
            self._save()

    def _ready(self) -> list[Submission]:
        return [one for one in self.request.submissions if one.name in self.archives]

    def _pack(self, first: Phase) -> tuple[Outcome, ...]:
        """Pack what is handed in; return what cannot be."""
        self.voice.heading("Pack the submissions")
        failed = []
        for one in self.request.submissions:
            target = self._output / SUBMISSIONS / f"{one.name}.zip"
            try:
                path, warnings = packed(one.path, target, self.request.competition)
            except SubmissionError as error:
                self.voice.say(f"[{one.name}] cannot be packed: {error}")
                failed.append(Outcome(one, first.slug, FAILED, error=error))
                continue
            sha256 = sha256_file(path)
            self.archives[one.name] = (path, sha256)
            self.voice.say(f"[{one.name}] {one_line(str(one.path))} (SHA-256 {sha256[:12]})")
            for warning in warnings:
                self.voice.warn(f"packed: {warning}", one.name)
        return tuple(failed)

    def _migrate(self, before: PhaseResult, phase: Phase) -> Migration:
        self.voice.heading(f"Migration from {before.phase.name} to {phase.name}")
        found = migration(before.board, before.phase, phase)
        for sentence in found.sentences:
            self.voice.say(sentence)
        return found

    def _play_phase(
        self,
        phase: Phase,
        coming: Sequence[Arrival],
        failed: tuple[Outcome, ...],
        moved: Migration | None,
    ) -> PhaseResult:
        self.voice.heading(f"{phase.name}: {_terms(phase)}")
        self._tell_strangers(phase, coming)
        outcomes = self._hand_in(phase, coming)
        ordered = tuple(outcomes[one.submission.name] for one in coming)
        board = self._board(phase, ordered)
        self.voice.heading(f"Board of {phase.name}")
        if self.show_board is not None:
            self.voice.say(self.show_board(board).rstrip("\n"))
        return PhaseResult(phase, (*failed, *ordered), board, moved)

    def _hand_in(self, phase: Phase, coming: Sequence[Arrival]) -> dict[str, Outcome]:
        """Run what the quotas let through; as many side by side as asked for."""
        outcomes: dict[str, Outcome] = {}
        counts: dict[str, bool] = {}
        while len(outcomes) < len(coming):
            wave = next_wave(phase, coming, counts)
            for one, reason in wave.refused:
                self.voice.say(f"[{one.submission.name}] refused: {reason}")
                outcomes[one.submission.name] = Outcome(
                    one.submission, phase.slug, REFUSED, one.when.isoformat(), refusal=reason
                )
                counts[one.submission.name] = False
            for outcome in self._side_by_side(phase, wave.ready, len(outcomes), len(coming)):
                outcomes[outcome.submission.name] = outcome
                counts[outcome.submission.name] = (
                    outcome.record is not None and handed_in(outcome.record).counts
                )
        return outcomes

    def _side_by_side(
        self, phase: Phase, ready: Sequence[Arrival], done: int, total: int
    ) -> list[Outcome]:
        ended: list[Outcome] = []
        with ThreadPoolExecutor(max_workers=max(self.request.jobs, 1)) as pool:
            running: list[Future[Outcome]] = []
            try:
                running = [pool.submit(self._run, phase, one) for one in ready]
                for future in as_completed(running):
                    ended.append(future.result())
                    self.voice.say(f"{ended[-1].line()}; {done + len(ended)} of {total} done")
            except BaseException:
                self.stop.set()
                for future in running:
                    future.cancel()
                raise
        return ended

    def _run(self, phase: Phase, one: Arrival) -> Outcome:
        """Run one submission; called from several threads."""
        name = one.submission.name
        folder = f"{phase.slug}/{name}"
        outcome = Outcome(
            one.submission, phase.slug, FAILED, one.when.isoformat(), one.migrated, folder=folder
        )
        path, sha256 = self.archives[name]
        try:
            if self.stop.is_set():
                raise JobStoppedError
            earlier = self._earlier(self._output / folder, name, sha256)
            if earlier is None or earlier.state != FINISHED:
                self.voice.say(f"[{name}] started")
            record = run_submission(
                RunRequest(
                    competition=self.request.competition,
                    phase=phase,
                    tasks=phase.tasks,
                    submission=path,
                    participant=one.submission.participant,
                    engine=self.request.engine,
                    output=self._output / folder,
                    resources=self.request.resources,
                    worker_data=self.request.worker_data,
                    submitted=one.when.isoformat(),
                    migrated=one.migrated,
                    stop=self.stop,
                ),
                lambda line: self.voice.relay(name, line),
            )
        except JobStoppedError:
            raise
        except MimicryError as error:
            return replace(outcome, error=error)
        except Exception as error:
            fault = system_fault(error) if isinstance(error, OSError) else None
            if fault is not None:
                return replace(outcome, error=fault)
            # One submission that trips over a bug of ours must not cost the others' runs.
            self.voice.say(f"[{name}] {''.join(traceback.format_exception(error)).rstrip()}")
            bug = MimicryError("bug", one_line(f"Mimicry itself failed: {error!r}"))
            return replace(outcome, error=bug)
        kept = earlier is not None and earlier.finished == record.finished
        return replace(outcome, state=record.state, record=record, kept=kept)

    def _earlier(self, folder: Path, name: str, sha256: str) -> RunRecord | None:
        """Return an earlier rehearsal's run of this submission; one of another makes room."""
        if not (folder / RUN_FILE).exists():
            return None
        try:
            earlier = read_run(folder)
        except BundleError:
            self.voice.say(f"[{name}] the record of its earlier run is damaged: run anew")
            remove_tree(folder)
            return None
        if earlier.submission_sha256 != sha256:
            self.voice.say(f"[{name}] has changed since an earlier rehearsal: its run is removed")
            remove_tree(folder)
            return None
        return earlier

    def _board(self, phase: Phase, outcomes: Sequence[Outcome]) -> Board:
        runs = [(one.folder, one.record) for one in outcomes if one.record is not None]
        return make_board(self.request.competition, phase, runs)

    def _tell_strangers(self, phase: Phase, coming: Sequence[Arrival]) -> None:
        """Name runs of an earlier rehearsal that this one does not play."""
        folder = self._output / phase.slug
        here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        left = sorted(here - {one.submission.name for one in coming})
        if left:
            self.voice.say(
                f"note: {', '.join(left)} in {folder} are of an earlier rehearsal; left out."
            )

    def _save(self) -> None:
        write_atomically(self._output / REHEARSAL_FILE, rehearsal_json(self._result))


def _terms(phase: Phase) -> str:
    """Return a phase's rules in a few words."""
    end = f"to {shown(phase.end)}" if phase.end is not None else "without an end"
    a_day, limit = phase.max_submissions_per_day, phase.max_submissions
    quota = f"{a_day or 'any number'} a day, {limit or 'any number'} in all"
    return f"{shown(phase.start)} {end}; {quota}; limit {phase.execution_time_limit} s"
