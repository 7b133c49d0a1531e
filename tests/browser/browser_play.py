"""Submissions of several participants through all competitions, and every page of them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.records import read_run, write_run
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINES = REPOSITORY / "baselines"
COPIED = ("competitions", "pages", "starting_kit", "ingestion_program")
PROGRAMS = ("A", "mimic", "hybrid", "blue", "red")

HOSTILE = '<img src=x onerror="alert(1)">\u202e evil & "quoted"'

MODEL = """\
import numpy as np


class Model:
    def load(self):
        self.chance = np.random.default_rng({seed})

    def predict(self, image):
        red = np.asarray(image.convert("RGB"), dtype=float)[..., 0].mean()
        return red * {weight} + self.chance.normal() * {noise}
"""
FAILING = """\
class Model:
    def load(self):
        raise OSError("weights.npz is not there: </script><script>alert(1)</script>")

    def predict(self, image):
        return 0.0
"""

Placed = list[tuple[str, str, Path, str, bool]]


def play(folder: Path, put_demo: Callable[[Path], None], put_zoo: Callable[[Path], None]) -> None:
    """Fill `folder` with a bundle, ``runs``, ``board.html`` and a ``report.html`` in every run."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for name in (*COPIED, *(f"scoring_program_{key}" for key in PROGRAMS)):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    for name in ("competition.yaml", "logo.png"):
        shutil.copy(REPOSITORY / name, folder / name)
    put_demo(folder)
    put_zoo(folder)
    for number, (id, phase, submission, participant, migrated) in enumerate(_entries(folder)):
        _run(folder, id, phase, submission, participant, migrated, number)
    _leave_one_unfinished(folder)
    mimicry(folder, "board", str(folder / "runs"), "--html", str(folder / "board.html"))
    for record in sorted((folder / "runs").rglob("run.json")):
        if record.parent.name != "killed":
            mimicry(folder, "report", str(record.parent))


def mimicry(folder: Path, *arguments: str) -> str:
    """Run a command on the bundle in `folder` and return what it prints."""
    command = [sys.executable, "-m", "mimicry.cli", *arguments, "--bundle", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout


def _entries(folder: Path) -> Placed:
    noisy = [
        _submission(folder / "submissions" / f"noisy-{n}", MODEL.format(seed=n, weight=w, noise=30))
        for n, w in enumerate((0.0, 0.6, 1.0))
    ]
    failing = _submission(folder / "submissions" / "failing", FAILING)
    colour = BASELINES / "color_pattern_code_submission"
    placed: Placed = []
    for phase in ("development", "final"):
        migrated = phase == "final"
        placed += [
            ("hybrid", phase, noisy[0], HOSTILE, migrated),
            ("hybrid", phase, noisy[1], HOSTILE, migrated),
            ("hybrid", phase, noisy[2], "Bea", migrated),
            ("hybrid", phase, colour, "Colour pattern", migrated),
            ("hybrid", phase, failing, "Cem", False),
            ("two-task", phase, colour, "Colour pattern", False),
            *(
                (team, phase, BASELINES / f"{team}_{kind}_submission", f"{team} {kind}", migrated)
                for team in ("blue", "red")
                for kind in ("search", "random")
            ),
        ]
    return placed


def _submission(folder: Path, model: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(model, encoding="utf-8")
    (folder / "metadata").touch()
    return folder


def _run(
    bundle: Path,
    id: str,
    phase_name: str,
    submission: Path,
    participant: str,
    migrated: bool,
    number: int,
) -> None:
    competition = load_competition(bundle, id)
    phase = competition.phase(phase_name)
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks,
        submission=submission,
        participant=participant,
        engine=ENGINES["subprocess"],
        output=bundle / "runs" / id / phase_name / f"{submission.name}-{number}",
        submitted=phase.start.replace(hour=number % 24).isoformat(),
        migrated=migrated,
    )
    run_submission(request, lambda line: None)


def _leave_one_unfinished(bundle: Path) -> None:
    """A run that was killed: its record says that it is still at work."""
    origin = next((bundle / "runs" / "hybrid" / "development").iterdir())
    killed = origin.parent / "killed"
    killed.mkdir()
    write_run(killed, replace(read_run(origin), finished=None, state="running", tasks={}))
