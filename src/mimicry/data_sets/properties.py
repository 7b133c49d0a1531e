"""Properties of images' files that cost little to measure: what they are and what they tell.

A property is a number (compared by its order) or a word (compared as such). Its kind says
whether it may have to do with what a picture shows: `CONTENT_KINDS` may, by honest biology;
all others tell a label only where the data were made carelessly.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Value = float | str | None
Measures = dict[str, Value]
"""Property -> its value; None where a file has no such thing, as a PNG has no quality."""

PICTURE = "picture"
"""Beside the properties, a digest of the pixels: equal pictures are one in every test."""

KINDS: Mapping[str, str] = {
    "size": "bytes beyond the picture itself",
    "dimensions": "width, height and shape",
    "order": "order of the images",
    "name": "file names",
    "entry": "entries of the zip",
    "encoding": "format and compression",
    "metadata": "metadata",
    "copies": "repeated images",
    "frame": "border and corners of the pictures",
    "colour": "colour of the pictures",
    "texture": "detail of the pictures",
}
"""Kind -> what it is called."""

SINGULAR_KINDS = frozenset({"order", "colour", "texture"})
"""Kinds whose name above is a singular."""

CONTENT_KINDS = frozenset({"colour", "texture"})
"""Kinds that what is shown can explain."""

_DIVISORS = range(2, 11)

WORDS = frozenset(
    {
        *("size.parity", "size.tail", "name.ends", "name.sum_parity"),
        *(f"name.modulo_{divisor}" for divisor in _DIVISORS),
        *("order.parity", "name.prefix", "name.first", "name.last", "name.suffix"),
        *("entry.attributes", "entry.compression", "entry.system", "entry.versions"),
        *("entry.flags", "entry.extra", "entry.comment"),
        *("encoding.format", "encoding.mode", "encoding.tables", "encoding.subsampling"),
        *("encoding.progressive", "encoding.huffman", "encoding.bits", "encoding.level"),
        *("encoding.filters", "encoding.interlaced"),
        *("metadata.parts", "metadata.icc", "metadata.comment", "metadata.camera"),
        *("metadata.orientation", "metadata.density"),
    }
)
"""Properties that are words; all others are numbers."""

TITLES: Mapping[str, str] = {
    "size.outside": "bytes outside the coded picture (headers, metadata, padding)",
    "size.trailing": "bytes after the end of the picture",
    "size.tail": "what the bytes after the end of the picture are",
    "size.parity": "odd or even number of bytes of the file",
    "size.excess": "bytes against the same picture written anew",
    "dimensions.width": "width",
    "dimensions.height": "height",
    "dimensions.pixels": "number of pixels",
    "dimensions.aspect": "width divided by height",
    "order.zip": "position in the zip",
    "order.bytes": "place of the bytes within the zip",
    "order.rows": "position of the row in the label file",
    "order.sorted": "position among the sorted names",
    "order.parity": "odd or even position in the zip",
    "name.length": "length of the name",
    "name.digits": "number of digits in the name",
    "name.capitals": "number of capital letters in the name",
    "name.signs": "number of other signs in the name",
    "name.number": "number in the name",
    **{f"name.modulo_{n}": f"remainder of the name's number by {n}" for n in _DIVISORS},
    "name.sum": "sum of the digits in the name",
    "name.sum_parity": "odd or even sum of the digits in the name",
    "name.prefix": "first three characters of the name",
    "name.first": "first character of the name",
    "name.last": "last character of the name before its suffix",
    "name.ends": "first and last character of the name together",
    "name.suffix": "suffix of the name",
    "entry.time": "time stamp in the zip",
    "entry.attributes": "file attributes in the zip",
    "entry.compression": "compression method in the zip",
    "entry.system": "system that made the zip entry",
    "entry.versions": "zip versions of the entry",
    "entry.flags": "flags of the zip entry",
    "entry.extra": "extra field of the zip entry",
    "entry.comment": "comment of the zip entry",
    "encoding.format": "image format",
    "encoding.mode": "kind of pixels",
    "encoding.frames": "number of frames",
    "encoding.tables": "quantisation tables",
    "encoding.quality": "coarseness of the quantisation",
    "encoding.subsampling": "colour subsampling",
    "encoding.progressive": "progressive or not",
    "encoding.scans": "number of scans",
    "encoding.huffman": "standard or own Huffman tables",
    "encoding.restarts": "restart interval",
    "encoding.bits": "bits a sample",
    "encoding.level": "compression level of the PNG",
    "encoding.filters": "row filters of the PNG",
    "encoding.interlaced": "interlaced or not",
    "encoding.chunk": "size of the PNG's data chunks",
    "metadata.parts": "metadata segments of the file",
    "metadata.exif": "bytes of EXIF",
    "metadata.icc": "colour profile",
    "metadata.comment": "comment in the image",
    "metadata.camera": "camera or program in the EXIF",
    "metadata.moment": "time in the EXIF",
    "metadata.orientation": "orientation in the EXIF",
    "metadata.density": "resolution in the header",
    "copies.files": "images with the same bytes",
    "copies.pixels": "images with the same pixels",
    "frame.red": "red of the border",
    "frame.green": "green of the border",
    "frame.blue": "blue of the border",
    "frame.spread": "unevenness of the border",
    "frame.top_left": "brightness of the top left corner",
    "frame.top_right": "brightness of the top right corner",
    "frame.bottom_left": "brightness of the bottom left corner",
    "frame.bottom_right": "brightness of the bottom right corner",
    "colour.red": "mean red",
    "colour.green": "mean green",
    "colour.blue": "mean blue",
    "colour.red_spread": "spread of red",
    "colour.green_spread": "spread of green",
    "colour.blue_spread": "spread of blue",
    "colour.brightness": "brightness",
    "texture.bytes": "bytes of the file",
    "texture.bits": "bits a pixel",
    "texture.sharpness": "sharpness",
    "texture.noise": "noise",
    "texture.blocks": "steps at the edges of 8 x 8 blocks",
}
"""Property -> what it is called; those of the names' fragments are made as they are found."""

