"""Reference data of Blue from a store of activations, and the public files with them.

The same store and options give the same bytes on the same machine.
"""

import io
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.activations.entries import ModelEntry, entry_document
from mimicry.activations.store_sets import find_store_set
from mimicry.errors import BundleError
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
    option_error,
    write_public,
    write_reference,
)
from mimicry.realign.reference import (
    CKA_NAME,
    CKA_UNBIASED_NAME,
    REGISTRY_NAME,
    REPLICATES_NAME,
)
from mimicry.realign.rules import RULES_NAME, BlueRule
from mimicry.realign.sizes import zip_sizes
from mimicry.realign.stored import StoredModel, check_finite, stored_models, weight_groups

DEFAULT_COUNT = 20
DEFAULT_REPLICATES = 200
DEFAULT_SEARCH_SECONDS = 600.0


@dataclass(frozen=True)
class BlueOptions:
    """What a Blue competition asks for, and how its reference data are computed.

    Attributes
    ----------
    rule : str
        ``mean_cka`` or ``largest_set``.
    count : int
        Models to name, for ``mean_cka``.
    threshold : float
        Least similarity of two models of a set, for ``largest_set``.
    replicates : int
        Of the bootstrap over stimuli, at least 2.
    models : tuple of str
        Patterns of model names; all of the registry by default.
    seed : int
        Of the bootstrap.
    search_seconds : float
        After so long the search for the optimum ends, with what it has proved.
    """

    rule: BlueRule = "mean_cka"
    count: int = DEFAULT_COUNT
    threshold: float = 0.8
    replicates: int = DEFAULT_REPLICATES
    models: tuple[str, ...] = ()
    seed: int = 0
    search_seconds: float = DEFAULT_SEARCH_SECONDS


def build_blue(
    store: Path,
    registry: Sequence[ModelEntry],
    output: Path,
    public: Path,
    options: BlueOptions,
    *,
    say: Say = lambda line: None,
) -> Built:
    """Write the reference data of a Blue competition, and its public registry and rules.

    Parameters
    ----------
    store : Path
        Activations of the registry's models over the hidden images.
    registry : sequence of ModelEntry
        What participants choose from; the order is that of the matrices.
    output : Path
        The zip.
    public : Path
        The folder for the files that participants get.
    options : BlueOptions
        Rules and settings.
    say : callable
        Told of progress, in lines.

    Raises
    ------
    BundleError
        ``build-option``, ``build-few-models``, ``build-few-stimuli``, ``public-data-differ``,
        and what `mimicry.realign.stored` and the search find.
    """
    from mimicry.similarity import bootstrap_matrices, similarity_matrix

    check_range("replicates", options.replicates, 2)
    check_range("count", options.count, 2)
    if not 0 <= options.threshold <= 1:
        raise option_error("the threshold is a similarity between 0 and 1")
    store_set = find_store_set(store)
    models = stored_models(store_set, registry, options.models)
    groups = weight_groups([model.entry for model in models])
    least = options.count if options.rule == "mean_cka" else LEAST_MODELS
    check_enough(len(set(groups)), least, f"{store_set} for this registry", "weights of its own")
    _check_stimuli(store_set, models[0].activations.count)
    entries = [
        replace(model.entry, weights=weights.weights)
        for model, weights in zip(models, _registered(registry, models), strict=True)
    ]
    rules = _blue_rules(options)
    public_files = {
        REGISTRY_NAME: json_bytes([entry_document(entry) for entry in entries]),
        RULES_NAME: json_bytes(rules),
    }
    check_public(public, public_files)
    check_finite(models)
    activations = [model.activations for model in models]
    say(f"comparing {len(models)} models over {activations[0].count:,} stimuli")
    # The rule says float64; a matrix is computed once.
    cka = similarity_matrix(activations, "cka", dtype="float64")
    unbiased = similarity_matrix(activations, "cka-unbiased", dtype="float64")
    say(f"drawing the stimuli again, {options.replicates} times")
    replicates = bootstrap_matrices(activations, replicates=options.replicates, seed=options.seed)
    upper = np.triu_indices(len(models))
    say("searching the best set")
    rules["optimum"] = _optimum(cka, groups, options, say)
    files = {
        CKA_NAME: _npy(cka),
        CKA_UNBIASED_NAME: _npy(unbiased),
        REPLICATES_NAME: _npy(np.ascontiguousarray(replicates[:, upper[0], upper[1]])),
        REGISTRY_NAME: public_files[REGISTRY_NAME],
    }
    rules["sha256"] = checksums(files, "blue")
    members: dict[str, Content] = {**files, RULES_NAME: json_bytes(rules)}
    write_reference(output, members, say)
    written = write_public(public, public_files)
    names = tuple(entry.model_name for entry in entries)
    return Built(output, written, rules, names, zip_sizes(output))


def _blue_rules(options: BlueOptions) -> dict[str, Any]:
    rules: dict[str, Any] = {"competition": "blue", "rule": options.rule}
    if options.rule == "mean_cka":
        return rules | {"count": options.count}
    return rules | {"threshold": options.threshold}


def _registered(registry: Sequence[ModelEntry], models: Sequence[StoredModel]) -> list[ModelEntry]:
    """Return the models' entries as the registry has them: it knows tags and paths of weights."""
    by_name = {(entry.model_name, entry.layer): entry for entry in registry}
    return [by_name[model.entry.model_name, model.entry.layer] for model in models]


def _optimum(
    cka: npt.NDArray[np.float64], groups: Sequence[Hashable], options: BlueOptions, say: Say
) -> dict[str, Any]:
    from mimicry.realign.search.blue import best_models, largest_set

    deadline = time.monotonic() + options.search_seconds
    if options.rule == "mean_cka":
        found = best_models(cka, options.count, groups=groups, deadline=deadline)
    else:
        found = largest_set(cka, options.threshold, groups=groups, deadline=deadline)
    if found.stopped == "interrupted":
        raise KeyboardInterrupt
    what = "proved" if found.proved else f"not proved, at most {found.upper_bound:.6f}"
    say(f"the best set reaches {found.value:.6f}: {what}")
    if found.upper_bound <= 0:
        raise BundleError(
            "build-no-optimum",
            "No set of these models has a similarity above 0, so no share of the optimum can be "
            "told; check the activations.",
        )
    return {
        "value": max(0.0, found.value),
        "upper_bound": found.upper_bound,
        "proved": found.proved,
    }


def _check_stimuli(store_set: Path, count: int) -> None:
    if count < LEAST_STIMULI:
        raise BundleError(
            "build-few-stimuli",
            f"{store_set} is over {count} stimuli, and {LEAST_STIMULI} are needed; extract more.",
        )


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()
