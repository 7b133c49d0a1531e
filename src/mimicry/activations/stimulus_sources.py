"""Where the bytes of stimuli are: a folder or a zip of images, read without trusting names."""

import errno
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from mimicry.errors import BundleError
from mimicry.files import is_clutter

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
# A larger file is no image of a stimulus set; reading one costs memory in every thread.
LARGEST_FILE = 2**28
DEEPEST = 60
LONGEST_NAME = 1024


class Source(Protocol):
    """Images that can be listed and read by name."""

    @property
    def path(self) -> Path:
        """The folder or zip."""
        ...

    def names(self) -> list[str]:
        """Return the identifiers of all images, sorted by code point."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of an image; threads may call this at once."""
        ...


def open_source(path: Path) -> Source:
    """Open a folder or zip of images.

    Raises
    ------
    BundleError
        ``stimuli-missing`` where there is neither.
    """
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return _Zip(path)
    raise BundleError(
        "stimuli-missing", f"There is no folder or zip of images at {path}; check the path."
    )


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def names(self) -> list[str]:
        found: list[str] = []
        # Not by recursion, which a deep tree overruns.
        waiting = [""]
        while waiting:
            here = waiting.pop()
            try:
                entries = list(os.scandir(self.path / here))
            except OSError as error:
                raise _unreadable(self.path / here, error) from error
            for entry in entries:
                name = f"{here}/{entry.name}" if here else entry.name
                if is_clutter(entry.name):
                    continue
                _check_name(self.path, name)
                if entry.is_symlink():
                    raise _link(self.path, name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif entry.is_file(follow_symlinks=False):
                    _check_suffix(self.path, name)
                    found.append(name)
                else:
                    raise _link(self.path, name)
        return _some(self.path, found)

    def read(self, name: str) -> bytes:
        _check_name(self.path, name)
        path = self.path / name
        try:
            # Without blocking, since a pipe put there meanwhile would wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise _link(self.path, name)
                _check_size(self.path, name, status.st_size)
                data = file.read(LARGEST_FILE + 1)
                _check_size(self.path, name, len(data))
                return data
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _link(self.path, name) from error
            raise _unreadable(path, error) from error


class _Zip:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        try:
            self._archive = zipfile.ZipFile(self.path)
            entries = self._archive.infolist()
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise BundleError(
                "stimuli-unreadable",
                f"{path} is neither a folder nor a zip that can be read ({error}); pack it anew.",
            ) from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = entry.filename
            # First, since `..` begins with a dot as clutter does.
            _check_name(self.path, name.removesuffix("/"))
            if is_clutter(name):
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _link(self.path, name)
            if entry.is_dir():
                continue
            if name in self._members:
                raise BundleError(
                    "stimuli-name", f"{path} holds {name} twice; pack each image once."
                )
            _check_suffix(self.path, name)
            _check_size(self.path, name, entry.file_size)
            if entry.flag_bits & 1:
                raise BundleError(
                    "stimuli-unreadable", f"{name} in {path} is encrypted; pack it openly."
                )
            self._members[name] = entry

    def names(self) -> list[str]:
        return _some(self.path, list(self._members))

    def read(self, name: str) -> bytes:
        try:
            # Gives no more than the size that was checked, and compares the CRC.
            return self._archive.read(self._members[name])
        except KeyError as error:
            raise BundleError(
                "stimuli-unreadable", f"{self.path} does not hold the stimulus {name}; add it."
            ) from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            raise _damaged(self.path, name, error) from error
        except Exception as error:
            # zlib, lzma and bz2 have errors of their own.
            if type(error).__module__ in {"zlib", "_lzma", "bz2"}:
                raise _damaged(self.path, name, error) from error
            raise


def _check_name(where: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    safe = (
        name.isprintable()
        and "\\" not in name
        and not name.startswith("/")
        and "/".join(parts) == name
        and ".." not in parts
        and not (parts and len(parts[0]) == 2 and parts[0][1] == ":")
        and len(parts) <= DEEPEST
    )
    try:
        safe = safe and 0 < len(name.encode("utf-8")) <= LONGEST_NAME
    except UnicodeEncodeError:
        safe = False
    if not safe:
        raise BundleError(
            "stimuli-name",
            f"{where} holds {name[:200]!a}, which is no plain relative path of at most "
            f"{LONGEST_NAME} printable characters; rename it.",
        )


def _check_suffix(where: Path, name: str) -> None:
    if PurePosixPath(name).suffix.lower() not in SUFFIXES:
        raise BundleError(
            "stimuli-not-image",
            f"{name} in {where} is no image by its name; move away everything that is none "
            f"({', '.join(sorted(SUFFIXES))} are).",
        )


def _check_size(where: Path, name: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise BundleError(
            "stimuli-not-image",
            f"{name} in {where} has over {LARGEST_FILE >> 20} MiB; scale it down.",
        )


def _some(where: Path, names: list[str]) -> list[str]:
    if not names:
        raise BundleError("stimuli-empty", f"{where} holds no image; name a folder or zip of some.")
    return sorted(names)


def _link(where: Path, name: str) -> BundleError:
    return BundleError(
        "stimuli-link",
        f"{name} in {where} is a link or no plain file; put the image itself there.",
    )


def _unreadable(path: Path, error: OSError) -> BundleError:
    return BundleError(
        "stimuli-unreadable", f"{path} cannot be read ({error.strerror}); check it and its rights."
    )


def _damaged(where: Path, name: str, error: Exception) -> BundleError:
    return BundleError(
        "stimuli-unreadable",
        f"{name} in {where} is damaged ({type(error).__name__}: {error}); pack it anew.",
    )
