"""A row of a board on its page: numbers, bars with whiskers, runs over time."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from mimicry.reports.board_parts import BoardColumn, BoardRow, PhasePart
from mimicry.reports.charts import sparkline
from mimicry.reports.markup import element, group
from mimicry.reports.parts import breakable, interval_decimals, number_text

NOT_AVAILABLE = "n/a"
RANKS = "Possible ranks"
NOT_TOLD_APART = "not told apart from the first"
# Of the drawing of an interval, in its own units.
_WIDTH, _HEIGHT, _MIDDLE, _EDGE = 96.0, 24.0, 10.0, 2.0


def board_row(
    number: int,
    row: BoardRow,
    phase: PhasePart,
    scale: tuple[float, float],
    *,
    ranges: bool,
) -> Element:
    """Return a row of a board.

    Parameters
    ----------
    number : int
        Its rank, from 1.
    row, phase : BoardRow, PhasePart
        What is shown, and the columns.
    scale : (float, float)
        Of all bars, from `scale_of`.
    ranges : bool
        Whether the board has ranges of ranks.
    """
    name = group(breakable(row.submission), "bdi")
    if row.link is not None:
        name = element("a", name, href=row.link)
    cells = [
        _cell(element("span", str(number), class_="rank"), value=number, numeric=True),
        element(
            "th",
            group(breakable(row.participant), "bdi"),
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
    return NOT_AVAILABLE if value is None else number_text(value, f".{column.decimals}f")


def _rounded(value: float | None, column: BoardColumn) -> float | None:
    """Return what is shown, as a number: many exact scores together tell of single labels."""
    return None if value is None else round(value, column.decimals)


def _ranking_cell(row: BoardRow, column: BoardColumn, scale: tuple[float, float]) -> Element:
    drawn = told = interval = None
    value = _rounded(row.value, column)
    if row.interval is not None:
        decimals = interval_decimals(*row.interval, column.decimals)
        interval = low, high = round(row.interval[0], decimals), round(row.interval[1], decimals)
        form = f".{decimals}f"
        told = element("small", f"{number_text(low, form)}–{number_text(high, form)}")
    if value is not None:
        drawn = _bar(value, interval, scale)
    ranks = None
    if row.ranks is not None:
        # On a phone the column of the ranks is out of sight.
        ranks = element("small", f"{RANKS.lower()} {_ranks(row.ranks)}", class_="narrow")
    return _cell(
        element("strong", _number(row.value, column)),
        None if row.task is None else element("small", row.task),
        told,
        drawn,
        ranks,
        value=value,
        numeric=True,
    )


def _ranks_cell(row: BoardRow) -> Element:
    if row.ranks is None:
        return _cell(NOT_AVAILABLE, value=None, numeric=True)
    best, worst = row.ranks
    words = element("small", NOT_TOLD_APART) if row.tied_with_first else None
    # Equal best ranks are ordered by the worst.
    order = best + worst / 1e6
    return _cell(_ranks(row.ranks), words, value=order, numeric=True)


def _ranks(ranks: tuple[int, int]) -> str:
    best, worst = ranks
    return str(best) if best == worst else f"{best}–{worst}"


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


def scale_of(rows: Sequence[BoardRow]) -> tuple[float, float]:
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
