"""One submission run two times, and what differs between the two.

The second run lies in the folder of the first, where no board looks, so it is no attempt
of the participant's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from mimicry.codabench.model import Phase
from mimicry.codabench.provenance import (
    DIFFERS,
    IDENTICAL,
    Provenance,
    read_provenance,
    write_provenance,
)
from mimicry.codabench.provenance_facts import predictions_sha256
from mimicry.codabench.records import FINISHED, RunRecord, TaskRecord
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import Report, run_submission
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.hybrids.predictions import FILE_NAME, parse_predictions
from mimicry.hybrids.tables import MAX_TABLE_BYTES

SECOND = "second-run"
"""The second run's folder below the first's."""

MOST_NAMED = 5


class Moved(NamedTuple):
    """An image whose score differs, and its two scores."""

    image: str
    first: float
    second: float


@dataclass(frozen=True)
class TaskDifference:
    """What differs between two runs of one task.

    Attributes
    ----------
    identical : bool
        Whether predictions are the same byte for byte, and scores equal.
    images : int or None
        How many have a score in both runs; None where there are no two readable files.
    differing : int
        How many of them have two different scores.
    alone : int
        How many have a score in one run only.
    largest : tuple of Moved
        Those of the largest absolute differences, at most 5, the largest first.
    spread : float
        Largest minus smallest score of the first run, to judge differences by.
    rank_correlation : float or None
        Spearman's, -1 to 1, of the two runs' scores, ties at their mean rank; None for
        less than two images, or where all scores of a run are equal.
    columns : Mapping
        Column key -> the two values, None for one that is missing.
    """

    identical: bool
    images: int | None
    differing: int
    alone: int
    largest: tuple[Moved, ...]
    spread: float
    rank_correlation: float | None
    columns: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Twice:
    """Two runs of the same.

    Attributes
    ----------
    first : RunRecord
        The run itself.
    second : RunRecord or None
        The second one; None where the first failed or nothing runs.
    folder : Path
        Where the second one lies.
    tasks : Mapping
        Task key -> `TaskDifference`, for tasks that both have finished.
    nothing_runs : bool
        Whether submissions are scored as they are, so that there is nothing to repeat.
    """

    first: RunRecord
    second: RunRecord | None
    folder: Path
    tasks: Mapping[str, TaskDifference]
    nothing_runs: bool = False

    @property
    def repeated(self) -> str | None:
        """``identical`` or ``differs``; None where nothing was repeated."""
        if self.nothing_runs:
            return IDENTICAL
        if self.second is None:
            return None
        return outcome(self.first, self.tasks)


def run_twice(request: RunRequest, report: Report = print) -> Twice:
    """Run a submission two times and compare.

    The second run lies in ``second-run`` below the first one's folder. Either is resumed
    where an earlier one in its folder finished. ``repeated`` goes into the first run's
    provenance.

    Raises
    ------
    MimicryError
        As `mimicry.codabench.runs.run_submission`.
    JobStoppedError
        When the request's `stop` was set.
    """
    first = run_submission(request, report)
    output = request.output.resolve()
    folder = output / SECOND
    if any(task.state != FINISHED for task in first.tasks.values()):
        return Twice(first, None, folder, {})
    if not any(runs_code(request.phase, output, key) for key in first.tasks):
        found = Twice(first, None, folder, {}, nothing_runs=True)
    else:
        report("\nthe same again, to see whether it gives the same")
        second = run_submission(replace(request, output=folder), report)
        found = Twice(first, second, folder, compare_runs(output, first, folder, second))
    _record(output, found)
    return found


def compare_runs(
    first_folder: Path, first: RunRecord, second_folder: Path, second: RunRecord
) -> dict[str, TaskDifference]:
    """Compare two runs, given their folders and records, in every task that both have finished."""
    return {
        key: compare_tasks(first_folder / key, task, second_folder / key, second.tasks[key])
        for key, task in first.tasks.items()
        if key in second.tasks and second.tasks[key].state == FINISHED
    }


def outcome(first: RunRecord, tasks: Mapping[str, TaskDifference]) -> str:
    """Return ``identical`` where every task of `first` is among `tasks` and identical."""
    same = len(tasks) == len(first.tasks)
    return IDENTICAL if same and all(one.identical for one in tasks.values()) else DIFFERS


def compare_tasks(
    first: Path, first_task: TaskRecord, second: Path, second_task: TaskRecord
) -> TaskDifference:
    """Compare what two runs of one task left, given their folders and records."""
    one, two = first_task.scores or {}, second_task.scores or {}
    columns = {key: (one.get(key), two.get(key)) for key in dict.fromkeys((*one, *two))}
    digests = predictions_sha256(first / "prediction"), predictions_sha256(second / "prediction")
    identical = None not in digests and digests[0] == digests[1] and one == two
    before, after = _scores(first / "prediction"), _scores(second / "prediction")
    if before is None or after is None:
        return TaskDifference(identical, None, 0, 0, (), 0.0, None, columns)
    common = [name for name in before if name in after]
    moved = [Moved(n, before[n], after[n]) for n in common if before[n] != after[n]]
    moved.sort(key=lambda found: (-abs(found.second - found.first), found.image))
    values = list(before.values())
    return TaskDifference(
        identical=identical,
        images=len(common),
        differing=len(moved),
        alone=len(before) + len(after) - 2 * len(common),
        largest=tuple(moved[:MOST_NAMED]),
        spread=max(values) - min(values) if values else 0.0,
        rank_correlation=_rank_correlation(
            [before[name] for name in common], [after[name] for name in common]
        ),
        columns=columns,
    )


def runs_code(phase: Phase, output: Path, key: str) -> bool:
    """Tell whether a task ran anything of the submission's: by ingestion, or by its own command."""
    task = next((one for one in phase.tasks if one.key == key), None)
    own = output / key / "logs" / "submission.stdout.txt"
    return (task is not None and task.ingestion_program is not None) or own.exists()


def _scores(prediction: Path) -> dict[str, float] | None:
    try:
        data = read_regular_file(prediction / FILE_NAME, MAX_TABLE_BYTES)
        return parse_predictions(data).scores
    except (UnusableFile, SubmissionError):
        return None


def _rank_correlation(first: list[float], second: list[float]) -> float | None:
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    import numpy as np
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _record(output: Path, found: Twice) -> None:
    try:
        origin = read_provenance(output)
    except BundleError:
        return
    origin = origin if origin is not None else Provenance(found.first)
    write_provenance(output, replace(origin, repeated=found.repeated))
