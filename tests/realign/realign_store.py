"""A store of real activations for building competitions: tiny networks, random weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mimicry.activations.extract import Settings
from mimicry.activations.extraction import extract_activations
from mimicry.activations.registry import read_registry

SIDE = 32
# Two names of timm that build the same modules: with the same seed they are one model.
SMALL = {"img_size": SIDE, "patch_size": 8, "depth": 1, "embed_dim": 24, "num_heads": 2}


def entry(name: str, seed: int, layer: str, pooling: str, **parameters: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "source": "timm",
        "weights": f"random:{seed}",
        "layer": layer,
        "pooling": pooling,
        "preprocess": {
            "resize": SIDE,
            "crop": SIDE,
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
            "interpolation": "bilinear",
        },
        "model_parameters": parameters,
    }


ENTRIES = [
    entry("test_resnet", 1, "global_pool", "flatten"),
    entry("vit_tiny_patch16_224", 2, "norm", "cls", **SMALL),
    entry("deit_tiny_patch16_224", 2, "norm", "cls", **SMALL),
    entry("test_efficientnet", 3, "global_pool", "flatten"),
]
TWINS = {1, 2}


def write_images(folder: Path, count: int = 24, seed: int = 5) -> Path:
    """Write small pictures in three class folders; the last is a copy of the first."""
    random = np.random.default_rng(seed)
    names = []
    for index in range(count):
        kind = folder / f"class-{index % 3}"
        kind.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        name = kind / f"{index:03d}.png"
        Image.fromarray(pixels).resize((SIDE, SIDE)).save(name)
        names.append(name)
    shutil.copyfile(names[0], names[-1])
    return folder


def write_entries(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def make_store(root: Path, **images: Any) -> Path:
    """Make ``root/store`` over ``root/images``, with ``root/registry.json``."""
    registry = write_entries(root / "registry.json", ENTRIES)
    pictures = write_images(root / "images", **images)
    found = extract_activations(
        registry,
        [("made", pictures)],
        root / "store",
        settings=Settings(device="cpu", threads=1),
        progress=False,
    )
    found.check()
    return root / "store"


def entries_of_store(root: Path) -> Any:
    return read_registry(root / "registry.json")
