"""One meaning of colour for all images: 8-bit sRGB, upright, without transparency.

A model gets pixels and no profile, so numbers of another colour space would be other
colours to it, and a profile that only some images carry would be a clue.
"""

import io
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

# EXIF 2.32, tag 0x0112: stored -> upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Largest difference of any channel, of 255, at which a profile is sRGB by another maker.
_SAME = 3
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_LOCK = threading.Lock()


class Converted(NamedTuple):
    """An image in RGB, and what there was to say: (code, reason) each."""

    image: Image.Image
    notes: tuple[tuple[str, str], ...]


class UnknownColours(ValueError):  # noqa: N818 - an outcome that the caller words
    """Says why an image's colours cannot be told, to follow its name."""


def orientation(image: Image.Image) -> int:
    """Return how a decoded image lies: 1 upright, 2 to 8 as EXIF numbers them."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:
        # Readers raise whatever they like for damaged EXIF, and show such images as stored.
        return 1
    return found if found in _TURNS else 1


def upright(image: Image.Image) -> Image.Image:
    """Return the image turned as its EXIF says."""
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Converted:
    """Convert a decoded image of any mode to 8-bit sRGB.

    A profile that is embedded is applied (relative colorimetric, with black point
    compensation) unless it is sRGB in effect; an image without one is taken as sRGB.
    16-bit values are divided by 257 and rounded. What shines through becomes white.

    Raises
    ------
    UnknownColours
        Modes without a known range (32-bit) or without a conversion.
    """
    notes: list[tuple[str, str]] = []
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
        notes.append(("image-depth", "16 bits became 8"))
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "RGBa", "La"}:
        image, shines = _opaque(image)
        if shines:
            notes.append(("image-transparent", "parts of it are transparent"))
    if profile:
        converted, problem = _by_profile(image, profile)
        if problem:
            notes.append(("image-profile-broken", problem))
        if converted is not None:
            return Converted(converted, tuple(notes))
    if image.mode == "CMYK":
        notes.append(("image-cmyk", "CMYK without a profile"))
    try:
        rgb = image.convert("RGB")
    except ValueError:
        raise UnknownColours(f"is in a mode without a conversion ({image.mode})") from None
    return Converted(rgb, tuple(notes))


def is_srgb(profile: bytes) -> bool:
    """Tell whether a profile of RGB or grey images changes no colour visibly."""
    transform = _transform(profile)
    return transform is not None and transform.same


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise UnknownColours("has values of more than 16 bits; save it with 8 or 16")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return the image on white, and whether any of that shows."""
    with_alpha = image.convert("RGBA")
    alpha = with_alpha.getchannel("A")
    lowest, _ = alpha.getextrema()
    if lowest == 255:
        return with_alpha.convert("RGB"), False
    paper = Image.new("RGB", image.size, "white")
    paper.paste(with_alpha.convert("RGB"), mask=alpha)
    return paper, True


class _Transform(NamedTuple):
    mode: str
    same: bool
    apply: Any


def _by_profile(image: Image.Image, profile: bytes) -> tuple[Image.Image | None, str]:
    """Return the image in sRGB, None where its profile does nothing; and what is wrong."""
    transform = _transform(profile)
    if transform is None:
        return None, "its colour profile cannot be used, so it is taken as sRGB"
    if (transform.mode == "CMYK") != (image.mode == "CMYK"):
        return None, "its colour profile is of another colour space, so it is taken as sRGB"
    if transform.same:
        return None, ""
    source = image if image.mode == transform.mode else image.convert(transform.mode)
    with _LOCK:
        return transform.apply(source), ""


@lru_cache(maxsize=64)
def _transform(profile: bytes) -> _Transform | None:
    """Return how a profile's colours become sRGB, None for one that is of no use."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(opened.profile.xcolor_space.strip())
        if mode is None:
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )

        def apply(image: Image.Image) -> Image.Image:
            result = ImageCms.applyTransform(image, transform)
            assert result is not None
            return result

        return _Transform(mode, mode != "CMYK" and _changes_nothing(mode, apply), apply)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(mode: str, apply: Any) -> bool:
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    if mode == "L":
        grid = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
        grid = Image.fromarray(cube)
    before = np.asarray(grid.convert("RGB")).astype(int)
    return int(np.abs(np.asarray(apply(grid)).astype(int) - before).max()) <= _SAME
