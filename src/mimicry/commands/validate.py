"""``mimicry validate``: what the platform would say of a bundle, before it is uploaded."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import ANY_PATH, competition_exists, existing_path, find
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.codabench.validation.report import Report


@click.command(
    epilog="""\b
Examples:
  mimicry validate                          the bundle around this folder
  mimicry validate --competition hybrid
  mimicry validate dist/mimicry-hybrid.zip  what will be uploaded
  mimicry validate other_bundle/ --json"""
)
@click.argument("bundle", type=ANY_PATH, required=False)
@click.option(
    "--competition", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated."
)
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def validate(bundle: Path | None, ids: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Check BUNDLE, a folder or a zip to upload, against every rule of the platform.

    Each finding names file, line and key, says what the platform would say or silently
    do, and which edit mends it. Nothing is run or unpacked. Without BUNDLE, it is the
    nearest folder with a competition.yaml. Exit code 4 with any error.
    """
    path = _place(bundle, ids)
    from mimicry.codabench.validation.report import validate_bundle

    report = validate_bundle(path, ids or None)
    if as_json:
        click.echo(report.to_json())
    else:
        _show(report)
    if report.errors or (strict and report.warnings):
        raise BundleError(
            "bundle-invalid",
            f"{path.name or path} has {report.counts}; make the edits that are named "
            f"{'in the JSON' if as_json else 'above'} and run this again.",
        )
    if not as_json:
        files = f": {', '.join(report.checked)}" if path.is_dir() else ""
        click.echo(f"{path.name or path} is ready to upload ({report.counts}){files}")
    return 0


def _place(bundle: Path | None, ids: tuple[str, ...]) -> Path:
    """Return what is to be looked at; a wrong name is wrong usage."""
    if bundle is None:
        path = find(None)
    else:
        context, parameter = click.get_current_context(), click.Argument(["bundle"])
        existing_path(context, parameter, bundle)
        path = bundle.resolve()
    if not path.is_dir() and not path.is_file():
        raise click.BadParameter(f"{path} is neither a folder nor a file.", param_hint="BUNDLE")
    if ids and not path.is_dir():
        raise click.BadParameter(
            "a zip holds one competition; leave this away.", param_hint="--competition"
        )
    for id in ids:
        competition_exists(path, id)
    return path


def _show(report: "Report") -> None:
    """Print every finding: where, what, what the platform does, the edit."""
    for finding in report.findings:
        where = finding.file if finding.line is None else f"{finding.file}:{finding.line}"
        click.echo(f"{finding.level:7} {' '.join(filter(None, (where, finding.key)))}")
        click.echo(f"        {finding.problem} [{finding.code}]")
        if finding.platform:
            click.echo(f"        platform: {finding.platform}")
        click.echo(f"        edit:     {finding.mend}")
    for text in report.unread:
        click.echo(f"note    {text}")
