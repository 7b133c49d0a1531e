"""Lost machines: what is killed from outside, what a lost GPU raises, and the run after it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from ingestion_helpers import GOOD_MODEL, PROGRAM, Run, names

Ingest = Callable[..., Run]

# The class that torch raises has this name; the model brings its own, and needs no torch.
LOST_GPU = """
class AcceleratorError(RuntimeError): pass
class OutOfMemoryError(RuntimeError): pass
class Model:
    def load(self): {load}
    def predict(self, image): {predict}
"""


@pytest.mark.parametrize(
    ("load", "predict", "code"),
    [
        ("pass", "raise AcceleratorError('CUDA error: unspecified launch failure')", "predict"),
        ("pass", "raise RuntimeError('CUDA error: device lost')", "predict"),
        ("raise RuntimeError('No CUDA GPUs are available')", "pass", "load"),
        ("raise OutOfMemoryError('CUDA out of memory. Tried to')", "pass", "out-of-memory"),
    ],
)
def test_what_a_lost_gpu_raises_tells_both_possibilities(
    ingest: Ingest, load: str, predict: str, code: str
) -> None:
    run = ingest(LOST_GPU.format(load=load, predict=predict))
    # A model could say so itself, so it stays the participant's.
    assert run.code == 3
    assert run.outcome["error_code"] in {code, f"{code}-failed"}
    assert "CUDA" in run.sentence and "this machine's may have failed or be full" in run.sentence


def test_without_a_gpu_in_its_words_nothing_is_said_of_one(ingest: Ingest) -> None:
    run = ingest(LOST_GPU.format(load="raise RuntimeError('no')", predict="pass"))
    assert run.code == 3 and "GPU" not in run.sentence


# Runs the program, and kills what is to become the model's process at a certain moment.
KILLER = """
import os, signal, sys
from mimicry.ingestion import program, supervisor
started, report = supervisor.start_model, supervisor.read_report
found = []
def start(*arguments):
    model = started(*arguments)
    found.append(model.process)
    if "before" in {when!r}:
        kill()
    return model
def kill():
    os.kill(found[0].pid, signal.SIGKILL)
    os.waitid(os.P_PID, found[0].pid, os.WEXITED | os.WNOWAIT)
def read(control, seconds):
    told = report(control, seconds)
    kill()
    return told
supervisor.start_model, supervisor.read_report = start, read
sys.exit(program.main(sys.argv[1:]))
"""


def laid_out(images: Path, tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    """Return input, program, submission and output as the worker has them: copies of a run."""
    app = tmp_path / "app"
    shutil.copytree(images, app / "input_data", dirs_exist_ok=True)
    shutil.copytree(PROGRAM, app / "program", dirs_exist_ok=True)
    (app / "ingested_program").mkdir(exist_ok=True)
    return app / "input_data", app / "program", app / "ingested_program", app / "output"


@pytest.mark.parametrize(
    ("when", "code", "error"),
    [("before its report", 4, "model-start"), ("after its report", 3, "model-signal")],
)
def test_killed_before_it_becomes_the_model(
    images: Path, tmp_path: Path, when: str, code: int, error: str
) -> None:
    before = names(images)
    images, program, submission, output = laid_out(images, tmp_path)
    (submission / "model.py").write_text(GOOD_MODEL)
    command = [sys.executable, "-c", KILLER.format(when=when), str(images), str(output)]
    done = subprocess.run(
        [*command, str(program), str(submission)],
        env=os.environ | {"MIMICRY_TIME_LIMIT": "60"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    run = Run(done.returncode, done.stdout, done.stderr, output)
    assert (run.code, run.outcome["error_code"]) == (code, error), run.stderr
    assert names(images) == before
    assert not (output / "predictions.csv").exists()


def test_a_killed_supervisor_and_the_run_after_it(
    ingest: Ingest, images: Path, tmp_path: Path
) -> None:
    before = names(images)
    expected = ingest(own=True).scores
    images, program, submission, output = laid_out(images, tmp_path)
    slow = GOOD_MODEL.replace("pass", "print('loading', flush=True); __import__('time').sleep(90)")
    (submission / "model.py").write_text(slow)
    process = subprocess.Popen(
        [
            sys.executable,
            *map(str, (program / "ingestion.py", images, output, program, submission)),
        ],
        env=os.environ | {"MIMICRY_TIME_LIMIT": "80", "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = output / "participant.log"
    end = time.monotonic() + 60
    while not (log.is_file() and b"loading" in log.read_bytes()) and time.monotonic() < end:
        time.sleep(0.02)
    left = psutil.Process(process.pid).children(recursive=True)
    assert left and names(images) != before
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(left, 30)[1] == []
    assert Run(1, "", "", output).outcome["state"] == "running"
    assert not (output / "predictions.csv").exists()
    again = ingest(own=True)
    assert (again.code, again.scores) == (0, expected)
    assert names(images) == before
    assert names(output) == ["ingestion.json", "participant.log", "predictions.csv"]
