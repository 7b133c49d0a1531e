"""``mimicry realign search``: good Blue and Red submissions from matrices and activations."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimicry.commands.options import ANY_PATH, existing_path, finite

if TYPE_CHECKING:
    from mimicry.realign.search.blue_results import BlueProgress
    from mimicry.realign.search.red_walk import RedProgress

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTPUT = click.Path(dir_okay=False, path_type=Path)
_DEFAULT_MODELS, _DEFAULT_STIMULI = 20, 1000
# Seconds between lines where there is no terminal.
_FIRST, _PATIENCE = 5.0, 10.0

_output = click.option(
    "--output", type=_OUTPUT, required=True, metavar="FILE.json", help="The submission to write."
)
_seconds = click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    callback=finite,
    metavar="S",
    help="End then with the best so far.",
)
_checkpoint = click.option(
    "--checkpoint", type=_OUTPUT, metavar="FILE", help="Keep the search here, and go on from it."
)


def read_team_name(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse a name that no submission may have, as a click callback."""
    from mimicry.realign.submissions import LONGEST_TEAM_NAME

    if value is not None and not 1 <= len(value) <= LONGEST_TEAM_NAME:
        raise click.BadParameter(f"a name has 1 to {LONGEST_TEAM_NAME} characters.")
    return value


_team_name = click.option(
    "--team-name",
    metavar="NAME",
    callback=read_team_name,
    help="As the board shall call the team.",
)
_rules = click.option(
    "--rules",
    type=ANY_PATH,
    callback=lambda context, parameter, value: (
        value if value is None else existing_path(context, parameter, value)
    ),
    help="A competition's rules.json, or its folder; in place of the numbers.",
)


@click.group(
    epilog="""\b
Examples:
  mimicry realign search blue --store activations --output blue.json
  mimicry realign search red --store activations --seconds 600 --output red.json"""
)
def search() -> None:
    """Search submissions: a best set of models, stimuli that tell models apart.

    A search can be ended at any moment with Ctrl-C: the best so far is written then.
    """


@search.command(
    epilog="""\b
Examples:
  mimicry realign search blue --store activations --count 20 --output blue.json
  mimicry realign search blue --matrix cka.npy --registry registry.json --output blue.json
  mimicry realign search blue --matrix cka.npy --registry registry.json --threshold 0.8 \\
      --output largest.json
  mimicry realign search blue --store activations --rules public_data/blue \\
      --seconds 600 --checkpoint blue.state --output blue.json"""
)
@click.option("--matrix", type=_FILE, metavar="FILE.npy", help="Pairwise CKA; needs --registry.")
@click.option("--store", type=ANY_PATH, metavar="FOLDER", help="Activations to compare instead.")
@click.option("--registry", type=_FILE, help="The models: row i of the matrix is of entry i.")
@click.option("--models", multiple=True, metavar="PATTERN", help="With --store: only these.")
@click.option(
    "--count",
    type=click.IntRange(min=2),
    metavar="N",
    help=f"Rule mean_cka: so many models; default {_DEFAULT_MODELS}.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="T",
    help="Rule largest_set: as many models as have this CKA in every pair.",
)
@_rules
@_seconds
@_checkpoint
@_team_name
@_output
def blue(
    matrix: Path | None,
    store: Path | None,
    registry: Path | None,
    models: tuple[str, ...],
    count: int | None,
    threshold: float | None,
    rules: Path | None,
    seconds: float | None,
    checkpoint: Path | None,
    team_name: str | None,
    output: Path,
) -> None:
    """Find the models that are most alike, and prove it or tell the gap.

    Models that share their weights are never chosen together. The same input gives the
    same submission, unless --seconds or Ctrl-C ends the search.
    """
    if (matrix is None) == (store is None):
        raise click.UsageError("Give either --matrix or --store.")
    if matrix is not None and (registry is None or models):
        raise click.UsageError("--matrix needs --registry, and takes no --models.")
    if sum(value is not None for value in (count, threshold, rules)) > 1:
        raise click.UsageError("Give only one of --count, --threshold and --rules.")
    _check_places(output, checkpoint)
    from mimicry.errors import BundleError
    from mimicry.files import write_output
    from mimicry.realign.search.blue import best_models, largest_set
    from mimicry.realign.search.inputs import from_matrix, from_store
    from mimicry.realign.search.writing import blue_submission, submission_text
    from mimicry.realign.stored import weight_groups

    if rules is not None:
        count, threshold = _blue_rules(rules)
    if threshold is None:
        count = count or _DEFAULT_MODELS
    voice = _Voice(click.get_current_context())

    def compared(done: int, total: int) -> None:
        voice.say(lambda: f"compared {done} of {total} models")

    if matrix is not None and registry is not None:
        entries, similarities = from_matrix(matrix, registry)
    else:
        assert store is not None
        entries, similarities = from_store(store, registry, models, compared)
    groups = weight_groups(entries)
    deadline = None if seconds is None else time.monotonic() + seconds

    def tell(where: "BlueProgress") -> None:
        voice.say(
            lambda: (
                f"best {where.value:.6f}, at most {where.upper_bound:.6f}, "
                f"{where.nodes:,} split, {where.open_nodes:,} open"
            )
        )

    if threshold is None:
        assert count is not None
        found = best_models(
            similarities,
            count,
            groups=groups,
            deadline=deadline,
            checkpoint=checkpoint,
            progress=tell,
        )
    else:
        found = largest_set(
            similarities,
            threshold,
            groups=groups,
            deadline=deadline,
            checkpoint=checkpoint,
            progress=tell,
        )
    voice.end()
    if len(found.members) < 2:
        raise BundleError(
            "search-no-set",
            f"No two of the {len(entries)} models reach a CKA of {threshold:g}; lower --threshold.",
        )
    document = blue_submission(
        entries, found, count=count, threshold=threshold, team_name=team_name
    )
    write_output(output, submission_text(document))
    proof = (
        "proved optimal"
        if found.proved
        else f"not proved: no set has more than {found.upper_bound:.6f} (gap {found.gap:.2g})"
    )
    what = f"{len(found.members)} models"
    if threshold is None:
        what += f", mean CKA {found.value:.6f}"
    click.echo(f"{what}, {proof}")
    click.echo(f"wrote {output}")
    if found.stopped == "interrupted":
        # The tree of the search is not kept.
        raise _interrupted(checkpoint, "goes on from the best set and the bound in {}")


