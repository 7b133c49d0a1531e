"""The fuzzer itself: it runs every target, finds what is planted, and keeps it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import run as driver
from fuzzing_targets import TARGETS, load

pytest.importorskip("atheris", reason="atheris has no build for this Python or machine")

PLANTED = """
import time
VALID, NASTY, WORDS, SHARE = [b"good"], [b"bad"], [b"MAGIC"], 1

def judge(data):
    one_input(data)
    return "accepted"

def one_input(data):
    if data[:3] == b"MAG":
        FAULT
"""


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    found = driver.fuzz(name, driver.Bound(runs=150), 1, tmp_path / "kept", tmp_path / "work")
    assert found.found == () and found.problem is None, found.log.read_text()[-3000:]
    assert found.inputs >= 150
    # Something of the package is watched: a fuzzer that sees nothing finds nothing.
    assert found.branches > 10 and found.features > 10
    assert not (tmp_path / "work" / name).exists()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("raise KeyError(data)", "KeyError"),
        (
            "end = time.process_time() + 1.2\n        while time.process_time() < end: pass",
            "s for ",
        ),
    ],
)
def test_what_is_planted_is_found_and_kept(
    fault: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fuzz_planted.py").write_text(PLANTED.replace("FAULT", fault))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "fuzz_planted", raising=False)
    found = driver.fuzz(
        "planted", driver.Bound(runs=200_000), 1, tmp_path / "kept", tmp_path / "work"
    )
    assert len(found.found) == 1, found.log.read_text()[-3000:]
    (kept,) = found.found
    assert kept.parent == tmp_path / "kept" / "planted" and kept.read_bytes()[:3] == b"MAG"
    assert told in found.log.read_text()
    assert "| planted |" in driver.report([found]) and driver.report([found]).endswith("| 1 |")


def test_a_target_that_cannot_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fuzz_planted.py").write_text(PLANTED.replace("FAULT", "pass"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fuzz_planted", raising=False)
    # Known here, and not to the process that is started.
    found = driver.fuzz("planted", driver.Bound(runs=9), 1, tmp_path / "kept", tmp_path / "work")
    assert found.found == () and found.problem is not None and "fuzz_planted" in found.problem


def test_many_inputs_are_shared_out() -> None:
    parts = driver.shares(TARGETS, 1_000_000)
    assert sum(parts.values()) == 1_000_000 and min(parts.values()) >= driver.LEAST_RUNS
    assert max(parts, key=parts.__getitem__) == max(TARGETS, key=lambda name: load(name).SHARE)
    assert set(driver.shares(TARGETS, len(TARGETS)).values()) == {1}


def test_the_command(tmp_path: Path) -> None:
    script = [sys.executable, driver.__file__]

    def told(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*script, *arguments], capture_output=True, text=True, check=False)

    assert told("--list").stdout.split() == list(TARGETS)
    assert "--replay" in told("--help").stdout
    assert told("nobody").returncode == 2
    table = tmp_path / "table.json"
    done = told("messages", "--runs", "500", "--keep", str(tmp_path), "--json", str(table))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(table.read_text())
    assert row["target"] == "messages" and row["inputs"] >= 500 and row["found"] == []
    assert done.stdout.startswith("| target | inputs |")
    good = tmp_path / "good"
    good.write_bytes(load("messages").VALID[0])
    replayed = told("messages", "--replay", str(good))
    assert replayed.returncode == 0 and "messages: accepted" in replayed.stdout
