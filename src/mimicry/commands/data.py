"""``mimicry data``: data sets, made by a command and not committed."""

from pathlib import Path

import click

from mimicry.commands.data_audit import audit
from mimicry.commands.data_build import build
from mimicry.commands.options import ANY_PATH, FOLDER, find, read_size

_NAMES = {"development": "val", "final": "test"}


@click.group(
    epilog="""\b
Examples:
  mimicry data build photographs/ labels.csv
  mimicry data audit
  mimicry data demo
  mimicry data zoo
  mimicry data clean"""
)
def data() -> None:
    """Make data sets, check them, and remove them."""


data.add_command(build)
data.add_command(audit)


@data.command(
    "demo",
    epilog="""\b
Examples:
  mimicry data demo
  mimicry data demo --scale 1 --size 1000x700
  mimicry data demo --like ref_val.csv --phase development""",
)
@click.option("--output", type=FOLDER, help="Where to write; default: the bundle.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option(
    "--size",
    metavar="WxH",
    callback=read_size,
    help="Of the images; default 320x224, with --like 1000x700.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True),
    help="Multiplies the numbers of images of the real challenge.",
)
@click.option("--like", type=ANY_PATH, metavar="CSV", help="One image for every row of this file.")
@click.option(
    "--phase",
    type=click.Choice(list(_NAMES)),
    help="With --like: which phase's data to make; default development.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: all cores.")
@click.option("--force", is_flag=True, help="Draw all again, and replace also foreign data.")
def demo(
    output: Path | None,
    seed: int,
    size: tuple[int, int] | None,
    scale: float | None,
    like: Path | None,
    phase: str | None,
    workers: int | None,
    force: bool,
) -> None:
    """Draw butterflies: training, validation and test images with their labels.

    Writes input_data/, reference_data/, demo_data/ (the training set) and
    public_data/hybrids.zip (the training set again, for participants to download).
    What is already there stays; data that this command did not make are never replaced
    without --force.
    """
    if like is not None and scale is not None:
        raise click.UsageError("--scale has no meaning with --like, which gives the numbers.")
    if like is None and phase is not None:
        raise click.UsageError("--phase needs --like; without it all phases' data are made.")
    from mimicry.demo.build import DEFAULT_SCALE, DEFAULT_SIZE, LIKE_SIZE, build_demo, build_like

    folder = output if output is not None else find(None)
    if like is not None:
        build_like(
            like,
            folder,
            seed=seed,
            size=size or LIKE_SIZE,
            workers=workers,
            force=force,
            names=_NAMES[phase or "development"],
            report=click.echo,
        )
    else:
        build_demo(
            folder,
            seed=seed,
            size=size or DEFAULT_SIZE,
            scale=scale or DEFAULT_SCALE,
            workers=workers,
            force=force,
            report=click.echo,
        )


@data.command(
    "zoo",
    epilog="""\b
Examples:
  mimicry data zoo
  mimicry data zoo --output /tmp/rehearsal""",
)
@click.option("--output", type=FOLDER, help="Where to write; default: the bundle.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of images and networks.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: all cores.")
@click.option("--force", is_flag=True, help="Make all anew, and replace also foreign data.")
def zoo(output: Path | None, seed: int, workers: int | None, force: bool) -> None:
    """Train small networks and make both Re-Align boards' data from them.

    Writes demo_data/zoo/ (images, weights, activations), public_data/ and the Blue and Red
    zips of reference_data/. What is already there stays.
    """
    from mimicry.demo.zoo import Zoo, build_zoo

    folder = output if output is not None else find(None)
    build_zoo(folder, Zoo(seed=seed), workers=workers, force=force, report=click.echo)


@data.command(
    "clean",
    epilog="""\b
Examples:
  mimicry data clean
  mimicry data clean --output /tmp/rehearsal""",
)
@click.option("--output", type=FOLDER, help="Where the data are; default: the bundle.")
def clean(output: Path | None) -> None:
    """Remove what `mimicry data demo` and `zoo` made; your own and changed files stay."""
    from mimicry.demo.cleaning import clean_demo
    from mimicry.demo.zoo_files import clean_zoo

    folder = output if output is not None else find(None)
    clean_zoo(folder, report=click.echo)
    clean_demo(folder, report=click.echo)
