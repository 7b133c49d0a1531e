"""Runs of the hybrid forms with scores of their own, as a dry run leaves them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.codabench.boards.board import Board, make_board
from mimicry.codabench.boards.found_runs import find_runs
from mimicry.codabench.competition import Competition, Phase, Task, load_competition
from mimicry.codabench.records import RunRecord, TaskRecord, write_run
from mimicry.hybrids.grading import grade
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {"major": (40, 30), "minor": (30, 12), "mimic": (50, 25)}
"""Of each group: non-hybrids and hybrids."""


def labels(groups: Sequence[str] = tuple(GROUPS)) -> Reference:
    """Labels of images of some groups."""
    rows = [
        (f"{group}_{number:03d}.png", number >= GROUPS[group][0], group)
        for group in groups
        for number in range(sum(GROUPS[group]))
    ]
    filenames, hybrid, group = zip(*rows, strict=True)
    return Reference(filenames, hybrid, group)


def skilled(reference: Reference, skill: float, seed: int) -> tuple[float, ...]:
    """Scores of a model: hybrids stand `skill` standard deviations above the others."""
    noise = np.random.default_rng(seed).normal(size=len(reference.hybrid))
    return tuple((noise + skill * np.array(reference.hybrid)).tolist())


class Place:
    """A competition of this repository with labels and runs of its own in a folder."""

    def __init__(self, folder: Path, id: str = "hybrid") -> None:
        self.folder = folder
        loaded = load_competition(ROOT, id)
        phase = loaded.phase("development")
        self.references = {task.key: labels(TASKS[task.key].groups) for task in phase.tasks}
        tasks = tuple(replace(t, reference_data=folder / f"ref_{t.key}") for t in phase.tasks)
        for task in tasks:
            self.label(task.key)
        self.phase: Phase = replace(phase, tasks=tasks)
        self.competition: Competition = replace(loaded, phases=(self.phase,))

    @property
    def task(self) -> Task:
        return self.phase.tasks[0]

    def label(self, key: str) -> None:
        """Write a task's labels."""
        own = self.references[key]
        path = self.folder / f"ref_{key}"
        path.mkdir(exist_ok=True)
        lines = ["filename,hybrid_stat,ssp_indicator"]
        lines += [f"{n},{int(h)},{g}" for n, h, g in zip(*own, strict=True)]
        (path / "labels.csv").write_text("\n".join(lines) + "\n")

    def run(self, name: str, **scores: Sequence[float]) -> Path:
        """Write a finished run of one participant, given the scores of each task's images."""
        folder = self.folder / "runs" / name
        tasks: dict[str, TaskRecord] = {}
        for key, own in scores.items():
            predict(folder / key / "prediction", self.references[key].filenames, own)
            found = grade(TASKS[key], self.references[key], own)
            tasks[key] = TaskRecord("finished", scores=found)
        write_run(folder, self.record(name, tasks))
        return folder

    def record(self, name: str, tasks: Mapping[str, TaskRecord]) -> RunRecord:
        return RunRecord(
            competition=self.competition.id,
            phase=self.phase.slug,
            submission=f"{name}.zip",
            participant=name,
            submission_sha256="0" * 64,
            engine="subprocess",
            started="2027-01-05T00:00:00+00:00",
            finished="2027-01-05T00:01:00+00:00",
            state="finished",
            tasks=tasks,
        )

    def board(self) -> Board:
        runs, problems = find_runs([self.folder / "runs"])
        assert problems == []
        return make_board(self.competition, self.phase, runs)


def predict(folder: Path, names: Sequence[str], scores: Sequence[float], **more: Any) -> None:
    """Write what ingestion leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},{score!r}" for name, score in zip(names, scores, strict=True)]
    data = ("filename,score\n" + "\n".join(rows) + "\n").encode()
    (folder / "predictions.csv").write_bytes(data)
    record = {"state": "finished", "predictions_sha256": hashlib.sha256(data).hexdigest(), **more}
    (folder / "ingestion.json").write_text(json.dumps(record))
