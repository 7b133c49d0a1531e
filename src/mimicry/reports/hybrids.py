"""The page of a scored run."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from mimicry.reports.layout import page


class ScoreRow(NamedTuple):
    """A line of the results table."""

    key: str
    title: str
    value: float
    explanation: str


def results_page(
    title: str,
    rows: Sequence[ScoreRow],
    images: int,
    ingestion_seconds: float | None,
    scoring_seconds: float,
    version: str,
) -> str:
    """Return ``detailed_results.html`` of a scored run.

    Parameters
    ----------
    title : str
        Task, competition and phase.
    rows : sequence of ScoreRow
        The columns, the ranking one first; values in [0, 1], shown with four decimals.
    images : int
        How many images were graded. How many of them are hybrids is not told.
    ingestion_seconds : float or None
        How long the model's run took, when that is known.
    scoring_seconds : float
        How long grading took.
    version : str
        Mimicry's version.
    """
    lines = "\n".join(_row(row, first=position == 0) for position, row in enumerate(rows))
    predicting = "" if ingestion_seconds is None else f"ingestion {ingestion_seconds:,.1f} s, "
    body = (
        f"<table>\n<caption>{images:,} images. Every number runs from 0 to 1; higher is better."
        '</caption>\n<thead><tr><th scope="col">Column</th><th scope="col">Value</th></tr></thead>'
        f"\n<tbody>\n{lines}\n</tbody>\n</table>\n"
        "<p>Only the order of the scores counts. Each species has one threshold: the lowest "
        "score at which 95 % of its non-hybrids lie at or below it. Hybrids must score strictly "
        "higher to be found, so ties count against the model.</p>\n"
        f'<p class="soft">Time: {predicting}scoring {scoring_seconds:.1f} s · '
        f"mimicry {escape(version)}</p>"
    )
    return page(title, body)


def _row(row: ScoreRow, *, first: bool) -> str:
    return (
        f'<tr{" class=first" if first else ""}><th scope="row">{escape(row.title)} '
        f"<code>{escape(row.key)}</code><small>{escape(row.explanation)}</small></th>"
        f'<td class="n">{row.value:.4f}</td></tr>'
    )
