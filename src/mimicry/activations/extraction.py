"""Extraction as one call: a registry, stimuli and a store, here or on a cluster."""

import fnmatch
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mimicry.activations.entries import ModelEntry
from mimicry.activations.extract import Outcome, Request, Room, Settings, extract_models
from mimicry.activations.jobs import Model, count_gpus, run_processes
from mimicry.activations.progress import Progress
from mimicry.activations.registry import read_registry
from mimicry.activations.slurm import SlurmOptions, run_on_slurm
from mimicry.activations.stimuli import StimulusSet, read_stimuli_of
from mimicry.activations.store import store_set_folder
from mimicry.errors import BundleError, one_line


class Extraction(NamedTuple):
    """What came of it.

    Attributes
    ----------
    store_set : Path
        The folder of the caches, for `mimicry.activations.reading.open_store`.
    outcomes : list of Outcome
        One for each model.
    """

    store_set: Path
    outcomes: list[Outcome]

    @property
    def failed(self) -> list[Outcome]:
        """The outcomes of models that failed."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    def check(self) -> None:
        """Raise a `BundleError` that tells of all models that failed, if any did.

        Its code is theirs where they share one, else ``models-failed``.
        """
        if not self.failed:
            return
        codes = Counter(outcome.code for outcome in self.failed)
        shown = "; ".join(f"{o.label}: {one_line(o.text, 300)}" for o in self.failed[:3])
        more = len(self.failed) - 3
        some = len(self.failed) < len(self.outcomes)
        others = f" The others are in {self.store_set}." if some else ""
        raise BundleError(
            next(iter(codes)) if len(codes) == 1 else "models-failed",
            f"{len(self.failed)} of {len(self.outcomes)} models failed"
            f" ({', '.join(f'{code}: {n}' for code, n in sorted(codes.items()))}): {shown}"
            f"{f'; and {more} more' if more > 0 else ''}.{others}",
        )


def extract_activations(
    registry: str | os.PathLike[str],
    places: Sequence[tuple[str, str | os.PathLike[str]]],
    store: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    shard: tuple[int, int] = (1, 1),
    settings: Settings | None = None,
    processes: int = 1,
    slurm: SlurmOptions | None = None,
    progress: bool = True,
) -> Extraction:
    """Write the activations of registry models for stimuli into a store.

    What is complete there is kept; what was interrupted goes on behind its last whole shard.

    Parameters
    ----------
    registry : path
        The registry file.
    places : sequence of (str, path)
        Data sets and the folder or zip of images of each.
    store : path
        A folder, made when missing.
    models : sequence of str
        Names or patterns (``resnet*``); all by default.
    shard : (int, int)
        Part i of n, from 1: every n-th of these models. The parts of all n have each once.
    settings : Settings
        How to extract.
    processes : int
        Of this machine that work at once, each on a model.
    slurm : SlurmOptions, optional
        Work on a cluster instead.
    progress : bool
        Tell of it on stderr.

    Raises
    ------
    BundleError
        When nothing could begin, ``device-missing`` among others. What becomes of each
        model is in the outcomes; see `Extraction.check`.
    """
    registry, store = Path(registry), Path(store)
    settings = settings or Settings()
    chosen = choose_models(read_registry(registry), models, shard)
    if slurm is None:
        _check_device(settings.device, processes)
    stimuli = _listed(places, settings.workers, progress)
    store_set = store_set_folder(store, stimuli).resolve()
    request = Request(registry.resolve(), store_set, stimuli.places, settings)
    with Progress(len(chosen) * len(stimuli), quiet=not progress) as shown:
        if slurm is not None:
            outcomes = run_on_slurm(
                request,
                chosen,
                slurm,
                say=shown.say,
                count_models=lambda more: shown.advance(more * len(stimuli)),
            )
        elif processes > 1 and len(chosen) > 1:
            outcomes = run_processes(request, chosen, processes, count=shown.advance, say=shown.say)
        else:
            room = Room(request)
            indexes = [model.index for model in chosen]
            outcomes = list(extract_models(room, indexes, count=shown.advance, say=shown.say))
    return Extraction(store_set, outcomes)


def choose_models(
    entries: Sequence[ModelEntry], patterns: Sequence[str], shard: tuple[int, int] = (1, 1)
) -> list[Model]:
    """Return the models that any of the patterns names, and of these the shard's.

    A pattern is a model's name, ``name:layer``, or either with ``*`` and ``?``.

    Raises
    ------
    BundleError
        ``model-unknown`` for a pattern that names none.
    """
    chosen = list(range(len(entries))) if not patterns else []
    for pattern in patterns:
        found = [
            index
            for index, entry in enumerate(entries)
            if fnmatch.fnmatchcase(entry.model_name, pattern)
            or fnmatch.fnmatchcase(f"{entry.model_name}:{entry.layer}", pattern)
        ]
        if not found:
            raise BundleError(
                "model-unknown",
                f"No model of the registry is called {pattern}; it has, among others, "
                f"{', '.join(entry.model_name for entry in entries[:3])}.",
            )
        chosen += found
    part, parts = shard
    return [Model(i, entries[i].label) for i in sorted(set(chosen))[part - 1 :: parts]]


def _check_device(name: str, processes: int) -> None:
    """Refuse a GPU that is not there once, before every model does."""
    if name in {"auto", "cpu"}:
        return
    from mimicry.activations.compute import chosen_device

    # Of several processes this one must not take memory on a GPU.
    chosen_device(name, count_gpus() if processes > 1 else None)


def _listed(
    places: Sequence[tuple[str, str | os.PathLike[str]]], threads: int, progress: bool
) -> StimulusSet:
    with ExitStack() as stack:
        shown: list[Progress] = []
        counted = 0

        def report(done: int, total: int) -> None:
            nonlocal counted
            if not shown:
                # Only now is the total known.
                what = Progress(total, what="stimuli", quiet=not progress)
                shown.append(stack.enter_context(what))
            shown[0].advance(done - counted)
            counted = done

        stimuli = read_stimuli_of(places, threads=threads, report=report)
    if progress:
        names = ", ".join(name for name, _ in places)
        print(f"{len(stimuli):,} stimuli of {names}, key {stimuli.key[:16]}", file=sys.stderr)
    return stimuli
