"""Kill -9 at any moment, and clocks that jump: the same command again ends with the same scores."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from codabench_faults import MODEL, jumping_clock, left_overs, wait_for, write_submission
from codabench_minibundle import copy_repository

from mimicry.cli import main
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.engines.docker_client import docker_client
from mimicry.codabench.engines.docker_guard import OWNER_LABEL
from mimicry.codabench.quotas import handed_in, marks
from mimicry.codabench.records import RunRecord, read_run, write_run
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission
from mimicry.codabench.scratch import PREFIX


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("killed") / "bundle")


def command_for(bundle: Path, submission: Path, output: Path, engine: str) -> list[str]:
    command = [sys.executable, "-m", "mimicry.cli", "run", str(submission), "--engine", engine]
    command += ["--competition", "two-task", "--task", "A"]
    return [*command, "--output", str(output), "--bundle", str(bundle)]


@pytest.fixture(params=["subprocess", "bubblewrap", "docker"])
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine that works here."""
    name = str(request.param)
    if name == "docker":
        request.getfixturevalue("competition_image")
    if problem := ENGINES[name].problem():
        pytest.skip(problem)
    return name


@pytest.fixture(scope="module")
def undisturbed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = command_for(bundle, write_submission(folder / "sub"), folder / "run", "subprocess")
    subprocess.run(command, check=True, capture_output=True)
    return folder / "run"


@pytest.mark.parametrize("engine", ["subprocess", "bubblewrap"], indirect=True)
def test_killed_at_random_and_run_again(
    bundle: Path, undisturbed: Path, tmp_path: Path, engine: str
) -> None:
    submission = write_submission(tmp_path / "sub")
    output, temporary = tmp_path / "run", tmp_path / "tmp"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = command_for(bundle, submission, output, engine)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    chance = random.Random(engine)
    # Signs of how far a run has come; it is killed at some moment after one.
    signs = ("run.json", ".staging/A/prediction/app/output/ingestion.json")
    for sign in signs:
        process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
        here = output / sign
        assert wait_for(lambda: here.exists() or process.poll() is not None)  # noqa: B023
        time.sleep(chance.random() * 0.15)
        process.kill()
        process.wait()
        for name in ("run.json", "provenance.json"):
            if (output / name).exists():
                assert isinstance(json.loads((output / name).read_text()), dict)
        if (output / "run.json").exists():
            record = read_run(output)
            assert (record.state == "finished") == (record.finished is not None)
    hour_ago = time.time() - 3600
    for folder in temporary.glob(f"{PREFIX}*"):
        os.utime(folder, (hour_ago, hour_ago))
    subprocess.run(command, env=environment, check=True, **quiet)
    record = read_run(output)
    assert record.state == "finished"
    assert record.tasks["A"].scores == read_run(undisturbed).tasks["A"].scores
    assert list(temporary.iterdir()) == []
    assert left_overs(output) == []
    assert {path.name for path in output.iterdir()} == {path.name for path in undisturbed.iterdir()}


# Kills the process that runs a command as it gives a file its name for the N-th time.
KILLER = """
import os, pathlib, signal, sys
from mimicry.cli import main
left, real = int(sys.argv[1]), pathlib.Path.replace
def replace(path, target):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, target)
pathlib.Path.replace = replace
sys.exit(main(sys.argv[2:]))
"""


def killed_at(number: int, command: list[str]) -> int:
    """Run a command that is killed as it puts the N-th file in its place; return its code."""
    killer = [sys.executable, "-c", KILLER, str(number), *command]
    return subprocess.run(killer, capture_output=True, check=False).returncode


def test_killed_at_every_record(bundle: Path, undisturbed: Path, tmp_path: Path) -> None:
    submission, output = write_submission(tmp_path / "sub"), tmp_path / "run"
    command = command_for(bundle, submission, output, "subprocess")[3:]
    # The zip; provenance and record of the start, of the task and of the end.
    for number in (2, 3, 7):
        assert killed_at(number, command) == -signal.SIGKILL, number
        assert left_overs(output), number
        if (output / "run.json").exists():
            assert read_run(output).state == "running"
    assert main(command) == 0
    assert read_run(output).tasks["A"].scores == read_run(undisturbed).tasks["A"].scores
    assert left_overs(output) == []


