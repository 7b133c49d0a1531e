"""`mimicry verify`: what was changed after a run is found, and what cannot be checked is told."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from codabench_minibundle import copy_repository
from codabench_run_folders import put_failed_run, put_labels, put_run

from mimicry.cli import main
from mimicry.codabench.competition import Competition, load_competition
from mimicry.codabench.provenance import Made, Provenance, read_provenance, write_provenance
from mimicry.codabench.provenance_facts import input_digests, sha256_file, task_provenance
from mimicry.codabench.records import RunRecord, read_run, write_run
from mimicry.codabench.twice import SECOND
from mimicry.codabench.verifying import verify_run
from mimicry.codabench.verifying_lines import Line, Verdict, verdict_text
from mimicry.codabench.verifying_task import plain_folder
from mimicry.errors import BundleError

MADE = Made("0.1.0", "3.11.2", "Linux", "6.1.0", "x86_64", "subprocess")
RUN = "runs/hybrid/development/good"


def write_scores(run: Path, scores: dict[str, float]) -> None:
    scoring = run / "hybrid/scoring"
    scoring.mkdir(exist_ok=True)
    for name in ("scores.json", "score.json"):
        (scoring / name).write_text(json.dumps(scores, indent=2) + "\n")


def record_origin(run: Path, bundle: Path) -> None:
    record = read_run(run)
    competition = load_competition(bundle, "hybrid")
    phase = competition.phase(record.phase)
    inputs = input_digests(competition, phase, phase.tasks[0])
    own = task_provenance(MADE, 300.0, inputs, run / "hybrid")
    write_provenance(run, Provenance(record, {"hybrid": own}))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("verify") / "bundle"
    copy_repository(bundle)
    put_labels(bundle)
    submission = bundle / "good.zip"
    submission.write_bytes(b"PK of some kind")
    run = bundle / RUN
    put_run(run, bundle, skill=2.0, seed=1, submission_sha256=sha256_file(submission))
    (run / "hybrid/scoring").mkdir()
    write_scores(run, dict(read_run(run).tasks["hybrid"].scores or {}))
    record_origin(run, bundle)
    return bundle


@pytest.fixture
def bundle(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "bundle", symlinks=True))


def loader(bundle: Path) -> Callable[[str], Competition]:
    return lambda id: load_competition(bundle, id)


def verify(bundle: Path, run: str = RUN, **more: Any) -> Verdict:
    return verify_run(bundle / run, loader(bundle), **more)


def differing(verdict: Verdict) -> list[str]:
    assert verdict.changed == any(line.verdict == "differs" for line in verdict.lines)
    return [line.what for line in verdict.lines if line.verdict == "differs"]


def unchecked(verdict: Verdict) -> list[str]:
    return [line.what for line in verdict.lines if line.verdict == "unchecked"]


def test_a_run_that_nobody_touched_agrees(bundle: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (bundle / RUN).rglob("*")}
    verdict = verify(bundle, submission=bundle / "good.zip")
    assert differing(verdict) == []
    assert unchecked(verdict) == []
    for what in (
        *("run.json", "submission", "input data", "reference data", "ingestion program"),
        *("scoring program", "predictions", "predictions.csv against ingestion.json"),
        *("scores.json", "score.json, its bytes", "scored again, challenge_score"),
        "scored again, scores.json",
    ):
        assert what in {line.what for line in verdict.lines if line.verdict == "agrees"}, what
    assert {p: p.stat().st_mtime_ns for p in (bundle / RUN).rglob("*")} == before


def test_what_is_printed_has_no_digest_of_data(bundle: Path) -> None:
    origin = read_provenance(bundle / RUN)
    assert origin is not None
    put_labels(bundle)
    (bundle / "input_data/val.zip").write_bytes(b"PK")
    verdict = verify(bundle)
    assert "input data" in differing(verdict)
    words = "\n".join(verdict_text(verdict, short=False))
    for name in ("input_data", "reference_data"):
        digest = origin.tasks["hybrid"].sha256[name]
        assert digest and digest[:8] not in words


def test_a_hand_edited_score_is_found(bundle: Path) -> None:
    run = bundle / RUN
    record = read_run(run)
    task = record.tasks["hybrid"]
    scores = dict(task.scores or {}) | {"challenge_score": 0.99}
    write_run(run, record.with_task("hybrid", replace(task, scores=scores)))
    found = differing(verify(bundle))
    assert found == [
        "scores, challenge_score in run.json",
        "challenge_score in scores.json",
        "scored again, challenge_score",
    ]
    line = next(x for x in verify(bundle).lines if x.what == "scored again, challenge_score")
    assert line.recorded == 0.99 and line.task == "hybrid" and "0.99 -> " in line.words
    assert "difference -" in line.words


def test_scores_edited_everywhere_are_found_by_scoring_again(bundle: Path) -> None:
    run = bundle / RUN
    record = read_run(run)
    task = record.tasks["hybrid"]
    scores = dict(task.scores or {}) | {"mimic_recall": 0.123}
    write_run(run, record.with_task("hybrid", replace(task, scores=scores)))
    write_scores(run, scores)
    record_origin(run, bundle)
    assert differing(verify(bundle)) == [
        *("scored again, mimic_recall", "scored again, scores.json")
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("participant", "bob"),
        ("submitted", "2026-11-09T00:00:00+00:00"),
        ("submission_sha256", "1" * 64),
        ("engine", "docker"),
        ("migrated", True),
        ("image", "sha256:1"),
    ],
)
def test_a_hand_edited_record_is_found(bundle: Path, field: str, value: Any) -> None:
    run = bundle / RUN
    # An image would be looked for; that is another test's.
    write_run(run, replace(read_run(run), **{field: value}))
    verdict = verify_run(run, no_competition)
    assert differing(verdict) == [f"{field} in run.json"]


def no_competition(id: str) -> Competition:
    raise BundleError("bundle-not-found", f"There is no bundle with {id}.")


@pytest.mark.parametrize("what", ["state", "no scores", "error", "seconds", "notes", "gone"])
def test_a_record_that_was_bent_is_found(bundle: Path, what: str) -> None:
    run = bundle / RUN
    record = read_run(run)
    task = record.tasks["hybrid"]
    changes: dict[str, RunRecord] = {
        "state": replace(record, state="failed"),
        "no scores": record.with_task("hybrid", replace(task, scores=None)),
        "error": record.with_task("hybrid", replace(task, error="no", error_code="x")),
        "seconds": record.with_task("hybrid", replace(task, seconds={"ingestion": 1.0})),
        "notes": record.with_task("hybrid", replace(task, notes=())),
        "gone": replace(record, tasks={}),
    }
    write_run(run, changes[what])
    assert differing(verify(bundle))


def test_changed_scores_files_are_found(bundle: Path) -> None:
    scoring = bundle / RUN / "hybrid/scoring"
    text = (scoring / "scores.json").read_text()
    (scoring / "score.json").write_text(text + " ")
    assert differing(verify(bundle)) == ["score.json, its bytes"]
    (bundle / RUN / "provenance.json").unlink()
    assert differing(verify(bundle)) == ["score.json against scores.json"]
    (scoring / "scores.json").write_text(text.replace("0.", "1."))
    verdict = verify(bundle)
    assert "challenge_score in scores.json" in differing(verdict)
    # Rounding explains nothing where the file is not what was recorded.
    assert differing(verdict)[-1] == "scored again, scores.json"
    for broken in ("[", "[]", '{"challenge_score": "0.5"}', "[" * 100_000, ""):
        (scoring / "scores.json").write_text(broken)
        assert differing(verify(bundle)), broken
    (scoring / "scores.json").unlink()
    assert "scores.json" in differing(verify(bundle))
    (scoring / "scores.json").symlink_to("/dev/zero")
    assert "scores.json" in differing(verify(bundle))


def test_changed_predictions_are_found(bundle: Path) -> None:
    path = bundle / RUN / "hybrid/prediction/predictions.csv"
    text = path.read_text()
    first, second, *rest = text.splitlines()
    path.write_text("\n".join([first, second.split(",")[0] + ",9e9", *rest]) + "\n")
    assert differing(verify(bundle)) == [
        "predictions.csv against ingestion.json",
        "predictions",
        "scored again",
    ]
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "scored again" in differing(verify(bundle))
    shutil.rmtree(path.parent)
    assert "predictions" in differing(verify(bundle))


def test_a_changed_record_of_ingestion_is_found(bundle: Path) -> None:
    path = bundle / RUN / "hybrid/prediction/ingestion.json"
    said = json.loads(path.read_text())
    more = {"images": 3, "isolation": {"active": ["all"], "missing": []}, "versions": {"a": "1"}}
    path.write_text(json.dumps(said | more))
    assert differing(verify(bundle)) == [
        "images in ingestion.json",
        "isolation in ingestion.json",
        "versions in ingestion.json",
    ]


def test_changed_data_and_programs_are_found(bundle: Path) -> None:
    script = next((bundle / "scoring_program_hybrid").glob("*.py"))
    script.write_text(script.read_text() + "# changed\n")
    assert differing(verify(bundle)) == ["scoring program"]
    put_run(bundle / "runs/other", bundle, skill=1.0)
    with_other_labels = load_competition(bundle, "hybrid").phase("final").tasks[0]
    assert with_other_labels.reference_data is not None
    with_other_labels.reference_data.write_bytes(b"PK")
    shutil.copy(bundle / "reference_data/test.zip", bundle / "reference_data/val.zip")
    assert {"reference data", "scored again"} <= set(differing(verify(bundle)))


def test_another_submission_is_found(bundle: Path) -> None:
    (bundle / "good.zip").write_bytes(b"PK of another kind")
    verdict = verify(bundle, submission=bundle / "good.zip")
    assert differing(verdict) == ["submission"]
    (bundle / "folder").mkdir()
    assert differing(verify(bundle, submission=bundle / "folder")) == ["submission"]


def test_what_cannot_be_checked_says_why(bundle: Path) -> None:
    (bundle / "reference_data/val.zip").unlink()
    verdict = verify(bundle)
    assert differing(verdict) == []
    assert {"reference data", "scored again", "submission"} <= set(unchecked(verdict))
    (bundle / RUN / "provenance.json").unlink()
    verdict = verify_run(bundle / RUN, no_competition)
    assert differing(verdict) == []
    assert {"provenance.json", "data and programs"} <= set(unchecked(verdict))
    put_failed_run(bundle / "runs/bad", "It raised.")
    assert unchecked(verify(bundle, "runs/bad"))[-1] == "scores"
    put_failed_run(bundle / "runs/killed", "It raised.", finished=None)
    assert "the run" in unchecked(verify(bundle, "runs/killed"))


def lie(run: Path, **changes: Any) -> None:
    """Change ``run.json`` and its copy alike."""
    record = replace(read_run(run), **changes)
    write_run(run, record)
    origin = read_provenance(run)
    assert origin is not None
    write_provenance(run, replace(origin, run=record))


@pytest.mark.parametrize("field", ["competition", "phase", "tasks"])
def test_a_name_that_the_bundle_lacks_differs(bundle: Path, field: str) -> None:
    task = read_run(bundle / RUN).tasks["hybrid"]
    lie(bundle / RUN, **{field: {"gone": task} if field == "tasks" else "gone"})
    verdict = verify(bundle)
    assert "data and programs" in differing(verdict)
    assert verdict.unscored == ("gone" if field == "tasks" else "hybrid",)


def test_scores_that_were_not_recomputed_are_counted(
    bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    put_failed_run(bundle / "runs/bad", "It raised.")
    monkeypatch.chdir(bundle)
    assert main(["verify", RUN, "--require-rescoring"]) == 0
    # A task that ended without scores has none to recompute.
    assert main(["verify", "runs/bad", "--require-rescoring"]) == 0
    capsys.readouterr()
    target = tmp_path / "found.json"
    (bundle / "reference_data/val.zip").rename(bundle / "kept.zip")
    assert main(["verify", "runs", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert out.endswith("2 of 2 runs: nothing differs, but the scores of 1 were not recomputed.\n")
    found = {one["folder"]: one["not_rescored"] for one in json.loads(target.read_text())["runs"]}
    assert found == {RUN: ["hybrid"], "runs/bad": []}
    assert main(["verify", "runs", "--require-rescoring"]) == 4
    printed = capsys.readouterr()
    assert printed.err.endswith("[run-not-rescored]\n") and "1 of 2 runs" in printed.err
    assert "nothing differs" not in printed.out
    (bundle / "kept.zip").rename(bundle / "reference_data/val.zip")
    lie(bundle / RUN, competition="gone")
    assert main(["verify", RUN]) == 4
    assert capsys.readouterr().err.endswith("[run-changed]\n")
    # Without a bundle nothing is known of its competitions.
    alone = Path(shutil.copytree(RUN, tmp_path / "alone"))
    monkeypatch.chdir(tmp_path)
    (bundle / "competition.yaml").unlink()
    assert main(["verify", str(alone)]) == 0
    assert "the scores of 1 were not recomputed.\n" in capsys.readouterr().out
    assert main(["verify", str(alone), "--require-rescoring"]) == 4


def test_a_strangers_run_does_no_harm(bundle: Path) -> None:
    run = bundle / RUN
    record = read_run(run)
    task = record.tasks["hybrid"]
    keys = ("..", ".", "", "a/b", "\0", "\x1b[2J" * 50)
    write_run(run, replace(record, tasks=dict.fromkeys(keys, task), participant="\x1b[2J"))
    verdict = verify(bundle)
    assert verdict.changed
    assert "\x1b" not in "\n".join(verdict_text(verdict, short=False))
    assert plain_folder(run, "..", "prediction") is None
    (run / "provenance.json").unlink()
    os.mkfifo(run / "provenance.json")
    assert "provenance.json" in differing(verify(bundle))
    (run / "run.json").write_text("[" * 100_000)
    assert differing(verify(bundle)) == ["run.json"]


def test_a_link_in_the_place_of_a_folder_is_not_followed(bundle: Path) -> None:
    scoring = bundle / RUN / "hybrid/scoring"
    scoring.rename(bundle / "elsewhere")
    scoring.symlink_to(bundle / "elsewhere")
    assert differing(verify(bundle)) == ["scores.json"]


def test_the_command(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    assert main(["verify", RUN, "--submission", "good.zip"]) == 0
    out = capsys.readouterr().out
    assert "agrees       task hybrid, reference data: the same" in out
    assert out.endswith("1 of 1 runs: nothing differs from what was recorded.\n")
    put_run(bundle / "runs/hybrid/development/old", bundle, skill=1.0, seed=3)
    (bundle / "runs/hybrid/development/old/hybrid/scoring").mkdir()
    target = bundle / "found.json"
    assert main(["verify", "runs", "--json", str(target)]) == 4
    printed = capsys.readouterr()
    assert "[1 of 2] runs/hybrid/development/good" in printed.out
    assert "agrees " not in printed.out and "DIFFERS      task hybrid, scores.json" in printed.out
    assert "1 of 2 runs differ" in printed.err and printed.err.endswith("[run-changed]\n")
    found = json.loads(target.read_text())
    assert [one["differs"] for one in found["runs"]] == [False, True]
    assert {"what", "verdict", "words", "task", "recorded", "found"} == set(
        found["runs"][0]["checks"][0]
    )
    for wrong in (["runs", "--submission", "good.zip"], ["good.zip"], ["pages"], []):
        assert main(["verify", *wrong]) == 2
    assert main(["verify", RUN, "--json", "/proc/no/such"]) == 4


def put_second_run(bundle: Path, repeated: str | None = "identical") -> Path:
    run = bundle / RUN
    second = run / SECOND
    shutil.copytree(run, bundle / "copy")
    shutil.move(bundle / "copy", second)
    origin = read_provenance(run)
    assert origin is not None
    write_provenance(run, replace(origin, repeated=repeated))
    return second


def test_a_second_run_is_compared_with_the_first(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = put_second_run(bundle)
    assert differing(verify(bundle)) == []
    assert "run twice" in [line.what for line in verify(bundle).lines]
    command = ["verify", str(bundle / RUN), "--bundle", str(bundle)]
    assert main(command) == 0
    assert f"[2 of 2] {bundle / RUN}/{SECOND}" in capsys.readouterr().out
    table = second / "hybrid/prediction/predictions.csv"
    table.write_text(table.read_text().replace(",0.", ",0.1", 1))
    assert differing(verify(bundle)) == ["run twice"]
    assert "predictions" in differing(verify(bundle, f"{RUN}/{SECOND}"))
    assert main(command) == 4
    assert "2 of 2 runs differ" in capsys.readouterr().err
    origin = read_provenance(bundle / RUN)
    assert origin is not None
    write_provenance(bundle / RUN, replace(origin, repeated="differs"))
    assert differing(verify(bundle)) == []


def test_a_second_run_that_is_gone_or_led_elsewhere_is_told(bundle: Path) -> None:
    second = put_second_run(bundle)
    shutil.rmtree(second / "hybrid/prediction")
    assert differing(verify(bundle)) == ["run twice"]
    (second / "run.json").write_text("{")
    assert differing(verify(bundle)) == ["run twice"]
    shutil.rmtree(second)
    assert unchecked(verify(bundle)) == ["submission", "run twice"]
    second.symlink_to(bundle / RUN)
    assert unchecked(verify(bundle)) == ["submission", "run twice"]
    origin = read_provenance(bundle / RUN)
    assert origin is not None
    write_provenance(bundle / RUN, replace(origin, repeated=None))
    assert unchecked(verify(bundle)) == ["submission"]
    second.unlink()
    second.mkdir()
    assert unchecked(verify(bundle)) == ["submission", "run twice"]


def test_the_python_of_an_image_is_the_one_that_is_told(bundle: Path) -> None:
    origin = read_provenance(bundle / RUN)
    assert origin is not None
    own = origin.tasks["hybrid"]
    for image, libraries, versions, said in (
        (None, {}, {"python": "3.9.1"}, "Python 3.11.2, Linux"),
        ("sha256:1", {"python": "3.10.1"}, {}, "Python 3.10.1 in its image, Linux"),
        ("sha256:1", {}, {"python": "3.9.1"}, "Python 3.9.1 in its image, Linux"),
        ("sha256:1", {}, {}, "its image's Python, Linux"),
    ):
        made = replace(own.made, image=image, libraries=libraries)
        task = replace(own, made=made, versions=versions)
        write_provenance(bundle / RUN, replace(origin, tasks={"hybrid": task}))
        assert said in verify(bundle).title


def test_a_text_stays_on_its_line() -> None:
    text = Line("what", "differs", "words", "a\nb").text()
    assert "\n" not in text and text == "  DIFFERS      task a b, what: words"
