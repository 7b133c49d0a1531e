"""Small pictures of a catalogue, made from its images: a JPEG for each, without metadata."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mimicry.activations.feed import decode
from mimicry.activations.stimuli import Stimulus, open_listed
from mimicry.errors import BundleError
from mimicry.realign.built import Say
from mimicry.realign.thumbnails import LARGEST_THUMBNAIL

SIDE = 64
# The first of these that fits; the last leaves 64 x 64 pixels of noise below 2 kB.
QUALITIES = (75, 60, 45, 30, 15, 5)
THREADS = 4


def write_thumbnails(
    path: Path, stimuli: Sequence[Stimulus], places: Sequence[tuple[str, Path]], say: Say
) -> None:
    """Write the pictures of a catalogue, in its order.

    Parameters
    ----------
    path : Path
        Gets an array of bytes, shape (n,), each at most `LARGEST_THUMBNAIL` long. The
        same images and the same Pillow give the same file.
    stimuli : sequence of Stimulus
        The catalogue. Each image's SHA-256 is compared with it.
    places : sequence of (str, Path)
        Data set and its folder or zip of images; every data set needs one.
    say : callable
        Told of progress.

    Raises
    ------
    BundleError
        ``stimuli-missing``, ``stimuli-unreadable``, ``stimulus-changed``,
        ``stimulus-undecodable`` and what else `mimicry.activations.stimuli` finds.
    """
    images = open_listed(stimuli, places)
    pictures: list[bytes] = []

    def made(index: int) -> bytes:
        return thumbnail(decode(images.read(index), stimuli[index].image_identifier))

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for picture in pool.map(made, range(len(stimuli))):
                pictures.append(picture)
                done = len(pictures)
                if done * 4 // len(stimuli) > (done - 1) * 4 // len(stimuli):
                    say(f"thumbnails: {done:,} of {len(stimuli):,}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    np.save(path, np.array(pictures, dtype=bytes), allow_pickle=False)


def thumbnail(image: Image.Image) -> bytes:
    """Return a picture of at most 64 x 64 pixels as a JPEG that holds nothing else.

    Colours as the models see them: Pillow's conversion to RGB, no orientation applied.

    Raises
    ------
    BundleError
        ``image-mode`` for more than 8 bits a channel, which no model can be given either.
    """
    if image.mode[0] in "IF":
        raise BundleError(
            "image-mode",
            f"an image of mode {image.mode} has more than 8 bits a channel: save it with 8.",
        )
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    # A new image, since Pillow hands comments and the like on.
    bare = Image.new("RGB", small.size)
    bare.paste(small)
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        bare.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        data = buffer.getvalue()
        if len(data) <= LARGEST_THUMBNAIL:
            break
    return data
