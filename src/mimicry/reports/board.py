"""The boards of one or several competitions as a page."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.board_parts import (
    BoardColumn,
    BoardFailure,
    BoardRow,
    CompetitionPart,
    PhasePart,
)
from mimicry.reports.board_script import SCRIPT
from mimicry.reports.charts import sparkline
from mimicry.reports.layout import document
from mimicry.reports.markup import element, group
from mimicry.reports.parts import scrolling

NOT_AVAILABLE = "n/a"
NOT_TOLD_APART = "not told apart from the first"
# Of the drawing of an interval, in its own units.
_WIDTH, _HEIGHT, _MIDDLE, _EDGE = 96.0, 24.0, 10.0, 2.0


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
        *(_phase(phase) for phase in one.phases),
        class_="panel",
        id=one.anchor,
        data_competition=one.key,
        data_name=one.name,
    )


def _phase(phase: PhasePart) -> Element:
    return element(
        "section",
        element("h3", phase.name),
        element("p", phase.about, class_="soft"),
        _table(phase) if phase.rows else element("p", "No finished run yet."),
        _legend(phase) if phase.rows else None,
        group((element("li", note) for note in phase.notes), "ul") if phase.notes else None,
        _failures(phase) if phase.failures else None,
        _certainty(phase) if phase.rows else None,
        class_="panel",
        id=phase.anchor,
        data_phase=phase.key,
        data_name=phase.name,
    )


def _table(phase: PhasePart) -> Element:
    ranges = any(row.ranks is not None for row in phase.rows)
    ranking = phase.ranking
    headings = [
        _heading("rank", "Rank"),
        _heading("participant", "Participant", words=True),
    ]
    if ranking is not None:
        headings.append(_column_heading(ranking))
    if ranges:
        headings.append(_heading("ranks", "Possible ranks"))
    if ranking is not None:
        headings.append(_heading("history", "Runs over time", descending=True))
    headings.append(_heading("submission", "Submission", words=True))
    headings += [_column_heading(column) for column in phase.columns]
    scale = _scale(phase.rows)
    rows = [
        _row(number, row, phase, scale, ranges=ranges) for number, row in enumerate(phase.rows, 1)
    ]
    table = element(
        "table",
        element("caption", _caption(phase)),
        element("thead", group(headings, "tr")),
        group(rows, "tbody"),
        class_="board",
        data_sortable=True,
    )
    return scrolling(table, name=f"Board of {phase.name}")


def _caption(phase: PhasePart) -> str:
    rows = len(phase.rows)
    return f"{rows:,} {'row' if rows == 1 else 'rows'}, in the platform’s order."


def _heading(key: str, title: str, *, words: bool = False, descending: bool = False) -> Element:
    return element(
        "th",
        title,
        scope="col",
        class_=None if words else "n",
        data_column=key,
        data_kind="words" if words else "number",
        data_first="descending" if descending else "ascending",
    )


def _column_heading(column: BoardColumn) -> Element:
    return _heading(column.key, column.title, descending=column.higher_is_better)


def _row(
    number: int,
    row: BoardRow,
    phase: PhasePart,
    scale: tuple[float, float],
    *,
    ranges: bool,
) -> Element:
    name: Element = element("bdi", row.submission)
    if row.link is not None:
        name = element("a", name, href=row.link)
    cells = [
        _cell(element("span", str(number), class_="rank"), value=number, numeric=True),
        element(
            "th",
            element("bdi", row.participant),
            *(element("span", word, class_="mark", title=why) for word, why in row.marks),
            scope="row",
            data_value=row.participant,
        ),
    ]
    if phase.ranking is not None:
        cells.append(_ranking_cell(row, phase.ranking, scale))
    if ranges:
        cells.append(_ranks_cell(row))
    if phase.ranking is not None:
        cells.append(_history_cell(row, phase.ranking))
    cells.append(_cell(name, value=row.submission))
    cells += [
        _cell(_number(value, column), value=_rounded(value, column), numeric=True)
        for value, column in zip(row.cells, phase.columns, strict=True)
    ]
    return group(
        cells,
        "tr",
        data_rank=number,
        class_="here" if row.tied_with_first else None,
    )


def _cell(
    *children: Element | str | None, value: float | str | None, numeric: bool = False
) -> Element:
    exact = value if value is None or isinstance(value, str) else repr(value)
    return element("td", *children, class_="n" if numeric else None, data_value=exact)


def _number(value: float | None, column: BoardColumn) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.{column.decimals}f}"


def _rounded(value: float | None, column: BoardColumn) -> float | None:
    """Return what is shown, as a number: many exact scores together tell of single labels."""
    return None if value is None else round(value, column.decimals)


def _ranking_cell(row: BoardRow, column: BoardColumn, scale: tuple[float, float]) -> Element:
    drawn = told = interval = None
    value = _rounded(row.value, column)
    if row.interval is not None:
        interval = low, high = round(row.interval[0], 3), round(row.interval[1], 3)
        told = element("small", f"{low:.3f}–{high:.3f}")
    if value is not None:
        drawn = _bar(value, interval, scale)
    return _cell(
        element("strong", _number(row.value, column)), told, drawn, value=value, numeric=True
    )


def _ranks_cell(row: BoardRow) -> Element:
    if row.ranks is None:
        return _cell(NOT_AVAILABLE, value=None, numeric=True)
    best, worst = row.ranks
    words = element("small", NOT_TOLD_APART) if row.tied_with_first else None
    # Equal best ranks are ordered by the worst.
    order = best + worst / 1e6
    return _cell(
        str(best) if best == worst else f"{best}–{worst}", words, value=order, numeric=True
    )


def _history_cell(row: BoardRow, column: BoardColumn) -> Element:
    if not row.history:
        return _cell(NOT_AVAILABLE, value=None, numeric=True)
    values = [round(value, column.decimals) for _, value in row.history]
    runs = len(values)
    told = [f"{when}: {_number(value, column)}" for when, value in row.history]
    title = f"{runs} {'run' if runs == 1 else 'runs'}, {_shortened(told)}"
    return _cell(
        sparkline(values, title=title),
        element("small", f"{runs} {'run' if runs == 1 else 'runs'}"),
        value=runs,
        numeric=True,
    )


def _shortened(told: Sequence[str]) -> str:
    """Return what a picture tells, without the middle where that is long."""
    ends = 20
    if len(told) <= 2 * ends:
        return "; ".join(told)
    between = len(told) - 2 * ends
    return "; ".join([*told[:ends], f"{between:,} more", *told[-ends:]])


def _scale(rows: Sequence[BoardRow]) -> tuple[float, float]:
    """Return the ends of the axis that all bars of a board share; zero is within."""
    numbers = [row.value for row in rows if row.value is not None]
    numbers += [end for row in rows if row.interval is not None for end in row.interval]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high / 2 > low / 2 else (0.0, 1.0)


def _bar(value: float, interval: tuple[float, float] | None, scale: tuple[float, float]) -> Element:
    """Draw a value as a bar with whiskers; the numbers stand beside it as text."""
    low, high = scale

    def at(number: float) -> float:
        # Halved first, since the difference of two large numbers may be none; rounding may
        # lead out of the scale.
        share = (number / 2 - low / 2) / (high / 2 - low / 2)
        return _EDGE + (_WIDTH - 2 * _EDGE) * min(max(share, 0.0), 1.0)

    left, right = sorted((at(0.0), at(value)))
    top, bottom = _MIDDLE - 4, _MIDDLE + 4
    parts = [
        element("line", class_="e", x1=_EDGE, x2=_WIDTH - _EDGE, y1=_HEIGHT - 2, y2=_HEIGHT - 2),
        element("rect", class_="a", x=left, y=top, width=max(right - left, 0.5), height=8),
        element("line", class_="l", x1=at(value), x2=at(value), y1=top - 3, y2=bottom + 3),
    ]
    if interval is not None:
        start, end = at(interval[0]), at(interval[1])
        parts += [
            element("line", class_="l", x1=start, x2=end, y1=_MIDDLE, y2=_MIDDLE),
            *(element("line", class_="l", x1=x, x2=x, y1=top, y2=bottom) for x in (start, end)),
        ]
    return group(
        parts,
        "svg",
        class_="spark r-plain",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        aria_hidden="true",
        focusable="false",
    )


def _legend(phase: PhasePart) -> Element:
    words: list[tuple[str, str]] = []
    if phase.ranking is not None:
        words.append((phase.ranking.title, "this ranks; the bars of a board share one scale"))
        words.append(("Runs over time", "every scored run of the participant in this phase"))
    if phase.method is not None:
        words.append(("Whiskers", "the 95 % interval of the value, as numbers below it"))
        words.append(
            ("Possible ranks", "the best and the worst rank that the intervals' data allow")
        )
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