@search.command(
    epilog="""\b
Examples:
  mimicry realign search red --store activations --count 1000 --output red.json
  mimicry realign search red --store activations --models 'resnet*' \\
      --models 'vit_*' --rules public_data/red --output red.json
  mimicry realign search red --store activations --seconds 3600 \\
      --checkpoint red.state --dtype float32 --memory 4g --output red.json"""
)
@click.option(
    "--store",
    type=ANY_PATH,
    required=True,
    metavar="FOLDER",
    help="Activations over the catalogue.",
)
@click.option("--models", multiple=True, metavar="PATTERN", help="Only these; default: all.")
@click.option(
    "--count",
    type=click.IntRange(min=2),
    metavar="N",
    help=f"Stimuli to choose; default {_DEFAULT_STIMULI}.",
)
@_rules
@_seconds
@_checkpoint
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Same seed, same walk.")  # fmt: skip
@click.option("--random-starts", type=click.IntRange(min=1), default=2, show_default=True,
              metavar="N", help="Random sets to begin from.")  # fmt: skip
@click.option("--patience", type=click.IntRange(min=1), default=100, show_default=True,
              metavar="N", help="End after so many descents in a row without a gain.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float64", "float32"]), default="float64",
              show_default=True, help="Of kernels; float32 is faster, and rougher.")  # fmt: skip
@click.option("--memory", metavar="SIZE", default="1g", show_default=True,
              help="For features and kernels, roughly.")  # fmt: skip
