"""``mimicry board``: the leaderboard of the runs on this machine."""

from pathlib import Path

import click

from mimicry.commands.options import ANY_PATH, bundle_option, find


@click.command(
    epilog="""\b
Examples:
  mimicry board
  mimicry board --competition two-task --phase final
  mimicry board runs/demo other/runs --csv"""
)
@click.argument("runs_dir", nargs=-1, type=ANY_PATH)
@click.option("--competition", metavar="ID", help="Only this one; by default all that have runs.")
@click.option("--phase", metavar="NAME", help="Only this one; by default all that have runs.")
@click.option("--every-column", is_flag=True, help="Also columns that are n/a under their task.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV with full precision.")
@click.option("--svg", type=ANY_PATH, metavar="FILE", help="Draw the tables as a picture, too.")
@bundle_option
def board(
    runs_dir: tuple[Path, ...],
    competition: str | None,
    phase: str | None,
    every_column: bool,
    form: str | None,
    svg: Path | None,
    bundle: Path | None,
) -> int:
    """Show the board of the runs below RUNS_DIR (default: the bundle's runs/).

    Columns, sorting, precision and submission rule are the competition's; the order is
    the platform's. Failed runs are listed below with their reasons.
    """
    show_boards(runs_dir, competition, phase, bundle, form=form, every_column=every_column, svg=svg)
    return 0


def show_boards(
    runs_dir: tuple[Path, ...],
    competition: str | None,
    phase: str | None,
    bundle: Path | None,
    *,
    form: str | None = None,
    every_column: bool = False,
    svg: Path | None = None,
) -> None:
    """Print the boards of every competition and phase asked for that has runs."""
    from mimicry.codabench.board import Board, find_runs, make_board
    from mimicry.codabench.board_text import board_csv, board_json, board_table
    from mimicry.codabench.competition import list_competitions, load_competition
    from mimicry.files import write_atomically
    from mimicry.reports.terminal import terminal_picture

    root = find(bundle)
    default = root / "runs"
    runs, problems = find_runs(runs_dir or ((default,) if default.is_dir() else ()))
    ids = [competition] if competition else list(list_competitions(root))
    boards: list[Board] = []
    for id in ids:
        loaded = load_competition(root, id)
        phases = (loaded.phase(phase),) if phase else loaded.phases
        for one in phases:
            asked = competition is not None and phase is not None
            if asked or any((r.competition, r.phase) == (id, one.slug) for _, r in runs):
                boards.append(make_board(loaded, one, runs))
    tables = [board_table(one, every_column=every_column) for one in boards]
    if svg is not None:
        title = click.get_current_context().command_path
        write_atomically(svg, terminal_picture("\n".join(tables), title))
    if form == "json":
        click.echo("[" + ",\n".join(board_json(one).rstrip() for one in boards) + "]")
    elif form == "csv":
        click.echo("\n".join(board_csv(one) for one in boards), nl=False)
    else:
        click.echo("\n".join(tables), nl=False)
        if not boards:
            click.echo("No runs yet: `mimicry run SUBMISSION` makes one.")
    for problem in problems:
        click.echo(problem, err=True)
