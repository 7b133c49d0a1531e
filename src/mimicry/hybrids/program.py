"""The scoring program: from the platform's folders to scores, or to a reason."""

import os
from collections.abc import Sequence
from pathlib import Path

from mimicry import __version__
from mimicry.hybrids.outcome import read_outcome
from mimicry.hybrids.predictions import match_predictions, parse_predictions
from mimicry.hybrids.reference import check_gradable, read_reference
from mimicry.hybrids.tasks import TASKS, Task
from mimicry.reports.hybrids import ScoreRow, results_page
from mimicry.scoring.program import Scored, ScoringProgram, run_scoring


def main(task_key: str, program_folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the scoring program of one task and return its exit code.

    Parameters
    ----------
    task_key : str
        A key of ``mimicry.hybrids.tasks.TASKS``.
    program_folder : Path
        Where the entry script lies, and ``phase.json`` if it was packed.
    arguments : sequence of str, optional
        ``[INPUT_DIR [OUTPUT_DIR]]``; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        As `mimicry.scoring.program.run_scoring`.
    """
    task = TASKS[task_key]
    program = ScoringProgram(
        task=task.key,
        title=task.title,
        reads="INPUT_DIR/ref (one CSV file with labels) and INPUT_DIR/res (what ingestion wrote)",
        columns=task.keys,
        score=lambda source: _score(task, source),
    )
    return run_scoring(program, program_folder, arguments)


def _score(task: Task, source: Path) -> Scored:
    outcome = read_outcome(source / "res")
    reference = read_reference(source / "ref")
    check_gradable(reference, task.groups, task.key)
    predicted = match_predictions(parse_predictions(outcome.predictions), reference.filenames)
    # The metrics run on one thread; pools of threads would only cost start-up
    # time. Faults above are told without loading numpy or scikit-learn.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from mimicry.hybrids.grading import grade

    results = grade(task, reference, predicted)

    def page(title: str, seconds: float) -> str:
        rows = [ScoreRow(c.key, c.title, results[c.key], c.explanation) for c in task.columns]
        return results_page(title, rows, len(predicted), outcome.seconds, seconds, __version__)

    return Scored(results, f"{len(predicted):,} images", page)