@_team_name
@_output
def red(
    store: Path,
    models: tuple[str, ...],
    count: int | None,
    rules: Path | None,
    seconds: float | None,
    checkpoint: Path | None,
    seed: int,
    random_starts: int,
    patience: int,
    dtype: str,
    memory: str,
    team_name: str | None,
    output: Path,
) -> None:
    """Search stimuli on which the models of a store are least alike.

    Two stimuli with the same bytes are never chosen together. There is no proof that the
    result is the best. With a checkpoint, the same command goes on where it was ended.
    """
    from mimicry.commands.options import read_memory

    if count is not None and rules is not None:
        raise click.UsageError("Give only one of --count and --rules.")
    context = click.get_current_context()
    size = read_memory(context, click.Option(["--memory"]), memory)
    _check_places(output, checkpoint)
    from mimicry.activations.store_sets import find_store_set, stored_stimuli
    from mimicry.files import write_output
    from mimicry.realign.search.red import best_stimuli
    from mimicry.realign.search.writing import red_submission, submission_text
    from mimicry.realign.stored import stored_models

    if rules is not None:
        from mimicry.realign.rules import read_red_rules

        count = read_red_rules(_rules_folder(rules)).count
    folder = find_store_set(store)
    chosen = stored_models(folder, None, models)
    stimuli = stored_stimuli(folder)
    voice = _Voice(click.get_current_context())
    began = time.monotonic()

    def tell(where: "RedProgress") -> None:
        speed = where.scored / max(time.monotonic() - began, 1e-9)
        voice.say(
            lambda: (
                f"best score {1 - where.value:.6f}, now {1 - where.current:.6f}, "
                f"{where.swaps:,} swaps, {where.descents:,} descents, {speed:,.0f} stimuli/s"
            )
        )

    found = best_stimuli(
        [model.activations for model in chosen],
        count or _DEFAULT_STIMULI,
        groups=[stimulus.sha256 for stimulus in stimuli],
        classes=[stimulus.class_name for stimulus in stimuli],
        deadline=None if seconds is None else began + seconds,
        patience=patience,
        random_starts=random_starts,
        seed=seed,
        checkpoint=checkpoint,
        progress=tell,
        memory=size or 0,
        dtype=dtype,
    )
    voice.end()
    names = [model.entry.model_name for model in chosen]
    document = red_submission(stimuli, found, names, team_name=team_name)
    write_output(output, submission_text(document))
    click.echo(
        f"{len(found.members):,} of {len(stimuli):,} stimuli, mean CKA of {len(names)} models "
        f"{found.value:.6f}, score {found.score:.6f} ({found.stopped})"
    )
    click.echo(f"wrote {output}")
    if found.stopped == "interrupted":
        raise _interrupted(checkpoint, "goes on where it stopped")


def _interrupted(checkpoint: Path | None, how: str) -> KeyboardInterrupt:
    if checkpoint is None:
        return KeyboardInterrupt()
    return KeyboardInterrupt(f"The same command {how.format(checkpoint)}.")


def _check_places(output: Path, checkpoint: Path | None) -> None:
    """Refuse files that cannot be written before the work is done."""
    for path, option in ((output, "--output"), (checkpoint, "--checkpoint")):
        if path is not None and not path.absolute().parent.is_dir():
            raise click.BadParameter(
                f"there is no folder {path.parent}; make it first.", param_hint=option
            )


def _rules_folder(path: Path) -> Path:
    from mimicry.realign.rules import RULES_NAME

    if path.is_dir():
        return path
    if path.name != RULES_NAME:
        raise click.BadParameter(
            f"{path} is neither a folder nor a file called {RULES_NAME}.", param_hint="--rules"
        )
    return path.parent


def _blue_rules(path: Path) -> tuple[int | None, float | None]:
    from mimicry.realign.rules import read_blue_rules

    rules = read_blue_rules(_rules_folder(path))
    return rules.count, rules.threshold


class _Voice:
    """Tells of progress on stderr: one line that changes on a terminal, else few lines."""

    def __init__(self, context: click.Context) -> None:
        self.terminal = sys.stderr.isatty()
        self.next = time.monotonic() + (0.5 if self.terminal else _FIRST)
        self.width = 0
        self.text: Callable[[], str] = lambda: "reading the models"
        self.lock = threading.Lock()
        self.ended = threading.Event()
        context.call_on_close(self.end)
        if not self.terminal:
            # Between two reports of a search a step may take long.
            threading.Thread(target=self._keep_telling, daemon=True).start()

    def say(self, text: Callable[[], str]) -> None:
        """Show what `text` returns, when it is time."""
        with self.lock:
            self.text = text
            self._tell()

    def end(self) -> None:
        """Leave the line that changes, and tell of nothing more."""
        with self.lock:
            self.ended.set()
            if self.width:
                click.echo("", err=True)
                self.width = 0

    def _tell(self) -> None:
        now = time.monotonic()
        if now < self.next or self.ended.is_set():
            return
        line = self.text()
        if self.terminal:
            self.next = now + 0.5
            click.echo("\r" + line.ljust(self.width), nl=False, err=True)
            self.width = len(line)
        else:
            self.next = now + _PATIENCE
            click.echo(line, err=True)

    def _keep_telling(self) -> None:
        while not self.ended.wait(1.0):
            with self.lock:
                self._tell()
