"""The bytes of a zip: a file inside it as a file, and how long its listing is."""

import errno
import io
import os
import struct
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")


def stored_file(file: BinaryIO, header_offset: int, size: int) -> BinaryIO | None:
    """Return a member that is not compressed as a file of its own, None for a broken one."""
    file.seek(header_offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        return None
    fields = _LOCAL.unpack(header)
    start = header_offset + _LOCAL.size + fields[-2] + fields[-1]
    return io.BufferedReader(_Window(file, start, size))


class _Window(io.RawIOBase):
    """A part of another file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def count_entries(file: BinaryIO) -> int:
    """Return how many entries a zip says it has, without reading its listing; 0 for no zip."""
    size = file.seek(0, os.SEEK_END)
    tail_start = max(0, size - _END.size - 65_535)
    file.seek(tail_start)
    tail = file.read(_END.size + 65_535)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return 0
    fields = _END.unpack_from(tail, at)
    # The listing's size tells what is read, whatever the count says.
    count, listing = max(fields[3], fields[4]), fields[5]
    locator = at - _LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\6\7":
        position = _LOCATOR.unpack_from(tail, locator)[2]
        if position <= size - _END_64.size:
            file.seek(position)
            record = file.read(_END_64.size)
            if record.startswith(b"PK\6\6"):
                wide = _END_64.unpack(record)
                count, listing = max(wide[6], wide[7]), wide[8]
    # The count may lie: what is read is the listing, of some hundred bytes an entry.
    return int(max(count, min(listing, size) // 128))
