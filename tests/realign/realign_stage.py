"""Reference data and submissions of both teams, small, and the entry scripts to run over them."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RANDOM_MEAN = 0.25


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

    @property
    def scores(self) -> dict[str, float]:
        return dict(json.loads((self.output / "scores.json").read_text()))


def entry(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "source": "timm",
        "weights": "imagenet",
        "layer": "head.global_pool",
        "pooling": "flatten",
        "preprocess": {"resize": 256, "crop": 224, "mean": [0.5] * 3, "std": [0.5] * 3},
    } | changes


REGISTRY = [
    entry("resnet50", weights_sha256="a" * 64),
    entry("resnet50d"),
    entry("vit_base", layer="norm", model_parameters={"img_size": 224}),
    entry("vit_base.copy", layer="norm", weights_sha256="a" * 64),
    entry("mixer", source="torchvision"),
    entry("mixer", source="torchvision", layer="stem"),
]


def stimulus(index: int) -> dict[str, Any]:
    name = f"n{index % 4:08d}/ILSVRC2012_val_{index:08d}.JPEG"
    # The last two rows are one image.
    digest = hashlib.sha256(str(min(index, 38)).encode()).hexdigest()
    return {
        "dataset_name": "imagenet_val" if index < 30 else "objectnet",
        "image_identifier": name,
        "class_name": f"n{index % 4:08d}",
        "sha256": digest,
        "size": 1000 + index,
    }


CATALOGUE = [stimulus(index) for index in range(40)]


def blue(*names: str | Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "models": [{"model_name": name} if isinstance(name, str) else dict(name) for name in names],
        **more,
    }


def red(rows: Sequence[int], key: str = "differentiating_images", **more: Any) -> dict[str, Any]:
    kept = ("dataset_name", "image_identifier")
    return {key: [{k: CATALOGUE[row][k] for k in kept} for row in rows], **more}


def cka_of(x: Any, y: Any) -> float:
    """Linear biased CKA as its definition has it."""
    a, b = (z @ z.T for z in (x - x.mean(0), y - y.mean(0)))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def unbiased_cka_of(x: Any, y: Any) -> float:
    """Linear CKA from HSIC_1 of Song et al. 2012, term by term."""
    n = len(x)

    def hsic(a: Any, b: Any) -> float:
        a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        one = np.ones(n)
        value = np.trace(a @ b) + (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
        return float((value - 2 / (n - 2) * (one @ a @ b @ one)) / (n * (n - 3)))

    a, b = x @ x.T, y @ y.T
    return hsic(a, b) / float(np.sqrt(hsic(a, a) * hsic(b, b)))


def write_blue(folder: Path, **rules: Any) -> tuple[Any, Any, Any]:
    """Write reference data of Blue; return the two matrices and the replicates."""
    draw = np.random.default_rng(0)
    models = len(REGISTRY)

    def matrix() -> Any:
        half = draw.uniform(0.2, 0.9, (models, models))
        whole = np.triu(half, 1)
        return whole + whole.T + np.eye(models)

    cka, unbiased = matrix(), matrix()
    upper = np.triu_indices(models)
    replicates = (cka[upper] + draw.normal(0, 0.01, (7, len(upper[0])))).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "cka.npy", cka)
    np.save(folder / "cka_unbiased.npy", unbiased)
    np.save(folder / "replicates.npy", replicates)
    (folder / "registry.json").write_text(json.dumps(REGISTRY))
    base = {"competition": "blue", "rule": "mean_cka", "count": 3}
    base["optimum"] = {"value": 0.9, "upper_bound": 0.95, "proved": False}
    write_rules(folder, base | rules)
    return cka, unbiased, replicates


def write_red(folder: Path, **rules: Any) -> list[Any]:
    """Write reference data of Red; return the activations of the secret models."""
    draw = np.random.default_rng(1)
    shared = draw.normal(size=(len(CATALOGUE), 6))
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    arrays = []
    for number, width in enumerate((5, 12, 30)):
        noise = draw.normal(size=(len(CATALOGUE), width))
        values = (shared @ draw.normal(size=(6, width)) + noise).astype(
            np.float16 if number == 0 else np.float32
        )
        np.save(models / f"{number:02d}.npy", values)
        arrays.append(values)
    (folder / "catalogue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CATALOGUE))
    base: dict[str, Any] = {"competition": "red", "rule": "mean_cka", "count": 10}
    base["random"] = {"mean": RANDOM_MEAN, "standard_deviation": 0.01, "draws": 100}
    write_rules(folder, base | rules)
    return arrays


def write_rules(folder: Path, rules: Mapping[str, Any]) -> None:
    kept = {key: value for key, value in rules.items() if value is not None}
    (folder / "rules.json").write_text(json.dumps(kept))


class Stage:
    """An input and an output folder as the platform hands them to a scoring program."""

    def __init__(self, folder: Path) -> None:
        self.source, self.output = folder / "input", folder / "output"
        self.ref, self.res = self.source / "ref", self.source / "res"
        self.ref.mkdir(parents=True)
        self.res.mkdir(parents=True)
        self.data = folder / "data"
        (self.res / "metadata").write_text("ingestionExitCode: null\n")

    def submit(self, content: object, name: str = "team.json") -> Path:
        path = self.res / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(data)
        return path

    def run(self, team: str, *, script: Path | None = None, limit: int = 60) -> Finished:
        start = script or ROOT / f"scoring_program_{team}" / f"score_{team}.py"
        done = subprocess.run(
            [sys.executable, str(start), str(self.source), str(self.output)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        return Finished(done.returncode, done.stdout, done.stderr, self.output)
