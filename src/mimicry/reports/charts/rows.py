"""Charts of named values, one below the other: intervals, bars, and lines in a line of text."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.charts.axes import (
    EDGE,
    WIDTH,
    Scale,
    brief,
    chart,
    checked,
    label,
    line,
    marker,
    nothing,
    number,
    numbers_table,
    path,
    role_class,
    shown,
    spoken,
    text_width,
    tick_below,
    ticks,
)
from mimicry.reports.markup import Child, element


class Interval(NamedTuple):
    """An estimate and how sure it is; `low` and `high` are None where that is not known."""

    name: str
    value: float
    low: float | None
    high: float | None
    note: str = ""
    role: str = ""


class Bar(NamedTuple):
    """A named value."""

    name: str
    value: float
    note: str = ""
    role: str = ""


def interval_chart(
    rows: Sequence[Interval],
    *,
    title: str,
    low: float = 0.0,
    high: float = 1.0,
    decimals: int = 3,
) -> Element:
    """Return estimates with their intervals, one below the other on the same scale.

    Parameters
    ----------
    rows : sequence of Interval
        From top to bottom.
    title : str
        What is shown.
    low, high : float
        Ends of the scale; what lies beyond is drawn at its end and told in full.
    decimals : int
        Of the intervals' ends.
    """
    checked(low, high)
    for row in rows:
        checked(row.value, *(end for end in (row.low, row.high) if end is not None))
    if not rows:
        return nothing(title)
    # The outermost numbers below the scale stand whole, and in the middle of their ticks.
    side = EDGE + max([6.0, *(text_width(number(tick)) / 2 for tick in ticks(low, high))])
    scale = Scale(low, high, side, WIDTH - side)
    drawn: list[Child] = []
    y = 14.0
    for row in rows:
        words = f"{shown(row.value, 4)}{_between(row, decimals)}"
        ends = [scale.at(row.value if end is None else end) for end in (row.low, row.high)]
        below = y + 15
        drawn.append(
            element(
                "g",
                label(row.name, EDGE, y, width=WIDTH - 2 * EDGE - text_width(words) - 8),
                label(words, WIDTH - EDGE, y, anchor="end"),
                line(scale.start, below, scale.end, below, "g"),
                *(_whisker(ends[0], ends[1], below) if row.low is not None else ()),
                marker(scale.at(row.value), below, row.role),
                label(row.note, EDGE, y + 33, kind="s", width=WIDTH) if row.note else None,
                class_=role_class(row.role),
            )
        )
        y += 62 if row.note else 42
    drawn += _scale_below(scale, y - 14)
    numbers = [
        (
            row.name,
            shown(row.value, 4),
            "" if row.low is None else shown(row.low, decimals),
            "" if row.high is None else shown(row.high, decimals),
        )
        for row in rows
    ]
    return chart(
        drawn,
        title=title,
        height=y + 8,
        summary="; ".join(
            f"{spoken(row.name)} {shown(row.value, 4)}{_between(row, decimals)}"
            for row in rows[:12]
        ),
        numbers=numbers_table(title, ("Name", "Value", "Low", "High"), numbers),
    )


def bar_chart(
    rows: Sequence[Bar],
    *,
    title: str,
    low: float = 0.0,
    high: float | None = None,
    marks: Sequence[tuple[str, float]] = (),
) -> Element:
    """Return named values as bars, one below the other.

    Parameters
    ----------
    rows : sequence of Bar
        From top to bottom.
    title : str
        What is shown.
    low, high : float
        Ends of the scale; by default from 0 to the largest value or mark.
    marks : sequence of (str, float)
        Values to compare with, such as a limit: upright lines with their names.
    """
    checked(low, *(row.value for row in rows), *(value for _, value in marks))
    if not rows:
        return nothing(title)
    values = [row.value for row in rows] + [value for _, value in marks]
    top = max([*values, low]) if high is None else high
    checked(top)
    scale = Scale(low, top if top > low else low + 1, EDGE, WIDTH - EDGE)
    drawn: list[Child] = []
    y = 14.0
    for row in rows:
        words = brief(row.value) + (f" {row.note}" if row.note else "")
        words_width = min(text_width(words), 180)
        drawn.append(
            element(
                "g",
                label(row.name, EDGE, y, width=WIDTH - 2 * EDGE - words_width - 8),
                label(words, WIDTH - EDGE, y, anchor="end", width=190),
                element(
                    "rect",
                    x=scale.start,
                    y=y + 7,
                    width=scale.end - scale.start,
                    height=10,
                    rx=2,
                    class_="b",
                ),
                element(
                    "rect",
                    x=scale.start,
                    y=y + 7,
                    width=scale.at(row.value) - scale.start,
                    height=10,
                    rx=2,
                    class_="f",
                ),
                class_=role_class(row.role),
            )
        )
        y += 38
    for name, value in marks:
        at = scale.at(value)
        anchor = "end" if at > WIDTH / 2 else "start"
        drawn += [
            *(line(at, 18 + 38 * place, at, 34 + 38 * place, "e") for place in range(len(rows))),
            label(
                f"{name} {brief(value)}",
                at,
                y - 3,
                anchor=anchor,
                kind="s",
                width=WIDTH / 2,
            ),
        ]
        y += 15
    numbers = [(row.name, number(row.value), row.note) for row in rows]
    return chart(
        drawn,
        title=title,
        height=y - 8,
        summary="; ".join(
            f"{spoken(row.name)} {brief(row.value)} {spoken(row.note)}".strip() for row in rows[:12]
        ),
        numbers=numbers_table(title, ("Name", "Value", "Note"), numbers),
    )


def sparkline(values: Sequence[float], *, title: str) -> Element:
    """Return a tiny line of values in order, as an ``svg`` that stands in a line of text.

    One value is a dot, equal values are a flat line. The last value has a dot.
    """
    checked(*values)
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    up = Scale(low, high, 20, 4)
    across = Scale(0, max(len(values) - 1, 1), 4, 92)
    places = [(across.at(place), up.at(value)) for place, value in enumerate(values)]
    return element(
        "svg",
        element("path", d=path(places), class_="l") if len(places) > 1 else None,
        element("circle", cx=places[-1][0], cy=places[-1][1], r=3, class_="f") if places else None,
        viewBox="0 0 96 24",
        role="img",
        aria_label=title,
        class_="spark r-one",
    )


def _between(row: Interval, decimals: int) -> str:
    if row.low is None or row.high is None:
        return ""
    return f" ({shown(row.low, decimals)} to {shown(row.high, decimals)})"


def _whisker(start: float, end: float, y: float) -> list[Element]:
    return [
        element("line", x1=start, y1=y, x2=end, y2=y, class_="l w"),
        element("line", x1=start, y1=y - 4, x2=start, y2=y + 4, class_="l w"),
        element("line", x1=end, y1=y - 4, x2=end, y2=y + 4, class_="l w"),
    ]


def _scale_below(scale: Scale, y: float) -> list[Child]:
    made: list[Child] = [line(scale.start, y, scale.end, y, "e")]
    for tick in ticks(scale.low, scale.high):
        at = scale.at(tick)
        made += [
            line(at, y, at, y + 4, "e"),
            tick_below(number(tick), at, y + 16),
        ]
    return made
