"""``mimicry pack`` and ``mimicry pack-submission``: zips to upload."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimicry.commands.findings import check_in, show_findings, show_report
from mimicry.commands.options import (
    ANY_PATH,
    FOLDER,
    bundle_option,
    competition_named,
    existing_path,
    find,
    find_if_any,
)
from mimicry.errors import BundleError, SubmissionError

if TYPE_CHECKING:
    from mimicry.codabench.competition import Competition


@click.command(
    epilog="""\b
Examples:
  mimicry pack
  mimicry pack --competition hybrid --dist /tmp/upload
  mimicry pack --seal age1...                      labels that only a key can open"""
)
@click.option(
    "--competition", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated."
)
@click.option("--dist", type=FOLDER, help="Where to write; default: dist/ in the bundle.")
@click.option(
    "--seal",
    "seal",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt all reference data for this public key (age1..., or a file with such lines; "
    "`mimicry seal-key` makes one); may be repeated. Only a scoring program that finds the secret "
    "key opens them: read docs/sealing.md first.",
)
@bundle_option
def pack(
    ids: tuple[str, ...], dist: Path | None, seal: tuple[str, ...], bundle: Path | None
) -> None:
    """Build the zip of every competition, ready to upload to Codabench.

    Each zip is read back, compared with its file, and validated as `mimicry validate`
    does; the same content gives the same SHA-256. With --seal the bundle is validated
    before, too, as long as its labels can be read, and every zip is another one.
    """
    from mimicry.codabench.competition import list_competitions
    from mimicry.codabench.packing import pack_competition
    from mimicry.codabench.validation.report import validate_bundle

    root = find(bundle)
    recipients = _recipients(seal)
    chosen = dict.fromkeys(ids or list_competitions(root))
    for competition in _read_all(root, list(chosen)):
        if recipients:
            # Sealed labels cannot be looked for in what participants get.
            plain = validate_bundle(root, [competition.id])
            if plain.errors:
                show_report(plain)
                raise BundleError(
                    "bundle-invalid",
                    f"{competition.id} was not packed: it has {plain.counts}; make the edits that "
                    "are named above and pack again.",
                )
        packed = pack_competition(competition, dist or root / "dist", recipients)
        _show(packed.path, packed.size, packed.sha256, len(packed.members), packed.warnings)
        report = validate_bundle(packed.path)
        show_report(report)
        if report.errors:
            raise BundleError(
                "bundle-invalid",
                f"{packed.path.name} was packed, but do not upload it: it has {report.counts}; "
                "make the edits that are named above and pack again.",
            )


def _recipients(named: Sequence[str]) -> tuple[Any, ...]:
    if not named:
        return ()
    from mimicry.codabench.sealing import read_recipients

    return read_recipients(named)


@click.command(
    "pack-submission",
    epilog="""\b
Examples:
  mimicry pack-submission my_model/
  mimicry pack-submission my_model/ --output my_model-2.zip
  mimicry pack-submission my_team.json""",
)
@click.argument("folder", type=ANY_PATH, callback=existing_path)
@click.option("--output", type=ANY_PATH, metavar="ZIP", help="Default: dist/NAME.zip.")
@bundle_option
def pack_submission(folder: Path, output: Path | None, bundle: Path | None) -> int:
    """Check FOLDER and zip its contents as a submission, without clutter.

    A Re-Align team's JSON file in place of FOLDER, or the only one in it, is zipped alone.
    With any error nothing is written, and the exit code is 3.
    """
    from mimicry.codabench.json_submission import (
        Known,
        check_json_submission,
        file_to_pack,
        pack_json_submission,
    )
    from mimicry.codabench.packing import pack_submission as pack_folder

    single = file_to_pack(folder)
    if single is None and not folder.is_dir():
        raise click.BadParameter(
            f"{folder} is no folder; name the folder that holds model.py, or a Re-Align team's "
            ".json file.",
            param_hint="FOLDER",
        )
    root = find_if_any(bundle)
    if single is not None:
        report = check_json_submission(single, Known(root))
    else:
        report = check_in(root, _packed_folder(folder))
    show_findings(report)
    if report.exit_code:
        click.echo(f"{report.summary} Nothing was packed: mend the errors first.", err=True)
        return report.exit_code
    if single is not None:
        packed = pack_json_submission(single, output)
    else:
        packed = pack_folder(folder, output)
    # What it warns of has just been told as findings.
    _show(packed.path, packed.size, packed.sha256, len(packed.members), ())
    return 0


def _packed_folder(folder: Path) -> Path:
    """Return the folder whose contents are packed: this one, or the only one that counts."""
    from mimicry.ingestion.submission import find_model

    try:
        found = find_model(folder)
    except (SubmissionError, OSError):
        # The check finds the same, and more.
        return folder
    if found.wrapper is not None:
        click.echo(
            f"model.py lies in {found.wrapper}/; its contents are packed, and nothing beside it."
        )
    return found.folder


def _read_all(root: Path, ids: Sequence[str]) -> list["Competition"]:
    """Read competitions; the faults of all are told before the last one's are raised."""
    read, faults = [], list[BundleError]()
    for id in ids:
        try:
            read.append(competition_named(root, id))
        except BundleError as error:
            faults.append(error)
    for fault in faults[:-1]:
        click.echo(str(fault), err=True)
    if faults:
        raise faults[-1]
    return read


def _show(path: Path, size: int, sha256: str, members: int, warnings: tuple[str, ...]) -> None:
    files = "1 file" if members == 1 else f"{members} files"
    click.echo(f"{path}  {size:,} bytes, {files}\n  SHA-256 {sha256}")
    for warning in warnings:
        click.echo(f"  warning: {warning}", err=True)
