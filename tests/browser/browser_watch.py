"""Opens a page and notes everything that goes wrong in it and everything that it asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = {"phone": (360, 740), "desktop": (1280, 900)}


class Watched:
    """A page, with everything that went wrong in it and everything that it asked for."""

    def __init__(self, page: "Page", file: Path) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))
        page.goto(file.as_uri())

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.troubles.append(text)


@contextmanager
def looking_at(
    browser: "Browser", file: Path, size: tuple[int, int] = WIDTHS["desktop"], dark: bool = False
) -> Iterator[Watched]:
    """Open a page and, in the end, check that nothing went wrong and nothing was asked for."""
    width, height = size
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    try:
        watched = Watched(context.new_page(), file)
        yield watched
        assert watched.troubles == []
        own = file.as_uri()
        elsewhere = [u for u in watched.requests if not u.startswith("data:") and u != own]
        assert elsewhere == []
    finally:
        context.close()
