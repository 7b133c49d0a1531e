"""Charts: whatever is drawn stays in its picture, and the numbers stand below it."""

import base64
import io
import math
import re
from collections.abc import Callable
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mimicry.reports.charts import (
    Bar,
    Bubble,
    Curve,
    Interval,
    Steps,
    bar_chart,
    curve_chart,
    funnel_chart,
    heat_map,
    interval_chart,
    sparkline,
    step_chart,
)
from mimicry.reports.charts.axes import WIDTH, brief, number, path, shortened, text_width, ticks
from mimicry.reports.markup import written

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHARES = st.floats(0, 1)
NAMES = st.text(max_size=120)
ROLE_NAMES = st.sampled_from(
    ["signal", "non-signal", "mimic", "hybrid", "non-hybrid", "one", "two", "three", "x", ""]
)
WRONG = (math.nan, math.inf, -math.inf)
AXES = {"x_title": "x", "y_title": "y"}

CHARTS: dict[str, Callable[[float], Element]] = {
    "interval": lambda v: interval_chart([Interval("a", v, 0.1, 0.9)], title="t"),
    "interval end": lambda v: interval_chart([Interval("a", 0.5, v, 0.9)], title="t"),
    "interval scale": lambda v: interval_chart([], title="t", low=v),
    "bar": lambda v: bar_chart([Bar("a", v)], title="t"),
    "bar scale": lambda v: bar_chart([Bar("a", 1)], title="t", high=v),
    "bar mark": lambda v: bar_chart([Bar("a", 1)], title="t", marks=[("m", v)]),
    "curve": lambda v: curve_chart([Curve("a", [(0, 0), (v, 1)], "one")], title="t", **AXES),
    "curve mark": lambda v: curve_chart([Curve("a", [(0, 0)], "one", (0, v))], title="t", **AXES),
    "curve limit": lambda v: curve_chart(
        [Curve("a", [(0, 0)], "one")], title="t", limit=("l", v), **AXES
    ),
    "step": lambda v: step_chart([Steps("a", [0, 1], [v], "one")], title="t", **AXES),
    "step edge": lambda v: step_chart([Steps("a", [0, v], [1], "one")], title="t", **AXES),
    "funnel": lambda v: funnel_chart([Bubble("a", 3, v, "")], title="t", half_width=None, **AXES),
    "funnel width": lambda v: funnel_chart(
        [Bubble("a", 3, 0.5, "")], title="t", half_width=lambda count: v, **AXES
    ),
    "heat": lambda v: heat_map([[v]], ["a"], title="t"),
    "spark": lambda v: sparkline([v], title="t"),
}


def checked_picture(made: Element) -> str:
    """Check that all of a chart lies in its picture; return what it says."""
    picture = made if made.tag == "svg" else made.find("svg")
    if picture is not None:
        assert picture.get("role") == "img"
        assert picture.get("aria-label")
        _, _, width, height = map(float, (picture.get("viewBox") or "").split())
        for one in picture.iter():
            for name, value in one.attrib.items():
                if name in {"x", "x1", "x2", "cx"}:
                    assert 0 <= float(value) <= width
                elif name in {"y", "y1", "y2", "cy"}:
                    assert 0 <= float(value) <= height
                elif name in {"width", "height", "r"}:
                    assert 0 <= float(value) <= max(width, height)
                elif name == "d":
                    numbers = list(map(float, re.findall(r"[-\d.]+", value)))
                    assert re.fullmatch(r"[ML\d. Z-]*", value)
                    assert all(0 <= place <= width for place in numbers[::2])
                    assert all(0 <= place <= height for place in numbers[1::2])
        assert "#" not in str([one.get("fill") for one in picture.iter()])
    assert "nan" not in re.sub(r">[^<]*<|\"[^\"]*\"", "", written(made))
    return "".join(made.itertext())


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("chart", CHARTS)
def test_no_chart_draws_what_is_no_number(chart: str, wrong: float) -> None:
    CHARTS[chart](0.5)
    with pytest.raises(ValueError, match="finite"):
        CHARTS[chart](wrong)


@pytest.mark.parametrize(
    "made",
    [
        interval_chart([], title="t"),
        bar_chart([], title="t"),
        curve_chart([], title="t", **AXES),
        curve_chart([Curve("a", [], "one")], title="t", **AXES),
        step_chart([], title="t", **AXES),
        funnel_chart([], title="t", half_width=None, **AXES),
        heat_map([], [], title="t"),
    ],
)
def test_a_chart_of_nothing_says_so(made: Element) -> None:
    assert made.find("svg") is None
    assert "nothing to show" in checked_picture(made)


