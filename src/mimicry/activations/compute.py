"""A model over a list of stimuli: decoding, computing and writing at the same time."""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from mimicry.activations.feed import Batch, feed
from mimicry.activations.models import Extractor
from mimicry.activations.preprocess import cropped_pixels
from mimicry.activations.stimuli import StimulusSet
from mimicry.activations.store import ShardWriter
from mimicry.errors import BundleError


def pump(
    extractor: Extractor,
    stimuli: StimulusSet,
    writer: ShardWriter,
    *,
    batch_size: int,
    workers: int,
    count: Callable[[int], None] = lambda done: None,
) -> None:
    """Run the stimuli that `writer` lacks through a model, in order.

    On a GPU, copies to and from it overlap with its work: batches lie in pinned memory, and
    results are fetched two batches later. Pixels travel as bytes and are scaled where the
    model is.

    Parameters
    ----------
    extractor : Extractor
        The model.
    stimuli : StimulusSet
        What it is shown.
    writer : ShardWriter
        Takes the rows.
    batch_size : int
        Images a batch.
    workers : int
        Threads that decode.
    count : callable
        Told how many more are done.
    """
    on_gpu = extractor.device.type == "cuda"
    preprocess = extractor.entry.preprocess
    shape = (preprocess.crop, preprocess.crop, 3)
    late = 2 if on_gpu else 0

    def allocate(size: tuple[int, ...]) -> Any:
        return torch.empty(size, dtype=torch.uint8, pin_memory=on_gpu).numpy()

    def settle(batch: Batch, result: torch.Tensor, event: Any) -> None:
        if event is not None:
            event.synchronize()
        batch.release()
        writer.write(batch.start, result.numpy())
        count(len(result))

    if writer.next_row == len(stimuli):
        return
    pending: deque[tuple[Batch, torch.Tensor, Any]] = deque()
    with (
        torch.inference_mode(),
        feed(
            stimuli,
            lambda image: cropped_pixels(image, preprocess),
            shape,
            start=writer.next_row,
            batch_size=batch_size,
            threads=workers,
            ahead=2,
            held=late + 1,
            allocate=allocate,
        ) as batches,
    ):
        for batch in batches:
            images = torch.from_numpy(batch.images)
            output = extractor(images)
            if tuple(output.shape) != (len(images), extractor.width):
                raise BundleError(
                    "model-output",
                    f"{extractor.entry.label} gave {tuple(output.shape)} for {len(images)} images, "
                    f"not {extractor.width} numbers each; check the model.",
                )
            event = None
            if on_gpu:
                host = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
                output = host.copy_(output, non_blocking=True)
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record()
            pending.append((batch, output, event))
            while len(pending) > late:
                settle(*pending.popleft())
        while pending:
            settle(*pending.popleft())


def chosen_device(name: str, gpus: int | None = None) -> str:
    """Return the device to use: ``auto`` is the first GPU if there is one, else the CPU.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    gpus : int, optional
        How many there are, where that is known; else torch is asked.

    Raises
    ------
    BundleError
        ``device-missing``.
    """
    if gpus is None:
        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda:0" if gpus else "cpu"
    if name == "cpu":
        return name
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal() or int(number or 0) >= gpus:
        raise BundleError(
            "device-missing",
            f"There is no device {name} that torch can use ({gpus} GPUs are here); choose another "
            "(--device cpu).",
        )
    return f"cuda:{int(number or 0)}"
