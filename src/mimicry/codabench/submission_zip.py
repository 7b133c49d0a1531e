"""A submission's zip: what is wrong with it, and how to unpack it safely.

The platform unpacks a zip as it is. Here the same zip is refused where unpacking
would write outside its folder, fill the disk, or depend on who unpacks it.
"""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import SubmissionError

MIB = 1024 * 1024
LARGEST_TOTAL = 8 * 1024 * MIB
MOST_ENTRIES = 20_000
# Weights compress little, source code up to 20 times; a bomb thousands of times.
LARGEST_RATIO = 200
RATIO_COUNTS_FROM = 256 * MIB
LONGEST_PART = 255
LONGEST_NAME = 1024
# Deeper trees overrun the recursion of Python's own copying and removing.
MOST_PARTS = 60
SHOWN_NAMES = 3

# Python reads the other ones without a limit: 2 KB may become gigabytes of memory.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# What the zip reader raises on damaged or hostile bytes.
ZIP_FAULTS = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError, RuntimeError, OverflowError, KeyError),
)


class Fault(NamedTuple):
    """One thing wrong with a zip: stable code and what, where, what to do."""

    code: str
    sentence: str


class Member(NamedTuple):
    """One file of a submission: its path with ``/`` and its size in bytes."""

    name: str
    size: int


