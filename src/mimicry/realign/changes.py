"""What a pull request may change: one file, of one team, and that file must be in order."""

import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mimicry.codabench.json_submission import (
    TEAM_FILE,
    TEAM_FOLDERS,
    Known,
    check_json_submission,
)
from mimicry.errors import EXIT_SUBMISSION, SubmissionError, one_line

MOST_CHANGES = 100_000
SHOWN = 3
_STATUS = re.compile(r"[A-Z][0-9]{0,3}")


class Change(NamedTuple):
    """One entry of ``git diff --name-status -z --no-renames``: a letter and a path."""

    status: str
    path: str


class Verdict(NamedTuple):
    """What is said of a pull request.

    Attributes
    ----------
    exit_code : int
        0, or 3 when something must be mended.
    lines : tuple of str
        Plain text, one printable line each; parts may come from a stranger.
    """

    exit_code: int
    lines: tuple[str, ...]


def parse_changes(data: bytes) -> tuple[Change, ...]:
    """Read the output of ``git diff --name-status -z --no-renames``.

    Raises
    ------
    SubmissionError
        ``pull-request-changes`` when it is not that, or of more than 100,000 files.
    """
    fields = data.decode("utf-8", "backslashreplace").split("\0")
    if fields[-1] == "":
        fields.pop()
    pairs = list(zip(fields[::2], fields[1::2], strict=False))
    if (
        len(fields) % 2
        or len(pairs) > MOST_CHANGES
        or not all(_STATUS.fullmatch(status) and path for status, path in pairs)
    ):
        raise SubmissionError(
            "pull-request-changes",
            "The list of changes is not what `git diff --name-status -z --no-renames` prints, or "
            "has too many entries; open a pull request that changes one file.",
        )
    return tuple(Change(status[0], path) for status, path in pairs)


def judge_changes(changes: Sequence[Change], root: Path, known: Known) -> Verdict:
    """Judge a pull request by its changes and the checked file itself.

    A pull request may add or change one file, ``blue_team_submissions/<team>.json`` or
    ``red_team_submissions/<team>.json``. Who may change a file that is there already is not
    to be told from a file: the verdict says that a maintainer must look at the author.

    Parameters
    ----------
    changes : sequence of Change
        Of the whole pull request.
    root : Path
        A checkout of it; nothing in it is run, and no link below it is followed.
    known : Known
        The public data, of the branch that is to be changed.
    """
    inside = [change for change in changes if change.path.partition("/")[0] in TEAM_FOLDERS]
    if not inside:
        return Verdict(0, ("This pull request touches no submission.",))
    others = [change.path for change in changes if change not in inside]
    faults = []
    if others:
        faults.append(
            f"It changes other files too ({_some(others)}); leave the submission alone in its "
            "pull request."
        )
    if len(inside) > 1:
        faults.append(
            f"It changes {len(inside)} files of submissions "
            f"({_some([change.path for change in inside])}); change your own team's one file only."
        )
    change = inside[0]
    folder, _, name = change.path.partition("/")
    if TEAM_FILE.fullmatch(name) is None:
        faults.append(
            f"{change.path!a}: a submission is {folder}/<team>.json with a team of a-z, 0-9, - "
            "and _, at most 64 of them."
        )
    elif change.status not in {"A", "M"}:
        faults.append(f"{change.path} is removed or is no plain file any more; put it back.")
    if not faults and (odd := _odd_place(root, folder, name)):
        faults.append(f"{change.path} {odd}; make it one plain JSON file. [json-unreadable]")
    if faults:
        return Verdict(EXIT_SUBMISSION, tuple(faults))
    path = root / folder / name
    report = check_json_submission(path, known)
    lines = [
        one_line(f"{finding.level}: {finding.sentence} [{finding.code}]")
        for finding in report.findings
    ]
    if path.lstat().st_mode & 0o111:
        lines.append(
            f"warning: {change.path} is executable, which no submission needs; take that away "
            f"(git update-index --chmod=-x {change.path})."
        )
    if change.status == "M":
        lines.append(
            f"{change.path} is there already: a maintainer must see that its author is of that "
            "team."
        )
    return Verdict(report.exit_code, (*lines, report.summary))


def _odd_place(root: Path, folder: str, name: str) -> str | None:
    """Return what is wrong with a place below `root` that is not a plain file in a plain folder."""
    try:
        if not stat.S_ISDIR((root / folder).lstat().st_mode):
            return f"is not in a plain folder: {folder} is a link or a file"
        mode = (root / folder / name).lstat().st_mode
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    return "is a folder or a submodule" if stat.S_ISDIR(mode) else "is no regular file"


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    # In ASCII: file names may hold anything.
    return ", ".join(f"{path[:100]!a}" for path in paths[:SHOWN]) + more
