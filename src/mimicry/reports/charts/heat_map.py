"""A square of numbers as a table of shades, or as a picture where it is too large for one."""

import base64
import io
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.charts.axes import Scale, checked, nothing, shown
from mimicry.reports.markup import element, group
from mimicry.reports.parts import scrolling
from mimicry.reports.style import HEAT

MOST_NAMES = 40


def heat_map(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    *,
    title: str,
    short: Sequence[str] | None = None,
    low: float = 0.0,
    high: float = 1.0,
    decimals: int = 2,
) -> Element:
    """Return a square of numbers, each on a shade that grows with it.

    Parameters
    ----------
    values : sequence of sequences of float, shape (n, n)
        Row by row; finite.
    names : sequence of str, shape (n,)
        Of the rows, and of the columns.
    title : str
        What is shown.
    short : sequence of str, shape (n,), optional
        What stands above the columns, which have little room: a part of each name by which
        it is known. By default they are numbered, and the rows' names with them.
    low, high : float
        The numbers of no shade and of full shade; what lies beyond has the shade of the end.
    decimals : int
        How exact the numbers are told.

    Raises
    ------
    ValueError
        The shape is another one, or a number is not finite.
    """
    if short is not None and len(short) != len(names):
        raise ValueError(f"a heat map of {len(names)} names needs as many short ones")
    if len(values) != len(names) or any(len(row) != len(names) for row in values):
        raise ValueError(f"a heat map of {len(names)} names needs as many rows and columns")
    checked(low, high, *(value for row in values for value in row))
    if not names:
        return nothing(title)
    shade = Scale(low, high, 0.0, 1.0)
    caption = element("figcaption", title)
    if len(names) > MOST_NAMES:
        return element(
            "figure", caption, *_picture(values, names, title, shade, decimals), class_="chart"
        )
    return element(
        "figure",
        caption,
        scrolling(_table(values, names, short, shade, decimals), name=title),
        class_="chart broad",
    )


def _table(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    short: Sequence[str] | None,
    shade: Scale,
    decimals: int,
) -> Element:
    heads = [str(place + 1) for place in range(len(names))] if short is None else short
    row_heads = (
        [f"{text} {name}" for text, name in zip(heads, names, strict=True)]
        if short is None
        else names
    )
    head = element(
        "tr",
        element("td"),
        *(
            element("th", text, scope="col", title=name, aria_label=name)
            for text, name in zip(heads, names, strict=True)
        ),
    )
    rows = [
        element(
            "tr",
            element("th", row_heads[place], scope="row", title=name),
            *(
                element("td", shown(value, decimals), style=f"--v:{shade.at(value):.2f}")
                for value in values[place]
            ),
        )
        for place, name in enumerate(names)
    ]
    return element("table", element("thead", head), group(rows, "tbody"), class_="heat")


def _picture(
    values: Sequence[Sequence[float]],
    names: Sequence[str],
    title: str,
    shade: Scale,
    decimals: int,
) -> list[Element]:
    from PIL import Image

    count = len(names)
    # One colour, more or less transparent: it fits light and dark paper.
    picture = Image.new("P", (count, count))
    picture.putpalette(bytes(HEAT) * 256)
    picture.putdata([round(255 * shade.at(value)) for row in values for value in row])
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=bytes(range(256)), optimize=True)
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    others = [
        (values[row][column], row, column)
        for row in range(count)
        for column in range(count)
        if row != column
    ]
    least, most = min(others), max(others)
    words = (
        f"{count:,} by {count:,}, in the order given. Off the diagonal, the least is "
        f"{_told(least, names, decimals)}, the most is {_told(most, names, decimals)}. No shade "
        f"is {shown(shade.low, decimals)}, full shade is {shown(shade.high, decimals)}."
    )
    return [
        element("img", src=address, alt=title, class_="map", width=count, height=count),
        element("p", words, class_="soft"),
    ]


def _told(extreme: tuple[float, int, int], names: Sequence[str], decimals: int) -> str:
    value, row, column = extreme
    return f"{shown(value, decimals)} ({names[row]} and {names[column]})"
