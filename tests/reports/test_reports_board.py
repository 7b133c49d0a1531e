"""The boards' page: what it shows, whoever the names are from."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_reader import Page

from mimicry.reports.board import board_page
from mimicry.reports.board_parts import (
    BoardColumn,
    BoardFailure,
    BoardRow,
    CompetitionPart,
    PhasePart,
)
from mimicry.reports.board_script import SCRIPT

RANKING = BoardColumn("score", "Score", 4, True)
OTHER = BoardColumn("loss", "Loss", 2, False)


def row(name: str = "ann", value: float | None = 0.5, **changes: object) -> BoardRow:
    made = BoardRow(name, f"{name}.zip", value, None, None, False, [0.25], [], [], None)
    return made._replace(**changes)


def phase(*rows: BoardRow, **changes: object) -> PhasePart:
    made = PhasePart(
        *(
            "final",
            "x-final",
            "Final",
            "About it.",
            RANKING,
            [OTHER],
            rows,
            [],
            None,
            [],
            "By draws.",
        )
    )
    return made._replace(**changes)


def page(*phases: PhasePart) -> tuple[str, Page]:
    text = board_page([CompetitionPart("x", "x", "The X", phases)], made="Made today.")
    return text, Page(text)


def test_rows_and_columns_can_be_found_by_their_hooks() -> None:
    _, found = page(phase(row("ann", 0.9), row("bob", 0.1)))
    assert found.hooks("data-competition") == ["x"]
    assert found.hooks("data-phase") == ["final"]
    assert found.hooks("data-rank") == ["1", "2"]
    columns = ["rank", "participant", "score", "history", "submission", "loss"]
    assert found.hooks("data-column") == columns
    cells = len(found.all("td")) + sum(a.get("scope") == "row" for a in found.all("th"))
    assert cells == 2 * len(columns)
    assert "0.9000" in found.words and "0.25" in found.words


def test_intervals_and_ranks_are_shown_as_text_and_drawn() -> None:
    sure = row("ann", 0.9, interval=(0.8, 0.95), ranks=(1, 2))
    tied = row("bob", 0.85, interval=(0.7, 0.9), ranks=(1, 3), tied_with_first=True)
    none = row("eve", None, cells=[None])
    _, found = page(phase(sure, tied, none))
    assert "ranks" in found.hooks("data-column")
    for words in ("0.80–0.95", "0.70–0.90", "1–2", "1–3", "By draws."):
        assert words in found.words
    told = [text for around, text in found.texts if around[-1:] == ("small",)]
    assert told.count("not told apart from the first") == 1
    # Under the score, too, where a phone shows nothing beside it.
    assert {"possible ranks 1–2", "possible ranks 1–3"} <= set(told)
    assert "Possible ranks" in found.words
    assert sum(a.get("class") == "spark r-plain" for a in found.all("svg")) == 2
    assert "n/a" in found.words


def test_a_value_of_one_task_of_several_names_it() -> None:
    _, found = page(phase(row("ann", 0.7, interval=(0.695, 0.705), task="mimic"), row("bob")))
    told = [text for around, text in found.texts if around[-1:] == ("small",)]
    assert told[:2] == ["mimic", "0.695–0.705"] and told.count("mimic") == 1


def test_an_interval_has_no_more_decimals_than_its_column() -> None:
    count = BoardColumn("score", "Models", 0, True)
    _, found = page(phase(row(value=12.0, interval=(0.0, 12.0)), ranking=count))
    assert "0–12" in found.words


def test_names_are_broken_at_joints_and_read_in_one() -> None:
    text, found = page(phase(row("ann", submission="color_pattern-1.2/x")))
    assert "color_<wbr>pattern-<wbr>1.<wbr>2/<wbr>x" in text
    assert "color_pattern-1.2/x" in found.words


def test_ranks_that_are_not_told_apart_are_named_in_sight() -> None:
    told = "Not told apart: ranks 2 and 3."
    _, found = page(phase(row("ann"), row("bob"), together=told))
    (around,) = [around for around, text in found.texts if text == told]
    assert "details" not in around and "table" not in around
    assert told not in page(phase(together=told))[1].words


def test_captions_do_not_scroll_away_and_regions_have_names_of_their_own() -> None:
    parts = [
        CompetitionPart(key, key, name, [phase(row(), key=other, anchor=f"{key}-{other}",
                                               name=other) for other in ("a", "b")])
        for key, name in (("x", "The X"), ("y", "The Y"))
    ]  # fmt: skip
    found = Page(board_page(parts, made="now"))
    assert not found.all("caption")
    (around, *_) = [around for around, text in found.texts if text.startswith("1 row; ")]
    assert "table" not in around
    names = [a["aria-label"] for a in found.all("div") if a.get("role") == "region"]
    assert len(set(names)) == 4


def test_without_intervals_the_page_says_so() -> None:
    _, found = page(phase(row(), method=None))
    assert "ranks" not in found.hooks("data-column")
    assert "were not computed" in found.words


def test_a_hidden_ranking_column_is_neither_drawn_nor_named() -> None:
    _, found = page(phase(row(value=None), ranking=None))
    assert found.hooks("data-column") == ["rank", "participant", "submission", "loss"]
    assert not found.all("svg")


def test_values_to_sort_by_are_those_shown_and_absent_where_there_is_none() -> None:
    text, found = page(
        phase(
            row("ann", 1 / 3, cells=[None]), row("bob", 0.12345678, history=[("now", 0.12345678)])
        )
    )
    values = found.hooks("data-value")
    assert "0.3333" in values and "0.1235" in values
    # Rank, participant, score and submission have one; loss and runs over time may have none.
    assert len(values) == 4 + 6
    # Many exact scores together tell of single labels.
    assert "0.33333" not in text and "0.1234" not in text


def test_history_has_the_same_facts_as_text() -> None:
    runs = [(f"2026-11-{day:02} 00:00", day / 100) for day in range(1, 29)]
    text, found = page(phase(row(history=runs)))
    assert "28 runs" in found.words
    for when, value in runs:
        assert f"{when}: {value:.4f}" in text


def test_failed_runs_and_notes() -> None:
    failures = [BoardFailure("bob", "b.zip", "task x: it <b>failed</b> [code]", "runs/a.html")]
    _, found = page(phase(row(), failures=failures, notes=["A note."]))
    assert "it <b>failed</b> [code]" in found.words and "A note." in found.words
    assert not found.all("b")
    assert {"href": "runs/a.html"} in found.all("a")


def test_no_rows_and_no_boards() -> None:
    assert "No finished run yet" in page(phase())[1].words
    assert "No runs yet" in Page(board_page([], made="now")).words


def test_several_phases_are_sections_with_headings_of_their_own() -> None:
    _, found = page(
        phase(row(), key="a", anchor="x-a", name="First"),
        phase(row(), key="b", anchor="x-b", name="Second"),
    )
    ids = [a["id"] for a in found.all("section") if a.get("class") == "panel"]
    assert ids == ["x", "x-a", "x-b"]
    headings = [text for around, text in found.texts if {"h1", "h2", "h3"} & set(around[-1:])]
    assert headings == ["Boards", "The X", "First", "Second"]
    # Nothing is hidden before the script runs.
    assert not any("hidden" in attributes for _, attributes in found.found)


def test_the_policy_names_the_script_and_the_script_is_plain() -> None:
    text, found = page(phase(row()))
    scripts = [part for around, part in found.texts if around[-1:] == ("script",)]
    assert "".join(scripts) == SCRIPT
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = next(a["content"] for a in found.all("meta") if "http-equiv" in a)
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert not re.search(r"innerHTML|eval\(|document\.write|fetch\(|</", SCRIPT)
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


@given(
    name=st.text(max_size=200),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
)
def test_no_name_and_no_number_breaks_the_page(name: str, values: list[float]) -> None:
    low, high = min(values), max(values)
    rows = [
        row(name, v, interval=(low, high), ranks=(1, 2), cells=[v], marks=[(name, name)],
            history=[(name, v)] * 2)
        for v in values
    ]  # fmt: skip
    _, found = page(phase(*rows, failures=[BoardFailure(name, name, name, None)]))
    assert len(found.hooks("data-rank")) == len(values)
    assert len(found.all("script")) == 1
    for line in found.all("line") + found.all("rect"):
        for at in ("x1", "x2", "x"):
            assert -1 <= float(line.get(at) or 0) <= 97


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "'\"><img src=x onerror=y>"])
def test_markup_in_names_is_text(name: str) -> None:
    _, found = page(phase(row(name, marks=[("early", name)])))
    assert name in found.words
    assert len(found.all("script")) == 1 and not found.all("img")
