"""One photograph made ready to publish: read, checked, hashed, and written without metadata."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mimicry.data_sets.colours import UnknownColours, is_srgb, orientation, to_rgb, upright
from mimicry.data_sets.strip import CutShort, OddFile, strip_jpeg, strip_png
from mimicry.errors import one_line
from mimicry.files import UnusableFile, read_regular_file
from mimicry.ingestion.images import LARGEST_IMAGE

KEEP, JPEG, PNG = "keep", "jpeg", "png"
FORMATS = (KEEP, JPEG, PNG)
# Raised when the bytes of prepared images change.
PREPARER = 1

# JPEG stands for MPO, too, which Pillow opens as a JPEG first.
_READ = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF")
_LARGEST_FILE = 1 << 30
_JPEG_KINDS = {"JPEG", "MPO"}
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png"}
# 256 bits: on 64 bits other butterflies are as near as copies of the same.
HASH_SIZE = 16
_THUMBNAIL = (128, 128)
_PNG_LEVEL = 6


@dataclass(frozen=True)
class Style:
    """How all images of a build are written.

    Attributes
    ----------
    format : {"keep", "jpeg", "png"}
        ``keep`` copies the coded pixels and takes everything else out.
    quality : int
        Of JPEG, 1 to 100; always without chroma subsampling.
    max_size : int or None
        Longer side in pixels; larger images are scaled down. Not with ``keep``.
    """

    format: str = JPEG
    quality: int = 95
    max_size: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a prepared image.

    Attributes
    ----------
    sha256, size : str, int
        Of the original's bytes.
    pixels : str
        SHA-256 of its upright pixels in sRGB, with width and height.
    look : str
        Its perceptual hash, 256 bits in hexadecimal.
    kind : str
        The original's format and mode.
    encoder : str
        With ``keep``: what remains of the original encoder's settings.
    width, height : int
        As published, in pixels.
    published_sha256, published_size : str, int
        Of the published bytes.
    suffix : str
        The published file's.
    notes : tuple of (str, str)
        Codes of findings with their reasons.
    """

    sha256: str
    size: int
    pixels: str
    look: str
    kind: str
    encoder: str
    width: int
    height: int
    published_sha256: str
    published_size: int
    suffix: str
    notes: tuple[tuple[str, str], ...]


