"""What a few statistics of an image's pixels are: colour, detail, border and corners."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from mimicry.data_sets.properties import Measures

_BORDER = 20
"""The border is this part of the shorter side wide."""
_BLOCK = 8


def measure_pixels(image: Image.Image, size: int) -> Measures:
    """Return colour, detail and border of a loaded image, and what tells its pixels' copies.

    Parameters
    ----------
    image : PIL.Image.Image
    size : int
        Bytes of its file.

    Returns
    -------
    dict
        Colours are 0 to 255, sharpness and noise in the same steps; `copies.pixels` is a
        digest, to be counted.
    """
    rgb = _as_rgb(image)
    width, height = rgb.size
    # By histograms, which cost a fraction of what arrays of floats do.
    whole = ImageStat.Stat(rgb)
    grey = rgb.convert("L")
    digest = hashlib.sha256(f"{image.mode} {width} {height} ".encode() + rgb.tobytes())
    found: Measures = {
        "dimensions.width": float(width),
        "dimensions.height": float(height),
        "dimensions.pixels": float(width * height),
        "dimensions.aspect": width / height,
        "copies.pixels": digest.hexdigest(),
        "texture.bytes": float(size),
        "texture.bits": 8.0 * size / (width * height),
        "colour.brightness": ImageStat.Stat(grey).mean[0],
    }
    for i, name in enumerate(("red", "green", "blue")):
        found[f"colour.{name}"] = whole.mean[i]
        found[f"colour.{name}_spread"] = whole.stddev[i]
    return found | _frame(rgb, grey) | _detail(np.asarray(grey, dtype=np.int16))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        most = max(float(np.nanmax(values, initial=0.0)), 1.0)
        scale = 255.0 / (65535.0 if most > 255 else 255.0)
        levels = np.nan_to_num(values * scale, posinf=255, neginf=0).clip(0, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    return image.convert("RGB")


def _frame(rgb: Image.Image, grey: Image.Image) -> Measures:
    width, height = rgb.size
    wide = max(1, min(width, height) // _BORDER)
    mask = Image.new("1", rgb.size, 1)
    if width > 2 * wide and height > 2 * wide:
        mask.paste(0, (wide, wide, width - wide, height - wide))
    border = ImageStat.Stat(rgb, mask)
    found: Measures = {
        f"frame.{name}": border.mean[i] for i, name in enumerate(("red", "green", "blue"))
    }
    found["frame.spread"] = ImageStat.Stat(grey, mask).stddev[0]
    right, bottom = width - wide, height - wide
    for name, x, y in (
        ("top_left", 0, 0),
        ("top_right", right, 0),
        ("bottom_left", 0, bottom),
        ("bottom_right", right, bottom),
    ):
        corner = grey.crop((x, y, x + wide, y + wide))
        found[f"frame.{name}"] = ImageStat.Stat(corner).mean[0]
    return found


def _detail(grey: npt.NDArray[np.int16]) -> Measures:
    across: Any = np.abs(np.diff(grey, axis=1))
    blank: Measures = {"texture.sharpness": 0.0, "texture.noise": 0.0, "texture.blocks": 0.0}
    if min(grey.shape) < 3:
        return blank
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    edges: Any = np.abs(4 * grey[1:-1, 1:-1] - around)
    columns = across.mean(axis=0)
    at_block = columns[_BLOCK - 1 :: _BLOCK]
    overall = columns.mean()
    blank["texture.sharpness"] = float(edges.mean())
    # A quantile of whole numbers alone would have a handful of values.
    counts = np.bincount(edges.ravel(), minlength=2)
    below = np.cumsum(counts) / counts.sum()
    half = int(np.searchsorted(below, 0.5))
    before = float(below[half - 1]) if half else 0.0
    blank["texture.noise"] = half + (0.5 - before) / max(float(below[half]) - before, 1e-12)
    if at_block.size and overall > 0:
        blank["texture.blocks"] = float(at_block.mean() / overall)
    return blank
