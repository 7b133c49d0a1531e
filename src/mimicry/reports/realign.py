"""What the results pages of Blue and Red have in common, and the page of the columns alone."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.markup import element
from mimicry.reports.parts import card, facts_table, inline, score_table, section

_ALONE = (
    "The interval is of this score alone. Two submissions are told apart by the interval of their "
    "difference, often from less; `mimicry board` shows it."
)
_DECLARED = (
    "This phase shows the board's columns alone: intervals, similarities of pairs and the like "
    "stay hidden. The organisers can publish the board with intervals."
)


def declared_page(rows: Sequence[ScoreRow], counted: str, facts: Facts) -> list[Element]:
    """Return what a phase that hides its results' details shows of a scored submission.

    Parameters
    ----------
    rows : sequence of ScoreRow
        The columns, the ranking one first; finite values, shown with four decimals.
    counted : str
        What was scored, such as ``20 models``.
    facts : Facts
        Time and versions.

    Returns
    -------
    list of Element
        What stands below the page's heading. It depends on nothing else.
    """
    return [columns_table(rows, counted), element("p", _DECLARED), run_section(counted, facts)]


def columns_table(rows: Sequence[ScoreRow], counted: str) -> Element:
    """Return the board's columns with what they mean."""
    return score_table(rows, caption=f"{counted}. The first number ranks; higher is better.")


def run_section(counted: str, facts: Facts) -> Element:
    """Return what, when and by which versions was scored."""
    what, _, kind = counted.partition(" ")
    known = [
        (kind.capitalize(), what),
        ("Time of scoring", f"{facts.seconds:.1f} s"),
        *facts.provenance,
    ]
    return section("This run", facts_table(known, caption="How the submission was scored."))


def open_to_all(what: str) -> Element:
    """Return the note that strangers read the page, too, and `what` follows, in sentences."""
    return card(
        element(
            "p",
            f"Everybody who has this page's address can read it. {what} In a phase that hides its "
            "results the page shows the board's columns alone.",
        )
    )


def interval_text(low: float, high: float) -> str:
    """Return an interval with four decimals."""
    return f"{low:.4f} to {high:.4f}"


def interval_alone() -> Element:
    """Return what an interval of one score does not tell."""
    return element("p", *inline(_ALONE))


def scale_around(*values: float) -> tuple[float, float]:
    """Return the ends of a scale that holds values of [0, 1] and lets small intervals be seen.

    Multiples of 0.05, one further out than they must be unless that is 0 or 1.
    """
    low, high = math.floor(20 * min(values)) - 1, math.ceil(20 * max(values)) + 1
    return max(0, low) / 20, min(20, high) / 20


def signed(value: float, decimals: int) -> str:
    """Return a difference with its sign; one that rounds to nothing has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if not float(text) else text.replace("-", "\N{MINUS SIGN}")


def folded(heading: str, *children: Element) -> Element:
    """Return what opens when its heading is clicked, without a script."""
    return element("details", element("summary", heading), *children)
