"""Reference data of Red from a store of activations, and the public files with them.

The same store and options give the same bytes on the same machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.activations.entries import ModelEntry
from mimicry.activations.reading import STIMULI, stored_stimuli
from mimicry.activations.stimuli import Stimulus, catalogue_text
from mimicry.activations.store_sets import find_store_set
from mimicry.errors import BundleError
from mimicry.files import sha256_file, write_atomically
from mimicry.realign.built import (
    LEAST_MODELS,
    LEAST_STIMULI,
    Built,
    Content,
    Say,
    check_enough,
    check_public,
    check_range,
    checksums,
    json_bytes,
    write_public,
    write_reference,
)
from mimicry.realign.reference import CATALOGUE_NAME, MODELS_FOLDER, MODELS_NAME
from mimicry.realign.rules import RULES_NAME, THUMBNAILS_NAME
from mimicry.realign.sizes import folder_sizes, zip_sizes
from mimicry.realign.stored import StoredModel, stored_models

DEFAULT_COUNT = 1000
DEFAULT_DRAWS = 100
WORKER_DATA = "/app/data"
_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class RedOptions:
    """What a Red competition asks for, and how its reference data are computed.

    Attributes
    ----------
    count : int
        Stimuli to name.
    draws : int
        Random choices whose scores tell what chance reaches.
    models : tuple of str
        Patterns of the names of the secret models; all of the store by default.
    dtype : str or None
        ``float16`` or ``float32``; None for what is stored.
    seed : int
        Of the random choices.
    activations : Path or None
        A folder to put the activations into instead of the zip; on the worker it lies in
        ``/app/data`` under the same name.
    thumbnails : tuple of (str, Path)
        Data sets and the folder or zip of each one's images. With them, small copies of all
        images come into the reference data, and results pages may show some. Empty for
        images that must not be shown to everybody.
    """

    count: int = DEFAULT_COUNT
    draws: int = DEFAULT_DRAWS
    models: tuple[str, ...] = ()
    dtype: str | None = None
    seed: int = 0
    activations: Path | None = None
    thumbnails: tuple[tuple[str, Path], ...] = ()


def build_red(
    store: Path,
    output: Path,
    public: Path,
    options: RedOptions,
    *,
    registry: Sequence[ModelEntry] | None = None,
    say: Say = lambda line: None,
) -> Built:
    """Write the reference data of a Red competition, and its public catalogue and rules.

    Parameters
    ----------
    store : Path
        Activations of the secret models over the catalogue.
    output, public, say
        As for `build_blue`.
    options : RedOptions
        Rules and settings.
    registry : sequence of ModelEntry, optional
        What the models must agree with.

    Raises
    ------
    BundleError
        As for `build_blue`; ``activations-overflow`` when float16 cannot hold a number; with
        thumbnails what `mimicry.realign.build_thumbnails.write_thumbnails` finds.
    """
    from mimicry.codabench.scratch import scratch_folder

    check_range("count", options.count, LEAST_STIMULI)
    check_range("draws", options.draws, 2)
    store_set = find_store_set(store)
    models = stored_models(store_set, registry, options.models)
    check_enough(len(models), LEAST_MODELS, str(store_set), "a place among the secret models")
    stimuli = stored_stimuli(store_set)
    different = _different(stimuli)
    if len(different) < options.count:
        raise BundleError(
            "build-few-stimuli",
            f"{store_set / STIMULI} lists {len(different):,} different images, and the rules ask "
            f"for {options.count:,}; ask for fewer (--count), or extract more.",
        )
    rules: dict[str, Any] = {"competition": "red", "rule": "mean_cka", "count": options.count}
    public_files = {
        CATALOGUE_NAME: catalogue_text(stimuli).encode(),
        RULES_NAME: json_bytes(rules),
    }
    check_public(public, public_files)
    with scratch_folder() as scratch:
        folder = options.activations or scratch / MODELS_FOLDER
        say(f"writing the activations of {len(models)} models for {len(stimuli):,} stimuli")
        files = _write_arrays(folder, models, options.dtype)
        arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in files]
        rules["random"] = _random(arrays, different, options, say)
        members: dict[str, Content] = {CATALOGUE_NAME: public_files[CATALOGUE_NAME]}
        on_worker = None
        if options.activations is None:
            members |= {f"{MODELS_FOLDER}/{path.name}": path for path in files}
        else:
            rules["activations"] = f"{WORKER_DATA}/{folder.resolve().name}"
            on_worker = folder_sizes(rules["activations"], files)
        rules["sha256"] = checksums(public_files, "red")
        if options.thumbnails:
            _add_thumbnails(scratch / THUMBNAILS_NAME, stimuli, options, rules, members, say)
        members[RULES_NAME] = json_bytes(rules)
        write_reference(output, members, say)
        del arrays
    written = write_public(public, public_files)
    names = tuple(model.entry.model_name for model in models)
    return Built(output, written, rules, names, zip_sizes(output, on_worker))


def _add_thumbnails(
    path: Path,
    stimuli: Sequence[Stimulus],
    options: RedOptions,
    rules: dict[str, Any],
    members: dict[str, Content],
    say: Say,
) -> None:
    from mimicry.realign.build_thumbnails import write_thumbnails

    write_thumbnails(path, stimuli, options.thumbnails, say)
    rules["thumbnails"] = True
    rules["sha256"][THUMBNAILS_NAME] = sha256_file(path)
    members[THUMBNAILS_NAME] = path


def _random(
    arrays: Sequence[npt.NDArray[Any]],
    different: npt.NDArray[np.intp],
    options: RedOptions,
    say: Say,
) -> dict[str, Any]:
    """Return mean and standard deviation of the scores of random choices."""
    from mimicry.similarity import mean_cka

    chance = np.random.default_rng(options.seed)
    scores = []
    for number in range(1, options.draws + 1):
        rows = np.sort(chance.choice(different, options.count, replace=False))
        scores.append(1.0 - mean_cka([array[rows].astype(np.float64) for array in arrays]).biased)
        if number * 4 // options.draws > (number - 1) * 4 // options.draws:
            say(f"random draws: {number} of {options.draws}, mean score {np.mean(scores):.4f}")
    return {
        "mean": float(np.mean(scores)),
        "standard_deviation": float(np.std(scores, ddof=1)),
        "draws": options.draws,
    }


def _different(stimuli: Sequence[Stimulus]) -> npt.NDArray[np.intp]:
    """Return one row for each different image, in order."""
    first: dict[str, int] = {}
    for row, stimulus in enumerate(stimuli):
        first.setdefault(stimulus.sha256, row)
    return np.array(list(first.values()), dtype=np.intp)


def _write_arrays(folder: Path, models: Sequence[StoredModel], dtype: str | None) -> list[Path]:
    """Write one array for each model under a number, and the list that a worker's folder needs."""
    folder.mkdir(parents=True, exist_ok=True)
    if foreign := sorted(path.name for path in folder.iterdir()):
        raise BundleError(
            "build-folder-taken",
            f"{folder} is not empty ({foreign[0]}); name a new folder, or remove that one.",
        )
    files, listed = [], []
    for number, model in enumerate(models):
        path = folder / f"{number:02d}.npy"
        _write_array(path, model, dtype)
        files.append(path)
        listed.append({
            "file": path.name, "sha256": sha256_file(path), "size": path.stat().st_size,
        })  # fmt: skip
    write_atomically(folder / MODELS_NAME, json_bytes({"models": listed}))
    return files


def _write_array(path: Path, model: StoredModel, dtype: str | None) -> None:
    activations = model.activations
    kind = np.dtype(dtype) if dtype is not None else activations.dtype
    target = np.lib.format.open_memmap(
        path, mode="w+", dtype=kind, shape=activations.shape, version=(1, 0)
    )
    rows = max(1, _CHUNK_BYTES // (4 * activations.width))
    for start in range(0, activations.count, rows):
        chunk = activations.chunk(start, min(start + rows, activations.count))
        name = activations.folder.name
        if not np.isfinite(chunk).all():
            raise BundleError(
                "activations-not-finite",
                f"{name} holds numbers that are not finite; extract this model anew with "
                "--restart.",
            )
        with np.errstate(over="ignore"):
            stored = chunk.astype(kind)
        if not np.isfinite(stored).all():
            raise BundleError(
                "activations-overflow",
                f"{name} holds numbers that are too large for {kind}; build with --dtype float32.",
            )
        target[start : start + len(chunk)] = stored
    target.flush()