# A fragment of a name that fewer images share says nothing about either class.
_FEWEST = 4
_FRAGMENTS = 64


class Listed(NamedTuple):
    """Where an image stands and how its zip keeps it: all that is known without its bytes.

    Attributes
    ----------
    name : str
    row : int
        Position in the label file, from 0.
    position : int
        Position in the zip's directory, from 0.
    info : zipfile.ZipInfo
    """

    name: str
    row: int
    position: int
    info: zipfile.ZipInfo


def title_of(key: str) -> str:
    """Return what a property is called."""
    return TITLES.get(key) or f"“{key.partition('.has ')[2]}” in the name"


def said_of(key: str, value: float) -> str:
    """Return a number of a property as a reader knows it: a time stamp as a date."""
    if key == "entry.time":
        minutes, second = divmod(round(value), 60)
        hours, minute = divmod(minutes, 60)
        days, hour = divmod(hours, 24)
        # Months and days count from 1.
        months, day = divmod(days - 1, 31)
        year, month = divmod(months - 1, 12)
        return f"{year:04}-{month + 1:02}-{day + 1:02} {hour:02}:{minute:02}:{second:02}"
    if key == "metadata.moment":
        digits = f"{round(value):014}"
        date = "-".join((digits[:-10], digits[-10:-8], digits[-8:-6]))
        return f"{date} {digits[-6:-4]}:{digits[-4:-2]}:{digits[-2:]}"
    return f"{value:.6g}"


def measure_listing(images: Sequence[Listed]) -> list[Measures]:
    """Return the properties of order, names and zip entries, image by image."""
    by_name = {image.name: place for place, image in enumerate(sorted(images))}
    by_byte = sorted(images, key=lambda image: image.info.header_offset)
    by_offset = {image.name: place for place, image in enumerate(by_byte)}
    fragments = _fragments([image.name for image in images])
    return [
        {
            "order.zip": float(image.position),
            "order.bytes": float(by_offset[image.name]),
            "order.rows": float(image.row),
            "order.sorted": float(by_name[image.name]),
            "order.parity": "odd" if image.position % 2 else "even",
            **_of_name(image.name),
            **{f"name.has {part}": float(part in image.name.lower()) for part in fragments},
            **_of_entry(image.info),
        }
        for image in images
    ]


def _of_name(name: str) -> Measures:
    stem, point, suffix = name.rpartition(".")
    stem = stem if point else name
    digits = "".join(re.findall(r"[0-9]+", stem))[:300]
    number, total = int(digits or "0"), sum(map(int, digits))
    return {
        "name.length": float(len(name)),
        "name.digits": float(len(digits)),
        "name.capitals": float(sum(character.isupper() for character in stem)),
        "name.signs": float(sum(not character.isalnum() for character in stem)),
        "name.number": float(number) if digits else None,
        **{f"name.modulo_{n}": str(number % n) if digits else "none" for n in _DIVISORS},
        "name.sum": float(total) if digits else None,
        "name.sum_parity": ("odd" if total % 2 else "even") if digits else "none",
        "name.prefix": stem[:3],
        "name.first": stem[:1],
        "name.last": stem[-1:],
        "name.ends": stem[:1] + stem[-1:],
        "name.suffix": suffix if point else "",
    }


def _fragments(names: Sequence[str]) -> list[str]:
    """Return the parts of 2 and 3 characters that best divide a set of names, most even first.

    Parts that few or almost all names hold are left out. Labels play no role here.
    """
    counts: Counter[str] = Counter()
    for name in names:
        text = name.lower()[:300]
        counts.update({text[i : i + n] for n in (2, 3) for i in range(len(text) - n + 1)})
    n = len(names)
    useful = [part for part, held in counts.items() if _FEWEST <= held <= n - _FEWEST]
    useful.sort(key=lambda part: (abs(2 * counts[part] - n), part))
    return useful[:_FRAGMENTS]


def _of_entry(info: zipfile.ZipInfo) -> Measures:
    year, month, day, hour, minute, second = info.date_time
    days = (year * 12 + month) * 31 + day
    return {
        "entry.time": float(((days * 24 + hour) * 60 + minute) * 60 + second),
        "entry.attributes": f"{info.external_attr:#x}/{info.internal_attr:#x}",
        "entry.compression": str(info.compress_type),
        "entry.system": str(info.create_system),
        "entry.versions": f"{info.create_version}/{info.extract_version}",
        "entry.flags": f"{info.flag_bits:#x}",
        "entry.extra": info.extra.hex()[:200],
        "entry.comment": info.comment.hex()[:200],
    }
