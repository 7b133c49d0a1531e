"""Folders as the platform hands them to a scoring program."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Finished(NamedTuple):
    """What a run of a scoring program left."""

    exit_code: int
    stdout: str
    stderr: str
    output: Path

    @property
    def last_line(self) -> str:
        return self.stderr.rstrip("\n").rsplit("\n", 1)[-1]

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.output.iterdir()}

    @property
    def page(self) -> str:
        return (self.output / "detailed_results.html").read_text(encoding="utf-8")


def csv_bytes(header: str, rows: Iterable[tuple[object, ...]]) -> bytes:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows), ""]).encode()


class Stage:
    """An input and an output folder, with the entry scripts to run over them."""

    def __init__(self, folder: Path) -> None:
        self.source, self.output = folder / "input", folder / "output"
        self.ref, self.res = self.source / "ref", self.source / "res"
        self.ref.mkdir(parents=True)
        self.res.mkdir(parents=True)

    def reference(self, rows: Iterable[tuple[str, int, str]]) -> None:
        (self.ref / "val.csv").write_bytes(csv_bytes("filename,hybrid_stat,ssp_indicator", rows))

    def predictions(self, rows: Iterable[tuple[str, object]], **record: Any) -> None:
        data = csv_bytes("filename,score", rows)
        (self.res / "predictions.csv").write_bytes(data)
        self.record(predictions_sha256=hashlib.sha256(data).hexdigest(), **record)

    def record(self, **changes: Any) -> None:
        record: dict[str, Any] = {
            "state": "finished",
            "error_kind": None,
            "error_code": None,
            "error": None,
            "images": 1,
            "predicted": 1,
            "seconds": 12.5,
            "predictions_sha256": None,
            "versions": {},
        }
        (self.res / "ingestion.json").write_text(json.dumps(record | changes), encoding="utf-8")

    def run(self, task: str, *, script: Path | None = None) -> Finished:
        entry = script or ROOT / f"scoring_program_{task}" / f"score_{task}.py"
        done = subprocess.run(
            [sys.executable, str(entry), str(self.source), str(self.output)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr, self.output)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def run_entry() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(task: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        entry = ROOT / f"scoring_program_{task}" / f"score_{task}.py"
        return subprocess.run(
            [sys.executable, str(entry), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
