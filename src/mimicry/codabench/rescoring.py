"""Runs scored again, from their predictions and the reference data of their task.

A run's folder may hold anything: its predictions are read by the functions that the
scoring programs use, which follow no link, and no program is started.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mimicry.codabench.model import Task
from mimicry.codabench.realign_data import team_of_folder
from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_files import unpack_data
from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.validation.programs import read_scripts
from mimicry.codabench.validation.source import FolderSource, SourceError
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import remove_tree
from mimicry.scoring.sealed import holds_sealed, open_reference

if TYPE_CHECKING:
    from mimicry.scoring.kinds import Scored

TOLERANCE = 1e-9
"""By how much a recomputed score may differ: rounding on another machine."""

_HYBRIDS = re.compile(rb"^from mimicry\.hybrids\.program import main\b", re.MULTILINE)
_TASK = re.compile(rb"\bmain\(\s*[\"'](A|mimic|hybrid)[\"']")


class Grader(NamedTuple):
    """A scoring program of this project.

    Attributes
    ----------
    room : {"hybrids", "realign"}
        Which package scores.
    key : str
        A key of ``mimicry.hybrids.tasks.TASKS``, or the team.
    """

    room: Literal["hybrids", "realign"]
    key: str


def grader_of(task: Task) -> Grader | None:
    """Return what a task's scoring program grades with; None for a program of others."""
    team = team_of_folder(task.scoring_program)
    if team is not None:
        return Grader("realign", team)
    try:
        for _, source in read_scripts(FolderSource(task.scoring_program)):
            found = _TASK.search(source) if _HYBRIDS.search(source) else None
            if found is not None:
                return Grader("hybrids", found[1].decode())
    except (SourceError, OSError, BundleError):
        return None
    return None


def predictions_of(run_folder: Path, task: Task) -> Path:
    """Return the folder with what one task of a run predicted.

    Raises
    ------
    BundleError
        `run-incomplete` when it is missing, or a link in its place.
    """
    folder = run_folder
    for name in (task.key, "prediction"):
        folder = folder / name
        try:
            plain = stat.S_ISDIR(os.lstat(folder).st_mode)
        except OSError:
            plain = False
        if not plain:
            raise BundleError(
                "run-incomplete",
                f"The predictions of task {task.key} are gone, so it cannot be scored again; run "
                "the submission again.",
            )
    return folder.resolve()


@contextmanager
def staged_reference(task: Task, *, worker_data: Path | None = None) -> Iterator[Path]:
    """Give a scratch folder with a task's reference data as ``ref``.

    Parameters
    ----------
    task : Task
        Whose data.
    worker_data : Path, optional
        Shown as ``data`` beside the folder, where scoring looks for ``/app/data``, and
        for the key of sealed data.

    Raises
    ------
    BundleError
        `data-missing`, `data-zip`, `temporary-folder`, and for sealed data what
        `mimicry.scoring.sealed.open_reference` finds.
    """
    if task.reference_data is None or not task.reference_data.exists():
        raise BundleError(
            "data-missing",
            f"The reference data of task {task.key} are not there, so nothing can be scored again.",
        )
    with scratch_folder() as scratch:
        source = scratch / "input"
        source.mkdir()
        if worker_data is not None:
            (scratch / "data").symlink_to(worker_data.resolve())
        # In this order, since one may lie within another.
        named = {
            f" ({source / 'ref'})": "",
            str(source / "ref"): "reference data",
            f"{task.reference_data.parent.name}/{task.reference_data.name}": "The reference data",
        }
        if worker_data is not None:
            named |= {str(worker_data.resolve()): "/app/data"}
        named |= {str(scratch): "/app"}
        with _without_paths(named):
            unpack_data(task.reference_data, source / "ref")
            if holds_sealed(source / "ref"):
                open_reference(source / "ref", scratch / "opened", scratch / "data")
                remove_tree(source / "ref")
                (scratch / "opened").rename(source / "ref")
            yield source


