"""``mimicry verify``: whether runs are what their records say."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import ANY_PATH, bundle_option, existing_path, find_if_any
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition


@click.command(
    epilog="""\b
Examples:
  mimicry verify runs/hybrid/final/my_model-1
  mimicry verify runs/hybrid/final/my_model-1 --submission my_model.zip
  mimicry verify runs/demo --json verified.json
  mimicry verify runs/demo --require-rescoring     for scripts
  mimicry verify runs/rehearsal"""
)
@click.argument("run", nargs=-1, required=True, type=ANY_PATH, callback=existing_path)
@click.option(
    "--submission",
    type=ANY_PATH,
    metavar="ZIP",
    help="What was handed in, a zip, a folder or a JSON file; for a single run.",
)
@click.option("--json", "json_file", type=ANY_PATH, metavar="FILE", help="Write everything there.")
@click.option("--all", "everything", is_flag=True, help="Of several runs, show every line.")
@click.option(
    "--require-rescoring",
    is_flag=True,
    help="Exit code 4, too, where scores of a finished task could not be recomputed.",
)
@click.option(
    "--worker-data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder that was shown as /app/data, where scores depend on it.",
)
@bundle_option
def verify(
    run: tuple[Path, ...],
    submission: Path | None,
    json_file: Path | None,
    everything: bool,
    require_rescoring: bool,
    worker_data: Path | None,
    bundle: Path | None,
) -> int:
    """Check that every run at or below RUN is what its records say.

    Its predictions are scored again. Data, programs, image, predictions and scores are
    compared with what run.json, provenance.json and ingestion.json recorded, and each line
    says what agrees, what differs (recorded -> found) and what cannot be checked. Of a run
    with --twice both are. Nothing in the runs' folders is started or changed. Exit code 4
    where anything differs; the last line counts runs whose scores were not recomputed.
    """
    from mimicry.codabench.boards.found_runs import run_folders
    from mimicry.codabench.competition import load_competition
    from mimicry.codabench.scratch import writable
    from mimicry.codabench.verifying import verify_run
    from mimicry.codabench.verifying_lines import (
        Verdict,
        summary,
        unchecked_text,
        verdict_text,
        verdicts_json,
    )
    from mimicry.files import write_output

    for path in run:
        if not path.is_dir():
            raise click.BadParameter(f"{path} is a file; name a run's folder.", param_hint="RUN")
    if submission is not None and not submission.exists():
        raise click.BadParameter(f"there is no {submission}.", param_hint="--submission")
    named = run_folders(run)
    if not named:
        raise click.BadParameter("there is no run in it; name a run's folder.", param_hint="RUN")
    if submission is not None and len(named) > 1:
        raise click.BadParameter(
            f"that is one run's, and there are {len(named)}.", param_hint="--submission"
        )
    folders = list(_with_second_runs(named))
    root = find_if_any(bundle)

    @cache
    def load(id: str) -> "Competition":
        if root is None:
            raise BundleError(
                "bundle-not-found",
                "There is no competition.yaml here or above; name the competition's folder with "
                "--bundle.",
            )
        return load_competition(root, id)

    short = len(folders) > 1 and not everything
    verdicts: list[Verdict] = []
    for number, (shown, path) in enumerate(folders, 1):
        one = verify_run(path, load, shown=shown, submission=submission, worker_data=worker_data)
        verdicts.append(one)
        if len(folders) > 1:
            click.echo(f"[{number} of {len(folders)}] ", nl=False)
        for line in verdict_text(one, short=short):
            click.echo(line)
    for line in unchecked_text(verdicts) if short else ():
        click.echo(line)
    if json_file is not None:
        with writable(json_file, "report-unwritable", "name another file with --json"):
            write_output(json_file, verdicts_json(verdicts))
    changed = [one.folder for one in verdicts if one.changed]
    if changed:
        raise BundleError(
            "run-changed",
            f"{len(changed)} of {len(verdicts)} runs differ from what was recorded, first "
            f"{changed[0]}: the lines above say in what. Run the submission again, or take back "
            "the data and programs that it was run with.",
        )
    unscored = [one.folder for one in verdicts if one.unscored]
    if unscored and require_rescoring:
        raise BundleError(
            "run-not-rescored",
            f"Nothing differs, but the scores of {len(unscored)} of {len(verdicts)} runs were not "
            f"recomputed, first {unscored[0]}: the lines above say why. Bring what they name, or "
            "leave out --require-rescoring.",
        )
    click.echo(summary(verdicts))
    return 0


def _with_second_runs(folders: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Path]]:
    """Yield runs, each followed by its second one, in which other commands do not look."""
    from mimicry.codabench.records import RUN_FILE
    from mimicry.codabench.twice import SECOND
    from mimicry.codabench.verifying_twice import second_folder

    for shown, path in folders:
        yield shown, path
        second = second_folder(path)
        # Without a record it had not begun.
        if second is not None and os.path.lexists(second / RUN_FILE):
            yield f"{shown}/{SECOND}", second
