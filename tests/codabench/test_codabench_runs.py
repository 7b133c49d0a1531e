"""Runs: the worker's quirks, resuming, locking, and the real programs end to end."""

import fcntl
import json
import math
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from codabench_minibundle import copy_repository
from hypothesis import given
from hypothesis import strategies as st

from mimicry.codabench import task_plan
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.engines.bubblewrap import bubblewrap_problem
from mimicry.codabench.records import RunRecord, TaskRecord, read_run, write_run
from mimicry.codabench.run_files import last_lines, settle
from mimicry.codabench.run_request import RunRequest, choose_tasks, default_output
from mimicry.codabench.run_text import failure_tail, failures, summary
from mimicry.codabench.runs import run_submission
from mimicry.codabench.scores_file import platform_scores
from mimicry.errors import BundleError

# Writes down what it sees, then does what the submission's model.py says.
INGESTION = """
import json, os, sys
from pathlib import Path
inputs, output, program, submission = map(Path, sys.argv[1:])
facts = {
    "before": sorted(p.name for p in output.rglob("*")),
    "inputs": len(list(inputs.iterdir())),
    "files": sorted(p.name for p in submission.rglob("*")),
    "settings": json.loads((program / "phase.json").read_text()),
    "limit": os.environ.get("MIMICRY_TIME_LIMIT"),
    "mounts": sorted(p.name for p in output.parent.iterdir()),
}
(output / "facts.json").write_text(json.dumps(facts))
exec((submission / "model.py").read_text())
"""
SCORING = """
import json, os, sys
from pathlib import Path
source, output = map(Path, sys.argv[1:])
facts = {
    "res": sorted(p.name for p in (source / "res").iterdir()),
    "ref": [p.name for p in (source / "ref").iterdir()],
    "metadata": (source / "res" / "metadata").read_text(),
    "mounts": sorted(p.name for p in source.parent.iterdir()),
    "settings": json.loads((Path.cwd() / "phase.json").read_text()),
}
(output / "facts.json").write_text(json.dumps(facts))
wanted = source / "res" / "scores_wanted"
(output / "scores.json").write_text(wanted.read_text() if wanted.exists() else '{"score": 0.5}')
if (source / "res" / "scoring_fails").exists():
    print("the data are bad [bad-data]", file=sys.stderr)
    sys.exit(4)
"""
ARGUMENTS = {
    "ingestion": "/app/input_data /app/output /app/program /app/ingested_program",
    "scoring": "/app/input /app/output",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = copy_repository(tmp_path / "bundle")
    for path in folder.glob("*_program*"):
        kind = "ingestion" if path.name.startswith("ingestion") else "scoring"
        (path / "main.py").write_text(INGESTION if kind == "ingestion" else SCORING)
        command = f"command: python3 /app/program/main.py {ARGUMENTS[kind]}\n"
        (path / "metadata.yaml").write_text(command)
        for script in path.glob("*.py"):
            if script.name != "main.py":
                script.unlink()
    return folder


def make_submission(folder: Path, model: str = "", **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(model)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def make_request(bundle: Path, submission: Path, **changes: object) -> RunRequest:
    competition = load_competition(bundle, "two-task")
    phase = competition.phase("development")
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=choose_tasks(phase, ["A"]),
        submission=submission,
        participant="ann",
        engine=ENGINES["subprocess"],
        output=bundle / "runs" / "one",
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def run(request: RunRequest) -> tuple[RunRecord, list[str]]:
    lines: list[str] = []
    return run_submission(request, lines.append), lines


def facts(request: RunRequest, step: str, task: str = "A") -> dict[str, object]:
    content = json.loads((request.output / task / step / "facts.json").read_text())
    assert isinstance(content, dict)
    return content


def test_folders_and_record_of_a_run(bundle: Path, tmp_path: Path) -> None:
    submission = make_submission(tmp_path / "sub", "print('hello from ingestion')", extra="x")
    request = make_request(bundle, submission, time_limit=50.0)
    record, lines = run(request)
    seen = facts(request, "prediction")
    assert seen["before"] == ["extra", "model.py"]  # copied, as there is no metadata
    assert seen["files"] == ["extra", "model.py"]
    assert seen["inputs"] == 6
    assert seen["limit"] == "50"
    assert seen["mounts"] == ["data", "ingested_program", "input_data", "output", "program"]
    settings = {"competition": "two-task", "phase": "Development", "task": "A"}
    assert seen["settings"] == {
        **settings,
        "execution_time_limit": 300,
        "results_page": "full",
        "sealed": False,
    }
    scored = facts(request, "scoring")
    assert scored["res"] == ["extra", "facts.json", "metadata", "model.py"]
    assert scored["ref"] == ["val_A.csv"]
    assert scored["mounts"] == ["data", "input", "output", "program", "shared"]
    assert scored["settings"] == seen["settings"]
    status = yaml.safe_load(str(scored["metadata"]))
    assert status["ingestionExitCode"] == 0 and status["exitCode"] is None
    assert 0 < status["ingestionElapsedTime"] < 20
    assert "    hello from ingestion" in lines
    assert record == read_run(request.output)
    assert record.state == "finished" and record.finished and record.exit_code == 0
    assert list(record.tasks) == ["A"]
    assert record.tasks["A"].scores == {"score": 0.5}
    assert record.tasks["A"].exit_codes == {"ingestion": 0, "scoring": 0}
    left = sorted(p.name for p in request.output.iterdir())
    assert left == [".lock", "A", "provenance.json", "run.json"]
    logs = request.output / "A" / "logs"
    assert (logs / "ingestion.stdout.txt").read_text() == "hello from ingestion\n"
    assert (logs / "scoring.stderr.txt").read_text() == ""
    shown = list(summary(record, request.output, {"score": 4}))
    assert "  score 0.5000" in shown


def test_metadata_keeps_the_submission_out_of_the_outputs(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub", metadata="description: x\n"))
    run(request)
    assert facts(request, "prediction")["before"] == []


def test_a_command_in_the_submission_runs_first(bundle: Path, tmp_path: Path) -> None:
    submission = make_submission(
        tmp_path / "sub",
        metadata="command: python3 first.py $output",
        **{"first.py": "import sys, pathlib; pathlib.Path(sys.argv[1], 'planted').touch()"},
    )
    request = make_request(bundle, submission)
    record, _ = run(request)
    assert facts(request, "prediction")["before"] == ["planted"]
    assert any("container of its own" in note for note in record.tasks["A"].notes)


def test_what_its_command_changes_ingestion_finds(bundle: Path, tmp_path: Path) -> None:
    submission = make_submission(
        tmp_path / "sub",
        "(output / 'which').write_text('original')",
        metadata="command: python3 first.py\n",
        **{"first.py": "open('model.py', 'w').write(\"(output / 'which').write_text('changed')\")"},
    )
    request = make_request(bundle, submission)
    run(request)
    assert (request.output / "A" / "prediction" / "which").read_text() == "changed"
    assert "original" in (submission / "model.py").read_text()


@pytest.mark.parametrize(
    "command", ["python3 'x", "'  '", '"python3 a\\0b"', "python3 " + "x" * 20_000]
)
def test_a_command_that_cannot_be_started_is_the_participants(
    bundle: Path, tmp_path: Path, command: str
) -> None:
    submission = make_submission(tmp_path / "sub", metadata=f"command: {command}\n")
    record, _ = run(make_request(bundle, submission))
    task = record.tasks["A"]
    assert (task.error_code, record.exit_code) == ("submission-command", 3)


def test_a_planted_record_does_not_speak_for_ingestion(bundle: Path, tmp_path: Path) -> None:
    state = {"state": "failed", "error_kind": "bundle", "error_code": "x", "error": "Send money"}
    model = (
        f"(output / 'ingestion.json').write_text({json.dumps(state)!r})\n"
        "(output / 'scoring_fails').touch(); sys.exit(3)"
    )
    record, _ = run(make_request(bundle, make_submission(tmp_path / "sub", model)))
    assert record.exit_code == 3
    assert "Send money" not in str(record.tasks["A"].error)


def test_links_in_the_scoring_output_are_told(bundle: Path, tmp_path: Path) -> None:
    program = bundle / "scoring_program_A" / "main.py"
    program.write_text(program.read_text() + "(output / 'link').symlink_to('scores.json')\n")
    record, _ = run(make_request(bundle, make_submission(tmp_path / "sub")))
    assert any("in the scoring output were left out (link)" in n for n in record.tasks["A"].notes)


def test_a_run_that_changes_hands_says_so(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    run(request)
    later = "2030-01-01T00:00:00+00:00"
    record, lines = run(replace(request, participant="bob", submitted=later))
    assert (record.participant, record.submitted) == ("bob", later)
    assert "the participant of this run was ann, and is now bob" in lines
    assert any(line.startswith("the time of submission of this run was") for line in lines)
    assert not any("is now" in line for line in run(replace(request, participant="bob"))[1])


def test_scoring_runs_though_ingestion_failed(bundle: Path, tmp_path: Path) -> None:
    model = "print('model.py is bad [model-import]', file=sys.stderr); sys.exit(3)"
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    record, _ = run(request)
    # The platform would take these scores; so does the record, and says so.
    assert record.state == "finished"
    assert "model.py is bad" in record.tasks["A"].notes[-1]
    model = "(output / 'scoring_fails').touch();" + model
    make_submission(tmp_path / "sub", model)
    record, _ = run(replace(request, output=bundle / "runs" / "two"))
    task = record.tasks["A"]
    assert (record.state, task.state, record.exit_code) == ("failed", "failed", 3)
    assert (task.error, task.error_code) == ("model.py is bad", "model-import")
    assert task.exit_codes == {"ingestion": 3, "scoring": 4}
    assert task.scores is None


def test_the_state_of_ingestion_counts_before_its_last_line(bundle: Path, tmp_path: Path) -> None:
    state = {"state": "failed", "error_kind": "submission", "error_code": "no-load"}
    state["error"] = "class Model has no load \x1b[2J"
    model = (
        f"(output / 'ingestion.json').write_text({json.dumps(state)!r})\n"
        "(output / 'participant.log').write_text('first\\n\\x1b]0;x\\x07  last\\n')\n"
        "(output / 'scoring_fails').touch(); sys.exit(3)"
    )
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    record, _ = run(request)
    task = record.tasks["A"]
    assert (task.error, task.error_code) == ("class Model has no load ?[2J", "no-load")
    assert failure_tail(request.output, "A") == ["first", "?]0;x? last"]
    assert any("[no-load]" in line for line in summary(record, request.output, {}))


def test_scoring_failures_are_told(bundle: Path, tmp_path: Path) -> None:
    request = make_request(
        bundle, make_submission(tmp_path / "sub", "(output / 'scoring_fails').touch()")
    )
    record, _ = run(request)
    assert (record.tasks["A"].error, record.exit_code) == ("the data are bad", 4)


@pytest.mark.parametrize("scores", ['{"score": NaN}', "[]", "{", '{"other": 1}', '{"score": null}'])
def test_unusable_scores_are_the_organisers(bundle: Path, tmp_path: Path, scores: str) -> None:
    model = f"(output / 'scores_wanted').write_text({scores!r})"
    record, _ = run(make_request(bundle, make_submission(tmp_path / "sub", model)))
    assert (record.tasks["A"].error_code, record.exit_code) == ("no-scores", 4)


def test_links_are_left_out_and_hidden_folders_opened(bundle: Path, tmp_path: Path) -> None:
    model = (
        "(output / 'link').symlink_to('/etc/passwd'); os.mkfifo(output / 'pipe')\n"
        "(output / 'deep').mkdir(); (output / 'deep' / 'x').touch(); (output / 'deep').chmod(0)\n"
    )
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    record, _ = run(request)
    assert not (request.output / "A" / "prediction" / "link").is_symlink()
    assert (request.output / "A" / "prediction" / "deep" / "x").is_file()
    assert any("2 links, special files" in note for note in record.tasks["A"].notes)


def test_a_metadata_output_fails_as_on_the_platform(bundle: Path, tmp_path: Path) -> None:
    model = "(output / 'metadata').write_text('x')"
    record, _ = run(make_request(bundle, make_submission(tmp_path / "sub", model)))
    assert record.tasks["A"].error_code == "output-metadata"
    assert record.tasks["A"].exit_codes == {"ingestion": 0, "scoring": None}


def test_the_hard_limit(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_plan, "GRACE", 0.5)
    model = "import time; (output / 'scoring_fails').touch(); time.sleep(60)"
    request = make_request(bundle, make_submission(tmp_path / "sub", model), time_limit=0.5)
    record, _ = run(request)
    assert record.tasks["A"].error_code == "hard-time-limit"
    assert record.exit_code == 3


def test_a_finished_task_is_kept_and_a_changed_one_redone(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    first, _ = run(request)
    stamp = (request.output / "A" / "scoring" / "facts.json").stat().st_mtime_ns
    again, lines = run(replace(request, participant="bob"))
    assert again == replace(first, participant="bob")
    assert any("task A: kept" in line for line in lines)
    assert (request.output / "A" / "scoring" / "facts.json").stat().st_mtime_ns == stamp
    both, lines = run(replace(request, tasks=request.phase.tasks))
    assert list(both.tasks) == ["A", "mimic"] and both.state == "finished"
    assert any("task A: kept" in line for line in lines)
    program = bundle / "scoring_program_A" / "main.py"
    program.write_text(program.read_text().replace("0.5", "0.75"))
    changed, lines = run(request)
    assert changed.tasks["A"].scores == {"score": 0.75}
    assert list(changed.tasks) == ["A", "mimic"]
    assert any("task A: redone" in line for line in lines)


def test_a_failed_task_is_redone(bundle: Path, tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    model = f"if not Path({str(flag)!r}).exists(): (output / 'scoring_fails').touch()"
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    assert run(request)[0].state == "failed"
    flag.touch()
    record, lines = run(request)
    assert record.state == "finished"
    assert any("did not finish it" in line for line in lines)


def test_folders_that_are_refused(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    run(request)
    other = replace(request, submission=make_submission(tmp_path / "other", "pass"))
    with pytest.raises(BundleError) as caught:
        run(other)
    assert caught.value.code == "run-folder-taken"
    named = r"another submission: sub \(SHA-256 \w{12}\), not other \(SHA-256 \w{12}\); choose"
    assert re.search(named, caught.value.sentence)
    renamed = make_submission(tmp_path / "renamed")
    assert run(replace(request, submission=renamed))[0].submission == "sub"
    with pytest.raises(BundleError, match="another phase: development, not final; choose"):
        run(replace(request, phase=request.competition.phase("final")))
    with pytest.raises(BundleError) as caught:
        run(replace(request, output=tmp_path / "other"))
    assert caught.value.code == "not-a-run-folder"
    assert (tmp_path / "other" / "model.py").is_file()
    with (request.output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BundleError) as caught:
            run(request)
    assert caught.value.code == "run-locked"


def test_a_killed_run_is_not_finished_and_can_be_resumed(bundle: Path, tmp_path: Path) -> None:
    model = "import time; (output / 'x').touch(); time.sleep(0.05 if limit_is_past() else 60)"
    flag = tmp_path / "go-on"
    model = f"def limit_is_past(): return Path({str(flag)!r}).exists()\n" + model
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    command = [sys.executable, "-m", "mimicry.cli", "run", str(request.submission)]
    command += ["--competition", "two-task", "--task", "A", "--engine", "subprocess"]
    command += ["--output", str(request.output), "--bundle", str(bundle)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    started = request.output / ".staging" / "A" / "prediction" / "app" / "output" / "x"
    end = time.monotonic() + 20
    while not started.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert started.exists()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    record = read_run(request.output)
    assert (record.state, record.finished, record.tasks["A"].state) == ("running", None, "running")
    flag.touch()
    record, _ = run(request)
    assert record.state == "finished"
    assert not (request.output / ".staging").exists()


def test_missing_data_name_the_remedy(bundle: Path, tmp_path: Path) -> None:
    (bundle / "input_data" / "val_A.zip").unlink()
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    with pytest.raises(BundleError, match=r"input_data/val_A\.zip.*mimicry data demo") as caught:
        run(request)
    assert caught.value.code == "data-missing"
    assert not request.output.exists()


def test_a_bad_zip_is_a_failed_run(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../outside.txt", "x")
    record, _ = run(make_request(bundle, path))
    assert (record.tasks["A"].error_code, record.exit_code) == ("zip-traversal", 3)
    assert not list(tmp_path.rglob("outside.txt"))


def test_tasks_and_folders_are_chosen(bundle: Path, tmp_path: Path) -> None:
    phase = load_competition(bundle, "two-task").phase("development")
    assert [task.key for task in choose_tasks(phase, ["mimic", "A"])] == ["A", "mimic"]
    assert choose_tasks(phase, []) == phase.tasks
    with pytest.raises(ValueError, match="'B'; choose from: A, mimic"):
        choose_tasks(phase, ["B"])
    first = default_output(bundle, "hybrid", "final", tmp_path / "my model (2).zip")
    assert first.parts[-4:-1] == ("runs", "hybrid", "final")
    first.mkdir(parents=True)
    second = default_output(bundle, "hybrid", "final", tmp_path / "my model (2).zip")
    assert second.name[:-1] == first.name[:-1] and second.name.endswith("-2")


@pytest.mark.parametrize(
    ("content", "scores", "on_board", "failed"),
    [
        ('{"score": 0.5, "other": 1}', {"score": 0.5}, True, False),
        ('{"score": "0.5", "b": true}', {"score": 0.5, "b": 1.0}, True, False),
        ('{"score": 1e-12}', {"score": 0.0}, True, False),
        ('{"score": 0.1, "b": null}', {"score": 0.1}, False, False),
        ('{"b": 1e10, "score": 0.1}', {}, False, False),
        ('{"score": Infinity}', {}, False, False),
        ('{"score": 0.5, "other": NaN}', {}, False, False),
        ("[1]", {}, False, False),
        ("{}", {}, True, False),
        ("\ufeff{}", {}, False, True),
        ("{score}", {}, False, True),
    ],
)
def test_scores_as_the_platform_reads_them(
    tmp_path: Path, content: str, scores: dict[str, float], on_board: bool, failed: bool
) -> None:
    (tmp_path / "scores.json").write_text(content)
    read = platform_scores(tmp_path, ["score", "b"], "score")
    assert (dict(read.scores), read.on_board, read.failed is not None) == (scores, on_board, failed)
    expected = ("score" not in scores or not on_board or "other" in content) and not failed
    assert bool(read.notes) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"score": 0.5, "other": 1}', "no column has the key other"),
        ("{}", "a row without values"),
        ("{}", "no value for b: the board would show n/a"),
        ('{"score": 0.5}', "no value for b"),
        ('{"b": 0.5}', "ranks a missing value above every real one"),
        ('{"score": 0.1, "b": [1]}', "b is no number"),
        ('{"score": 0.1, "b": 1' + "0" * 400 + "}", "b is no number"),
        ('{"score": {"value": 1}}', "score is no number"),
        ('{"score": NaN}', "would say Finished and keep none"),
    ],
)
def test_what_becomes_of_odd_scores_is_said(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "scores.json").write_text(content)
    (tmp_path / "scores.txt").write_text("score: 1\nb: 1\n")
    read = platform_scores(tmp_path, ["score", "b"], "score", alone=True)
    assert any(said in note for note in read.notes), read.notes
    # Beside other tasks, columns of theirs are not missed.
    beside = platform_scores(tmp_path, ["score", "b"], "score")
    assert not any("n/a" in note for note in beside.notes)


def test_a_folder_named_scores_hides_the_text_file(tmp_path: Path) -> None:
    (tmp_path / "scores.json").mkdir()
    (tmp_path / "scores.txt").write_text("score: 1\n")
    assert platform_scores(tmp_path, ["score"], "score").failed


def test_scores_txt_comes_second(tmp_path: Path) -> None:
    assert platform_scores(tmp_path, ["a"], "a").failed
    (tmp_path / "scores.txt").write_text("a: 0.25\n")
    assert platform_scores(tmp_path, ["a"], "a").scores == {"a": 0.25}
    (tmp_path / "scores.json").write_text('{"a": 0.5}')
    assert platform_scores(tmp_path, ["a"], "a").scores == {"a": 0.5}


@given(st.binary(max_size=300))
def test_any_scores_file_is_read(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("scores.txt", "scores.json"):
            (Path(folder) / name).write_bytes(data)
            read = platform_scores(Path(folder), ["a", "b"], "a")
            assert all(math.isfinite(value) for value in read.scores.values())


def test_settle_removes_what_is_too_deep(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    folder.mkdir()
    place = folder
    for _ in range(59):
        place /= "d"
        place.mkdir()
    (place / "kept").write_text("x")
    # Below this one, paths are longer than the system takes at once.
    script = "import os\nfor _ in range(2500): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", script], cwd=place, check=True)
    long = folder / ("x" * 250)
    for _ in range(4):
        long /= "x" * 250
    long.mkdir(parents=True)
    removed = settle(folder)
    assert sorted(removed) == ["/".join(["d"] * 60) + "/d", "/".join(["x" * 250] * 5)]
    assert (place / "kept").read_text() == "x"
    shutil.copytree(folder, tmp_path / "copy")


def test_settle_puts_a_folder_in_place_of_a_link(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    (tmp_path / "output").symlink_to(kept)
    assert settle(tmp_path / "output") == ["output"]
    assert (tmp_path / "output").is_dir() and not (tmp_path / "output").is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_a_submission_that_digs_deep_is_run_and_run_again(bundle: Path, tmp_path: Path) -> None:
    dig = """
import os
for place in (inputs, output):
    os.chdir(place)
    for _ in range(2500):
        os.mkdir("d")
        os.chdir("d")
"""
    request = make_request(bundle, make_submission(tmp_path / "sub", dig, metadata=""))
    for _ in range(2):
        record, _ = run(request)
        assert any("too deep folders" in note for note in record.tasks["A"].notes)
        assert record.state == "finished"
        assert not (request.output / ".staging").exists()
        forget_fingerprint(request.output)


def forget_fingerprint(output: Path) -> None:
    """Make the next run do every task again."""
    record = read_run(output)
    tasks = {key: replace(task, fingerprint="") for key, task in record.tasks.items()}
    write_run(output, replace(record, tasks=tasks))


def test_links_in_a_run_folder_are_not_followed(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    victim = tmp_path / "victim"
    (victim / "secret").mkdir(parents=True, mode=0o700)
    (victim / "secret" / "file").write_text("x")
    run(request)
    shutil.rmtree(request.output / "A")
    for name in ("A", ".staging"):
        (request.output / name).symlink_to(victim)
    # Also with the right fingerprint, what a link leads to is no finished task.
    assert run(request)[0].state == "finished"
    assert (victim / "secret" / "file").read_text() == "x"
    assert stat.S_IMODE((victim / "secret").stat().st_mode) == 0o700
    assert not (request.output / "A").is_symlink()
    (request.output / ".lock").unlink()
    (request.output / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(BundleError) as caught:
        run(request)
    assert caught.value.code == "run-folder-unwritable"
    assert not (tmp_path / "made").exists()


def test_labels_that_the_engine_would_show_are_refused(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    for shown in (bundle, tmp_path, bundle / "reference_data", request.output):
        engine = replace(request.engine, shown=lambda shown=shown: (shown,))
        with pytest.raises(BundleError) as caught:
            run(replace(request, engine=engine))
        assert caught.value.code == "engine-exposes"
        assert str(shown) in caught.value.sentence
    assert not request.output.exists()
    unrelated = replace(request.engine, shown=lambda: (bundle / "pages", bundle.parent / "other"))
    assert run(replace(request, engine=unrelated))[0].state == "finished"


def test_bubblewrap_shows_the_system_and_this_python() -> None:
    shown = ENGINES["bubblewrap"].shown()
    assert Path("/usr") in shown
    for prefix in map(Path, (sys.prefix, sys.base_prefix)):
        assert any(prefix.is_relative_to(folder) for folder in shown)


def test_a_program_that_cannot_be_packed_leaves_no_work_space(bundle: Path, tmp_path: Path) -> None:
    request = make_request(bundle, make_submission(tmp_path / "sub"))
    (bundle / "scoring_program_A" / "metadata.yaml").unlink()
    with pytest.raises(BundleError, match="program-metadata"):
        run(request)
    assert not (request.output / ".staging").exists()


def test_settle_and_last_lines(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to("nowhere")
    assert settle(tmp_path) == ["a/link"]
    (tmp_path / "log").write_bytes(b"x\n" * 10 + b"\n    two\xff \x1b[31m\n" + b"y" * 999)
    assert last_lines(tmp_path / "log", 2, 12) == ["    two� ?[31m", "y" * 11 + "…"]
    assert last_lines(tmp_path / "none", 2) == []


BRIGHTNESS = """
from PIL import ImageStat
class Model:
    def load(self):
        print("loaded")
    def predict(self, image):
        return ImageStat.Stat(image.convert("L")).mean[0]
"""


@pytest.mark.parametrize("name", ["subprocess", "bubblewrap"])
def test_the_real_programs_end_to_end(tmp_path: Path, name: str) -> None:
    if name == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    bundle = copy_repository(tmp_path / "bundle")
    submission = make_submission(tmp_path / "sub", BRIGHTNESS, metadata="")
    scores: dict[str, float] = {}
    for id in ("two-task", "hybrid"):
        competition = load_competition(bundle, id)
        request = make_request(
            bundle,
            submission,
            competition=competition,
            phase=competition.phase("development"),
            tasks=competition.phase("development").tasks,
            engine=ENGINES[name],
            output=tmp_path / id,
        )
        record, lines = run(request)
        assert record.state == "finished", lines
        for task in record.tasks.values():
            assert task.scores is not None
            for key, value in task.scores.items():
                assert math.isfinite(value)
                if key in scores and key != "score":
                    assert math.isclose(value, scores[key])
                scores[key] = value
    columns = {column.key for column in load_competition(bundle, "hybrid").leaderboard.columns}
    assert columns <= scores.keys()


def test_a_failing_model_through_the_real_programs(tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    model = (
        "print('before the fault')\nclass Model:\n    def load(self): raise OSError('no weights')\n"
    )
    model += "    def predict(self, image): return 0.0\n"
    request = make_request(bundle, make_submission(tmp_path / "sub", model))
    record, lines = run(request)
    task = record.tasks["A"]
    assert (record.exit_code, task.error_kind) == (3, "submission")
    assert task.error is not None and "no weights" in task.error
    # Scoring gives the same reason; it is told once while running.
    assert sum("no weights" in line for line in lines) == 1
    assert failures(
        replace(record, tasks={"A": task, "mimic": task, "x": TaskRecord("failed")})
    ) == [f"tasks A, mimic: {task.error} [{task.error_code}]"]
    assert not (request.output / "A" / "scoring" / "scores.json").exists()
    assert "before the fault" in failure_tail(request.output, "A")
