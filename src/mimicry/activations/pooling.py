"""From what a layer emits for an image to one vector.

- ``flatten`` keeps every number, in the order (channels, rows, columns) or (tokens,
  channels). On a layer that is pooled already it changes nothing. This is what the 2026
  challenge does with every model, those included whose named layer emits tokens or maps.
- ``mean`` is the mean over places or over tokens without the prefix (class, register and
  distillation tokens). On a layer that is pooled already it changes nothing.
- ``cls`` is the class token.
- ``cls+mean`` is the two, one after the other.

How a layer's numbers are laid out is told by their shape, since crops are squares: the two
equal dimensions of a map are its rows and columns, and the tokens that are left without
the prefix are a square number. Three dimensions are read as (images, tokens, channels).
Where that does not settle it, the layer is refused.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mimicry.activations.entries import Pooling
from mimicry.errors import BundleError

Layout = Literal["vector", "tokens", "channels-first", "channels-last", "other"]


class PrefixTokens(NamedTuple):
    """What a model says of the tokens before those of places.

    Attributes
    ----------
    number : int or None
        Their number; None where the model does not say.
    class_first : bool
        Whether the first of them is a class token.
    """

    number: int | None
    class_first: bool


class PoolingPlan(NamedTuple):
    """How the output of one layer becomes a vector.

    Attributes
    ----------
    pooling : str
        As in the registry.
    layout : str
        ``vector``, ``tokens``, ``channels-first``, ``channels-last``, or ``other`` where
        it does not matter.
    prefix : int
        Tokens that the mean leaves out.
    width : int
        Length of the vector.
    """

    pooling: Pooling
    layout: Layout
    prefix: int
    width: int


def prefix_tokens(model: nn.Module) -> PrefixTokens:
    """Return what a model of timm, OpenCLIP or torchvision says of its prefix tokens."""
    names = ("cls_token", "class_token", "class_embedding")
    class_first = any(name.startswith(names) for name, _ in model.named_parameters(recurse=False))
    count = getattr(model, "num_prefix_tokens", None)
    return PrefixTokens(count if isinstance(count, int) else None, class_first)


def plan_pooling(shape: Sequence[int], pooling: Pooling, tokens: PrefixTokens) -> PoolingPlan:
    """Decide how outputs of `shape` (images first) are pooled.

    Raises
    ------
    BundleError
        ``pooling-impossible`` when the shape leaves open what tokens or places are, or
        there is no class token.
    """
    inner = tuple(shape[1:])
    if pooling == "flatten":
        return PoolingPlan(pooling, "other", 0, math.prod(inner))
    if len(inner) == 3 and pooling == "mean":
        layout = _map_layout(inner)
        return PoolingPlan(pooling, layout, 0, inner[0 if layout == "channels-first" else 2])
    if len(inner) == 1 and pooling == "mean":
        return PoolingPlan(pooling, "vector", 0, inner[0])
    if len(inner) != 2:
        raise _impossible(pooling, inner, "that is no row of tokens")
    count, channels = inner
    prefix = _prefix(count, tokens, pooling, inner)
    if pooling == "mean":
        return PoolingPlan(pooling, "tokens", prefix, channels)
    if not tokens.class_first or (prefix == 0 and count > 1):
        raise _impossible(pooling, inner, "there is no class token among them")
    if pooling == "cls":
        return PoolingPlan(pooling, "tokens", prefix, channels)
    if prefix == 0:
        raise _impossible(pooling, inner, "there is nothing but the class token")
    return PoolingPlan(pooling, "tokens", prefix, 2 * channels)


def pool(output: Tensor, plan: PoolingPlan) -> Tensor:
    """Return (images, width) of what the layer emitted, as `plan` says."""
    if plan.pooling == "flatten" or plan.layout == "vector":
        return output.flatten(1)
    if plan.layout == "channels-first":
        return output.mean((2, 3))
    if plan.layout == "channels-last":
        return output.mean((1, 2))
    if plan.pooling == "mean":
        return output[:, plan.prefix :].mean(1)
    if plan.pooling == "cls":
        return output[:, 0]
    return torch.cat((output[:, 0], output[:, plan.prefix :].mean(1)), 1)


def _map_layout(inner: tuple[int, ...]) -> Layout:
    first = inner[1] == inner[2]
    last = inner[0] == inner[1]
    if first != last:
        return "channels-first" if first else "channels-last"
    raise _impossible("mean", inner, "which of them are rows and columns cannot be told")


def _prefix(count: int, tokens: PrefixTokens, pooling: str, inner: tuple[int, ...]) -> int:
    # A layer may lie before the class token comes in, hence 0 beside what the model says.
    candidates = [0] if tokens.number is None else [tokens.number, 0]
    if tokens.class_first and tokens.number is None:
        candidates.append(1)
    for candidate in candidates:
        places = count - candidate
        if places > 0 and math.isqrt(places) ** 2 == places:
            return candidate
    raise _impossible(pooling, inner, "which of them are tokens of places cannot be told")


def _impossible(pooling: str, inner: tuple[int, ...], reason: str) -> BundleError:
    shape = " x ".join(map(str, inner))
    return BundleError(
        "pooling-impossible",
        f"the layer emits {shape} for an image, and {reason}: {pooling!r} cannot be done. Use "
        "the pooling flatten, or another layer.",
    )
