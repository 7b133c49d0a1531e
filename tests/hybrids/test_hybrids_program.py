"""The entry scripts from end to end, as the platform starts them."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mimicry.hybrids import grading, program
from mimicry.hybrids.tasks import TASKS
from mimicry.reports import hybrids as pages
from mimicry.scoring import program as scoring_program

ROOT = Path(__file__).resolve().parents[2]
GROUPS_OF = {"A": ["major", "minor"], "mimic": ["mimic"], "hybrid": ["major", "minor", "mimic"]}
RESULTS = {"scores.json", "score.json", "detailed_results.html"}
SECRET = "tnr|true negative|threshold = |hybrid_stat = "


def reference_of(task, copies=10, seed=0):
    draw = np.random.default_rng(seed)
    rows = [
        (f"{group}{index}.jpg", int(index % 5 == 0), group)
        for group in GROUPS_OF[task]
        for index in range(copies)
    ]
    return [rows[index] for index in draw.permutation(len(rows))]


def scores_of(reference, seed=0):
    draw = np.random.default_rng(seed)
    return [(name, float(label + draw.normal())) for name, label, _ in reference]


@pytest.mark.parametrize("task", ["A", "mimic", "hybrid"])
def test_a_good_run_writes_every_column_twice(stage, task):
    reference = reference_of(task)
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    stage.output.mkdir()
    for name in RESULTS | {"scoring.log"}:
        (stage.output / name).write_text("stale")
    (stage.res / "metadata").write_text("ingestionExitCode: 0\n")
    done = stage.run(task)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.files == RESULTS
    assert (stage.output / "scores.json").read_bytes() == (stage.output / "score.json").read_bytes()
    scores = json.loads((stage.output / "scores.json").read_text())
    assert list(scores) == list(TASKS[task].keys)
    assert all(type(value) is float and 0 <= value <= 1 for value in scores.values())
    first, second, last = done.stdout.splitlines()
    assert first.startswith("mimicry ") and str(stage.res) in first
    assert "scores.json" in second and f"{len(scores)} columns" in second
    # No phase.json says that more may be shown.
    assert last == "Wrote detailed_results.html (the board's columns)"
    assert not re.search(r"0\.\d{3}", done.stdout)
    for key, value in scores.items():
        assert key in done.page and f"{value:.4f}" in done.page
    assert f"{len(reference)} images" in done.page


def test_both_ways_of_grading_agree(stage, tmp_path):
    everything = reference_of("hybrid", copies=30)
    predictions = scores_of(everything)
    results = {}
    for task, groups in GROUPS_OF.items():
        kept = [row for row in everything if row[2] in groups]
        names = {row[0] for row in kept}
        stage.reference(kept)
        stage.predictions([row for row in predictions if row[0] in names])
        assert stage.run(task).exit_code == 0
        results[task] = json.loads((stage.output / "scores.json").read_text())
    for task in ("A", "mimic"):
        for key in set(results[task]) - {"score"}:
            assert results[task][key] == results["hybrid"][key]


def spoil_unfinished(stage):
    stage.record(state="running")


def spoil_missing(stage):
    shutil.rmtree(stage.res)


def spoil_hash(stage):
    (stage.res / "predictions.csv").write_text("filename,score\n")


def spoil_pipe(stage):
    (stage.res / "predictions.csv").unlink()
    os.mkfifo(stage.res / "predictions.csv")


def spoil_rows(stage):
    stage.predictions([("mimic1.jpg", "nan"), ("mimic2.jpg", 1.0)])


def spoil_relayed_submission(stage):
    stage.record(
        state="failed",
        error_kind="submission",
        error_code="import-error",
        error="model.py cannot be imported: <b>.",
    )


def spoil_relayed_bundle(stage):
    stage.record(
        state="failed", error_kind="bundle", error_code="bad-image", error="An image is broken."
    )


def spoil_relayed_bug(stage):
    stage.record(state="failed", error_kind="bug", error_code="bug", error="It failed itself.")


def spoil_reference(stage):
    stage.reference([("mimic1.jpg", 1, "mimic"), ("x.jpg", 0, "major")])


def spoil_no_reference(stage):
    shutil.rmtree(stage.ref)


@pytest.mark.parametrize(
    ("spoil", "exit_code", "code", "part"),
    [
        (spoil_unfinished, 3, "ingestion-unfinished", "time limit"),
        (spoil_missing, 3, "ingestion-unfinished", "no ingestion.json"),
        (spoil_hash, 3, "predictions-changed", "SHA-256 differs"),
        (spoil_pipe, 3, "predictions-missing", "not a regular file"),
        (spoil_rows, 3, "predictions-invalid", "8 images have no row"),
        (spoil_relayed_submission, 3, "import-error", "cannot be imported: <b>."),
        (spoil_relayed_bundle, 4, "bad-image", "An image is broken."),
        (spoil_relayed_bug, 1, "bug", "It failed itself."),
        (spoil_reference, 4, "reference-foreign-group", "ssp_indicator"),
        (spoil_no_reference, 4, "reference-missing", "no CSV file"),
    ],
)
def test_a_failed_run_leaves_the_reason_and_no_scores(stage, spoil, exit_code, code, part):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    spoil(stage)
    stage.output.mkdir()
    for name in RESULTS:
        (stage.output / name).write_text("stale")
    done = stage.run("mimic")
    assert done.exit_code == exit_code
    assert done.files == {"detailed_results.html"}
    assert done.last_line.endswith(f"[{code}]") and part in done.last_line
    assert code in done.page and "<b>" not in done.page and "stale" not in done.page
    assert "Traceback" not in done.stderr


def test_no_message_depends_on_the_labels(stage):
    reference = reference_of("hybrid", copies=8)
    predictions = [
        *scores_of(reference)[3:20],
        ("unknown.jpg", 1.0),
        (reference[5][0], 0.5),
        (reference[21][0], "nan"),
        (reference[22][0], "high"),
    ]
    draw = np.random.default_rng(1)
    told = set()
    for _ in range(3):
        labels = [reference[index][1:] for index in draw.permutation(len(reference))]
        stage.reference([(row[0], *label) for row, label in zip(reference, labels, strict=True)])
        stage.predictions(predictions)
        done = stage.run("hybrid")
        assert done.exit_code == 3
        told.add((done.stdout, done.stderr, done.page))
    assert len(told) == 1
    assert not re.search(SECRET, "".join(*told), re.IGNORECASE)


def test_a_packed_program_checks_what_it_was_packed_for(stage, tmp_path):
    packed = tmp_path / "packed"
    shutil.copytree(ROOT / "scoring_program_mimic", packed)
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    settings = {"competition": "two-task", "phase": "Final <1>", "task": "mimic"}
    (packed / "phase.json").write_text(json.dumps(settings))
    done = stage.run("mimic", script=packed / "score_mimic.py")
    assert done.exit_code == 0
    assert "two-task" in done.page and "Final &lt;1&gt;" in done.page
    assert "not shown in this phase" in done.page
    for shown, full in (("declared", False), ("full", True)):
        (packed / "phase.json").write_text(json.dumps(settings | {"results_page": shown}))
        done = stage.run("mimic", script=packed / "score_mimic.py")
        assert (done.exit_code, done.stderr, done.files) == (0, "", RESULTS)
        assert ("not shown in this phase" in done.page) is not full
        assert ("95 % interval" in done.page) is full
    for content in (
        json.dumps(settings | {"task": "A"}),
        json.dumps(settings | {"results_page": "all"}),
        *("{", "[]", '{"task": "mimic"}'),
    ):
        (packed / "phase.json").write_text(content)
        done = stage.run("mimic", script=packed / "score_mimic.py")
        assert (done.exit_code, done.files) == (4, {"detailed_results.html"})
        assert done.last_line.endswith("[phase-settings]")


def test_wrong_usage_exits_with_2(run_entry, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments in (
        ("a", "b", "c"),
        ("--nonsense",),
        (str(tmp_path / "absent"), str(tmp_path)),
        (str(tmp_path), str(tmp_path / "file")),
    ):
        done = run_entry("A", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: score_A.py")
        assert "Traceback" not in done.stderr


def test_help_shows_an_example(run_entry):
    done = run_entry("hybrid", "--help")
    assert done.returncode == 0
    assert "python3 score_hybrid.py /app/input /app/output" in " ".join(done.stdout.split())


def scored_in_process(stage):
    return program.main("mimic", stage.source, [str(stage.source), str(stage.output)])


def test_a_bug_is_logged_for_the_organiser_and_told_plainly(stage, monkeypatch, capsys):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))

    def broken(*_):
        raise ZeroDivisionError("inner detail")

    monkeypatch.setattr(grading, "grade", broken)
    assert scored_in_process(stage) == 1
    assert {path.name for path in stage.output.iterdir()} == {
        "detailed_results.html",
        "scoring.log",
    }
    assert "inner detail" in (stage.output / "scoring.log").read_text()
    assert "inner detail" not in (stage.output / "detailed_results.html").read_text()
    errors = capsys.readouterr().err
    assert errors.rstrip().endswith("[bug]") and "inner detail" not in errors


def test_a_page_that_cannot_be_drawn_costs_no_scores(stage, monkeypatch):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))

    def broken(*_):
        raise ValueError("no page today")

    monkeypatch.setattr(pages, "declared_content", broken)
    assert scored_in_process(stage) == 0
    assert {path.name for path in stage.output.iterdir()} == {
        "scores.json",
        "score.json",
        "scoring.log",
    }
    assert "no page today" in (stage.output / "scoring.log").read_text()


def test_a_disk_that_fills_up_leaves_no_half_of_the_scores(stage, monkeypatch, capsys):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    real = scoring_program.write_atomically

    def full(path, data):
        if path.name == "scores.json":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(scoring_program, "write_atomically", full)
    assert scored_in_process(stage) == 4
    assert {path.name for path in stage.output.iterdir()} == {"detailed_results.html"}
    assert capsys.readouterr().err.rstrip().endswith("[output-unwritable]")


def test_stale_folders_in_place_of_results_are_removed(stage):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    (stage.output / "scores.json").mkdir(parents=True)
    (stage.output / "score.json").symlink_to(stage.res / "predictions.csv")
    before = (stage.res / "predictions.csv").read_bytes()
    assert scored_in_process(stage) == 0
    assert (stage.output / "scores.json").is_file()
    assert (stage.res / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize("task", ["A", "mimic", "hybrid"])
def test_metadata_starts_the_entry_script(task):
    folder = ROOT / f"scoring_program_{task}"
    assert (folder / "metadata.yaml").read_text() == (
        f"command: python3 /app/program/score_{task}.py /app/input /app/output\n"
    )
    assert (folder / f"score_{task}.py").is_file()


@pytest.mark.parametrize("results", [{"score": 0.5}, {"score": 0.5, "mimic_recall": float("nan")}])
def test_missing_or_non_finite_columns_are_never_written(results, monkeypatch, stage):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    monkeypatch.setattr(grading, "_mimics", lambda *_: {"mimic_recall": 0.5, **results})
    assert scored_in_process(stage) == 1
    assert not (stage.output / "scores.json").exists()


def test_an_infinite_column_is_refused(monkeypatch, stage):
    reference = reference_of("mimic")
    stage.reference(reference)
    stage.predictions(scores_of(reference))
    broken = {"mimic_recall": 0.5, "mimic_PRC_AUC": float("inf")}
    monkeypatch.setattr(grading, "_mimics", lambda *_: broken)
    assert scored_in_process(stage) == 1
    assert not (stage.output / "score.json").exists()
