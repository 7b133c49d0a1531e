"""The input images: listing them, reading their headers, decoding into the arena."""

import contextlib
import io
import mmap
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from mimicry.errors import BundleError
from mimicry.files import is_clutter
from mimicry.ingestion import runner

# 16,384 x 16,384; a larger image is a mistake, and decoding it takes over 1 GB.
LARGEST_IMAGE = 2**28
# Its decoder writes every pixel of the memory it is given. PNG is left out: a file that
# ends early leaves rows as they were, which in the arena is an earlier image.
_DIRECT_FORMAT = "JPEG"


class InputImage(NamedTuple):
    """An input image's name, size in pixels and the mode the model gets it in."""

    name: str
    path: Path
    width: int
    height: int
    mode: str
    direct: bool

    @property
    def stored_bytes(self) -> int:
        """Bytes that it takes in the arena."""
        return runner.stored_bytes(self.mode, self.width, self.height)


def list_images(folder: Path) -> list[InputImage]:
    """List the images at a folder's root, sorted by name, with their headers read.

    Clutter of operating systems is ignored; everything else must be an image.

    Raises
    ------
    BundleError
        ``no-images``, ``not-an-image`` (a sub-folder, a link, another file),
        ``unreadable-image`` or ``image-too-large``, each naming the file.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise BundleError(
            "no-images",
            f"the input folder cannot be read: {error.strerror}. Give the task input data.",
        ) from error
    # Pillow's own guard warns at half of this and refuses twice as much.
    Image.MAX_IMAGE_PIXELS = None
    images = []
    for path in entries:
        if is_clutter(path.name):
            continue
        try:
            path.name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BundleError(
                "not-an-image", f"input data: the name {path.name!a} is not UTF-8. Rename it."
            ) from error
        if path.is_symlink() or not path.is_file():
            raise BundleError(
                "not-an-image",
                f"input data: {path.name} is a folder or link. "
                "Put the images at the root of the input zip.",
            )
        images.append(_read_header(path))
    if not images:
        raise BundleError("no-images", "the input folder holds no image. Give the task input data.")
    return images


def _read_header(path: Path) -> InputImage:
    try:
        with Image.open(path) as image:
            width, height = image.size
            mode = carried_mode(image)
            direct = image.format == _DIRECT_FORMAT and mode in runner.MAPPED_MODES
            direct = direct and mode == image.mode
    except Exception as error:
        raise _unreadable(path.name, error) from error
    if width * height > LARGEST_IMAGE:
        raise BundleError(
            "image-too-large",
            f"input data: {path.name} has {width:,} x {height:,} pixels; "
            f"at most {LARGEST_IMAGE:,} pixels are accepted. Scale it down.",
        )
    return InputImage(path.name, path, width, height, mode, direct)


def carried_mode(image: Image.Image) -> str:
    """Return the mode in which an image reaches the model: its own, if it can cross over.

    Palette images arrive as RGB, or RGBA where they are transparent; rare modes
    as RGB.
    """
    if image.mode in runner.MODES:
        return image.mode
    if image.mode in {"P", "PA"}:
        return "RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB"
    return "I" if image.mode.startswith("I;16") else "RGB"


def decode_into(entry: InputImage, arena: mmap.mmap, offset: int) -> tuple[int, int]:
    """Decode an image into the arena at `offset`.

    JPEG files decode straight into the shared memory: an image whose memory lies
    there is put in place before Pillow loads. That is private in Pillow, so it is
    checked that the loaded image still is that one; otherwise, and for the other
    formats, the pixels are copied.

    Returns
    -------
    tuple of int
        Width and height, which old releases of Pillow change on loading where a
        TIFF file says that it lies on its side.

    Raises
    ------
    BundleError
        ``unreadable-image``: it is damaged, or has changed since it was listed.
    """
    try:
        # From memory where Pillow 9 would hand descriptors to a library that closes
        # them twice, and so closes those of other threads.
        source = entry.path if entry.direct else io.BytesIO(entry.path.read_bytes())
        with Image.open(source) as opened:
            image: Any = opened
            if opened.size != (entry.width, entry.height):
                raise ValueError("its size has changed during the run")
            placed = _place(image, entry, arena, offset) if entry.direct else None
            image.load()
            if placed is not None and image.im is placed and image.mode == entry.mode:
                return entry.width, entry.height
            if image.mode != entry.mode:
                image = image.convert(entry.mode)
            raw_mode = "RGBX" if entry.mode == "RGB" else entry.mode
            data = image.tobytes("raw", raw_mode)
    except Exception as error:
        raise _unreadable(entry.name, error) from error
    if len(data) != entry.stored_bytes:
        raise _unreadable(entry.name, ValueError("its size differs from its header's"))
    arena[offset : offset + len(data)] = data
    width, height = image.size
    return width, height


def _place(image: Any, entry: InputImage, arena: mmap.mmap, offset: int) -> Any:
    pillow: Any = Image
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        size = (entry.width, entry.height)
        mapped = pillow.core.map_buffer(arena, size, "raw", offset, (entry.mode, 0, 1))
        image.im = mapped
        return mapped
    return None


def _unreadable(name: str, error: Exception) -> BundleError:
    return BundleError(
        "unreadable-image",
        f"input data: {name} cannot be decoded ({type(error).__name__}: {error}). "
        "Replace it in the input zip; no image is ever skipped.",
    )
