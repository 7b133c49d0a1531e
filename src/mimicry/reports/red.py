"""The full results page of Red: how far the hidden models part, and what was chosen."""

import base64
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from mimicry.reports.charts import Bar, Interval, bar_chart, heat_map, interval_chart
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.markup import element, group
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

MOST_CLASSES = 20
MOST_DATASETS = 20
NO_CLASS = "no class"


class Chance(NamedTuple):
    """Scores of random draws of as many stimuli: mean, standard deviation, how many draws."""

    mean: float
    standard_deviation: float
    draws: int


class Share(NamedTuple):
    """Of a class or data set: its name, chosen stimuli, and stimuli in the catalogue."""

    name: str | None
    chosen: int
    of: int


class Thumbnail(NamedTuple):
    """A small JPEG of a chosen stimulus, and its class."""

    jpeg: bytes
    class_name: str | None


class RedDetails(NamedTuple):
    """What is shown of a set of k stimuli.

    Attributes
    ----------
    divergence, divergence_unbiased : sequences of sequences of float
        1 - CKA of every two hidden models on the stimuli, shape (m, m).
    interval : (float, float)
        95 %, of the score.
    chance : Chance
        What random draws reach.
    classes, datasets : sequence of Share
        Of all in the catalogue, those with most of the stimuli first.
    stimuli, catalogue : int
        How many were chosen, of how many.
    thumbnails : sequence of Thumbnail or None
        Empty where images may not be shown, None where they could not be read.
    """

    divergence: Sequence[Sequence[float]]
    divergence_unbiased: Sequence[Sequence[float]]
    interval: tuple[float, float]
    chance: Chance
    classes: Sequence[Share]
    datasets: Sequence[Share]
    stimuli: int
    catalogue: int
    thumbnails: Sequence[Thumbnail] | None


def red_page(
    rows: Sequence[ScoreRow], counted: str, facts: Facts, details: RedDetails
) -> list[Element]:
    """Return what stands below the heading of Red's full results page.

    Parameters
    ----------
    rows, counted, facts
        As for `mimicry.reports.realign.declared_page`.
    details : RedDetails
        Of the submitted stimuli; classes and data sets come from the public catalogue.
    """
    values = {row.key: row.value for row in rows}
    return [
        card(
            element(
                "p",
                f"On these {details.stimuli:,} stimuli the {len(details.divergence)} hidden models "
                f"have a mean dissimilarity of {values['score']:.4f}.",
                class_="lead",
            )
        ),
        columns_table(rows, counted),
        _uncertainty(values, details),
        _divergence(details),
        _classes(values["class_entropy"], details),
        _datasets(details),
        *_pictures(details),
        open_to_all("It tells something of this submission's choice of stimuli."),
        run_section(counted, facts),
    ]


def _uncertainty(values: dict[str, float], details: RedDetails) -> Element:
    chance, score, margin = details.chance, values["score"], values["margin_over_random"]
    text = (
        "Were the stimuli drawn anew from many of their kind, the score would move by about "
        f"{values['standard_error']:.4f} (one standard error). The 95 % interval is "
        f"{interval_text(*details.interval)} ({score:.4f} \N{PLUS-MINUS SIGN} 1.96 standard "
        "errors): in about 19 of 20 sets of stimuli, an interval made this way holds the mean of "
        "the score over endless sets of as many stimuli of the same kind."
    )
    searched = (
        "But these stimuli were chosen, not drawn. A searched choice is the best of many, and "
        "the interval says nothing about what another search would find."
    )
    spread = chance.standard_deviation
    against = (
        f"{chance.draws:,} random draws of as many stimuli had a mean score of {chance.mean:.4f} "
        f"with a standard deviation of {spread:.4f}. The margin over random is "
        f"{signed(margin, 4)}"
        + (f", {signed(margin / spread, 1)} of these standard deviations." if spread > 0 else ".")
    )
    by_chance = [_unit(chance.mean + step * spread) for step in (-1, 0, 1)]
    low, high = scale_around(*details.interval, *by_chance)
    chart = interval_chart(
        [
            Interval("These stimuli", score, *details.interval, role="one"),
            Interval(
                "Random draws",
                by_chance[1],
                by_chance[0],
                by_chance[2],
                "one standard deviation to both sides",
                role="plain",
            ),
        ],
        title="Score with its 95 % interval, against random draws",
        low=low,
        high=high,
        decimals=4,
    )
    return section(
        "How sure it is, and against chance",
        element("p", text),
        element("p", searched),
        interval_alone(),
        element("p", against),
        chart,
    )