@settings(deadline=None)
@given(st.lists(st.builds(Interval, NAMES, FINITE, FINITE, FINITE, NAMES, ROLE_NAMES), max_size=4))
def test_intervals_stay_in_the_picture(rows: list[Interval]) -> None:
    checked_picture(interval_chart(rows, title="t"))
    checked_picture(interval_chart(rows, title="t", low=-1e308, high=1e308))


def test_intervals_tell_their_numbers_and_lie_on_one_scale() -> None:
    made = interval_chart(
        [Interval("a", 0.5, 0.25, 0.75, role="signal"), Interval("b", 1.0, None, None, "note")],
        title="Columns",
    )
    text = checked_picture(made)
    for part in ("Columns", "0.5000 (0.250 to 0.750)", "1.0000", "note", "0.2500"):
        assert part in text
    whisker = made.find(".//line[@class='l w']")
    marks = [float(mark.get("cx", "")) for mark in made.iter("circle")]
    assert whisker is not None
    start, end = float(whisker.get("x1", "")), float(whisker.get("x2", ""))
    assert marks[0] == pytest.approx((start + end) / 2, abs=0.02)
    assert marks[1] - marks[0] == pytest.approx(2 * (marks[0] - start), abs=0.05)
    assert made.find(".//g[@class='r-signal']") is not None


@settings(deadline=None)
@given(
    st.lists(st.builds(Bar, NAMES, FINITE, NAMES, ROLE_NAMES), max_size=4),
    st.lists(st.tuples(NAMES, FINITE), max_size=2),
)
def test_bars_stay_in_the_picture(rows: list[Bar], marks: list[tuple[str, float]]) -> None:
    checked_picture(bar_chart(rows, title="t", marks=marks))
    checked_picture(bar_chart(rows, title="t", low=0.2, high=0.2, marks=marks))


def test_bars_are_as_long_as_their_values() -> None:
    made = bar_chart([Bar("a", 10, "s"), Bar("b", 5, "s")], title="t", marks=[("Limit", 20)])
    text = checked_picture(made)
    assert "10 s" in text and "Limit 20" in text
    whole, half = (float(bar.get("width", "")) for bar in made.findall(".//rect[@class='f']"))
    assert whole == pytest.approx(2 * half, abs=0.02)
    behind = made.find(".//rect[@class='b']")
    assert behind is not None and float(behind.get("width", "")) == pytest.approx(2 * whole)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Curve,
            NAMES,
            st.lists(st.tuples(FINITE, FINITE), max_size=8),
            ROLE_NAMES,
            st.none() | st.tuples(FINITE, FINITE),
        ),
        max_size=3,
    ),
    st.booleans(),
    st.none() | st.tuples(NAMES, FINITE),
)
def test_curves_stay_in_the_picture(
    curves: list[Curve], diagonal: bool, limit: tuple[str, float] | None
) -> None:
    checked_picture(curve_chart(curves, title="t", diagonal=diagonal, limit=limit, **AXES))


def test_a_limit_of_curves_is_an_upright_line_with_its_name() -> None:
    made = curve_chart(
        [Curve("a", [(0, 0), (1, 1)], "one", (0.25, 0.5))], title="t", limit=("rule", 0.25), **AXES
    )
    upright = [
        one for one in made.findall("svg/line[@class='e']") if one.get("x1") == one.get("x2")
    ]
    mark = made.find(".//g[@class='r-one']/circle")
    assert mark is not None and mark.get("cx") in {one.get("x1") for one in upright}
    assert "rule" in checked_picture(made)


def test_a_long_curve_is_drawn_small_and_told_short() -> None:
    points = [(place / 50_000, (place / 50_000) ** 0.5) for place in range(50_001)]
    made = curve_chart([Curve("a", points, "one", (0.5, 0.7))], title="t", **AXES)
    drawn = made.find(".//path[@class='l']")
    assert drawn is not None
    assert len(drawn.get("d", "")) < 12_000
    # With its mark.
    assert len(made.findall(".//tbody/tr")) == 12
    assert "1.000" in checked_picture(made)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(FINITE, min_size=2, max_size=6, unique=True).flatmap(
            lambda edges: st.builds(
                Steps,
                NAMES,
                st.just(sorted(edges)),
                st.lists(st.floats(0, 1.7e308), min_size=len(edges) - 1, max_size=len(edges) - 1),
                ROLE_NAMES,
            )
        ),
        max_size=3,
    )
)
def test_histograms_stay_in_the_picture(series: list[Steps]) -> None:
    checked_picture(step_chart(series, title="t", **AXES))


