"""Models that turn batches of images into activations.

What a number depends on, besides the entry:

- **Precision.** ``float32`` computes in float32, without TF32 on GPUs. ``bfloat16`` and
  ``float16`` run under autocast, with weights kept in float32. The result is float32.
- **Batches.** Libraries choose their kernels by the batch's size, so the last bits of an
  image's activations depend on how many images are computed with it, not on which ones.
  Fixed batches give the same bytes again on the same machine; cuDNN is held to
  deterministic algorithms without trials for that.
- **Machine.** Processors, numbers of threads and versions of torch change the last bits.

On GPUs, models are laid out channels-last, where convolutions are faster; what a layer
emits is flattened in the same order everywhere.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from mimicry.activations.custom_code import code_sha256
from mimicry.activations.device_faults import is_device_fault, is_device_memory
from mimicry.activations.entries import INTERPOLATIONS, Interpolation, ModelEntry
from mimicry.activations.pooling import PoolingPlan, plan_pooling, pool, prefix_tokens
from mimicry.activations.preprocess import Input, prepare
from mimicry.activations.sources import describe, make_model
from mimicry.activations.taps import ALIASES, Taps
from mimicry.activations.weights import Weights, load_weights, parse_weights, weights_sha256
from mimicry.errors import BundleError

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
FALLBACK: Interpolation = "bicubic"


class Probe(NamedTuple):
    """What a layer emits for one image, found without weights.

    Attributes
    ----------
    shape : tuple of int
        Of the layer's output for one image.
    width : int
        Length of the vector after pooling.
    module : str
        The path that was tapped.
    """

    shape: tuple[int, ...]
    width: int
    module: str


@dataclass(frozen=True)
class Extractor:
    """A loaded model with a tap on its layer.

    Attributes
    ----------
    entry : ModelEntry
        Resolved: weights, interpolation and module are what was really used.
    width : int
        Numbers per image.
    weights_sha256 : str
        Fingerprint of the loaded weights.
    code_sha256 : str or None
        SHA-256 over a custom model's code; see `mimicry.activations.custom_code` for what
        it covers. None for other sources.
    device : torch.device
        Where the model is.
    precision : str
        What it computes in.
    """

    entry: ModelEntry
    width: int
    weights_sha256: str
    code_sha256: str | None
    device: torch.device
    precision: Precision
    _taps: Taps = field(repr=False, compare=False)
    _plan: PoolingPlan = field(repr=False)
    # Mean and standard deviation of each channel, (3, 1, 1), on the device.
    _scale: tuple[Tensor, Tensor] = field(repr=False, compare=False)

    def preprocess(self, image: Image.Image) -> Input:
        """Return an image as the model's input, float32 (3, crop, crop)."""
        return prepare(image, self.entry.preprocess)

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the activations of a batch: float32 (images, width) on the device.

        Parameters
        ----------
        batch : Tensor
            What `preprocess` made, float32 (images, 3, crop, crop), on any device; or
            uint8 pixels (images, crop, crop, 3), which are then scaled on the device,
            with the same result.
        """
        with torch.inference_mode():
            moved = batch.to(self.device, non_blocking=True)
            if moved.dtype == torch.uint8:
                moved = self._scaled(moved)
            # One layout, or the kernels of floats and of pixels would differ.
            moved = moved.contiguous(memory_format=_layout(self.device))
            with _arithmetic(self.device, self.precision):
                (output,) = self._taps(moved)
            return pool(output.float(), self._plan)

    def _scaled(self, pixels: Tensor) -> Tensor:
        mean, std = self._scale
        return (pixels.permute(0, 3, 1, 2).float().div_(255) - mean).div_(std)


def resolve_entry(entry: ModelEntry, *, root: Path = Path()) -> ModelEntry:
    """Return the entry with everything said that the registry leaves to the source.

    - `weights`: the source's default becomes its tag.
    - `preprocess.interpolation`, where missing: what the source records with these weights
      (with the architecture's default ones, for random weights and files), else bicubic.
    - `module`, where the installed library has renamed the layer (`taps.ALIASES`).

    A resolved entry resolves to itself.

    Raises
    ------
    BundleError
        Where the source does not know the model or the weights; ``interpolation-missing``
        when the source's own interpolation is none that the registry can name.
    """
    record = describe(entry)
    weights = parse_weights(entry.weights, root)
    interpolation = entry.preprocess.interpolation
    if interpolation is None:
        recorded = record.interpolation or FALLBACK
        if recorded not in INTERPOLATIONS:
            raise BundleError(
                "interpolation-missing",
                f"{entry.model_name}: {entry.source} records the interpolation {recorded!r}; "
                f"write {', '.join(INTERPOLATIONS)} into the registry.",
            )
        interpolation = next(name for name in INTERPOLATIONS if name == recorded)
    module = entry.module
    alias = ALIASES.get((entry.source, record.family, entry.layer))
    # Which name is right depends on the installed version.
    if module is None and alias is not None and not _has_module(entry, entry.layer, root):
        module = alias
    return replace(
        entry,
        weights=record.tag if weights.tag is not None and record.tag else entry.weights,
        preprocess=replace(entry.preprocess, interpolation=interpolation),
        module=module,
    )


def load_model(
    entry: ModelEntry,
    *,
    device: str | torch.device = "cpu",
    precision: Precision = "float32",
    root: str | os.PathLike[str] = "",
) -> Extractor:
    """Load a model and put a tap on its layer.

    Parameters
    ----------
    entry : ModelEntry
        From the registry, resolved or not.
    device : str or torch.device
        Such as ``cpu``, ``cuda`` or ``cuda:1``.
    precision : str
        ``float32``, ``bfloat16`` or ``float16``.
    root : path
        The registry's folder; weights and entry points in files are looked up there.

    Returns
    -------
    Extractor
        In evaluation mode, tried on two black images.

    Raises
    ------
    BundleError
        With one of many codes, when the model, its weights, the layer, the pooling or the
        device are not to be had.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    root = Path(root)
    place = _device(device)
    resolved = resolve_entry(entry, root=root)
    model = _loaded(resolved, parse_weights(resolved.weights, root), root)
    fingerprint = weights_sha256(model)
    if entry.weights_sha256 not in (None, fingerprint):
        raise BundleError(
            "weights-changed",
            f"{entry.label}: the loaded weights have the fingerprint {fingerprint}, the "
            f"registry says {entry.weights_sha256}: get the right weights, or mend the registry.",
        )
    model.to(place)
    if place.type == "cuda":
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=_layout(place))
    taps = _taps(resolved, model)
    with torch.inference_mode(), _arithmetic(place, precision):
        output = _tried(resolved, model, taps, place)
    plan = _plan(resolved, model, output)
    return Extractor(
        entry=resolved,
        width=plan.width,
        weights_sha256=fingerprint,
        code_sha256=code_sha256(resolved, root),
        device=place,
        precision=precision,
        _taps=taps,
        _plan=plan,
        _scale=(
            _channels(resolved.preprocess.mean, place),
            _channels(resolved.preprocess.std, place),
        ),
    )


