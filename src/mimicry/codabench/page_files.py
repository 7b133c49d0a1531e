"""The folder of the runs’ pages: what `mimicry board` wrote there, and only that, is its own."""

import hashlib
import stat
from collections.abc import Collection
from pathlib import Path

from mimicry.codabench.model import slug
from mimicry.codabench.records import RunRecord
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file, write_atomically

# A page of a run begins so; what does not is somebody else's and stays.
MARKER = "<!-- Written by mimicry board, which replaces and removes its own pages. -->\n"
LARGEST_PAGE = 64 * 1024 * 1024


def page_name(run: str, record: RunRecord) -> str:
    """Return the name of a run's page: the same for the same folder, and no stranger's text."""
    digest = hashlib.sha256(str(Path(run).resolve()).encode(errors="surrogateescape")).hexdigest()
    words = [slug(record.competition)[:40], slug(record.phase)[:40], digest[:12]]
    return "-".join(word for word in words if word) + ".html"


def make_folder(folder: Path) -> None:
    """Make the folder of the runs' pages.

    Raises
    ------
    BundleError
        `page-taken` for a file or a link in its place.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise _taken(folder)
    folder.mkdir(exist_ok=True)


def _taken(path: Path) -> BundleError:
    return BundleError(
        "page-taken",
        f"{path} is in the way of the runs' pages and is none of them; move it away, or name "
        "another file with --html.",
    )


def _is_ours(path: Path) -> bool:
    try:
        return read_regular_file(path, LARGEST_PAGE).startswith(MARKER.encode())
    except UnusableFile:
        return False


def _is_free(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) and _is_ours(path)


def write_page(path: Path, text: str) -> None:
    """Write the page of a run, so that a later call knows it for its own.

    Raises
    ------
    BundleError
        `page-taken` for somebody else's file, or a link, in its place.
    """
    if not _is_free(path):
        raise _taken(path)
    write_atomically(path, MARKER + text)


def remove_stale(folder: Path, current: Collection[str]) -> None:
    """Remove pages of runs that an earlier call wrote and this one did not."""
    if folder.is_symlink() or not folder.is_dir():
        return
    stale = [path for path in folder.glob("*.html") if path.name not in current and _is_ours(path)]
    for path in stale:
        path.unlink()
    if stale and not any(folder.iterdir()):
        folder.rmdir()
