"""The boards of one or several competitions as a page."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.board_cells import NOT_AVAILABLE, NOT_TOLD_APART, RANKS, board_row, scale_of
from mimicry.reports.board_parts import (
    BoardColumn,
    BoardFailure,
    CompetitionPart,
    PhasePart,
)
from mimicry.reports.board_script import SCRIPT
from mimicry.reports.layout import document
from mimicry.reports.markup import element, group
from mimicry.reports.parts import scrolling

# Headings of more letters get wider columns where the screen is wide.
LONG_TITLE, LONGER_TITLE = 20, 36


def board_page(competitions: Sequence[CompetitionPart], *, made: str) -> str:
    """Return a page with the boards, in tabs where there are several.

    Parameters
    ----------
    competitions : sequence of CompetitionPart
        In the order in which they are shown; none makes a page that says so.
    made : str
        When, and from what.
    """
    parts = [_competition(one) for one in competitions]
    if not parts:
        parts = [element("p", "No runs yet: `mimicry run SUBMISSION` makes one.")]
    boards = group(parts, data_boards="Competitions")
    return document("Boards", boards, subtitle=made, script=SCRIPT, wide=True)


def _competition(one: CompetitionPart) -> Element:
    return element(
        "section",
        element("h2", one.name),
        *(_phase(one.name, phase) for phase in one.phases),
        class_="panel",
        id=one.anchor,
        data_competition=one.key,
        data_name=one.name,
    )


def _phase(competition: str, phase: PhasePart) -> Element:
    return element(
        "section",
        element("h3", phase.name),
        element("p", phase.about, class_="soft"),
        _table(competition, phase) if phase.rows else element("p", "No finished run yet."),
        element("p", phase.together) if phase.together and phase.rows else None,
        _legend(phase) if phase.rows else None,
        group((element("li", note) for note in phase.notes), "ul") if phase.notes else None,
        _failures(phase) if phase.failures else None,
        _certainty(phase) if phase.rows else None,
        class_="panel",
        id=phase.anchor,
        data_phase=phase.key,
        data_name=phase.name,
    )


def _table(competition: str, phase: PhasePart) -> Element:
    ranges = any(row.ranks is not None for row in phase.rows)
    ranking = phase.ranking
    headings = [
        _heading("rank", "Rank"),
        _heading("participant", "Participant", words=True),
    ]
    if ranking is not None:
        headings.append(_column_heading(ranking))
    if ranges:
        headings.append(_heading("ranks", RANKS))
    if ranking is not None:
        headings.append(_heading("history", "Runs over time", descending=True))
    headings.append(_heading("submission", "Submission", words=True))
    headings += [_column_heading(column) for column in phase.columns]
    scale = scale_of(phase.rows)
    name = f"Board of {competition}, {phase.name}"
    rows = [
        board_row(number, row, phase, scale, ranges=ranges)
        for number, row in enumerate(phase.rows, 1)
    ]
    table = element(
        "table",
        element("thead", group(headings, "tr")),
        group(rows, "tbody"),
        class_="board",
        data_sortable=True,
        aria_label=name,
    )
    # A caption of the table itself would scroll out of sight with it.
    return group(
        [element("p", _caption(phase), class_="caption"), scrolling(table, name=name)],
    )


def _caption(phase: PhasePart) -> str:
    rows = len(phase.rows)
    return f"{rows:,} {'row' if rows == 1 else 'rows'}; ranks are the platform’s order."


def _heading(key: str, title: str, *, words: bool = False, descending: bool = False) -> Element:
    classes = [] if words else ["n"]
    if len(title) > LONG_TITLE:
        classes.append("longer" if len(title) > LONGER_TITLE else "long")
    return element(
        "th",
        title,
        scope="col",
        class_=" ".join(classes) or None,
        data_column=key,
        data_kind="words" if words else "number",
        data_first="descending" if descending else "ascending",
    )


def _column_heading(column: BoardColumn) -> Element:
    return _heading(column.key, column.title, descending=column.higher_is_better)


def _legend(phase: PhasePart) -> Element:
    words: list[tuple[str, str]] = []
    if phase.ranking is not None:
        words.append((phase.ranking.title, "this ranks; the bars of a board share one scale"))
        words.append(("Runs over time", "every scored run of the participant in this phase"))
    if phase.method is not None:
        words.append(("Whiskers", "the 95 % interval of the value, as numbers below it"))
        words.append((RANKS, "the best and the worst rank that the same data allow"))
        words.append((NOT_TOLD_APART, "the difference may be chance"))
    words += list(dict.fromkeys(mark for row in phase.rows for mark in row.marks))
    words.append((NOT_AVAILABLE, "there is no value; sorted last"))
    return element(
        "details",
        element("summary", "Legend"),
        group(
            (part for word, why in words for part in (element("dt", word), element("dd", why))),
            "dl",
        ),
    )


def _failures(phase: PhasePart) -> Element:
    count = len(phase.failures)
    return element(
        "details",
        element("summary", f"Not on the board: {count:,} {'reason' if count == 1 else 'reasons'}"),
        group((_failure(one) for one in phase.failures), "ul"),
    )


def _failure(one: BoardFailure) -> Element:
    who: Element = element("bdi", f"{one.participant}, {one.submission}")
    if one.link is not None:
        who = element("a", who, href=one.link)
    return element("li", who, ": ", element("bdi", one.reason))


def _certainty(phase: PhasePart) -> Element:
    method = phase.method or (
        "Intervals and ranges of ranks were not computed for this page, so small differences "
        "between scores may be chance."
    )
    return element("section", element("h4", "How sure are these numbers?"), element("p", method))
