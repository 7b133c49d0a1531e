"""``mimicry activations``: extract activations into a store, list and verify what is there."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimicry.commands.options import ANY_PATH, FOLDER, existing_path, finite

if TYPE_CHECKING:
    from mimicry.activations.reading import Activations

_PRECISIONS = click.Choice(["float32", "bfloat16", "float16"])


@click.group(
    epilog="""\b
Examples:
  mimicry activations extract registry.json --stimuli images.zip --store activations
  mimicry activations list activations
  mimicry activations verify activations"""
)
def activations() -> None:
    """Extract what models emit for stimuli, and look after the store of it."""


def read_places(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[tuple[str, Path], ...]:
    """Turn NAME=PATH, or PATH alone, into data sets and places, as a click callback."""
    places = []
    for text in value:
        name, equals, path = text.partition("=")
        place = Path(path if equals else text)
        if not place.exists():
            raise click.BadParameter(f"there is no folder or zip {place}; check the path.")
        places.append((name if equals else place.resolve().stem, place))
    return tuple(places)


def read_shard(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Turn I/N into two numbers, as a click callback."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", value)
    part, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part <= parts:
        raise click.BadParameter(f"{value!r} is not I/N with I from 1 to N, such as 2/8.")
    return part, parts


def read_device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check a device's name, as a click callback."""
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
        raise click.BadParameter(f"{value!r} is none of auto, cpu, cuda and cuda:N.")
    return value


