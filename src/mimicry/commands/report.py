"""``mimicry report``: the page of one run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import (
    ANY_PATH,
    bundle_option,
    existing_path,
    find_if_any,
)
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition

REPORT_NAME = "report.html"


@click.command(
    epilog="""\b
Examples:
  mimicry report runs/hybrid/development/my_model-1
  mimicry report runs/hybrid/final/my_model-1 --output my_model.html
  mimicry report runs/hybrid/final/my_model-1 --full --output for_organisers.html"""
)
@click.argument("run", type=ANY_PATH, callback=existing_path)
@click.option(
    "--output",
    type=ANY_PATH,
    metavar="FILE",
    help=f"Where the page goes; by default {REPORT_NAME} in the run's folder.",
)
@click.option(
    "--full",
    is_flag=True,
    help="All that can be shown, whatever the phase's rules, and the end of what the "
    "submission printed: for organisers' eyes.",
)
@click.option(
    "--worker-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder that was shown as /app/data, where scores depend on it.",
)
@bundle_option
def report(
    run: Path, output: Path | None, full: bool, worker_data: Path | None, bundle: Path | None
) -> int:
    """Write a page about RUN, the folder of a run, and print its path.

    It shows what was run, how each step went, why a task failed, and the results as the
    competition's own page shows them, from scoring the run's predictions again. Where
    the data are gone or have changed it shows the recorded scores and says why. Open it in
    a browser; it loads nothing.
    """
    from mimicry.codabench.records import RUN_FILE, read_run
    from mimicry.codabench.run_report import run_page
    from mimicry.codabench.scratch import writable
    from mimicry.files import write_atomically, write_output

    if not run.is_dir():
        raise click.BadParameter(
            f"{run} is a file; name the run's folder, which holds run.json.", param_hint="RUN"
        )
    if output is not None and output.is_dir():
        raise click.BadParameter(f"{output} is a folder; name a file.", param_hint="--output")
    if not os.path.lexists(run / RUN_FILE):
        raise click.BadParameter(
            f"{run} is no run's folder; name one that holds {RUN_FILE}.", param_hint="RUN"
        )
    record = read_run(run)
    competition, unknown = _competition(bundle, record.competition)
    page = run_page(run, record, competition, full=full, unknown=unknown, worker_data=worker_data)
    target = run / REPORT_NAME if output is None else output
    with writable(target, "page-unwritable", "name another file with --output"):
        # What stands in the run's folder is a stranger's: no link in it is followed.
        (write_atomically if output is None else write_output)(target, page)
    click.echo(str(target))
    return 0


def _competition(bundle: Path | None, id: str) -> tuple["Competition | None", str | None]:
    """Return a run's competition, or why it cannot be had."""
    from mimicry.codabench.competition import load_competition

    root = find_if_any(bundle)
    if root is None:
        return None, (
            "There is no competition.yaml here or above, so what was recorded is all that can be "
            "shown; name the competition's folder with --bundle."
        )
    try:
        return load_competition(root, id), None
    except BundleError as error:
        return None, f"What was recorded is all that can be shown: {error}"
