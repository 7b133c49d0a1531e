"""The page of a scored run of the hybrids' tasks, below its heading."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.hybrid_facts import Costs, HybridDetails, ScoreFacts, Submitted
from mimicry.reports.markup import element
from mimicry.reports.parts import card, facts_table, inline, score_table, section

# Above this share of images whose score another image has too, the page warns.
_MANY_TIES = 0.05
_SHOWN_DIGITS = 16


def declared_content(rows: Sequence[ScoreRow], submitted: Submitted, facts: Facts) -> list[Element]:
    """Return what a page shows where the phase hides everything but the board's columns.

    Parameters
    ----------
    rows : sequence of ScoreRow
        The columns, the ranking one first.
    submitted : Submitted
        What is known without labels.
    facts : Facts
        Of the scoring run.
    """
    return [
        section("Scores", _columns(rows, submitted), _how_scored()),
        card(
            element(
                "p",
                "Intervals, curves and the like are not shown in this phase: they would tell "
                "more about the hidden labels than the board does. The organisers can publish "
                "the board with intervals.",
            )
        ),
        *_run_sections(submitted, facts),
    ]


def full_content(
    rows: Sequence[ScoreRow], submitted: Submitted, facts: Facts, details: HybridDetails
) -> list[Element]:
    """Return what a page shows where the phase's rules allow more; parameters as above.

    Parameters
    ----------
    details : HybridDetails
        What may be told of the labels, in counts, intervals and coarse bins.
    """
    # A page of the columns alone need not wait for the charts' code.
    from mimicry.reports.hybrid_charts import found_sections, ranking_sections

    return [
        _headline(rows[0], details),
        *found_sections(rows[0], details),
        *ranking_sections(details.rankings),
        section("Your scores", *_about_scores(details.scores)),
        section("All columns", _columns(rows, submitted), _how_scored()),
        *_run_sections(submitted, facts),
    ]


def _headline(first: ScoreRow, details: HybridDetails) -> Element:
    return card(
        element(
            "p",
            f"{first.title}: ",
            element("strong", f"{first.value:.2f}"),
            f", 95 % interval {details.low:.2f} to {details.high:.2f}",
            class_="lead",
        ),
        element(
            "p",
            first.explanation + " Higher is better. The interval tells how far chance reaches: "
            "in about 19 of 20 sets of images, an interval made this way holds the score that "
            "the model would have on endless images of the same kind.",
        ),
        element(
            "p",
            *inline(
                "The interval is of this score alone. Two submissions on the same images are told "
                "apart by the interval of their difference, often from less; `mimicry board` "
                "shows it."
            ),
        ),
    )


def _columns(rows: Sequence[ScoreRow], submitted: Submitted) -> Element:
    return score_table(
        rows,
        caption=f"{_images(submitted.images)}. The first number ranks. Every number runs from "
        "0 to 1; higher is better.",
    )


def _how_scored() -> Element:
    return element(
        "p",
        "Only the order of the scores counts. Each species has one threshold: the lowest score "
        "at which 95 % of its non-hybrids lie at or below it. Hybrids must score strictly "
        "higher to be found, so ties count against the model.",
    )


def _about_scores(scores: ScoreFacts) -> list[Element]:
    share = scores.tied / scores.images
    rows = [
        ("Images", f"{scores.images:,}"),
        ("Different scores", f"{scores.distinct:,}"),
        ("Images whose score another image has too", f"{scores.tied:,} ({_percent(share)})"),
        (
            "A quarter, a half, three quarters of the scores lie at or below",
            ", ".join(_digits(value) for value in scores.quartiles),
        ),
    ]
    made = [
        facts_table(
            rows,
            caption="What the model answered, hybrids or not. If the quartiles are not what "
            "you see on your own images, look at how images are read and scaled.",
        )
    ]
    if share > _MANY_TIES:
        made.append(
            card(
                element(
                    "p",
                    f"{_percent(share)} of the images share their score with another one. Ties "
                    "count against you: a hybrid with the threshold's own score is not found. "
                    "Return scores unrounded, and logits rather than probabilities that "
                    "have run into 0 or 1.",
                ),
                role="bad",
            )
        )
    return made


def _run_sections(submitted: Submitted, facts: Facts) -> list[Element]:
    return [
        section(
            "Time and memory",
            facts_table(
                _time_rows(submitted, facts),
                caption="Of the model's run and of scoring. Memory is the largest that the "
                "model's process held at a time; processes that it started are not counted.",
            ),
        ),
        section(
            "Provenance",
            facts_table(
                _provenance_rows(submitted, facts),
                caption="What was scored with what, so that the result can be made again.",
            ),
        ),
    ]


def _time_rows(submitted: Submitted, facts: Facts) -> list[tuple[str, str]]:
    costs, rows = submitted.costs, []
    if costs.seconds is not None:
        limit = costs.time_limit
        of_limit = f" ({_percent(costs.seconds / limit)} of {limit:,g} s)" if limit else ""
        rows.append(("Ingestion, from start to end", _seconds(costs.seconds) + of_limit))
    if costs.load_seconds is not None:
        rows.append(("Loading the model", _seconds(costs.load_seconds)))
    if costs.predict_seconds is not None:
        rows.append(("Predicting", _predicting(submitted.images, costs)))
    if costs.batch_size is not None:
        rows.append(("Images a call", f"{costs.batch_size:,}"))
    if costs.peak_memory is not None:
        rows.append(("Memory of the model's process", f"{costs.peak_memory / 1e9:,.2f} GB"))
    return [*rows, ("Scoring", _seconds(facts.seconds))]


def _predicting(images: int, costs: Costs) -> str:
    seconds = costs.predict_seconds or 0.0
    # Clocks of the record are rounded to thousandths.
    speed = f", {images / seconds:,.1f} images a second" if seconds >= 0.01 else ""
    return _seconds(seconds) + speed


def _provenance_rows(submitted: Submitted, facts: Facts) -> list[tuple[str, str]]:
    rows = list(facts.provenance)
    if submitted.versions:
        versions = ", ".join(f"{name} {version}" for name, version in submitted.versions)
        rows.append(("Ingestion ran with", versions))
    if submitted.replaced:
        rows.append(("Requirements replaced", "; ".join(submitted.replaced)))
    rows.append(("SHA-256 of the predictions", submitted.sha256[:_SHOWN_DIGITS] + "…"))
    return rows


def _digits(value: float) -> str:
    """Return three digits that count, zeros at the end kept."""
    return f"{value:#.3g}".removesuffix(".")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
