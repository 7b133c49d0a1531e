"""Weights: what the registry's word means, loading them from a file, and their fingerprint.

====================  ============================================================
``imagenet``          the source's default weights for the model; the word of the 2026
                      registry, whatever the weights were trained on
``random:SEED``       none: initialised by the library after ``torch.manual_seed(SEED)``
``file:PATH``         a state dict below the registry's folder, safetensors or torch
anything else         a tag of the source, such as ``a1_in1k`` or ``laion2b_s34b_b79k``
====================  ============================================================
"""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mimicry.errors import BundleError

DEFAULT = "imagenet"
KEYS_SHOWN = 5
# Batches that a normalisation saw in training: old files lack it, and no activation needs it.
COUNTER = "num_batches_tracked"


class Weights(NamedTuple):
    """What the registry's word asks for; exactly one of the three is given."""

    tag: str | None = None
    seed: int | None = None
    file: Path | None = None


def parse_weights(text: str, root: Path) -> Weights:
    """Return what the registry's word for the weights means.

    Parameters
    ----------
    text : str
        As in the registry.
    root : Path
        The registry's folder.

    Raises
    ------
    BundleError
        ``weights-unknown`` for a seed that is no number; ``weights-missing`` when the file
        is not there or lies outside of `root`.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "random":
        if not rest.isascii() or not rest.isdigit() or len(rest) > 18:
            raise BundleError(
                "weights-unknown", f"{text!r} is no seed: write random: and a whole number."
            )
        return Weights(seed=int(rest))
    if colon and kind == "file":
        parts = PurePosixPath(rest).parts
        path = root.joinpath(*parts)
        if not parts or PurePosixPath(rest).is_absolute() or ".." in parts or not path.is_file():
            raise BundleError(
                "weights-missing",
                f"there is no file {rest!r} below the registry's folder: put the weights there.",
            )
        return Weights(file=path)
    return Weights(tag=text)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict from a file into `model`; every key must fit.

    Only counters of training batches may be missing.

    A file that ends in ``.safetensors`` is read as such, any other as torch's, with tensors
    and plain containers only (``weights_only``). The state dict may lie under the key
    ``state_dict``, and its keys may begin with ``module.``, as trained in parallel.

    Raises
    ------
    BundleError
        ``weights-unreadable`` or ``weights-mismatch``, the latter with the keys.
    """
    state = _read_state(path)
    if state and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    known = model.state_dict()
    faults = []
    for what, keys in (
        ("missing", [key for key in known if key not in state and not key.endswith(COUNTER)]),
        ("unexpected", [key for key in state if key not in known]),
        (
            "of another shape",
            [key for key in known if key in state and known[key].shape != state[key].shape],
        ),
    ):
        if keys:
            shown = ", ".join(keys[:KEYS_SHOWN])
            more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
            faults.append(f"{what} {shown}{more}")
    if faults:
        raise BundleError(
            "weights-mismatch",
            f"{path.name} does not fit {type(model).__name__}: {'; '.join(faults)}.",
        )
    model.load_state_dict(known | state)


def weights_sha256(model: nn.Module) -> str:
    """Return the fingerprint of a model's weights: 64 hexadecimal digits.

    SHA-256 over the state dict in its order: of each tensor a line ``name dtype shape`` and
    then its bytes, as loaded; counters of training batches are left out. Two names of the
    same weights have the same fingerprint as long as the library builds them with the same
    keys. Tensors on the CPU are read in place.
    """
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if name.endswith(COUNTER):
            continue
        if not isinstance(value, Tensor):
            digest.update(f"{name} {value!r}\n".encode())
            continue
        shape = "x".join(map(str, value.shape))
        digest.update(f"{name} {str(value.dtype).removeprefix('torch.')} {shape}\n".encode())
        data = value.detach().cpu().contiguous()
        if data.numel():
            digest.update(data.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_state(path: Path) -> dict[str, Tensor]:
    content: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise BundleError(
            "library-missing", f"{path.name} needs the library safetensors: pip install it."
        ) from error
    except pickle.UnpicklingError as error:
        raise BundleError(
            "weights-unreadable",
            f"{path.name} holds more than tensors, or is damaged: save the state dict alone, "
            "best as safetensors.",
        ) from error
    except Exception as error:  # each reader has exceptions of its own
        raise BundleError(
            "weights-unreadable",
            f"{path.name} cannot be read as weights ({type(error).__name__}): save it anew.",
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise BundleError(
            "weights-unreadable", f"{path.name} holds no state dict: names and their tensors."
        )
    return dict(content)
