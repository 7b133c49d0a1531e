"""Images that are to be predicted, where participants can look at them."""

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from mimicry.codabench.validation.source import MIB, Source, SourceError, ZipSource, crc_of

LARGEST_MEMBER = 64 * MIB
LARGEST_NESTED = 32 * MIB
# A blank picture or one of a pixel may stand anywhere.
SMALLEST_IMAGE = 256

_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".webp", ".bmp", ".heic", ".avif"}
)


class _Place(NamedTuple):
    path: str
    source: Source
    name: str


class HiddenImages:
    """The images of input data, to be looked for elsewhere.

    Sizes and checksums come from the listings of zips; bytes are read where both agree, and
    in folders, which know no checksums, where the sizes agree.

    Parameters
    ----------
    inputs : mapping
        Input data by their paths.
    take : callable
        Tells whether so many bytes may still be read, and counts them.
    """

    def __init__(self, inputs: Mapping[str, Source], take: Callable[[int], bool]) -> None:
        self._take = take
        self._by_size: dict[int, list[_Place]] = {}
        self._by_crc: dict[int, dict[int, _Place]] = {}
        for path, source in inputs.items():
            for name, entry in source.entries.items():
                if entry.size >= SMALLEST_IMAGE and _is_image(name):
                    self._by_size.setdefault(entry.size, []).append(_Place(path, source, name))

    def find_in(self, source: Source) -> dict[str, str]:
        """Return the files of `source` that are hidden images: name -> where they are hidden.

        Zips inside are looked into, too.
        """
        found = dict(self._found(source, ""))
        for name, entry in source.entries.items():
            if not name.lower().endswith(".zip") or entry.size > LARGEST_NESTED:
                continue
            try:
                inner = ZipSource(io.BytesIO(self._read(source, name)))
            except SourceError:
                continue
            found.update(self._found(inner, f"{name}:"))
        return found

    def _found(self, source: Source, start: str) -> Iterator[tuple[str, str]]:
        for name, entry in source.entries.items():
            if entry.size not in self._by_size:
                continue
            crc = self._crc(source, name)
            original = None if crc is None else self._checksums(entry.size).get(crc)
            if original is not None and self._same(source, name, original):
                yield f"{start}{name}", f"{original.path}:{original.name}"

    def _checksums(self, size: int) -> dict[int, _Place]:
        if size not in self._by_crc:
            known = ((self._crc(p.source, p.name), p) for p in self._by_size[size])
            self._by_crc[size] = {crc: place for crc, place in known if crc is not None}
        return self._by_crc[size]

    def _crc(self, source: Source, name: str) -> int | None:
        entry = source.entries[name]
        if entry.crc is None and not self._take(entry.size):
            return None
        return crc_of(source, name, LARGEST_MEMBER)

    def _same(self, source: Source, name: str, original: _Place) -> bool:
        try:
            return self._read(source, name) == self._read(original.source, original.name)
        except SourceError:
            # Size and checksum agree; a chance of one in four thousand million remains.
            return True

    def _read(self, source: Source, name: str) -> bytes:
        size = source.entries[name].size
        if size > LARGEST_MEMBER or not self._take(size):
            raise SourceError("is too large to be compared")
        return source.read(name, LARGEST_MEMBER)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _SUFFIXES
