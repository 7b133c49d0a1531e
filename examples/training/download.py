"""Downloading the images of the training table, each checked by its MD5."""

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pooch
import requests
import urllib3
from tables import Row, find_image, places

from mimicry import __version__
from mimicry.activations.progress import Progress
from mimicry.errors import SubmissionError

# Few, since the archive serves everybody; more would only meet its limit of requests.
THREADS = 4
RETRIES = 3
# Waits for a server that says it is busy: how often, and how long at most, in seconds.
BUSY_WAITS = 10
LONGEST_WAIT = 300.0
USUAL_WAIT = 30.0
# So many failures one after the other mean that there is no network, or no server.
HOPELESS = 12
TIMEOUT = 60.0
# What one image may take: far more than any of the table's, so that no server fills the
# disk or holds a thread for ever.
LARGEST_IMAGE = 200_000_000
LONGEST_IMAGE = 600.0
FAILURES_SHOWN = 20
# What an interruption leaves half done is no image: readers ignore names with a dot.
INCOMING = ".incoming"


class Failure(NamedTuple):
    """An image that could not be had: its row, and why in a few words."""

    row: Row
    reason: str


class Download(NamedTuple):
    """What a download left.

    Attributes
    ----------
    kept : int
        Images that were there already, with the right MD5.
    fetched : int
        Images that were downloaded now.
    failures : tuple of Failure
        The others, in the table's order.
    """

    kept: int
    fetched: int
    failures: tuple[Failure, ...]

    def check(self) -> None:
        """Raise a `SubmissionError`, ``images-incomplete``, if any image is missing."""
        if not self.failures:
            return
        count = self.kept + self.fetched + len(self.failures)
        first = self.failures[0]
        raise SubmissionError(
            "images-incomplete",
            f"{len(self.failures):,} of {count:,} images could not be downloaded, the first "
            f"{first.row.filename} ({first.reason}). What is there is kept: run the same command "
            "again to go on, or train without the missing ones (--skip-missing).",
        )


def download_images(
    rows: Sequence[Row],
    folder: Path,
    *,
    threads: int = THREADS,
    report: Callable[[str], None] = print,
    quiet: bool = False,
) -> Download:
    """Download the images that are not yet in a folder with the right MD5.

    A file gets its name only when it is whole and its MD5 is the table's, so that an
    interrupted download goes on with the next image. New images come where the
    challenge's own download puts them (``hybrid/`` and ``non-hybrid/``); one that lies
    without these folders already is looked after there.

    Parameters
    ----------
    rows : sequence of Row
        Each with an address and an MD5.
    folder : Path
        Made when missing.
    threads : int
        Downloads at once.
    report : callable
        Told of what failed, a line each.
    quiet : bool
        Show no progress.

    Raises
    ------
    SubmissionError
        ``table-no-address`` when a row lacks its address or MD5. Failed downloads are in
        the result; see `Download.check`.
    """
    for row in rows:
        if row.url is None or row.md5 is None:
            raise SubmissionError(
                "table-no-address",
                f"The table has no file_url or no md5 for {row.filename}, so it cannot be "
                "downloaded; add both, or name a folder that holds the images.",
            )
    # It tells of every file on stderr otherwise, and breaks the bar.
    pooch.get_logger().setLevel(logging.ERROR)
    incoming = _Incoming(folder / INCOMING, rows)
    # The files come in with the mode of temporary ones, which nobody else may read.
    mask = os.umask(0o077)
    os.umask(mask)
    patient = _Patient()

    def fetch(row: Row) -> bool:
        target = folder / (find_image(folder, row) or places(row)[0])
        if target.is_file() and pooch.file_hash(str(target), alg="md5") == row.md5:
            return False
        path = Path(incoming.keeper().fetch(row.filename, downloader=patient))
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o666 & ~mask)
        path.replace(target)
        return True

    kept = fetched = in_a_row = 0
    reasons: dict[str, str] = {}
    with (
        Progress(len(rows), quiet=quiet) as progress,
        ThreadPoolExecutor(max_workers=max(1, threads)) as pool,
    ):
        waiting = {pool.submit(fetch, row): row for row in rows}
        try:
            for done in as_completed(waiting):
                row = waiting[done]
                try:
                    new = done.result()
                except (requests.RequestException, _GivenUp, OSError, ValueError) as error:
                    reasons[row.filename] = _reason(error)
                    in_a_row += 1
                    if in_a_row == HOPELESS:
                        patient.give_up()
                    continue
                in_a_row = 0
                kept, fetched = kept + (not new), fetched + new
                progress.advance(1, computed=new)
        except BaseException:
            patient.give_up()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    incoming.remove()
    failures = tuple(Failure(row, reasons[row.filename]) for row in rows if row.filename in reasons)
    for failure in failures[:FAILURES_SHOWN]:
        report(f"  {failure.row.filename}: {failure.reason} ({failure.row.url})")
    if len(failures) > FAILURES_SHOWN:
        report(f"  and {len(failures) - FAILURES_SHOWN:,} more")
    return Download(kept, fetched, failures)