def _divergence(details: RedDetails) -> Element:
    short = [str(number) for number in range(1, len(details.divergence) + 1)]
    names = [f"model {number}" for number in short]
    text = (
        "1 - linear CKA of every two hidden models on these stimuli, biased as in the score; 0 is "
        "alike. A number is the same model in all submissions of this phase, and follows nothing "
        "of its name."
    )
    biased = heat_map(details.divergence, names, short=short, title="Dissimilarity (biased CKA)")
    unbiased = heat_map(
        details.divergence_unbiased, names, short=short, title="Dissimilarity (unbiased CKA)"
    )
    about = "Without the part that width alone gives; about 1 for unrelated models."
    return section(
        "Where the models part",
        element("p", text),
        biased,
        folded("The same by the unbiased estimate", element("p", about), unbiased),
    )


def _classes(entropy: float, details: RedDetails) -> Element:
    chosen = [share for share in details.classes if share.chosen]
    total = len(details.classes)
    text = (
        f"The stimuli come from {len(chosen):,} of the catalogue's {total:,} classes. The class "
        f"entropy is {entropy:.4f} bits; {math.log2(total):.4f} would be an even spread over all."
    )
    bars = [
        Bar(share.name or NO_CLASS, share.chosen, f"of {share.of:,} in the catalogue", "one")
        for share in chosen[:MOST_CLASSES]
    ]
    others = chosen[MOST_CLASSES:]
    rest = None
    if others:
        count = sum(share.chosen for share in others)
        rest = element("p", f"{len(others):,} other classes hold {count:,} of the stimuli.")
    # A whole bar is the whole choice.
    chart = bar_chart(
        bars,
        title=f"The {details.stimuli:,} stimuli by class, the most frequent first",
        high=details.stimuli,
    )
    return section("Classes", element("p", text), chart, rest)


def _datasets(details: RedDetails) -> Element:
    rows = [
        (
            share.name or "",
            f"{share.chosen:,}",
            f"{share.chosen / details.stimuli:.1%}",
            f"{share.of / details.catalogue:.1%}",
        )
        for share in details.datasets[:MOST_DATASETS]
    ]
    more = len(details.datasets) - len(rows)
    caption = "Where the stimuli come from" + (f" (and {more:,} more)." if more > 0 else ".")
    headings = ("Data set", "Chosen", "Of the choice", "Of the catalogue")
    return section("Data sets", table(headings, rows, caption=caption, numeric={1, 2, 3}))


def _pictures(details: RedDetails) -> list[Element]:
    heading = "Pictures of the stimuli"
    if details.thumbnails is None:
        text = "The small pictures could not be read. Please tell the organisers; no score changes."
        return [section(heading, element("p", text))]
    if not details.thumbnails:
        return []
    shown = len(details.thumbnails)
    text = (
        "All of them, in the catalogue's order."
        if shown == details.stimuli
        else f"{shown} of {details.stimuli:,}, spread evenly over the choice in the catalogue's "
        "order."
    )
    pictures = [_picture(one) for one in details.thumbnails]
    # To a screen reader one picture; a name or title of each would be read out dozens of times.
    row = group(
        pictures,
        role="img",
        aria_label=_summary(details.thumbnails),
        style="display:flex;flex-wrap:wrap;gap:4px;align-items:center",
    )
    return [section(heading, element("p", text), row)]


def _summary(shown: Sequence[Thumbnail]) -> str:
    counts = Counter(one.class_name or NO_CLASS for one in shown).most_common()
    told = [f"{count} of {name}" for name, count in counts[:MOST_CLASSES]]
    more = len(counts) - len(told)
    if more:
        told.append(f"and {more} more classes")
    return f"{len(shown)} small pictures by class: {', '.join(told)}"


def _picture(one: Thumbnail) -> Element:
    source = "data:image/jpeg;base64," + base64.b64encode(one.jpeg).decode("ascii")
    return element("img", src=source, alt="")


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
