"""What pages are put together from: sections, cards, tables."""

import re
from collections.abc import Collection, Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.facts import ScoreRow
from mimicry.reports.markup import Child, element, group

LARGEST_NUMBER = 1e7
_JOINTS = re.compile(r"(?<=[_\-./])(?![_\-./]|$)")
_MARKED = re.compile(r"`([^`]+)`|\*([^*]+)\*")


def section(heading: str, *children: Child) -> Element:
    """Return a part of the page below a heading of the second rank."""
    return element("section", element("h2", heading), *children)


def card(*children: Child, role: str = "note") -> Element:
    """Return what should catch the eye.

    Parameters
    ----------
    *children : Element, str or None
        Blocks such as paragraphs.
    role : {"note", "good", "bad"}
        Colour of its edge.
    """
    return group(children, class_=f"card {role}")


def number_text(value: float, form: str) -> str:
    """Return a number in a form such as ``.4f``; one so large that no run has it, in short."""
    return format(float(value), ".3g" if abs(value) > LARGEST_NUMBER else form)


def score_table(rows: Sequence[ScoreRow], *, caption: str) -> Element:
    """Return the board's columns, the first of them larger.

    Parameters
    ----------
    rows : sequence of ScoreRow
        In the board's order, the ranking column first; values are shown with four decimals.
    caption : str
        What the numbers are of, and which way is better.
    """
    body = [
        element(
            "tr",
            element(
                "th",
                f"{row.title} ",
                element("code", row.key, class_="soft"),
                element("small", row.explanation),
                scope="row",
            ),
            element("td", number_text(row.value, ".4f"), class_="n"),
            class_="first" if position == 0 else None,
        )
        for position, row in enumerate(rows)
    ]
    return element(
        "table",
        element("caption", caption),
        _head(("Column", "Value"), {1}),
        group(body, "tbody"),
    )


def facts_table(rows: Sequence[tuple[str, str]], *, caption: str) -> Element:
    """Return a table of names and what they are, such as versions or times."""
    body = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in rows
    ]
    return element("table", element("caption", caption), group(body, "tbody"), class_="facts")


def table(
    headings: Sequence[Child],
    rows: Sequence[Sequence[Child]],
    *,
    caption: str,
    numeric: Collection[int] = (),
) -> Element:
    """Return a table that scrolls by itself where the page is too narrow for it.

    Parameters
    ----------
    headings : sequence of Element, str or None
        Of the columns.
    rows : sequence of sequences of Element, str or None
        As many cells each as there are headings; the first is the row's heading.
    caption : str
        Stands above, and names the region that scrolls.
    numeric : collection of int
        Positions of the columns of numbers, from 0; they stand to the right.

    Raises
    ------
    ValueError
        A row has more or fewer cells than there are headings.
    """
    body = []
    for row in rows:
        if len(row) != len(headings):
            raise ValueError(f"a row of {len(row)} cells under {len(headings)} headings")
        cells = [
            element(
                "td" if place else "th",
                cell,
                scope=None if place else "row",
                class_="n" if place in numeric else None,
            )
            for place, cell in enumerate(row)
        ]
        body.append(group(cells, "tr"))
    made = element("table", _head(headings, numeric), group(body, "tbody"), aria_label=caption)
    # A caption of the table itself would scroll out of sight with it.
    return element("div", element("p", caption, class_="caption"), scrolling(made, name=caption))


def scrolling(content: Element, *, name: str) -> Element:
    """Return a region that scrolls sideways, also by keyboard, so that the page need not."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=name)


def _head(headings: Sequence[Child], numeric: Collection[int]) -> Element:
    cells = [
        element("th", heading, scope="col", class_="n" if place in numeric else None)
        for place, heading in enumerate(headings)
    ]
    return element("thead", group(cells, "tr"))


def interval_decimals(low: float, high: float, most: int) -> int:
    """Return with how many decimals an interval is shown: the wider it is, the fewer.

    Parameters
    ----------
    low, high : float
        Its ends, finite.
    most : int
        Those of the value that it belongs to, which no interval exceeds.

    Returns
    -------
    int
        2 from a width of 0.1 on, 3 from 0.01 on, else 4, and never more than `most`.
    """
    # The difference of two written numbers may miss their width by a rounding.
    width = round(high - low, 9)
    return min(most, 2 if width >= 0.1 else 3 if width >= 0.01 else 4)


def breakable(name: str) -> list[Child]:
    """Return a name that may be broken behind ``_``, ``-``, ``.`` and ``/``, not within words.

    The text stays what it is: whoever copies it gets the name.
    """
    made: list[Child] = []
    for part in _JOINTS.split(name):
        made += [element("wbr"), part] if made else [part]
    return made


def inline(text: str) -> list[Child]:
    """Return text of ours with its `code` and *emphasis*, marked as in Markdown, as elements."""
    made: list[Child] = []
    end = 0
    for found in _MARKED.finditer(text):
        made.append(text[end : found.start()])
        made.append(element("code", found[1]) if found[1] else element("em", found[2]))
        end = found.end()
    return [*made, text[end:]]
