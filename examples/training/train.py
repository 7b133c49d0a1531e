"""From a training table to a packed, checked submission: one command.

Each part says what it does. What was done already is kept: images that are there, features
that were computed. An interrupted run goes on when the same command is given again.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any

import click

from mimicry.errors import SubmissionError, run_program

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ("BioCLIP", "DINO_SGD", "anomaly")
ENGINES = ("auto", "docker", "bubblewrap", "subprocess")
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
# What `demo` reads below --data, which is the whole repository by default.
DEMO_INPUTS = ("demo_data", "input_data", "reference_data")
SEED = click.IntRange(0, 2**32 - 1)
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Plan:
    """What was asked for; see the options of the commands."""

    baseline: str
    output: Path
    code: Path | None
    weights: Path | None
    name: str | None
    hub: bool
    size: int | None
    include_weights: bool
    work: Path
    device: str
    batch_size: int
    seed: int
    validation: bool
    force: bool
    engine: str
    worker_data: Path | None
    pack: bool

    @property
    def folder(self) -> Path:
        """The baseline's folder, or a changed copy of it."""
        return self.code or ROOT / "baselines" / f"{self.baseline}_code_submission"


def plain_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that could leave its folder, as a click callback."""
    if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise click.BadParameter("use letters, digits, '.', '_' and '-', a letter or digit first.")
    return value


def shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both commands ask for; the command gets it as one `Plan`."""
    options = (
        click.option("--baseline", type=click.Choice(BASELINES), required=True, help="Which head."),
        click.option("--output", type=FOLDER, required=True, help="The submission's folder."),
        click.option("--code", type=FOLDER, help="A changed copy of the baseline's folder."),
        click.option("--weights", type=FOLDER, help="Use the backbone in this folder."),
        click.option(
            "--name",
            callback=plain_name,
            help="Of the backbone in --weights, as containers and workers hold it "
            "(default: the folder's).",
        ),
        click.option("--hub", is_flag=True, help="Use the full-size backbone of the hub."),
        click.option(
            "--size",
            type=click.IntRange(min=1),
            metavar="PIXELS",
            help="With --weights or --hub: side of the squashed images (default: 224).",
        ),
        click.option(
            "--include-weights/--leave-weights-out",
            default=True,
            help="Put the backbone into the submission (default), or not.",
        ),
        click.option(
            "--work",
            type=FOLDER,
            default=ROOT / "runs" / "training",
            help="Where features are kept (default: runs/training in the repository).",
        ),
        click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N."),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            default=32,
            metavar="N",
            help="Images that the backbone sees at once in training (default: 32).",
        ),
        click.option("--seed", type=SEED, default=0, help="Of folds and heads (default: 0)."),
        click.option("--validation/--no-validation", default=True, help="Judge the head first."),
        click.option("--force", is_flag=True, help="Replace any submission at --output."),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="auto",
            help="Of the smoke run: as `mimicry check` has.",
        ),
        click.option("--worker-data", type=FOLDER, help="Of the smoke run: shown as /app/data."),
        click.option("--pack/--no-pack", default=True, help="Check and pack the submission."),
    )

    def wrapped(**values: Any) -> None:
        names = Plan.__dataclass_fields__
        plan = Plan(**{name: values.pop(name) for name in names})
        if plan.hub and plan.weights is not None:
            raise click.UsageError("Give --hub or --weights, not both.")
        if plan.name is not None and plan.weights is None:
            raise click.UsageError("--name goes with --weights; the others have their own.")
        if plan.size is not None and not plan.hub and plan.weights is None:
            raise click.UsageError("--size goes with --hub or --weights; the baseline has its own.")
        _prepare(plan, [one for one in values.values() if isinstance(one, Path)])
        command(plan=plan, **values)

    update_wrapper(wrapped, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _prepare(plan: Plan, named: Sequence[Path]) -> None:
    """Refuse what cannot be written, before hours of work rather than after."""
    from export import code_files
    from placing import prepare_output, prepare_work, real

    inputs = [one for one in (plan.weights, plan.worker_data, plan.work) if one is not None]
    for one in named:
        inputs += [one / name for name in DEMO_INPUTS] if real(one) == ROOT else [one]
    prepare_output(plan.output, plan.folder, inputs=inputs, force=plan.force)
    prepare_work(plan.work)
    code_files(plan.folder)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": False},
    epilog="""\b
Examples:
  python examples/training/train.py demo --baseline DINO_SGD --output my_submission
  python examples/training/train.py original --table butterfly_anomaly_train.csv
      --images IMAGES --download --baseline BioCLIP --hub --output my_submission""",
)
def cli() -> None:
    """Train a baseline's head, and make a packed, checked submission of it."""


