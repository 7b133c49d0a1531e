"""The frame of every page: one self-contained file, light and dark, phone to desktop."""

import base64
import hashlib
from xml.etree.ElementTree import Element

from mimicry.reports.markup import Child, element, written
from mimicry.reports.style import STYLE

LARGEST_PAGE = 400_000
"""Bytes of a page about one run, whatever was handed in."""


def document(
    title: str, *children: Child, subtitle: str | None = None, script: str = "", wide: bool = False
) -> str:
    """Return a complete HTML page.

    It loads nothing from anywhere. Its policy lets no script run but `script`, whose hash
    it names, even if a text got through unescaped.

    Parameters
    ----------
    title : str
        Plain text; also the first heading.
    *children : Element, str or None
        What follows, in order.
    subtitle : str, optional
        Plain text below the heading.
    script : str
        Our own JavaScript, run after the page is there. The page must make sense without.
    wide : bool
        Use more of a large screen, for tables of many columns.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _policy(script),
        element("meta", name="referrer", content="no-referrer"),
        # Otherwise browsers ask the server for one.
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", STYLE),
    )
    heading = element(
        "header",
        element("h1", title),
        None if subtitle is None else element("p", subtitle, class_="soft"),
    )
    main = element("main", heading, *children, class_="wide" if wide else None)
    body = element("body", main)
    if script:
        body.append(element("script", script))
    return "<!doctype html>\n" + written(element("html", head, body, lang="en")) + "\n"


def _policy(script: str) -> Element:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"'sha256-{digest}'" if script else "'none'"
    content = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'unsafe-inline'; img-src data:; script-src {scripts}"
    )
    meta = element("meta", content=content)
    meta.set("http-equiv", "Content-Security-Policy")
    return meta
