"""Charts with two axes: curves and histograms."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.charts.axes import (
    WIDTH,
    Scale,
    chart,
    checked,
    frame,
    key,
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
    ticks,
)
from mimicry.reports.markup import element

# Of a long curve, so many points stand in its table.
_TOLD = 11


class Curve(NamedTuple):
    """A line through points in [0, 1] x [0, 1]; `mark` is a point to show beside or on it."""

    name: str
    points: Sequence[tuple[float, float]]
    role: str
    mark: tuple[float, float] | None = None


class Steps(NamedTuple):
    """A histogram: n heights between n + 1 rising edges."""

    name: str
    edges: Sequence[float]
    heights: Sequence[float]
    role: str


def curve_chart(
    curves: Sequence[Curve],
    *,
    title: str,
    x_title: str,
    y_title: str,
    diagonal: bool = False,
    limit: tuple[str, float] | None = None,
) -> Element:
    """Return lines in a square whose sides run from 0 to 1.

    Parameters
    ----------
    curves : sequence of Curve
        Drawn over each other in this order.
    title, x_title, y_title : str
        What is shown, and along which sides.
    diagonal : bool
        Draw the line from (0, 0) to (1, 1) too: guessing, where curves are of the ROC.
    limit : (str, float) or None
        A value of x to compare with, as a thin upright line, and its name.
    """
    checked(*([limit[1]] if limit else []))
    for curve in curves:
        for point in (*curve.points, *([curve.mark] if curve.mark else [])):
            checked(*point)
    told = [curve for curve in curves if curve.points]
    if not told:
        return nothing(title)
    across, up = Scale(0, 1, 40, WIDTH - 12), Scale(0, 1, 330, 22)
    drawn = frame(across, up, [0, 0.25, 0.5, 0.75, 1], [0, 0.25, 0.5, 0.75, 1], x_title, y_title)
    if diagonal:
        drawn.append(line(across.start, up.start, across.end, up.end, "d"))
    if limit:
        drawn.append(line(across.at(limit[1]), up.start, across.at(limit[1]), up.end, "e"))
    for curve in told:
        places = [(across.at(x), up.at(y)) for x, y in curve.points]
        mark = curve.mark
        drawn.append(
            element(
                "g",
                element("title", curve.name),
                element("path", d=path(places), class_="l"),
                marker(across.at(mark[0]), up.at(mark[1]), curve.role) if mark else None,
                class_=role_class(curve.role),
            )
        )
    top = 386.0
    drawn += key(
        [(curve.name, curve.role) for curve in told],
        top,
        start=across.start,
        marks=any(curve.mark for curve in told),
    )
    below = top + 17 * len(told)
    if limit:
        middle = across.start + 13
        drawn += [
            line(middle, below - 11, middle, below + 3, "e"),
            label(limit[0], across.start + 33, below, width=WIDTH - across.start - 37),
        ]
    numbers = [
        (name, shown(x, 3), shown(y, 3))
        for curve in told
        for name, points in (
            (f"{curve.name}: mark", [curve.mark] if curve.mark else []),
            (curve.name, _some(curve.points, _TOLD)),
        )
        for x, y in points
    ]
    return chart(
        drawn,
        title=title,
        height=below - (9 if limit is None else -8),
        summary=f"{y_title} against {x_title}: {_names(told)}",
        numbers=numbers_table(title, ("Curve", x_title, y_title), numbers),
    )


def step_chart(series: Sequence[Steps], *, title: str, x_title: str, y_title: str) -> Element:
    """Return histograms over each other as outlines.

    Parameters
    ----------
    series : sequence of Steps
        Drawn in this order; heights of 0 or more.
    title, x_title, y_title : str
        What is shown, and along which sides.

    Raises
    ------
    ValueError
        Numbers that are not finite, heights below 0, edges that do not rise, or not one
        edge more than heights.
    """
    for steps in series:
        checked(*steps.edges, *steps.heights)
        rising = all(a < b for a, b in zip(steps.edges, steps.edges[1:], strict=False))
        if steps.heights and (len(steps.edges) != len(steps.heights) + 1 or not rising):
            raise ValueError("a histogram needs one rising edge more than heights")
        if min(steps.heights, default=0.0) < 0:
            raise ValueError("a histogram's heights must be 0 or more")
    told = [steps for steps in series if steps.heights]
    if not told:
        return nothing(title)
    left = min(steps.edges[0] for steps in told)
    right = max(steps.edges[-1] for steps in told)
    tallest = max(max(steps.heights) for steps in told) or 1.0
    heights = ticks(0, tallest, 4)
    margin = 9 + max(text_width(number(tick)) for tick in heights)
    across, up = Scale(left, right, max(44.0, margin), WIDTH - 12), Scale(0, tallest, 220, 24)
    drawn = frame(across, up, ticks(left, right), heights, x_title, y_title)
    for steps in told:
        outline = [(across.at(steps.edges[0]), up.at(0))]
        for place, height in enumerate(steps.heights):
            for edge in steps.edges[place : place + 2]:
                outline.append((across.at(edge), up.at(height)))
        outline.append((across.at(steps.edges[-1]), up.at(0)))
        drawn.append(
            element(
                "g",
                element("title", steps.name),
                element("path", d=path(outline), class_="a"),
                element("path", d=path(outline), class_="l"),
                class_=role_class(steps.role),
            )
        )
    drawn += key([(steps.name, steps.role) for steps in told], 276, start=across.start, marks=False)
    numbers = [
        (
            steps.name,
            f"{number(steps.edges[place])} to {number(steps.edges[place + 1])}",
            number(height),
        )
        for steps in told
        for place, height in enumerate(steps.heights)
    ]
    return chart(
        drawn,
        title=title,
        height=276 + 17 * (len(told) - 1) + 8,
        summary=f"{y_title} by {x_title}: {_names(told)}",
        numbers=numbers_table(title, ("Series", x_title, y_title), numbers),
    )


def _some(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    if len(points) <= most:
        return list(points)
    places = {round(place * (len(points) - 1) / (most - 1)) for place in range(most)}
    return [points[place] for place in sorted(places)]


def _names(drawn: Sequence[Curve | Steps]) -> str:
    return ", ".join(spoken(one.name) for one in drawn[:12])
