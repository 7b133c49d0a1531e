"""``mimicry run``: one submission through the tasks of a phase."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import (
    ANY_PATH,
    FOLDER,
    EngineChoice,
    bundle_option,
    competition_named,
    competition_option,
    engine_options,
    existing_path,
    find,
    phase_named,
    read_moment,
)
from mimicry.errors import EXIT_BUG, EXIT_BUNDLE, EXIT_SUBMISSION

if TYPE_CHECKING:
    from mimicry.codabench.records import RunRecord
    from mimicry.codabench.run_request import RunRequest


@click.command(
    epilog="""\b
Examples:
  mimicry run my_model/ --competition hybrid
  mimicry run my_model.zip --competition two-task --task A --output runs/try-1
  mimicry run my_model.zip --phase final --engine docker --memory 8g --cpus 4
  mimicry run my_model/ --twice
  mimicry run my_model.zip --engine docker --require-isolation
  mimicry run my_team.json --competition blue"""
)
@click.argument("submission", type=ANY_PATH, callback=existing_path)
@competition_option
@click.option("--task", "tasks", metavar="KEYS", help="Only these tasks, as A or A,mimic.")
@click.option("--phase", default="development", show_default=True, help="development or final.")
@engine_options
@click.option(
    "--output",
    type=FOLDER,
    help="The run's folder; a run of the same submission in it is resumed. "
    "By default runs/COMPETITION/PHASE/SUBMISSION-NUMBER.",
)
@click.option("--participant", metavar="NAME", help="Name on the board; default: the submission's.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Instead of the phase's limit.",
)
@click.option(
    "--submitted",
    metavar="TIME",
    callback=read_moment,
    help="When it was handed in (UTC), for the board's quotas and dates; default: now.",
)
@click.option(
    "--twice",
    is_flag=True,
    help="Run it a second time, in the folder second-run of the run's, which no board counts, "
    "and tell whether both give the same.",
)
@click.option(
    "--require-isolation",
    is_flag=True,
    help="Start no model where a protection is missing; docs/security.md lists them.",
)
@bundle_option
@click.option(
    "--tail/--no-tail",
    default=True,
    show_default=True,
    help="On failure, show the end of what the submission printed.",
)
def run(
    submission: Path,
    competition: str | None,
    tasks: str | None,
    phase: str,
    where: EngineChoice,
    output: Path | None,
    participant: str | None,
    time_limit: float | None,
    submitted: str | None,
    twice: bool,
    require_isolation: bool,
    bundle: Path | None,
    tail: bool,
) -> int:
    """Run SUBMISSION, a zip, a folder or a JSON file, as the platform would.

    Same programs as packed, same folders, same command lines. Needs the data sets
    (`mimicry data demo`; for Re-Align `mimicry data zoo`). A Re-Align team's JSON file
    runs in the team's competition, unless another is named. Finished tasks of an earlier
    run in the same folder are kept. Notes say where the platform does what one might not
    expect. The last lines name each task's results page, as participants see it on the
    platform; of a task that failed it tells why.
    """
    from mimicry.codabench.json_submission import is_json_submission
    from mimicry.codabench.run_request import (
        RunRequest,
        choose_tasks,
        default_output,
        submission_stem,
    )
    from mimicry.commands.engine import engine_for, resources_of

    root = find(bundle)
    json_file = is_json_submission(submission)
    if json_file and competition is None:
        competition = _board_of(root, submission)
    loaded = competition_named(root, competition)
    chosen_phase = phase_named(loaded, phase)
    keys = [key.strip() for key in tasks.split(",") if key.strip()] if tasks else []
    try:
        chosen = choose_tasks(chosen_phase, keys)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--task") from error
    if json_file and any(task.ingestion_program is not None for task in chosen):
        raise click.BadParameter(
            f"{submission.name} is a JSON submission, and {loaded.id} runs a model.py; name the "
            "competition of its team, such as blue or red.",
            param_hint="--competition",
        )
    request = RunRequest(
        competition=loaded,
        phase=chosen_phase,
        tasks=chosen,
        submission=submission,
        participant=participant or submission_stem(submission),
        engine=engine_for(where, loaded.docker_image),
        output=output or default_output(root, loaded.id, chosen_phase.slug, submission),
        time_limit=time_limit,
        resources=resources_of(where),
        pull=where.pull,
        worker_data=where.worker_data,
        submitted=submitted,
        require_isolation=require_isolation,
    )
    return run_and_show(request, tail=tail, twice=twice)


def _board_of(root: Path, submission: Path) -> str | None:
    """Return the competition of a JSON submission's team, None where there is none."""
    from mimicry.codabench.competition import list_competitions
    from mimicry.codabench.json_submission import team_of_submission

    team = team_of_submission(submission)
    return team if team in list_competitions(root) else None


def run_and_show(request: "RunRequest", *, tail: bool, twice: bool = False) -> int:
    """Run what was asked for and tell how it went; return the worst of the tasks' exit codes.

    With `twice`, also run it a second time and tell what differs.
    """
    from mimicry.codabench.runs import run_submission
    from mimicry.codabench.twice import run_twice
    from mimicry.codabench.twice_text import twice_text

    board = request.competition.leaderboard
    columns = {column.key: column.precision for column in board.columns}
    if not twice:
        record = run_submission(request, report=click.echo)
        _show(record, request.output, columns, tail=tail)
        return record.exit_code
    found = run_twice(request, report=click.echo)
    codes = [found.first.exit_code]
    if found.second is not None and found.second.exit_code:
        _show(found.second, found.folder, columns, tail=tail)
        codes.append(found.second.exit_code)
    _show(found.first, request.output, columns, tail=tail)
    click.echo("")
    for line in twice_text(found, columns):
        click.echo(line)
    return next((code for code in (EXIT_BUG, EXIT_BUNDLE, EXIT_SUBMISSION) if code in codes), 0)


def _show(record: "RunRecord", output: Path, columns: Mapping[str, int], *, tail: bool) -> None:
    """Tell how a run went, given its folder and the decimals of the board's columns."""
    from mimicry.codabench.run_text import failure_tail, failures, summary
    from mimicry.ingestion.outcome import BUG_FILE
    from mimicry.scoring.output import PAGE_NAME

    click.echo("")
    for line in summary(record, output, columns):
        click.echo(line)
    failed = [key for key, task in record.tasks.items() if task.error is not None]
    tails = ((key, failure_tail(output, key)) for key in failed if tail)
    # One is enough: the tasks of a run fail for the same reason more often than not.
    for key, lines in [found for found in tails if found[1]][:1]:
        click.echo(f"\nThe end of what the submission printed in task {key}:")
        for line in lines:
            click.echo(f"  | {line}")
    for key, task in record.tasks.items():
        traceback = output / key / "prediction" / BUG_FILE
        if task.error_kind == "bug" and traceback.is_file():
            click.echo(f"The traceback of task {key} is in {traceback}")
    for key in record.tasks:
        page = output / key / "scoring" / PAGE_NAME
        if page.is_file():
            click.echo(f"results page: {page}")
    for line in failures(record):
        click.echo(line, err=True)
