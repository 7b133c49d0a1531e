"""A real browser, and a competition played by strangers for it to look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_play import play
from filelock import FileLock

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without these Chromium looks for updates, which closed networks refuse many times a second.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The machine's Chromium without a window; skips, or fails in CI, where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        reason = "there is no Chromium here (Debian: apt-get install chromium fonts-dejavu-core)"
        if os.environ.get("MIMICRY_REQUIRE_BROWSER") == "1":
            pytest.fail(f"MIMICRY_REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox does not start for root; only pages made here are opened.
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=[*QUIET, *sandbox])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def played(
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
    put_demo: Callable[[Path], None],
    put_zoo: Callable[[Path], None],
) -> Path:
    """A bundle with runs of every kind, and their pages; made once for all processes."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder = shared / "played"
    with FileLock(shared / "played.lock"):
        if not (folder / "done").exists():
            play(folder, put_demo, put_zoo)
            (folder / "done").touch()
    return folder
