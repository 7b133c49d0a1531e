"""The competition's image, judged by its bytes as the platform judges it."""

import io
import warnings

from mimicry.codabench.reading.document import Document
from mimicry.codabench.validation.context import Context
from mimicry.codabench.validation.finding import WARNING
from mimicry.codabench.validation.source import MIB, SourceError
from mimicry.errors import one_line

# Some decoders take seconds for a hostile image of this size.
LARGEST_IMAGE = 8 * MIB
FORMATS = {"JPEG", "PNG", "GIF", "WEBP"}

_KEYS = ("image",)
_INVALID = 'Refuses the bundle: "logo: Please upload a valid image."'
_MEND = "save it anew as PNG, JPEG, GIF or WebP"


def check_picture(context: Context, document: Document) -> None:
    """Check that the image is there and that the platform can read and scale it."""
    path = context.path(document, _KEYS, document.data.get("image"))
    if path is None:
        return
    notes = context.notes
    if context.tree.kind(path) != "file":
        near = context.near(path)
        notes.at(
            document,
            _KEYS,
            "image-missing",
            f"there is no file {path!r}",
            f'Refuses the bundle: "Unable to find image: {path}"',
            f"write `image: {near}`" if near else "add the file, or correct the path",
        )
        return
    try:
        data = context.tree.read(path, LARGEST_IMAGE + 1)
    except SourceError as error:
        notes.at(document, _KEYS, "image-invalid", f"{path!r} {error}", _INVALID, _MEND)
        return
    if len(data) > LARGEST_IMAGE:
        text = f"{path!r} is larger than {LARGEST_IMAGE // MIB} MiB"
        platform = "Loads it with every view of the competition's page."
        notes.at(document, _KEYS, "image-large", text, platform, "make it smaller", level=WARNING)
        return
    _check_bytes(context, document, path, data)


def _reason(error: Exception) -> str:
    """Return a decoder's words, but for those about its own objects."""
    said = one_line(str(error), 100)
    return "it cannot be identified" if "BytesIO" in said else said


def _check_bytes(context: Context, document: Document, path: str, data: bytes) -> None:
    from PIL import Image

    notes = context.notes
    try:
        with warnings.catch_warnings():
            # Pillow's guard against images of very many pixels; only the header is read.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                kind, (width, height) = image.format, image.size
                image.verify()
    except Exception as error:
        # Decoders raise whatever they like.
        what = "is an SVG" if b"<svg" in data[:4096].lower() else f"is no image ({_reason(error)})"
        notes.at(document, _KEYS, "image-invalid", f"{path!r} {what}", _INVALID, _MEND)
        return
    if kind not in FORMATS:
        notes.at(
            document,
            _KEYS,
            "image-format",
            f"{path!r} is a {kind} by its content",
            'Refuses the bundle: "logo: The type of the image couldn\'t be determined."',
            _MEND,
        )
    elif 100 * height / width < 1:
        notes.at(
            document,
            _KEYS,
            "image-flat",
            f"{path!r} is {width} pixels wide and {height} high, too flat to be scaled",
            'Refuses the bundle: "height and width must be > 0"',
            "make it higher: at least one pixel in a hundred of its width",
        )
