"""Rehearsals of small competitions: real runs, quotas, migration, stopping and going on."""

import copy
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from codabench_minibundle import document, make_bundle, write_yaml

from mimicry.cli import main
from mimicry.codabench.boards.found_runs import find_runs
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.records import read_run
from mimicry.codabench.rehearsal.plan import name_submissions
from mimicry.codabench.rehearsal.play import RehearsalRequest, rehearse
from mimicry.codabench.rehearsal.record import Rehearsal, rehearsal_json
from mimicry.codabench.rehearsal.text import rehearsal_table
from mimicry.errors import BundleError

# Writes the score that the submission names, or does what else it says.
INGESTION = """
import sys
from pathlib import Path
inputs, output, program, submission = map(Path, sys.argv[1:])
exec((submission / "model.py").read_text())
"""
SCORING = """
import json, sys
from pathlib import Path
source, output = map(Path, sys.argv[1:])
fault = source / "res" / "fault"
if fault.exists():
    print(fault.read_text(), file=sys.stderr)
    sys.exit(3)
score = float((source / "res" / "score").read_text())
(output / "scores.json").write_text(json.dumps({"score": score, "loss": 1 - score}))
"""
FAULTY = "(output / 'fault').write_text('no weights in it [load-failed]')"


def make_mini(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    bundle = make_bundle(folder)
    content = document()
    if change is not None:
        change(content)
    write_yaml(bundle, content)
    for path in bundle.glob("*_program*"):
        ingestion = path.name.startswith("ingestion")
        for script in path.glob("*.py"):
            script.unlink()
        (path / "main.py").write_text(INGESTION if ingestion else SCORING)
        arguments = (
            "/app/input_data /app/output /app/program /app/ingested_program"
            if ingestion
            else "/app/input /app/output"
        )
        (path / "metadata.yaml").write_text(f"command: python3 /app/program/main.py {arguments}\n")
    return bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_mini(tmp_path / "bundle")


def model(score: float, then: str = "") -> str:
    return f"(output / 'score').write_text('{score}')\n{then}\n"


def submit(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(text)
    (folder / "metadata").touch()
    return folder


def make_request(
    bundle: Path, *given: tuple[str, Path], id: str = "two-task", **changes: object
) -> RehearsalRequest:
    request = RehearsalRequest(
        competition=load_competition(bundle, id),
        submissions=name_submissions(given),
        engine=ENGINES["subprocess"],
        output=bundle / "runs" / "rehearsal" / id,
        jobs=2,
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def play(request: RehearsalRequest) -> tuple[Rehearsal, list[str]]:
    lines: list[str] = []
    return rehearse(request, lines.append), lines


def states(result: Rehearsal) -> dict[str, str]:
    return {f"{one.phase}/{one.submission.name}": one.state for one in result.outcomes}


def timeless(value: Any) -> Any:
    """Return a rehearsal's record without what differs from one to the next."""
    if isinstance(value, dict):
        left_out = {"started", "finished", "seconds", "memory", "share_of_limit", "jobs", "kept"}
        return {key: timeless(item) for key, item in value.items() if key not in left_out}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def test_the_best_of_each_migrates(bundle: Path, tmp_path: Path) -> None:
    ann = [submit(tmp_path / f"ann{n}", model(score)) for n, score in enumerate((0.25, 0.75, 0.5))]
    bob = submit(tmp_path / "bob", model(0.75))
    bad = submit(tmp_path / "bad", FAULTY)
    given = [*(("ann", one) for one in ann), ("bob", bob), ("bad", bad)]
    result, lines = play(make_request(bundle, *given))
    assert states(result) == {
        "development/ann": "finished",
        "development/ann-2": "finished",
        "development/ann-3": "finished",
        "development/bob": "finished",
        "development/bad": "failed",
        "final-phase/ann-2": "finished",
        "final-phase/bob": "finished",
    }
    assert result.exit_code == 3
    first, second = result.phases
    # Equal scores: the one that was handed in first.
    assert [row.folder for row in first.board.rows] == ["development/ann-2", "development/bob"]
    assert [row.submission for row in second.board.rows] == ["ann-2.zip", "bob.zip"]
    assert [one.submitted for one in first.outcomes][:2] == [
        "2026-01-01T00:01:00+00:00",
        "2026-01-01T00:02:00+00:00",
    ]
    assert [one.submitted for one in second.outcomes] == [
        "2026-02-02T00:05:00+00:00",
        "2026-02-02T00:05:01+00:00",
    ]
    moved = read_run(result.folder / "final-phase" / "bob")
    assert moved.migrated and moved.submitted == "2026-02-02T00:05:01+00:00"
    # Side by side, and still to be told apart.
    assert "[bad] failed: no weights in it [load-failed]; " in "\n".join(lines)
    assert sum(line.endswith("of 5 done") for line in lines) == 5
    assert not any("    " in line for line in lines)
    text = rehearsal_table(result)
    assert "development, bad: no weights in it [load-failed]" in text
    row = next(line.split() for line in text.splitlines() if line.startswith(" Final phase"))
    assert row[:6] == ["Final", "phase", "ann-2", "ann", "finished,", "migrated"]
    assert "7 runs: 6 finished, 1 failed; 0 refused by quotas." in text
    written = json.loads((result.folder / "rehearsal.json").read_text())
    assert written == json.loads(rehearsal_json(result))
    assert (written["state"], written["exit_code"]) == ("finished", 3)
    # What stands in the folder is what was told.
    runs, problems = find_runs([result.folder])
    assert len(runs) == 7 and problems == []
    assert find_runs([bundle / "runs"], rehearsals=False) == ([], [])


def test_the_number_of_jobs_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    # The later ones are the faster ones.
    given = [
        (who, submit(tmp_path / str(n), model(0.5, f"import time; time.sleep({0.4 - n / 10})")))
        for n, who in enumerate(("ann", "bob", "ann", "cy"))
    ]
    results = []
    for jobs in (1, 4):
        output = tmp_path / f"with-{jobs}"
        result, _ = play(make_request(bundle, *given, jobs=jobs, output=output))
        results.append(timeless(json.loads(rehearsal_json(result))))
    assert results[0] == results[1]
    assert [row["participant"] for row in results[0]["phases"][0]["board"]["rows"]] == [
        *("ann", "bob", "cy")
    ]


def strict(content: dict[str, Any]) -> None:
    content["phases"][0]["max_submissions_per_day"] = 2


def test_quotas_refuse_and_failed_ones_are_free(tmp_path: Path) -> None:
    bundle = make_mini(tmp_path / "bundle", strict)
    texts = (FAULTY, model(0.1), model(0.2), model(0.9))
    given = [("ann", submit(tmp_path / str(n), text)) for n, text in enumerate(texts)]
    result, lines = play(make_request(bundle, *given))
    assert states(result) == {
        "development/ann": "failed",
        "development/ann-2": "finished",
        "development/ann-3": "finished",
        "development/ann-4": "refused",
        "final-phase/ann-3": "finished",
    }
    sentence = "Reached maximum allowed submissions for today for this phase"
    assert sum(sentence in line for line in lines) == 1
    assert f"development, ann-4: {sentence} (2 a day" in rehearsal_table(result)
    assert result.exit_code == 3
    # Without the failed one, a refusal alone is no failure.
    output = tmp_path / "other"
    result, _ = play(make_request(bundle, *given[1:], output=output))
    assert (states(result)["development/ann-3"], result.exit_code) == ("refused", 0)


def two_tasks(content: dict[str, Any]) -> None:
    tasks = content["tasks"]
    tasks += [{**copy.deepcopy(task), "index": task["index"] + 2} for task in tasks]
    for task in tasks[2:]:
        task["scoring_program"] = "scoring_program_y"
    for phase, numbers in zip(content["phases"], ([0, 2], [1, 3]), strict=True):
        phase["tasks"] = numbers
    content["phases"][1].update(auto_migrate_to_this_phase=False, max_submissions_per_day=1)
    content["leaderboards"][0]["submission_rule"] = "Add_And_Delete"


def test_nothing_migrates_with_two_tasks(tmp_path: Path) -> None:
    def with_another(content: dict[str, Any]) -> None:
        (tmp_path / "bundle" / "scoring_program_y").mkdir()
        two_tasks(content)

    bundle = make_mini(tmp_path / "bundle", with_another)
    given = [("ann", submit(tmp_path / str(n), model(n / 4))) for n in range(2)]
    result, lines = play(make_request(bundle, *given))
    assert any("never migrates submissions of phases with several tasks" in s for s in lines)
    assert states(result) == {
        "development/ann": "finished",
        "development/ann-2": "finished",
        "final-phase/ann": "finished",
        "final-phase/ann-2": "refused",
    }
    text = rehearsal_table(result)
    rows = [line.split() for line in text.splitlines() if line.startswith(" Development")]
    assert [row[3] for row in rows] == ["x", "y", "x", "y"]
    assert (
        result.phases[0].board.note is not None and "Add_And_Delete" in result.phases[0].board.note
    )


def three_phases(content: dict[str, Any]) -> None:
    del content["tasks"][0]["ingestion_program"], content["tasks"][1]["ingestion_program"]
    content["tasks"].append({**copy.deepcopy(content["tasks"][1]), "index": 2})
    content["phases"][1].update(end="2026-02-03 00:00:00", auto_migrate_to_this_phase=False)
    content["phases"].append(
        {
            **copy.deepcopy(content["phases"][1]),
            **{"index": 2, "name": "Last", "start": "2026-02-04 00:00:00", "tasks": [2]},
            **{"end": "2026-02-04 00:02:00", "auto_migrate_to_this_phase": True},
        }
    )


def test_three_phases_without_ingestion(tmp_path: Path) -> None:
    bundle = make_mini(tmp_path / "bundle", three_phases)
    given = []
    for who, score in (("ann", 0.2), ("ann", 0.3), ("bob", 0.4)):
        folder = tmp_path / f"{who}{score}"
        folder.mkdir()
        (folder / "score").write_text(str(score))
        given.append((who, folder))
    result, _ = play(make_request(bundle, *given))
    assert [len(phase.outcomes) for phase in result.phases] == [3, 3, 2]
    assert [one.submission.name for one in result.phases[2].outcomes] == ["ann-2", "bob"]
    assert [one.migrated for one in result.outcomes] == [False] * 6 + [True] * 2
    assert result.exit_code == 0, rehearsal_table(result)
    assert "  -  " in rehearsal_table(result)


def test_missing_data_of_a_later_phase_are_told_first(bundle: Path, tmp_path: Path) -> None:
    (bundle / "input_data" / "test.zip").unlink()
    request = make_request(bundle, ("ann", submit(tmp_path / "ann", model(0.5))))
    with pytest.raises(BundleError, match=r"input_data/test\.zip"):
        play(request)
    assert not request.output.exists()


def test_what_cannot_be_packed_or_run_is_told_and_the_rest_goes_on(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    good = submit(tmp_path / "good", model(0.5))
    given = [("empty", tmp_path / "empty"), ("text", tmp_path / "text.zip"), ("good", good)]
    result, lines = play(make_request(bundle, *given))
    assert states(result) == {
        "development/empty": "failed",
        "development/text": "failed",
        "development/good": "finished",
        "final-phase/good": "finished",
    }
    assert result.exit_code == 3
    assert any(line.startswith("[empty] cannot be packed: ") for line in lines)
    text = rehearsal_table(result)
    assert "[no-model-file]" in text and "[not-a-zip]" in text


def test_a_second_time_finished_runs_are_kept_and_changed_ones_redone(
    bundle: Path, tmp_path: Path
) -> None:
    ann, bob = (submit(tmp_path / who, model(0.5)) for who in ("ann", "bob"))
    bad = submit(tmp_path / "bad", FAULTY)
    request = make_request(bundle, ("ann", ann), ("bob", bob), ("bad", bad))
    first, _ = play(request)
    submit(bob, model(0.25))
    submit(bad, model(0.125))
    again, lines = play(make_request(bundle, ("ann", ann), ("bob", bob), ("bad", bad)))
    kept = {f"{one.phase}/{one.submission.name}": one.kept for one in again.outcomes}
    assert kept == {
        "development/ann": True,
        "development/bob": False,
        "development/bad": False,
        "final-phase/ann": True,
        "final-phase/bob": False,
        "final-phase/bad": False,
    }
    assert sum("[ann] kept from an earlier rehearsal: finished" in line for line in lines) == 2
    assert sum("[bob] has changed since an earlier rehearsal" in line for line in lines) == 2
    scores = [row.tasks["x"]["score"] for row in again.phases[1].board.rows]
    assert scores == [0.5, 0.25, 0.125] and again.exit_code == 0
    assert "2 kept" in rehearsal_table(again)
    # Fewer submissions: what is left of the others is named and does not count.
    fewer, lines = play(make_request(bundle, ("ann", ann)))
    assert [one.kept for one in fewer.outcomes] == [True, True]
    assert any("bad, bob in " in line and "left out" in line for line in lines)
    assert len(fewer.phases[1].board.rows) == 1
    assert first.exit_code == 3


def test_folders_that_are_refused(bundle: Path, tmp_path: Path) -> None:
    ann = submit(tmp_path / "ann", model(0.5))
    request = make_request(bundle, ("ann", ann))

    def refused(output: Path) -> tuple[str, str]:
        with pytest.raises(BundleError) as caught:
            play(replace(request, output=output))
        return caught.value.code, caught.value.sentence

    assert refused(ann) == (
        "rehearsal-folder",
        f"{ann} is not empty and holds no rehearsal (metadata is in it); choose another --output.",
    )
    assert "is a file" in refused(ann / "model.py")[1]
    other = tmp_path / "other"
    other.mkdir()
    (other / "rehearsal.json").write_text('{"competition": "hybrid"}')
    assert "another competition, hybrid" in refused(other)[1]
    (other / "rehearsal.json").write_text("[]")
    assert "cannot be read" in refused(other)[1]
    busy = tmp_path / "busy"
    busy.mkdir()
    with (busy / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refused(busy)[0] == "rehearsal-locked"


# A finished run leaves a mark outside; the next one waits for a file there.
WAITING = """
import os, time
from pathlib import Path
there = Path({there!r})
(there / f"started-{{os.getpid()}}").touch()
while not (there / "go-on").exists():
    time.sleep(0.05)
"""


def started(there: Path, count: int) -> list[int]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = [int(path.name.partition("-")[2]) for path in there.glob("started-*")]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError("nothing was started")


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_rehearsal_goes_on(
    bundle: Path, tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    wait = WAITING.format(there=str(there))
    texts = {"ann": model(0.1), "bob": model(0.2, wait), "cy": model(0.3, wait)}
    folders = [str(submit(tmp_path / who, text)) for who, text in texts.items()]
    output = tmp_path / "rehearsal"
    options = [*("--competition", "two-task", "--engine", "subprocess", "--jobs", "2")]
    options += [*("--output", str(output), "--bundle", str(bundle))]
    command = [sys.executable, "-m", "mimicry.cli", "rehearse", *folders, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    pids = started(there, 2)
    assert (output / "development" / "ann" / "run.json").exists()
    asked = time.monotonic()
    os.kill(process.pid, number)
    text, _ = process.communicate(timeout=30)
    assert gone(pids)
    assert read_run(output / "development" / "bob").state == "running"
    if number != signal.SIGKILL:
        assert time.monotonic() - asked < 10
        assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
        assert "Stopped. The same command goes on where this one was." in text
        assert json.loads((output / "rehearsal.json").read_text())["state"] == "stopped"
    else:
        assert json.loads((output / "rehearsal.json").read_text())["state"] == "running"
    (there / "go-on").touch()
    assert main(["rehearse", *folders, *options]) == 0
    text = capsys.readouterr().out
    assert "[ann] kept from an earlier rehearsal: finished; 1 of 3 done" in text
    assert "6 runs: 6 finished, 0 failed; 0 refused by quotas; 1 kept" in text
    assert json.loads((output / "rehearsal.json").read_text())["state"] == "finished"


def test_the_command(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(bundle)
    options = ["--competition", "two-task", "--engine", "subprocess"]
    assert main(["rehearse", *options]) == 4
    assert capsys.readouterr().err.strip().endswith("[no-submissions]")
    for name in ("one", "two"):
        submit(bundle / "baselines" / name, model(0.5, "print('told by', submission)"))
    (bundle / "baselines" / "README.md").touch()
    (bundle / "baselines" / "__pycache__").mkdir()
    assert main(["rehearse", *options, "--json"]) == 0
    shown = capsys.readouterr()
    content = json.loads(shown.out)
    folder = bundle / "runs" / "rehearsal" / "two-task"
    assert content == json.loads((folder / "rehearsal.json").read_text())
    assert [one["name"] for one in content["phases"][0]["submissions"]] == ["one", "two"]
    assert "Summary" in shown.err and "told by" not in shown.err
    assert shown.err.count("warning: engine subprocess") == 1
    assert main(["board"]) == 0
    assert capsys.readouterr().out.startswith("No runs yet")
    assert main(["board", str(folder), "--phase", "final-phase"]) == 0
    assert " one.zip " in capsys.readouterr().out
    equals = submit(tmp_path / "a=b", model(0.5, "print('told by', submission)"))
    given = ["--output", str(tmp_path / "x"), "-v", str(equals), f" ann ={equals}"]
    assert main(["rehearse", *options, *given]) == 0
    shown = capsys.readouterr()
    assert "[a_b]     told by" in shown.out and "[ann]     told by" in shown.out
    for wrong in ("nowhere", "ann=nowhere", "=x", "ann="):
        assert main(["rehearse", *options, wrong]) == 2
        assert "SUBMISSION" in capsys.readouterr().err
    assert main(["rehearse", "--competition", "none"]) == 2
