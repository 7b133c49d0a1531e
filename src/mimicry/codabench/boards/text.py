"""The board as text: a table for terminals."""

import io
import textwrap
from typing import TYPE_CHECKING, NamedTuple

from mimicry.codabench.boards.board import NOT_AVAILABLE, Board, Entry, cell
from mimicry.codabench.boards.history import ranked_on
from mimicry.codabench.boards.standing_text import interval_text, ranks_text, told_apart
from mimicry.codabench.competition import Column
from mimicry.codabench.quotas import SURPLUS, Mark
from mimicry.errors import one_line

if TYPE_CHECKING:
    from mimicry.codabench.boards.standing import Standings

WIDEST = 2000
HEADING_WIDTH = 12
NARROWEST = 16
INDENT = 4
INTERVAL, RANKS = "95 % interval", "possible ranks"

_BEST_TASK = "A row is placed by its best single task; interval and possible ranks are of that."
_DATED = "the web form refuses that, the API of older versions does not; ranked as it would be."
_SURPLUS = "the platform refuses that; ranked all the same, as asked."


class _Heading(NamedTuple):
    """A column of the table: the task's key, or none, and its title."""

    task: str | None
    title: str


def board_table(
    board: Board,
    *,
    every_column: bool = False,
    width: int | None = None,
    standings: "Standings | None" = None,
) -> str:
    """Return the board as a table in plain text, with what is not on it below.

    Parameters
    ----------
    board : Board
        What to show.
    every_column : bool
        Show columns too that have no value under a task, as the platform does.
    width : int, optional
        Of the terminal. A table that does not fit becomes one block for each entry,
        with the columns as rows. None, as for a file or a pipe: always a table.
    standings : Standings, optional
        Of the board's rows: adds interval and possible ranks behind the column that ranks,
        and below what they say.

    Where there are several tasks, the first column names each row's best one, with its value.

    Returns
    -------
    str
        Lines as long as the table needs, so that no value is cut; blocks are folded.
    """
    from rich.cells import cell_len

    shown = [
        (key, column)
        for key, _ in board.tasks
        for column in board.columns
        if every_column or _has_values(board, key, column)
    ]
    below = _below(board, len(shown), standings)
    headings, cells = _columns(board, shown, standings)
    lines = _table(board, headings, cells)
    if width is not None and any(cell_len(line) > width for line in lines):
        lines = [*_blocks(board, headings, cells, width), *([""] if below else [])]
        below = [part for line in below for part in textwrap.wrap(line, max(width, NARROWEST))]
    return "\n".join([*lines, *below]).strip("\n") + "\n"


def _columns(
    board: Board, shown: list[tuple[str, Column]], standings: "Standings | None"
) -> tuple[list[_Heading], list[list[str]]]:
    """Return the columns behind the names, and every row's cells in them."""
    headings = [_Heading(key, column.title) for key, column in shown]
    cells = [[cell(entry.tasks.get(key), column) for key, column in shown] for entry in board.rows]
    primary = next((column for column in board.columns if column.key == board.primary), None)
    at = 0
    if len(board.tasks) > 1 and primary is not None:
        # Several tasks have the column that ranks, and each row its own best one.
        headings.insert(0, _Heading(None, f"{primary.title}, best task"))
        for entry, own in zip(board.rows, cells, strict=True):
            own.insert(0, _best_task(board, entry, primary))
        at = 1
    elif primary is not None:
        places = [place for place, (_, column) in enumerate(shown) if column is primary]
        at = places[0] + 1 if places else 0
    if standings is None or not any(standings.rows):
        return headings, cells
    headings[at:at] = [_Heading(None, INTERVAL), _Heading(None, RANKS)]
    most = 4 if primary is None else primary.precision
    for own, standing in zip(cells, standings.rows, strict=True):
        own[at:at] = [interval_text(standing, most), ranks_text(standing)]
    return headings, cells


def _best_task(board: Board, entry: Entry, primary: Column) -> str:
    ranked = ranked_on(board, entry)
    return NOT_AVAILABLE if ranked is None else f"{ranked[0]} {ranked[1]:.{primary.precision}f}"


