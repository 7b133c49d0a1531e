"""Where models come from: timm, OpenCLIP, torchvision, and an organiser's own code."""

from pathlib import Path

from torch import nn

from mimicry.activations.entries import ModelEntry
from mimicry.activations.sources import (
    custom,
    open_clip_models,
    timm_models,
    torchvision_models,
)
from mimicry.activations.sources.record import SourceRecord


def describe(entry: ModelEntry) -> SourceRecord:
    """Return what the entry's source records of the model, without building it.

    Raises
    ------
    BundleError
        ``library-missing``, ``model-unknown``, ``weights-unknown``, ``weights-mismatch``.
    """
    match entry.source:
        case "timm":
            return timm_models.describe(entry)
        case "open_clip":
            return open_clip_models.describe(entry)
        case "torchvision":
            return torchvision_models.describe(entry)
        case "custom":
            return custom.describe(entry)


def make_model(entry: ModelEntry, *, pretrained: bool, root: Path) -> nn.Module:
    """Build the model of a resolved entry, with the source's weights if `pretrained`.

    Raises
    ------
    BundleError
        ``library-missing``, ``model-not-built``, ``weights-unavailable``,
        ``entry-point-unknown``, ``entry-point-failed``.
    """
    match entry.source:
        case "timm":
            return timm_models.make(entry, pretrained=pretrained)
        case "open_clip":
            return open_clip_models.make(entry, pretrained=pretrained)
        case "torchvision":
            return torchvision_models.make(entry, pretrained=pretrained)
        case "custom":
            return custom.make(entry, pretrained=pretrained, root=root)
