"""Which caches of a store a competition is built from, and what the registry says of each."""

import fnmatch
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.activations.entries import ModelEntry, entries_of, entry_document
from mimicry.activations.reading import Activations, open_activations, open_store
from mimicry.errors import BundleError

SHOWN = 5
_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class StoredModel:
    """One model's activations, and its registry entry as it was when they were taken.

    Attributes
    ----------
    entry : ModelEntry
        With the weights' SHA-256 and the interpolation that was used.
    activations : Activations
        One row for each stimulus.
    """

    entry: ModelEntry
    activations: Activations


def stored_models(
    store_set: Path, registry: Sequence[ModelEntry] | None, patterns: Sequence[str] = ()
) -> tuple[StoredModel, ...]:
    """Return the models of a store, in the registry's order, or sorted by name without one.

    Parameters
    ----------
    store_set : Path
        Caches over one list of stimuli; all must be complete, and every checksum right.
    registry : sequence of ModelEntry, optional
        Every chosen entry must be in the store as the registry describes it, and every
        chosen cache in the registry.
    patterns : sequence of str
        Names of models, or ``name:layer``, with ``*`` and ``?``; all by default.

    Raises
    ------
    BundleError
        ``build-unknown-model`` for a pattern that names none, ``build-not-registered``,
        ``build-not-extracted``, ``build-other-entry`` and ``build-several-caches``, each
        naming the models; and what `mimicry.activations.reading.open_store` finds.
    """
    models = [StoredModel(_entry(one), one) for one in _verified(store_set)]
    for pattern in patterns:
        if not any(_matches(model.entry, pattern) for model in models):
            raise BundleError(
                "build-unknown-model",
                f"No model in {store_set} is called {pattern}; it has "
                f"{_listed([model.entry.model_name for model in models])}.",
            )
    models = [model for model in models if _chosen(model.entry, patterns)]
    caches: dict[tuple[str, str], StoredModel] = {}
    for model in models:
        name = (model.entry.model_name, model.entry.layer)
        if (other := caches.setdefault(name, model)) is not model:
            raise BundleError(
                "build-several-caches",
                f"{model.entry.label} is in {store_set} twice: "
                f"{other.activations.folder.name} and {model.activations.folder.name}; move "
                "away the one that is not meant (`mimicry activations list` shows what differs).",
            )
    if registry is None:
        return tuple(models)
    wanted = [entry for entry in registry if _chosen(entry, patterns)]
    names = {(entry.model_name, entry.layer) for entry in wanted}
    _refuse(
        "build-not-registered",
        [model.entry.label for model in models if _name(model.entry) not in names],
        "in the store and not in the registry; name the registry that was extracted, or choose "
        "models with --models",
    )
    _refuse(
        "build-not-extracted",
        [entry.label for entry in wanted if _name(entry) not in caches],
        "in the registry and not in the store; extract them over the same stimuli",
    )
    ordered = [caches[_name(entry)] for entry in wanted]
    _refuse(
        "build-other-entry",
        [
            f"{entry.label}: {difference}"
            for entry, model in zip(wanted, ordered, strict=True)
            if (difference := _difference(entry, model.entry))
        ],
        "other in the registry than in the store; extract with this registry, or name the one "
        "that was extracted",
    )
    return tuple(ordered)


def check_finite(models: Sequence[StoredModel]) -> None:
    """Refuse activations that are no numbers: nothing computed from them would be one.

    Raises
    ------
    BundleError
        ``activations-not-finite`` naming the model and the first row.
    """
    for model in models:
        activations = model.activations
        rows = max(1, _CHUNK_BYTES // (4 * activations.width))
        for number, chunk in enumerate(activations.chunks(rows)):
            finite = np.isfinite(chunk).all(axis=1)
            if not finite.all():
                row = number * rows + int(np.flatnonzero(~finite)[0])
                raise BundleError(
                    "activations-not-finite",
                    f"{activations.folder.name}: row {row} is not all finite numbers; extract "
                    "this model anew with --restart.",
                )


def weight_groups(entries: Sequence[ModelEntry]) -> list[Hashable]:
    """Return one label for each model; those with equal labels share their weights.

    Models share weights when they have one name (several layers) or one SHA-256, also by
    way of a third.
    """
    parent = list(range(len(entries)))

    def root(one: int) -> int:
        while parent[one] != one:
            one = parent[one]
        return one

    first: dict[str, int] = {}
    for number, entry in enumerate(entries):
        keys = [f"name {entry.model_name}"]
        if entry.weights_sha256 is not None:
            keys.append(f"sha256 {entry.weights_sha256}")
        for key in keys:
            parent[root(number)] = root(first.setdefault(key, number))
    return [root(number) for number in range(len(entries))]


def _verified(store_set: Path) -> list[Activations]:
    """Open all caches and read each whole, so that nothing is built from damaged ones."""
    from mimicry.activations.progress import Progress

    opened = open_store(store_set)
    with Progress(len(opened), what="caches verified") as shown:
        for one in opened:
            open_activations(one.folder, verify=True)
            shown.advance(1)
    return list(opened)


def _entry(activations: Activations) -> ModelEntry:
    document = activations.manifest.identity.get("model")
    try:
        return entries_of([document])[0]
    except BundleError as error:
        raise BundleError(
            "activations-manifest",
            f"{activations.folder.name} is not of a registry's model: {error.sentence}",
        ) from None


def _difference(registered: ModelEntry, stored: ModelEntry) -> str:
    """Return the first key that tells two entries of one model apart, empty if none does."""
    one, other = entry_document(registered), entry_document(stored)
    # The store keeps fingerprints in place of paths, and says what a registry may leave open.
    for document in (one, other):
        document.pop("weights")
    if registered.preprocess.interpolation is None:
        other["preprocess"].pop("interpolation", None)
    if registered.weights_sha256 is None:
        other.pop("weights_sha256", None)
    keys = [key for key in {*one, *other} if _plain(one.get(key)) != _plain(other.get(key))]
    # A renamed module is the store's business.
    keys = sorted(set(keys) - {"module"})
    return keys[0] if keys else ""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _name(entry: ModelEntry) -> tuple[str, str]:
    return (entry.model_name, entry.layer)


def _chosen(entry: ModelEntry, patterns: Sequence[str]) -> bool:
    return not patterns or any(_matches(entry, pattern) for pattern in patterns)


def _matches(entry: ModelEntry, pattern: str) -> bool:
    names = (entry.model_name, f"{entry.model_name}:{entry.layer}")
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _refuse(code: str, labels: Sequence[str], problem: str) -> None:
    if labels:
        verb = "is" if len(labels) == 1 else "are"
        raise BundleError(code, f"{_listed(labels)} {verb} {problem}.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