@pytest.mark.parametrize(
    ("edges", "heights"), [([0, 1], [1, 2]), ([0, 0], [1]), ([1, 0], [1]), ([0, 1], [-1])]
)
def test_a_histogram_refuses_what_is_none(edges: list[float], heights: list[float]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        step_chart([Steps("a", edges, heights, "one")], title="t", **AXES)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(Bubble, NAMES, st.floats(1, 1.7e308), SHARES, ROLE_NAMES),
        max_size=6,
    ),
    st.none() | st.floats(0, 2),
)
def test_funnels_stay_in_the_picture(points: list[Bubble], half: float | None) -> None:
    half_width = None if half is None else (lambda count: half / math.sqrt(count))
    checked_picture(funnel_chart(points, title="t", half_width=half_width, **AXES))


def test_a_funnel_refuses_counts_below_one_and_asks_for_none() -> None:
    asked: list[float] = []

    def half_width(count: float) -> float:
        asked.append(count)
        return 0.1

    funnel_chart([Bubble("a", 1, 1, "")], title="t", half_width=half_width, **AXES)
    assert min(asked) >= 1
    with pytest.raises(ValueError, match="1 or more"):
        funnel_chart([Bubble("a", 0.5, 1, "")], title="t", half_width=None, **AXES)


def test_the_ends_of_a_funnels_band_stand_in_its_table() -> None:
    points = [Bubble("a", 30, 0.9, "one"), Bubble("b", 10, 0.5, "two")]
    made = funnel_chart(points, title="t", half_width=lambda count: 3 / count, **AXES)
    rows = [["".join(cell.itertext()) for cell in row] for row in made.iter("tr")]
    assert rows[1:] == [
        ["a", "30", "0.900", "0.700", "0.900"],
        ["b", "10", "0.500", "0.500", "1.000"],
    ]
    # One answer: no interval of the points' own.
    assert made.findall(".//line[@class='l w']") == []


def test_names_in_a_funnel_do_not_cover_each_other() -> None:
    points = [Bubble(f"name {place}", 10, 0.5, "one") for place in range(30)]
    made = funnel_chart(points, title="t", half_width=None, **AXES)
    places = [(text.get("x"), text.get("y")) for text in made.findall(".//text[@class='h']")]
    assert len(places) == len(set(places)) < 30
    assert "name 29" in checked_picture(made)


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.lists(
                st.lists(FINITE, min_size=count, max_size=count), min_size=count, max_size=count
            ),
            st.lists(NAMES, min_size=count, max_size=count),
        )
    )
)
def test_a_small_heat_map_is_a_table(square: tuple[list[list[float]], list[str]]) -> None:
    values, names = square
    made = heat_map(values, names, title="t")
    cells = made.findall(".//tbody/tr/td")
    assert len(cells) == len(names) ** 2
    for cell in cells:
        assert re.fullmatch(r"--v:[01]\.\d\d", cell.get("style", ""))
    written(made)


def test_a_heat_map_shades_by_value() -> None:
    made = heat_map([[1, 0.25], [-3, 0]], ["a", "b"], title="t")
    cells = made.findall(".//tbody/tr/td")
    assert [cell.get("style") for cell in cells] == ["--v:1.00", "--v:0.25", "--v:0.00", "--v:0.00"]
    assert [cell.text for cell in cells] == ["1.00", "0.25", "-3.00", "0.00"]


def test_a_heat_map_numbers_columns_and_rows() -> None:
    made = heat_map([[1, 0], [0, 1]], ["resnet", "mixer"], title="t")
    assert [head.text for head in made.iter("th")] == ["1", "2", "1 resnet", "2 mixer"]
    assert [head.get("title") for head in made.iter("th")] == ["resnet", "mixer"] * 2


def test_a_heat_map_of_names_with_numbers_has_no_others() -> None:
    names = ["model 4", "model 2"]
    made = heat_map([[1, 0], [0, 1]], names, title="t", short=["4", "2"])
    assert [head.text for head in made.iter("th")] == ["4", "2", *names]
    assert [head.get("title") for head in made.iter("th")] == names * 2
    for short in ([], ["4"], ["4", "2", "1"]):
        with pytest.raises(ValueError, match="as many short ones"):
            heat_map([[1, 0], [0, 1]], names, title="t", short=short)


