"""Why a step of a task failed, and whose it is to mend."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from mimicry.codabench import task_plan
from mimicry.codabench.engines import JobResult
from mimicry.codabench.records import EXIT_CODES
from mimicry.codabench.run_files import last_lines, read_ingestion_state
from mimicry.codabench.task_plan import TaskPlan
from mimicry.errors import one_line

# Neither program sends itself these: they come from people, or from a machine in need.
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_CODE = re.compile(r"^(?P<sentence>.*) \[(?P<code>[a-z0-9-]{1,60})\]$")


@dataclass(frozen=True)
class Problem:
    """One sentence, its code, and whose it is: ``submission``, ``bundle`` or ``bug``."""

    sentence: str
    code: str
    kind: str


def ingestion_problem(plan: TaskPlan, folder: Path, result: JobResult | None) -> Problem | None:
    """Return why ingestion failed, in its own words where it left any."""
    if result is None:
        return None
    state = read_ingestion_state(folder / "prediction")
    kind, code = str(state.get("error_kind")), str(state.get("error_code"))
    # The program's exit code vouches for the file; without it, anybody may have written it.
    if state.get("state") == "failed" and EXIT_CODES.get(kind) == result.exit_code:
        return Problem(
            one_line(str(state.get("error"))),
            code if re.fullmatch(r"[a-z0-9-]{1,60}", code) else "ingestion-failed",
            kind,
        )
    if result.timed_out:
        return Problem(
            f"Ingestion was ended by force after {result.seconds:.0f} s, "
            f"{task_plan.GRACE:g} s over its limit; the platform may wait longer or not at all.",
            "hard-time-limit",
            "submission",
        )
    return _exit_problem(plan, "ingestion", folder, result)


def unprotected(plan: TaskPlan, folder: Path, result: JobResult | None) -> Problem | None:
    """Return what to say of ingestion that has not confirmed the protections asked for."""
    if not plan.require_isolation or result is None or result.exit_code != 0:
        return None
    said = read_ingestion_state(folder / "prediction").get("isolation")
    if isinstance(said, dict) and said.get("active") and said.get("missing") == []:
        return None
    return Problem(
        "The ingestion program does not say that all protections were active, as "
        "--require-isolation wants it; use this project's own, packed anew.",
        "isolation-missing",
        "bundle",
    )


def scoring_problem(plan: TaskPlan, folder: Path, result: JobResult) -> Problem | None:
    """Return why scoring failed, in its own words where it left any."""
    if result.timed_out:
        return Problem(
            f"Scoring of task {plan.task.key} was ended by force after {result.seconds:.0f} s.",
            "hard-time-limit",
            "bundle",
        )
    return _exit_problem(plan, "scoring", folder, result)


def _exit_problem(plan: TaskPlan, step: str, folder: Path, result: JobResult) -> Problem | None:
    if result.exit_code == 0:
        return None
    said = last_lines(folder / "logs" / f"{step}.stderr.txt", 1, 2000)
    sentence = said[0].strip() if said else ""
    match = _CODE.match(sentence)
    # Wrong usage: the command in the program's metadata.
    kind = {2: "bundle", 3: "submission", 4: "bundle"}.get(result.exit_code, "bug")
    if match:
        return Problem(match["sentence"], match["code"], kind)
    name = "Ingestion" if step == "ingestion" else f"Scoring of task {plan.task.key}"
    if not result.out_of_memory and result.exit_code - 128 in _FROM_OUTSIDE:
        return Problem(
            f"{name} {result.ending()}, from outside or because this machine's memory ran out. "
            "Run it again.",
            f"{step}-exit",
            "bundle",
        )
    if result.out_of_memory:
        # Whose fault it is: only ingestion runs the participant's code.
        owner = "submission" if step == "ingestion" else "bundle"
        sentence = f"{name} {result.ending()}{_of_memory(plan)}."
        return Problem(sentence, f"{step}-memory", owner)
    sentence = f"{name} {result.ending()}: {sentence}" if said else f"{name} {result.ending()}."
    return Problem(sentence, f"{step}-exit", kind)


def memory_note(plan: TaskPlan, step: str, result: JobResult | None) -> list[str]:
    """Return a note for a step of which the kernel has ended a process for want of memory."""
    if result is None or not result.out_of_memory:
        return []
    return [f"{step}: a process was ended for want of memory{_of_memory(plan)}."]


def _of_memory(plan: TaskPlan) -> str:
    memory = plan.resources.memory
    return "" if memory is None else f" (it had {memory / 2**20:g} MiB, --memory)"
