"""`mimicry report`: one run as a page."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from codabench_minibundle import copy_repository, make_zip
from codabench_run_folders import COUNT, put_failed_run, put_labels, put_predictions, put_run
from page_reader import Page

from mimicry.cli import main
from mimicry.codabench.records import TaskRecord, read_run, write_run

Report = Callable[..., Page]

RUN = "runs/hybrid/development/good"
FINAL = "runs/hybrid/final/good"
BANNER = "For organisers' eyes only."
LOG = "what the model printed"
NO_MORE = "More than the recorded scores cannot be shown"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with data, and a run in each phase of the hybrid competition."""
    bundle = tmp_path_factory.mktemp("report") / "bundle"
    copy_repository(bundle)
    put_labels(bundle)
    put_run(bundle / RUN, bundle, skill=4.0, seed=1)
    put_run(bundle / FINAL, bundle, skill=4.0, seed=2, phase="final", migrated=True)
    return bundle


@pytest.fixture
def bundle(filled: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(filled, tmp_path / "bundle", symlinks=True))


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Runs ``mimicry report`` and reads the page that it names."""

    def run(bundle: Path, run: str, *more: str) -> Page:
        assert main(["report", str(bundle / run), "--bundle", str(bundle), *more]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 1
        return Page(Path(printed[0]).read_text(encoding="utf-8"))

    return run


def damage(run: Path, **changes: object) -> None:
    write_run(run, replace(read_run(run), **changes))  # type: ignore[arg-type]


def test_a_finished_run_shows_what_was_run_its_steps_and_its_results(
    bundle: Path, report: Report
) -> None:
    page = report(bundle, RUN)
    assert (bundle / RUN / "report.html").is_file()
    scores = read_run(bundle / RUN).tasks["hybrid"].scores
    assert scores is not None
    for words in (
        *("good.zip", "Hybrid butterflies", "Development", "2026-11-10 00:00:00 UTC"),
        *("subprocess", "ingestion", "3.2", "350 MB", "a note", "0" * 64),
        f"{scores['challenge_score']:.4f}",
    ):
        assert words in page.words, words
    # The results are those of the competition's own page, drawings and all.
    assert page.all("svg") and NO_MORE not in page.words
    assert LOG not in page.words and BANNER not in page.words
    ids = page.hooks("id")
    assert len(ids) == len(set(ids))


def test_final_shows_the_boards_columns_and_full_more_with_a_banner(
    bundle: Path, report: Report
) -> None:
    page = report(bundle, FINAL)
    assert not page.all("svg") and "migrated" in page.words.lower()
    assert LOG not in page.words
    full = report(bundle, FINAL, "--full")
    assert full.all("svg") and BANNER in full.words and LOG in full.words


def test_output_goes_elsewhere(bundle: Path, report: Report, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    report(bundle, RUN, "--output", str(target))
    assert target.is_file() and not (bundle / RUN / "report.html").exists()


def test_a_failed_task_shows_why_and_the_cure(bundle: Path, report: Report) -> None:
    put_failed_run(bundle / "runs/bad", "Your Model.predict raised KeyError (model.py, line 3).")
    page = report(bundle, "runs/bad")
    for words in (
        *("This task has no scores", "raised KeyError (model.py, line 3).", "model.py, line 3"),
        *("predict-failed", "Cure:", "submit again"),
    ):
        assert words in page.words, words


def test_without_the_data_the_recorded_scores_are_shown(bundle: Path, report: Report) -> None:
    (bundle / "reference_data/val.zip").unlink()
    page = report(bundle, RUN)
    scores = read_run(bundle / RUN).tasks["hybrid"].scores
    assert scores is not None
    assert NO_MORE in page.words and "[data-missing]" in page.words
    for value in scores.values():
        assert f"{value:.4f}" in page.words


@pytest.mark.parametrize("what", ["labels", "predictions", "broken zip", "broken predictions"])
def test_changed_data_are_told(bundle: Path, report: Report, what: str) -> None:
    reference = bundle / "reference_data/val.zip"
    if what == "labels":
        rows = "".join(
            f"{n:03}.png,{n % 2},{('major', 'minor', 'mimic')[n // 2 % 3]}\n" for n in range(COUNT)
        )
        make_zip(reference, {"val.csv": f"filename,hybrid_stat,ssp_indicator\n{rows}".encode()})
    elif what == "predictions":
        put_predictions(bundle / RUN / "hybrid/prediction", [n % 7 for n in range(COUNT)])
    elif what == "broken zip":
        reference.write_bytes(b"PK")
    else:
        (bundle / RUN / "hybrid/prediction/predictions.csv").write_bytes(b"\xff" * 100)
    page = report(bundle, RUN)
    code = "data-zip" if what == "broken zip" else "run-changed"
    assert NO_MORE in page.words and f"[{code}]" in page.words
    assert "As recorded when the run was scored." in page.words


def test_a_run_that_was_killed_says_so(bundle: Path, report: Report) -> None:
    record = read_run(bundle / RUN)
    damage(
        bundle / RUN,
        finished=None,
        state="running",
        tasks={"hybrid": replace(record.tasks["hybrid"], state="running", scores=None)},
    )
    page = report(bundle, RUN)
    assert "This run has not ended" in page.words
    assert "still running, or it was killed" in page.words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"competition": "elsewhere"}, "There is no competition 'elsewhere'"),
        ({"phase": "practice"}, "hybrid has no phase practice any more"),
        ({"competition": "../../x"}, "There is no competition"),
    ],
)
def test_an_unknown_competition_or_phase_leaves_the_record(
    bundle: Path, report: Report, change: dict[str, str], words: str
) -> None:
    damage(bundle / RUN, **change)
    page = report(bundle, RUN)
    scores = read_run(bundle / RUN).tasks["hybrid"].scores
    assert scores is not None and words in page.words
    assert f"{scores['challenge_score']:.4f}" in page.words


def test_a_task_that_the_phase_has_no_more(bundle: Path, report: Report) -> None:
    record = read_run(bundle / RUN)
    damage(bundle / RUN, tasks={"../../x": record.tasks["hybrid"]})
    page = report(bundle, RUN, "--full")
    assert "../../x" in page.words and LOG not in page.words
    assert "As recorded when the run was scored." in page.words


def test_outside_of_a_bundle_the_record_is_shown(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "elsewhere/run"
    shutil.copytree(bundle / RUN, run)
    monkeypatch.chdir(run)
    assert main(["report", "."]) == 0
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    assert "There is no competition.yaml here or above" in page.words
    assert capsys.readouterr().out.strip() == "report.html"


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 99}', '"x"'])
def test_a_damaged_record_is_an_error(
    bundle: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (bundle / RUN / "run.json").write_text(content)
    assert main(["report", str(bundle / RUN), "--bundle", str(bundle)]) == 4
    assert capsys.readouterr().err.splitlines()[-1].endswith("[run-record]")
    assert not (bundle / RUN / "report.html").exists()


def test_links_in_a_runs_folder_are_not_followed(
    bundle: Path, report: Report, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    shutil.move(bundle / RUN / "hybrid", secret)
    (secret / "prediction/participant.log").write_text("a secret\n")
    (bundle / RUN / "hybrid").symlink_to(secret)
    page = report(bundle, RUN, "--full")
    assert "a secret" not in page.words
    assert NO_MORE in page.words and "[run-incomplete]" in page.words
    # Nor is what stands in the report's place.
    target = tmp_path / "target.html"
    target.write_text("mine")
    (bundle / RUN / "report.html").unlink()
    (bundle / RUN / "report.html").symlink_to(target)
    report(bundle, RUN)
    assert target.read_text() == "mine"
    assert not (bundle / RUN / "report.html").is_symlink()


def test_a_link_to_a_log_is_not_followed(bundle: Path, report: Report, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret\n")
    log = bundle / RUN / "hybrid/prediction/participant.log"
    log.unlink()
    log.symlink_to(secret)
    assert "a secret" not in report(bundle, RUN, "--full").words


def test_hostile_texts_are_text(bundle: Path, report: Report) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\u202e" + "x" * 9_000
    task = replace(
        read_run(bundle / RUN).tasks["hybrid"],
        notes=(hostile,) * 3,
        error=hostile,
        error_code=hostile,
    )
    damage(
        bundle / RUN,
        participant=hostile,
        submission=hostile,
        submission_sha256=hostile,
        engine=hostile,
        image=hostile,
        submitted=hostile,
        tasks={"hybrid": task, hostile: TaskRecord("failed", error=hostile)},
    )
    (bundle / RUN / "hybrid/prediction/participant.log").write_text(f"</pre>{hostile}\x1b[2J\n")
    page = report(bundle, RUN, "--full")
    assert not page.all("script") and not page.all("img")
    text = (bundle / RUN / "report.html").read_text(encoding="utf-8")
    assert "\u202e" not in text and "\x1b" not in text
    assert "<script>alert(1)</script>" in page.words


def test_wrong_usage(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(bundle / RUN / "run.json"), "--bundle", str(bundle)]) == 2
    assert "is a file; name the run's folder" in " ".join(capsys.readouterr().err.split())
    assert main(["report", str(bundle / "nowhere")]) == 2
    output = ["--output", str(bundle)]
    assert main(["report", str(bundle / RUN), "--bundle", str(bundle), *output]) == 2


def test_a_folder_without_a_record_is_no_runs(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(bundle / "runs"), "--bundle", str(bundle)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "is no run's folder; name one that holds run.json." in told
    assert "Remove the folder" not in told


@pytest.mark.parametrize("known", [True, False])
def test_a_page_is_bounded_whatever_the_record_holds(
    bundle: Path, report: Report, known: bool
) -> None:
    run = bundle / RUN
    huge = TaskRecord(
        "failed",
        exit_codes={"scoring": 10**300},
        seconds={"scoring": 1e300},
        memory={"scoring": 10**300},
        scores={f"column_{number}": 1e300 for number in range(60)},
        error="&" * 2500,
        error_code="x",
        error_kind="bug",
        notes=("&" * 700,) * 60,
    )
    own = replace(read_run(run).tasks["hybrid"], notes=tuple(f"note {n}" for n in range(60)))
    damage(run, tasks={"hybrid": own} | {f"task-{number}": huge for number in range(200)})
    if not known:
        damage(run, competition="nothing")
    page = report(bundle, RUN)
    assert len((run / "report.html").read_bytes()) <= 400_000
    assert "more tasks are not shown." in page.words and "more notes" in page.words
    assert "0" * 50 not in page.words.replace("0" * 64, "")
    assert "note 0" in page.words and "note 50" not in page.words


@pytest.mark.parametrize("room", [0, 60_000])
def test_results_that_are_too_large_leave_the_recorded_scores(
    bundle: Path, report: Report, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    assert report(bundle, RUN).all("svg")
    size = len((bundle / RUN / "report.html").read_bytes())
    # The results alone would fit, or they would not.
    monkeypatch.setattr("mimicry.codabench.run_report.LARGEST_PAGE", size - 1000)
    monkeypatch.setattr("mimicry.codabench.run_report._ROOM", room)
    page = report(bundle, RUN)
    assert NO_MORE in page.words and not page.all("svg")
    assert ("the page would be too large" in page.words) == (room == 0)
    assert "As recorded when the run was scored." in page.words


def test_a_folder_that_cannot_be_written_is_told(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(bundle / "no/such/folder.html")]
    assert main(["report", str(bundle / RUN), "--bundle", str(bundle), *output]) == 4
    assert capsys.readouterr().err.splitlines()[-1].endswith("[page-unwritable]")


def test_the_page_of_a_run_of_an_own_scoring_program(bundle: Path, report: Report) -> None:
    script = bundle / "scoring_program_hybrid/score_hybrid.py"
    script.write_text("print('another')\n")
    page = report(bundle, RUN)
    assert "[scoring-foreign]" in page.words
    assert json.loads((bundle / RUN / "run.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("command", ["board", "report"])
def test_the_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"mimicry {command} " in capsys.readouterr().out.split("Examples:")[1]
