"""``mimicry check``: what is wrong with a submission, before it is uploaded."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.findings import check_in, show_findings
from mimicry.commands.options import (
    ANY_PATH,
    EngineChoice,
    bundle_option,
    competition_exists,
    competition_named,
    competition_option,
    engine_options,
    existing_path,
    find_if_any,
)
from mimicry.errors import EXIT_SUBMISSION, BundleError, MimicryError

if TYPE_CHECKING:
    from mimicry.codabench.json_submission import Known
    from mimicry.codabench.smoke import SmokeResult
    from mimicry.codabench.submission_check import CheckReport

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  mimicry check my_model/
  mimicry check my_model.zip --smoke
  mimicry check my_model.zip --json
  mimicry check my_team.json --registry registry.json --count 20
  mimicry check blue_team_submissions/"""
)
@click.argument("submission", type=ANY_PATH, callback=existing_path)
@click.option("--smoke", is_flag=True, help="Also run it over 8 generated images.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--registry", type=_FILE, help="Re-Align, Blue: the models to choose from.")
@click.option("--catalogue", type=_FILE, help="Re-Align, Red: the stimuli to choose from.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Re-Align: how many models or stimuli to name.",
)
@competition_option
@engine_options
@bundle_option
def check(
    submission: Path,
    smoke: bool,
    as_json: bool,
    registry: Path | None,
    catalogue: Path | None,
    count: int | None,
    competition: str | None,
    where: EngineChoice,
    bundle: Path | None,
) -> int:
    """Check SUBMISSION, a zip, a folder or a JSON file, without running it.

    Looks at the zip, the layout, the code, the requirements, sizes and kinds of files,
    and tells everything at once, the verdict last. Exit code 3 with any error.

    A Re-Align submission is a JSON file, a zip of one or a folder of several, such as
    blue_team_submissions/. Names and counts are checked against the bundle's public data
    or what the options name.
    """
    from mimicry.codabench.json_submission import is_json_submission

    if is_json_submission(submission):
        if smoke:
            raise click.UsageError("--smoke runs a model, and a JSON submission has none.")
        known = _known(bundle, registry, catalogue, count)
        return _check_json(submission, known, as_json=as_json)
    if (registry, catalogue, count) != (None, None, None):
        raise click.UsageError(
            f"--registry, --catalogue and --count are for JSON submissions, and {submission} is "
            "none."
        )
    root = _find(bundle, smoke=smoke)
    smoke_run = None
    if root is not None:
        smoke_run = _prepare(root, submission, competition, where, smoke=smoke, quiet=as_json)
    refused = root is not None and _refuses_commands(root, competition)
    report = check_in(root, submission, commands_refused=refused)
    if not as_json:
        show_findings(report)
        if smoke and report.exit_code:
            click.echo("No smoke run: mend the errors first.")
    result = None
    if smoke_run is not None and not report.exit_code:
        result = smoke_run()
    if as_json:
        click.echo(_as_json(report, result))
    else:
        _show_verdict(report, result)
    return report.exit_code or (result.exit_code if result is not None else 0)


def _check_json(submission: Path, known: "Known", *, as_json: bool) -> int:
    from mimicry.codabench.json_submission import check_json_submission

    report = check_json_submission(submission, known)
    if as_json:
        click.echo(_as_json(report, None))
    else:
        show_findings(report)
        _show_verdict(report, None)
    return report.exit_code


def _known(
    bundle: Path | None, registry: Path | None, catalogue: Path | None, count: int | None
) -> "Known":
    from mimicry.codabench.json_submission import Known

    return Known(find_if_any(bundle), registry, catalogue, count)


def _as_json(report: "CheckReport", result: "SmokeResult | None") -> str:
    content = {
        "submission": report.submission,
        "ok": not report.exit_code and (result is None or not result.exit_code),
        "findings": [asdict(finding) for finding in report.findings],
        "smoke": None if result is None else asdict(result),
    }
    return json.dumps(content, indent=2)


def _refuses_commands(root: Path, id: str | None) -> bool:
    from mimicry.codabench.refused_commands import refuses_commands

    try:
        return refuses_commands(competition_named(root, id))
    except (BundleError, click.BadParameter):
        # What is wrong with the bundle is no fault of a submission's.
        return False


def _find(bundle: Path | None, *, smoke: bool) -> Path | None:
    root = find_if_any(bundle)
    if root is None and smoke:
        raise BundleError(
            "bundle-not-found",
            "--smoke runs the competition's own ingestion program, so it needs the bundle, and "
            f"there is no competition.yaml in {Path.cwd()} or above; run this inside a clone of "
            "the bundle, name one with --bundle, or check without --smoke.",
        )
    return root


def _prepare(
    root: Path, submission: Path, id: str | None, where: EngineChoice, *, smoke: bool, quiet: bool
) -> Callable[[], "SmokeResult"] | None:
    """Return the smoke run, if asked for; wrong names are refused before anything is printed."""
    if not smoke:
        competition_exists(root, id)
        return None
    from mimicry.codabench.smoke import SmokeResult, smoke_run
    from mimicry.commands.engine import engine_for, resources_of

    competition, resources = competition_named(root, id), resources_of(where)
    chosen = engine_for(where, competition.docker_image)

    def run() -> SmokeResult:
        if chosen.prepare is not None:
            click.echo(chosen.prepare(competition.docker_image, where.pull).line(), err=quiet)
        click.echo(chosen.walls(resources), err=quiet)
        report = (lambda line: None) if quiet else click.echo
        try:
            return smoke_run(
                submission,
                competition,
                chosen,
                report,
                resources=resources,
                worker_data=where.worker_data,
            )
        except MimicryError as error:
            if error.kind != "submission":
                raise
            return SmokeResult(error.exit_code, f"smoke run failed: {error}", 0.0, ())

    return run


def _show_verdict(report: "CheckReport", result: "SmokeResult | None") -> None:
    """Print how the smoke run ended, if there was one, and last what follows from it all."""
    if result is None or not result.exit_code:
        if result is not None:
            click.echo(result.sentence)
        click.echo(report.summary, err=bool(report.exit_code))
        return
    for line in result.tail:
        click.echo(f"  | {line}")
    fault = result.exit_code == EXIT_SUBMISSION
    verdict = "will not run" if fault else "could not be tried, which is not its fault"
    click.echo(f"{report.submission}: {verdict}; {result.sentence}", err=True)
