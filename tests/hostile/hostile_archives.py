"""Zips that are broken, or made to harm whoever unpacks them; most never reach an engine."""

import gzip
import io
import stat
import struct
import warnings
import zipfile
import zlib
from typing import Any

from hostile_case import add, model, zip_of

# Refused before any program starts, so that one engine stands for all.
ONCE: dict[str, Any] = {"engines": ("subprocess",)}
GOOD = {"model.py": model(), "metadata": ""}


def _with(name: str, content: bytes = b"x", **attributes: object) -> bytes:
    """Return a good submission with one more entry, which has these attributes."""

    def change(entry: zipfile.ZipInfo) -> None:
        if entry.filename == name:
            for key, value in attributes.items():
                setattr(entry, key, value)

    return zip_of({**GOOD, name: content}, change)


def _patched(data: bytes, name: str, *, at: int, value: bytes, local: int | None = None) -> bytes:
    """Change bytes of an entry's record in the zip's listing, and before its content."""
    changed = bytearray(data)
    central = data.rindex(b"PK\1\2", 0, data.rindex(name.encode()))
    changed[central + at : central + at + len(value)] = value
    if local is not None:
        header = data.rindex(b"PK\3\4", 0, data.index(name.encode()))
        changed[header + local : header + local + len(value)] = value
    return bytes(changed)


