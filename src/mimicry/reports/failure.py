"""The page of a run without scores: what happened, where, and what to do."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from xml.etree.ElementTree import Element

from mimicry.reports.catalogue import MODELS, REALIGN, Entry, Section, find
from mimicry.reports.layout import document
from mimicry.reports.markup import Child, element, group
from mimicry.reports.parts import card, inline, section

_WHO = {
    "submission": "You: it is the submission's to mend",
    "bundle": "The organisers: the competition's data or set-up are at fault",
    "bug": "The organisers: the program itself failed",
}
_ADVICE = {
    "submission": "Change the submission and submit again. A failed run does not count against "
    "the number of submissions.",
    "bundle": "Nothing is wrong with the submission: the competition's data or set-up are. "
    "Please pass the code below, and the submission's number, on to the organisers through the "
    "forum. A failed run does not count against the number of submissions.",
    "bug": "Nothing is wrong with the submission as far as is known: the program itself failed. "
    "Please pass the code below, and the submission's number, on to the organisers through the "
    "forum. A failed run does not count against the number of submissions.",
}
_UNLISTED = "The sentence above says what is wrong."
# The forms in which sentences name a place; what a submission chose may imitate them, and is
# shown as text all the same. Every repetition is bounded: the texts are hostile.
_PLACE = re.compile(
    r"\((?P<file>[^()]{1,120}), line (?P<line>\d[\d,]{0,12})\)"
    r"|\b(?P<image>image \d[\d,]{0,12} of \d[\d,]{0,12})\b"
    r"|\b(?P<after>after \d[\d,]{0,12} of \d[\d,]{0,12} images)\b"
    r"|\b(?P<row>row \d[\d,]{0,12})\b"
    r"|\b(?P<entry>(?:models|differentiating_images|images)\[\d{1,7}\](?:\.\w{1,40}){0,3})"
    r"|(?:^|: |; |\()(?P<text>line \d[\d,]{0,12}(?:, (?:column|byte) \d[\d,]{0,12})?)\b"
)
_LONGEST = 4_000
_MOST_PLACES = 8


def failure_page(
    title: str,
    sentence: str,
    code: str,
    kind: str,
    version: str,
    subtitle: str | None = None,
    *,
    parts: Sequence[str] = (),
) -> str:
    """Return ``detailed_results.html`` of a run that has no scores.

    Parameters
    ----------
    title : str
        The task.
    sentence, code : str
        The error's; hostile text is shown as it is.
    kind : str
        ``submission``, ``bundle`` or ``bug``: who can mend it. Others count as ``bug``.
    version : str
        Mimicry's version.
    subtitle : str, optional
        Competition and phase.
    parts : sequence of str
        Of a sentence that tells of several faults: what stands above them, then each.
    """
    kind = kind if kind in _WHO else "bug"
    listed = find(code) if kind == "submission" else []
    # Where a code tells which kind of submission it was, the other's list would only confuse.
    lists = [sections for sections, _ in listed] or [MODELS, REALIGN]
    return document(
        title,
        *failure_parts(sentence, code, kind, state="This run has no scores.", parts=parts),
        _record(code, kind, version),
        _catalogue(lists, code),
        subtitle=subtitle,
    )


def failure_parts(
    sentence: str, code: str, kind: str, *, state: str, parts: Sequence[str] = ()
) -> list[Element]:
    """Return what happened, where, and what to do, for any page.

    Parameters
    ----------
    sentence, code, kind, parts
        As for `failure_page`.
    state : str
        Stands above the sentence.
    """
    kind = kind if kind in _WHO else "bug"
    entries = [entry for _, entry in find(code)] if kind == "submission" else []
    return [
        card(
            element("p", element("strong", state)),
            *(_list(parts) if parts else _told(sentence)),
            role="bad",
        ),
        section(
            "What to do",
            *_cures(entries),
            None if entries or kind != "submission" else element("p", _UNLISTED),
            element("p", _ADVICE[kind]),
        ),
    ]


def places(sentence: str) -> list[str]:
    """Return where a sentence says that the fault lies, such as ``model.py, line 12``.

    Lines, rows, images and entries of lists, in order, each once; none where it names none.
    """
    found: dict[str, None] = {}
    file = ""
    start = re.match(r"([\w.-]{1,80}\.(?:txt|json|csv))\b", sentence[:_LONGEST])
    if start:
        file = start[1] + ", "
    for match in _PLACE.finditer(sentence[:_LONGEST]):
        if match["file"]:
            place = f"{match['file']}, line {match['line']}"
        elif match["text"] or match["row"] or match["entry"]:
            place = file + (match["text"] or match["row"] or match["entry"])
        else:
            place = match["image"] or match["after"]
        found[place] = None
    return list(found)


def _told(sentence: str) -> list[Element | None]:
    return [element("p", *_coded(sentence), class_="lead"), _where(sentence)]


def _list(parts: Sequence[str]) -> list[Element | None]:
    """Return faults one a line; each tells its place by itself."""
    head, *faults = parts
    lines = (element("li", *_coded(fault)) for fault in faults)
    return [element("p", *_coded(f"{head}:"), class_="lead"), group(lines, "ul")]


def _coded(sentence: str) -> list[Child]:
    """Return a sentence with what stands between two backticks as code."""
    pieces = sentence.split("`")
    # An odd one out is a text's own.
    tail = ["`" + pieces.pop()] if len(pieces) % 2 == 0 else []
    made: list[Child] = []
    for place, one in enumerate(pieces):
        made.append((element("code", one) if one else "``") if place % 2 else one)
    return [*made, *tail]


def _where(sentence: str) -> Element | None:
    found = places(sentence)
    if not found:
        return None
    more = len(found) - _MOST_PLACES
    chips: Iterable[Child] = chain.from_iterable(
        (element("code", place, class_="place"), " ") for place in found[:_MOST_PLACES]
    )
    return element(
        "p",
        element("strong", "Where: "),
        *chips,
        f"and {more:,} more" if more > 0 else None,
    )


def _cures(entries: Sequence[Entry]) -> list[Element]:
    """Return the catalogue's words about the code, each once."""
    words = dict.fromkeys((entry.cause, entry.cure) for entry in entries)
    return [
        card(
            element("p", element("strong", "Cause: "), *inline(cause), ".") if cause else None,
            element("p", element("strong", "Cure: "), *inline(cure), "."),
            role="good",
        )
        for cause, cure in words
    ]


