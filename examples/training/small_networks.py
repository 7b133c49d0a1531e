"""The two small networks: how each is built and which files the hub would hold of it."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Network(NamedTuple):
    """A kind of small backbone.

    Attributes
    ----------
    name, description : str
        For settings.json and the model card.
    baselines : tuple of str
        Folders of the baselines that use it.
    size : int
        Width and height of its images in pixels.
    mean, std : tuple of float
        Of red, green and blue in [0, 1], as the family's full-size models use them.
    epochs : int
        Rounds through the training set that it takes.
    configuration : mapping
        The architecture, as the library names things.
    weights_file : str
        The name that the library looks for.
    build : callable
        From the number of subspecies to the model and a module that turns images
        (b, 3, s, s) into logits (b, k).
    files : callable
        From a trained model to the hub's files: name to content.
    """

    name: str
    description: str
    baselines: tuple[str, ...]
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    epochs: int
    configuration: Mapping[str, Any]
    weights_file: str
    build: Callable[[int], tuple[nn.Module, nn.Module]]
    files: Callable[[nn.Module], dict[str, bytes | str]]


DINOV2_ARCHITECTURE = "vit_small_patch14_dinov2"
DINOV2: Mapping[str, Any] = {
    "img_size": 112,
    "embed_dim": 96,
    "depth": 4,
    "num_heads": 3,
    # The full-size start of 1e-5 needs far longer training than minutes.
    "init_values": 1.0,
}
OPENCLIP: Mapping[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": 112,
        "layers": 4,
        "width": 96,
        "head_width": 32,
        "patch_size": 14,
    },
    # Captions are a start, the subspecies and an end; the baseline never reads any.
    "text_cfg": {
        "context_length": 3,
        "vocab_size": 32,
        "width": 32,
        "heads": 1,
        "layers": 1,
    },
}


def prepare_imports() -> None:
    """Make timm and OpenCLIP importable beside any build of torch."""
    from mimicry.activations import torchvision_compat

    torchvision_compat.install()


class NamedByLine(nn.Module):
    """Logits from the CLS token and the mean patch token, the features that heads get."""

    def __init__(self, model: nn.Module, subspecies: int) -> None:
        super().__init__()
        self.model = model
        self.line = nn.Linear(2 * int(DINOV2["embed_dim"]), subspecies)
        nn.init.normal_(self.line.weight, std=0.02)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (b, k)."""
        tokens = self.model.forward_features(images)
        features = torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
        # A tenth of the features goes missing, so that no single one decides.
        return self.line(functional.dropout(features, 0.1, self.training))


class NamedByCaption(nn.Module):
    """Logits from how well an image's embedding fits each subspecies' caption, as CLIP does."""

    def __init__(self, model: nn.Module, subspecies: int) -> None:
        super().__init__()
        self.model = model
        end = int(OPENCLIP["text_cfg"]["vocab_size"]) - 1
        captions = [[0, 1 + number, end] for number in range(subspecies)]
        self.register_buffer("captions", torch.tensor(captions), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (b, k)."""
        seen = self.model.encode_image(images, normalize=True)
        said = self.model.encode_text(self.captions, normalize=True)
        return self.model.logit_scale.exp() * seen @ said.T


def _build_dinov2(subspecies: int) -> tuple[nn.Module, nn.Module]:
    import timm

    model = timm.create_model(DINOV2_ARCHITECTURE, pretrained=False, num_classes=0, **DINOV2)
    return model, NamedByLine(model, subspecies)


def _build_openclip(subspecies: int) -> tuple[nn.Module, nn.Module]:
    import open_clip

    model = open_clip.CLIP(**OPENCLIP)
    return model, NamedByCaption(model, subspecies)


def _dinov2_files(model: nn.Module) -> dict[str, bytes | str]:
    from timm.models import save_for_hf

    with tempfile.TemporaryDirectory() as folder:
        save_for_hf(
            _halved(model),
            folder,
            model_config={"pretrained_cfg": _dinov2_source()},
            model_args=dict(DINOV2),
            safe_serialization=True,
        )
        names = ("config.json", "model.safetensors")
        return {name: (Path(folder) / name).read_bytes() for name in names}


def _dinov2_source() -> dict[str, Any]:
    size = DINOV2["img_size"]
    return {"tag": "demo", "input_size": [3, size, size], "license": "mit", "crop_pct": 1.0}


def _openclip_files(model: nn.Module) -> dict[str, bytes | str]:
    from safetensors.torch import save

    network = NETWORKS["openclip"]
    configuration = {
        "model_cfg": dict(OPENCLIP),
        "preprocess_cfg": {
            "mean": network.mean,
            "std": network.std,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    return {
        "open_clip_config.json": json.dumps(configuration, indent=2) + "\n",
        "open_clip_model.safetensors": save(_halved(model).state_dict()),
    }


def _halved(model: nn.Module) -> nn.Module:
    """Return the model in half precision: half the file, and the libraries load it as float32."""
    return model.half()


NETWORKS: Mapping[str, Network] = {
    "dinov2": Network(
        "mimicry-demo-dinov2",
        "A vision transformer of the DINOv2 family (timm) with half a million weights.",
        ("DINO_SGD_code_submission",),
        int(DINOV2["img_size"]),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        40,
        {"architecture": DINOV2_ARCHITECTURE, **DINOV2},
        "model.safetensors",
        _build_dinov2,
        _dinov2_files,
    ),
    "openclip": Network(
        "mimicry-demo-openclip",
        "A vision transformer of the OpenCLIP family with half a million weights.",
        ("BioCLIP_code_submission", "anomaly_code_submission"),
        int(OPENCLIP["vision_cfg"]["image_size"]),
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
        40,
        OPENCLIP,
        "open_clip_model.safetensors",
        _build_openclip,
        _openclip_files,
    ),
}