def list_members(archive: zipfile.ZipFile) -> list[Member]:
    """Return the files of a zip, folders left out, in the zip's order."""
    return [
        Member(_normal(entry.filename), entry.file_size)
        for entry in archive.infolist()
        if not is_folder(entry)
    ]


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open `path` as a zip.

    Raises
    ------
    SubmissionError
        `not-a-zip`, with what the file looks like instead.
    """
    try:
        return zipfile.ZipFile(path)
    except ZIP_FAULTS as error:
        raise SubmissionError(
            "not-a-zip",
            f"{path.name} cannot be read as a zip ({_looks_like(path, error)}). "
            "Make it anew with `mimicry pack-submission FOLDER`.",
        ) from error


def zip_faults(path: Path, archive: zipfile.ZipFile) -> list[Fault]:
    """Return everything about a zip's listing that keeps it from being unpacked.

    Reads the listing only, no file's content. An empty list means that
    `unpack_submission` will write below its folder and within the limits.
    """
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        return [
            Fault("too-many-files", f"The zip holds {len(entries)} entries; keep {MOST_ENTRIES}.")
        ]
    return [*_name_faults(entries), *_kind_faults(entries), *_size_faults(path, entries)]


def unpack_submission(path: Path, folder: Path) -> None:
    """Unpack a submission's zip into the empty or new `folder`, safely.

    Files get the modes 0644, folders 0755: executable bits are lost, as on the
    platform. Checksums are verified on the way.

    Raises
    ------
    SubmissionError
        `not-a-zip`, the code of the first fault of `zip_faults` (its sentence says
        how many more there are), or `damaged-zip`.
    """
    with open_zip(path) as archive:
        faults = zip_faults(path, archive)
        if faults:
            more = f" ({len(faults) - 1} more: run `mimicry check`.)" if len(faults) > 1 else ""
            raise SubmissionError(faults[0].code, faults[0].sentence + more)
        folder.mkdir(parents=True, exist_ok=True)
        for entry in archive.infolist():
            target = folder / _normal(entry.filename)
            if is_folder(entry):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as sink:
                for data in _content(archive, entry):
                    sink.write(data)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield an entry's content; apart from the writing, so that a full disk is no damage."""
    try:
        yield from _read(archive, entry)
    except ZIP_FAULTS as error:
        raise _damaged(entry, error) from error


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what an entry holds, which must be as much as the listing says."""
    left = entry.file_size
    with archive.open(entry) as source:
        while data := source.read(MIB):
            left -= len(data)
            yield data
    # Python's reader takes a file that ends too early for a whole one.
    if left:
        raise zipfile.BadZipFile("its size is not the one listed")


def damaged_member(archive: zipfile.ZipFile, budget: int) -> tuple[str | None, bool]:
    """Read files until one is damaged or `budget` bytes are read.

    Returns
    -------
    tuple
        The first damaged file's name or None, and whether all files were read.
    """
    complete = True
    for entry in sorted(archive.infolist(), key=lambda entry: entry.file_size):
        if is_folder(entry):
            continue
        if entry.file_size > budget:
            complete = False
            continue
        budget -= entry.file_size
        try:
            for _ in _read(archive, entry):
                pass
        except ZIP_FAULTS:
            return entry.filename, False
    return None, complete


def is_folder(entry: zipfile.ZipInfo) -> bool:
    """Tell whether an entry stands for a folder; unlike its own method, for any name."""
    return entry.filename.endswith("/")


def _normal(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in {"", "."})


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name[:100]) for name in names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _name_faults(entries: list[zipfile.ZipInfo]) -> Iterator[Fault]:
    names = [entry.filename for entry in entries]
    absolute = [name for name in names if name.startswith("/") or _drive(name)]
    if absolute:
        yield Fault("zip-absolute", f"Absolute paths in the zip: {_some(absolute)}. Zip a folder.")
    upward = [name for name in names if ".." in name.replace("\\", "/").split("/")]
    if upward:
        yield Fault("zip-traversal", f"Paths that lead out of the zip: {_some(upward)}.")
    backslash = [name for name in names if "\\" in name]
    if backslash:
        yield Fault(
            "zip-backslash",
            f"Paths with backslashes, which are no folders on the platform: {_some(backslash)}. "
            "Make the zip anew with `mimicry pack-submission FOLDER`.",
        )
    odd = [n for n in names if n != "./" and (not _normal(n) or not n.isprintable())]
    if odd:
        yield Fault(
            "zip-name",
            f"Names that are empty or hold characters that cannot be shown: {_some(odd)}.",
        )
    long = [name for name in names if too_long(name)]
    if long:
        yield Fault(
            "zip-long-name",
            f"Names that are too long for a file system, or more than {MOST_PARTS} folders deep: "
            f"{_some(long)}.",
        )
    twice = _repeated(entries)
    if twice:
        yield Fault(
            "zip-duplicate",
            f"Names that stand twice in the zip, or as file and folder: {_some(twice)}.",
        )


def _kind_faults(entries: list[zipfile.ZipInfo]) -> Iterator[Fault]:
    links: list[str] = []
    devices: list[str] = []
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        # Only zips made on Unix (3) or macOS (19) keep such modes.
        if entry.create_system not in {3, 19} or kind in {0, stat.S_IFREG, stat.S_IFDIR}:
            continue
        (links if kind == stat.S_IFLNK else devices).append(entry.filename)
    if links:
        yield Fault(
            "zip-link",
            f"Symbolic links, which the platform turns into text files: {_some(links)}. "
            "Put the files themselves into the zip.",
        )
    if devices:
        yield Fault("zip-device", f"Entries that are no plain files: {_some(devices)}.")
    encrypted = [entry.filename for entry in entries if entry.flag_bits & 0x1]
    if encrypted:
        yield Fault("zip-encrypted", f"Encrypted files: {_some(encrypted)}. Zip without password.")
    methods = [entry.filename for entry in entries if entry.compress_type not in _METHODS]
    if methods:
        yield Fault(
            "zip-method",
            f"Compressed by another method than deflate: {_some(methods)}. "
            "Make the zip anew with `mimicry pack-submission`.",
        )


def _size_faults(path: Path, entries: list[zipfile.ZipInfo]) -> Iterator[Fault]:
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    size = path.stat().st_size
    if unpacked > LARGEST_TOTAL:
        yield Fault(
            "zip-too-large",
            f"The zip is {unpacked / MIB:,.0f} MiB unpacked; {LARGEST_TOTAL // MIB:,} are allowed.",
        )
    if packed > size:
        yield Fault("zip-overlap", "Files overlap inside the zip, which only a zip bomb has.")
    if unpacked > RATIO_COUNTS_FROM and unpacked > LARGEST_RATIO * max(size, 1):
        yield Fault(
            "zip-bomb",
            f"The zip grows {unpacked // max(size, 1):,} times when it is unpacked; "
            f"{LARGEST_RATIO} times is the limit.",
        )


def _repeated(entries: list[zipfile.ZipInfo]) -> list[str]:
    files: set[str] = set()
    folders: set[str] = set()
    twice: list[str] = []
    for entry in entries:
        name = _normal(entry.filename)
        parts = name.split("/")
        parents = {"/".join(parts[:end]) for end in range(1, len(parts))}
        if is_folder(entry):
            folders.add(name)
        elif name in files:
            twice.append(name)
        else:
            files.add(name)
        folders |= parents
    return [*twice, *sorted(files & folders)]


def _drive(name: str) -> bool:
    return (len(name) > 1 and name[1] == ":" and name[0].isalpha()) or name.startswith("\\")


def too_long(name: str) -> bool:
    """Tell whether a path is too long or too deep to be unpacked everywhere."""
    encoded = name.encode("utf-8", "replace")
    parts = encoded.split(b"/")
    return (
        len(encoded) > LONGEST_NAME
        or len(parts) > MOST_PARTS
        or any(len(part) > LONGEST_PART for part in parts)
    )


def _damaged(entry: zipfile.ZipInfo, error: Exception) -> SubmissionError:
    return SubmissionError(
        "damaged-zip",
        f"{entry.filename!r} in the zip is damaged ({str(error) or type(error).__name__}). "
        "Make the zip anew and compare its SHA-256 after every copy.",
    )


def _looks_like(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as problem:
        return problem.strerror or "unreadable"
    known = {
        b"\x1f\x8b": "it is a gzip or tar.gz file",
        b"7z\xbc\xaf": "it is a 7-Zip file",
        b"Rar!": "it is a RAR file",
        b"PK\x03\x04": "it begins like a zip, but its end is missing or damaged",
    }
    for magic, text in known.items():
        if head.startswith(magic):
            return text
    return "the file is empty" if not head else str(error) or type(error).__name__
