"""Batches of prepared images, decoded by threads while the model works on earlier ones.

Pillow and NumPy release the interpreter's lock while they decode, resize and convert, so
threads are enough and no pixel is copied between processes. Each thread writes straight
into its image's place in a batch. Memory is bounded: a few batches, however long the list.
"""

import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from mimicry.activations.stimuli import StimulusSet
from mimicry.errors import BundleError, one_line

# What Pillow may take a stimulus for; its other readers are for rarer and riskier formats.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

Array = npt.NDArray[Any]
Prepare = Callable[[Image.Image], Array]
Allocate = Callable[[tuple[int, ...]], Array]


class Batch(NamedTuple):
    """Consecutive stimuli.

    Attributes
    ----------
    start : int
        Index of the first.
    images : array, shape (k, ...)
        Valid until `release` is called.
    release : callable
        Gives the memory back to the feed.
    """

    start: int
    images: Array
    release: Callable[[], None]


def decode(data: bytes, name: str) -> Image.Image:
    """Decode an image, in its own mode and as it is stored: no EXIF rotation is applied.

    Decoders' draft modes, which are faster and give other pixels, are not used.

    Raises
    ------
    BundleError
        ``stimulus-undecodable`` naming it.
    """
    try:
        # Pillow warns of large images, and refuses those of twice `Image.MAX_IMAGE_PIXELS`.
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.load()
    except Exception as error:
        raise _undecodable(name, error) from error
    return image


@contextmanager
def feed(
    stimuli: StimulusSet,
    prepare: Prepare,
    shape: tuple[int, ...],
    *,
    start: int = 0,
    batch_size: int,
    threads: int,
    ahead: int = 2,
    held: int = 1,
    allocate: Allocate = lambda shape: np.empty(shape, np.uint8),
) -> Iterator[Iterator[Batch]]:
    """Prepare the stimuli from `start` on, in order.

    Batches lie on a grid of `batch_size` from the first stimulus on, so that which images
    meet in a batch does not depend on `start`, which must lie on the grid.

    Parameters
    ----------
    stimuli : StimulusSet
        Read by the threads.
    prepare : callable
        Makes an array of `shape` of an image; called by several threads at once.
    shape : tuple of int
        Of one prepared image.
    start : int
        Index of the first stimulus; a multiple of `batch_size`.
    batch_size : int
        Images a batch; the last may have fewer.
    threads : int
        Images that are prepared at once.
    ahead : int
        Batches that are prepared before they are asked for.
    held : int
        Batches that the caller keeps before it releases the first of them.
    allocate : callable
        Makes the memory for a batch, such as pinned memory.

    Yields
    ------
    iterator of Batch
        Raises `BundleError` for a stimulus that cannot be read, decoded or prepared, when
        its batch's turn has come.
    """
    if start % batch_size:
        raise ValueError(f"{start} is no multiple of {batch_size}")
    pool = ThreadPoolExecutor(max_workers=max(1, threads), thread_name_prefix="decode")
    starts = range(start, len(stimuli), batch_size)
    slots = min(ahead + held, max(1, len(starts)))
    free = deque(allocate((batch_size, *shape)) for _ in range(slots))
    try:
        yield _batches(stimuli, prepare, batch_size, pool, free, deque(starts))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(
    stimuli: StimulusSet,
    prepare: Prepare,
    batch_size: int,
    pool: ThreadPoolExecutor,
    free: deque[Array],
    starts: deque[int],
) -> Iterator[Batch]:
    under_way: deque[tuple[int, Array, list[Future[None]]]] = deque()
    while starts or under_way:
        while starts and free:
            start, memory = starts.popleft(), free.popleft()
            count = min(batch_size, len(stimuli) - start)
            futures = [
                pool.submit(_fill, stimuli, prepare, start + i, memory[i]) for i in range(count)
            ]
            under_way.append((start, memory, futures))
        if not under_way:
            raise RuntimeError("the caller keeps more batches than it said")
        start, memory, futures = under_way.popleft()
        for future in futures:
            future.result()
        yield Batch(start, memory[: len(futures)], partial(free.append, memory))


def _fill(stimuli: StimulusSet, prepare: Prepare, index: int, place: Array) -> None:
    name = stimuli.stimuli[index].image_identifier
    image = decode(stimuli.read(index), name)
    try:
        prepared: Any = prepare(image)
    except (OSError, ValueError) as error:
        raise _undecodable(name, error) from error
    if prepared.shape != place.shape:
        raise ValueError(f"{name} became {prepared.shape}, not {place.shape}")
    place[...] = prepared


def _undecodable(name: str, error: Exception) -> BundleError:
    if isinstance(error, UnidentifiedImageError):
        # Pillow's sentence tells of an object in memory.
        what = f"it is none of {', '.join(FORMATS)}"
    else:
        what = f"{type(error).__name__}: {one_line(str(error), 300)}"
    return BundleError(
        "stimulus-undecodable",
        f"Stimulus {name} cannot be decoded ({what}); replace it, or "
        "take it out of the set. None is ever skipped.",
    )
