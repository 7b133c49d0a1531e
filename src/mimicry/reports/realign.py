"""The page of a scored Re-Align submission."""

from collections.abc import Sequence
from html import escape

from mimicry.reports.hybrids import ScoreRow
from mimicry.reports.layout import page


def realign_page(
    title: str, rows: Sequence[ScoreRow], counted: str, seconds: float, version: str
) -> str:
    """Return ``detailed_results.html`` of a scored Blue or Red submission.

    Shows the board's columns and nothing of single models or stimuli, whose scores would
    tell of secret data.

    Parameters
    ----------
    title : str
        Team, competition and phase.
    rows : sequence of ScoreRow
        The columns, the ranking one first; finite values, shown with four decimals.
    counted : str
        What was scored, such as ``20 models``.
    seconds : float
        How long scoring took.
    version : str
        Mimicry's version.
    """
    lines = "\n".join(_row(row, first=position == 0) for position, row in enumerate(rows))
    body = (
        f"<table>\n<caption>{escape(counted)}. The first number ranks; higher is better."
        '</caption>\n<thead><tr><th scope="col">Column</th><th scope="col">Value</th></tr></thead>'
        f"\n<tbody>\n{lines}\n</tbody>\n</table>\n"
        f'<p class="soft">Time: scoring {seconds:.1f} s · mimicry {escape(version)}</p>'
    )
    return page(title, body)


def _row(row: ScoreRow, *, first: bool) -> str:
    return (
        f'<tr{" class=first" if first else ""}><th scope="row">{escape(row.title)} '
        f"<code>{escape(row.key)}</code><small>{escape(row.explanation)}</small></th>"
        f'<td class="n">{row.value:.4f}</td></tr>'
    )
