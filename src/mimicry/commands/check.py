"""``mimicry check``: what is wrong with a submission, before it is uploaded."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import ANY_PATH, bundle_option, engine_option, find
from mimicry.errors import BundleError, MimicryError, one_line

if TYPE_CHECKING:
    from mimicry.codabench.smoke import SmokeResult
    from mimicry.ingestion.requirements import Allowed


@click.command(
    epilog="""\b
Examples:
  mimicry check my_model/
  mimicry check my_model.zip --smoke
  mimicry check my_model.zip --json"""
)
@click.argument("submission", type=ANY_PATH)
@click.option("--smoke", is_flag=True, help="Also run it over 8 generated images.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--competition",
    default="hybrid",
    show_default=True,
    metavar="ID",
    help="Whose ingestion program and list of packages count.",
)
@engine_option
@bundle_option
def check(
    submission: Path,
    smoke: bool,
    as_json: bool,
    competition: str,
    engine: str,
    bundle: Path | None,
) -> int:
    """Check SUBMISSION, a zip or a folder, without running it.

    Looks at the zip, the layout, the code, the requirements, sizes and kinds of files,
    and tells everything at once. Exit code 3 with any error.
    """
    from mimicry.codabench.submission_check import check_submission

    report = check_submission(submission, _allowed(bundle))
    if not as_json:
        for finding in report.findings:
            click.echo(f"{finding.level:7} {one_line(finding.sentence)} [{finding.code}]")
        if smoke and report.exit_code:
            click.echo("No smoke run: mend the errors first.")
        click.echo(report.summary, err=bool(report.exit_code))
    result = None
    if smoke and not report.exit_code:
        result = _smoke(submission, competition, engine, bundle, quiet=as_json)
    if as_json:
        content = {
            "submission": report.submission,
            "ok": not report.exit_code and (result is None or not result.exit_code),
            "findings": [asdict(finding) for finding in report.findings],
            "smoke": None if result is None else asdict(result),
        }
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    elif result is not None:
        _show_smoke(result)
    return report.exit_code or (result.exit_code if result is not None else 0)


def _allowed(bundle: Path | None) -> "Allowed | None":
    from mimicry.ingestion.requirements import read_allowed

    try:
        root = find(bundle)
    except BundleError:
        # A participant may have this package and no clone; the check then says so.
        if bundle is not None:
            raise
        return None
    return read_allowed(root / "ingestion_program" / "allowed_packages.txt")


def _smoke(
    submission: Path, competition: str, engine: str, bundle: Path | None, *, quiet: bool
) -> "SmokeResult":
    from mimicry.codabench.competition import load_competition
    from mimicry.codabench.smoke import SmokeResult, smoke_run
    from mimicry.commands.engine import engine_for

    chosen = engine_for(engine)
    loaded = load_competition(find(bundle), competition)
    try:
        return smoke_run(submission, loaded, chosen, (lambda line: None) if quiet else click.echo)
    except MimicryError as error:
        if error.kind != "submission":
            raise
        return SmokeResult(error.exit_code, f"smoke run failed: {error}", 0.0, ())


def _show_smoke(result: "SmokeResult") -> None:
    for line in result.tail:
        click.echo(f"  | {line}")
    click.echo(result.sentence, err=bool(result.exit_code))
