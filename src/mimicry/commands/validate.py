"""``mimicry validate``: what the platform would say of a bundle, before it is uploaded."""

from pathlib import Path

import click

from mimicry.commands.findings import show_report
from mimicry.commands.options import ANY_PATH, competition_exists, existing_path, find
from mimicry.errors import BundleError


@click.command(
    epilog="""\b
Examples:
  mimicry validate                          the bundle around this folder
  mimicry validate --competition hybrid
  mimicry validate dist/mimicry-*.zip       what will be uploaded
  mimicry validate other_bundle/ --json"""
)
@click.argument("bundle", type=ANY_PATH, nargs=-1)
@click.option(
    "--competition", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated."
)
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def validate(bundle: tuple[Path, ...], ids: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Check BUNDLE, a folder or a zip to upload, against every rule of the platform.

    Each finding names file, line and key, says what the platform would say or silently
    do, and which edit mends it. Nothing is run or unpacked. Without BUNDLE, it is the
    nearest folder with a competition.yaml; several are checked one after the other.
    Exit code 4 with any error.
    """
    from mimicry.codabench.validation.report import validate_bundle

    paths = [_place(one, ids) for one in bundle or (None,)]
    reports = {path: validate_bundle(path, ids or None) for path in paths}
    if as_json:
        texts = [report.to_json().rstrip() for report in reports.values()]
        click.echo(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    bad = []
    for path, report in reports.items():
        name = path.name or str(path)
        if not as_json:
            show_report(report)
        if report.errors or (strict and report.warnings):
            bad.append(f"{name} has {report.counts}")
        elif not as_json:
            files = f" in {', '.join(report.checked)}" if path.is_dir() else ""
            click.echo(f"{name}: nothing that the platform would refuse{files} ({report.counts})")
    if bad:
        raise BundleError(
            "bundle-invalid",
            f"{'; '.join(bad)}; make the edits that are named "
            f"{'in the JSON' if as_json else 'above'} and run this again.",
        )
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
