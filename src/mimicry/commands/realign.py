"""``mimicry realign``: build Re-Align's reference data, score folders, search good choices."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.activations import read_places
from mimicry.commands.options import ANY_PATH, FOLDER, bundle_option, existing_path, find, finite
from mimicry.commands.realign_search import search

if TYPE_CHECKING:
    from mimicry.realign.build import Built

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTPUT = click.Path(dir_okay=False, path_type=Path)


@click.group(
    epilog="""\b
Examples:
  mimicry realign build blue activations/blue_final --phase final
  mimicry realign score blue_team_submissions --reference reference_data/blue_development.zip
  mimicry realign search --help"""
)
def realign() -> None:
    """Re-Align: build reference data, score team files, search good choices."""


@realign.group(
    epilog="""\b
Examples:
  mimicry realign build blue activations/blue_development --phase development
  mimicry realign build red activations/catalogue --phase final --models 'vit_*'"""
)
def build() -> None:
    """Make a board's reference data from activations in a store, and its public files."""


@build.command(
    epilog="""\b
Examples:
  mimicry realign build blue activations/blue_development --phase development
  mimicry realign build blue activations/blue_final --phase final --count 20
  mimicry realign build blue activations/blue_final --phase final \\
      --rule largest_set --threshold 0.8"""
)
@click.argument("store", type=ANY_PATH, callback=existing_path)
@click.option("--phase", type=click.Choice(["development", "final"]), help="Names the output.")
@click.option("--output", type=_OUTPUT, help="Default: reference_data/blue_PHASE.zip.")
@click.option("--public", type=FOLDER, help="Default: public_data/blue.")
@click.option(
    "--registry",
    type=_FILE,
    help="The models to choose from, as they were extracted. Default: registry.json beside the "
    "store or in public_data/blue.",
)
@click.option(
    "--rule",
    type=click.Choice(["mean_cka", "largest_set"]),
    default="mean_cka",
    show_default=True,
    help="What is scored.",
)
@click.option("--count", type=click.IntRange(min=2), default=20, show_default=True, metavar="N",
              help="mean_cka: models to name.")  # fmt: skip
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.8, show_default=True,
              help="largest_set: least similarity of two models.")  # fmt: skip
@click.option("--models", multiple=True, metavar="PATTERN", help="Only these of the registry.")
@click.option("--replicates", type=click.IntRange(min=2), default=200, show_default=True,
              help="Of the bootstrap over stimuli.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the bootstrap.")  # fmt: skip
@click.option("--search-seconds", type=click.FloatRange(min=0), callback=finite, default=600.0,
              show_default=True,
              help="The search for the optimum ends then at the latest.")  # fmt: skip
@bundle_option
def blue(
    store: Path,
    phase: str | None,
    output: Path | None,
    public: Path | None,
    registry: Path | None,
    rule: str,
    count: int,
    threshold: float,
    models: tuple[str, ...],
    replicates: int,
    seed: int,
    search_seconds: float,
    bundle: Path | None,
) -> None:
    """Compare all models of a registry over the stimuli of STORE.

    STORE holds activations over one list of stimuli. Nothing in the zip tells what these
    stimuli are.
    """
    from mimicry.activations.registry import read_registry
    from mimicry.realign.build import BlueOptions, build_blue

    target, folder = _places("blue", phase, output, public, bundle)
    known = registry or _registry(store, folder)
    options = BlueOptions(
        rule="largest_set" if rule == "largest_set" else "mean_cka",
        count=count,
        threshold=threshold,
        replicates=replicates,
        models=models,
        seed=seed,
        search_seconds=search_seconds,
    )
    entries = read_registry(known)
    _show(build_blue(store, entries, target, folder, options, say=click.echo))


@build.command(
    epilog="""\b
Examples:
  mimicry realign build red activations/catalogue --phase development --models 'resnet*'
  mimicry realign build red activations/catalogue --phase final --dtype float16 \\
      --activations worker_data/red_final"""
)
@click.argument("store", type=ANY_PATH, callback=existing_path)
@click.option("--phase", type=click.Choice(["development", "final"]), help="Names the output.")
@click.option("--output", type=_OUTPUT, help="Default: reference_data/red_PHASE.zip.")
@click.option("--public", type=FOLDER, help="Default: public_data/red.")
@click.option("--registry", type=_FILE, help="What the models must agree with, if given.")
@click.option("--count", type=click.IntRange(min=4), default=1000, show_default=True, metavar="N",
              help="Stimuli to name.")  # fmt: skip
@click.option("--models", multiple=True, metavar="PATTERN",
              help="The secret models of this phase; default: all in the store.")  # fmt: skip
@click.option("--draws", type=click.IntRange(min=2), default=100, show_default=True,
              help="Random choices that tell what chance reaches.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float16", "float32"]),
              help="Of the activations; default: as stored.")  # fmt: skip
