"""Take everything but the picture out of JPEG and PNG files, without encoding anew.

JPEG: ITU-T T.81, annex B, and for the two segments by which a decoder tells the colour
space JFIF 1.02 and Adobe's APP14. PNG: W3C Portable Network Graphics, third edition.
"""

import re
import struct
import zlib
from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Frames with Huffman or arithmetic coding; lossless and hierarchical ones are refused.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_ODD_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xDE, 0xDF})
# Tables of Huffman and arithmetic coding and of quantisation, lines, restart intervals.
_NEEDED = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
_SOI, _EOI, _SOS, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_RGB_IDS = b"RGB"
# Version 1.1, no unit, 1:1, no thumbnail: the same for every image.
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"

_KEPT_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class OddFile(ValueError):  # noqa: N818 - an outcome that the caller words
    """Says why a file cannot be taken apart, to follow its name."""


class CutShort(OddFile):
    """The file ends before its end."""


def strip_jpeg(data: bytes) -> bytes:
    """Return a JPEG without APPn and COM segments and without what follows its end.

    Frames, tables and coded pixels are copied as they are; fill bytes between segments
    go. One fixed segment says the colour space: JFIF for grey and YCbCr, Adobe's for RGB
    and, where there was one, for CMYK. Of a file of several images (MPO) the first stays.
    Stripping what is stripped changes nothing.

    Raises
    ------
    CutShort
        The file ends inside a segment or before the end of the image.
    OddFile
        It is no JPEG, or one that this does not understand.
    """
    if data[:2] != b"\xff\xd8":
        raise OddFile("does not begin as a JPEG does")
    kept: list[bytes] = []
    ids = b""
    has_jfif, transform, scans = False, None, 0
    for marker, body, coded in _segments(data):
        if marker in _ODD_FRAMES:
            raise OddFile("is coded in a way of JPEG that no camera uses")
        if marker in _FRAMES:
            if ids or len(body) < 6 or len(body) != 6 + 3 * body[5] or body[5] not in {1, 3, 4}:
                raise OddFile("has a damaged frame header, or several")
            ids = body[6::3]
        if marker == _APP0 and body[:5] == b"JFIF\0" and len(body) >= 14:
            has_jfif = True
        elif marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            transform = body[11]
        elif marker in _FRAMES or marker in _NEEDED or marker == _SOS:
            kept.append(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + coded)
            scans += marker == _SOS
    if not ids or not scans:
        raise OddFile("holds no image")
    return b"".join([b"\xff\xd8", _colour_segment(ids, has_jfif, transform), *kept, b"\xff\xd9"])


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (marker, content, coded pixels behind it) up to the end of the image."""
    at = 2
    while True:
        if at >= len(data):
            raise CutShort("ends early")
        if data[at] != 0xFF:
            raise OddFile("has bytes between its segments")
        while at < len(data) and data[at] == 0xFF:
            at += 1
        if at + 1 > len(data):
            raise CutShort("ends early")
        marker = data[at]
        at += 1
        if marker == _EOI:
            return
        if marker < 0xC0 or 0xD0 <= marker <= _SOI:
            raise OddFile("has a marker where none belongs")
        if at + 2 > len(data):
            raise CutShort("ends early")
        end = at + int.from_bytes(data[at : at + 2], "big")
        if end < at + 2:
            raise OddFile("has a segment of no length")
        if end > len(data):
            raise CutShort("ends early")
        body, coded = data[at + 2 : end], b""
        at = end
        if marker == _SOS:
            following = _MARKER.search(data, end)
            if following is None:
                raise CutShort("ends early")
            coded, at = data[end : following.start()], following.start()
        yield marker, body, coded


def _colour_segment(ids: bytes, has_jfif: bool, transform: int | None) -> bytes:
    """Return the segment by which a decoder finds the colours that it found before.

    The rules are those of libjpeg's ``default_decompress_parms``.
    """
    if len(ids) == 4:
        return b"" if transform is None else _ADOBE + bytes([transform])
    is_rgb = len(ids) == 3 and not has_jfif
    is_rgb = is_rgb and (transform == 0 if transform is not None else ids == _RGB_IDS)
    return _ADOBE + b"\0" if is_rgb else _JFIF


def strip_png(data: bytes) -> bytes:
    """Return a PNG with its picture, palette and transparency alone.

    The compressed pixels are copied as they are, into one chunk. Stripping what is
    stripped changes nothing.

    Raises
    ------
    CutShort
        The file ends before its last chunk.
    OddFile
        It is no PNG, a checksum is wrong, or chunks are missing.
    """
    if not data.startswith(PNG_SIGNATURE):
        raise OddFile("does not begin as a PNG does")
    head: list[bytes] = []
    pixels: list[bytes] = []
    at, seen = len(PNG_SIGNATURE), set[bytes]()
    while b"IEND" not in seen:
        if at + 8 > len(data):
            raise CutShort("ends early")
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise CutShort("ends early")
        body = data[at + 8 : end - 4]
        if zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end], "big"):
            raise OddFile("is damaged (a checksum is wrong)")
        if (kind == b"IHDR") != (not seen):
            raise OddFile("has its chunks in a wrong order")
        if kind not in _KEPT_CHUNKS and not kind[0] & 0x20:
            raise OddFile("has a chunk that no reader knows")
        seen.add(kind)
        if kind == b"IDAT":
            pixels.append(body)
        elif kind in _KEPT_CHUNKS and kind != b"IEND":
            if pixels:
                raise OddFile("has its chunks in a wrong order")
            head.append(_chunk(kind, body))
        at = end
    if not pixels:
        raise OddFile("holds no image")
    return b"".join([PNG_SIGNATURE, *head, _chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