def test_a_large_heat_map_is_a_picture_that_tells_its_extremes() -> None:
    count = 41
    values = [[1.0 if a == b else 0.5 for b in range(count)] for a in range(count)]
    values[3][7], values[40][2] = 0.125, 0.875
    made = heat_map(values, [f"name{place}" for place in range(count)], title="t")
    image = made.find("img")
    assert image is not None and image.get("alt") == "t"
    data = base64.b64decode(image.get("src", "").partition("base64,")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (count, count)
        alpha = picture.convert("RGBA").getchannel("A")
        shades = [alpha.getpixel(place) for place in ((7, 3), (2, 40), (5, 5), (0, 1))]
    assert shades == [32, 223, 255, 128]
    text = checked_picture(made)
    assert "0.12 (name3 and name7)" in text
    assert "0.88 (name40 and name2)" in text


@pytest.mark.parametrize("values", [[[1.0]], [[1.0, 2.0], [1.0]], [[1.0, 2.0]]])
def test_a_heat_map_refuses_what_is_no_square(values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="heat map of 2 names"):
        heat_map(values, ["a", "b"], title="t")


@settings(deadline=None)
@given(st.lists(FINITE, max_size=20))
def test_sparklines_stay_in_the_picture(values: list[float]) -> None:
    made = sparkline(values, title="t")
    checked_picture(made)
    assert (made.find("path") is not None) == (len(values) > 1)
    assert (made.find("circle") is not None) == bool(values)


def test_equal_values_make_a_flat_line() -> None:
    line = sparkline([0.3, 0.3, 0.3], title="t").find("path")
    assert line is not None
    assert len({point.split()[1] for point in re.split("[ML]", line.get("d", ""))[1:]}) == 1


def test_a_long_name_is_cut_in_the_picture_and_whole_on_pointing() -> None:
    name = "W" * 300 + "<end>"
    made = interval_chart([Interval(name, 0.5, 0.4, 0.6)], title="t")
    text = made.find("svg/g/text")
    assert text is not None
    assert "".join(text.itertext()).startswith(name)
    assert (text[0].tail or "").endswith("…") and len(text[0].tail or "") < 40


@settings(deadline=None)
@given(st.text(max_size=80), st.floats(0, 400))
def test_a_cut_text_is_no_longer_than_the_text(text: str, width: float) -> None:
    cut = shortened(text, width)
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))
    if cut != text:
        assert text_width(cut) <= max(width, text_width("…")) + 1e-9


@settings(deadline=None)
@given(FINITE, FINITE, st.integers(1, 6))
def test_ticks_lie_within_the_scale(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    found = ticks(low, high, most)
    assert 1 <= len(found) <= 4 * most + 2
    assert found == sorted(found)
    assert all(low <= tick <= high for tick in found)


@pytest.mark.parametrize(
    "made",
    [
        step_chart([Steps("a", [0, 1_000_000], [2_000_000], "one")], title="t", **AXES),
        interval_chart([Interval("a", 0.5, 0.4, 0.6)], title="t", low=0.3875, high=0.6125),
        interval_chart([Interval("a", 0.5, 0.4, 0.6)], title="t", low=-1e6, high=1e6),
    ],
)
def test_the_numbers_of_an_axis_are_not_cut_off(made: Element) -> None:
    for text in made.findall(".//text"):
        at, width = float(text.get("x", "")), text_width(text.text or "")
        start = {"middle": at - width / 2, "end": at - width}.get(text.get("text-anchor", ""), at)
        assert start >= 0
        assert start + width <= WIDTH + 0.01


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.35, 0.65), (0.125, 0.375), (-1e6, 1e6)])
def test_the_outermost_numbers_stand_below_their_ticks(low: float, high: float) -> None:
    made = interval_chart([Interval("a", low, None, None)], title="t", low=low, high=high)
    marks = [line.get("x1") for line in made.iter("line") if line.get("x1") == line.get("x2")]
    numbers = [text for text in made.iter("text") if text.get("text-anchor") == "middle"]
    assert [text.get("x") for text in numbers] == marks and len(marks) > 1
    for text in numbers:
        at, half = float(text.get("x", "")), text_width(text.text or "") / 2
        # Other fonts than the one that the estimate is of are a little wider.
        assert min(at - half, WIDTH - at - half) >= 3


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert ticks(-3.2, 9) == pytest.approx([-2.5, 0, 2.5, 5, 7.5])
    assert ticks(0, 169, 4) == [0, 50, 100, 150]
    assert ticks(2, 2) == [2]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-0.0, "0"),
        (0.25, "0.25"),
        (-1.5, "−1.5"),
        (1000, "1,000"),
        (1e9, "1e+09"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_of_ticks_are_short(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(243.5123, "243.5"), (12000, "12,000"), (0.0123456, "0.01235"), (10, "10"), (0, "0")],
)
def test_brief_numbers_have_four_digits(value: float, words: str) -> None:
    assert brief(value) == words


def test_a_path_keeps_its_ends() -> None:
    assert path([(0, 0), (0.1, 0.1), (0.2, 0.2)]) == "M0.0 0.0L0.2 0.2"
    assert path([(5, 5)]) == "M5.0 5.0"
    assert path([]) == ""
    assert WIDTH == 360
