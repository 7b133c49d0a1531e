"""``mimicry board``: the leaderboard of the runs on this machine."""

import shutil
import sys
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


@click.command(
    epilog="""\b
Examples:
  mimicry board
  mimicry board --competition two-task --phase final
  mimicry board runs/demo other/runs --csv
  mimicry board runs/rehearsal/hybrid"""
)
@click.argument("runs_dir", nargs=-1, type=ANY_PATH, callback=existing_path)
@click.option("--competition", metavar="ID", help="Only this one; by default all that have runs.")
@click.option("--phase", metavar="NAME", help="Only this one; by default all that have runs.")
@click.option("--surplus", is_flag=True, help="Rank runs above the quotas, too.")
@click.option("--every-column", is_flag=True, help="Also columns that are n/a under their task.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV with full precision.")
@click.option("--svg", type=ANY_PATH, metavar="FILE", help="Draw the tables as a picture, too.")
@bundle_option
def board(
    runs_dir: tuple[Path, ...],
    competition: str | None,
    phase: str | None,
    surplus: bool,
    every_column: bool,
    form: str | None,
    svg: Path | None,
    bundle: Path | None,
) -> int:
    """Show the board of the runs below RUNS_DIR (default: the bundle's runs/).

    Columns, sorting, precision and submission rule are the competition's; the order is
    the platform's. Runs handed in before or after the phase are marked. Failed runs, and
    those above the quotas, are listed below with their reasons. A rehearsal's runs are
    shown where RUNS_DIR names its folder.
    """
    show_boards(
        *(runs_dir, competition, phase, bundle),
        form=form,
        surplus=surplus,
        every_column=every_column,
        svg=svg,
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
) -> None:
    """Print the boards of every competition and phase asked for that has runs."""
    from mimicry.codabench.board import Board, find_runs, make_board
    from mimicry.codabench.board_text import board_csv, board_json, board_table
    from mimicry.codabench.scratch import writable
    from mimicry.files import write_atomically
    from mimicry.reports.terminal import terminal_picture

    root = find(bundle)
    default = root / "runs"
    folders = runs_dir or ((default,) if default.is_dir() else ())
    runs, problems = find_runs(folders, rehearsals=bool(runs_dir))
    boards: list[Board] = []
    asked = competition is not None and phase is not None
    for loaded, one in _choose(root, competition, phase):
        if asked or any((r.competition, r.phase) == (loaded.id, one.slug) for _, r in runs):
            boards.append(make_board(loaded, one, runs, surplus=surplus))
    if svg is not None:
        title = click.get_current_context().command_path
        tables = [board_table(one, every_column=every_column) for one in boards]
        with writable(svg, "picture-unwritable", "name another file with --svg"):
            write_atomically(svg, terminal_picture("\n".join(tables), title))
    if form == "json":
        click.echo("[" + ",\n".join(board_json(one).rstrip() for one in boards) + "]")
    elif form == "csv":
        click.echo("\n".join(board_csv(one) for one in boards), nl=False)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        tables = [board_table(one, every_column=every_column, width=width) for one in boards]
        click.echo("\n".join(tables), nl=False)
        if not boards:
            click.echo("No runs yet: `mimicry run SUBMISSION` makes one.")
    for problem in problems:
        click.echo(problem, err=True)


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
