"""Files to look at, in a folder or in a zip, read within bounds and never unpacked."""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from mimicry.codabench.submission_zip import ZIP_FAULTS, is_folder
from mimicry.codabench.validation.zip_window import count_entries, stored_file
from mimicry.codabench.zips import Refused, folder_members

MIB = 1024 * 1024
MOST_ENTRIES = 100_000
# A zip inside a zip is read where it lies if it is stored; deflated ones need memory.
LARGEST_INFLATED = 64 * MIB
# Python reads the other methods without a limit: 2 KB may become gigabytes of memory.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}

_ENCRYPTED = 0x1


class SourceError(Exception):
    """Something cannot be read; says in a few words why, to follow the file's name."""


class Entry(NamedTuple):
    """A file: bytes, and its CRC-32 where it is known without reading."""

    size: int
    crc: int | None


class Source(Protocol):
    """Files below one place, by their names with ``/``."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every file."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file; raises SourceError."""


class FolderSource:
    """The files of a folder, clutter and compiled Python left out as in packing."""

    def __init__(self, folder: Path) -> None:
        self._files, self.refused = folder_members(folder)
        if len(self._files) > MOST_ENTRIES:
            raise SourceError(f"holds more than {MOST_ENTRIES:,} files")

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Every file; the CRC is not known."""
        found = {}
        for name, path in self._files.items():
            try:
                found[name] = Entry(path.stat().st_size, None)
            except OSError:
                # Gone since the folder was listed.
                continue
        return found

    def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        return read_file(self._files[name], limit)


class ZipSource:
    """The files of a zip, whose names are brought to one form.

    Attributes
    ----------
    infos : list of zipfile.ZipInfo
        All entries as they stand in the zip.
    refused : tuple
        Always empty, as a folder has it.
    """

    def __init__(self, file: BinaryIO) -> None:
        count = count_entries(file)
        if count > MOST_ENTRIES:
            raise SourceError(f"holds {count:,} entries, more than {MOST_ENTRIES:,}")
        try:
            self._zip = zipfile.ZipFile(file)
        except ZIP_FAULTS as error:
            raise SourceError(f"is no zip ({_words(error)})") from None
        self._file = file
        self.infos = self._zip.infolist()
        self.refused: tuple[Refused, ...] = ()
        # The last of two with one name is what remains when the zip is unpacked.
        self._by_name = {normal(i.filename): i for i in self.infos if not is_folder(i)}
        self._by_name.pop("", None)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Every file, by its name in normal form."""
        return {name: Entry(info.file_size, info.CRC) for name, info in self._by_name.items()}

    def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        info = self._by_name[name]
        if info.flag_bits & _ENCRYPTED:
            raise SourceError("is encrypted")
        if info.compress_type not in METHODS:
            raise SourceError("is compressed by another method than deflate")
        try:
            with self._zip.open(info) as file:
                data = file.read(limit)
                if len(data) == info.file_size:
                    # The checksum is compared at the end.
                    file.read(1)
                return data
        except ZIP_FAULTS as error:
            raise SourceError(f"is damaged ({_words(error)})") from None

    def open(self, name: str) -> BinaryIO:
        """Return a file as something to seek in, without unpacking large ones."""
        info = self._by_name[name]
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED:
            window = stored_file(self._file, info.header_offset, info.file_size)
            if window is not None:
                return window
        if info.file_size > LARGEST_INFLATED:
            raise SourceError(f"is compressed and larger than {LARGEST_INFLATED // MIB} MiB")
        return io.BytesIO(self.read(name, LARGEST_INFLATED))


class PartSource:
    """The files of another source below one folder."""

    def __init__(self, source: ZipSource, folder: str) -> None:
        self._source, self._start = source, f"{folder}/"
        self.refused: tuple[Refused, ...] = ()

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Every file, by its name below the folder."""
        start = self._start
        return {
            name[len(start) :]: entry
            for name, entry in self._source.entries.items()
            if name.startswith(start)
        }

    def read(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        return self._source.read(self._start + name, limit)


def normal(name: str) -> str:
    """Return a zip entry's name without empty parts, ``.`` and ``..``, as unpacking does."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})


def crc_of(source: Source, name: str, limit: int) -> int | None:
    """Return a file's CRC-32, None where it is larger than `limit` or cannot be read."""
    entry = source.entries[name]
    if entry.crc is not None:
        return entry.crc
    if entry.size > limit:
        return None
    try:
        return zlib.crc32(source.read(name, limit))
    except SourceError:
        return None


def read_file(path: Path, limit: int) -> bytes:
    """Return the first `limit` bytes of a plain file; raises SourceError, and never waits."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SourceError("is no plain file")
            return file.read(limit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is impossible"
        raise SourceError(f"cannot be read ({reason})") from None


def _words(error: Exception) -> str:
    return str(error)[:120] or type(error).__name__
