"""``mimicry seal-key``: a key for sealed reference data."""

from pathlib import Path

import click

from mimicry.commands.options import ANY_PATH


@click.command(
    "seal-key",
    epilog="""\b
Examples:
  mimicry seal-key ~/mimicry.key
  mimicry pack --seal "$(mimicry seal-key ~/mimicry.key)\"""",
)
@click.argument("file", type=ANY_PATH)
def seal_key(file: Path) -> None:
    """Write a new secret key to FILE and print its public recipient.

    FILE is new, and only you can read it; it is what `age-keygen` writes. Whoever has it
    opens the data that `mimicry pack --seal RECIPIENT` seals; without it nobody does, so
    keep a copy in a safe place, outside of every bundle and repository. docs/sealing.md
    tells where it must lie, and who could read it there.
    """
    from mimicry.codabench.sealing import new_key, shared_folder

    if str(file) == "-":
        raise click.BadParameter(
            "the secret key is never printed; name a file to write it to.", param_hint="FILE"
        )
    click.echo(new_key(file))
    click.echo(f"wrote {file}: keep it secret, and keep a copy", err=True)
    shared = shared_folder(file)
    if shared is not None:
        click.echo(
            f"warning: {file} lies in {shared}, whose files get passed on; move it out of there",
            err=True,
        )
