"""One entry of the registry: which model, which of its layers, how images are prepared.

Scoring programs read a registry that was checked when the competition was built, on
machines without a schema library: `entries_of` needs the standard library alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mimicry.errors import BundleError

Source = Literal["timm", "open_clip", "torchvision", "custom"]
Pooling = Literal["flatten", "mean", "cls", "cls+mean"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Aspect = Literal["keep", "squash"]

SOURCES: tuple[Source, ...] = ("timm", "open_clip", "torchvision", "custom")
POOLINGS: tuple[Pooling, ...] = ("flatten", "mean", "cls", "cls+mean")
INTERPOLATIONS: tuple[Interpolation, ...] = ("nearest", "bilinear", "bicubic")
ASPECTS: tuple[Aspect, ...] = ("keep", "squash")

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_MODULE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_ENTRY_POINT = re.compile(r"([A-Za-z0-9_-]+/)*[A-Za-z0-9_][A-Za-z0-9_.-]*:[A-Za-z_][A-Za-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a model's input.

    Attributes
    ----------
    resize : int or None
        Length of the shorter side in pixels before the crop; None for no resizing.
        With the aspect ``squash``, of both sides, and never None.
    crop : int
        Side of the square cut from the centre, in pixels.
    mean, std : three floats
        Of red, green and blue, on the scale from 0 to 1.
    interpolation : str or None
        Of the resizing. None where the registry does not say: `resolve_entry` then
        puts in what the source records for the model, or bicubic.
    aspect : str
        ``keep`` the image's shape when resizing, or ``squash`` it to a square, so that
        the crop cuts nothing off.
    """

    resize: int | None
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Interpolation | None = None
    aspect: Aspect = "keep"


@dataclass(frozen=True)
class ModelEntry:
    """One model and one of its layers.

    Attributes
    ----------
    model_name : str
        The source's name of the model, or a free one for custom models.
    source : str
        ``timm``, ``open_clip``, ``torchvision`` or ``custom``.
    weights : str
        ``imagenet`` (the source's default), a tag of the source, ``random:SEED`` or
        ``file:PATH`` below the registry's folder.
    layer : str
        The name by which submissions and results call the layer: a module's path, or
        ``output`` or nothing for what the model returns.
    pooling : str
        ``flatten``, ``mean``, ``cls`` or ``cls+mean``; see `mimicry.activations.pooling`.
    preprocess : Preprocess
        How images are prepared.
    model_parameters : Mapping
        Further arguments of the function that builds the model.
    weights_sha256 : str or None
        Fingerprint that the loaded weights must have, if given.
    entry_point : str or None
        Of a custom model: ``package.module:function`` or ``file.py:function``.
    module : str or None
        The module that is tapped, where the installed library calls `layer` otherwise.
    """

    model_name: str
    source: Source
    weights: str
    layer: str
    pooling: Pooling
    preprocess: Preprocess
    model_parameters: Mapping[str, object] = field(default_factory=dict)
    weights_sha256: str | None = None
    entry_point: str | None = None
    module: str | None = None

    @property
    def label(self) -> str:
        """The model and its layer, as sentences call them."""
        return f"{self.model_name} (layer {self.layer or 'output'})"


def entries_of(document: object) -> tuple[ModelEntry, ...]:
    """Return the entries of a registry that JSON has been read from.

    Stops at the first fault; `mimicry.activations.registry.read_registry` finds all.

    Raises
    ------
    BundleError
        ``registry-invalid``, with the index of the entry.
    """
    if not isinstance(document, list) or not document:
        raise _invalid("a registry is a JSON list of at least one model")
    entries = tuple(_entry(item, f"entry {index}") for index, item in enumerate(document))
    if repeated := repetitions(document):
        raise _invalid(repeated[0])
    return entries


def repetitions(document: list[Any]) -> list[str]:
    """Tell which entries of a registry repeat the model and the layer of an earlier one."""
    first: dict[tuple[object, object], int] = {}
    found = []
    for index, item in enumerate(document):
        if not isinstance(item, dict):
            continue
        name, layer = item.get("model_name"), item.get("layer")
        if not isinstance(name, str) or not isinstance(layer, str):
            continue
        earlier = first.setdefault((name, layer), index)
        if earlier != index:
            found.append(f"entry {index} ({name}): the same model and layer as entry {earlier}")
    return found