def _record(code: str, kind: str, version: str) -> Element:
    rows = (
        ("Who can mend it", _WHO[kind]),
        ("Code", element("code", code)),
        ("What the codes mean", element("a", "all errors and their cures", href="#errors")),
        ("Scored by", f"mimicry {version}"),
    )
    body = [
        element("tr", element("th", name, scope="row"), element("td", value))
        for name, value in rows
    ]
    return element(
        "table", element("caption", "About this run"), group(body, "tbody"), class_="facts"
    )


def _catalogue(lists: Sequence[Sequence[Section]], code: str) -> Element:
    return element(
        "section",
        element(
            "details",
            element("summary", element("h2", "All errors and their cures")),
            element(
                "p",
                "The same list is the tab ",
                element("em", "Errors"),
                " of the competition. Codes that are not here are the organisers' to mend.",
            ),
            *chain.from_iterable(_listed(part, code) for sections in lists for part in sections),
            id="errors",
        ),
    )


def _listed(part: Section, code: str) -> list[Element]:
    lines: list[Element] = []
    for entry in part.entries:
        codes = entry.codes.split()
        named: Iterable[Child] = chain.from_iterable(
            (", " if place else None, element("code", one)) for place, one in enumerate(codes)
        )
        here = "here" if code in codes else None
        lines += [
            element("dt", *named, class_=here),
            element(
                "dd",
                *inline(entry.cause),
                element("br") if entry.cause else None,
                element("strong", "Cure: ") if entry.cause else None,
                *inline(entry.cure),
                class_=here,
            ),
        ]
    return [element("h3", *inline(part.heading)), group(lines, "dl")]