class UnfitImage(ValueError):  # noqa: N818 - becomes an item of a finding
    """Says why an image cannot be published: a finding's code, and a reason after its name."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = one_line(reason, 200)
        super().__init__(self.reason)


def read_image(path: Path) -> bytes:
    """Return a file's bytes, without following links and with a bound.

    Raises
    ------
    UnfitImage
    """
    try:
        return read_regular_file(path, _LARGEST_FILE)
    except UnusableFile as fault:
        raise UnfitImage("image-unreadable", str(fault)) from None


def prepare(data: bytes, style: Style) -> tuple[bytes, Facts]:
    """Return an image's published bytes and what is known of it.

    The bytes depend on `data`, `style` and the versions of the libraries alone.

    Raises
    ------
    UnfitImage
        ``image-unreadable``, ``image-frames``, ``image-kind`` or ``image-too-large``.
    """
    # Pillow's own guard warns at a part of what is accepted here.
    Image.MAX_IMAGE_PIXELS = None
    image = _decode(data)
    stripped = _stripped(data, image, style)
    notes: list[tuple[str, str]] = []
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:25] == b"\x10" and image.mode[0] != "I":
        notes.append(("image-depth", "16 bits became 8"))
    try:
        rgb, said = to_rgb(upright(image))
    except UnknownColours as fault:
        raise UnfitImage("image-kind", str(fault)) from None
    notes += said
    pixels = hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode())
    pixels.update(rgb.tobytes())
    kind, encoder = f"{_kind(image)}, {image.mode}", ""
    if stripped is not None:
        notes = _kept_notes(image)
        width, height, published = image.width, image.height, stripped
        suffix, encoder = _SUFFIX[_kind(image)], _encoder(image)
    else:
        scaled = _scaled(rgb, style.max_size)
        width, height, published = scaled.width, scaled.height, _encoded(scaled, style)
        suffix = _SUFFIX[style.format.upper()]
    facts = Facts(
        hashlib.sha256(data).hexdigest(),
        len(data),
        pixels.hexdigest(),
        look_of(rgb),
        kind,
        encoder,
        width,
        height,
        hashlib.sha256(published).hexdigest(),
        len(published),
        suffix,
        tuple(notes),
    )
    return published, facts


def look_of(image: Image.Image) -> str:
    """Return an image's perceptual hash, 256 bits in hexadecimal.

    pHash of the library ImageHash: the signs, against their median, of the lowest
    16 x 16 frequencies of the grey picture.
    """
    import imagehash

    small = image.convert("L").resize(_THUMBNAIL, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return str(imagehash.phash(small, hash_size=HASH_SIZE))


def _decode(data: bytes) -> Image.Image:
    """Return the first picture of a file, with all of its pixels read."""
    # Plugins that are named have to be there.
    Image.init()
    try:
        with Image.open(io.BytesIO(data), formats=_READ) as image:
            frames = int(getattr(image, "n_frames", 1))
            if image.width * image.height > LARGEST_IMAGE:
                raise UnfitImage(
                    "image-too-large",
                    f"has {image.width:,} x {image.height:,} pixels; at most "
                    f"{LARGEST_IMAGE:,} are accepted",
                )
            # Cameras put previews behind the picture; other formats animate.
            if frames > 1 and image.format != "MPO":
                raise UnfitImage("image-frames", f"holds {frames:,} pictures")
            image.load()
            _check_whole(data, _kind(image))
            return image
    except UnfitImage:
        raise
    except CutShort as fault:
        raise UnfitImage("image-unreadable", str(fault)) from None
    except Exception as error:
        # Decoders raise whatever they like.
        said = "is of no known format" if "cannot identify" in str(error) else str(error)
        raise UnfitImage("image-unreadable", said or type(error).__name__) from error


def _kind(image: Image.Image) -> str:
    return "JPEG" if image.format in _JPEG_KINDS else str(image.format)


def _check_whole(data: bytes, kind: str) -> None:
    """Refuse what ends early, of which a decoder makes grey or foreign rows in silence."""
    try:
        if kind == "JPEG":
            strip_jpeg(data)
        elif kind == "PNG":
            strip_png(data)
    except CutShort:
        raise
    except OddFile as fault:
        # A decoder may cope with what is odd in a JPEG; a PNG's checksums are no matter of taste.
        if kind == "PNG":
            raise UnfitImage("image-unreadable", str(fault)) from None


def _stripped(data: bytes, image: Image.Image, style: Style) -> bytes | None:
    """Return the file without metadata if its coded pixels are to be kept."""
    if style.format != KEEP:
        return None
    kind = _kind(image)
    if kind not in _SUFFIX:
        raise UnfitImage("image-kind", f"is a {kind}, of which only the pixels could be kept")
    try:
        stripped = strip_jpeg(data) if kind == "JPEG" else strip_png(data)
        with Image.open(io.BytesIO(stripped), formats=(kind,)) as again:
            same = again.mode == image.mode and again.tobytes() == image.tobytes()
    except Exception as error:
        raise UnfitImage("image-kind", str(error)) from error
    if not same:
        raise UnfitImage("image-kind", "would have other pixels without its metadata")
    return stripped


def _kept_notes(image: Image.Image) -> list[tuple[str, str]]:
    """Return what stripping changes for a viewer, and what stays that tells of the encoder."""
    notes = []
    if (turn := orientation(image)) != 1:
        notes.append(("image-turned", f"its EXIF turns it (orientation {turn})"))
    profile = image.info.get("icc_profile")
    if profile and not is_srgb(profile):
        notes.append(("image-profile", "its colour profile is not sRGB"))
    return notes


def _encoder(image: Image.Image) -> str:
    """Return in a few words with which settings a kept file was encoded."""
    opened: Any = image
    if _kind(image) != "JPEG":
        return f"PNG, {'interlaced' if image.info.get('interlace') else 'in rows'}"
    tables = hashlib.sha256(repr(sorted(opened.quantization.items())).encode()).hexdigest()[:8]
    factors = "-".join(f"{layer[1]}x{layer[2]}" for layer in opened.layer)
    order = "progressive" if image.info.get("progressive") else "in rows"
    return f"JPEG, tables {tables}, sampling {factors}, {order}"


def _scaled(image: Image.Image, most: int | None) -> Image.Image:
    longer = max(image.size)
    if most is None or longer <= most:
        return image
    size = tuple(max(1, round(side * most / longer)) for side in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, style: Style) -> bytes:
    # Writers take profiles and comments from here.
    image.info = {}
    buffer = io.BytesIO()
    try:
        if style.format == JPEG:
            image.save(buffer, "JPEG", quality=style.quality, subsampling=0)
        else:
            image.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    except (OSError, ValueError) as error:
        raise UnfitImage("image-too-large", f"cannot be written: {error}") from error
    return buffer.getvalue()
