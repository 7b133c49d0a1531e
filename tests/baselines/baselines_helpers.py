"""Small backbones with random weights in the hub's real formats, and submissions around them."""

import hashlib
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINES = REPOSITORY / "baselines"
NAMES = ("BioCLIP", "DINO_SGD", "anomaly")
FAMILIES = {"BioCLIP": "open_clip", "DINO_SGD": "timm", "anomaly": "open_clip"}
MODULES = ("model", "backbone", "find_weights", "head")
SIZE = 56
FILES = {
    "open_clip": ("open_clip_config.json", "open_clip_model.safetensors"),
    "timm": ("config.json", "model.safetensors"),
}
SCALING = {
    "open_clip": {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    },
    "timm": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
}
CLIP = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": SIZE,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 14,
    },
    "text_cfg": {"context_length": 4, "vocab_size": 16, "width": 16, "heads": 1, "layers": 1},
}
WIDTHS = {"open_clip": 24, "timm": 64}


class _NoTokenizer:
    """In the place of the tokenizer's files, which no image tower reads."""

    def save_pretrained(self, folder: Path) -> None:
        pass


def make_dinov2(folder: Path, *, size: int = SIZE, seed: int = 0) -> None:
    """Write a small DINOv2 as timm itself writes one for the hub."""
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(seed)
    architecture = {"img_size": size, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **architecture)
    with torch.no_grad():
        # Position embeddings and layer scales start so small that no test would see them.
        model.pos_embed.normal_()
        for block in model.blocks:
            block.ls1.gamma.fill_(1.0)
            block.ls2.gamma.fill_(1.0)
    save_for_hf(model, folder, model_args=architecture, safe_serialization=True)


def make_clip(folder: Path, *, seed: int = 0, pickled: bool = False) -> None:
    """Write a small CLIP as OpenCLIP itself writes one for the hub."""
    import open_clip
    from open_clip.push_to_hf_hub import save_for_hf

    torch.manual_seed(seed)
    model = open_clip.CLIP(**CLIP)
    open_clip.model.set_model_preprocess_cfg(model, SCALING["open_clip"])
    save_for_hf(model, _NoTokenizer(), CLIP, folder, safe_serialization=not pickled)


def make_backbone(family: str, folder: Path, **options: Any) -> None:
    """Write a small backbone of a family."""
    {"open_clip": make_clip, "timm": make_dinov2}[family](folder, **options)


def settings_of(family: str, backbone: Path, name: str = "small") -> dict[str, Any]:
    """Return what settings.json says about a backbone's folder."""
    weights = backbone / FILES[family][1]
    return {
        "name": name,
        "hub": None,
        "weights_file": weights.name,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "preprocess": {"size": SIZE, **SCALING[family], "interpolation": "bicubic"},
        "batch_size": 16,
    }


@cache
def _heads() -> Any:
    """The module that fits the heads, so that their arrays are those that a head reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "examples" / "training"))
        return importlib.import_module("heads")


@cache
def random_head(baseline: str, width: int) -> dict[str, Any]:
    """Return arrays for a baseline's head, fitted on features of chance."""
    generator = np.random.default_rng(0)
    kinds = np.repeat([-1, 0, 1, 2], 20)
    features = generator.normal(size=(len(kinds), width)) + kinds[:, None] / 4
    arrays: dict[str, Any] = _heads().fit_head(baseline, features, kinds)
    return arrays


def make_submission(baseline: str, backbone: Path, folder: Path) -> Path:
    """Write a baseline's code with a small backbone and a head of chance into a folder."""
    folder.mkdir(parents=True)
    source = BASELINES / f"{baseline}_code_submission"
    for path in source.iterdir():
        if path.is_file() and path.name not in ("settings.json", "classifier.npz"):
            shutil.copy(path, folder)
    family = FAMILIES[baseline]
    shutil.copytree(backbone, folder / "backbone")
    write_settings(folder, settings_of(family, backbone))
    np.savez(folder / "classifier.npz", **random_head(baseline, WIDTHS[family]))
    return folder


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write settings.json."""
    (folder / "settings.json").write_text(json.dumps(settings))


def change_settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Change some of a submission's settings and return them."""
    settings: dict[str, Any] = json.loads((folder / "settings.json").read_text()) | changes
    write_settings(folder, settings)
    return settings


@contextmanager
def modules_of(folder: Path) -> Iterator[dict[str, ModuleType]]:
    """Import a submission's modules as ingestion does: its folder before installed packages."""
    kept = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(folder))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


def load(folder: Path) -> Any:
    """Return a submission's model, loaded."""
    with modules_of(folder) as modules:
        model = modules["model"].Model()
        model.load()
    return model
