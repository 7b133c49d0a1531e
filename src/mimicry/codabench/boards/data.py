"""The board for programs: as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mimicry.codabench.boards.board import Board, Entry
from mimicry.codabench.boards.history import ranked_on
from mimicry.codabench.quotas import Mark
from mimicry.errors import one_line

if TYPE_CHECKING:
    from mimicry.codabench.boards.standing import Standing, Standings

_UNKNOWN = (None,) * 5


def board_csv(board: Board, standings: "Standings | None" = None) -> str:
    """Return the board as CSV, as `boards_csv` does of several."""
    return boards_csv([(board, standings)])


def boards_csv(boards: Sequence[tuple[Board, "Standings | None"]]) -> str:
    """Return boards as CSV: one row per run, full precision, ``task.column`` headings.

    Every row names its competition and phase. Boards of the same columns are one table;
    otherwise each is a table of its own, with an empty line between two. Where any board
    has standings, every row has the ends of its interval and its best and worst rank, empty
    where they are unknown.
    """
    sure = any(standings is not None for _, standings in boards)
    headings = [_csv_headings(board, sure=sure) for board, _ in boards]
    together = all(heading == headings[0] for heading in headings)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, ((board, standings), heading) in enumerate(zip(boards, headings, strict=True)):
        if number and not together:
            text.write("\n")
        if not (number and together):
            writer.writerow(heading)
        writer.writerows(_csv_rows(board, standings, sure=sure))
    return text.getvalue()


def _csv_headings(board: Board, *, sure: bool) -> list[str]:
    fixed = ["competition", "phase", "rank", "participant", "submission"]
    fixed += ["finished", "submitted", "mark", "ranked_task", "ranked_value"]
    if sure:
        fixed += ["interval_low", "interval_high", "rank_best", "rank_worst"]
    return [*fixed, *(f"{key}.{column.key}" for key, _ in board.tasks for column in board.columns)]


def _csv_rows(board: Board, standings: "Standings | None", *, sure: bool) -> Iterator[list[object]]:
    where = [_harmless(board.competition), _harmless(board.phase)]
    for number, entry in enumerate(board.rows, 1):
        names = (_harmless(entry.participant), _harmless(entry.submission))
        times = (_harmless(entry.finished), entry.submitted)
        task, value = _ranked(board, entry)
        numbers: list[float | None] = [value]
        if sure:
            standing = None if standings is None else standings.rows[number - 1]
            numbers += (standing or _UNKNOWN)[:4]
        numbers += [
            entry.tasks.get(key, {}).get(column.key)
            for key, _ in board.tasks
            for column in board.columns
        ]
        fixed = [*where, number, *names, *times, _kind(entry.mark), task or ""]
        yield [*fixed, *("" if one is None else repr(one) for one in numbers)]


def _ranked(board: Board, entry: Entry) -> tuple[str | None, float | None]:
    return ranked_on(board, entry) or (None, None)


def board_json(board: Board, standings: "Standings | None" = None) -> str:
    """Return the board as JSON, with the failed runs."""
    return json.dumps(board_content(board, standings), indent=2) + "\n"


def board_content(board: Board, standings: "Standings | None" = None) -> dict[str, Any]:
    """Return what `board_json` writes.

    ``ranked_task`` and ``ranked_value`` say what places a row; both are null where the column
    that ranks is hidden. With `standings`, every row has ``interval``, ``rank_range`` (both
    pairs, or null) and ``not_told_apart`` (ranks, or null), and the board ``method`` and
    ``notes``.
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
                **dict(zip(("ranked_task", "ranked_value"), _ranked(board, entry), strict=True)),
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