@cli.command(
    epilog="""\b
Examples:
  python examples/training/train.py demo --baseline DINO_SGD --output my_submission
  python examples/training/train.py demo --baseline anomaly --data demo --output my_model"""
)
@click.option("--data", type=FOLDER, default=ROOT, help="Demo data (default: the repository's).")
@shared_options
def demo(plan: Plan, data: Path) -> None:
    """Train on the demo's drawn butterflies; the repository's are made where they are missing."""
    from mimicry.demo.build import build_demo

    say("data")
    table = data / "demo_data" / "butterfly_train.csv"
    if not table.is_file():
        if data.resolve() != ROOT:
            # Thousands of images in a folder whose name was mistyped help nobody.
            raise SubmissionError(
                "demo-data-missing",
                f"{data} holds no demo data; make them with `mimicry data demo --output {data}`.",
            )
        click.echo(f"no {table}: making the demo data")
        build_demo(data)
    train(plan, table, table.parent / "train", skip_missing=False, bundle=data)


@cli.command(
    epilog="""\b
Examples:
  python examples/training/train.py original --table butterfly_anomaly_train.csv
      --images IMAGES --download --baseline DINO_SGD --hub --output my_submission
  python examples/training/train.py original --table butterfly_anomaly_train.csv
      --images IMAGES --baseline anomaly --weights weights/bioclip --leave-weights-out
      --output my_submission"""
)
@click.option("--table", type=FILE, required=True, help="butterfly_anomaly_train.csv")
@click.option("--images", type=FOLDER, required=True, help="Folder of its images.")
@click.option("--download", is_flag=True, help="Download the images that are missing (10 GB).")
@click.option("--skip-missing", is_flag=True, help="Go on without the missing ones.")
@shared_options
def original(plan: Plan, table: Path, images: Path, download: bool, skip_missing: bool) -> None:
    """Train on the challenge's own table and photographs.

    The images lie in IMAGES/hybrid and IMAGES/non-hybrid, as the challenge's own download
    puts them, or all in one folder.
    """
    from tables import read_table

    say("data")
    rows = read_table(table)
    if download:
        from download import download_images

        click.echo(f"{len(rows):,} images into {images}, each checked by its MD5")
        done = download_images(rows, images, report=click.echo)
        click.echo(
            f"{done.kept:,} were there, {done.fetched:,} downloaded, {len(done.failures):,} failed"
        )
        if not skip_missing:
            done.check()
    train(plan, table, images, skip_missing=skip_missing, bundle=None)


