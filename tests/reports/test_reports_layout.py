"""The frame of every page, its policy and its style sheet."""

import base64
import hashlib
import re

import pytest

from mimicry.reports.layout import document
from mimicry.reports.markup import element
from mimicry.reports.style import HEAT, STYLE

ROLES = (
    *("signal", "non-signal", "mimic", "hybrid", "non-hybrid"),
    *("one", "two", "three", "plain"),
)


def test_a_page_is_one_file_that_fits_phones_and_dark_rooms() -> None:
    page = document("A <title>", element("p", "Body"), subtitle="Below & more")
    assert page.startswith("<!doctype html>\n<html lang=")
    assert "width=device-width" in page
    assert page.count("A &lt;title&gt;") == 2
    assert "Below &amp; more" in page
    assert "<p>Body</p>" in page
    assert "default-src 'none'" in page
    assert "script-src 'none'" in page
    assert "http:" not in page and "https:" not in page and "@import" not in page


def test_the_policy_lets_only_our_own_script_run() -> None:
    script = 'document.title = "<&>";'
    page = document("Title", script=script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert f"<script>{script}</script>" in page


def test_a_page_may_use_more_of_a_large_screen() -> None:
    assert '<main class="wide">' in document("Title", wide=True)
    assert "<main>" in document("Title")


def test_the_style_sheet_is_small_and_loads_nothing() -> None:
    assert len(STYLE.encode()) < 9_000
    assert "url(" not in STYLE and "@import" not in STYLE and "<" not in STYLE
    assert STYLE.count("{") == STYLE.count("}")
    for part in ("prefers-color-scheme:dark", "@media print", "prefers-reduced-motion"):
        assert part in STYLE
    for role in ROLES:
        assert re.search(rf"\.r-{role}\{{--c:var\(--{role}\)", STYLE)


def schemes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--([\w-]+):([^;}]+)", block))
        for block in re.findall(r":root\{([^}]*--ink[^}]*)\}", STYLE)
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: tuple[float, float, float]) -> float:
    channels = [part / 255 for part in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def parsed(text: str) -> tuple[float, float, float]:
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    return tuple(int(digits[place : place + 2], 16) for place in (0, 2, 4))  # type: ignore[return-value]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("behind", ["paper", "card"])
def test_texts_and_marks_can_be_told_from_what_is_behind_them(scheme: str, behind: str) -> None:
    colours = schemes()[scheme]
    back = parsed(colours[behind])
    for name in ("ink", "soft", "accent", "link", "good", "bad"):
        assert contrast(parsed(colours[name]), back) >= 4.5, name
    for name in (*ROLES, "edge"):
        assert contrast(parsed(colours[name]), back) >= 3, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_can_be_read_on_every_shade_of_a_heat_map(scheme: str) -> None:
    colours = schemes()[scheme]
    assert colours["heat"] == " ".join(map(str, HEAT))
    paper, ink = parsed(colours["paper"]), parsed(colours["ink"])
    most = float(colours["strength"])
    for place in range(11):
        alpha = most * place / 10
        shade = tuple(alpha * h + (1 - alpha) * p for h, p in zip(HEAT, paper, strict=True))
        assert contrast(ink, shade) >= 4.5  # type: ignore[arg-type]
