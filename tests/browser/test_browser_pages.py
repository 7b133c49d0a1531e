"""Every kind of page as people meet it: in a browser, by keyboard, on a phone, in the dark."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_watch import WIDTHS, looking_at
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
# What the checker calls serious: people with a disability cannot use the thing, or hardly.
SERIOUS = {"serious", "critical"}


def run(competition: str, phase: str, submission: str) -> Callable[[Path], Path]:
    return lambda played: next((played / "runs" / competition / phase).glob(f"{submission}*"))


def results(competition: str, phase: str, submission: str, task: str) -> Callable[[Path], Path]:
    found = run(competition, phase, submission)
    return lambda played: found(played) / task / "scoring" / "detailed_results.html"


def report(competition: str, phase: str, submission: str) -> Callable[[Path], Path]:
    found = run(competition, phase, submission)
    return lambda played: found(played) / "report.html"


PAGES: dict[str, Callable[[Path], Path]] = {
    "board": lambda played: played / "board.html",
    "hybrid-full": results("hybrid", "development", "color_pattern", "hybrid"),
    "hybrid-declared": results("hybrid", "final", "color_pattern", "hybrid"),
    "A-full": results("two-task", "development", "color_pattern", "A"),
    "mimic-full": results("two-task", "development", "color_pattern", "mimic"),
    "mimic-declared": results("two-task", "final", "color_pattern", "mimic"),
    "failure": results("hybrid", "development", "failing", "hybrid"),
    "blue-full": results("blue", "development", "blue_search", "blue"),
    "blue-declared": results("blue", "final", "blue_search", "blue"),
    "red-full": results("red", "development", "red_search", "red"),
    "red-declared": results("red", "final", "red_search", "red"),
    "report": report("hybrid", "development", "color_pattern"),
    "report-two-tasks": report("two-task", "development", "color_pattern"),
    "report-failed": report("hybrid", "development", "failing"),
    "report-red": report("red", "final", "red_search"),
}


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_loads_alone_and_fits_the_screen(
    kind: str, device: str, dark: bool, played: Path, browser: "Browser"
) -> None:
    with looking_at(browser, PAGES[kind](played), WIDTHS[device], dark) as watched:
        page = watched.page
        assert page.title() and page.locator("h1").count() == 1
        # Nothing but what scrolls by itself may be wider than the screen.
        overhang = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overhang <= 0
        shot = page.screenshot(full_page=True)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    (SCREENSHOTS / f"{kind}-{device}-{'dark' if dark else 'light'}.png").write_bytes(shot)
    picture = Image.open(io.BytesIO(shot)).convert("L")
    assert picture.width == WIDTHS[device][0] and picture.height >= 300
    shades = picture.histogram()
    # Something is drawn on a ground of the wanted brightness.
    ground = max(range(256), key=shades.__getitem__)
    assert (ground < 80) if dark else (ground > 200)
    drawn = sum(shades) - sum(shades[max(0, ground - 12) : ground + 13])
    assert drawn > 0.005 * sum(shades)


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nobody_is_shut_out(kind: str, dark: bool, played: Path, browser: "Browser") -> None:
    from axe_playwright_python.sync_playwright import Axe

    with looking_at(browser, PAGES[kind](played), dark=dark) as watched:
        page = watched.page
        # What is folded is read, too.
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in SERIOUS
    ]
    assert serious == []


def test_the_page_of_a_failure_leads_to_the_errors(played: Path, browser: "Browser") -> None:
    with looking_at(browser, PAGES["failure"](played)) as watched:
        page = watched.page
        assert "weights.npz is not there" in page.locator("main").inner_text()
        link = page.locator("a[href='#errors']").first
        link.click()
        page.locator("#errors").get_by_text("no-model-file", exact=True).wait_for(
            state="visible", timeout=5000
        )
