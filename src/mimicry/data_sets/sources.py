"""The organiser's folder of images: what is in it, and which row means which file."""

import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mimicry.data_sets.labels import Row
from mimicry.errors import BundleError
from mimicry.files import is_clutter

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif"}
    # Not readable here, but pictures that somebody may have forgotten to convert.
    | {".heic", ".heif", ".avif", ".dng", ".nef", ".cr2", ".cr3", ".arw", ".jp2"}
)


class Listing(NamedTuple):
    """What lies in a folder, as sorted paths relative to it with ``/``.

    Attributes
    ----------
    files : tuple of str
        Plain files, whatever they are.
    links : tuple of str
        Symbolic links and everything else that is neither file nor folder.
    """

    files: tuple[str, ...]
    links: tuple[str, ...]


class Matches(NamedTuple):
    """Which file each row means.

    Attributes
    ----------
    found : dict
        A row's ``filename`` -> path relative to the folder.
    faults : dict
        Code -> items.
    """

    found: dict[str, str]
    faults: dict[str, list[str]]


def list_files(folder: Path) -> Listing:
    """List a folder and everything below it; links are not followed, clutter is left out.

    Raises
    ------
    BundleError
        `images-folder` when the folder or one below it cannot be read.
    """
    files: list[str] = []
    links: list[str] = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise BundleError(
                "images-folder",
                f"{here} cannot be read ({error.strerror or error}); name the folder that holds "
                "the images, and see that you may read all of it.",
            ) from error
        for entry in entries:
            path = here / entry.name
            name = path.relative_to(folder).as_posix()
            if is_clutter(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_file(follow_symlinks=False):
                files.append(name)
            else:
                links.append(name)
    return Listing(tuple(sorted(files)), tuple(sorted(links)))


def match(rows: Sequence[Row], listing: Listing) -> Matches:
    """Find each row's file.

    In turn: the same path; the same in another form of Unicode; the same name in any
    sub-folder; both again without regard to case. The first that fits decides, and it
    has to fit one file only.

    Returns
    -------
    Matches
        With the faults ``image-missing``, ``image-link``, ``image-ambiguous``,
        ``image-shared`` (two rows, one file) and ``image-unlabelled``.
    """
    indexes = [(key, _index(listing.files, key)) for key in _KEYS]
    links = {key(name) for name in listing.links for key in _KEYS}
    found: dict[str, str] = {}
    taken: dict[str, Row] = {}
    faults: dict[str, list[str]] = {}
    ambiguous: set[str] = set()
    for row in rows:
        # The row's own words, so that "./a.jpg" and "a.jpg" are one.
        wanted = PurePosixPath(row.filename.strip()).as_posix()
        fitting = (index.get(key(wanted)) for key, index in indexes)
        candidates: list[str] = next(filter(None, fitting), [])
        shown = f"{row.filename} (row {row.number})"
        if not candidates:
            is_link = any(key(wanted) in links for key in _KEYS)
            faults.setdefault("image-link" if is_link else "image-missing", []).append(shown)
        elif len(candidates) > 1:
            ambiguous.update(candidates)
            text = f"{shown}: {', '.join(candidates[:3])}"
            faults.setdefault("image-ambiguous", []).append(text)
        elif candidates[0] in taken:
            text = f"{shown} and {taken[candidates[0]].filename}: {candidates[0]}"
            faults.setdefault("image-shared", []).append(text)
        else:
            found[row.filename] = candidates[0]
            taken[candidates[0]] = row
    unlabelled = [
        name
        for name in listing.files
        if name not in taken
        and name not in ambiguous
        and PurePosixPath(name).suffix.lower() in SUFFIXES
    ]
    if unlabelled:
        faults["image-unlabelled"] = unlabelled
    return Matches(found, faults)


def _same(name: str) -> str:
    return name


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _last(name: str) -> str:
    return _composed(PurePosixPath(name).name)


def _folded(name: str) -> str:
    return _composed(_composed(name).casefold())


def _last_folded(name: str) -> str:
    return _folded(PurePosixPath(name).name)


_KEYS: tuple[Callable[[str], str], ...] = (_same, _composed, _last, _folded, _last_folded)


def _index(names: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for name in names:
        index.setdefault(key(name), []).append(name)
    return index
