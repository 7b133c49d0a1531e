"""``mimicry data audit``: whether files tell what their pictures should."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import (
    ANY_PATH,
    FOLDER,
    bundle_option,
    competition_exists,
    existing_path,
    find,
)
from mimicry.errors import BundleError

if TYPE_CHECKING:
    from mimicry.data_sets.audit import Pair

KINDS = (
    *("size", "dimensions", "order", "name", "entry", "encoding", "metadata", "copies", "frame"),
    *("colour", "texture"),
)


@click.command(
    "audit",
    epilog="""\b
Examples:
  mimicry data audit
  mimicry data audit --competition hybrid --json audit.json
  mimicry data audit --data my_data/
  mimicry data audit --input input_data/val.zip --reference reference_data/val.zip""",
)
@bundle_option
@click.option("--competition", "id", metavar="ID", help="Only the data of this one.")
@click.option("--task", metavar="KEY", help="Only of tasks with this key, as A or mimic.")
@click.option(
    "--input",
    "input_data",
    type=ANY_PATH,
    metavar="ZIP",
    help="These images; no bundle is needed. With --reference.",
)
@click.option("--reference", type=ANY_PATH, metavar="ZIP", help="Their labels. With --input.")
@click.option(
    "--data",
    "folder",
    type=FOLDER,
    callback=lambda context, parameter, value: value and existing_path(context, parameter, value),
    help="Every input_data/NAME.zip in there with its reference_data/NAME.zip; no bundle is "
    "needed.",
)
@click.option(
    "--accept",
    type=click.Choice(KINDS),
    multiple=True,
    help="Tell leaks of this kind, and do not fail for them; may be repeated.",
)
@click.option("--json", "json_file", type=ANY_PATH, metavar="FILE", help="Write all figures there.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same figures.")
def audit(
    bundle: Path | None,
    id: str | None,
    task: str | None,
    input_data: Path | None,
    reference: Path | None,
    folder: Path | None,
    accept: tuple[str, ...],
    json_file: Path | None,
    seed: int,
) -> int:
    """Look for labels that leak through files: their size, names, order, encoding ...

    Tests whether any property of the files but the pictures themselves predicts which
    images are hybrids, or their group. A leak is told with the property, the area under the
    ROC curve (0.5: tells nothing) and what to do; exit code 4 then. That colour or detail
    of the pictures predict the label is a warning, unless they do so almost perfectly.
    """
    from mimicry.data_sets.audit import audit_pairs
    from mimicry.data_sets.audit_words import audit_json, finding_lines, finding_sentence
    from mimicry.files import write_output

    if (input_data is None) != (reference is None):
        raise click.UsageError("--input and --reference belong together.")
    if (input_data or folder) is not None and (bundle or id or task):
        raise click.UsageError(
            "--input and --data take the place of --bundle, --competition and --task."
        )
    if input_data is not None and folder is not None:
        raise click.UsageError("--input and --data are two ways to name data; give one.")
    pairs = _given(input_data, reference) or _of_folder(folder) or _of_bundle(bundle, id, task)
    found = audit_pairs(pairs, seed=seed, report=click.echo)
    if json_file is not None:
        write_output(json_file, audit_json(found, seed))
    for finding in (*found.leaks, *found.warnings):
        for line in finding_lines(finding):
            click.echo(line)
    for text in (*found.repeated, *found.untested):
        click.echo(f"note    {text}")
    counted = [leak for leak in found.leaks if leak.kind not in accept]
    if counted:
        count = "a property tells" if len(counted) == 1 else f"{len(counted)} kinds of it tell"
        told = [finding_sentence(leak) for leak in counted]
        raise BundleError(
            "data-leak-property",
            f"What the files are like predicts labels ({count} them): {'; '.join(told)}. "
            "Do what stands above and run this again.",
            parts=told,
        )
    sets = f"{len(found.sets)} {'set' if len(found.sets) == 1 else 'sets'}"
    tests = f"{len(found.findings)} {'test' if len(found.findings) == 1 else 'tests'}"
    accepted = f", {len(found.leaks)} accepted" if found.leaks else ""
    warnings = f"{len(found.warnings)} {'warning' if len(found.warnings) == 1 else 'warnings'}"
    click.echo(
        f"no leak in {sets} ({tests}, {warnings}{accepted}); this finds no labels hidden in pixels"
    )
    return 0


def _given(input_data: Path | None, reference: Path | None) -> "list[Pair]":
    from mimicry.data_sets.audit import Pair

    if input_data is None or reference is None:
        return []
    return [Pair("", input_data, reference)]


def _of_folder(folder: Path | None) -> "list[Pair]":
    """Return the zips of images in a folder that has their labels beside."""
    from mimicry.data_sets.audit import Pair

    if folder is None:
        return []
    pairs = [
        Pair(images.stem, images, folder / "reference_data" / images.name)
        for images in sorted((folder / "input_data").glob("*.zip"))
    ]
    chosen = [pair for pair in pairs if pair.reference_data.is_file()]
    if not chosen:
        raise BundleError(
            "data-missing",
            f"{folder} has no input_data/NAME.zip with a reference_data/NAME.zip; name the folder "
            "that holds both, or two zips with --input and --reference.",
        )
    return chosen


def _of_bundle(bundle: Path | None, id: str | None, key: str | None) -> "list[Pair]":
    """Return the data of the bundle's tasks that have images and labels."""
    from mimicry.codabench.competition import list_competitions, load_competition
    from mimicry.data_sets.audit import Pair

    root = find(bundle)
    competition_exists(root, id)
    ids = [id] if id is not None else list(list_competitions(root))
    tasks = [t for one in ids for p in load_competition(root, one).phases for t in p.tasks]
    pairs = {
        (task.key, task.input_data, task.reference_data): Pair(
            task.key, task.input_data, task.reference_data
        )
        for task in tasks
        if task.input_data is not None and task.reference_data is not None
    }
    keys = dict.fromkeys(pair.name for pair in pairs.values())
    if key is not None and key not in keys:
        raise click.BadParameter(
            f"no task with images is called {key!r}; choose one of: {', '.join(keys) or 'none'}.",
            param_hint="--task",
        )
    chosen = [pair for pair in pairs.values() if key in {None, pair.name}]
    if not chosen:
        raise BundleError(
            "data-missing", f"No task of {', '.join(ids)} has images and labels to look at."
        )
    return chosen
