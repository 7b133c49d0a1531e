"""The board’s pages in a folder: what `mimicry board` wrote there, and only that, is its own."""

import hashlib
import stat
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from mimicry.codabench.model import slug
from mimicry.codabench.records import RunRecord
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file, write_atomically, write_output

# A page of ours begins so; what does not is somebody else's and stays.
MARKER = "<!-- Written by mimicry board, which replaces and removes its own pages. -->\n"
LARGEST_PAGE = 64 * 1024 * 1024


def page_name(run: str, record: RunRecord) -> str:
    """Return the name of a run's page: the same for the same folder, and no stranger's text."""
    digest = hashlib.sha256(str(Path(run).resolve()).encode(errors="surrogateescape")).hexdigest()
    words = [slug(record.competition)[:40], slug(record.phase)[:40], digest[:12]]
    return "-".join(word for word in words if word) + ".html"


def marker_of(index: str) -> str:
    """Return how a page of a run begins that belongs to the page of boards named `index`."""
    return f"{MARKER}<!-- Page of boards: {quoted(index)} -->\n"


def quoted(name: str) -> str:
    """Return a file name as it stands in a link, whatever its bytes are."""
    return quote(name, errors="surrogateescape")


def runs_folder(page: Path) -> Path:
    """Return the folder beside a page of boards for the runs' pages."""
    return page.with_name(f"{page.stem if page.suffix == '.html' else page.name}-runs")


def is_stream(page: Path) -> bool:
    """Tell whether a device or a pipe stands at a page's place."""
    return page.exists() and not page.is_file() and not page.is_dir()


def check_index(page: Path) -> None:
    """Check that a page of boards may be written: nobody else's file is replaced.

    Raises
    ------
    BundleError
        `page-taken`.
    """
    if page.is_file() and not _is_ours(page.resolve(), MARKER):
        raise BundleError(
            "page-taken",
            f"{page} is there and is no page that this command wrote; move it away, or name "
            "another file with --html.",
        )


def write_index(page: Path, text: str) -> None:
    """Write the page of boards, so that a later call knows it for its own.

    Raises
    ------
    BundleError
        `page-taken`, as `check_index`.
    """
    check_index(page)
    write_output(page, MARKER + text)


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


def _is_ours(path: Path, marker: str) -> bool:
    try:
        return read_regular_file(path, LARGEST_PAGE).startswith(marker.encode())
    except UnusableFile:
        return False


def _is_free(path: Path, marker: str) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) and _is_ours(path, marker)


def write_page(path: Path, text: str, index: str) -> None:
    """Write the page of a run, so that a later call for the same index knows it for its own.

    Raises
    ------
    BundleError
        `page-taken` for somebody else's file, a link, or another index's page in its place.
    """
    marker = marker_of(index)
    if not _is_free(path, marker):
        raise _taken(path)
    write_atomically(path, marker + text)


def remove_stale(folder: Path, current: Collection[str], index: str) -> None:
    """Remove pages of runs that an earlier call wrote for this index and this one did not."""
    if folder.is_symlink() or not folder.is_dir():
        return
    marker = marker_of(index)
    stale = [
        path
        for path in folder.glob("*.html")
        if path.name not in current and _is_ours(path, marker)
    ]
    for path in stale:
        path.unlink()
    if stale and not any(folder.iterdir()):
        folder.rmdir()
