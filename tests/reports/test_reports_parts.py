"""Tables, cards and sections."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.reports.facts import ScoreRow
from mimicry.reports.markup import element, written
from mimicry.reports.parts import (
    breakable,
    card,
    facts_table,
    inline,
    interval_decimals,
    score_table,
    section,
    table,
)


def test_the_score_table_shows_every_column_with_four_decimals() -> None:
    rows = [ScoreRow("score", "Score <1>", 0.123456, "Higher & better."), ScoreRow("b", "B", 1, "")]
    made = score_table(rows, caption="3 images")
    text = "".join(made.itertext())
    for part in ("3 images", "Score <1>", "score", "0.1235", "1.0000", "Higher & better."):
        assert part in text
    assert [row.get("class") for row in made.findall("tbody/tr")] == ["first", None]
    assert [cell.get("scope") for cell in made.findall("tbody/tr/th")] == ["row", "row"]


@pytest.mark.parametrize(
    ("low", "high", "most", "decimals"),
    [
        *((0.2, 0.8, 4, 2), (0.4, 0.5, 4, 2), (0.4, 0.4999, 4, 3), (0.5, 0.51, 4, 3)),
        *((0.5, 0.5099, 4, 4), (0.5, 0.5, 4, 4), (0.5, 0.5, 3, 3), (0.0, 12.0, 0, 0)),
    ],
)
def test_wide_intervals_have_few_decimals(
    low: float, high: float, most: int, decimals: int
) -> None:
    assert interval_decimals(low, high, most) == decimals


@given(st.text(alphabet="ab_-./ <&", max_size=20))
def test_a_breakable_name_stays_what_it_is(name: str) -> None:
    made = element("bdi", *breakable(name))
    assert "".join(made.itertext()) == name
    for joint in made:
        assert joint.tag == "wbr" and joint.tail
        assert joint.tail[0] not in "_-./"


def test_the_facts_table_names_its_rows() -> None:
    made = facts_table([("Python", "3.11"), ("<b>", "&")], caption="Versions")
    assert ["".join(row.itertext()) for row in made.findall("tbody/tr")] == ["Python3.11", "<b>&"]
    assert "&lt;b&gt;" in written(made)


def test_a_wide_table_scrolls_by_itself_and_has_a_name() -> None:
    made = table(
        ["Team", "Score"], [["a", "1"], [element("b", "c"), None]], caption="Board", numeric={1}
    )
    assert made.findtext("p") == "Board"
    region = made.find("div")
    assert region is not None
    assert (region.get("tabindex"), region.get("role"), region.get("aria-label")) == (
        *("0", "region"),
        "Board",
    )
    assert [cell.get("class") for cell in made.findall(".//td")] == ["n", "n"]
    assert [cell.get("scope") for cell in made.findall(".//th")] == ["col", "col", "row", "row"]
    assert made.find(".//tbody/tr/th/b") is not None


def test_a_table_refuses_rows_of_another_length() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under 2 headings"):
        table(["a", "b"], [["c"]], caption="d")


def test_cards_and_sections_hold_what_they_are_given() -> None:
    assert written(card("a", None, role="bad")) == '<div class="card bad">a</div>'
    assert written(card("a")) == '<div class="card note">a</div>'
    assert written(section("H <", "b")) == "<section><h2>H &lt;</h2>b</section>"


def test_marked_words_become_elements() -> None:
    made = element("p", *inline("put `a*b*<c>` in *the* zip, 2 * 3 = 6"))
    assert written(made) == ("<p>put <code>a*b*&lt;c&gt;</code> in <em>the</em> zip, 2 * 3 = 6</p>")


@settings(deadline=None)
@given(st.text("ab`*< ", max_size=40))
def test_marks_cost_no_letter(text: str) -> None:
    made = element("p", *inline(text))
    assert "".join(made.itertext()).replace("`", "").replace("*", "") == text.replace(
        "`", ""
    ).replace("*", "")
    assert {child.tag for child in made} <= {"code", "em"}