def read_options(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Turn NAME=VALUE into a dictionary, as a click callback."""
    found = {}
    for text in value:
        name, equals, rest = text.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z-]*", name):
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as account=vision.")
        found[name] = rest
    return found


@activations.command(
    epilog="""\b
Examples:
  mimicry activations extract registry.json --stimuli images.zip --store activations
  mimicry activations extract registry.json --stimuli val=ILSVRC/val --models 'resnet*' \\
      --store activations --device cuda --precision bfloat16 --dtype float16 --batch-size 256
  mimicry activations extract registry.json --stimuli images/ --store activations --shard 2/8
  mimicry activations extract registry.json --stimuli images/ --store activations --processes 4
  mimicry activations extract registry.json --stimuli images/ --store /shared/activations \\
      --slurm --slurm-partition gpu --slurm-gpus 1 --slurm-minutes 240
\n
The same command again goes on where it was interrupted, and keeps what is complete. Several
may run at once on the same store, on several machines if its file system has locks.
Exit code 4 when any model failed; the others are written nevertheless."""
)
@click.argument("registry", type=ANY_PATH, callback=existing_path)
@click.option(
    "--stimuli",
    "places",
    multiple=True,
    required=True,
    metavar="[NAME=]PATH",
    callback=read_places,
    help="A data set's folder or zip of images; may be repeated. NAME is by default the "
    "folder's or zip's own.",
)
@click.option("--store", type=FOLDER, required=True, help="The folder to write to.")
@click.option(
    "--models",
    multiple=True,
    metavar="PATTERN",
    help="Only these, as NAME, NAME:LAYER or with * and ?; may be repeated.",
)
@click.option(
    "--shard", default="1/1", metavar="I/N", callback=read_shard, help="Every N-th model."
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    callback=read_device,
    metavar="DEVICE",
    help="auto (a GPU if there is one), cpu, cuda or cuda:N.",
)
@click.option(
    "--precision",
    type=_PRECISIONS,
    default="float32",
    show_default=True,
    help="In which the model computes; the half ones by autocast.",
)
@click.option("--dtype", type=_PRECISIONS, default="float32", show_default=True, help="Stored.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1, max=65536),
    default=32,
    show_default=True,
    help="Can move the last digits; recorded.",
)
@click.option(
    "--workers", type=click.IntRange(min=1, max=1024), help="Threads that decode; default: cores."
)
@click.option(
    "--threads", type=click.IntRange(min=1, max=1024), help="Torch's own on a CPU; default: cores."
)
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    help="Rows a file, in whole batches; default: about 32 MiB. Changes no number.",
)
@click.option("--restart", is_flag=True, help="Remove these models' activations and begin anew.")
@click.option(
    "--processes",
    type=click.IntRange(min=1, max=256),
    default=1,
    show_default=True,
    help="Of this machine that work at once, each on a model; GPUs are dealt out in turn.",
)
@click.option("--slurm", is_flag=True, help="Work as an array of Slurm jobs, and wait for it.")
@click.option("--slurm-partition", metavar="NAME", help="Default: the cluster's.")
@click.option(
    "--slurm-minutes", type=click.IntRange(min=1), default=240, show_default=True, help="Per task."
)
@click.option(
    "--slurm-gpus", type=click.IntRange(min=0), default=0, show_default=True, help="Per task."
)
@click.option(
    "--slurm-cpus",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Cores per task, for threads that decode and for torch.",
)
@click.option("--slurm-memory", type=click.FloatRange(min=0.1), callback=finite, metavar="GB",
              help="Per task.")  # fmt: skip
@click.option(
    "--slurm-tasks",
    type=click.IntRange(min=1, max=1000),
    default=64,
    show_default=True,
    help="Of the array, at most; models are dealt out in turn.",
)
@click.option(
    "--slurm-at-once",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Tasks that may run at once.",
)
@click.option(
    "--slurm-wait",
    type=click.FloatRange(min=0.01),
    callback=finite,
    metavar="MINUTES",
    help="Then cancel all.",
)
@click.option(
    "--slurm-folder", type=FOLDER, help="For logs, shared by all nodes; default: in the store."
)
@click.option(
    "--slurm-option",
    multiple=True,
    metavar="NAME=VALUE",
    callback=read_options,
    help="Of sbatch, such as account=vision; may be repeated.",
)
def extract(
    registry: Path,
    places: tuple[tuple[str, Path], ...],
    store: Path,
    models: tuple[str, ...],
    shard: tuple[int, int],
    device: str,
    precision: Any,
    dtype: str,
    batch_size: int,
    workers: int | None,
    threads: int | None,
    shard_rows: int | None,
    restart: bool,
    processes: int,
    slurm: bool,
    **slurm_values: Any,
) -> int:
    """Write the activations of REGISTRY's models for stimuli into a store."""
    from mimicry.activations.extract import Settings
    from mimicry.activations.extraction import extract_activations
    from mimicry.activations.slurm import SlurmOptions

    if slurm and processes > 1:
        raise click.UsageError("--processes and --slurm exclude each other.")
    context = click.get_current_context()
    given = [
        name
        for name in slurm_values
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given and not slurm:
        raise click.UsageError(f"--{given[0].replace('_', '-')} needs --slurm.")
    cores = slurm_values["slurm_cpus"] if slurm else len(os.sched_getaffinity(0))
    settings = Settings(
        device=device,
        precision=precision,
        dtype=dtype,
        batch_size=batch_size,
        workers=workers or cores,
        threads=threads or (cores if slurm else None),
        shard_rows=shard_rows,
        restart=restart,
    )
    try:
        done = extract_activations(
            registry,
            places,
            store,
            models=models,
            shard=shard,
            settings=settings,
            processes=processes,
            slurm=_slurm_options(SlurmOptions, store, slurm_values) if slurm else None,
        )
    except KeyboardInterrupt:
        without = " without --restart" if restart else ""
        raise KeyboardInterrupt(f"The same command{without} goes on where it stopped.") from None
    kept = sum(outcome.state == "reused" for outcome in done.outcomes)
    written = sum(outcome.state == "written" for outcome in done.outcomes)
    click.echo(f"{written} written, {kept} kept, {len(done.failed)} failed")
    click.echo(f"{done.store_set}")
    done.check()
    return 0


def _slurm_options(make: Any, store: Path, values: dict[str, Any]) -> Any:
    return make(
        folder=values["slurm_folder"] or store / ".slurm",
        partition=values["slurm_partition"],
        minutes=values["slurm_minutes"],
        gpus=values["slurm_gpus"],
        cpus=values["slurm_cpus"],
        memory_gb=values["slurm_memory"],
        tasks=values["slurm_tasks"],
        at_once=values["slurm_at_once"],
        wait_minutes=values["slurm_wait"],
        extra=values["slurm_option"],
    )


@activations.command(
    "list",
    epilog="""\b
Examples:
  mimicry activations list activations
\n
Reads manifests alone. A cache's name ends with its short key. `*` marks caches that were
computed under other conditions (device, batch size, versions) than most of their set, and
tells which. Below caches of the same model and layer stands what tells them apart; compare
code_sha256 with `sha256sum` of the file of the entry point.""",
)
@click.argument("store", type=FOLDER, callback=existing_path)
def list_store(store: Path) -> None:
    """List the caches in STORE: rows, width, type, size, whether they are complete."""
    from mimicry.activations.listing import list_lines

    marked = False
    for store_set, folders in _sets(store):
        click.echo(f"{store_set}")
        for line in list_lines(folders):
            click.echo(f"  {line.text}")
            marked |= line.marked
    if marked:
        click.echo(
            "* computed under other conditions than most of its folder: numbers can differ by "
            "rounding"
        )


@activations.command(
    epilog="""\b
Examples:
  mimicry activations verify activations
\n
Exit code 4 when any cache is incomplete, damaged or over other stimuli."""
)
@click.argument("store", type=FOLDER, callback=existing_path)
def verify(store: Path) -> None:
    """Read all of STORE and compare every checksum."""
    from mimicry.activations.reading import open_activations
    from mimicry.activations.stimuli import stimuli_key
    from mimicry.activations.store_sets import stored_stimuli
    from mimicry.errors import BundleError

    faults: list[BundleError] = []
    count = 0
    for store_set, folders in _sets(store):
        try:
            key = stimuli_key(stored_stimuli(store_set))
        except BundleError as error:
            click.echo(f"{store_set}: {error}")
            faults.append(error)
            continue
        for folder in folders:
            count += 1
            try:
                _same_items(open_activations(folder, verify=True), key)
            except BundleError as error:
                click.echo(f"{folder}: {error}")
                faults.append(error)
            else:
                click.echo(f"{folder}: whole")
    if faults:
        more = f"; and {len(faults) - 1} more, above" if len(faults) > 1 else ""
        raise BundleError(faults[0].code, f"{faults[0].sentence.rstrip('.')}{more}.")
    click.echo(f"{count} caches are whole")


def _same_items(opened: "Activations", key: str) -> None:
    from mimicry.errors import BundleError

    if opened.items_key != key:
        raise BundleError(
            "activations-stimuli",
            f"{opened.folder} is over other stimuli than the list beside it; put it into the "
            "folder of its own.",
        )


def _sets(store: Path) -> list[tuple[Path, list[Path]]]:
    """Return the sets in a store, or the one that was named, and the caches of each."""
    from mimicry.activations.store_sets import STIMULI, cache_folders
    from mimicry.errors import BundleError

    here = (
        [store]
        if (store / STIMULI).is_file()
        else sorted(path for path in store.iterdir() if (path / STIMULI).is_file())
    )
    if not here:
        raise BundleError(
            "activations-missing",
            f"{store} holds no activations; `mimicry activations extract` makes them.",
        )
    return [(path, cache_folders(path)) for path in here]
