"""A funnel: shares against the counts that they are of."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.charts.axes import (
    WIDTH,
    Scale,
    chart,
    checked,
    frame,
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
)
from mimicry.reports.markup import Child, element


class Bubble(NamedTuple):
    """A point of a funnel: `x` hybrids (1 or more), of which `y` were found, and its interval."""

    name: str
    x: float
    y: float
    low: float
    high: float
    role: str


def funnel_chart(
    points: Sequence[Bubble],
    *,
    title: str,
    x_title: str,
    y_title: str,
    half_width: Callable[[float], float] | None,
) -> Element:
    """Return shares against the counts that they are of, with a logarithmic axis of counts.

    Parameters
    ----------
    points : sequence of Bubble
        Counts of 1 or more, shares in [0, 1].
    title, x_title, y_title : str
        What is shown, and along which sides.
    half_width : callable or None
        Given a count, how far chance alone moves a share; drawn as a funnel around the
        share of all points together.

    Raises
    ------
    ValueError
        Numbers that are not finite, or counts below 1.
    """
    for point in points:
        checked(point.x, point.y, point.low, point.high)
        if point.x < 1:
            raise ValueError(f"a funnel's counts must be 1 or more, not {point.x}")
    if not points:
        return nothing(title)
    least, most = min(point.x for point in points), max(point.x for point in points)
    left, right = math.log10(least) - 0.12, math.log10(most) + 0.12
    across, up = Scale(left, right, 40, WIDTH - 12), Scale(0, 1, 260, 22)
    drawn = frame(across, up, [], [0, 0.25, 0.5, 0.75, 1], x_title, y_title)
    for count in _counts(least, most):
        x = across.at(math.log10(count))
        drawn += [
            line(x, up.start, x, up.start + 4, "e"),
            tick_below(number(count), x, up.start + 16),
        ]
    if half_width is not None:
        drawn += _funnel(points, across, up, half_width)
    for point in points:
        x = across.at(math.log10(point.x))
        drawn.append(
            element(
                "g",
                element("title", f"{point.name}: {shown(point.y, 3)} of {number(point.x)}"),
                line(x, up.at(point.low), x, up.at(point.high), "l w"),
                marker(x, up.at(point.y), point.role),
                class_=role_class(point.role),
            )
        )
    drawn += _names_beside(points, across, up)
    numbers = [
        (point.name, number(point.x), shown(point.y, 3), shown(point.low, 3), shown(point.high, 3))
        for point in points
    ]
    return chart(
        drawn,
        title=title,
        height=300,
        summary="; ".join(
            f"{spoken(point.name)} {shown(point.y, 3)} of {number(point.x)}"
            for point in points[:12]
        ),
        numbers=numbers_table(title, ("Name", x_title, y_title, "Low", "High"), numbers),
    )


def _counts(least: float, most: float) -> list[float]:
    steps = [by * 10.0**power for power in range(308) for by in (1, 2, 5)]
    inside = [step for step in steps if least <= step <= most]
    every = max(1, -(-len(inside) // 6))
    return inside[::every] or [least]


def _funnel(
    points: Sequence[Bubble], across: Scale, up: Scale, half_width: Callable[[float], float]
) -> list[Child]:
    whole = sum(point.x for point in points)
    middle = sum(point.y * (point.x / whole) for point in points)
    over, under = [], []
    for place in range(41):
        at = across.low + (across.high - across.low) * place / 40
        half = half_width(max(1.0, 10 ** min(at, 308.0)))
        checked(half)
        over.append((across.at(at), up.at(middle + half)))
        under.append((across.at(at), up.at(middle - half)))
    return [
        element("path", d=path([*over, *reversed(under)]) + "Z", class_="b"),
        line(across.start, up.at(middle), across.end, up.at(middle), "d"),
    ]


def _names_beside(points: Sequence[Bubble], across: Scale, up: Scale) -> list[Child]:
    """Name the points where there is room; the others' names show on pointing at them."""
    # Middle, and half of width and height, of what is drawn: the marks, their intervals.
    taken = [(across.at(math.log10(p.x)), up.at(p.y), 6.0, 6.0) for p in points]
    taken += [
        (
            across.at(math.log10(p.x)),
            (up.at(p.low) + up.at(p.high)) / 2,
            2.0,
            abs(up.at(p.low) - up.at(p.high)) / 2,
        )
        for p in points
    ]
    made: list[Child] = []
    for point in points:
        x, y = across.at(math.log10(point.x)), up.at(point.y)
        width = min(text_width(point.name), 130.0)
        for middle, base, anchor, start in (
            (x + 9 + width / 2, y, "start", x + 9),
            (x - 9 - width / 2, y, "end", x - 9),
            (x + 6 + width / 2, y - 12, "start", x + 6),
            (x + 6 + width / 2, y + 12, "start", x + 6),
            (x - 6 - width / 2, y - 12, "end", x - 6),
            (x - 6 - width / 2, y + 12, "end", x - 6),
            (x, up.at(point.high) - 8, "middle", x),
            (x, up.at(point.low) + 8, "middle", x),
        ):
            inside = across.start <= middle - width / 2 and middle + width / 2 <= WIDTH
            free = all(
                abs(middle - a) >= width / 2 + w or abs(base - b) >= 6 + h for a, b, w, h in taken
            )
            if inside and free:
                taken.append((middle, base, width / 2, 6.0))
                made.append(label(point.name, start, base + 4, anchor=anchor, kind="h", width=130))
                break
    return made
