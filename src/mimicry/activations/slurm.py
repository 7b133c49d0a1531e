"""Extraction as an array of Slurm jobs, through submitit.

Each task of the array gets every n-th model, and extracts as on a laptop: the store's locks
and manifests are all that tasks share, so a task that is requeued goes on behind the last
whole shard. A task notes each outcome in a file of its own in the log folder; this side
reads those files and asks ``squeue`` for the tasks' states. Submitit's own waiting is not
used: without accounting it never learns that a job died without a result.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mimicry.activations.extract import Outcome, Request, Room, Say, extract_models
from mimicry.activations.jobs import Model
from mimicry.errors import BundleError, one_line

# States in which a task may still do something; in any other it has ended.
ALIVE = frozenset(
    {
        *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING"),
        *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "SPECIAL_EXIT"),
        *("STAGE_OUT", "PREEMPTED"),
    }
)
# A shared file system may show a file this much later than another machine wrote it.
FILE_DELAY = 15.0
# A controller that is restarted answers again within minutes.
SILENCE = 300.0


@dataclass(frozen=True)
class SlurmOptions:
    """What to ask Slurm for, per task.

    Attributes
    ----------
    folder : Path
        For logs and outcomes; on a file system that all nodes share.
    partition : str or None
        None for the cluster's default.
    minutes : int
        Time limit of a task. One that reaches it is requeued up to three times.
    gpus, cpus : int
        For each task.
    memory_gb : float or None
        None for the cluster's default.
    tasks : int
        Of the array, at most.
    at_once : int
        Tasks that may run at once.
    wait_minutes : float or None
        After which all tasks are cancelled; None to wait as long as they live.
    extra : mapping
        Further options of sbatch, such as ``{"account": "abc"}``.
    """

    folder: Path
    partition: str | None = None
    minutes: int = 240
    gpus: int = 0
    cpus: int = 4
    memory_gb: float | None = None
    tasks: int = 64
    at_once: int = 16
    wait_minutes: float | None = None
    extra: dict[str, str] = field(default_factory=dict)


class Task:
    """What one task of the array does; picklable, and requeued where it is preempted."""

    def __init__(self, request: str, models: Sequence[Model], outcomes: str) -> None:
        self.request = request
        self.models = list(models)
        self.outcomes = outcomes

    def __call__(self) -> int:
        """Extract the task's models; return how many failed."""
        path = Path(self.outcomes)
        # Of an attempt before a requeue: its failures are tried again.
        path.unlink(missing_ok=True)
        failed = 0
        room = Room(Request.from_text(self.request))
        indexes = [model.index for model in self.models]
        for outcome in extract_models(room, indexes, count=_uncounted, say=print):
            failed += outcome.state == "failed"
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(list(outcome)) + "\n")
        return failed

    def checkpoint(self) -> Any:
        """Return the same task, for submitit to queue again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _uncounted(done: int, computed: bool = True) -> None:
    pass


def slurm_problem() -> str | None:
    """Return why no job can be handed to Slurm here, None if one can."""
    for command in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(command) is None:
            return f"there is no command {command}"
    try:
        done = _call(["sinfo", "--noheader", "--format", "%P"], timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "sinfo does not answer"
    if done.returncode or not done.stdout.strip():
        return f"no partition answers ({one_line(done.stderr, 200) or 'none is listed'})"
    try:
        import submitit  # noqa: F401
    except ImportError:
        return "the library submitit is missing (pip install submitit)"
    return None


def run_on_slurm(
    request: Request,
    models: Sequence[Model],
    options: SlurmOptions,
    *,
    say: Say,
    count_models: Callable[[int], None] = lambda more: None,
    poll: float = 3.0,
) -> list[Outcome]:
    """Extract models by an array of Slurm jobs, and wait for them.

    Whatever ends the waiting early (an interrupt, the time given for it) cancels the array.

    Parameters
    ----------
    request : Request
        With paths that mean the same on every node.
    models : sequence of Model
        What to extract; one at least.
    options : SlurmOptions
        What to ask for.
    say : callable
        Gets lines for people.
    count_models : callable
        Told how many more models are done.
    poll : float
        Seconds between looks.

    Returns
    -------
    list of Outcome
        One for each model; `slurm-task-died` for those whose task ended before them.

    Raises
    ------
    BundleError
        ``slurm-missing``, ``slurm-refused``, ``slurm-silent``, ``slurm-timeout``.
    """
    if problem := slurm_problem():
        raise BundleError(
            "slurm-missing", f"No job can be handed to Slurm: {problem}; leave out --slurm."
        )
    count = min(options.tasks, len(models))
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    shares = [models[number::count] for number in range(count)]
    run = f"{time.time_ns():x}"
    files = [folder / f"outcomes-{run}-{number}.jsonl" for number in range(count)]
    tasks = [
        Task(request.text(), share, str(file)) for share, file in zip(shares, files, strict=True)
    ]
    jobs = _submit(tasks, options, folder)
    array = jobs[0].split("_")[0]
    say(f"Slurm job {array}: {count} tasks for {len(models)} models; logs in {folder}")
    try:
        ended = _wait(jobs, shares, files, options, say=say, count_models=count_models, poll=poll)
    except BaseException:
        _call(["scancel", array], timeout=60)
        raise
    outcomes: list[Outcome] = []
    for job, share, file in zip(jobs, shares, files, strict=True):
        done = _read(file)
        outcomes += done
        known = {outcome.label for outcome in done}
        state = ended.get(job, "UNKNOWN")
        for model in share:
            if model.label not in known:
                text = (
                    f"Its Slurm task {job} ended ({state}) without a result; see "
                    f"{folder / f'{job}_0_log.err'}, then run the command again. [slurm-task-died]"
                )
                outcomes.append(Outcome(model.label, "failed", text, "slurm-task-died"))
    return outcomes


def _submit(tasks: list[Task], options: SlurmOptions, folder: Path) -> list[str]:
    import submitit

    executor = submitit.SlurmExecutor(folder=folder)
    parameters: dict[str, Any] = {
        "job_name": "mimicry-activations",
        "time": options.minutes,
        "cpus_per_task": options.cpus,
        "array_parallelism": options.at_once,
        "additional_parameters": dict(options.extra),
    }
    if options.partition is not None:
        parameters["partition"] = options.partition
    if options.gpus:
        parameters["gpus_per_node"] = options.gpus
    if options.memory_gb is not None:
        parameters["mem"] = f"{int(options.memory_gb * 1024)}MB"
    executor.update_parameters(**parameters)
    try:
        # An array of one would get another kind of id; so would its log files.
        with executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"submitit", "subprocess"}:
            raise
        raise BundleError(
            "slurm-refused",
            f"Slurm did not take the jobs ({one_line(str(error), 400)}); change the --slurm "
            "options.",
        ) from error
    return [job.job_id for job in jobs]


def _wait(
    jobs: Sequence[str],
    shares: Sequence[Sequence[Model]],
    files: Sequence[Path],
    options: SlurmOptions,
    *,
    say: Say,
    count_models: Callable[[int], None],
    poll: float,
) -> dict[str, str]:
    """Wait until each task has told of all its models or has ended; return the final states."""
    began = heard = time.monotonic()
    gone_since: dict[str, float] = {}
    final: dict[str, str] = {}
    told, known = "", 0
    while True:
        now = time.monotonic()
        states = _states(jobs[0].split("_")[0])
        heard = now if states is not None else heard
        if now - heard > SILENCE:
            raise BundleError(
                "slurm-silent",
                f"squeue has not answered for {SILENCE:.0f} s; run the command again once Slurm "
                "is back: finished shards are kept.",
            )
        done = [_read(file) for file in files]
        count_models(sum(len(one) for one in done) - known)
        known = sum(len(one) for one in done)
        finished = 0
        for job, share, outcomes in zip(jobs, shares, done, strict=True):
            if states is not None:
                state, _ = states.get(job, ("GONE", ""))
                if state not in ALIVE:
                    final[job] = state
                    gone_since.setdefault(job, now)
                else:
                    gone_since.pop(job, None)
            # Requeued or not, a task that told of all its models has nothing left to do.
            lost = job in gone_since and now - gone_since[job] >= FILE_DELAY
            finished += len(outcomes) >= len(share) or lost
        line = _progress(states, jobs, shares, done)
        if line != told:
            say(line)
            told = line
        if finished == len(jobs):
            return final
        if options.wait_minutes is not None and now - began > options.wait_minutes * 60:
            raise BundleError(
                "slurm-timeout",
                f"The Slurm tasks were not done after {options.wait_minutes:g} minutes and are "
                "cancelled; run the command again: finished shards are kept.",
            )
        time.sleep(poll)


def _progress(
    states: dict[str, tuple[str, str]] | None,
    jobs: Sequence[str],
    shares: Sequence[Sequence[Model]],
    done: Sequence[Sequence[Outcome]],
) -> str:
    models = sum(len(share) for share in shares)
    line = f"{sum(len(one) for one in done)} of {models} models done"
    if states is None:
        return f"{line}; squeue does not answer"
    counts: dict[str, int] = {}
    for job in jobs:
        state, reason = states.get(job, ("GONE", ""))
        shown = state.lower() + (f" ({reason})" if state == "PENDING" and reason else "")
        counts[shown] = counts.get(shown, 0) + 1
    return f"{line}; tasks: " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))


def _states(array: str) -> dict[str, tuple[str, str]] | None:
    """Return the state of each task that Slurm still knows and why it waits; None if mute."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"]
    try:
        done = _call([*command, "--jobs", array], timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        # So it answers for jobs that it has forgotten.
        return {} if "Invalid job id" in done.stderr else None
    states = {}
    for line in done.stdout.splitlines():
        job, _, rest = line.strip().partition("|")
        state, _, reason = rest.partition("|")
        states[job] = (state, "" if reason == "None" else reason)
    return states


def _read(file: Path) -> list[Outcome]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    # The last line may be half there.
    return [Outcome(*json.loads(line)) for line in lines if line.endswith("\n")]


def _call(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
