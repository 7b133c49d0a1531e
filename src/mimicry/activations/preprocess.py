"""From an image to a model's input, the way torchvision's and timm's evaluation does it.

1. **Colours.** Pillow's conversion to RGB. Transparency is dropped, not blended, as timm's
   and torchvision's readers do; grey becomes three equal channels; colour profiles are not
   applied. Images of 16 or 32 bits a channel are refused, since Pillow would cut them off.
2. **Orientation.** An EXIF orientation is not applied: neither do those libraries.
3. **Resize.** The shorter side becomes `resize` pixels, the longer one
   ``int(resize * longer / shorter)``; Pillow's filter, which widens when it shrinks
   (antialias). An image that has that side already is left alone. With the aspect
   ``squash`` both sides become `resize` pixels, whatever the image's shape.
4. **Crop.** A square from the centre; what is smaller is first padded with black, the odd
   pixel to the right and below.
5. **Scale.** ``(x / 255 - mean) / std`` in float32.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mimicry.activations.entries import Preprocess
from mimicry.errors import BundleError

Pixels: TypeAlias = NDArray[np.uint8]
Input: TypeAlias = NDArray[np.float32]

LARGEST_RESIZED = 100_000_000
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def registry_resize(crop: int, crop_pct: float) -> int:
    """Return the shorter side before the crop, as the 2026 registry records it.

    Parameters
    ----------
    crop : int
        Side of the crop in pixels.
    crop_pct : float
        The share of the shorter side that the crop keeps, from timm's configuration.

    Returns
    -------
    int
        ``round(crop / crop_pct)``. timm's own transform rounds down instead and differs
        by one pixel for a third of the models.
    """
    if not 0 < crop_pct <= 1:
        raise ValueError(f"crop_pct must be above 0 and at most 1, not {crop_pct}")
    return round(crop / crop_pct)


def prepare(image: Image.Image, preprocess: Preprocess) -> Input:
    """Return an image as a model's input: float32 (3, crop, crop).

    Raises
    ------
    BundleError
        As `cropped_pixels`.
    """
    return normalised(cropped_pixels(image, preprocess), preprocess)


def cropped_pixels(image: Image.Image, preprocess: Preprocess) -> Pixels:
    """Return the pixels that a model sees before scaling: uint8 (crop, crop, 3).

    A quarter of the bytes of `prepare`, for those who send images between processes or
    to another device and scale there.

    Raises
    ------
    BundleError
        ``image-mode`` for more than 8 bits a channel; ``image-too-long`` when the resized
        image would have over 100 million pixels; ``interpolation-missing`` when an image
        must be resized and the entry does not say how.
    """
    if image.mode[0] in "IF":
        raise BundleError(
            "image-mode",
            f"an image of mode {image.mode} has more than 8 bits a channel: save it with 8.",
        )
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return _centre(_resized(rgb, preprocess), preprocess.crop)


def normalised(pixels: Pixels, preprocess: Preprocess) -> Input:
    """Return uint8 pixels (height, width, 3) as float32 (3, height, width), scaled."""
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    result = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
    for channel in range(3):
        # 256 divisions instead of one for each pixel, with the same bits.
        table = (values - np.float32(preprocess.mean[channel])) / np.float32(
            preprocess.std[channel]
        )
        np.take(table, pixels[:, :, channel], out=result[channel], mode="clip")
    return result


def _resized(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    width, height = image.size
    shorter, longer = min(width, height), max(width, height)
    side = preprocess.resize
    squash = preprocess.aspect == "squash"
    if side is None or (shorter == side and (longer == side or not squash)):
        return image
    if preprocess.interpolation is None:
        raise BundleError(
            "interpolation-missing",
            "the registry entry does not say how images are resized: resolve it first.",
        )
    other = side if squash else int(side * longer / shorter)
    if side * other > LARGEST_RESIZED:
        raise BundleError(
            "image-too-long",
            f"an image of {width} x {height} pixels would become {side} x {other}: crop it first.",
        )
    size = (side, other) if width <= height else (other, side)
    return image.resize(size, _FILTERS[preprocess.interpolation])


def _centre(image: Image.Image, crop: int) -> Pixels:
    width, height = image.size
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    if width < crop:
        left = -((crop - width) // 2)
    if height < crop:
        top = -((crop - height) // 2)
    # Pillow fills what lies outside of the image with black.
    return np.asarray(image.crop((left, top, left + crop, top + crop)))
