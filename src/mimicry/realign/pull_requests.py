"""The pull-request road: a folder of JSON files, one for each team, and the board of them all."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mimicry.codabench.json_submission import TEAM_FILE, TEAM_FOLDERS
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import is_clutter
from mimicry.realign.columns import BLUE_COLUMNS, RED_COLUMNS, Column
from mimicry.realign.documents import read_submission_file
from mimicry.realign.rules import RULES_NAME, Team

Form = Literal["text", "json", "csv", "markdown"]
MOST_FILES = 5_000
# Of reference data that are unpacked here.
LARGEST_REFERENCE = 64 * 1024**3


class Row(NamedTuple):
    """A scored submission.

    Attributes
    ----------
    rank : int
        From 1. Teams of equal score share a rank, and as many ranks follow unused.
    team : str
        The file's name without its ending.
    scores : mapping of str to float
        Every column of the board.
    """

    rank: int
    team: str
    scores: Mapping[str, float]


class Failed(NamedTuple):
    """A submission without a score: the file, a stable code, and the reason in one line."""

    file: str
    code: str
    reason: str


class TeamBoard(NamedTuple):
    """The board of a folder: rows by rank, and what could not be scored by name."""

    team: Team
    rows: tuple[Row, ...]
    failed: tuple[Failed, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The board's columns; the first ranks."""
        return BLUE_COLUMNS if self.team == "blue" else RED_COLUMNS


def score_folder(
    folder: Path, reference: Path, team: Team | None = None, *, worker_data: Path | None = None
) -> TeamBoard:
    """Score every team's file of a folder with the functions of the scoring program.

    Parameters
    ----------
    folder : Path
        Holds one ``*.json`` for each team; other files are passed over.
    reference : Path
        A zip of `mimicry.realign.build`, or a folder with its content. Read once.
    team : str, optional
        ``blue`` or ``red``; by default what the folder's name or the rules tell.
    worker_data : Path, optional
        What stands for ``/app/data``, where the rules lead there.

    Raises
    ------
    BundleError
        ``folder-missing``, ``too-many-files``, ``team-unknown``, ``reference-missing``,
        ``reference-other-team``, and what reading the reference data finds. A faulty
        submission is a row of `failed`.
    """
    names = _team_files(folder)
    with _unpacked(reference) as data:
        told = _team_of(data)
        known = team or TEAM_FOLDERS.get(folder.resolve().name) or told
        if known != told:
            raise _other_team(told, reference)
        scorer = _scorer(known, data, worker_data)
        scored: list[tuple[str, Mapping[str, float]]] = []
        failed: list[Failed] = []
        for name in names:
            try:
                if TEAM_FILE.fullmatch(name) is None:
                    raise SubmissionError(
                        "team-file-name",
                        "The name is not that of a team: use lower-case letters, digits, - and _ "
                        "only, at most 64, and end it in .json.",
                    )
                document = read_submission_file(folder / name)
                scored.append((name.removesuffix(".json"), scorer(document, name)))
            except SubmissionError as error:
                failed.append(Failed(name, error.code, _reason(error, name)))
        if failed and not scored and {one.code for one in failed} == {"wrong-team"}:
            raise _other_team(known, reference)
    return TeamBoard(known, _ranked(scored), tuple(failed))


