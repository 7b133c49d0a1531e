"""Bytes of an image in which text can hide: everything but the compressed pixels."""

import zlib

LARGEST_TEXT = 1024 * 1024
LARGEST_UNPACKED = 8 * 1024 * 1024
# Behind so many the rest is taken as one.
MOST_PARTS = 10_000

_PNG = b"\x89PNG\r\n\x1a\n"
_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b\x08")


def hiding_places(data: bytes) -> bytes:
    """Return the parts of a file in which text would be found, joined by line breaks.

    For PNG, JPEG and WebP: metadata, compressed texts of a PNG among them, and what
    stands behind the end. For other files: all of them.
    """
    if data.startswith(_PNG):
        return b"\n".join(_png_parts(data))
    if data.startswith(b"\xff\xd8"):
        return b"\n".join(_jpeg_parts(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return b"\n".join(_webp_parts(data))
    return data


def inflated(data: bytes) -> bytes:
    """Return what a gzip file holds, up to a bound; its bytes where it cannot be unpacked."""
    try:
        return zlib.decompressobj(31).decompress(data, LARGEST_UNPACKED)
    except zlib.error:
        return data


def hidden_archive(data: bytes) -> bool:
    """Tell whether an archive stands behind the end of a PNG or JPEG."""
    if data.startswith(_PNG):
        end = data.rfind(b"IEND\xaeB`\x82")
        return end >= 0 and data[end + 8 :].lstrip(b"\0").startswith(_ARCHIVES)
    if data.startswith(b"\xff\xd8"):
        end = data.rfind(b"\xff\xd9")
        return end >= 0 and data[end + 2 :].lstrip(b"\0").startswith(_ARCHIVES)
    return False


def _png_parts(data: bytes) -> list[bytes]:
    parts, at = list[bytes](), len(_PNG)
    while at + 12 <= len(data) and len(parts) < MOST_PARTS:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        at += 12 + size
        if kind in {b"zTXt", b"iTXt", b"iCCP"}:
            parts.append(body[:LARGEST_TEXT])
            parts.extend(_inflated(body))
        elif kind != b"IDAT":
            parts.append(body)
        if kind == b"IEND":
            break
    parts.append(data[at:])
    return parts


def _inflated(body: bytes) -> list[bytes]:
    """Return what is compressed in a text chunk, wherever its stream begins."""
    found = []
    for start in (n for n in range(min(len(body), 200)) if body[n : n + 1] == b"\x78"):
        try:
            found.append(zlib.decompressobj().decompress(body[start:], LARGEST_TEXT))
        except zlib.error:
            continue
    return found


def _jpeg_parts(data: bytes) -> list[bytes]:
    parts, at = list[bytes](), 2
    while at + 4 <= len(data) and data[at] == 0xFF and len(parts) < MOST_PARTS:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in {0xDA, 0xD9}:
            break
        parts.append(data[at + 4 : at + 2 + size])
        at += 2 + max(size, 2)
    end = data.rfind(b"\xff\xd9")
    # Without an end, or with text that makes the segments odd, everything is looked at.
    parts.append(data[at:] if end < at else data[end + 2 :])
    return parts


def _webp_parts(data: bytes) -> list[bytes]:
    parts, at = list[bytes](), 12
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end and len(parts) < MOST_PARTS:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind not in {b"VP8 ", b"VP8L", b"ALPH"}:
            parts.append(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    parts.append(data[min(at, end) :])
    return parts
