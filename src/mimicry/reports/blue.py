"""The full results page of Blue: how the chosen models agree, pair by pair.

Strangers can open it, so models stand in it by their place in the submission.
"""

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.charts import Bar, Interval, bar_chart, heat_map, interval_chart
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.markup import element
from mimicry.reports.parts import card, section, table
from mimicry.reports.realign import (
    columns_table,
    folded,
    interval_alone,
    interval_text,
    open_to_all,
    run_section,
    scale_around,
    signed,
)

# Pictures of more models would fill the page that the platform is handed.
MOST_DRAWN = 200
MOST_LISTED = 200
# Of the list of models; the others are folded away.
MOST_OPEN = 20

_BY_PLACE = (
    "So that it does not hand out this choice of models, they stand here by their place in the "
    "submitted file, models[0] for the first of its list, as in error messages. Several pages "
    "together can tell the table of this phase's similarities, but only to those who know what "
    "was submitted: the team itself."
)


class Pair(NamedTuple):
    """The places of two models in the submission, from 0, and their similarity (biased CKA)."""

    one: int
    other: int
    similarity: float


class Member(NamedTuple):
    """One model of the set.

    Attributes
    ----------
    place : int
        In the submission, from 0.
    similarity : float
        Mean with the others.
    change : float or None
        By how much the score would change without it; None in a set of two.
    """

    place: int
    similarity: float
    change: float | None


class Spread(NamedTuple):
    """The mean similarity of all pairs, its standard error and 95 % interval."""

    mean: float
    standard_error: float
    low: float
    high: float


class BlueDetails(NamedTuple):
    """What is shown of a set of k models.

    Attributes
    ----------
    places : sequence of int
        The models' places in the submission, from 0, in the order of the matrices.
    cka, cka_unbiased : sequences of sequences of float
        Similarities of every two, shape (k, k).
    clustered : bool
        Whether that order puts models that are alike together; else it is the submission's.
    members : sequence of Member
        Those first without which the score would rise most.
    least, most : sequence of Pair
        The pairs least and most alike, from the outside in.
    pairs : int
        How many there are.
    spread : Spread
        Of the mean.
    threshold : float or None
        What every pair must reach; None where the mean is scored.
    below : sequence of Pair
        The first pairs below the threshold, the least alike first.
    below_count : int
        How many are below.
    bound : float
        No set scores higher.
    proved : bool
        Whether a set that reaches it is known.
    """

    places: Sequence[int]
    cka: Sequence[Sequence[float]]
    cka_unbiased: Sequence[Sequence[float]]
    clustered: bool
    members: Sequence[Member]
    least: Sequence[Pair]
    most: Sequence[Pair]
    pairs: int
    spread: Spread
    threshold: float | None
    below: Sequence[Pair]
    below_count: int
    bound: float
    proved: bool


def blue_page(
    rows: Sequence[ScoreRow], counted: str, facts: Facts, details: BlueDetails
) -> list[Element]:
    """Return what stands below the heading of Blue's full results page.

    Parameters
    ----------
    rows, counted, facts
        As for `mimicry.reports.realign.declared_page`.
    details : BlueDetails
        Of the submitted models.
    """
    score = rows[0].value
    return [
        card(element("p", _headline(score, details), class_="lead")),
        columns_table(rows, counted),
        open_to_all(_BY_PLACE),
        _uncertainty(details),
        _share(score, details),
        *([] if details.threshold is None else [_threshold(details, details.threshold)]),
        _similarities(details),
        _members(score, details),
        _pairs(details),
        run_section(counted, facts),
    ]


def _headline(score: float, details: BlueDetails) -> str:
    count = len(details.places)
    if details.threshold is None:
        return f"The {count:,} models have a mean similarity of {score:.4f}."
    if details.below_count:
        return (
            f"The score is 0: of {details.pairs:,} pairs {details.below_count:,} stay below the "
            f"threshold {details.threshold:.4g}, and none may."
        )
    return (
        f"A set of {count:,} models: every one of its {details.pairs:,} pairs reaches the "
        f"threshold {details.threshold:.4g}."
    )


def _uncertainty(details: BlueDetails) -> Element:
    spread = details.spread
    subject = "score" if details.threshold is None else "mean similarity"
    text = (
        f"Were the hidden images drawn anew, the {subject} would move by about "
        f"{spread.standard_error:.4f} (one standard error). The 95 % interval is "
        f"{interval_text(spread.low, spread.high)} "
        f"({spread.mean:.4f} \N{PLUS-MINUS SIGN} 1.96 standard errors): in about 19 of 20 sets of "
        f"images, an interval made this way holds the mean of the {subject} over endless sets of "
        "as many images of the same kind."
    )
    counted = (
        "The number of models has no such interval, but a pair close to the threshold may fall "
        "on the other side with other images."
    )
    low, high = scale_around(spread.low, spread.high)
    chart = interval_chart(
        [Interval("Mean similarity", spread.mean, spread.low, spread.high, role="one")],
        title="Mean similarity with its 95 % interval",
        low=low,
        high=high,
        decimals=4,
    )
    return section(
        "How sure it is",
        element("p", text),
        interval_alone() if details.threshold is None else element("p", counted),
        chart,
    )


