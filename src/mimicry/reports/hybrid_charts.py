"""The figures of the hybrids' full page, each with what to read from it."""

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.charts import (
    Bubble,
    Curve,
    Interval,
    Steps,
    curve_chart,
    funnel_chart,
    interval_chart,
    step_chart,
)
from mimicry.reports.facts import ScoreRow
from mimicry.reports.hybrid_facts import Found, HybridDetails, Ranking
from mimicry.reports.markup import element
from mimicry.reports.parts import section, table


def found_sections(first: ScoreRow, details: HybridDetails) -> list[Element]:
    """Return what was found: the recalls with their intervals, and why the smallest group rules.

    Parameters
    ----------
    first : ScoreRow
        The ranking column.
    details : HybridDetails
        Score, counts and intervals.
    """
    intervals = [
        Interval(first.title, first.value, details.low, details.high, role="plain"),
        *(
            Interval(each.name, each.recall, each.low, each.high, _count(each), each.role)
            for each in details.found
        ),
    ]
    made = [
        section(
            "Hybrids found",
            element(
                "p",
                "The share of each group's hybrids above the threshold that leaves 95 % of the "
                "non-hybrids alone, with 95 % intervals (Wilson's, for the threshold as it is). "
                "Further right is better. A wide interval means few hybrids: do not tune on it.",
            ),
            interval_chart(
                intervals, title="Shares of hybrids found, with 95 % intervals", decimals=2
            ),
            _found_table(details.found),
        )
    ]
    if len(details.found) > 1:
        made.append(_funnel(details.found))
    return made


def ranking_sections(rankings: Sequence[Ranking]) -> list[Element]:
    """Return what the whole ranking looks like: curves and where hybrids lie in it."""
    shown = [each for each in rankings if each.roc]
    if not shown:
        return [section("The whole ranking", _nothing_shown(rankings))]
    roc = [Curve(each.name, each.roc, each.role, each.roc_mark) for each in shown]
    precision = [
        Curve(
            f"{each.name}, {each.average_precision:.2f}",
            each.precision_recall,
            each.role,
            each.precision_recall_mark,
        )
        for each in shown
    ]
    distributions = [
        step_chart(
            [
                Steps("Hybrids", _edges(each.hybrids), each.hybrids, "hybrid"),
                Steps("Non-hybrids", _edges(each.non_hybrids), each.non_hybrids, "non-hybrid"),
            ],
            title=each.name,
            x_title="place in the group's ranking, lowest scores left",
            y_title="share of the hybrids, of the non-hybrids",
        )
        for each in shown
    ]
    return [
        section(
            "Every threshold",
            element(
                "p",
                "All curves are drawn from blocks of the ranking with rounded counts, so that no "
                "single label can be read from them. Small steps mean nothing. Where a group has "
                "few hybrids the curves are rough, and precision may be off by a tenth or two; "
                "the columns below are exact.",
            ),
            curve_chart(
                roc,
                title="Hybrids found against false alarms",
                x_title="share of non-hybrids called hybrids",
                y_title="share of hybrids found",
                diagonal=True,
            ),
            element(
                "p",
                "Closer to the upper left corner is better; the diagonal is guessing. Only the "
                "left edge counts for the score: the mark is where the board's share of hybrids "
                "found lies. Groups of one species share a threshold, not its false alarms. A "
                "curve that rises late has hybrids among the most ordinary non-hybrids.",
            ),
            curve_chart(
                precision,
                title="Precision against recall",
                x_title="recall: share of hybrids found",
                y_title="precision: share of hybrids among those called so",
            ),
            element(
                "p",
                "Higher and further right is better. The numbers in the names are the board's "
                "average precisions, from the exact ranking. A dip at the left means that the "
                "very highest scores are false alarms: look at what these images have in common.",
            ),
            _nothing_shown([each for each in rankings if not each.roc]),
        ),
        section(
            "Where the hybrids lie",
            element(
                "p",
                "Each group's images in the order of their scores, cut into equal stretches: how "
                "many of its hybrids and of its non-hybrids lie in each. The less the two "
                "overlap the better. Hybrids in the left half look to the model like parents.",
            ),
            *distributions,
        ),
    ]


def _found_table(found: Sequence[Found]) -> Element:
    return table(
        ("Group", "Found", "Of", "Share", "95 % interval", "Score with one more found"),
        [
            (
                each.name,
                f"{each.found:,}",
                f"{each.hybrids:,}",
                f"{each.recall:.4f}",
                f"{each.low:.2f} to {each.high:.2f}",
                "–" if each.score_with_one_more is None else f"{each.score_with_one_more:.4f}",
            )
            for each in found
        ],
        caption="Found, of how many, and the next step",
        numeric={1, 2, 3, 5},
    )


def _funnel(found: Sequence[Found]) -> Element:
    smallest = min(found, key=lambda each: each.hybrids)
    bubbles = [
        Bubble(each.name, each.hybrids, each.recall, each.low, each.high, each.role)
        for each in found
    ]
    return section(
        "Why the smallest group decides",
        element(
            "p",
            f"{smallest.name} are the fewest: {smallest.hybrids:,}. One of them more or less moves "
            f"their share by {1 / smallest.hybrids:.3f}, and the score follows the weakest share. "
            "The grey funnel is how far chance moves a share of so many hybrids around that of "
            "all together. A group below the funnel is a weakness of the model; within it, "
            "it may be luck.",
        ),
        funnel_chart(
            bubbles,
            title="Share found by number of hybrids",
            x_title="hybrids in the group",
            y_title="share found",
            half_width=_half_width,
        ),
    )


def _half_width(hybrids: float) -> float:
    """Return how far a share of so many can be off by chance, at the most (95 %)."""
    return 1.96 * math.sqrt(0.25 / hybrids)


def _nothing_shown(rankings: Sequence[Ranking]) -> Element | None:
    if not rankings:
        return None
    names = ", ".join(each.name for each in rankings)
    return element(
        "p",
        f"Not drawn: {names}. The group is too small, or its ranking too clear cut, for a curve "
        "that would not give single labels away.",
    )


def _edges(heights: Sequence[float]) -> list[float]:
    return [place / len(heights) for place in range(len(heights) + 1)]


def _count(each: Found) -> str:
    return f"{each.found:,} of {each.hybrids:,}"
