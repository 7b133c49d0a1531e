"""A bundle's files, in a folder or in the zip that will be uploaded."""

import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, Protocol

from mimicry.codabench.submission_zip import is_folder
from mimicry.codabench.validation.source import (
    MOST_ENTRIES,
    FolderSource,
    PartSource,
    SourceError,
    ZipSource,
    normal,
    read_file,
)

Kind = Literal["file", "folder"]


class Tree(Protocol):
    """A bundle: a folder or a zip.

    Attributes
    ----------
    zipped : bool
        Whether it is the zip that will be uploaded.
    """

    zipped: bool

    def close(self) -> None:
        """Close what was opened."""

    def kind(self, path: str) -> Kind | None:
        """Return what is at a path, None for nothing."""

    def size(self, path: str) -> int:
        """Return a file's bytes."""

    def read(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file; raises SourceError."""

    def folder(self, path: str) -> FolderSource | PartSource:
        """Return the files below a folder; raises SourceError."""

    def archive(self, path: str) -> ZipSource:
        """Open a file as a zip; raises SourceError."""

    def names(self, folder: str) -> list[str]:
        """Return the names directly in a folder."""


class FolderTree:
    """A bundle as a folder."""

    zipped = False

    def __init__(self, root: Path) -> None:
        self._root = root
        self._opened: list[BinaryIO] = []

    def close(self) -> None:
        """Close the zips that were opened."""
        for file in self._opened:
            file.close()

    def kind(self, path: str) -> Kind | None:
        """Return what is at a path."""
        try:
            mode = (self._root / path).stat().st_mode
        except (OSError, ValueError):
            return None
        return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else None

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return (self._root / path).stat().st_size

    def read(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        return read_file(self._root / path, limit)

    def folder(self, path: str) -> FolderSource:
        """Return the files below a folder."""
        return FolderSource(self._root / path)

    def archive(self, path: str) -> ZipSource:
        """Open a file as a zip."""
        try:
            file = (self._root / path).open("rb")
        except OSError as error:
            raise SourceError(f"cannot be read ({error.strerror})") from None
        self._opened.append(file)
        return ZipSource(file)

    def names(self, folder: str) -> list[str]:
        """Return the names directly in a folder."""
        try:
            return sorted(path.name for path in (self._root / folder).iterdir())[:MOST_ENTRIES]
        except (OSError, ValueError):
            return []


class ZipTree:
    """A bundle as the zip that will be uploaded."""

    zipped = True

    def __init__(self, source: ZipSource) -> None:
        self.source = source
        named = [normal(info.filename) + "/-" for info in source.infos if is_folder(info)]
        self._folders = {
            parent.as_posix()
            for name in [*source.entries, *named]
            for parent in PurePosixPath(name).parents
            if parent.parts
        }

    def close(self) -> None:
        """Do nothing: whoever opened the zip closes it."""

    def kind(self, path: str) -> Kind | None:
        """Return what is at a path."""
        if path in self.source.entries:
            return "file"
        return "folder" if path in self._folders else None

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return self.source.entries[path].size

    def read(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        return self.source.read(path, limit)

    def folder(self, path: str) -> PartSource:
        """Return the files below a folder."""
        return PartSource(self.source, path)

    def archive(self, path: str) -> ZipSource:
        """Open a file as a zip."""
        return ZipSource(self.source.open(path))

    def names(self, folder: str) -> list[str]:
        """Return the names directly in a folder."""
        start = "" if folder in {"", "."} else f"{folder}/"
        below = (name[len(start) :] for name in self.source.entries if name.startswith(start))
        return sorted({name.partition("/")[0] for name in below})
