"""A registry, a catalogue and rules as small as they can be, for the targets of both teams."""

import hashlib
import json
from typing import Any

import numpy as np

from mimicry.activations.entries import entries_of
from mimicry.activations.stimuli import Stimulus
from mimicry.realign.catalogue import Catalogue
from mimicry.realign.reference import BlueReference, RedReference
from mimicry.realign.registered import Registry
from mimicry.realign.rules import BlueRules, Optimum, RandomDraws, RedRules

MODELS = 3
STIMULI = 4


def entry(name: str, layer: str = "head", **more: Any) -> dict[str, Any]:
    """One model of a registry."""
    preprocess = {"resize": 256, "crop": 224, "mean": [0.5] * 3, "std": [0.5] * 3}
    return {
        **{"model_name": name, "source": "timm", "weights": "imagenet", "layer": layer},
        **{"pooling": "flatten", "preprocess": preprocess, **more},
    }


ENTRIES = [
    entry("resnet50", weights_sha256="a" * 64),
    entry("resnet50.copy", weights_sha256="a" * 64),
    entry("vit_base", model_parameters={"img_size": 224}),
    entry("mixer", "stem"),
    entry("mixer", "head"),
]
ROWS = [
    {
        "dataset_name": "imagenet" if number < 4 else "objectnet",
        "image_identifier": f"n{number % 3}/{number}.jpg",
        "class_name": f"n{number % 3}",
        "sha256": hashlib.sha256(str(min(number, 6)).encode()).hexdigest(),
        "size": number,
    }
    for number in range(8)
]


def blue_reference(seed: int) -> BlueReference:
    """What Blue is scored with; all but the registry depends on `seed`."""
    draw = np.random.default_rng(seed)
    half = np.triu(draw.uniform(0.1, 0.9, (len(ENTRIES), len(ENTRIES))), 1)
    cka = half + half.T + np.eye(len(ENTRIES))
    replicates = np.stack([cka[np.triu_indices(len(ENTRIES))]] * 2).astype(np.float32)
    rules = BlueRules("mean_cka", MODELS, None, Optimum(0.9 + seed / 1000, 1.0, False))
    return BlueReference(rules, Registry(entries_of(ENTRIES)), cka, cka, replicates)


def red_reference(seed: int) -> RedReference:
    """What Red is scored with; all but the catalogue depends on `seed`."""
    draw = np.random.default_rng(seed)
    activations = tuple(draw.normal(size=(len(ROWS), 3)).astype(np.float32) for _ in range(2))
    rules = RedRules(STIMULI, RandomDraws(0.25 + seed / 1000, 0.1, 10), None)
    return RedReference(rules, Catalogue([Stimulus(**row) for row in ROWS]), activations)


def plain_document(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `data` as Python reads it, None where keys repeat or it is none."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
