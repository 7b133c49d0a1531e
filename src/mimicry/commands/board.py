"""``mimicry board``: the leaderboard of the runs on this machine."""

import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import (
    ANY_PATH,
    bundle_option,
    competition_named,
    existing_path,
    find,
    phase_named,
)
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition, Phase

# Seconds without a word, at first and then between two lines.
PATIENCE = 5.0


@click.command(
    epilog="""\b
Examples:
  mimicry board
  mimicry board --competition two-task --phase final
  mimicry board runs/demo other/runs --csv
  mimicry board --html board.html
  mimicry board runs/final --html site/ --no-intervals
  mimicry board runs/rehearsal/hybrid"""
)
@click.argument("runs_dir", nargs=-1, type=ANY_PATH, callback=existing_path)
@click.option("--competition", metavar="ID", help="Only this one; by default all that have runs.")
@click.option("--phase", metavar="NAME", help="Only this one; by default all that have runs.")
@click.option("--surplus", is_flag=True, help="Rank runs above the quotas, too.")
@click.option("--every-column", is_flag=True, help="Also columns that are n/a under their task.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option(
    "--csv",
    "form",
    flag_value="csv",
    help="Print CSV with full precision; one table where all boards have the same columns.",
)
@click.option("--svg", type=ANY_PATH, metavar="FILE", help="Draw the tables as a picture, too.")
@click.option(
    "--html",
    type=ANY_PATH,
    metavar="FILE",
    help="Write the boards as a page, too, and a page for each run to the folder FILE's name "
    "followed by -runs; into a folder it goes as index.html.",
)
@click.option(
    "--intervals/--no-intervals",
    default=True,
    show_default=True,
    help="Score the runs again, to say how sure scores and ranks are.",
)
@click.option(
    "--worker-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder that was shown as /app/data, where scores depend on it.",
)
@bundle_option
def board(
    runs_dir: tuple[Path, ...],
    competition: str | None,
    phase: str | None,
    surplus: bool,
    every_column: bool,
    form: str | None,
    svg: Path | None,
    html: Path | None,
    intervals: bool,
    worker_data: Path | None,
    bundle: Path | None,
) -> int:
    """Show the board of the runs below RUNS_DIR (default: the bundle's runs/).

    Columns, sorting, precision and submission rule are the competition's; the order is
    the platform's. Runs handed in before or after the phase are marked. Failed runs, and
    those above the quotas, are listed below with their reasons. A rehearsal's runs are
    shown where RUNS_DIR names its folder.

    What ranks has its 95 % interval, and each row the ranks that it may have. For that
    the runs' predictions are scored again, so the reference data must be here.
    """
    show_boards(
        *(runs_dir, competition, phase, bundle),
        form=form,
        surplus=surplus,
        every_column=every_column,
        svg=svg,
        html=html,
        intervals=intervals,
        worker_data=worker_data,
    )
    return 0


def show_boards(
    runs_dir: tuple[Path, ...],
    competition: str | None,
    phase: str | None,
    bundle: Path | None,
    *,
    form: str | None = None,
    surplus: bool = False,
    every_column: bool = False,
    svg: Path | None = None,
    html: Path | None = None,
    intervals: bool = True,
    worker_data: Path | None = None,
) -> None:
    """Print the boards of every competition and phase asked for that has runs."""
    from mimicry.codabench.boards.board import make_board
    from mimicry.codabench.boards.contents import ShownBoard
    from mimicry.codabench.boards.data import board_json, boards_csv
    from mimicry.codabench.boards.found_runs import find_runs
    from mimicry.codabench.boards.page import write_board_pages
    from mimicry.codabench.boards.standings import find_standings
    from mimicry.codabench.boards.text import board_table
    from mimicry.codabench.scratch import writable
    from mimicry.files import write_output
    from mimicry.reports.terminal import terminal_picture

    root = find(bundle)
    default = root / "runs"
    folders = runs_dir or ((default,) if default.is_dir() else ())
    runs, problems = find_runs(folders, rehearsals=bool(runs_dir))
    progress = _progress()
    boards: list[ShownBoard] = []
    asked = competition is not None and phase is not None
    for loaded, one in _choose(root, competition, phase):
        if asked or any((r.competition, r.phase) == (loaded.id, one.slug) for _, r in runs):
            made = make_board(loaded, one, runs, surplus=surplus)
            standings = None
            if intervals and made.rows:
                standings = find_standings(
                    *(made, loaded, one),
                    worker_data=worker_data,
                    report=partial(_told_of, progress, f"{loaded.id}, {one.name}"),
                )
            boards.append(ShownBoard(loaded, one, made, standings))

    def tables(width: int | None = None) -> list[str]:
        return [
            board_table(b.board, every_column=every_column, width=width, standings=b.standings)
            for b in boards
        ]

    if svg is not None:
        title = click.get_current_context().command_path
        with writable(svg, "picture-unwritable", "name another file with --svg"):
            write_output(svg, terminal_picture("\n".join(tables()), title))
    if form == "json":
        parts = [board_json(b.board, standings=b.standings).rstrip() for b in boards]
        click.echo("[" + ",\n".join(parts) + "]")
    elif form == "csv":
        click.echo(boards_csv([(b.board, b.standings) for b in boards]), nl=False)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(tables(width)), nl=False)
        if not boards:
            click.echo("No runs yet: `mimicry run SUBMISSION` makes one.")
    if html is not None:
        page, count = write_board_pages(
            *(html, boards, runs),
            surplus=surplus,
            every_column=every_column,
            worker_data=worker_data,
            report=progress,
        )
        click.echo(f"Wrote {page} and pages of {count:,} runs.", err=form is not None)
    for problem in problems:
        click.echo(problem, err=True)


def _told_of(progress: Callable[[str], None], what: str, words: str) -> None:
    progress(f"intervals of {what}: {words}")


def _progress() -> Callable[[str], None]:
    """Return what tells on stderr how far a slow work is, once it has proved slow."""
    last = time.monotonic()

    def tell(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > PATIENCE:
            last = now
            click.echo(line, err=True)

    return tell


def _choose(
    root: Path, competition: str | None, phase: str | None
) -> list[tuple["Competition", "Phase"]]:
    """Return the competitions and phases asked for; by default all that can be read."""
    from mimicry.codabench.competition import list_competitions

    if competition is not None:
        competitions = [competition_named(root, competition)]
    else:
        competitions = []
        for id in list_competitions(root):
            try:
                competitions.append(competition_named(root, id))
            except BundleError as error:
                click.echo(f"warning: {id} is left out: {error}", err=True)
    found, unknown = [], list[click.BadParameter]()
    for one in competitions:
        try:
            phases = (phase_named(one, phase),) if phase is not None else one.phases
        except click.BadParameter as error:
            unknown.append(error)
        else:
            found += [(one, chosen) for chosen in phases]
    # Competitions may have different phases; one that none has is a mistake.
    if unknown and not found:
        raise unknown[0]
    return found
