"""``mimicry new-submission``: a minimal submission to begin with."""

import shlex
from pathlib import Path

import click

from mimicry.commands.options import ANY_PATH, find_if_any
from mimicry.errors import BundleError


@click.command(
    "new-submission",
    epilog="""\b
Examples:
  mimicry new-submission my_model
  mimicry new-submission ~/butterflies/second_try""",
)
@click.argument("folder", type=ANY_PATH, metavar="DIR")
def new_submission(folder: Path) -> None:
    """Write a minimal submission that runs into DIR, a new folder or an empty one.

    A model.py with comments, a metadata file and a requirements.txt; NumPy and Pillow are
    all it needs. Works anywhere, also outside of a clone of the bundle.
    """
    from mimicry.codabench.new_submission import write_submission

    try:
        written = write_submission(folder)
    except BundleError as error:
        if error.code != "submission-folder-taken":
            raise
        raise click.BadParameter(error.sentence, param_hint="DIR") from error
    click.echo(f"wrote {', '.join(map(str, written))}")
    shown = shlex.quote(str(folder))
    click.echo("Next: put your idea into model.py, then")
    if find_if_any(None) is None:
        click.echo(f"  mimicry check {shown}")
        click.echo(f"  mimicry pack-submission {shown}")
        click.echo(
            "In a clone of the competition's repository, or with --bundle CLONE, also\n"
            f"  mimicry check --smoke {shown}\n"
            f"  mimicry run {shown}"
        )
        return
    click.echo(f"  mimicry check --smoke {shown}    runs it on eight images")
    click.echo(f"  mimicry run {shown}              scores it on the validation data here")
    click.echo(f"  mimicry pack-submission {shown}  makes the zip to upload")
