"""Models of torchvision."""

from typing import Any

from torch import nn

from mimicry.activations.entries import ModelEntry
from mimicry.activations.sources.libraries import (
    build,
    library,
    refuse_reserved,
    unknown_model,
    unknown_tag,
)
from mimicry.activations.sources.record import SourceRecord
from mimicry.activations.weights import DEFAULT

RESERVED = ("weights", "weights_backbone", "progress")


def describe(entry: ModelEntry) -> SourceRecord:
    """Return what torchvision records of the model; tags are names such as IMAGENET1K_V2."""
    models = _models()
    if entry.model_name not in models.list_models():
        raise unknown_model(entry, models.list_models())
    known = models.get_model_weights(entry.model_name)
    names = list(known.__members__)
    if ":" in entry.weights:
        weights = known.DEFAULT if "DEFAULT" in names else None
        return SourceRecord(tag=None, interpolation=_interpolation(weights))
    tag = "DEFAULT" if entry.weights == DEFAULT else entry.weights
    if tag not in names:
        raise unknown_tag(entry, names)
    return SourceRecord(tag=known[tag].name, interpolation=_interpolation(known[tag]))


def make(entry: ModelEntry, *, pretrained: bool) -> nn.Module:
    """Return the model, with its weights if `pretrained`."""
    models = _models()
    refuse_reserved(entry, RESERVED)
    arguments: dict[str, Any] = {"weights": entry.weights if pretrained else None}
    model: Any = build(
        entry,
        lambda: models.get_model(entry.model_name, **arguments, **entry.model_parameters),
        pretrained=pretrained,
    )
    assert isinstance(model, nn.Module)
    return model


def _models() -> Any:
    return library("torchvision").models


def _interpolation(weights: Any) -> str | None:
    mode = getattr(weights.transforms(), "interpolation", None) if weights is not None else None
    return getattr(mode, "value", None)
