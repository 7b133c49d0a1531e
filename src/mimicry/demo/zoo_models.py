"""The demo zoo's networks: small timm architectures, trained for a moment on butterflies.

After a few passes over 250 pictures they know their classes better than chance and agree
with each other more or less, as networks of different families do. That is all that two
boards need which are to be seen working. Their similarity says nothing about these
architectures.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicry.activations.entries import ModelEntry, Pooling, Preprocess
from mimicry.demo.interrupts import deaf_children
from mimicry.demo.zoo_images import KINDS, labelled
from mimicry.errors import BundleError, MimicryError
from mimicry.ingestion.processes import die_with_parent

if TYPE_CHECKING:
    import torch

SIDE = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
BATCH = 25
_SMALL_VIT = {"img_size": SIDE, "patch_size": 8, "depth": 3, "embed_dim": 96, "num_heads": 3}
_SMALL_STAGES = {"depths": [1, 1, 2, 1], "dims": [24, 48, 96, 192]}


@dataclass(frozen=True)
class Breed:
    """One network: its name in timm, the layer to compare, and how it learns.

    Attributes
    ----------
    name : str
        Of the architecture.
    layer, pooling : str
        As in the registry.
    rate : float
        The highest learning rate.
    passes : int
        Over the training pictures.
    parameters : mapping
        Arguments that make the architecture small; the number of classes comes on top.
    weights_of : str or None
        Another breed whose very weights this one has.
    """

    name: str
    layer: str
    pooling: Pooling
    rate: float = 4e-3
    passes: int = 4
    parameters: Mapping[str, object] = field(default_factory=dict)
    weights_of: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What builds the network."""
        return {"num_classes": len(KINDS), **self.parameters}


BREEDS = (
    Breed("convnextv2_atto", "head.flatten", "flatten", 2e-3, parameters=_SMALL_STAGES),
    # The same network under a second name: timm's two names build the same modules, so one
    # checkpoint fits both. Only the weights' checksum tells.
    Breed(
        "deit_tiny_patch16_224",
        "norm",
        "cls",
        parameters=_SMALL_VIT,
        weights_of="vit_tiny_patch16_224",
    ),
    Breed(
        "densenet121",
        "global_pool",
        "flatten",
        parameters={"growth_rate": 12, "block_config": [2, 3, 4, 3]},
    ),
    Breed("edgenext_xx_small", "head.flatten", "flatten", 2e-3),
    Breed("efficientvit_b0", "head.global_pool", "flatten", 2e-3),
    Breed("mambaout_femto", "head.norm", "flatten", 2e-3, parameters=_SMALL_STAGES),
    Breed("resnet10t", "global_pool", "flatten", parameters={"channels": [24, 48, 96, 192]}),
    Breed("starnet_s050", "flatten", "flatten"),
    Breed("test_byobnet", "head.global_pool", "flatten"),
    Breed("test_efficientnet", "global_pool", "flatten"),
    Breed("test_resnet", "global_pool", "flatten"),
    Breed("vit_tiny_patch16_224", "norm", "cls", 2e-3, 5, _SMALL_VIT),
)
"""The zoo, sorted by name."""


def entry_of(breed: Breed) -> ModelEntry:
    """Return a breed's entry in the registry; its weights lie in ``weights`` beside that."""
    return ModelEntry(
        model_name=breed.name,
        source="timm",
        weights=f"file:weights/{breed.weights_of or breed.name}.safetensors",
        layer=breed.layer,
        pooling=breed.pooling,
        preprocess=Preprocess(SIDE, SIDE, MEAN, STD, "bilinear"),
        model_parameters=breed.arguments,
    )


@contextmanager
def zoo_pool(workers: int | None) -> Iterator[ProcessPoolExecutor]:
    """Give processes that train and run networks, one thread each.

    Parameters
    ----------
    workers : int, optional
        How many; by default as many as there are usable cores.

    Raises
    ------
    BundleError
        ``demo-worker-died`` when one was ended from outside.
    """
    count = workers or len(os.sched_getaffinity(0))
    context = get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=die_with_parent)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise BundleError(
            "demo-worker-died",
            "A process that trains networks was ended from outside, often for want of memory; "
            "run the command again with fewer workers.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def in_turn(
    pool: ProcessPoolExecutor, task: Callable[..., str], orders: Sequence[tuple[object, ...]]
) -> Iterator[str]:
    """Run `task` for each tuple of arguments and yield its answers as they come.

    Raises
    ------
    MimicryError
        What the task raised, as a `BundleError`.
    """
    with deaf_children():
        futures = [pool.submit(_told, task, *order) for order in orders]
    for future in as_completed(futures):
        fault, answer = future.result()
        if fault is not None:
            raise BundleError(*fault)
        yield answer


