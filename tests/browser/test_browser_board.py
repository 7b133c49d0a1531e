"""The board's page under real clicks and keys: tabs, sorting, links to the runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser_watch import WIDTHS, looking_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

COMPETITIONS = {"two-task", "hybrid", "blue", "red"}


def panel(page: "Page", competition: str, phase: str) -> "Locator":
    return page.locator(f"[data-competition='{competition}'] [data-phase='{phase}']")


def open_board(page: "Page", competition: str, phase: str) -> "Locator":
    """Click the two tabs that lead to a board."""
    for name in (competition, f"{competition}-{phase}"):
        page.locator(f"[role=tab][aria-controls='{name}']").click()
    found = panel(page, competition, phase)
    found.wait_for(state="visible", timeout=5000)
    return found


def column(board: "Locator", position: int) -> list[str]:
    rows = board.locator("tbody tr[data-rank]").all()
    return [row.locator("th, td").nth(position).inner_text().strip() for row in rows]


def ranks(board: "Locator") -> list[int]:
    rows = board.locator("tbody tr[data-rank]").all()
    return [int(row.get_attribute("data-rank") or 0) for row in rows]


def test_tabs_show_one_board_at_a_time(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        page = watched.page
        boards = page.locator("table[data-sortable]")
        # Two phases in each of the four competitions.
        assert boards.count() == 8
        for competition in COMPETITIONS:
            for phase in ("development", "final"):
                shown = open_board(page, competition, phase)
                assert shown.locator("table[data-sortable]").first.is_visible()
                assert sum(one.is_visible() for one in boards.all()) == 1


def test_tabs_obey_the_arrow_keys(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        page = watched.page
        first = page.get_by_role("tab").first
        first.focus()
        before = first.inner_text()
        page.keyboard.press("ArrowRight")
        chosen = page.locator("[role=tab][aria-selected=true]").first
        assert chosen.inner_text() != before
        assert chosen.evaluate("one => one === document.activeElement")
        page.keyboard.press("ArrowLeft")
        assert first.get_attribute("aria-selected") == "true"
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"


def test_the_address_remembers_the_tab(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        page = watched.page
        open_board(page, "red", "final")
        assert "#" in page.url
        page.reload()
        assert panel(page, "red", "final").is_visible()
        assert not panel(page, "hybrid", "development").is_visible()


def test_on_a_phone_the_tabs_take_a_line_and_stay_in_sight(
    played: Path, browser: "Browser"
) -> None:
    width, height = WIDTHS["phone"]
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    try:
        page = context.new_page()
        for competition in sorted(COMPETITIONS):
            page.goto("about:blank")
            page.goto(f"{(played / 'board.html').as_uri()}#{competition}-final")
            assert panel(page, competition, "final").is_visible()
            lists = [one for one in page.get_by_role("tablist").all() if one.is_visible()]
            assert len(lists) == 2
            for one in lists:
                around = one.bounding_box()
                chosen = one.locator("[aria-selected=true]").bounding_box()
                assert around is not None and chosen is not None
                assert 0 <= around["y"] < height / 2 and around["height"] < 70
                assert chosen["x"] >= 0 and chosen["x"] + chosen["width"] <= width
        lists[0].get_by_role("tab").first.focus()
        for key in ("End", "Home"):
            page.keyboard.press(key)
            box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
            assert box["left"] >= 0 and box["right"] <= width
    finally:
        context.close()


def test_a_click_on_a_heading_sorts_and_the_order_comes_back(
    played: Path, browser: "Browser"
) -> None:
    with looking_at(browser, played / "board.html") as watched:
        page = watched.page
        board = open_board(page, "hybrid", "development")
        original = ranks(board)
        assert original == [1, 2, 3]
        for key in ("A_score_major_recall", "mimic_PRC_AUC"):
            heading = board.locator(f"th[data-column='{key}']")
            position = heading.evaluate("one => one.cellIndex")
            heading.get_by_role("button").click()
            first_direction = heading.get_attribute("aria-sort")
            values = [float(value) for value in column(board, position)]
            wanted = sorted(values, reverse=first_direction == "descending")
            assert first_direction in {"ascending", "descending"} and values == wanted
            heading.get_by_role("button").click()
            assert heading.get_attribute("aria-sort") != first_direction
            assert [float(value) for value in column(board, position)] == wanted[::-1]
        board.get_by_role("button", name="order").click()
        assert ranks(board) == original
        assert board.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 0


def test_sorting_works_by_keyboard(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        board = open_board(watched.page, "hybrid", "development")
        board.locator("th[data-column='mimic_recall'] button").focus()
        watched.page.keyboard.press("Enter")
        heading = board.locator("th[data-column='mimic_recall']")
        assert heading.get_attribute("aria-sort") in {"ascending", "descending"}


def test_every_row_leads_to_the_page_of_its_run(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        links = watched.page.locator("tbody tr[data-rank] a[href]")
        addresses = links.evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert len(addresses) == len(set(addresses)) >= 16
    for address in addresses:
        assert not address.startswith(("/", "http", "file:")) and ".." not in address
        assert (played / address).is_file()
    with looking_at(browser, played / addresses[0]) as watched:
        assert watched.page.locator("h1").count() == 1


@pytest.mark.parametrize("phase", ["development", "final"])
def test_the_board_tells_how_sure_it_is(phase: str, played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        board = open_board(watched.page, "hybrid", phase)
        text = board.inner_text()
        assert "95 %" in text
        # Pure noise and what knows next to nothing are not told apart on so few images.
        assert "told apart" in text
        assert ("migrated" in text) == (phase == "final")


def test_strangers_names_are_text(played: Path, browser: "Browser") -> None:
    with looking_at(browser, played / "board.html") as watched:
        board = open_board(watched.page, "hybrid", "development")
        assert '<img src=x onerror="alert(1)">' in board.inner_text()
        assert watched.page.locator("img[src=x]").count() == 0


def test_without_scripts_everything_is_shown(played: Path, browser: "Browser") -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    try:
        page = context.new_page()
        page.goto((played / "board.html").as_uri())
        boards = page.locator("table[data-sortable]")
        assert boards.count() == 8 and all(one.is_visible() for one in boards.all())
    finally:
        context.close()
