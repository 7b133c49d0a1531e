"""How an image file is built: its segments, its encoder's settings, its metadata.

What the coded picture itself takes follows from what is shown, and is kept apart from the
bytes around it, which do not.
"""

import hashlib
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image

from mimicry.data_sets.properties import Measures

_PNG = b"\x89PNG\r\n\x1a\n"
# Ends a scan: a run of 0xff and what is neither a stuffed zero nor a restart marker.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
# How many codes of each length the standard's own tables have (ITU-T T.81, table K.5).
_STANDARD = bytes([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D])
_SOI, _EOI, _SOS, _DHT, _DRI, _DQT, _COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xDD, 0xDB, 0xFE
_MODEL, _SOFTWARE, _MOMENT, _ORIENTATION = 272, 305, 306, 274
_MOST_ROWS = 64 * 1024 * 1024
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Segments(NamedTuple):
    """The parts of a JPEG file.

    Attributes
    ----------
    parts : tuple of (int, bytes)
        Marker and payload of every segment, in order.
    coded : int
        Bytes of the scans' coded data.
    scans : int
    end : int
        Where the picture ends; the file may go on.
    """

    parts: tuple[tuple[int, bytes], ...]
    coded: int
    scans: int
    end: int

    def held(self, marker: int) -> bytes:
        """Return the payloads of all segments with a marker, one after the other."""
        return b"".join(payload for found, payload in self.parts if found == marker)


def read_segments(data: bytes) -> Segments:
    """Walk through a JPEG file; damage ends the walk, and nothing is raised."""
    parts, coded, scans, at = [], 0, 0, 2
    while found := _MARKER.match(data, at):
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            break
        if marker in {0x01, _SOI}:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2:
            break
        parts.append((marker, data[at + 2 : at + size]))
        at = min(at + size, len(data))
        if marker == _SOS:
            following = _MARKER.search(data, at)
            stop = following.start() if following else len(data)
            coded, scans, at = coded + stop - at, scans + 1, stop
    return Segments(tuple(parts), coded, scans, at)


def measure_file(data: bytes, image: Image.Image) -> Measures:
    """Return how an image file is encoded, what it carries, and its bytes beyond the picture.

    Parameters
    ----------
    data : bytes
        The whole file.
    image : PIL.Image.Image
        The same, opened and loaded.
    """
    form = image.format or "?"
    found: Measures = {
        "encoding.format": form,
        "encoding.mode": image.mode,
        "encoding.frames": float(getattr(image, "n_frames", 1)),
        "size.parity": "odd" if len(data) % 2 else "even",
        **_metadata(image),
    }
    if form in {"JPEG", "MPO"}:
        return found | _jpeg(data, image)
    if data.startswith(_PNG):
        return found | _png(data)
    return found | {"size.excess": _excess(len(data), _again(image))}


def _metadata(image: Image.Image) -> Measures:
    info = image.info
    profile, comment = info.get("icc_profile"), info.get("comment")
    raw, density = info.get("exif") or b"", info.get("dpi") or info.get("jfif_density")
    found: Measures = {
        "metadata.exif": float(len(raw)),
        "metadata.icc": hashlib.sha256(profile).hexdigest()[:8] if profile else "none",
        "metadata.comment": str(comment)[:80] if comment else "none",
        "metadata.density": f"{info.get('jfif_unit')} {density}",
    }
    try:
        exif: Any = image.getexif()
        found["metadata.camera"] = f"{exif.get(_MODEL)} {exif.get(_SOFTWARE)}"[:80]
        found["metadata.orientation"] = str(exif.get(_ORIENTATION))[:20]
        digits = re.sub(r"[^0-9]", "", str(exif.get(_MOMENT)))[:14]
        found["metadata.moment"] = float(digits) if digits else None
    except Exception:
        # What Pillow cannot read is still counted by its bytes.
        found["metadata.camera"] = "unreadable"
    return found