def _table(board: Board, headings: list[_Heading], cells: list[list[str]]) -> list[str]:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    name = escape(_name(board))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=name)
    table.title_justify = "left"
    table.title_style = ""
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("participant", overflow="fold")
    table.add_column("submission", overflow="fold")
    marked = any(entry.mark for entry in board.rows)
    if marked:
        table.add_column("mark")
    for heading in _headings(headings, single=len(board.tasks) == 1):
        table.add_column(escape(heading), justify="right", overflow="fold")
    for number, (entry, values) in enumerate(zip(board.rows, cells, strict=True), 1):
        names = [escape(one_line(name, 60)) for name in (entry.participant, entry.submission)]
        mark = [_kind(entry.mark)] if marked else []
        table.add_row(str(number), *names, *mark, *values)
    text = io.StringIO()
    console = Console(file=text, width=WIDEST, force_terminal=False, color_system=None)
    console.print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]
    return lines if board.rows else lines[:1]


def _blocks(
    board: Board, headings: list[_Heading], cells: list[list[str]], width: int
) -> list[str]:
    """Return the board with one block for each entry, best first, within `width`."""
    single = len(board.tasks) == 1
    labels = [h.title if single or h.task is None else f"{h.task}: {h.title}" for h in headings]
    lines = [_name(board)]
    for number, (entry, values) in enumerate(zip(board.rows, cells, strict=True), 1):
        mark = f"  ({entry.mark.kind})" if entry.mark else ""
        head = [f"#{number}  {one_line(entry.participant, 60)}{mark}"]
        if entry.submission != entry.participant:
            head.append(f"    {one_line(entry.submission, 60)}")
        lines += ["", *head, *_pairs(labels, values, width)]
    return lines


def _pairs(labels: list[str], values: list[str], width: int) -> list[str]:
    """Return labels to the left and values to the right of a column, folded to `width`."""
    figures = max(map(len, values), default=0)
    room = max(width - INDENT - 2 - figures, NARROWEST)
    folded = [textwrap.wrap(label, room) or [""] for label in labels]
    longest = max((len(part) for label in folded for part in label), default=0)
    lines = []
    for label, value in zip(folded, values, strict=True):
        first = f"{' ' * INDENT}{label[0]:<{longest}}  {value:>{figures}}"
        lines += [first, *(f"{' ' * INDENT}{part}" for part in label[1:])]
    return lines


def _name(board: Board) -> str:
    return f"{board.title} of {board.competition}, {board.phase}"


def _below(board: Board, columns: int, standings: "Standings | None") -> list[str]:
    lines = []
    hidden = len(board.tasks) * len(board.columns) - columns
    if not board.rows:
        lines.append("No finished run yet: `mimicry run SUBMISSION` makes one.")
    elif hidden:
        lines.append(
            f"Left out: {'one column that is' if hidden == 1 else f'{hidden} columns that are'} "
            f"{NOT_AVAILABLE} under their task "
            "(--every-column shows them, as the platform does)."
        )
    if standings is not None and board.rows:
        told = told_apart(standings)
        if told and len(board.tasks) > 1:
            told.insert(0, _BEST_TASK)
        lines += [*told, *standings.notes]
    if board.note and board.rows:
        lines.append(board.note)
    lines += [
        f"{mark.kind}: {mark.reason}; {_SURPLUS if mark.kind == SURPLUS else _DATED}"
        for mark in dict.fromkeys(entry.mark for entry in board.rows if entry.mark)
    ]
    if board.failures:
        lines.append("Not on the board:")
        lines += [
            one_line(f"{failure.participant}, {failure.submission}: {failure.reason}", 600)
            for failure in board.failures
        ]
    return lines


def _kind(mark: Mark | None) -> str:
    return mark.kind if mark else ""


def _has_values(board: Board, key: str, column: Column) -> bool:
    return any(column.key in entry.tasks.get(key, {}) for entry in board.rows)


def _headings(headings: list[_Heading], *, single: bool) -> list[str]:
    """Return the columns' headings, the task's key above each where there are several."""
    # Words below each other keep a table of many columns narrow.
    titles = [textwrap.wrap(h.title, HEADING_WIDTH, break_long_words=False) for h in headings]
    height = max(map(len, titles), default=0)
    return [
        "\n".join(title if single else [h.task or "", *[""] * (height - len(title)), *title])
        for h, title in zip(headings, titles, strict=True)
    ]
