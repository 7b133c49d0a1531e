"""The board as text: a table for terminals, CSV and JSON for programs."""

import csv
import io
import json
import textwrap
from typing import Any

from mimicry.codabench.board import NOT_AVAILABLE, Board, cell
from mimicry.codabench.competition import Column
from mimicry.errors import one_line

WIDEST = 2000
HEADING_WIDTH = 12


def board_table(board: Board, *, every_column: bool = False) -> str:
    """Return the board as a table in plain text, with what is not on it below.

    Parameters
    ----------
    board : Board
        What to show.
    every_column : bool
        Show columns too that have no value under a task, as the platform does.

    Returns
    -------
    str
        Lines as long as the table needs, so that the text is the same wherever it
        goes and no value is cut.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = [
        (key, column)
        for key, _ in board.tasks
        for column in board.columns
        if every_column or _has_values(board, key, column)
    ]
    name = escape(f"{board.title} of {board.competition}, {board.phase}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=name)
    table.title_justify = "left"
    table.title_style = ""
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("participant", overflow="fold")
    table.add_column("submission", overflow="fold")
    for heading in _headings(shown, single=len(board.tasks) == 1):
        table.add_column(escape(heading), justify="right", overflow="fold")
    for number, entry in enumerate(board.rows, 1):
        values = [cell(entry.tasks.get(key), column) for key, column in shown]
        names = [escape(one_line(name, 60)) for name in (entry.participant, entry.submission)]
        table.add_row(str(number), *names, *values)
    text = io.StringIO()
    console = Console(file=text, width=WIDEST, force_terminal=False, color_system=None)
    console.print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]
    if not board.rows:
        lines = lines[:1]
    return "\n".join([*lines, *_below(board, len(shown))]).strip("\n") + "\n"


def board_csv(board: Board) -> str:
    """Return the board as CSV: one row per run, full precision, ``task.column`` headings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [(key, column.key) for key, _ in board.tasks for column in board.columns]
    fixed = ["rank", "participant", "submission", "finished"]
    writer.writerow([*fixed, *(f"{key}.{column}" for key, column in keys)])
    for number, entry in enumerate(board.rows, 1):
        values = [entry.tasks.get(key, {}).get(column) for key, column in keys]
        names = (_harmless(entry.participant), _harmless(entry.submission))
        writer.writerow(
            [number, *names, entry.finished, *("" if v is None else repr(v) for v in values)]
        )
    return text.getvalue()


def board_json(board: Board) -> str:
    """Return the board as JSON, with the failed runs."""
    content: dict[str, Any] = {
        "competition": board.competition,
        "title": board.title,
        "phase": board.phase,
        "rule": board.rule,
        "columns": [column.key for column in board.columns],
        "rows": [
            {
                "rank": number,
                "participant": entry.participant,
                "submission": entry.submission,
                "folder": entry.folder,
                "finished": entry.finished,
                "tasks": {key: dict(scores) for key, scores in entry.tasks.items()},
            }
            for number, entry in enumerate(board.rows, 1)
        ],
        "failed": [
            {
                "participant": failure.participant,
                "submission": failure.submission,
                "folder": failure.folder,
                "reason": failure.reason,
            }
            for failure in board.failures
        ],
        "note": board.note,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _below(board: Board, columns: int) -> list[str]:
    lines = []
    hidden = len(board.tasks) * len(board.columns) - columns
    if not board.rows:
        lines.append("No finished run yet: `mimicry run SUBMISSION` makes one.")
    elif hidden:
        lines.append(
            f"Left out: {hidden} columns that are {NOT_AVAILABLE} under their task "
            "(--every-column shows them, as the platform does)."
        )
    if board.note and board.rows:
        lines.append(board.note)
    if board.failures:
        lines.append("Not on the board:")
        lines += [
            one_line(f"{failure.participant}, {failure.submission}: {failure.reason}", 600)
            for failure in board.failures
        ]
    return lines


def _has_values(board: Board, key: str, column: Column) -> bool:
    return any(column.key in entry.tasks.get(key, {}) for entry in board.rows)


def _headings(shown: list[tuple[str, Column]], *, single: bool) -> list[str]:
    """Return the columns' headings, the task's key above each where there are several."""
    # Words below each other keep a table of many columns narrow.
    titles = [
        textwrap.wrap(column.title, HEADING_WIDTH, break_long_words=False) for _, column in shown
    ]
    height = max(map(len, titles), default=0)
    return [
        "\n".join(title if single else [key, *[""] * (height - len(title)), *title])
        for (key, _), title in zip(shown, titles, strict=True)
    ]


def _harmless(text: str) -> str:
    """Return `text` so that a spreadsheet does not take it for a formula."""
    line = one_line(text)
    return f"'{line}" if line[:1] in {"=", "+", "-", "@"} else line
