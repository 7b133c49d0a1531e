""".ci/docker-engine: starts an engine where none answers, and stops only its own."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "docker-engine"

pytestmark = pytest.mark.skipif(
    not (shutil.which("setsid") and shutil.which("flock") and Path("/proc").is_dir()),
    reason="the script is for Linux with util-linux",
)

FAKES = {
    # Answers while the marker is there, as an engine does while it runs.
    "docker": '[ -e "$FAKE/answers" ] && echo 1.2.3',
    "dockerd": 'touch "$FAKE/answers"; trap \'rm -f "$FAKE/answers"; exit 0\' TERM; '
    "while :; do sleep 0.05; done",
    "id": 'echo "${FAKE_UID:-0}"',
    "pidof": '[ -e "$FAKE/foreign" ]',
    "iptables": "exit 0",
    "mmdebstrap": "exit 0",
    "apt-get": "exit 100",
}


class Machine:
    """A machine with stand-ins for everything that the script calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        (folder / "bin").mkdir()
        for name, body in FAKES.items():
            self.fake(name, body)

    def fake(self, name: str, body: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)

    def __call__(self, verb: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [SCRIPT, verb],
            env={
                "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "FAKE": str(self.folder),
                "MIMICRY_ENGINE_DIR": str(self.state),
                "MIMICRY_ENGINE_WAIT": "5",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def answers(self) -> bool:
        return (self.folder / "answers").exists()


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    made("stop")


def test_start_and_stop_may_be_repeated(machine):
    assert machine("status")[0] == 77
    code, text = machine("start")
    assert code == 0 and "started" in text and machine.answers
    assert machine("start") == (0, "docker-engine: engine 1.2.3 answers; nothing to start\n")
    assert machine("status") == (0, "docker-engine: engine 1.2.3 answers, started here\n")
    assert machine("stop") == (0, "docker-engine: engine stopped\n")
    assert not machine.answers
    assert machine("stop") == (0, "docker-engine: no engine of ours runs; nothing to stop\n")
    assert machine("start")[0] == 0 and machine.answers


def test_an_engine_of_others_is_not_stopped(machine):
    (machine.folder / "answers").touch()
    assert machine("start")[1].endswith("nothing to start\n")
    assert machine("stop")[0] == 0
    assert machine.answers


def test_a_number_that_another_process_got_is_not_killed(machine):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        machine.state.mkdir()
        (machine.state / "started").write_text(f"{sleeper.pid} 1\n")
        (machine.state / "dockerd.pid").write_text(f"{sleeper.pid}\n")
        assert "nothing to stop" in machine("stop")[1]
        assert machine("start")[0] == 0
        assert machine("stop")[0] == 0
        time.sleep(0.1)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize(
    ("environment", "fakes", "sentence"),
    [
        ({"FAKE_UID": "1000"}, {}, "only root can start one"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, {}, "nothing answers at DOCKER_HOST=tcp"),
        ({}, {"dockerd": 'echo "failed to start daemon: no cgroups"; exit 1'}, "no cgroups"),
        ({"MIMICRY_ENGINE_WAIT": "1"}, {"dockerd": "sleep 30"}, "did not come up"),
        ({"MIMICRY_ENGINE_WAIT": "1"}, {"pidof": "exit 0"}, "is running but does not answer"),
    ],
    ids=["not root", "elsewhere", "broken", "mute", "foreign and mute"],
)
def test_where_no_engine_can_be_had_one_line_says_why(machine, environment, fakes, sentence):
    for name, body in fakes.items():
        machine.fake(name, body)
    code, text = machine("start", **environment)
    assert code == 77
    last = text.splitlines()[-1]
    assert last.startswith("docker-engine: no Docker here: ")
    if not ("FAKE_UID" in environment and "no permission" in last):
        assert sentence in last
    assert not (machine.state / "started").exists()


def test_two_starts_at_once_start_one(machine):
    machine.fake("dockerd", f'echo x >> "$FAKE/starts"; {FAKES["dockerd"]}')
    environment = {
        "PATH": f"{machine.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "FAKE": str(machine.folder),
        "MIMICRY_ENGINE_DIR": str(machine.state),
    }
    starts = [
        subprocess.Popen([SCRIPT, "start"], env=environment, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait(timeout=30) for process in starts] == [0, 0, 0]
    assert (machine.folder / "starts").read_text() == "x\n"


def test_wrong_usage_is_told_from_no_docker(machine):
    code, text = machine("restart")
    assert code == 2
    assert ".ci/docker-engine start" in text


@pytest.fixture
def gate(machine, tmp_path):
    """.ci/run in a tree of its own, with a `make` that notes what it is asked for."""
    (tmp_path / "tree").mkdir()
    shutil.copytree(SCRIPT.parent, tmp_path / "tree" / ".ci")
    machine.fake("bwrap", "exit 0")
    # A cluster of somebody else's, which the gate leaves alone.
    machine.fake("sinfo", "echo 'main* idle 1'")
    machine.fake(
        "make",
        'echo "$1 ${MIMICRY_REQUIRE_DOCKER:-}" >> "$FAKE/made"; [ "$1" != "${FAKE_FAULT:-}" ]',
    )

    def run(**environment: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [tmp_path / "tree" / ".ci" / "run"],
            env={
                "PATH": f"{machine.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "FAKE": str(machine.folder),
                "MIMICRY_ENGINE_DIR": str(machine.state),
                "MIMICRY_ENGINE_WAIT": "5",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, (machine.folder / "made").read_text().split("\n")[:-1]

    return run


ALL = ["lint ", "demo ", "image ", "image-torch ", "fuzz 1", "test 1"]


def test_the_gate_starts_an_engine_and_stops_it(machine, gate):
    assert gate() == (0, ALL)
    assert not machine.answers and not (machine.state / "started").exists()


def test_the_gate_leaves_an_engine_of_others_running(machine, gate):
    (machine.folder / "answers").touch()
    assert gate() == (0, ALL)
    assert machine.answers


def test_the_gate_stops_its_engine_after_a_failure(machine, gate):
    code, made = gate(FAKE_FAULT="image")
    assert code != 0 and made == ALL[:3]
    assert not machine.answers and not (machine.state / "started").exists()


def test_the_gate_goes_on_where_no_engine_can_be_had(gate):
    assert gate(FAKE_UID="1000") == (0, ["lint ", "demo ", "fuzz ", "test "])
