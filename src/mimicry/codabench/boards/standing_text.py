"""Standings in words: intervals, ranks, and who is not told apart from whom."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mimicry.codabench.boards.board import NOT_AVAILABLE
from mimicry.reports.parts import interval_decimals

if TYPE_CHECKING:
    from mimicry.codabench.boards.standing import Standing, Standings

METHOD_FILE = "docs/uncertainty.md"
MOST_GROUPS = 8


def interval_text(standing: "Standing | None", most: int) -> str:
    """Return a row's interval, such as ``0.74–0.86``, with at most so many decimals."""
    if standing is None or standing.low is None or standing.high is None:
        return NOT_AVAILABLE
    decimals = interval_decimals(standing.low, standing.high, most)
    return f"{standing.low:.{decimals}f}–{standing.high:.{decimals}f}"


def ranks_text(standing: "Standing | None") -> str:
    """Return the ranks that a row may have, such as ``1–3``."""
    if standing is None:
        return NOT_AVAILABLE
    best, worst = standing.best, standing.worst
    return str(best) if best == worst else f"{best}–{worst}"


def told_apart(standings: "Standings") -> list[str]:
    """Return one line on which ranks are not told apart; none where nothing is compared."""
    compared = sum(standing is not None for standing in standings.rows)
    if not compared:
        return []
    told = together_text(standings)
    if told is None:
        return [f"What the 95 % interval means stands in {METHOD_FILE}."]
    return [f"{told.removesuffix('.')} ({METHOD_FILE} says how)."]


def together_text(standings: "Standings") -> str | None:
    """Return a sentence on which ranks are not told apart.

    Returns
    -------
    str or None
        None where fewer than two rows are compared.
    """
    compared = sum(standing is not None for standing in standings.rows)
    if compared < 2:
        return None
    groups = ranks_together(standings)
    if not groups:
        which = "All ranks" if compared == len(standings.rows) else "All ranks with an interval"
        return f"{which} are told apart."
    shown = "; ".join(shown_ranks(group) for group in groups[:MOST_GROUPS])
    more = f"; and {len(groups) - MOST_GROUPS} groups more" if len(groups) > MOST_GROUPS else ""
    return (
        f"Not told apart, since the 95 % interval of their difference holds 0: ranks {shown}{more}."
    )


def ranks_together(standings: "Standings") -> tuple[tuple[int, ...], ...]:
    """Return groups of ranks of which no two are told apart, each as large as can be.

    First come runs of neighbours; a pair that lies in none of them is a group of its
    own. Rows without a standing are left out.

    Returns
    -------
    tuple of tuple of int
        Ranks from 1, ascending; by their first rank.
    """
    tied = {
        rank: set(standing.tied)
        for rank, standing in enumerate(standings.rows, 1)
        if standing is not None
    }
    ranks = list(tied)
    groups: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(ranks)):
        stop = max(end, start + 1)
        while stop < len(ranks) and all(r in tied[ranks[stop]] for r in ranks[start:stop]):
            stop += 1
        # A run within an earlier one says nothing new.
        if stop > end:
            end = stop
            if stop - start > 1:
                groups.append(tuple(ranks[start:stop]))
    covered = {(a, b) for group in groups for a in group for b in group}
    pairs = [
        (a, b)
        for a in ranks
        for b in sorted(tied[a])
        if b > a and b in tied and (a, b) not in covered
    ]
    return tuple(sorted([*groups, *pairs], key=lambda group: (group[0], group[-1])))


def shown_ranks(ranks: Sequence[int]) -> str:
    """Return ascending ranks in words: runs of three or more as ``1–4``."""
    parts: list[str] = []
    index = 0
    while index < len(ranks):
        stop = index
        while stop + 1 < len(ranks) and ranks[stop + 1] == ranks[stop] + 1:
            stop += 1
        if stop - index < 2:
            stop = index
        parts.append(str(ranks[index]) if stop == index else f"{ranks[index]}–{ranks[stop]}")
        index = stop + 1
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