def entry_document(entry: ModelEntry) -> dict[str, Any]:
    """Return the entry in the canonical form of the registry, ready for JSON.

    Nothing that is None is written, nor the aspect ``keep``, so that the keys of caches
    made before there was another one still hold. The pooling always goes by its own name.
    """
    preprocess: dict[str, Any] = {
        "resize": entry.preprocess.resize,
        "crop": entry.preprocess.crop,
        "mean": list(entry.preprocess.mean),
        "std": list(entry.preprocess.std),
    }
    if entry.preprocess.interpolation is not None:
        preprocess["interpolation"] = entry.preprocess.interpolation
    if entry.preprocess.aspect != "keep":
        preprocess["aspect"] = entry.preprocess.aspect
    document: dict[str, Any] = {
        "model_name": entry.model_name,
        "source": entry.source,
        "weights": entry.weights,
        "layer": entry.layer,
        "pooling": entry.pooling,
        "preprocess": preprocess,
    }
    if entry.model_parameters:
        document["model_parameters"] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in entry.model_parameters.items()
        }
    for key in ("weights_sha256", "entry_point", "module"):
        if (value := getattr(entry, key)) is not None:
            document[key] = value
    return document


def _invalid(sentence: str) -> BundleError:
    return BundleError("registry-invalid", f"the model registry cannot be used: {sentence}")


def _entry(item: object, where: str) -> ModelEntry:
    if not isinstance(item, dict):
        raise _invalid(f"{where} is no JSON object")
    name = _text(item, "model_name", where, _MODEL_NAME)
    where = f"{where} ({name})"
    source: Source = _choice(item.get("source"), SOURCES, "source", where)
    if "pooling" in item:
        pooling: Pooling = _choice(item["pooling"], POOLINGS, "pooling", where)
    else:
        pooling = _choice(item.get("embedding"), ("flatten",), "embedding", where)
    parameters = item.get("model_parameters", {})
    if not isinstance(parameters, dict):
        raise _invalid(f"{where}: model_parameters is no JSON object")
    entry_point = _optional(item, "entry_point", where, _ENTRY_POINT)
    if (entry_point is None) == (source == "custom"):
        raise _invalid(f"{where}: entry_point goes with the source custom, and only with it")
    layer = item.get("layer")
    return ModelEntry(
        model_name=name,
        source=source,
        weights=_text(item, "weights", where),
        layer="" if layer == "" else _text(item, "layer", where, _MODULE),
        pooling=pooling,
        preprocess=_preprocess(item.get("preprocess"), where),
        model_parameters=dict(parameters),
        weights_sha256=_optional(item, "weights_sha256", where, _SHA256),
        entry_point=entry_point,
        module=_optional(item, "module", where, _MODULE),
    )


def _preprocess(item: object, where: str) -> Preprocess:
    if not isinstance(item, dict):
        raise _invalid(f"{where}: preprocess is no JSON object")
    resize = item.get("resize")
    interpolation: Interpolation | None = None
    if "interpolation" in item:
        interpolation = _choice(item["interpolation"], INTERPOLATIONS, "interpolation", where)
    aspect: Aspect = _choice(item.get("aspect", "keep"), ASPECTS, "aspect", where)
    if aspect == "squash" and resize is None:
        raise _invalid(f"{where}: the aspect squash needs resize, the side of the square")
    std = _colours(item, "std", where)
    if min(std) <= 0:
        raise _invalid(f"{where}: std must be above 0")
    return Preprocess(
        resize=None if resize is None else _pixels(item, "resize", where),
        crop=_pixels(item, "crop", where),
        mean=_colours(item, "mean", where),
        std=std,
        interpolation=interpolation,
        aspect=aspect,
    )


def _text(
    item: Mapping[str, Any], key: str, where: str, pattern: re.Pattern[str] | None = None
) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value or len(value) > 500:
        raise _invalid(f"{where}: {key} is missing or no text of 1 to 500 characters")
    if pattern is not None and pattern.fullmatch(value) is None:
        raise _invalid(f"{where}: {key} {value!r} has characters that do not belong there")
    return value


def _optional(
    item: Mapping[str, Any], key: str, where: str, pattern: re.Pattern[str]
) -> str | None:
    return _text(item, key, where, pattern) if key in item else None


def _choice(value: object, choices: tuple[Any, ...], key: str, where: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise _invalid(f"{where}: {key} must be one of {', '.join(choices)}")
    return value


def _pixels(item: Mapping[str, Any], key: str, where: str) -> int:
    value = item.get(key)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or value != value // 1
        or not 1 <= value <= 8192
    ):
        raise _invalid(f"{where}: {key} must be a whole number from 1 to 8192")
    return int(value)


def _colours(item: Mapping[str, Any], key: str, where: str) -> tuple[float, float, float]:
    value = item.get(key)
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(
            isinstance(part, int | float) and not isinstance(part, bool) and abs(part) <= 1000
            for part in value
        )
    ):
        raise _invalid(f"{where}: {key} must be a list of three numbers")
    return (float(value[0]), float(value[1]), float(value[2]))
