"""``mimicry new-submission``: a minimal submission to begin with."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from mimicry.commands.options import find_if_any
from mimicry.errors import BundleError


class _Named(click.Path):
    """A path with a name: an empty one, as of an unset variable, would be this folder."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not os.fspath(value).strip():
            self.fail("it is empty; name the folder to write, or . for this one.", param, ctx)
        return super().convert(value, param, ctx)


@click.command(
    "new-submission",
    epilog="""\b
Examples:
  mimicry new-submission my_model
  mimicry new-submission ~/butterflies/second_try""",
)
@click.argument("folder", type=_Named(path_type=Path), metavar="DIR")
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
