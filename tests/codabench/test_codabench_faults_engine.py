"""A Docker engine that is lost: the organiser is told, and the same command again goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from codabench_engine_proxy import EngineProxy
from codabench_faults import wait_for, write_submission
from codabench_minibundle import copy_repository

from mimicry.codabench.engines.docker_client import docker_client
from mimicry.codabench.engines.docker_guard import OWNER_LABEL

pytestmark = pytest.mark.usefixtures("competition_image")

# Writes all the time, as nothing that is left behind may get in the way of the next run.
BUSY = """
import time
print("begun", flush=True)
for number in range(10**9):
    open(f"/app/output/{number % 50}", "w").close()
    time.sleep(0.001)
"""
SCORES = "open('/app/output/scores.json', 'w').write('{\"score\": 0.5}')\n"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EngineProxy]:
    found = EngineProxy(tmp_path / "engine.sock")
    yield found
    found.lose()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = copy_repository(tmp_path / "bundle")
    for program in (folder / "ingestion_program", folder / "scoring_program_A"):
        for script in program.glob("*.py"):
            script.unlink()
        (program / "main.py").write_text(SCORES)
        (program / "metadata.yaml").write_text("command: python3 main.py\n")
    return folder


class Watched:
    """A `mimicry run` whose lines are followed as they come."""

    def __init__(self, bundle: Path, folder: Path, proxy: EngineProxy) -> None:
        submission = folder / "sub"
        if not submission.exists():
            write_submission(submission)
        command = [sys.executable, "-m", "mimicry.cli", "run", str(submission)]
        command += ["--competition", "two-task", "--task", "A", "--engine", "docker"]
        command += ["--output", str(folder / "run"), "--bundle", str(bundle)]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"DOCKER_HOST": proxy.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def says(self, text: str) -> bool:
        return wait_for(lambda: any(text in line for line in self.lines))

    def end(self) -> int:
        code = self.process.wait(60)
        self._reader.join()
        return code


def said(lines: list[str]) -> str:
    return "\n".join(lines)


def containers(pid: int) -> list[str]:
    with docker_client() as client:
        listed = client.api.containers(all=True, filters={"label": OWNER_LABEL})
    return [str(one["Id"]) for one in listed if one["Labels"][OWNER_LABEL].split()[-2] == str(pid)]


def record(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "run" / "run.json").read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("sign", ["ingestion (limit", "begun"])
def test_lost_while_a_container_is_made_or_runs(
    bundle: Path, tmp_path: Path, proxy: EngineProxy, sign: str
) -> None:
    program = bundle / "ingestion_program" / "main.py"
    program.write_text(BUSY)
    first = Watched(bundle, tmp_path, proxy)
    assert first.says(sign), said(first.lines)
    proxy.lose()
    assert first.end() == 4, said(first.lines)
    task = record(tmp_path)["tasks"]["A"]
    # The organiser's: it is no failure of the participant's.
    assert (task["error_code"], task["error_kind"]) == ("engine-failed", "bundle")
    assert first.lines[-1].endswith("[engine-failed]")
    assert "[bug]" not in said(first.lines)
    proxy.come_back()
    program.write_text(SCORES)
    second = Watched(bundle, tmp_path, proxy)
    assert second.end() == 0, said(second.lines)
    assert record(tmp_path)["state"] == "finished"
    assert not (tmp_path / "run" / ".staging").exists()
    assert wait_for(lambda: not containers(first.process.pid))
    assert not containers(second.process.pid)


def test_lost_before_the_start(bundle: Path, tmp_path: Path, proxy: EngineProxy) -> None:
    proxy.lose()
    found = Watched(bundle, tmp_path, proxy)
    assert found.end() == 4
    assert found.lines[-1].endswith("[engine-unavailable]"), said(found.lines)
    assert not (tmp_path / "run").exists()


def test_a_lost_engine_does_not_hide_that_somebody_ended_the_run(
    bundle: Path, tmp_path: Path, proxy: EngineProxy
) -> None:
    (bundle / "ingestion_program" / "main.py").write_text(BUSY)
    found = Watched(bundle, tmp_path, proxy)
    assert found.says("begun"), said(found.lines)
    # Connections stay, and nobody answers a new one.
    proxy.path.unlink()
    started = time.monotonic()
    found.process.send_signal(signal.SIGTERM)
    assert found.end() == 143, said(found.lines)
    assert time.monotonic() - started < 45
    assert record(tmp_path)["state"] == "running"
    proxy.lose()
    proxy.come_back()
    # The guard, or else the next run, sees to it.
    next_one = Watched(bundle, tmp_path, proxy)
    assert next_one.says("begun")
    assert not containers(found.process.pid)
    next_one.process.send_signal(signal.SIGTERM)
    assert next_one.end() == 143