def train(
    plan: Plan, table: Path, images: Path, *, skip_missing: bool, bundle: Path | None
) -> None:
    """Go from a table and its images to the packed submission, and leave with an exit code."""
    # Not before, since torch takes seconds that --help and wrong usage need not.
    from backbones import HUBS, backbone_in, hub_backbone, own_backbone
    from export import export_submission
    from features import extract_features, features_of_rows, rows_with_images
    from heads import fit_head
    from tables import read_table
    from validation import subspecies_of

    from mimicry.activations import Settings, torchvision_compat

    torchvision_compat.install()
    rows = rows_with_images(read_table(table), images, skip_missing=skip_missing, report=click.echo)
    hybrids = sum(row.hybrid for row in rows)
    click.echo(f"{len(rows):,} training images, {hybrids:,} of them hybrids")

    say("backbone")
    if plan.hub:
        known = HUBS[plan.baseline]
        backbone = hub_backbone(plan.folder, known._replace(size=plan.size or known.size))
    elif plan.weights is not None:
        size = plan.size or HUBS[plan.baseline].size
        # It becomes part of folders' names, here and on the platform.
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plan.weights.resolve().name).strip("._-")
        name = plan.name or plain or "backbone"
        backbone = backbone_in(plan.folder, plan.weights, name=name, size=size)
    else:
        backbone = own_backbone(plan.folder)
    click.echo(f"{backbone.name} from {backbone.weights}, {backbone.preprocess.crop} pixels")

    say("features")
    settings = Settings(device=plan.device, batch_size=plan.batch_size)
    extract = partial(extract_features, backbone, work=plan.work, settings=settings)
    extracted = extract(images, "train")
    click.echo(
        "all of them were there from an earlier run"
        if extracted.reused
        else f"{len(extracted.names):,} images computed, kept in {plan.work}"
    )
    if unused := len(extracted.names) - len(rows):
        click.echo(f"{unused:,} images of {images} are not in the table: they were not needed")
    features = features_of_rows(extracted, rows, images)

    if plan.validation:
        from judging import judge

        say("validation")
        report = judge(plan.baseline, plan.folder, features, rows, seed=plan.seed)
        _note(plan, "held_out", report)

    say("head")
    head = fit_head(plan.baseline, features, subspecies_of(rows), seed=plan.seed)
    click.echo(f"{plan.baseline}, {sum(array.size for array in head.values()):,} numbers")
    if bundle is not None and (bundle / "input_data" / "val.zip").is_file():
        from judging import judge_bundle

        _note(plan, "validation_set", judge_bundle(bundle, plan.folder, head, extract))

    say("submission")
    export_submission(
        plan.folder,
        backbone,
        head,
        plan.output,
        include_weights=plan.include_weights,
        force=plan.force,
    )
    click.echo(f"wrote {plan.output}")
    if not plan.include_weights:
        hub = f", on the hub ({backbone.hub['repo']})" if backbone.hub else ""
        click.echo(
            "the backbone is not in it, and will be looked for "
            f"in /opt/weights/{backbone.name}, the Hugging Face cache, "
            f"/app/data/weights/{backbone.name}{hub}"
        )
    if plan.pack:
        _check_and_pack(plan)


def _check_and_pack(plan: Plan) -> None:
    options = ["--smoke", "--engine", plan.engine]
    if plan.worker_data is not None:
        options += ["--worker-data", str(plan.worker_data)]
    elif not plan.include_weights:
        # Without its weights it cannot run here, wherever else they may be.
        options = []
        click.echo(
            "not run, since its weights are not in it: `mimicry check --smoke` does that with "
            "--worker-data DIR, where DIR/weights/NAME holds them"
        )
    for title, arguments in (
        ("check", ["check", str(plan.output), *options]),
        ("pack", ["pack-submission", str(plan.output)]),
    ):
        say(f"mimicry {title}")
        command = [sys.executable, "-m", "mimicry.cli", *arguments, "--bundle", str(ROOT)]
        code = subprocess.run(command, check=False).returncode
        if code:
            # The command's own last line says what is wrong.
            sys.exit(code)


def _note(plan: Plan, name: str, figures: dict[str, Any]) -> None:
    """Keep figures beside the features, for those who compare runs."""
    from placing import keep

    path = plan.work / f"{plan.output.resolve().name}.{name}.json"
    keep(path, json.dumps(figures, indent=2) + "\n")


def say(title: str) -> None:
    """Announce the next part."""
    click.echo(f"\n== {title}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, as those of `mimicry` do."""

    def program() -> int:
        try:
            left = cli.main(args=arguments, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort:
            raise KeyboardInterrupt from None
        return left if isinstance(left, int) else 0

    try:
        return run_program(program)
    except KeyboardInterrupt:
        click.echo("Interrupted. The same command goes on.", err=True)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
