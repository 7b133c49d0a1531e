"""What charts share: their frame, scales, marks, and texts that fit.

Charts are drawn 360 units wide, so that their texts can be read on a phone too, where the
width of 360 becomes about 290 pixels.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.markup import Child, element, group
from mimicry.reports.parts import table

WIDTH = 360.0
EDGE = 4.0
# As in the style sheet.
ROLES = frozenset(
    (
        *("signal", "non-signal", "mimic", "hybrid", "non-hybrid"),
        *("one", "two", "three", "plain"),
    )
)
# Average width of a character in units, at the style sheet's size of 12.5.
_CHARACTER = 7.2
_SHAPES = {
    "two": "square",
    "non-signal": "square",
    "non-hybrid": "square",
    "three": "diamond",
    "mimic": "diamond",
}


class Scale(NamedTuple):
    """A straight line from values to positions: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value, held within the scale's ends."""
        # Halved, so that the ends of floating point do not overflow.
        length = self.high / 2 - self.low / 2
        if length <= 0:
            return (self.start + self.end) / 2
        share = (value / 2 - self.low / 2) / length
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def checked(*values: float) -> None:
    """Raise ValueError unless every value is a finite number."""
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"a chart needs finite numbers, not {value}")


def role_class(role: str) -> str:
    """Return the class that gives a role its colour and dashes; ``plain`` if it has none."""
    return f"r-{role if role in ROLES else 'plain'}"


def shortened(text: str, width: float) -> str:
    """Return `text`, cut with an ellipsis where it would be wider than `width` units."""
    left = width
    for place, character in enumerate(text):
        wide = unicodedata.east_asian_width(character) in "WF" or unicodedata.category(
            character
        ) in ("So", "Cs")
        left -= 2 * _CHARACTER if wide else _CHARACTER
        if left < 0:
            return text[: max(place - 1, 0)].rstrip() + "…"
    return text


def label(
    text: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    kind: str | None = None,
    width: float = 0,
) -> Element:
    """Return a text of a chart; where `width` cuts it, all of it shows on pointing at it."""
    shown = shortened(text, width) if width else text
    return element(
        "text",
        element("title", text) if shown != text else None,
        shown,
        x=x,
        y=y,
        text_anchor=None if anchor == "start" else anchor,
        class_=kind,
    )


def tick_below(text: str, x: float, y: float) -> Element:
    """Return the number of a tick below an axis, moved inwards where it would be cut off."""
    side = text_width(text) / 2 + EDGE
    return label(text, min(max(x, side), WIDTH - side), y, anchor="middle", kind="s")


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    """Return a straight line; `kind` is a class of the style sheet."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def marker(x: float, y: float, role: str, size: float = 4.5) -> Element:
    """Return the mark of a role: a circle, square or diamond."""
    shape = _SHAPES.get(role, "circle")
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=size, class_="m")
    if shape == "square":
        side = 1.8 * size
        return element("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_="m")
    far = 1.3 * size
    corners = ((x, y - far), (x + far, y), (x, y + far), (x - far, y))
    return element("path", d=path(corners) + "Z", class_="m")


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the drawing commands of a line, to a tenth of a unit.

    Points closer than half a unit to the last one drawn are left out, but for the last.
    """
    drawn: list[tuple[float, float]] = []
    waiting: tuple[float, float] | None = None
    for point in points:
        waiting = point
        if not drawn or max(abs(point[0] - drawn[-1][0]), abs(point[1] - drawn[-1][1])) >= 0.5:
            drawn.append(point)
            waiting = None
    if waiting is not None:
        drawn.append(waiting)
    return "".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(drawn))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, at most about `most` of them."""
    if not low < high or not math.isfinite(high - low):
        return [low, high] if low < high else [low]
    rough = (high - low) / most
    if not 1e-300 < rough < 1e300:
        return [low, high]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 2.5, 5, 10) if power * by >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if last - first > 4 * most:
        return [low, high]
    # Far from 0, or near the least number there is, rounding may lead out of the scale.
    held = (min(max(place * step, low), high) for place in range(first, last + 1))
    return list(dict.fromkeys(held)) or [low, high]


def number(value: float) -> str:
    """Return a number as short as a tick needs it."""
    if value and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "−")


def brief(value: float) -> str:
    """Return a number to four digits, and all digits of a whole one."""
    if not value or not 1e-4 <= abs(value) < 1e7:
        return number(value)
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if decimals else text
    return text.replace("-", "−")


def spoken(name: str) -> str:
    """Return a name short enough for the description of a chart."""
    return name if len(name) <= 80 else name[:79] + "…"


def text_width(text: str) -> float:
    """Return about how wide a text is, in units."""
    return _CHARACTER * len(text)


def shown(value: float, decimals: int) -> str:
    """Return a number with so many decimals; by its magnitude where it is very large."""
    return f"{value:.{decimals}f}" if abs(value) < 1e7 else f"{value:.3g}"


def frame(
    across: Scale,
    up: Scale,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_title: str,
    y_title: str,
) -> list[Child]:
    """Return the ticks, grid and titles of two axes."""
    made: list[Child] = []
    for tick in y_ticks:
        y = up.at(tick)
        made += [
            line(across.start, y, across.end, y, "g"),
            label(number(tick), across.start - 5, y + 4, anchor="end", kind="s"),
        ]
    for tick in x_ticks:
        x = across.at(tick)
        made += [
            line(x, up.start, x, up.start + 4, "e"),
            tick_below(number(tick), x, up.start + 16),
        ]
    return [
        *made,
        line(across.start, up.start, across.end, up.start, "e"),
        label(y_title, EDGE, 12, kind="s", width=WIDTH),
        label(x_title, across.end, up.start + 33, anchor="end", kind="s", width=WIDTH),
    ]


def key(
    names: Sequence[tuple[str, str]], top: float, *, start: float, marks: bool = True
) -> list[Element]:
    """Return the lines that tell which role is which, below each other from `top`."""
    made = []
    for place, (name, role) in enumerate(names):
        y = top + 17 * place
        made.append(
            element(
                "g",
                line(start, y - 4, start + 26, y - 4, "l"),
                marker(start + 13, y - 4, role) if marks else None,
                label(name, start + 33, y, width=WIDTH - start - 37),
                class_=role_class(role),
            )
        )
    return made


def chart(
    drawn: Sequence[Child],
    *,
    title: str,
    height: float,
    summary: str,
    numbers: Element | None = None,
) -> Element:
    """Return a figure: the title, the picture with its name, and the numbers to unfold."""
    picture = group(
        drawn,
        "svg",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=f"{title}. {summary}" if summary else title,
    )
    unfold = (
        None if numbers is None else element("details", element("summary", "The numbers"), numbers)
    )
    return element("figure", element("figcaption", title), picture, unfold, class_="chart")


def numbers_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> Element | None:
    """Return the numbers of a chart; every column but the first is one of numbers."""
    if not rows:
        return None
    return table(headings, rows, caption=title, numeric=range(1, len(headings)))


def nothing(title: str) -> Element:
    """Return the figure of a chart that has nothing to show."""
    return element(
        "figure",
        element("figcaption", title),
        element("p", "There is nothing to show here.", class_="soft"),
        class_="chart",
    )
