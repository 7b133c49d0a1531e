"""HTML and SVG as trees of elements, so that text is always escaped.

Names of participants, sentences and file names are strangers' texts. A page is built from
elements and plain strings alone; nothing is ever pasted into markup.
"""

from collections.abc import Iterable
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | None"
Value: TypeAlias = "str | int | float | bool | None"

# Control characters but for tab and line feed, lone surrogates, and what turns the
# direction of text: a name must not rearrange the line that it stands in.
_UNFIT = dict.fromkeys(
    (
        *range(0x00, 0x09),
        *range(0x0B, 0x20),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
        0xFFFE,
        0xFFFF,
    ),
    "\N{REPLACEMENT CHARACTER}",
)


def element(tag: str, *children: Child, **attributes: Value) -> Element:
    """Return an element with these children and attributes.

    Parameters
    ----------
    tag : str
        Of HTML or SVG.
    *children : Element, str or None
        In order. Strings are text, escaped when written; None is left out.
    **attributes : str, int, float, bool or None
        ``class_`` is written ``class``, ``aria_label`` is written ``aria-label``;
        ``viewBox`` stays as it is. True is an attribute without a value, False and None
        leave it out. Floats are written with at most two decimals, as a picture needs.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        made.set(name.rstrip("_").replace("_", "-"), _written(value))
    last: Element | None = None
    for child in children:
        if child is None:
            continue
        if isinstance(child, str):
            text = child.translate(_UNFIT)
            if last is None:
                made.text = (made.text or "") + text
            else:
                last.tail = (last.tail or "") + text
        else:
            made.append(child)
            last = child
    return made


def group(children: Iterable[Child], tag: str = "div", **attributes: Value) -> Element:
    """Return an element around `children`, a ``div`` by default."""
    return element(tag, *children, **attributes)


def written(root: Element) -> str:
    """Return an element as HTML.

    The content of ``style`` and ``script`` is written as it is: it must be ours.
    """
    return tostring(root, encoding="unicode", method="html")


def _written(value: str | int | float) -> str:
    if value is True:
        return ""
    if isinstance(value, str):
        return value.translate(_UNFIT)
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"
