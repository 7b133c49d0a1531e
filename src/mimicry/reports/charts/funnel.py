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
    """A point of a funnel: a share `y` of a count `x`, which is 1 or more."""

    name: str
    x: float
    y: float
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
        Given a count, how far chance alone moves a share; drawn as a band around the share
        of all points together, whose ends, held within 0 and 1, stand in the table.

    Raises
    ------
    ValueError
        Numbers that are not finite, or counts below 1.
    """
    for point in points:
        checked(point.x, point.y)
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
        drawn += _band(_middle(points), across, up, half_width)
    for point in points:
        x = across.at(math.log10(point.x))
        drawn.append(
            element(
                "g",
                element("title", f"{point.name}: {shown(point.y, 3)} of {number(point.x)}"),
                marker(x, up.at(point.y), point.role),
                class_=role_class(point.role),
            )
        )
    drawn += _names_beside(points, across, up)
    numbers = [
        (
            point.name,
            number(point.x),
            shown(point.y, 3),
            *(() if half_width is None else _ends(_middle(points), half_width(point.x))),
        )
        for point in points
    ]
    headings = ("Name", x_title, y_title, *(("Band from", "to") if half_width else ()))
    return chart(
        drawn,
        title=title,
        height=300,
        summary="; ".join(
            f"{spoken(point.name)} {shown(point.y, 3)} of {number(point.x)}"
            for point in points[:12]
        ),
        numbers=numbers_table(title, headings, numbers),
    )


def _counts(least: float, most: float) -> list[float]:
    steps = [by * 10.0**power for power in range(308) for by in (1, 2, 5)]
    inside = [step for step in steps if least <= step <= most]
    every = max(1, -(-len(inside) // 6))
    return inside[::every] or [least]


def _middle(points: Sequence[Bubble]) -> float:
    whole = sum(point.x for point in points)
    return sum(point.y * (point.x / whole) for point in points)


def _ends(middle: float, half: float) -> tuple[str, str]:
    checked(half)
    return shown(max(0.0, middle - half), 3), shown(min(1.0, middle + half), 3)


def _band(
    middle: float, across: Scale, up: Scale, half_width: Callable[[float], float]
) -> list[Child]:
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
    # Middle, and half of width and height, of what is drawn.
    taken = [(across.at(math.log10(p.x)), up.at(p.y), 6.0, 6.0) for p in points]
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
            (x, y - 14, "middle", x),
            (x, y + 14, "middle", x),
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
