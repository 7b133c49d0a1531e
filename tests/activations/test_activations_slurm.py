"""Extraction as a Slurm array, on a real Slurm where one answers; what the rest does without."""

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from activations_store_helpers import content, write_images, write_models

from mimicry.activations import slurm
from mimicry.activations.extract import Outcome, Request, Settings
from mimicry.activations.extraction import extract_activations
from mimicry.activations.jobs import Model
from mimicry.activations.slurm import SlurmOptions, run_on_slurm, slurm_problem
from mimicry.errors import BundleError

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "slurm"
SETTINGS = Settings(device="cpu", batch_size=8, workers=1, threads=1, shard_rows=8)


@pytest.fixture(scope="module")
def slurm_here():
    """A Slurm that answers; skips without one."""
    if problem := slurm_problem():
        if os.environ.get("MIMICRY_REQUIRE_SLURM") == "1":
            pytest.fail(f"MIMICRY_REQUIRE_SLURM=1, but {problem}")
        pytest.skip(f"no Slurm here: {problem}; `.ci/slurm start` starts one")


def options(folder, **changes):
    return SlurmOptions(**{"folder": folder, "minutes": 10, "cpus": 1, "tasks": 2} | changes)


def own_models(registry, **bodies):
    """Add custom models whose `forward` does this to images that are not black."""
    entries = json.loads(registry.read_text())
    for name, body in bodies.items():
        (registry.parent / f"{name}.py").write_text(
            "import os, time, torch\n"
            "class Net(torch.nn.Module):\n"
            "    def forward(self, x):\n"
            f"        if x.std(): {body}\n"
            "        return x.flatten(1)\n"
            "def net():\n"
            "    return Net()\n"
        )
        own = {"model_name": name, "source": "custom", "entry_point": f"{name}.py:net", "layer": ""}
        entries.append(entries[0] | own)
    registry.write_text(json.dumps(entries))
    return registry


def alive(folder):
    """The states of the jobs of a log folder that still live."""
    jobs = {path.name.split("_")[0] for path in folder.glob("*_submitted.pkl")}
    assert jobs
    call = ["squeue", "--noheader", "--format=%T", "--jobs", ",".join(jobs)]
    return set(subprocess.run(call, capture_output=True, text=True).stdout.split()) & slurm.ALIVE


def test_an_array_makes_the_same_bytes_and_a_task_that_dies_is_noticed(
    slurm_here, tmp_path, monkeypatch
):
    monkeypatch.setattr(slurm, "FILE_DELAY", 2.0)
    images = write_images(tmp_path / "images", count=20)
    registry = own_models(write_models(tmp_path / "registry.json"), dying="os.kill(os.getpid(), 9)")
    places = [("val", images)]
    here = extract_activations(
        registry, places, tmp_path / "here", models=["test_*"], settings=SETTINGS, progress=False
    )
    assert not here.failed
    # Two tasks, and the model that dies is the last of the second.
    there = extract_activations(
        registry,
        places,
        tmp_path / "there",
        settings=SETTINGS,
        slurm=options(tmp_path / "logs", wait_minutes=5),
        progress=False,
    )
    states = Counter((outcome.state, outcome.code) for outcome in there.outcomes)
    assert states == {("written", ""): 3, ("failed", "slurm-task-died"): 1}, there.outcomes
    (died,) = there.failed
    assert died.label.startswith("dying") and "_1_0_log.err" in died.text
    found = content(tmp_path / "there")
    assert {path: data for path, data in found.items() if "dying" not in path} == content(
        tmp_path / "here"
    )


def test_waiting_has_an_end_and_takes_the_tasks_along(slurm_here, tmp_path):
    images = write_images(tmp_path / "images", count=4)
    registry = own_models(write_models(tmp_path / "registry.json"), slow="time.sleep(600)")
    with pytest.raises(BundleError) as raised:
        extract_activations(
            registry,
            [("val", images)],
            tmp_path / "store",
            models=["slow"],
            settings=SETTINGS,
            slurm=options(tmp_path / "logs", wait_minutes=0.02),
            progress=False,
        )
    assert raised.value.code == "slurm-timeout"
    limit = time.monotonic() + 30
    while alive(tmp_path / "logs") and time.monotonic() < limit:
        time.sleep(0.2)
    assert not alive(tmp_path / "logs")


def test_what_slurm_refuses_is_told(slurm_here, tmp_path):
    images = write_images(tmp_path / "images", count=1)
    registry = write_models(tmp_path / "registry.json")
    with pytest.raises(BundleError, match="partition") as raised:
        extract_activations(
            registry,
            [("val", images)],
            tmp_path / "store",
            settings=SETTINGS,
            slurm=options(tmp_path / "logs", partition="nosuch"),
            progress=False,
        )
    assert raised.value.code == "slurm-refused"


def test_without_slurm_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    request = Request(tmp_path / "r", tmp_path, (), SETTINGS)
    with pytest.raises(BundleError, match="no command sbatch") as raised:
        run_on_slurm(request, [Model(0, "a")], options(tmp_path), say=print)
    assert raised.value.code == "slurm-missing"