@click.option("--activations", type=FOLDER,
              help="Put the activations here, to be laid into the worker's /app/data under the "
              "same name, and not into the zip.")  # fmt: skip
@click.option("--thumbnails", "places", multiple=True, metavar="[NAME=]PATH", callback=read_places,
              help="A data set's folder or zip of images, as they were extracted; may be repeated. "
              "Results pages then show small copies of some chosen images to everybody: only for "
              "images that may be shown.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the random choices.")  # fmt: skip
@bundle_option
def red(
    store: Path,
    phase: str | None,
    output: Path | None,
    public: Path | None,
    registry: Path | None,
    count: int,
    models: tuple[str, ...],
    draws: int,
    dtype: str | None,
    activations: Path | None,
    places: tuple[tuple[str, Path], ...],
    seed: int,
    bundle: Path | None,
) -> None:
    """Collect the secret models' activations over the catalogue, which is STORE's list.

    The models' names are not in the zip: their arrays are numbered.
    """
    from mimicry.activations.registry import read_registry
    from mimicry.realign.build import RedOptions, build_red

    target, folder = _places("red", phase, output, public, bundle)
    entries = None if registry is None else read_registry(registry)
    options = RedOptions(
        count=count,
        draws=draws,
        models=models,
        dtype=dtype,
        seed=seed,
        activations=activations,
        thumbnails=places,
    )
    _show(build_red(store, target, folder, options, registry=entries, say=click.echo))


@realign.command(
    epilog="""\b
Examples:
  mimicry realign score blue_team_submissions --reference reference_data/blue_development.zip
  mimicry realign score red_team_submissions --reference build/red_final --format csv"""
)
@click.argument("folder", type=FOLDER, callback=existing_path)
@click.option(
    "--reference",
    type=ANY_PATH,
    required=True,
    callback=existing_path,
    help="What `mimicry realign build` wrote, as a zip or unpacked.",
)
@click.option("--team", type=click.Choice(["blue", "red"]), help="Default: what the data tell.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv", "markdown"]),
    default="text",
    show_default=True,
    help="Of the board.",
)
@click.option(
    "--worker-data", type=FOLDER, help="What stands for /app/data, if the rules lead there."
)
def score(
    folder: Path, reference: Path, team: str | None, form: str, worker_data: Path | None
) -> None:
    """Score every team's JSON file in FOLDER and print the board.

    Teams of equal score share a rank. What cannot be scored stands below, with the reason;
    the exit code is 0 all the same, since the board is done.
    """
    from mimicry.realign.pull_requests import board_text, score_folder

    board = score_folder(
        folder,
        reference,
        "blue" if team == "blue" else "red" if team == "red" else None,
        worker_data=worker_data,
    )
    forms = {"json": "json", "csv": "csv", "markdown": "markdown"}
    click.echo(board_text(board, forms.get(form, "text")), nl=False)  # type: ignore[arg-type]


@realign.command(
    "pull-request",
    epilog="""\b
Examples:
  git diff --name-status -z --no-renames main...HEAD > changes
  mimicry realign pull-request changes --root .""",
)
@click.argument("changes", type=_FILE)
@click.option("--root", type=FOLDER, required=True, help="A checkout of the pull request.")
@bundle_option
def pull_request(changes: Path, root: Path, bundle: Path | None) -> int:
    """Check a pull request: one file, of one team, and in order.

    CHANGES is what `git diff --name-status -z --no-renames` printed. Names and counts are
    checked against the public data of the bundle, which is not the pull request's.
    """
    from mimicry.codabench.json_submission import Known
    from mimicry.errors import one_line
    from mimicry.realign.changes import judge_changes, parse_changes

    known = Known(find(bundle))
    verdict = judge_changes(parse_changes(changes.read_bytes()), root, known)
    for line in verdict.lines:
        click.echo(one_line(line))
    return verdict.exit_code


realign.add_command(search)


def _places(
    team: str, phase: str | None, output: Path | None, public: Path | None, bundle: Path | None
) -> tuple[Path, Path]:
    """Return the zip to write and the folder for public files."""
    if output is None and phase is None:
        raise click.UsageError("Say which --phase this is, or where to write with --output.")
    root = find(bundle) if output is None or public is None else Path()
    target = output or root / "reference_data" / f"{team}_{phase}.zip"
    return target, public or root / "public_data" / team


def _registry(store: Path, public: Path) -> Path:
    """Return the registry that was most likely extracted."""
    near = [folder / "registry.json" for folder in (store.resolve(), *store.resolve().parents[:3])]
    for path in (*near, public / "registry.json"):
        if path.is_file():
            return path
    raise click.UsageError("Name the registry that was extracted, with --registry.")


def _show(built: "Built") -> None:
    for line in built.sizes.lines():
        click.echo(line)
    for path in (*built.public, built.output):
        click.echo(f"wrote {path}")