def _told(task: Callable[..., str], *order: object) -> tuple[tuple[str, str] | None, str]:
    # Errors of two arguments do not survive the way between processes.
    try:
        return None, task(*order)
    except MimicryError as error:
        return (error.code, error.sentence), ""


def train_zoo(
    pool: ProcessPoolExecutor,
    breeds: Sequence[Breed],
    pictures: Path,
    weights: Path,
    *,
    seed: int,
    report: Callable[[str], None],
) -> None:
    """Train every breed whose file is not below `weights` yet.

    Parameters
    ----------
    pool : executor
        Of `zoo_pool`.
    breeds : sequence of Breed
        Those that have another's weights are passed over.
    pictures : Path
        The training set, a folder for each class.
    weights : Path
        Gets ``<name>.safetensors``, each when it is whole.
    seed : int
        The same seed gives the same weights on the same machine with the same libraries.
    report : callable
        Gets a line for each network.
    """
    weights.mkdir(parents=True, exist_ok=True)
    for part in weights.glob(".*.part"):
        part.unlink()
    missing = [
        one for one in breeds if one.weights_of is None and not _file(weights, one.name).is_file()
    ]
    orders = [(one, pictures, weights, seed) for one in missing]
    for number, answer in enumerate(in_turn(pool, _train, orders), start=1):
        report(f"trained {number} of {len(missing)}: {answer}")


def _file(weights: Path, name: str) -> Path:
    return weights / f"{name}.safetensors"


def _train(breed: Breed, pictures: Path, weights: Path, seed: int) -> str:
    """Train one network in a process of its own, and tell how it went."""
    try:
        from mimicry.activations import torchvision_compat

        torchvision_compat.install()
        import timm
        import torch
        from safetensors.torch import save_file
    except ImportError as error:
        raise BundleError(
            "library-missing",
            f"The demo zoo needs torch, timm and safetensors, and {error.name} is not installed: "
            "`make demo` installs them.",
        ) from error
    torch.set_num_threads(1)
    images, classes = _load(pictures)
    torch.manual_seed(seed)
    network = timm.create_model(breed.name, pretrained=False, **breed.arguments)
    right = _fit(network, images, classes, breed, seed)
    part = weights / f".{breed.name}.part"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(_file(weights, breed.name))
    return f"{breed.name}, {right:.0%} of its training pictures right"


def _load(pictures: Path) -> tuple["torch.Tensor", "torch.Tensor"]:
    import numpy as np
    import torch
    from PIL import Image

    rows, classes = [], []
    for path, number in labelled(pictures):
        with Image.open(path) as image:
            rows.append(np.asarray(image.convert("RGB")))
        classes.append(number)
    pixels = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(three)[:, None, None] for three in (MEAN, STD))
    return ((pixels - mean) / std).contiguous(), torch.tensor(classes)


def _fit(
    network: Any, images: "torch.Tensor", classes: "torch.Tensor", breed: Breed, seed: int
) -> float:
    """Train `network` and return the share of training pictures that it then gets right."""
    import torch
    from torch.nn import functional

    steps = breed.passes * -(-len(images) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), breed.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, breed.rate, total_steps=steps, pct_start=0.2
    )
    chance = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(breed.passes):
        order = torch.randperm(len(images), generator=chance)
        for chosen in torch.split(order, BATCH):
            batch = images[chosen]
            if torch.rand(1, generator=chance) < 0.5:
                batch = batch.flip(3)
            loss = functional.cross_entropy(network(batch), classes[chosen])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    with torch.inference_mode():
        _settle(network, images)
        network.eval()
        guesses = torch.cat([network(batch).argmax(1) for batch in torch.split(images, BATCH)])
    return float((guesses == classes).float().mean())


def _settle(network: Any, images: "torch.Tensor") -> None:
    """Measure the statistics of batch normalisation anew: running means lag behind so few steps."""
    import torch

    norms = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    if norms:
        for batch in torch.split(images, BATCH):
            network(batch)