def _bomb(mebibytes: int) -> bytes:
    """Return a zip of so many MiB of zeros; its stream repeats one flushed block."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(2**20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    stream = block * mebibytes + squeeze.flush()
    sizes = struct.pack("<LLL", 0, len(stream), mebibytes * 2**20)
    data = zip_of({**GOOD, "weights.bin": b""})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        offset = archive.getinfo("weights.bin").header_offset
    head = offset + 30 + len("weights.bin")
    length = head + struct.unpack_from("<L", data, offset + 18)[0]
    moved = len(stream) - (length - head)
    data = _patched(data, "weights.bin", at=16, value=sizes, local=14)
    data = data[:head] + stream + data[length:]
    end = data.rindex(b"PK\5\6")
    (start,) = struct.unpack_from("<L", data, end + 16)
    changed = bytearray(data)
    struct.pack_into("<L", changed, end + 16, start + moved)
    return _later(bytes(changed), offset, moved)


def _later(data: bytes, offset: int, moved: int) -> bytes:
    """Correct where entries behind `offset` say that they begin."""
    changed = bytearray(data)
    at = struct.unpack_from("<L", data, data.rindex(b"PK\5\6") + 16)[0]
    while data[at : at + 4] == b"PK\1\2":
        (begins,) = struct.unpack_from("<L", data, at + 42)
        if begins > offset:
            struct.pack_into("<L", changed, at + 42, begins + moved)
        at += 46 + sum(struct.unpack_from("<HHH", data, at + 28))
    return bytes(changed)


def _overlapping() -> bytes:
    """Return a zip whose listing names one content forty times."""
    data = zip_of({**GOOD, "w00.bin": bytes(range(256)) * 64})
    end = data.rindex(b"PK\5\6")
    entry = data[data.rindex(b"PK\1\2", 0, end) : end]
    more = b"".join(entry.replace(b"w00.bin", b"w%02d.bin" % n) for n in range(1, 41))
    (size,) = struct.unpack_from("<L", data, end + 12)
    tail = bytearray(data[end:])
    struct.pack_into("<HHL", tail, 8, 43, 43, size + len(more))
    return data[:end] + more + bytes(tail)


def _two_ends() -> bytes:
    """Return a zip with a second, empty listing inside its comment."""
    data = bytearray(zip_of(GOOD))
    comment = b"PK\5\6" + bytes(16) + b"\0\0"
    struct.pack_into("<H", data, len(data) - 2, len(comment))
    return bytes(data) + comment


def _stored(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("model.py", model())
        archive.writestr("metadata", "")
    return buffer.getvalue()


def _commented() -> bytes:
    data = bytearray(zip_of(GOOD))
    struct.pack_into("<H", data, len(data) - 2, 65535)
    return bytes(data) + b"\x1b[2J" * 16383 + b"..."


def _zip64() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in GOOD.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content.encode())
    return buffer.getvalue()


def _twice(first: str, second: str) -> bytes:
    """Return a zip of two more entries whose names do not go together."""
    names = {"first-entry": first, "second-entry": second}

    def rename(entry: zipfile.ZipInfo) -> None:
        entry.filename = names.get(entry.filename, entry.filename)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return zip_of({**GOOD, "first-entry": b"1", "second-entry": b"2"}, rename)


good = zip_of(GOOD)
add("not-a-zip", "text called .zip", b"model weights", "not-a-zip", **ONCE)
add("empty-file", "no byte at all", b"", "not-a-zip", **ONCE)
add("gzip", "another archive's format", gzip.compress(good), "not-a-zip", **ONCE)
add("cut-off", "half of an upload", good[: len(good) // 2], "not-a-zip", **ONCE)
add("empty-zip", "a zip without entries", zip_of({}), "no-model-file")
add(
    "traversal", "writes beside its folder with ..", _with("../../planted"), "zip-traversal", **ONCE
)
add("absolute", "writes at an absolute path", _with("/tmp/planted"), "zip-absolute", **ONCE)
add("drive", "names a drive", _with("C:/planted"), "zip-absolute", **ONCE)
add("backslash", "hides .. behind backslashes", _with("a\\..\\..\\b"), "zip-traversal", **ONCE)
add("backslashes", "folders of another system", _with("a\\b"), "zip-backslash", **ONCE)
link = {"create_system": 3, "external_attr": (stat.S_IFLNK | 0o777) << 16}
add("link", "a link to the labels", _with("w", b"../../input/ref", **link), "zip-link", **ONCE)
for name, kind in (("device", stat.S_IFCHR), ("fifo", stat.S_IFIFO), ("socket", stat.S_IFSOCK)):
    bits = {"create_system": 3, "external_attr": (kind | 0o666) << 16}
    add(name, f"a {name} in the zip", _with("w", b"", **bits), "zip-device", **ONCE)
add("duplicate", "one name twice", _twice("model.py", "w"), "zip-duplicate", **ONCE)
add("file-and-folder", "one name for both", _twice("w", "w/x"), "zip-duplicate", **ONCE)
add("same-but-dots", "one name in two spellings", _twice("w/x", "w/./x"), "zip-duplicate", **ONCE)
add("case-collision", "names that differ in case alone", zip_of({**GOOD, "Model.py": "1 / 0"}))
encrypted = _patched(_with("w"), "w", at=8, value=b"\1\0", local=6)
add("encrypted", "a member with a password", encrypted, "zip-encrypted", **ONCE)
damaged = _patched(_with("w" * 9), "w" * 9, at=16, value=b"\1\2\3\4")
add("bad-checksum", "content that is not what it says", damaged, "damaged-zip", **ONCE)
renamed = _patched(_with("w" * 9), "w" * 9, at=46, value=b"v" * 9)
add("two-names", "another name before the content", renamed, "damaged-zip", **ONCE)
add("bomb", "grows a thousand times", _bomb(300), "zip-bomb", **ONCE)
add(
    "liar",
    "claims 10 bytes and inflates to 300 MiB",
    _patched(_bomb(300), "weights.bin", at=24, value=struct.pack("<L", 10)),
    "damaged-zip",
    **ONCE,
)
huge = _patched(_with("w"), "w", at=24, value=struct.pack("<L", 2**32 - 2))
add("huge-claim", "claims 4 GiB in 1 KB", huge, "zip-bomb", **ONCE)
add("overlap", "one content named forty times", _overlapping(), "zip-overlap", **ONCE)
add("nested", "a bomb inside the zip", zip_of({**GOOD, "inner.zip": _bomb(300)}))
add("comment", "64 KiB of escape sequences as comment", _commented())
add("two-ends", "a second listing in the comment", _two_ends(), "no-model-file")
add("lzma", "a method that costs memory to read", _stored(zipfile.ZIP_LZMA), "zip-method", **ONCE)
add("bzip2", "another such", _stored(zipfile.ZIP_BZIP2), "zip-method", **ONCE)
many = zip_of(GOOD | {f"{number}": "" for number in range(20_000)})
add("many-entries", "more entries than allowed", many, "too-many-files", **ONCE)
add("long-name", "a name of 300 characters", _with("n" * 300), "zip-long-name", **ONCE)
add("deep", "a hundred folders deep", _with("d/" * 100 + "x"), "zip-long-name", **ONCE)
add("escape-in-name", "a name that clears the screen", _with("\x1b[2J.py"), "zip-name", **ONCE)
add("bidi-in-name", "a name that reads backwards", _with("\u202egpj.py"), "zip-name", **ONCE)
add("nul-in-name", "a name with a NUL, cut there", _with("note", filename="note\0.sh"))
add("zip64", "fields for huge files, about small ones", _zip64())
add("stub", "a shell script before the zip", b"#!/bin/sh\ntouch planted\n" + good)
setuid = {"create_system": 3, "external_attr": 0o104755 << 16}
add(
    "setuid",
    "asks for set-user-ID bits",
    zip_of(
        {
            **GOOD,
            "model.py": model(
                load="""
    attack("mode", lambda: os.stat(os.path.join(HERE, "tool")).st_mode & 0o7111)
    """
            ),
            "tool": "#!/bin/sh\n",
        },
        lambda entry: [setattr(entry, k, v) for k, v in setuid.items()] and None,
    ),
)
