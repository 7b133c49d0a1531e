"""The figures of the hybrids' full page, each with what to read from it."""

import math
from collections.abc import Sequence
from functools import partial
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
from mimicry.reports.markup import Child, element
from mimicry.reports.parts import section, table

# What the rule allows of a species' non-hybrids.
_FALSE_ALARMS = 0.05
_NORMAL_POINT = 1.96


def found_sections(first: ScoreRow, details: HybridDetails) -> list[Element]:
    """Return what was found: the recalls with their intervals, and why the smallest group rules.

    Parameters
    ----------
    first : ScoreRow
        The ranking column.
    details : HybridDetails
        Score, counts and intervals.
    """
    if len(details.found) == 1:
        return [section("Hybrids found", *_one_group(first, details))]
    return [
        section("Hybrids found", *_groups(first, details)),
        _funnel(details.found),
    ]


def ranking_sections(rankings: Sequence[Ranking]) -> list[Element]:
    """Return what the whole ranking looks like: curves and where hybrids lie in it."""
    shown = [each for each in rankings if each.roc]
    if not shown:
        return [section("The whole ranking", _nothing_shown(rankings))]
    rule = f"{100 * _FALSE_ALARMS:g} % of the non-hybrids"
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
                "the columns below are exact. The marks are the board's shares of hybrids found "
                "with the false alarms that the rule allows: the recall is exact, so a mark need "
                "not lie on its rough curve. The threshold leaves at most 5 % of the ",
                *_whose_alarms(len(rankings)),
            ),
            curve_chart(
                roc,
                title="Hybrids found against false alarms (ROC)",
                x_title="share of non-hybrids called hybrids",
                y_title="share of hybrids found",
                diagonal=True,
                limit=(rule, _FALSE_ALARMS),
            ),
            element(
                "p",
                "Closer to the upper left corner is better; the diagonal is guessing. Only the "
                "left edge counts for the score, up to the upright line. A curve that rises late "
                "has hybrids among the most ordinary non-hybrids.",
            ),
            curve_chart(
                precision,
                title="Precision against recall (precision-recall)",
                x_title="recall: share of hybrids found",
                y_title="precision: share of hybrids among those called so",
            ),
            element(
                "p",
                "Higher and further right is better. The numbers in the names are the board's "
                "average precisions, from the exact ranking. A mark's precision is the one that "
                "false alarms of 5 % would mean. A dip at the left means that the "
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


def _groups(first: ScoreRow, details: HybridDetails) -> list[Element]:
    score = Interval(first.title, first.value, details.low, details.high, role="plain")
    groups = [
        Interval(each.name, each.recall, each.low, each.high, _count(each), each.role)
        for each in details.found
    ]
    return [
        element(
            "p",
            "What is found are hybrids above the threshold that leaves 95 % of the species' "
            "non-hybrids alone. Further right is better.",
        ),
        interval_chart([score], title="The score, with its 95 % interval", decimals=2),
        element(
            "p",
            "The interval of the score: as if all images were drawn anew, the non-hybrids that "
            "set the threshold, too.",
        ),
        interval_chart(groups, title="Share of each group found, with 95 % intervals", decimals=2),
        element(
            "p",
            "The intervals of the groups are Wilson's: other hybrids, the threshold as it is. So "
            "they leave out what the threshold adds, and the score's is no mean of them. A wide "
            "interval means few hybrids: do not tune on it.",
        ),
        _found_table(details.found),
    ]


def _one_group(first: ScoreRow, details: HybridDetails) -> list[Element]:
    """Return the same of a score that is one group's share: once, with the score's interval."""
    (only,) = details.found
    score = Interval(
        first.title, first.value, details.low, details.high, _count(only) + " hybrids", only.role
    )
    return [
        element(
            "p",
            "The score is the share of hybrids above the threshold that leaves 95 % of the "
            "species' non-hybrids alone. Its interval is as if all images were drawn anew, the "
            "non-hybrids that set the threshold, too. Further right is better.",
        ),
        interval_chart([score], title="Share of hybrids found, with its 95 % interval", decimals=2),
        element(
            "p",
            "The interval in the table is Wilson's: other hybrids, the threshold as it is. It "
            "leaves out what the threshold adds, so it differs.",
        ),
        _found_table(details.found),
    ]


def _found_table(found: Sequence[Found]) -> Element:
    return table(
        ("Group", "Found", "Score with one more found", "Share", "95 % interval (Wilson)"),
        [
            (
                each.name,
                _count(each),
                "–" if each.score_with_one_more is None else f"{each.score_with_one_more:.4f}",
                f"{each.recall:.4f}",
                f"{each.low:.2f} to {each.high:.2f}",
            )
            for each in found
        ],
        caption="Found of how many, and the next step",
        numeric={1, 2, 3},
    )


def _funnel(found: Sequence[Found]) -> Element:
    smallest = min(found, key=lambda each: each.hybrids)
    share = sum(each.found for each in found) / sum(each.hybrids for each in found)
    unseen = [each.name for each in found if each.role == "non-signal"]
    return section(
        "Why the smallest group decides",
        element(
            "p",
            f"{smallest.name} are the fewest: {smallest.hybrids:,}. One of them more or less moves "
            f"their share by {1 / smallest.hybrids:.3f}, and the score follows the weakest share. "
            "The grey funnel is the 95 % band of a share of so many hybrids around that of "
            "all together. Below it the group is found less often than the others by more than "
            "chance; within it, chance may be all.",
        ),
        element(
            "p",
            f"{unseen[0]} are of kinds never seen in training, so a lower share is expected of "
            "them.",
        )
        if unseen
        else None,
        funnel_chart(
            [Bubble(each.name, each.hybrids, each.recall, each.role) for each in found],
            title="Share found by number of hybrids",
            x_title="hybrids in the group",
            y_title="share found",
            half_width=partial(_half_width, share),
        ),
    )


def _half_width(share: float, hybrids: float) -> float:
    """Return how far a share of so many lies from that of all by chance, in 95 % of cases.

    The normal approximation with its correction of half a count.
    """
    return _NORMAL_POINT * math.sqrt(share * (1 - share) / hybrids) + 0.5 / hybrids


def _whose_alarms(groups: int) -> list[Child]:
    if groups == 1:
        return ["non-hybrids above it."]
    return [
        element("em", "species'"),
        " non-hybrids above it, of one group's a little more or less, which this page does not "
        "tell.",
    ]


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
