"""Extraction: the activations of registry models for a list of stimuli, into a store.

What decides the numbers of a cache is its identity: the resolved registry entry (model,
weights with their fingerprint, layer, pooling, preprocessing with interpolation, arguments),
the key of the stimuli, the precision of the computation and the type stored.

What moves them by rounding only is recorded as its conditions and is no part of the key:
kind of device, batch size (kernels are chosen by shape), versions of torch, the model's
library and Pillow. Were they part of it, a patch release of any library would orphan every
cache of hundreds of models for differences in the seventh digit. An unfinished cache is not
continued under other conditions, so that no cache mixes two; `mimicry activations list`
shows where caches differ. On one machine, with the same number of torch's threads, the same
conditions give the same bytes, however the work was cut up or interrupted; another
processor may round the last digits differently.
"""

import json
import os
import shutil
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mimicry.activations.device_faults import is_device_fault, is_device_memory
from mimicry.activations.entries import ModelEntry, entry_document
from mimicry.activations.locks import StoreBusyError, wait_until_free
from mimicry.activations.manifest import read_manifest
from mimicry.activations.plans import Plan, cache_folder, shard_rows
from mimicry.activations.reading import open_activations
from mimicry.activations.registry import read_registry
from mimicry.activations.stimuli import StimulusSet, open_listed
from mimicry.activations.store import ShardWriter, open_writer
from mimicry.activations.store_sets import stored_stimuli
from mimicry.errors import BundleError, MimicryError, one_line

if TYPE_CHECKING:
    from mimicry.activations.models import Extractor

LOG = "log.jsonl"
_LIBRARIES = {"timm": "timm", "open_clip": "open_clip_torch", "torchvision": "torchvision"}