def _jpeg(data: bytes, image: Any) -> Measures:
    read = read_segments(data)
    huffman, tables = read.held(_DHT), read.held(_DQT)
    own = _STANDARD not in huffman
    # Tables made for one picture follow what it shows.
    around = len(data) - read.coded - (len(huffman) if own else 0)
    values = [value for table in image.quantization.values() for value in table]
    progressive = bool(image.info.get("progressive"))
    layers = [(layer[1], layer[2]) for layer in getattr(image, "layer", [])]
    kinds = [f"{marker:x}" for marker, _ in read.parts if marker == _COM or marker & 0xF0 == 0xE0]
    restarts = read.held(_DRI)
    picture = io.BytesIO()
    try:
        settings: dict[str, Any] = {"progressive": progressive, "optimize": own and not progressive}
        if image.format == "MPO":
            settings["format"] = "JPEG"
            settings["qtables"], settings["subsampling"] = image.quantization, "4:2:0"
        else:
            settings |= {"format": "JPEG", "quality": "keep"}
        image.save(picture, **settings)
        anew = read_segments(picture.getvalue())
        excess = _excess(read.coded + own * len(huffman), anew.coded + own * len(anew.held(_DHT)))
    except (OSError, ValueError, KeyError, TypeError):
        excess = None
    return {
        "size.outside": float(around),
        "size.trailing": float(len(data) - read.end),
        "size.tail": _tail(data[read.end :]),
        "size.excess": excess,
        "encoding.tables": hashlib.sha256(tables).hexdigest()[:8],
        "encoding.quality": float(sum(values)),
        "encoding.subsampling": str(layers),
        "encoding.progressive": "progressive" if progressive else "in one go",
        "encoding.scans": float(read.scans),
        "encoding.huffman": "own" if own else "standard",
        "encoding.restarts": float(int.from_bytes(restarts[-2:], "big")),
        "metadata.parts": " ".join(kinds),
    }


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size
        if kind == b"IEND":
            break


def _png(data: bytes) -> Measures:
    parts = list(_chunks(data))
    pieces = [payload for kind, payload in parts if kind == b"IDAT"]
    stream = b"".join(pieces)
    header = next((payload for kind, payload in parts if kind == b"IHDR"), b"").ljust(13, b"\0")
    width, height, depth, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", header)
    row = math.ceil(width * depth * _SAMPLES.get(colours, 4) / 8) + 1
    try:
        raw = zlib.decompressobj().decompress(stream, max(1, min(row * height, _MOST_ROWS)))
    except zlib.error:
        raw = b""
    used = set(raw[::row]) if raw and not interlaced else set()
    # Which filters an encoder chooses row by row follows the picture; that it chooses does not.
    filters = "by row" if len(used) > 1 else str(next(iter(used), "?"))
    total = sum(12 + len(payload) for _, payload in parts) + len(_PNG)
    whole = 0 < len(raw) < _MOST_ROWS
    around = total - sum(12 + len(piece) for piece in pieces)
    extra = sorted({kind.decode("ascii", "replace") for kind, _ in parts if kind[0:1].islower()})
    return {
        "size.outside": float(max(around, 0) + max(len(data) - total, 0)),
        "size.trailing": float(max(len(data) - total, 0)),
        "size.tail": _tail(data[total:]),
        "size.excess": _excess(len(stream), len(zlib.compress(raw, 6))) if whole else None,
        "encoding.bits": f"{depth}/{colours}",
        "encoding.level": str(stream[1] >> 6) if len(stream) > 1 else "?",
        "encoding.filters": filters,
        "encoding.interlaced": str(interlaced),
        "encoding.chunk": float(len(pieces[0])) if len(pieces) > 1 else None,
        "metadata.parts": " ".join(extra),
    }


def _tail(rest: bytes) -> str:
    return hashlib.sha256(rest).hexdigest()[:8] if rest else "none"


def _again(image: Image.Image) -> int:
    """Return the bytes of an image written anew in its own format; 0 where that fails."""
    target = io.BytesIO()
    try:
        image.save(target, image.format)
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return len(target.getvalue())


def _excess(size: int, anew: int) -> float | None:
    return math.log(size / anew) if size > 0 and anew > 0 else None