def test_a_killed_pack_leaves_the_old_zip_and_no_rest(bundle: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    old = dist / "mimicry-blue.zip"
    old.write_bytes(b"of before")
    command = ["pack", "--bundle", str(bundle), "--competition", "blue", "--dist", str(dist)]
    assert killed_at(1, command) == -signal.SIGKILL
    (rest,) = left_overs(dist)
    assert old.read_bytes() == b"of before"
    assert main(command) == 0
    # It may be somebody's who is at work: only after a while is it nobody's.
    assert left_overs(dist) == [rest]
    hour_ago = time.time() - 3600
    os.utime(dist / rest, (hour_ago, hour_ago))
    packed = old.read_bytes()
    with (dist / rest).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(command) == 0
        assert left_overs(dist) == [rest]
    # Two at once make the same.
    both = [
        subprocess.Popen([sys.executable, "-m", "mimicry.cli", *command], stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [one.wait(120) for one in both] == [0, 0]
    assert old.read_bytes() == packed
    assert left_overs(dist) == []


def test_a_killed_rehearsal_goes_on_and_only_one_is_at_work(tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    output = tmp_path / "rehearsal"
    command = ["rehearse", str(write_submission(tmp_path / "sub")), "--bundle", str(bundle)]
    command += ["--competition", "hybrid", "--engine", "subprocess", "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mimicry.cli", *command], stdout=subprocess.DEVNULL
    )
    assert wait_for(lambda: list(output.rglob("run.json")))
    busy = subprocess.run(
        [sys.executable, "-m", "mimicry.cli", *command], capture_output=True, text=True, check=False
    )
    assert busy.returncode == 4 and busy.stderr.endswith("[rehearsal-locked]\n")
    assert process.poll() is None
    process.kill()
    process.wait()
    assert json.loads((output / "rehearsal.json").read_text())["state"] == "running"
    assert main(command) == 0
    assert json.loads((output / "rehearsal.json").read_text())["state"] == "finished"
    assert {read_run(one.parent).state for one in output.rglob("run.json")} == {"finished"}
    assert left_overs(output) == []


def request_for(bundle: Path, submission: Path, output: Path, engine: str) -> RunRequest:
    competition = load_competition(bundle, "two-task")
    phase = competition.phase("development")
    return RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks[:1],
        submission=submission,
        participant="ann",
        engine=ENGINES[engine],
        output=output,
    )


def kill_program(engine: str, script: str) -> None:
    """Kill the process that runs `script`, as the system does when memory runs out."""
    if engine == "docker":
        with docker_client() as client:
            listed = client.api.containers(filters={"label": OWNER_LABEL})
            for one in listed:
                if one["Labels"][OWNER_LABEL].split()[-2] == str(os.getpid()):
                    client.api.kill(one["Id"], "KILL")
        return
    children = psutil.Process().children(recursive=True)
    found = [
        one for one in children if one.name().startswith("python") and script in one.cmdline()[1]
    ]
    os.kill(found[-1].pid, signal.SIGKILL)


@pytest.mark.parametrize("step", ["ingestion", "scoring"])
def test_a_program_killed_from_outside_is_nobodys_bug(
    tmp_path: Path, engine: str, step: str
) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    waiting = "import time\nprint('begun', flush=True)\ntime.sleep(100)\n"
    scores = "open('../output/scores.json', 'w').write('{\"score\": 1}')\n"
    scored = f"import os\nos.path.exists('../input/res/scores.json') or exit(4)\n{scores}"
    programs = {"ingestion": bundle / "ingestion_program", "scoring": bundle / "scoring_program_A"}
    for program in programs.values():
        for script in program.glob("*.py"):
            script.unlink()
        (program / "main.py").write_text(scores if "ingestion" in program.name else scored)
        (program / "metadata.yaml").write_text("command: python3 main.py\n")
    sound = (programs[step] / "main.py").read_text()
    (programs[step] / "main.py").write_text(waiting)
    request = request_for(bundle, write_submission(tmp_path / "sub"), tmp_path / "run", engine)

    def report(line: str) -> None:
        if line.strip() == "begun":
            kill_program(engine, "main.py")

    record = run_submission(request, report)
    task = record.tasks["A"]
    assert (task.error_code, task.error_kind, record.exit_code) == (f"{step}-exit", "bundle", 4)
    assert task.error is not None and "SIGKILL" in task.error and "Run it again" in task.error
    (programs[step] / "main.py").write_text(sound)
    assert run_submission(request, lambda line: None).state == "finished"


def test_a_run_that_ended_before_it_began(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = -86_400
    jump = tmp_path / "jump"
    environment = jumping_clock(tmp_path, jump, step)
    output = tmp_path / "runs" / "run"
    command = command_for(bundle, write_submission(tmp_path / "sub"), output, "subprocess")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    assert wait_for((output / "run.json").exists)
    jump.touch()
    assert process.wait(120) == 0
    record = read_run(output)
    assert record.finished is not None
    spent = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
    # Nothing but these two moments tells of the jump.
    assert abs(spent.total_seconds() - step) < 3600
    assert all(0 <= seconds < 600 for seconds in record.tasks["A"].seconds.values() if seconds)
    where = ["--bundle", str(bundle)]
    assert main(["board", str(tmp_path / "runs"), *where, "--competition", "two-task"]) == 0
    assert "sub" in capsys.readouterr().out
    assert main(["report", str(output)]) == 0
    assert main(["verify", str(output), *where]) == 0
    assert main(command[3:]) == 0
    assert "kept, it was finished" in capsys.readouterr().out


def test_the_ingestion_program_keeps_its_deadline_when_the_clock_jumps(
    bundle: Path, tmp_path: Path
) -> None:
    jump = tmp_path / "jump"
    slow = MODEL.replace("pass", "time.sleep(1)", 1)
    slow = f"import time\n{slow}"
    submission = write_submission(tmp_path / "sub", slow)
    images = tmp_path / "images"
    with zipfile.ZipFile(bundle / "input_data" / "val_A.zip") as archive:
        archive.extractall(images)
    environment = jumping_clock(tmp_path, jump, 86_400) | {"MIMICRY_TIME_LIMIT": "60"}
    program = bundle / "ingestion_program"
    folders = [str(images), str(tmp_path / "output"), str(program), str(submission)]
    script = [sys.executable, str(program / "ingestion.py"), *folders]
    process = subprocess.Popen(script, env=environment, stdout=subprocess.DEVNULL)
    assert wait_for((tmp_path / "output" / "ingestion.json").exists)
    jump.touch()
    assert process.wait(120) == 0
    outcome = json.loads((tmp_path / "output" / "ingestion.json").read_text())
    assert (outcome["state"], 1 < outcome["seconds"] < 60) == ("finished", True)


def test_quotas_count_by_submission_whatever_the_clock_did(bundle: Path, tmp_path: Path) -> None:
    phase = load_competition(bundle, "two-task").phase("development")
    at = phase.start + timedelta(hours=1)
    record = RunRecord(
        *("two-task", "development", "sub", "ann", "0" * 64, "subprocess"),
        started=at.isoformat(),
        finished=(at - timedelta(days=2)).isoformat(),
        state="finished",
        tasks={},
        submitted=at.isoformat(),
    )
    write_run(tmp_path, record)
    handed = handed_in(read_run(tmp_path))
    assert handed.when == at.astimezone(UTC) and handed.counts
    assert marks(phase, [handed, handed_in(replace(record, finished=None))])[0] is None
