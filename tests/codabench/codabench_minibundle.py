"""A small bundle with two phases of one task, made anew for each test."""

import copy
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]


def picture(shade: int = 0, exif: bytes | None = None) -> bytes:
    """Return a PNG file of one pixel."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), (shade, 0, 0)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


PNG = picture()

DOCUMENT: dict[str, Any] = {
    "version": 2,
    "title": "Mini",
    "image": "logo.png",
    "terms": "pages/terms.md",
    "docker_image": "registry.example/core:1.2.3",
    "pages": [{"title": "Overview", "file": "pages/overview.md"}],
    "fact_sheet": {
        "method": {
            "key": "method",
            "type": "text",
            "title": "Method",
            "selection": "",
            "is_required": "true",
            "is_on_leaderboard": "false",
        }
    },
    "tasks": [
        {
            "index": number,
            "name": f"Task of {data}",
            "input_data": f"input_data/{data}.zip",
            "reference_data": f"reference_data/{data}.zip",
            "ingestion_program": "ingestion_program",
            "scoring_program": "scoring_program_x",
        }
        for number, data in enumerate(("val", "test"))
    ],
    "phases": [
        {
            "index": 0,
            "name": "Development",
            "start": "2026-01-01 00:00:00",
            "end": "2026-02-01 12:30:00",
            "tasks": [0],
            "execution_time_limit": 300,
            "max_submissions_per_day": 10,
            "max_submissions": 20,
            "hide_prediction_output": True,
        },
        {
            "index": 1,
            "name": "Final phase",
            "start": "2026-02-02 00:00:00",
            "tasks": [1],
            "execution_time_limit": 600,
            "auto_migrate_to_this_phase": True,
            "hide_prediction_output": True,
        },
    ],
    "leaderboards": [
        {
            "title": "Results",
            "key": "results",
            "submission_rule": "Force_Best",
            "primary_index": 3,
            "columns": [
                {"title": "Loss", "key": "loss", "index": 5, "sorting": "asc", "precision": 2},
                {"title": "Score", "key": "score", "index": 3, "sorting": "desc", "precision": 4},
            ],
        }
    ],
}

ENTRY = "import sys\nfrom mimicry.errors import run_program\nsys.exit(run_program(lambda: 0))\n"


def document() -> dict[str, Any]:
    """Return a fresh copy of the competition's document."""
    return copy.deepcopy(DOCUMENT)


def write_yaml(bundle: Path, data: Any) -> Path:
    path = bundle / "competition.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path


def table(names: list[str], groups: tuple[str, ...] = ("mimic",)) -> bytes:
    """Return a valid reference table; two names for each group give it both classes."""
    lines = ["filename,hybrid_stat,ssp_indicator"]
    for number, name in enumerate(names):
        lines.append(f"{name},{number % 2},{groups[number // 2 % len(groups)]}")
    return ("\n".join(lines) + "\n").encode()


def make_bundle(bundle: Path) -> Path:
    """Write a complete bundle that packs without a complaint."""
    bundle.mkdir(parents=True, exist_ok=True)
    write_yaml(bundle, document())
    (bundle / "logo.png").write_bytes(PNG)
    (bundle / "pages").mkdir()
    (bundle / "pages/overview.md").write_text("# Mini\n")
    (bundle / "pages/terms.md").write_text("# Terms\n")
    for folder, script in (("ingestion_program", "ingestion"), ("scoring_program_x", "score")):
        (bundle / folder).mkdir()
        (bundle / folder / f"{script}.py").write_text(ENTRY)
        (bundle / folder / "metadata.yaml").write_text(
            f"command: python3 /app/program/{script}.py /app/input /app/output\n"
        )
    for data in ("val", "test"):
        names = [f"{data}{number}.jpg" for number in range(4)]
        images = {name: picture(number) for number, name in enumerate(names)}
        make_zip(bundle / f"input_data/{data}.zip", images)
        make_zip(bundle / f"reference_data/{data}.zip", {f"{data}.csv": table(names)})
    return bundle


def copy_repository(destination: Path) -> Path:
    """Copy what the repository's competitions name, without its data, and add tiny data."""
    destination.mkdir()
    for name in ("competition.yaml", "competitions", "pages", "starting_kit"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, destination / name)
        else:
            shutil.copy(source, destination / name)
    for program in (
        "ingestion_program",
        *(f"scoring_program_{k}" for k in ("A", "mimic", "hybrid", "blue", "red")),
    ):
        shutil.copytree(
            REPOSITORY / program,
            destination / program,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (destination / "logo.png").write_bytes(PNG)
    groups = {"A": ("major", "minor"), "mimic": ("mimic",), "": ("major", "minor", "mimic")}
    for data in ("val", "val_A", "val_mimic", "test", "test_A", "test_mimic"):
        names = [f"{number}.png" for number in range(6)]
        labels = table(names, groups[data.partition("_")[2]])
        make_zip(destination / f"input_data/{data}.zip", dict.fromkeys(names, PNG))
        make_zip(destination / f"reference_data/{data}.zip", {f"{data}.csv": labels})
    training = {"train/0.png": PNG, "butterfly_train.csv": b"filename,hybrid_stat\n0.png,hybrid\n"}
    make_zip(destination / "public_data/hybrids.zip", training)
    for team, (name, text, secret) in (("blue", _blue()), ("red", _red())):
        rules: dict[str, Any] = {"competition": team, "rule": "mean_cka", "count": 4}
        public = destination / "public_data" / team
        public.mkdir(parents=True)
        (public / name).write_text(text)
        (public / "rules.json").write_text(json.dumps(rules))
        hidden = {
            "optimum": {"value": 0.5, "upper_bound": 0.5, "proved": True},
            "random": {"mean": 0.5, "standard_deviation": 0.1, "draws": 2},
        }
        key = "optimum" if team == "blue" else "random"
        rules[key] = hidden[key]
        for number, phase in enumerate(("development", "final")):
            members = {n: _npy(array ** (1 + number)) for n, array in secret.items()}
            members |= {name: text.encode(), "rules.json": json.dumps(rules).encode()}
            make_zip(destination / f"reference_data/{team}_{phase}.zip", members)
    return destination


def _blue() -> tuple[str, str, dict[str, Any]]:
    models = [
        {
            "model_name": f"model-{number}", "source": "timm", "weights": "imagenet",
            "layer": "norm", "pooling": "flatten",
            "preprocess": {"resize": 64, "crop": 64, "mean": [0.5] * 3, "std": [0.5] * 3},
        }
        for number in range(4)
    ]  # fmt: skip
    cka = (1 + np.eye(4)) / 2
    arrays = {"cka.npy": cka, "cka_unbiased.npy": cka}
    return (
        "registry.json",
        json.dumps(models),
        arrays | {"replicates.npy": np.full((2, 10), 0.5, np.float32)},
    )


def _red() -> tuple[str, str, dict[str, Any]]:
    rows = [
        {"dataset_name": "d", "image_identifier": f"{n}.png", "sha256": f"{n}" * 64, "size": 9}
        for n in range(4)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    arrays = {f"models/{n}.npy": np.full((4, 3), n + 2, np.float32) for n in range(2)}
    return "catalogue.jsonl", text, arrays


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