def _channels(values: tuple[float, float, float], place: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=place).view(3, 1, 1)


def probe_entry(entry: ModelEntry, *, root: Path = Path()) -> Probe:
    """Build an entry's model without weights or memory and tell what its layer emits.

    Raises
    ------
    BundleError
        As `load_model`, as far as weights are not concerned.
    """
    resolved = resolve_entry(entry, root=root)
    model = _hollow(resolved, root)
    with torch.inference_mode():
        output = _tried(resolved, model, _taps(resolved, model), torch.device("meta"))
    plan = _plan(resolved, model, output)
    return Probe(tuple(output.shape[1:]), plan.width, _path(resolved))


def _path(entry: ModelEntry) -> str:
    return entry.layer if entry.module is None else entry.module


def _taps(entry: ModelEntry, model: nn.Module) -> Taps:
    with _about(entry):
        return Taps(model, [_path(entry)])


def _plan(entry: ModelEntry, model: nn.Module, output: Tensor) -> PoolingPlan:
    with _about(entry):
        return plan_pooling(output.shape, entry.pooling, prefix_tokens(model))


@contextlib.contextmanager
def _about(entry: ModelEntry) -> Iterator[None]:
    """Begin the sentences of errors with the model's name."""
    try:
        yield
    except BundleError as error:
        raise BundleError(error.code, f"{entry.label}: {error.sentence}") from error


def _tried(entry: ModelEntry, model: nn.Module, taps: Taps, device: torch.device) -> Tensor:
    """Return what the layer emits for two black images."""
    crop = entry.preprocess.crop
    with _about(entry):
        try:
            (output,) = taps.whole(torch.zeros(2, 3, crop, crop, device=device))
        except BundleError:
            raise
        except Exception as error:  # a model may raise anything
            if is_device_memory(error) or is_device_fault(error):
                raise
            raise BundleError(
                "model-failed",
                f"the model cannot compute images of {crop} x {crop} pixels "
                f"({type(error).__name__}: {str(error)[:300]}): mend preprocess.crop or "
                "model_parameters.",
            ) from error
    return output


def _loaded(entry: ModelEntry, weights: Weights, root: Path) -> nn.Module:
    # On the CPU, whatever the device: a seed then stands for the same weights everywhere.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(weights.seed or 0)
        model = make_model(entry, pretrained=weights.tag is not None, root=root)
    if weights.file is not None:
        with _about(entry):
            load_weights(model, weights.file)
    return model.eval().requires_grad_(False)


def _hollow(entry: ModelEntry, root: Path) -> nn.Module:
    """Return the model without weights, on a device where nothing is computed."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = make_model(entry, pretrained=False, root=root).eval()
    # An organiser's code may name a device by itself.
    stray = any(not value.is_meta for value in (*model.parameters(), *model.buffers()))
    return model.to("meta") if stray else model


def _has_module(entry: ModelEntry, path: str, root: Path) -> bool:
    return path in dict(_hollow(entry, root).named_modules())


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BundleError(
            "device-missing",
            f"torch {torch.__version__} here cannot use the device {str(device)!r}: choose "
            "another one, or install a torch for it.",
        ) from error
    return place


@contextlib.contextmanager
def _arithmetic(device: torch.device, precision: Precision) -> Iterator[None]:
    """Hold the kernels to `precision` and to algorithms that give the same bits again."""
    with contextlib.ExitStack() as stack:
        if device.type == "cuda":
            # Convolutions would round float32 to TF32 otherwise, and try out kernels.
            stack.enter_context(
                torch.backends.cudnn.flags(
                    enabled=True, benchmark=False, deterministic=True, allow_tf32=False
                )
            )
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
        if precision != "float32":
            stack.enter_context(torch.autocast(device.type, dtype=getattr(torch, precision)))
        yield


def _layout(device: torch.device) -> torch.memory_format:
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format