@contextmanager
def _without_paths(named: Mapping[str, str]) -> Iterator[None]:
    """Put words for folders of this machine into errors: boards and pages are published."""
    try:
        yield
    except BundleError as error:
        sentence = error.sentence
        for path, words in named.items():
            sentence = sentence.replace(path, words)
        if sentence == error.sentence:
            raise
        raise BundleError(error.code, sentence) from error


@contextmanager
def staged(run_folder: Path, task: Task, *, worker_data: Path | None = None) -> Iterator[Path]:
    """Give a scratch folder as scoring reads it: ``ref``, and a run's predictions as ``res``.

    ``res`` leads to the run's own folder, since it may hold gigabytes.

    Raises
    ------
    BundleError
        `run-incomplete`, and as `staged_reference`.
    """
    predictions = predictions_of(run_folder, task)
    with staged_reference(task, worker_data=worker_data) as source:
        (source / "res").symlink_to(predictions)
        yield source


def rescored(
    folder: Path, record: RunRecord, task: Task, *, worker_data: Path | None = None
) -> "Scored":
    """Score one task of a run again, and see that the scores are those of its record.

    Parameters
    ----------
    folder : Path
        The run's.
    record : RunRecord
        What its ``run.json`` says.
    task : Task
        One that the run has finished.
    worker_data : Path, optional
        As for `staged_reference`.

    Returns
    -------
    Scored
        With the page of the scoring program.

    Raises
    ------
    BundleError
        `scoring-foreign` for a scoring program that is not of this project; `run-changed`
        when a score differs by more than 1e-9, or nothing can be scored any more: data
        or predictions are not those of the run; `run-incomplete`, and as
        `staged_reference`.
    """
    known_grader(task)
    recorded = record.tasks[task.key].scores if task.key in record.tasks else None
    if not recorded:
        raise BundleError("run-incomplete", f"This run has not finished task {task.key}.")
    scored = score_again(folder, task, worker_data=worker_data)
    check_unchanged(recorded, scored.scores)
    return scored


def known_grader(task: Task) -> Grader:
    """Return what a task's scoring program grades with.

    Raises
    ------
    BundleError
        `scoring-foreign` for a scoring program that is not of this project.
    """
    grader = grader_of(task)
    if grader is None:
        raise BundleError(
            "scoring-foreign",
            f"The scoring program of task {task.key} is not one of this project's, so its runs "
            "cannot be scored again here.",
        )
    return grader


def score_again(folder: Path, task: Task, *, worker_data: Path | None = None) -> "Scored":
    """Score what one task of a run left, whatever its record says.

    Raises
    ------
    BundleError
        As `rescored`, but for differing scores.
    """
    grader = known_grader(task)
    with staged(folder, task, worker_data=worker_data) as source, unchanged_submission():
        if grader.room == "hybrids":
            from mimicry.hybrids.program import score_submission as score_hybrids

            scored = score_hybrids(grader.key, source)
        else:
            from mimicry.realign.program import score_submission as score_realign

            scored = score_realign("red" if grader.key == "red" else "blue", source)
    return scored


def check_unchanged(recorded: Mapping[str, float], found: Mapping[str, float]) -> None:
    """Compare recomputed scores with those of a run's record.

    Parameters
    ----------
    recorded : Mapping
        The board's columns of the run.
    found : Mapping
        Recomputed ones; those that are not recorded do not count.

    Raises
    ------
    BundleError
        `run-changed` when none is recorded, or one differs by more than 1e-9.
    """
    common = recorded.keys() & found.keys()
    # Written so that what is not a number counts as changed.
    if not common or not all(abs(recorded[key] - found[key]) <= TOLERANCE for key in common):
        raise _changed("scored again, the predictions get other scores than those recorded")


@contextmanager
def unchanged_submission() -> Iterator[None]:
    """Turn a submission's fault into `run-changed`: when the run was scored, there was none.

    Raises
    ------
    BundleError
        `run-changed`.
    """
    try:
        yield
    except SubmissionError as error:
        raise _changed(f"the predictions cannot be scored any more ({error.code})") from error


def _changed(what: str) -> BundleError:
    return BundleError(
        "run-changed",
        f"The data or the predictions are not those that this run was scored with: {what}. Run "
        "the submission again.",
    )
