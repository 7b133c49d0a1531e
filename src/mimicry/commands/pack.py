"""``mimicry pack`` and ``mimicry pack-submission``: zips to upload."""

from pathlib import Path

import click

from mimicry.commands.options import ANY_PATH, FOLDER, bundle_option, find


@click.command(
    epilog="""\b
Examples:
  mimicry pack
  mimicry pack --competition hybrid --dist /tmp/upload"""
)
@click.option(
    "--competition", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated."
)
@click.option("--dist", type=FOLDER, help="Where to write; default: dist/ in the bundle.")
@bundle_option
def pack(ids: tuple[str, ...], dist: Path | None, bundle: Path | None) -> None:
    """Build the zip of every competition, ready to upload to Codabench.

    Each zip is read back and checked; the same content gives the same SHA-256.
    """
    from mimicry.codabench.competition import list_competitions, load_competition
    from mimicry.codabench.packing import pack_competition

    root = find(bundle)
    for id in ids or tuple(list_competitions(root)):
        packed = pack_competition(load_competition(root, id), dist or root / "dist")
        _show(packed.path, packed.size, packed.sha256, len(packed.members), packed.warnings)


@click.command(
    "pack-submission",
    epilog="""\b
Examples:
  mimicry pack-submission my_model/
  mimicry pack-submission my_model/ --output my_model-2.zip""",
)
@click.argument("folder", type=ANY_PATH)
@click.option("--output", type=ANY_PATH, metavar="ZIP", help="Default: dist/FOLDER.zip.")
def pack_submission(folder: Path, output: Path | None) -> None:
    """Zip the contents of FOLDER as a submission, without clutter."""
    from mimicry.codabench.packing import pack_submission as pack_folder

    packed = pack_folder(folder, output)
    _show(packed.path, packed.size, packed.sha256, len(packed.members), packed.warnings)


def _show(path: Path, size: int, sha256: str, members: int, warnings: tuple[str, ...]) -> None:
    click.echo(f"{path}  {size:,} bytes, {members} files\n  SHA-256 {sha256}")
    for warning in warnings:
        click.echo(f"  warning: {warning}", err=True)