# Told of images done: how many, and whether they were computed now.
Count = Callable[..., None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How to extract.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision : str
        Of the computation: ``float32``, ``bfloat16`` or ``float16``.
    dtype : str
        Of what is stored, likewise.
    batch_size : int
        Images a batch.
    workers : int
        Threads that decode.
    threads : int or None
        Torch's threads on a CPU; None leaves them as they are.
    shard_rows : int or None
        Rows a shard, rounded up to whole batches; None for about 32 MiB.
    restart : bool
        Remove what is there and begin anew.
    """

    device: str = "auto"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    dtype: str = "float32"
    batch_size: int = 32
    workers: int = 4
    threads: int | None = None
    shard_rows: int | None = None
    restart: bool = False


@dataclass(frozen=True)
class Request:
    """What a process needs to know to extract: all of it fits into one line of JSON.

    Attributes
    ----------
    registry : Path
        The file; weights and custom models are found relative to it.
    store_set : Path
        The folder of the caches, which holds the list of stimuli.
    places : tuple of (str, Path)
        Data sets and their folders or zips.
    settings : Settings
        How to extract.
    """

    registry: Path
    store_set: Path
    places: tuple[tuple[str, Path], ...]
    settings: Settings

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "registry": str(self.registry),
                "store_set": str(self.store_set),
                "places": [[name, str(path)] for name, path in self.places],
                "settings": asdict(self.settings),
            }
        )

    @classmethod
    def from_text(cls, text: str) -> "Request":
        """Read what `text` returned."""
        document = json.loads(text)
        return cls(
            Path(document["registry"]),
            Path(document["store_set"]),
            tuple((name, Path(path)) for name, path in document["places"]),
            Settings(**document["settings"]),
        )


class Outcome(NamedTuple):
    """What became of one model.

    Attributes
    ----------
    label : str
        The model and its layer.
    state : str
        ``written``, ``reused`` or ``failed``.
    text : str
        For people: the cache and its speed, or the sentence with its code.
    code : str
        Of the fault, empty if there is none.
    """

    label: str
    state: Literal["written", "reused", "failed"]
    text: str
    code: str = ""


class Room:
    """A registry, a list of stimuli and the settings, opened once for many models."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.entries = read_registry(request.registry)
        self.stimuli = open_listed(stored_stimuli(request.store_set), request.places)


def extract_models(
    room: Room, indexes: Sequence[int], *, count: Count, say: Say
) -> Iterator[Outcome]:
    """Extract models one after the other; one that fails does not stop the others.

    Models that another process is writing come last, and are waited for: then that
    process has written them, or ended, and they are written here.

    Parameters
    ----------
    room : Room
        Where and how.
    indexes : sequence of int
        The models' positions in the registry.
    count, say : callable
        Told of images done, and lines for people.

    Yields
    ------
    Outcome
        One for each model, as it becomes known.
    """
    waiting: deque[tuple[int, Path | None]] = deque((index, None) for index in indexes)
    while waiting:
        index, lock = waiting.popleft()
        if lock is not None:
            say(f"{room.entries[index].label}: waiting for another process that writes it")
            wait_until_free(lock)
        try:
            outcome = extract_model(room, index, count=count, say=say)
        except StoreBusyError as busy:
            waiting.append((index, busy.lock))
            continue
        yield outcome


def extract_model(room: Room, index: int, *, count: Count, say: Say) -> Outcome:
    """Extract one model; whatever goes wrong with it is told in the outcome.

    Raises
    ------
    StoreBusyError
        Another process writes it.
    """
    entry = room.entries[index]
    own = os.getpid()
    try:
        outcome = _extracted(room, entry, count=count, say=say)
    except StoreBusyError:
        raise
    except MimicryError as error:
        # Sentences may begin with the model's name, which every outcome is told with.
        sentence = error.sentence.removeprefix(f"{entry.label}: ")
        sentence = sentence.removeprefix(f"{entry.model_name}: ")
        outcome = Outcome(entry.label, "failed", f"{sentence} [{error.code}]", error.code)
    except (Exception, SystemExit, GeneratorExit) as error:
        if _of_submitit(error):
            # From a signal handler: the task's time is over, which is not this model's fault.
            raise
        code, sentence = _explained(error)
        if code in {"model-failed", "device-failed"}:
            say(traceback.format_exc().rstrip())
        outcome = Outcome(entry.label, "failed", f"{sentence} [{code}]", code)
    finally:
        if os.getpid() != own:
            # A model forked, and its child came back from it: it has no part in this.
            os._exit(0)
    say(f"{outcome.label}: {outcome.text}")
    return outcome


def _extracted(room: Room, entry: ModelEntry, *, count: Count, say: Say) -> Outcome:
    import torch

    from mimicry.activations.compute import chosen_device, pump
    from mimicry.activations.models import load_model

    settings, stimuli, root = room.request.settings, room.stimuli, room.request.registry.parent
    if (known := _complete_already(room, entry, root)) is not None:
        count(len(stimuli), computed=False)
        return Outcome(entry.label, "reused", f"{known.name} is complete")
    device = chosen_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    began = time.monotonic()
    extractor = load_model(entry, device=device, precision=settings.precision, root=root)
    plan = plan_for(extractor, stimuli, settings, device)
    names = [one.image_identifier for one in stimuli.stimuli]
    with open_writer(
        room.request.store_set,
        plan,
        restart=settings.restart,
        row_name=names.__getitem__,
        report=say,
    ) as writer:
        count(writer.next_row, computed=False)
        if writer.complete:
            return Outcome(entry.label, "reused", f"{writer.folder.name} is complete")
        there = writer.next_row
        _check_space(room.request.store_set, plan, writer)
        loaded = time.monotonic()
        pump(
            extractor,
            stimuli,
            writer,
            batch_size=settings.batch_size,
            workers=settings.workers,
            count=count,
        )
        writer.finish()
        seconds = time.monotonic() - loaded
    _log(room.request.store_set, plan, device, len(stimuli) - there, seconds, loaded - began)
    speed = (len(stimuli) - there) / max(seconds, 1e-9)
    kept = f" ({there:,} of them from before)" if there else ""
    return Outcome(
        entry.label,
        "written",
        f"{writer.folder.name}, {len(stimuli):,} rows{kept} of {plan.width:,} numbers, "
        f"{seconds:,.1f} s, {speed:,.1f} images/s",
    )


def plan_for(extractor: "Extractor", stimuli: StimulusSet, settings: Settings, device: str) -> Plan:
    """Return the cache that a loaded model's activations belong in."""
    entry = extractor.entry
    step = settings.batch_size
    rows_per_shard = shard_rows(extractor.width, settings.dtype, step)
    if settings.shard_rows is not None:
        rows_per_shard = -(-settings.shard_rows // step) * step
    return Plan(
        name=cache_name(entry),
        identity=identity_of(
            entry, extractor.weights_sha256, extractor.code_sha256, stimuli, settings
        ),
        conditions=conditions_of(entry, settings, device),
        width=extractor.width,
        dtype=settings.dtype,
        rows=len(stimuli),
        rows_per_shard=rows_per_shard,
    )


def identity_of(
    entry: ModelEntry,
    weights_sha256: str,
    code_sha256: str | None,
    stimuli: StimulusSet,
    settings: Settings,
) -> dict[str, Any]:
    """Return what decides the numbers, of a resolved entry; see the head of this module."""
    document = entry_document(replace(entry, weights_sha256=weights_sha256))
    if entry.weights.startswith("file:"):
        # Its fingerprint says which weights they are; the path changes no number.
        document["weights"] = "file"
    if code_sha256 is not None:
        document["code_sha256"] = code_sha256
    return {
        "format": 1,
        "kind": "stimuli",
        "items": stimuli.key,
        "model": document,
        "precision": settings.precision,
        "dtype": settings.dtype,
    }


def conditions_of(entry: ModelEntry, settings: Settings, device: str) -> dict[str, Any]:
    """Return what moves numbers by rounding; see the head of this module."""
    packages = [
        "torch",
        "pillow",
        *([_LIBRARIES[entry.source]] if entry.source != "custom" else []),
    ]
    versions = {name: metadata.version(name) for name in packages}
    return {
        "device": device.partition(":")[0],
        "batch_size": settings.batch_size,
        **dict(sorted(versions.items())),
    }


def _complete_already(room: Room, entry: ModelEntry, root: Path) -> Path | None:
    """Return the finished cache of a model whose fingerprint the registry gives, if any.

    So a second run over hundreds of such models need not load each to know its key.
    """
    settings = room.request.settings
    if entry.weights_sha256 is None or entry.source == "custom" or settings.restart:
        return None
    from mimicry.activations.models import resolve_entry

    resolved = resolve_entry(entry, root=root)
    identity = identity_of(resolved, entry.weights_sha256, None, room.stimuli, settings)
    folder = cache_folder(room.request.store_set, cache_name(entry), identity)
    manifest = read_manifest(folder)
    if manifest is None or not manifest.complete:
        return None
    return open_activations(folder).folder


def cache_name(entry: ModelEntry) -> str:
    """Return how the folder's name of a model's cache begins."""
    return f"{entry.model_name}.{entry.layer or 'output'}"


def _check_space(store_set: Path, plan: Plan, writer: ShardWriter) -> None:
    there = sum(shard.bytes for shard in writer.manifest.shards)
    needed = plan.bytes_needed - there
    free = shutil.disk_usage(store_set).free
    if needed > free:
        raise BundleError(
            "store-space",
            f"{writer.folder.name} needs {needed / 1e9:,.3f} GB more and {store_set} has "
            f"{free / 1e9:,.3f} GB left; make room, name another store, or store float16 "
            "(--dtype).",
        )


def _of_submitit(error: BaseException) -> bool:
    """Tell whether submitit raised this, by its class or by ``sys.exit``."""
    if type(error).__name__ == "UncompletedJobError":
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = frames[-1].f_globals.get("__name__", "") if frames else ""
    return str(module).partition(".")[0] == "submitit"


def _explained(error: BaseException) -> tuple[str, str]:
    name = type(error).__name__
    if is_device_memory(error):
        return (
            "device-memory",
            f"Memory ran out ({one_line(str(error), 200)}); use smaller batches (--batch-size), "
            "fewer workers, or another device.",
        )
    if is_device_fault(error):
        return (
            "device-failed",
            # What torch adds on how to find a bug fills lines.
            f"The device failed ({name}: {one_line(str(error).partition(chr(10))[0], 200)}); look "
            "at it (`nvidia-smi`), then run the same command again, which keeps what is written. "
            "Should it fail at the same model every time, mend that model.",
        )
    return (
        "model-failed",
        f"The model failed ({name}: {one_line(str(error), 300)}); its traceback is above.",
    )


def _log(
    store_set: Path, plan: Plan, device: str, rows: int, seconds: float, loading: float
) -> None:
    """Note when, on what and how fast a cache was written; nothing reads this."""
    import torch

    line: Mapping[str, Any] = {
        "cache": plan.folder(store_set).name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "rows": rows,
        "seconds": round(seconds, 3),
        "seconds_loading": round(loading, 3),
    }
    # The cache is complete; a log that cannot be written does not change that.
    with suppress(OSError):
        descriptor = os.open(store_set / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # One write, so that lines of two processes do not mix.
            os.write(descriptor, (json.dumps(line) + "\n").encode("utf-8"))
        finally:
            os.close(descriptor)
