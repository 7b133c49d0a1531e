"""``mimicry run``: one submission through the tasks of a phase."""

from pathlib import Path

import click

from mimicry.commands.options import (
    ANY_PATH,
    FOLDER,
    bundle_option,
    competition_named,
    engine_option,
    existing_path,
    find,
    phase_named,
)


@click.command(
    epilog="""\b
Examples:
  mimicry run my_model/ --competition hybrid
  mimicry run my_model.zip --competition two-task --task A --output runs/try-1
  mimicry run my_model.zip --phase final --engine bubblewrap"""
)
@click.argument("submission", type=ANY_PATH, callback=existing_path)
@click.option(
    "--competition", default="hybrid", show_default=True, metavar="ID", help="two-task or hybrid."
)
@click.option("--task", "tasks", metavar="KEYS", help="Only these tasks, as A or A,mimic.")
@click.option("--phase", default="development", show_default=True, help="development or final.")
@engine_option
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
@bundle_option
@click.option(
    "--tail/--no-tail",
    default=True,
    show_default=True,
    help="On failure, show the end of what the submission printed.",
)
def run(
    submission: Path,
    competition: str,
    tasks: str | None,
    phase: str,
    engine: str,
    output: Path | None,
    participant: str | None,
    time_limit: float | None,
    bundle: Path | None,
    tail: bool,
) -> int:
    """Run SUBMISSION, a zip or a folder, as the platform would.

    Same programs as packed, same folders, same command lines. Needs the data sets
    (`mimicry data demo`). Finished tasks of an earlier run in the same folder are kept.
    """
    return run_and_show(
        submission, competition, tasks, phase, engine, output, participant, time_limit, bundle, tail
    )


def run_and_show(
    submission: Path,
    competition: str,
    tasks: str | None,
    phase: str,
    engine: str,
    output: Path | None,
    participant: str | None,
    time_limit: float | None,
    bundle: Path | None,
    tail: bool,
) -> int:
    """Do what ``mimicry run`` does; return the exit code, the worst of the tasks'."""
    from mimicry.codabench.runs import (
        RunRequest,
        choose_tasks,
        default_output,
        failure_tail,
        failures,
        run_submission,
        submission_stem,
        summary,
    )
    from mimicry.commands.engine import engine_for

    root = find(bundle)
    loaded = competition_named(root, competition)
    chosen_phase = phase_named(loaded, phase)
    keys = [key.strip() for key in tasks.split(",") if key.strip()] if tasks else []
    try:
        chosen = choose_tasks(chosen_phase, keys)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--task") from error
    folder = output or default_output(root, loaded.id, chosen_phase.slug, submission)
    record = run_submission(
        RunRequest(
            competition=loaded,
            phase=chosen_phase,
            tasks=chosen,
            submission=submission,
            participant=participant or submission_stem(submission),
            engine=engine_for(engine),
            output=folder,
            time_limit=time_limit,
        ),
        report=click.echo,
    )
    click.echo("")
    columns = {column.key: column.precision for column in loaded.leaderboard.columns}
    for line in summary(record, folder, columns):
        click.echo(line)
    failed = [key for key, task in record.tasks.items() if task.error is not None]
    tails = ((key, failure_tail(folder, key)) for key in failed if tail)
    # One is enough: the tasks of a run fail for the same reason more often than not.
    for key, lines in [found for found in tails if found[1]][:1]:
        click.echo(f"\nThe end of what the submission printed in task {key}:")
        for line in lines:
            click.echo(f"  | {line}")
    for line in failures(record):
        click.echo(line, err=True)
    return record.exit_code