class _Incoming:
    """Where images come in: made for the first one that is missing, and for this process alone."""

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._folder = folder
        self._rows = rows
        self._made: tuple[Path, int] | None = None
        self._keeper: Any = None
        self._turn = threading.Lock()

    def keeper(self) -> Any:
        """Return pooch's registry of the images; an `OSError` if the folder cannot be made."""
        with self._turn:
            if self._made is None:
                self._made = _private_folder(self._folder)
                self._keeper = pooch.create(
                    path=self._made[0],
                    base_url="",
                    registry={row.filename: f"md5:{row.md5}" for row in self._rows},
                    urls={row.filename: str(row.url) for row in self._rows},
                    retry_if_failed=RETRIES,
                )
            return self._keeper

    def remove(self) -> None:
        """Remove what this process made."""
        if self._made is not None:
            private, lock = self._made
            shutil.rmtree(private, ignore_errors=True)
            os.close(lock)
        # Unless another process has its own folder there.
        with suppress(OSError):
            self._folder.rmdir()


def _private_folder(incoming: Path) -> tuple[Path, int]:
    """Make a folder for this process alone; remove those of processes that have ended.

    The lock on the folder, which ends with the process, tells them apart.
    """
    while True:
        incoming.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            private = Path(tempfile.mkdtemp(dir=incoming))
            lock = os.open(private, os.O_RDONLY)
            # Some network drives have no locks; their remains stay.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if private.is_dir():
                break
            os.close(lock)
    for other in incoming.iterdir():
        if other == private:
            continue
        with suppress(OSError):
            if other.is_symlink() or not other.is_dir():
                other.unlink()
                continue
            descriptor = os.open(other, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other, ignore_errors=True)
            finally:
                os.close(descriptor)
    return private, lock


class _GivenUp(Exception):  # noqa: N818 - an outcome of one image, worded by `_reason`
    """Says why an image is not tried again; pooch retries all other failures."""


class _Patient:
    """A downloader for pooch, held back for as long as the server asks, for all threads."""

    def __init__(self) -> None:
        agent = f"mimicry/{__version__} (training example)"
        # An image is compressed already, and only whole bytes have the right MD5.
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self._stopped = threading.Event()
        self._free_from = 0.0

    def give_up(self) -> None:
        """Let whatever waits or has not begun fail at once."""
        self._stopped.set()

    def __call__(self, url: str, output_file: Any, keeper: Any) -> None:
        for _ in range(BUSY_WAITS):
            self._wait()
            try:
                self._download(url, Path(output_file))
                return
            except requests.HTTPError as error:
                status = error.response.status_code
                if status in {429, 503}:
                    seconds = _seconds(error.response.headers.get("Retry-After"))
                    self._free_from = max(self._free_from, time.monotonic() + seconds)
                elif status < 500:
                    # No further try would change the answer.
                    raise _GivenUp(f"the server answers {status}") from error
                else:
                    raise
        raise _GivenUp("the server stayed busy")

    def _download(self, url: str, path: Path) -> None:
        until = time.monotonic() + LONGEST_IMAGE
        try:
            response = requests.get(url, timeout=TIMEOUT, headers=self._headers, stream=True)
        except requests.TooManyRedirects as error:
            raise _GivenUp("the server redirects without end") from error
        except ValueError as error:
            # Of an address; requests raises several kinds, some of them its own.
            raise _GivenUp(
                "the address, or one that it redirects to, is none of the web"
            ) from error
        with response, path.open("wb") as file:
            response.raise_for_status()
            # What is there at once, and as it came: a slow server could hold up a larger piece.
            while piece := self._piece(response):
                file.write(piece)
                if file.tell() > LARGEST_IMAGE:
                    raise _GivenUp(f"it is larger than {LARGEST_IMAGE // 1_000_000:,} MB")
                if time.monotonic() > until:
                    raise _GivenUp(f"it took longer than {LONGEST_IMAGE:.0f} s")
                if self._stopped.is_set():
                    raise _GivenUp("stopped half-way")

    @staticmethod
    def _piece(response: requests.Response) -> bytes:
        try:
            return response.raw.read1(1 << 16, decode_content=False) or b""
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.exceptions.ChunkedEncodingError(error) from error

    def _wait(self) -> None:
        seconds = self._free_from - time.monotonic()
        if self._stopped.wait(max(0.0, seconds)):
            raise _GivenUp("not tried, since so many others had failed")


def _seconds(retry_after: str | None) -> float:
    if retry_after is None or not retry_after.isdecimal():
        return USUAL_WAIT
    return min(float(retry_after), LONGEST_WAIT)


def _reason(error: Exception) -> str:
    if isinstance(error, _GivenUp):
        return str(error)
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.RequestException):
        return "no connection"
    if isinstance(error, OSError):
        return f"it cannot be written: {error.strerror}"
    return "what the server sends is another file (its MD5 differs)"
