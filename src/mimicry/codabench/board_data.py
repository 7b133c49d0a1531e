"""The board for programs: as CSV and as JSON."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from mimicry.codabench.board import Board
from mimicry.codabench.quotas import Mark
from mimicry.errors import one_line

if TYPE_CHECKING:
    from mimicry.codabench.standings import Standing, Standings

_UNKNOWN = (None,) * 5


def board_csv(board: Board, standings: "Standings | None" = None) -> str:
    """Return the board as CSV: one row per run, full precision, ``task.column`` headings.

    With `standings`, every row has the ends of its interval and its best and worst rank.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [(key, column.key) for key, _ in board.tasks for column in board.columns]
    fixed = ["rank", "participant", "submission", "finished", "submitted", "mark"]
    if standings is not None:
        fixed += ["interval_low", "interval_high", "rank_best", "rank_worst"]
    writer.writerow([*fixed, *(f"{key}.{column}" for key, column in keys)])
    for number, entry in enumerate(board.rows, 1):
        values = [entry.tasks.get(key, {}).get(column) for key, column in keys]
        names = (_harmless(entry.participant), _harmless(entry.submission))
        times = (_harmless(entry.finished), entry.submitted)
        fixed_values: list[object] = [number, *names, *times, _kind(entry.mark)]
        if standings is not None:
            standing = standings.rows[number - 1]
            fixed_values += ["" if v is None else repr(v) for v in (standing or _UNKNOWN)[:4]]
        writer.writerow([*fixed_values, *("" if v is None else repr(v) for v in values)])
    return text.getvalue()


def board_json(board: Board, standings: "Standings | None" = None) -> str:
    """Return the board as JSON, with the failed runs."""
    return json.dumps(board_content(board, standings), indent=2) + "\n"


def board_content(board: Board, standings: "Standings | None" = None) -> dict[str, Any]:
    """Return what `board_json` writes.

    With `standings`, every row has ``interval``, ``rank_range`` (both pairs, or null) and
    ``not_told_apart`` (ranks, or null), and the board ``method`` and ``notes``.
    """
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
                "submitted": entry.submitted,
                "mark": _mark(entry.mark),
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
                "mark": _mark(failure.mark),
            }
            for failure in board.failures
        ],
        "note": board.note,
    }
    if standings is not None:
        for row, standing in zip(content["rows"], standings.rows, strict=True):
            row |= _standing(standing)
        content |= {"method": standings.method, "notes": list(standings.notes)}
    return content


def _standing(standing: "Standing | None") -> dict[str, Any]:
    if standing is None:
        return {"interval": None, "rank_range": None, "not_told_apart": None}
    return {
        "interval": None if standing.low is None else [standing.low, standing.high],
        "rank_range": [standing.best, standing.worst],
        "not_told_apart": list(standing.tied),
    }


def _kind(mark: Mark | None) -> str:
    return mark.kind if mark else ""


def _mark(mark: Mark | None) -> dict[str, str] | None:
    return mark._asdict() if mark else None


def _harmless(text: str) -> str:
    """Return `text` so that a spreadsheet does not take it for a formula."""
    line = one_line(text)
    return f"'{line}" if line[:1] in {"=", "+", "-", "@"} else line
