"""``mimicry data build``: the bundle's data from photographs and labels."""

import json
import math
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import ANY_PATH, FOLDER, existing_path, find
from mimicry.data_sets.findings import ALLOWABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimicry.data_sets.findings import Finding
    from mimicry.data_sets.options import Built

_SPLITS = ("development", "final", "training")
_COMPETITION = "competitions/hybrid.yaml"


def read_shares(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float] | None:
    """Turn development=1,final=2 into weights, as a click callback."""
    if value is None:
        return None
    shares: dict[str, float] = {}
    for piece in value.split(","):
        name, _, number = (part.strip() for part in piece.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if name not in _SPLITS or name in shares or not (math.isfinite(share) and share >= 0):
            raise click.BadParameter(
                f"{piece!r} is none of development=N, final=N, training=N, each once."
            )
        shares[name] = share
    if not any(shares.get(name, 0) > 0 for name in _SPLITS[:2]):
        raise click.BadParameter("development or final needs a share above 0.")
    # In one order, whatever was typed.
    return {name: shares[name] for name in _SPLITS if name in shares}


@click.command(
    "build",
    epilog="""\b
Examples:
  mimicry data build photographs/ labels.csv --dry-run
  mimicry data build photographs/ labels.csv
  mimicry data build photographs/ labels.csv --split development=1,final=2,training=3
  mimicry data build photographs/ labels.csv --max-size 1000 --output /tmp/bundle
  mimicry data build photographs/ labels.csv --format keep --allow images-mixed""",
)
@click.argument("images", type=FOLDER, callback=existing_path)
@click.argument("labels", type=ANY_PATH, callback=existing_path)
@click.option("--output", type=FOLDER, metavar="BUNDLE", help="Default: this bundle.")
@click.option(
    "--split",
    "shares",
    metavar="SHARES",
    callback=read_shares,
    help="Make the splits, in these proportions; default development=1,final=2, where the "
    "labels have no column split.",
)
@click.option("--specimen", metavar="COLUMN", help="The animal; default specimen or CAMID.")
@click.option(
    "--format",
    type=click.Choice(["jpeg", "png", "keep"]),
    default="jpeg",
    show_default=True,
    help="jpeg and png write all images alike; keep takes the metadata out and no more.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of jpeg.",
)
@click.option(
    "--max-size",
    type=click.IntRange(min=16),
    metavar="PX",
    help="Scale larger images down to this longer side.",
)
@click.option(
    "--near",
    type=click.IntRange(0, 64),
    metavar="BITS",
    help="Images look alike whose hashes differ in at most so many of 256 bits; default 20.",
)
@click.option(
    "--allow",
    "allowed",
    type=click.Choice(list(ALLOWABLE)),
    multiple=True,
    help="A finding that shall not stop the build; may be repeated.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Same seed, same bytes. Keep it secret; default: a new one, in the manifest.",
)
@click.option(
    "--manifest",
    type=ANY_PATH,
    metavar="FILE",
    help="Where the private record goes; default private/data-manifest.json.",
)
@click.option("--json", "json_file", type=ANY_PATH, metavar="FILE", help="All findings, for you.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads; default: all cores.")
@click.option("--dry-run", is_flag=True, help="Read and judge everything, and write nothing.")
@click.option("--force", is_flag=True, help="Replace data that are there.")
def build(
    images: Path,
    labels: Path,
    output: Path | None,
    shares: dict[str, float] | None,
    specimen: str | None,
    format: str,
    quality: int,
    max_size: int | None,
    near: int | None,
    allowed: tuple[str, ...],
    seed: int | None,
    manifest: Path | None,
    json_file: Path | None,
    workers: int | None,
    dry_run: bool,
    force: bool,
) -> None:
    """Build the bundle's data from the photographs in IMAGES and the table LABELS.

    LABELS is a CSV with filename, hybrid_stat (0 or 1) and ssp_indicator (major, minor or
    mimic). A column split (development, final, training) says where images go; without it
    they are divided at random, never an animal or pictures that look alike.

    Images get names that say nothing and lose all metadata. Whatever is unfit is listed,
    all faults of the table at once, then all of the photographs, and nothing is built
    (exit code 4).
    """
    from mimicry.data_sets.build import build_data
    from mimicry.data_sets.duplicates import NEAR
    from mimicry.data_sets.manifest import write_private
    from mimicry.data_sets.options import SAFE_SEED_BITS, Options, UnfitDataError
    from mimicry.data_sets.prepare import KEEP, Style

    if format == KEEP and max_size is not None:
        raise click.UsageError("--max-size needs --format jpeg or png; keep changes no pixel.")
    options = Options(
        style=Style(format, quality if format == "jpeg" else 0, max_size),
        shares=shares,
        specimen=specimen,
        near=NEAR if near is None else near,
        allowed=frozenset(allowed),
        seed=seed,
        manifest=manifest,
        workers=workers,
        force=force,
        dry_run=dry_run,
    )
    folder = output if output is not None else find(None)
    findings: Sequence[Finding] = ()
    try:
        built = build_data(images, labels, folder, options, click.echo)
        findings = built.findings
    except UnfitDataError as fault:
        findings = fault.findings
        raise
    finally:
        for finding in findings:
            for line in finding.lines():
                click.echo(line, err=True)
        if json_file is not None:
            rows = [asdict(finding) for finding in findings]
            write_private(json_file, json.dumps(rows, indent=1) + "\n")
    total = ", ".join(f"{count:,} {split}" for split, count in built.counts.items())
    if dry_run:
        click.echo(f"nothing written; it would be: {total}")
        _show_classes(built)
        if built.refusal is not None:
            raise built.refusal
        return
    if seed is not None and seed.bit_length() < SAFE_SEED_BITS:
        click.echo(
            "note: who guesses this seed can tell which photograph is which; for a competition "
            "leave --seed out."
        )
    click.echo(f"{total}: in {folder}")
    _show_classes(built)
    click.echo(f"private record, keep it and show it to nobody: {built.manifest}")
    for line in _what_comes_next(built, None if output is None else folder):
        click.echo(line)


def _show_classes(built: "Built") -> None:
    """Print how many hybrids and others each group has in each split."""
    for split in built.counts:
        groups = dict.fromkeys(group for at, group, _ in built.classes if at == split)
        parts = []
        for group in sorted(groups):
            hybrids, others = (built.classes.get((split, group, one), 0) for one in (True, False))
            noun = "hybrid" if hybrids == 1 else "hybrids"
            parts.append(f"{group} {hybrids:,} {noun} and {others:,} other{'s' * (others != 1)}")
        click.echo(f"  {split}: {', '.join(parts)}")


def _what_comes_next(built: "Built", named: Path | None) -> list[str]:
    """Return the closing words: commands that look at this output, wherever it is.

    Parameters
    ----------
    built : Built
    named : Path or None
        The output, if it was named; None is the bundle around this folder.
    """
    root = built.output
    lines = []
    if "training" not in built.counts:
        lines.append(
            "no training split, so no public_data/hybrids.zip of yours: make one with --split "
            "development=1,final=2,training=1 (and --force), put your own there, or take the "
            f"line public_data out of {_COMPETITION} and competition.yaml"
        )
    where = shlex.quote(str(named)) if named is not None else ""
    if not (root / "competition.yaml").is_file():
        return [
            *lines,
            f"next: mimicry data audit --data {where}",
            f"{root} holds no competition.yaml, so there is nothing to validate or to pack yet: "
            "build into a bundle, or copy input_data, reference_data and public_data into one",
        ]
    only = " --competition hybrid" if (root / _COMPETITION).is_file() else ""
    return [
        *lines,
        f"next: mimicry data audit{f' --bundle {where}' if where else ''}{only}, "
        f"then mimicry validate{f' {where}' if where else ''}{only}",
    ]
