"""The training loop of the small backbones: augmentation, optimiser, progress."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from small_networks import Network
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Settings:
    """How to train; everything that is drawn by chance depends on `seed`."""

    seed: int = 1
    epochs: int = 40
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    # Share of a label that is spread over all subspecies.
    smoothing: float = 0.1
    # Share of the images that get a second animal mixed in, up to half and half.
    mixed: float = 0.5


def learn(
    network: Network,
    pixels: np.ndarray,
    subspecies: np.ndarray,
    settings: Settings,
    report: Callable[[str], None] = print,
) -> nn.Module:
    """Train a new network of this kind to tell the subspecies.

    Parameters
    ----------
    network : Network
        What to build.
    pixels : ndarray of uint8, shape (n, 3, size, size)
        Pure animals.
    subspecies : ndarray of int64, shape (n,)
        Numbers from 0 to k - 1, each at least once.
    settings : Settings
        How to train.
    report : callable
        Gets a line of progress about every ten seconds.

    Returns
    -------
    torch.nn.Module
        The whole model in eval mode, float32, on the CPU.
    """
    torch.manual_seed(settings.seed)
    chance = torch.Generator().manual_seed(settings.seed)
    counts = np.bincount(subspecies)
    model, logits = network.build(len(counts))
    parameters = list(dict.fromkeys([*model.parameters(), *logits.parameters()]))
    optimiser = torch.optim.AdamW(
        [
            {"params": [one for one in parameters if one.ndim > 1]},
            {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    images = torch.from_numpy(pixels)
    labels = functional.one_hot(torch.from_numpy(subspecies)).float()
    labels = labels * (1 - settings.smoothing) + settings.smoothing / len(counts)
    # Between equal weights and those of a training set that one subspecies rules.
    often = torch.from_numpy(counts[subspecies] ** -0.5)
    mean = torch.tensor(network.mean).view(1, 3, 1, 1)
    std = torch.tensor(network.std).view(1, 3, 1, 1)
    steps = settings.epochs * math.ceil(len(images) / settings.batch)
    warm_up = min(100, max(1, steps // 10))
    started = told = time.monotonic()
    smooth = math.nan
    model.train()
    for step in range(steps):
        rate = min(1.0, (step + 1) / warm_up) * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate
        chosen = torch.multinomial(often, settings.batch, replacement=True, generator=chance)
        batch, target = mixed(
            varied(images[chosen].float() / 255, chance), labels[chosen], settings.mixed, chance
        )
        answers = functional.log_softmax(logits((batch - mean) / std), dim=1)
        loss = -(target * answers).sum(dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        value = float(loss.detach())
        smooth = value if step == 0 else 0.97 * smooth + 0.03 * value
        if time.monotonic() - told > 10 or step + 1 == steps:
            told = time.monotonic()
            report(f"step {step + 1} of {steps}, loss {smooth:.3f}, {told - started:.0f} s")
    return model.eval()


def varied(images: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Return each image mirrored, turned, moved, stretched and lit by chance.

    Images and result are float32 of shape (b, 3, s, s) in [0, 1].
    """
    count = len(images)

    def between(limit: float, *shape: int) -> torch.Tensor:
        return (torch.rand(count, *shape, generator=chance) * 2 - 1) * limit

    turn, scale, stretch = between(0.14), between(0.1).exp(), between(0.05).exp()
    mirror = torch.sign(between(1.0))
    place = torch.zeros(count, 2, 3)
    place[:, 0, 0] = scale * stretch * mirror * turn.cos()
    place[:, 0, 1] = -scale * turn.sin()
    place[:, 1, 0] = scale * mirror * turn.sin()
    place[:, 1, 1] = scale / stretch * turn.cos()
    place[:, 0, 2] = between(0.08)
    place[:, 1, 2] = between(0.08)
    grid = functional.affine_grid(place, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    images = images * between(0.2, 1, 1, 1).exp()
    grey = images.mean(dim=(2, 3), keepdim=True)
    images = (images - grey) * between(0.2, 1, 1, 1).exp() + grey
    images = images * between(0.06, 3, 1, 1).exp()
    return images.clamp(0, 1)


def mixed(
    images: torch.Tensor, labels: torch.Tensor, share: float, chance: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend a share of the images with others, and their labels alike."""
    if share == 0:
        return images, labels
    count = len(images)
    second = torch.rand(count, generator=chance) / 2
    second = second * (torch.rand(count, generator=chance) < share)
    other = torch.randperm(count, generator=chance)
    weight = second.view(-1, 1, 1, 1)
    images = (1 - weight) * images + weight * images[other]
    weight = second.view(-1, 1)
    return images, (1 - weight) * labels + weight * labels[other]