class Cluster:
    """A stand-in for squeue and for the tasks' files, on a clock of its own."""

    def __init__(self, monkeypatch, folder, models):
        self.now = 0.0
        self.models = models
        self.files = [folder / f"{number}.jsonl" for number in range(len(models))]
        self.states = ["PENDING"] * len(models)
        self.events = {}
        self.mute = False
        self.lines = []
        monkeypatch.setattr(slurm.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(slurm.time, "sleep", self.sleep)
        monkeypatch.setattr(slurm, "_call", self.call)

    def sleep(self, seconds):
        self.now += seconds
        for moment in [m for m in self.events if m <= self.now]:
            self.events.pop(moment)()

    def call(self, command, timeout):
        assert command[0] == "squeue"
        known = [i for i, state in enumerate(self.states) if state is not None]
        text = "".join(f"7_{i}|{self.states[i]}|Resources\n" for i in known)
        code = int(self.mute or not known)
        error = "timed out" if self.mute else "slurm_load_jobs error: Invalid job id specified"
        return subprocess.CompletedProcess(command, code, text, error)

    def finish(self, number, done=None, state="COMPLETED"):
        self.states[number] = state
        labels = [model.label for model in self.models[number]][:done]
        rows = [json.dumps(list(Outcome(label, "written", ""))) + "\n" for label in labels]
        self.files[number].write_text("".join(rows) + '["half a li')

    def wait(self, **changes):
        jobs = [f"7_{number}" for number in range(len(self.models))]
        return slurm._wait(
            jobs,
            self.models,
            self.files,
            options(Path(), **changes),
            say=self.lines.append,
            count_models=lambda more: None,
            poll=5.0,
        )


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    models = [[Model(0, "a"), Model(2, "c")], [Model(1, "b")]]
    return Cluster(monkeypatch, tmp_path, models)


def test_it_waits_until_all_tasks_have_told_of_their_models(cluster):
    cluster.events = {20: lambda: cluster.finish(0), 60: lambda: cluster.finish(1)}
    cluster.wait()
    assert cluster.now == 60
    assert cluster.lines == [
        "0 of 3 models done; tasks: 2 pending (Resources)",
        "2 of 3 models done; tasks: 1 completed, 1 pending (Resources)",
        "3 of 3 models done; tasks: 2 completed",
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", None])
def test_a_task_that_ended_without_a_result_is_not_waited_for(cluster, state):
    cluster.events = {
        10: lambda: cluster.finish(0, done=1, state=state),
        15: lambda: cluster.finish(1),
    }
    final = cluster.wait()
    # Its file may come late.
    assert 10 + slurm.FILE_DELAY <= cluster.now <= 15 + slurm.FILE_DELAY
    assert final["7_0"] == (state or "GONE")


def test_a_late_file_is_no_death_and_a_requeued_task_lives(cluster):
    def requeue():
        cluster.states[1] = "PENDING"

    def end(number):
        cluster.states[number] = "COMPLETED"

    cluster.events = {
        10: lambda: end(0),
        20: lambda: cluster.finish(0),
        25: lambda: end(1),
        30: requeue,
        90: lambda: cluster.finish(1),
    }
    cluster.wait()
    assert cluster.now == 90


def test_a_silent_controller_is_borne_for_a_while(cluster):
    def mute(value):
        cluster.mute = value

    cluster.events = {10: lambda: mute(True), 200: lambda: mute(False), 210: lambda: mute(True)}
    with pytest.raises(BundleError) as raised:
        cluster.wait()
    assert raised.value.code == "slurm-silent"
    assert cluster.now > 200 + slurm.SILENCE
    assert any("squeue does not answer" in line for line in cluster.lines)


def test_waiting_is_as_long_as_was_said(cluster):
    with pytest.raises(BundleError) as raised:
        cluster.wait(wait_minutes=2)
    assert raised.value.code == "slurm-timeout" and 120 < cluster.now <= 130


def script(verb, tmp_path, **fakes):
    """Run .ci/slurm on a machine with stand-ins."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name, body in ({"sinfo": "exit 1", "id": "echo 1000"} | fakes).items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        [SCRIPT, verb],
        env={
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "MIMICRY_SLURM_DIR": str(tmp_path / "state"),
            "MIMICRY_SLURM_ETC": str(tmp_path / "etc"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("flock"), reason="the script is for Linux with util-linux")
def test_the_script_tells_no_slurm_from_broken(tmp_path):
    code, text = script("start", tmp_path)
    assert (
        code == 77 and text == "slurm: no Slurm here: none answers, and only root can start one\n"
    )
    assert script("status", tmp_path)[0] == 77
    assert script("stop", tmp_path) == (0, "slurm: no Slurm of ours runs; nothing to stop\n")
    assert script("restart", tmp_path)[0] == 2


@pytest.mark.skipif(not shutil.which("flock"), reason="the script is for Linux with util-linux")
def test_the_script_leaves_a_slurm_of_others_alone(tmp_path):
    answers = {"sinfo": "echo 'gpu* idle 4'", "id": "echo 0"}
    code, text = script("start", tmp_path, **answers)
    assert (code, text) == (0, "slurm: a partition answers (gpu* idle 4); nothing to start\n")
    assert not (tmp_path / "state").exists()
    assert script("status", tmp_path, **answers)[1].endswith("not started here\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "slurm.conf").write_text("ClusterName=theirs\n")
    code, text = script("start", tmp_path, id="echo 0")
    assert code == 77 and "somebody's own configuration" in text
    assert script("stop", tmp_path, id="echo 0")[0] == 0
    assert (tmp_path / "etc" / "slurm.conf").read_text() == "ClusterName=theirs\n"
