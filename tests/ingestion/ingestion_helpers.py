"""What the ingestion tests share: small inputs, submissions and one way to run them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "ingestion_program"
OLDER_KERNEL = Path(__file__).with_name("ingestion_older_kernel.py")

GOOD_MODEL = """
import numpy as np

class Model:
    def load(self):
        pass

    def predict(self, image):
        return float(np.asarray(image.convert("RGB"), dtype=float).mean())
"""


@dataclass(frozen=True)
class Run:
    """What one run of the ingestion program left behind."""

    code: int
    stdout: str
    stderr: str
    output: Path

    @property
    def outcome(self) -> dict[str, Any]:
        return json.loads((self.output / "ingestion.json").read_text(encoding="utf-8"))

    @property
    def scores(self) -> dict[str, float]:
        with (self.output / "predictions.csv").open(newline="", encoding="utf-8") as file:
            return {row["filename"]: float(row["score"]) for row in csv.DictReader(file)}

    @property
    def log(self) -> str:
        return (self.output / "participant.log").read_text(encoding="utf-8", errors="replace")

    @property
    def sentence(self) -> str:
        return self.stderr.rstrip("\n").splitlines()[-1]


def names(folder: Path) -> list[str]:
    """List a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def draw(path: Path, seed: int, size: tuple[int, int] = (60, 40), mode: str = "RGB") -> None:
    """Save a picture of coloured squares; the same for the same seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).convert(mode).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of ten small JPEG images."""
    folder = tmp_path / "input_data"
    folder.mkdir()
    for number in range(10):
        draw(folder / f"{number:02d}.jpg", number)
    return folder


@pytest.fixture
def ingest(tmp_path: Path, images: Path) -> Callable[..., Run]:
    """Return a function that runs the program on a submission given as source or files."""

    def run(
        model: str | None = GOOD_MODEL,
        files: Mapping[str, str | bytes] | None = None,
        *,
        program: Path = PROGRAM,
        environment: Mapping[str, str] | None = None,
        time_limit: float = 60,
        flags: Sequence[str] = (),
        without: str = "",
        own: bool = False,
    ) -> Run:
        # As the worker has them, the folders are copies made for this run.
        base = tmp_path / "app" if own else tmp_path
        submission = base / ("ingested_program" if own else "submission")
        pictures = images
        if own:
            if not (base / "input_data").exists():
                shutil.copytree(images, base / "input_data")
            shutil.copytree(program, base / "program", dirs_exist_ok=True)
            pictures, program = base / "input_data", base / "program"
        submission.mkdir(exist_ok=True, parents=True)
        everything = dict(files or {})
        if model is not None:
            everything["model.py"] = model
        for name, content in everything.items():
            path = submission / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        output = base / "output"
        older = (sys.executable, str(OLDER_KERNEL), without) if without else ()
        done = subprocess.run(
            [
                *(*older, sys.executable, str(program / "ingestion.py"), *flags, str(pictures)),
                *(str(output), str(program), str(submission)),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"MIMICRY_TIME_LIMIT": str(time_limit)} | dict(environment or {}),
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr, output)

    return run