def board_text(board: TeamBoard, form: Form) -> str:
    """Return a board as a table, JSON, CSV or Markdown, ending in a line break."""
    if form == "json":
        document = {
            "competition": board.team,
            "rows": [{"rank": r.rank, "team": r.team, **r.scores} for r in board.rows],
            "failed": [failed._asdict() for failed in board.failed],
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if form == "csv":
        return _csv(board)
    keys = [column.key for column in board.columns]
    cells = [["rank", "team", *(column.title for column in board.columns)]]
    for row in board.rows:
        cells.append([str(row.rank), row.team, *(f"{row.scores[key]:.4f}" for key in keys)])
    return _markdown(board, cells) if form == "markdown" else _table(board, cells)


def _team_files(folder: Path) -> list[str]:
    try:
        names = sorted(
            path.name
            for path in folder.iterdir()
            if path.name.lower().endswith(".json") and not is_clutter(path.name)
        )
    except OSError as error:
        raise BundleError(
            "folder-missing",
            f"{folder} cannot be listed ({error.strerror}); name a folder of submissions.",
        ) from error
    if not names:
        raise BundleError(
            "folder-missing", f"{folder} holds no JSON files; name a folder of submissions."
        )
    if len(names) > MOST_FILES:
        raise BundleError(
            "too-many-files", f"{folder} holds {len(names):,} JSON files; split it into folders."
        )
    return names


def _other_team(theirs: Team, reference: Path) -> BundleError:
    other = "red" if theirs == "blue" else "blue"
    return BundleError(
        "reference-other-team",
        f"{reference.name} holds {theirs.capitalize()}'s data, and the submissions are "
        f"{other.capitalize()}'s; name {other}_development.zip or {other}_final.zip with "
        "--reference.",
    )


def _reason(error: SubmissionError, name: str) -> str:
    """Return an error's words without the file's name, which stands before them already."""
    return error.sentence.removeprefix(f"{name}: ").removeprefix(f"{name} ")


def _scorer(
    team: Team, data: Path, worker_data: Path | None
) -> Callable[[dict[str, Any], str], Mapping[str, float]]:
    if team == "blue":
        from mimicry.realign.blue import chosen_models, score_models
        from mimicry.realign.reference import read_blue_reference

        blue = read_blue_reference(data)
        return lambda document, shown: score_models(chosen_models(document, shown, blue), blue)
    from mimicry.realign.red import chosen_images, score_images
    from mimicry.realign.reference import read_red_reference

    red = read_red_reference(data, worker_data or Path("/app/data"))
    return lambda document, shown: score_images(chosen_images(document, shown, red), red)


def _team_of(data: Path) -> Team:
    try:
        found = json.loads((data / RULES_NAME).read_text(encoding="utf-8"))["competition"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = None
    if found == "blue" or found == "red":
        return found  # type: ignore[no-any-return]
    raise BundleError(
        "team-unknown",
        f"{RULES_NAME} of the reference data does not tell whose they are; build them anew.",
    )


def _ranked(scored: Sequence[tuple[str, Mapping[str, float]]]) -> tuple[Row, ...]:
    ordered = sorted(scored, key=lambda one: (-one[1]["score"], one[0]))
    rows: list[Row] = []
    for place, (team, scores) in enumerate(ordered, start=1):
        tied = bool(rows) and rows[-1].scores["score"] == scores["score"]
        rows.append(Row(rows[-1].rank if tied else place, team, scores))
    return tuple(rows)


@contextmanager
def _unpacked(reference: Path) -> Iterator[Path]:
    """Give a folder with the reference data, a temporary one for a zip."""
    if reference.is_dir():
        yield reference
        return
    import zipfile

    from mimicry.codabench.scratch import scratch_folder
    from mimicry.codabench.submission_zip import ZIP_FAULTS

    with scratch_folder() as folder:
        try:
            with zipfile.ZipFile(reference) as archive:
                if sum(info.file_size for info in archive.infolist()) > LARGEST_REFERENCE:
                    raise BundleError(
                        "reference-missing",
                        f"{reference.name} is too large to be unpacked here; unpack it and name "
                        "the folder.",
                    )
                archive.extractall(folder)
        except ZIP_FAULTS as error:
            raise BundleError(
                "reference-missing",
                f"{reference} cannot be read as a zip ({error}); name what `mimicry realign "
                "build` wrote, or a folder with its content.",
            ) from error
        yield folder


def _table(board: TeamBoard, cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        # Names to the left, numbers to the right.
        shown = [
            cell.ljust(width) if at == 1 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(shown).rstrip())
    if not board.rows:
        lines.append("no submission was scored")
    if board.failed:
        lines += ["", "not scored:"]
        lines += [f"  {one.file}: {one.reason} [{one.code}]" for one in board.failed]
    return "\n".join(lines) + "\n"


def _markdown(board: TeamBoard, cells: Sequence[Sequence[str]]) -> str:
    head, *rows = cells
    lines = [_line(head), _line(["---:", "---", *["---:"] * len(board.columns)])]
    lines += [_line(row) for row in rows]
    if board.failed:
        lines += ["", "Not scored:", ""]
        lines += [f"- {_code(one.file)}: {_code(f'{one.reason} [{one.code}]')}"
                  for one in board.failed]  # fmt: skip
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Return a text as code: nothing in it is a link, a mention or an image then."""
    return "`" + text.replace("`", "'") + "`"


def _csv(board: TeamBoard) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    keys = [column.key for column in board.columns]
    writer.writerow(["rank", "team", *keys, "reason"])
    for row in board.rows:
        writer.writerow([row.rank, row.team, *(repr(row.scores[key]) for key in keys), ""])
    for one in board.failed:
        # Spreadsheets run what begins like a formula.
        writer.writerow(["", _plain(one.file), *[""] * len(keys), _plain(one.reason)])
    return buffer.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@" else text