def _share(score: float, details: BlueDetails) -> Element:
    largest = "Optimum" if details.proved else "Proved bound"
    text = (
        "The search has proved that no choice from this registry scores higher than the optimum."
        if details.proved
        else "The search has not proved its result: no choice from this registry scores higher "
        "than the bound, and perhaps none reaches it."
    )
    top = 1.0 if details.threshold is None else max(details.bound, score, 1.0)
    chart = bar_chart(
        [
            Bar("This choice", round(score, 4), role="one"),
            Bar(largest, round(details.bound, 4), role="plain"),
        ],
        title="Score and what is possible",
        high=top,
    )
    return section("Share of the optimum", element("p", text), chart)


def _threshold(details: BlueDetails, threshold: float) -> Element:
    heading = "The threshold"
    if not details.below_count:
        least = details.least[0]
        text = (
            f"Every pair reaches {threshold:.4g}; the closest to it are {_pair(least)} "
            f"with {least.similarity:.2f}."
        )
        return section(heading, element("p", text))
    listed = len(details.below)
    caption = (
        f"Pairs below {threshold:.4g}, least alike first"
        + (f" (the first {listed} of {details.below_count:,})." if listed < details.below_count
           else ".")
    )  # fmt: skip
    return section(heading, _pair_table(details.below, caption))


def _similarities(details: BlueDetails) -> Element:
    heading = "Similarity of every two models"
    if len(details.places) > MOST_DRAWN:
        text = (
            f"{len(details.places):,} models are too many to be drawn pair by pair here; the "
            "tables below hold what stands out."
        )
        return section(heading, element("p", text))
    order = (
        "Models that are alike stand together (average linkage)."
        if details.clustered
        else "In the order of the submitted file."
    )
    text = (
        f"Linear CKA on the hidden images, biased as in the score. {order} A row of low values "
        "is a model that fits none of the others."
    )
    names = [_model(place) for place in details.places]
    short = [f"[{place}]" for place in details.places]
    biased = heat_map(details.cka, names, short=short, title="Similarity (biased CKA)")
    unbiased = heat_map(details.cka_unbiased, names, short=short, title="Similarity (unbiased CKA)")
    about = "Without the part that width alone gives; about 0 for unrelated models."
    return section(
        heading,
        element("p", text),
        biased,
        folded("The same by the unbiased estimate", element("p", about), unbiased),
    )


def _members(score: float, details: BlueDetails) -> Element:
    decimals = 4 if details.threshold is None else 0
    what = (
        "Its mean similarity with the others; and the mean over the pairs without it, less the "
        "score: above 0 the model holds the score down, and is the first to exchange."
        if details.threshold is None
        else "Its mean similarity with the others; and the score without it, less the score: "
        "above 0 the set is better without it."
    )
    rows = [
        (
            _model(member.place),
            f"{member.similarity:.2f}",
            "–" if member.change is None else signed(member.change, decimals),
        )
        for member in details.members[:MOST_LISTED]
    ]
    more = len(details.members) - len(rows)
    first = MOST_OPEN if len(rows) > MOST_OPEN else len(rows)
    listing = _member_table(rows[:first], "The models, worst first.")
    rest = _member_table(rows[first:], "The others, in the same order.") if rows[first:] else None
    heading = f"{len(rows) - first:,} more" + (f" of {len(rows) - first + more:,}" * (more > 0))
    return section(
        "What each model adds",
        element("p", what),
        listing,
        None if rest is None else folded(heading, rest),
    )


def _member_table(rows: Sequence[tuple[str, str, str]], caption: str) -> Element:
    headings = ("Model", "With the others", "Without it")
    return table(headings, rows, caption=caption, numeric={1, 2})


def _pairs(details: BlueDetails) -> Element:
    heading = "Least and most alike"
    if details.pairs <= len(details.least) + len(details.most):
        # Both lists together would hold pairs twice.
        every = {(pair.one, pair.other): pair for pair in (*details.least, *reversed(details.most))}
        return section(heading, _pair_table(tuple(every.values()), "All pairs, least alike first."))
    return section(
        heading,
        _pair_table(details.least, "The pairs least alike."),
        _pair_table(details.most, "The pairs most alike."),
    )


def _pair_table(pairs: Sequence[Pair], caption: str) -> Element:
    rows = [(_pair(pair), f"{pair.similarity:.2f}") for pair in pairs]
    return table(("Pair", "Similarity"), rows, caption=caption, numeric={1})


def _pair(pair: Pair) -> str:
    return f"{_model(pair.one)} and {_model(pair.other)}"


def _model(place: int) -> str:
    """Return what error sentences call the model at a place of the submission."""
    return f"models[{place}]"
