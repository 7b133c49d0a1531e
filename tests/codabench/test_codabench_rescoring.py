"""Runs are scored again from what they left, and what has changed is told."""

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from codabench_scored_runs import ROOT, Place, labels, predict, skilled

from mimicry.codabench.competition import load_competition
from mimicry.codabench.records import RunRecord, TaskRecord, read_run
from mimicry.codabench.rescoring import (
    Grader,
    check_unchanged,
    grader_of,
    predictions_of,
    rescored,
    staged,
)
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def run(place: Place) -> Path:
    return place.run("ann", hybrid=skilled(labels(), 2.0, 1))


def fault(place: Place, run: Path, record: RunRecord | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        rescored(run, record or read_run(run), place.task)
    return caught.value.code


def test_every_program_of_this_repository_is_known() -> None:
    graders = [
        grader_of(task)
        for id in ("hybrid", "two-task", "blue", "red")
        for task in load_competition(ROOT, id).phase("development").tasks
    ]
    assert graders == [
        Grader("hybrids", "hybrid"),
        Grader("hybrids", "A"),
        Grader("hybrids", "mimic"),
        Grader("realign", "blue"),
        Grader("realign", "red"),
    ]


def test_programs_of_others_are_not_ours(place: Place, run: Path, tmp_path: Path) -> None:
    program = tmp_path / "scoring_program_hybrid"
    program.mkdir()
    (program / "score.py").write_text("def main(key):\n    return 0\n\nmain('hybrid')\n")
    place.phase = replace(place.phase, tasks=(replace(place.task, scoring_program=program),))
    assert grader_of(place.task) is None
    assert fault(place, run) == "scoring-foreign"
    assert grader_of(replace(place.task, scoring_program=tmp_path / "nowhere")) is None


def test_a_run_gets_the_scores_that_it_had(place: Place, run: Path) -> None:
    scored = rescored(run, read_run(run), place.task)
    assert dict(scored.scores) == read_run(run).tasks["hybrid"].scores
    assert 0 < scored.scores["challenge_score"] < 1


def test_zipped_labels_are_read_too(place: Place, run: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ref.zip", "w") as archive:
        archive.write(tmp_path / "ref_hybrid" / "labels.csv", "labels.csv")
    task = replace(place.task, reference_data=tmp_path / "ref.zip")
    assert rescored(run, read_run(run), task).scores["challenge_score"] > 0
    (tmp_path / "ref.zip").write_bytes(b"PK")
    with pytest.raises(BundleError) as caught:
        rescored(run, read_run(run), task)
    assert caught.value.code == "data-zip"


def test_a_pipe_in_the_place_of_labels_is_refused(place: Place, run: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ref.zip")
    place.phase = replace(
        place.phase, tasks=(replace(place.task, reference_data=tmp_path / "ref.zip"),)
    )
    assert fault(place, run) == "data-zip"


def test_changed_labels_are_told(place: Place, run: Path) -> None:
    old = place.references["hybrid"]
    place.references["hybrid"] = old._replace(hybrid=(True, *old.hybrid[1:]))
    place.label("hybrid")
    assert fault(place, run) == "run-changed"
    place.references["hybrid"] = labels(["major", "minor"])
    place.label("hybrid")
    assert fault(place, run) == "reference-incomplete-group"


def test_changed_predictions_are_told(place: Place, run: Path) -> None:
    folder = run / "hybrid" / "prediction"
    path = folder / "predictions.csv"
    path.write_bytes(path.read_bytes() + b"\n")
    assert fault(place, run) == "run-changed"
    other = skilled(labels(), 2.0, 2)
    predict(folder, labels().filenames, other)
    assert fault(place, run) == "run-changed"
    path.unlink()
    assert fault(place, run) == "run-changed"


@pytest.mark.parametrize("moved", [1e-8, -1e-8, 1.0])
def test_a_score_that_moved_is_told(place: Place, run: Path, moved: float) -> None:
    record = read_run(run)
    scores = dict(record.tasks["hybrid"].scores or {})
    for key in scores:
        changed = TaskRecord("finished", scores=scores | {key: scores[key] + moved})
        assert fault(place, run, record.with_task("hybrid", changed)) == "run-changed"
    near = TaskRecord("finished", scores={key: value + 1e-11 for key, value in scores.items()})
    rescored(run, record.with_task("hybrid", near), place.task)


def test_what_is_no_number_counts_as_changed() -> None:
    check_unchanged({"a": 0.5, "hidden": 1.0}, {"a": 0.5, "b": 0.1})
    for recorded in ({"a": float("nan")}, {"b": 0.5}, {}):
        with pytest.raises(BundleError):
            check_unchanged(recorded, {"a": 0.5})


def test_a_run_without_its_predictions_is_told(place: Place, run: Path) -> None:
    record = read_run(run)
    failed = TaskRecord("failed", error="no", error_code="x", error_kind="bug")
    assert fault(place, run, record.with_task("hybrid", failed)) == "run-incomplete"
    assert fault(place, run, replace(record, tasks={})) == "run-incomplete"
    shutil.rmtree(run / "hybrid" / "prediction")
    assert fault(place, run) == "run-incomplete"
    place.phase = replace(
        place.phase, tasks=(replace(place.task, reference_data=run / "nothing.zip"),)
    )
    predict(run / "hybrid" / "prediction", labels().filenames, skilled(labels(), 2.0, 1))
    assert fault(place, run) == "data-missing"


@pytest.mark.parametrize("name", ["hybrid", "hybrid/prediction"])
def test_a_link_in_the_place_of_a_folder_is_not_followed(
    place: Place, run: Path, name: str
) -> None:
    other = place.run("bob", hybrid=skilled(labels(), 2.0, 1))
    shutil.rmtree(run / name)
    (run / name).symlink_to(other / name)
    assert fault(place, run) == "run-incomplete"


@pytest.mark.parametrize("name", ["predictions.csv", "ingestion.json"])
def test_a_link_in_the_place_of_a_file_is_not_followed(place: Place, run: Path, name: str) -> None:
    other = place.run("bob", hybrid=skilled(labels(), 2.0, 1))
    path = run / "hybrid" / "prediction" / name
    path.unlink()
    path.symlink_to(other / "hybrid" / "prediction" / name)
    assert fault(place, run) == "run-changed"
    path.unlink()
    os.mkfifo(path)
    assert fault(place, run) == "run-changed"


def test_the_scratch_folder_has_both_sides_and_goes_away(
    place: Place, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "there").write_text("x")
    with staged(run, place.task, worker_data=tmp_path / "data") as source:
        assert (source / "ref" / "labels.csv").is_file()
        record = json.loads(read_regular_file(source / "res" / "ingestion.json", 10_000))
        assert record["state"] == "finished"
        assert (source.parent / "data" / "there").read_text() == "x"
    assert not source.parent.exists()
    assert (run / "hybrid" / "prediction" / "predictions.csv").is_file()
    assert (tmp_path / "data" / "there").is_file()
    with staged(run, place.task) as source, pytest.raises(UnusableFile):
        read_regular_file(source.parent / "data" / "there", 10)
    assert predictions_of(run, place.task) == (run / "hybrid" / "prediction").resolve()
