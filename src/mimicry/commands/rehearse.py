"""``mimicry rehearse``: a whole competition, from its first phase to its last."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import (
    FOLDER,
    EngineChoice,
    bundle_option,
    competition_named,
    competition_option,
    engine_options,
    find,
)
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import is_clutter

if TYPE_CHECKING:
    from mimicry.codabench.boards.board import Board
    from mimicry.codabench.model import Competition

BASELINES = "baselines"
MOST_JOBS = 4


@click.command(
    epilog="""\b
Examples:
  mimicry rehearse
  mimicry rehearse --competition two-task --jobs 1
  mimicry rehearse ann=first.zip ann=second.zip bob=model/ --output runs/rehearsal/people
  mimicry rehearse --engine docker --memory 8g --json > rehearsal.json"""
)
@click.argument("submissions", nargs=-1, metavar="[SUBMISSION]...")
@competition_option
@click.option(
    "--output",
    type=FOLDER,
    help="The rehearsal's folder; one that was stopped in it goes on. "
    "By default runs/rehearsal/COMPETITION.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Submissions run side by side; default: half the processors, at most {MOST_JOBS}.",
)
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print the record, and the rest on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Also what the programs print.")
@bundle_option
def rehearse(
    submissions: tuple[str, ...],
    competition: str | None,
    output: Path | None,
    jobs: int | None,
    where: EngineChoice,
    as_json: bool,
    verbose: bool,
    bundle: Path | None,
) -> int:
    """Play a competition through: Development, board, migration, Final, board.

    SUBMISSION is a zip or a folder, or NAME=PATH to say whose it is; several of one NAME
    are handed in one after the other. By default every folder below baselines/ that is of
    the competition's kind. They are handed in at made-up times inside each phase, and
    quotas and rules are the competition's. The same command goes on where it was stopped.
    The exit code is that of the worst run: 1, 4, 3 or 0; what quotas refuse is no failure.
    """
    from mimicry.codabench.boards.text import board_table
    from mimicry.codabench.rehearsal.plan import name_submissions
    from mimicry.codabench.rehearsal.play import RehearsalRequest
    from mimicry.codabench.rehearsal.play import rehearse as play
    from mimicry.codabench.rehearsal.record import rehearsal_json
    from mimicry.codabench.rehearsal.text import rehearsal_table
    from mimicry.commands.engine import engine_for, resources_of

    root = find(bundle)
    loaded = competition_named(root, competition)
    chosen = name_submissions([_named(s) for s in submissions] or _baselines(root, loaded))
    request = RehearsalRequest(
        competition=loaded,
        submissions=chosen,
        engine=engine_for(where, loaded.docker_image),
        output=output or root / "runs" / "rehearsal" / loaded.id,
        jobs=min(jobs or _default_jobs(), len(chosen)),
        resources=resources_of(where),
        pull=where.pull,
        worker_data=where.worker_data,
        verbose=verbose,
    )
    width = None
    if not as_json and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns

    def report(line: str) -> None:
        click.echo(line, err=as_json)

    def show(board: "Board") -> str:
        return board_table(board, width=width)

    result = play(request, report, show)
    report("\nSummary\n")
    report(rehearsal_table(result).rstrip("\n"))
    report(f"rehearsal folder: {result.folder}")
    if as_json:
        click.echo(rehearsal_json(result), nl=False)
    return result.exit_code


def _named(argument: str) -> tuple[str, Path]:
    """Return participant and path of an argument; a path that exists is one, "=" and all."""
    from mimicry.codabench.run_request import submission_stem

    path = Path(argument)
    name, separator, rest = argument.partition("=")
    if separator and not _exists(path):
        path = Path(rest)
        if not name.strip() or not rest:
            raise click.BadParameter(f"{argument!r} is not NAME=PATH.", param_hint="SUBMISSION")
    else:
        name = ""
    if not _exists(path):
        raise click.BadParameter(
            f"there is no file or folder {path}; check the path.", param_hint="SUBMISSION"
        )
    return name.strip() or submission_stem(path), path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise click.BadParameter(
            f"{path} cannot be read: {error.strerror}.", param_hint="SUBMISSION"
        ) from error


def _baselines(root: Path, competition: "Competition") -> list[tuple[str, Path]]:
    folder = root / BASELINES
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    chosen = [
        (path.name, path)
        for path in found
        if path.is_dir() and not is_clutter(path.name) and path.name != "__pycache__"
    ]
    chosen = [one for one in chosen if _fits(one[1], competition)]
    if not chosen:
        raise BundleError(
            "no-submissions",
            f"There is no folder for {competition.id} in {folder}; name submissions to rehearse "
            "with.",
        )
    return chosen


def _fits(path: Path, competition: "Competition") -> bool:
    """Tell whether a baseline is code where code is run, and a team's JSON on its team's board."""
    from mimicry.codabench.json_submission import is_json_submission
    from mimicry.realign.documents import read_submission_file
    from mimicry.realign.found import find_submission
    from mimicry.realign.submissions import team_of

    tasks = [task for phase in competition.phases for task in phase.tasks]
    if any(task.ingestion_program is not None for task in tasks):
        return not is_json_submission(path)
    teams = {task.key for task in tasks}
    if not teams <= {"blue", "red"}:
        return True
    try:
        return team_of(read_submission_file(find_submission(path))) in teams
    except SubmissionError:
        return False


def _default_jobs() -> int:
    return max(1, min(MOST_JOBS, len(os.sched_getaffinity(0)) // 2))
