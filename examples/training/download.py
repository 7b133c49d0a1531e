"""Downloading the images of the training table, each checked by its MD5."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import pooch
import requests
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
    incoming = folder / INCOMING
    keeper = pooch.create(
        path=incoming,
        base_url="",
        registry={row.filename: f"md5:{row.md5}" for row in rows},
        urls={row.filename: str(row.url) for row in rows},
        retry_if_failed=RETRIES,
    )
    patient = _Patient()

    def fetch(row: Row) -> bool:
        target = folder / (find_image(folder, row) or places(row)[0])
        if target.is_file() and pooch.file_hash(str(target), alg="md5") == row.md5:
            return False
        path = Path(keeper.fetch(row.filename, downloader=patient))
        target.parent.mkdir(parents=True, exist_ok=True)
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
    shutil.rmtree(incoming, ignore_errors=True)
    failures = tuple(Failure(row, reasons[row.filename]) for row in rows if row.filename in reasons)
    for failure in failures[:FAILURES_SHOWN]:
        report(f"  {failure.row.filename}: {failure.reason} ({failure.row.url})")
    if len(failures) > FAILURES_SHOWN:
        report(f"  and {len(failures) - FAILURES_SHOWN:,} more")
    return Download(kept, fetched, failures)


class _GivenUp(Exception):  # noqa: N818 - an outcome of one image, worded by `_reason`
    """Says why an image is not tried again; pooch retries all other failures."""


class _Patient:
    """Pooch's own downloader, held back for as long as the server asks, for all threads."""

    def __init__(self) -> None:
        agent = f"mimicry/{__version__} (training example)"
        # An image is compressed already, and only whole bytes have the right MD5.
        headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self._download = pooch.HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT, headers=headers)
        self._stopped = threading.Event()
        self._free_from = 0.0

    def give_up(self) -> None:
        """Let whatever waits or has not begun fail at once."""
        self._stopped.set()

    def __call__(self, url: str, output_file: Any, keeper: Any) -> None:
        for _ in range(BUSY_WAITS):
            self._wait()
            try:
                self._download(url, output_file, keeper)
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
