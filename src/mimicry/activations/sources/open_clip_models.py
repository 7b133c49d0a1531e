"""Image towers of OpenCLIP; layers are paths inside of the tower."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
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
from mimicry.errors import BundleError

RESERVED = (
    "pretrained",
    "pretrained_image",
    "pretrained_image_path",
    "pretrained_text",
    "pretrained_text_path",
    "load_weights",
    "device",
    "precision",
    "jit",
)


def describe(entry: ModelEntry) -> SourceRecord:
    """Return what OpenCLIP records of the model; it has no default weights."""
    open_clip = library("open_clip")
    configuration = open_clip.get_model_config(entry.model_name)
    if configuration is None:
        raise unknown_model(entry, open_clip.list_models())
    if ":" in entry.weights:
        return SourceRecord(tag=None, interpolation=None)
    record = open_clip.get_pretrained_cfg(entry.model_name, entry.weights)
    if not record:
        raise unknown_tag(entry, open_clip.list_pretrained_tags_by_model(entry.model_name))
    trained = bool(record.get("quick_gelu", False))
    quick = bool(
        entry.model_parameters.get("force_quick_gelu") or configuration.get("quick_gelu", False)
    )
    if trained != quick:
        # OpenCLIP only warns of it and then computes something that was never trained.
        cure = (
            "add model_parameters {force_quick_gelu: true}, or name the -quickgelu model"
            if trained
            else "name the model without -quickgelu"
        )
        raise BundleError(
            "weights-mismatch",
            f"the weights {entry.weights!r} of {entry.model_name} were trained "
            f"{'with' if trained else 'without'} QuickGELU, the model is built "
            f"{'with' if quick else 'without'} it: {cure}.",
        )
    return SourceRecord(tag=entry.weights, interpolation=record.get("interpolation"))


def make(entry: ModelEntry, *, pretrained: bool) -> nn.Module:
    """Return the image tower, with its weights if `pretrained`."""
    open_clip = library("open_clip")
    refuse_reserved(entry, RESERVED)
    with _quiet():
        model: Any = build(
            entry,
            lambda: open_clip.create_model(
                entry.model_name,
                pretrained=entry.weights if pretrained else None,
                require_pretrained=pretrained,
                # It moves the model there, and would move one without memory to the CPU.
                device=torch.get_default_device(),
                # The text tower's default weights would be fetched otherwise.
                pretrained_text=False,
                **entry.model_parameters,
            ),
            pretrained=pretrained,
        )
    tower = model.visual
    assert isinstance(tower, nn.Module)
    return tower


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep it from warning of random weights, where that is what was asked for."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
