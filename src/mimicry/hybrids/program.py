"""The scoring program: from the platform's folders to scores, or to a reason."""

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from mimicry.hybrids.outcome import Outcome, read_outcome
from mimicry.hybrids.predictions import match_predictions, parse_predictions
from mimicry.hybrids.reference import check_gradable, read_reference
from mimicry.hybrids.tasks import TASKS
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.hybrid_facts import Submitted
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring


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
        score=lambda source: score_submission(task.key, source),
    )
    return run_scoring(program, program_folder, arguments)


def score_submission(task_key: str, source: Path) -> Scored:
    """Score what ingestion left.

    Parameters
    ----------
    task_key : str
        A key of ``mimicry.hybrids.tasks.TASKS``.
    source : Path
        Holds ``ref``, the reference data, and ``res``, the prediction step's output.

    Returns
    -------
    Scored
        Every column of the task, and its page.

    Raises
    ------
    MimicryError
        Whatever `read_outcome`, `read_reference`, `check_gradable`, `parse_predictions`
        and `match_predictions` find.
    """
    task = TASKS[task_key]
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
    rows = [ScoreRow(c.key, c.title, results[c.key], c.explanation) for c in task.columns]
    submitted = _submitted(outcome, len(predicted))

    def page(facts: Facts) -> list[Element]:
        # After the scores are written: a page is a courtesy.
        from mimicry.reports.hybrids import declared_content, full_content

        if not facts.full:
            return declared_content(rows, submitted, facts)
        from mimicry.hybrids.details import find_details

        details = find_details(task, reference, predicted, results)
        return full_content(rows, submitted, facts, details)

    return Scored(results, f"{len(predicted):,} images", page)


def _submitted(outcome: Outcome, images: int) -> Submitted:
    return Submitted(
        images=images,
        costs=outcome.costs,
        sha256=outcome.sha256,
        versions=outcome.versions,
        replaced=outcome.replaced,
    )
