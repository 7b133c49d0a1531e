"""Runs of one task against each other: intervals of their scores, and who is beyond error.

What counts as error is told in docs/uncertainty.md; the numbers come from
`mimicry.hybrids.uncertainty` and `mimicry.realign.draws`.
"""

from collections.abc import Sequence
from pathlib import Path

from mimicry.codabench.boards.compared_rows import Compared, Fail, Row, Step
from mimicry.codabench.boards.comparing_hybrids import compare_hybrids
from mimicry.codabench.boards.comparing_realign import compare_blue, compare_red
from mimicry.codabench.model import Task
from mimicry.codabench.rescoring import Grader, staged_reference


def compare_runs(
    rows: Sequence[Row],
    task: Task,
    grader: Grader,
    primary: str,
    *,
    worker_data: Path | None,
    fail: Fail,
    step: Step,
) -> Compared | None:
    """Score the runs of one task again and compare every two of them.

    Parameters
    ----------
    rows : sequence of Row
        Those whose ranking value is of this task.
    task, grader : Task, Grader
        Whose data, and what scores it.
    primary : str
        Key of the column that ranks.
    worker_data : Path or None
        What stands for ``/app/data``.
    fail : callable
        Called as ``fail(place, reason)`` for every row that cannot be compared.
    step : callable
        Called with words on what is done next.

    Returns
    -------
    Compared or None
        Of the rows that did not fail, None where there is none.

    Raises
    ------
    BundleError
        What is wrong with the task's data, or `activations-missing` where they lie on
        the worker and `worker_data` is None.
    """
    with staged_reference(task, worker_data=worker_data) as source:
        if grader.room == "hybrids":
            return compare_hybrids(rows, task, grader.key, primary, source, fail, step)
        team = compare_blue if grader.key == "blue" else compare_red
        return team(rows, task, primary, source, fail, step)
