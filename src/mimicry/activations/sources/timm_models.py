"""Models of timm."""

from dataclasses import replace
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

RESERVED = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path")


def describe(entry: ModelEntry) -> SourceRecord:
    """Return what timm records of the model; a name may end in ``.TAG``."""
    timm = library("timm")
    architecture, named = timm.models.split_model_name_tag(entry.model_name)
    if not timm.is_model(architecture):
        raise unknown_model(entry, [*timm.list_models(), *timm.list_pretrained()])
    records = timm.models.get_arch_pretrained_cfgs(architecture)
    tags = [name.partition(".")[2] for name in records]
    if named and named not in tags:
        raise unknown_model(entry, records)
    record = timm.models.get_pretrained_cfg(entry.model_name)
    tag = named or (record.tag if record is not None else None)
    if entry.weights == DEFAULT:
        if record is None or not record.has_weights:
            raise unknown_tag(entry, [])
        # A few models have weights without a tag.
        tag = tag or DEFAULT
    elif ":" not in entry.weights:
        if entry.weights not in tags or (named and named != entry.weights):
            raise unknown_tag(entry, [named] if named else tags)
        tag = entry.weights
        record = records[f"{architecture}.{tag}"]
    return SourceRecord(
        tag=tag,
        interpolation=record.interpolation if record is not None else None,
        family=timm.models.model_entrypoint(architecture).__module__.rpartition(".")[2],
    )


def make(entry: ModelEntry, *, pretrained: bool) -> nn.Module:
    """Return the model, with its weights if `pretrained`; its classifier stays."""
    timm = library("timm")
    refuse_reserved(entry, RESERVED)
    name = entry.model_name
    if pretrained and entry.weights != DEFAULT:
        name = f"{timm.models.split_model_name_tag(name)[0]}.{entry.weights}"
    model: Any = build(
        replace(entry, model_name=name),
        lambda: timm.create_model(name, pretrained=pretrained, **entry.model_parameters),
        pretrained=pretrained,
    )
    assert isinstance(model, nn.Module)
    return model
