"""Activations as they lie in a store: opened, checked, read by rows. NumPy only."""

import itertools
import operator
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.activations.manifest import (
    MANIFEST,
    STORED,
    Manifest,
    Shard,
    npy_header,
    read_manifest,
)
from mimicry.activations.stimuli import Stimulus, stimuli_key
from mimicry.activations.store_sets import STIMULI, cache_folders, find_store_set, stored_stimuli
from mimicry.errors import BundleError
from mimicry.files import sha256_file

__all__ = [
    "STIMULI",
    "Activations",
    "cache_folders",
    "check_shard",
    "decode",
    "find_store_set",
    "open_activations",
    "open_store",
    "stored_stimuli",
]


class Activations:
    """What one layer of one model emits for a list of items: an array of rows on the disk.

    Made by `open_activations`. Files are opened for each read and closed again, so that
    thousands of shards need no descriptors; NumPy maps them, so that only the pages that
    hold the rows asked for are read. Threads may read at once.

    Attributes
    ----------
    folder : Path
        The cache.
    manifest : Manifest
        What it holds.
    dtype : numpy.dtype
        Of what is returned: float32 or float16; bfloat16 comes as float32, which holds it
        exactly.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.dtype = np.dtype(np.float16 if manifest.dtype == "float16" else np.float32)
        self._starts = np.array(
            [0, *itertools.accumulate(shard.rows for shard in manifest.shards)], dtype=np.int64
        )

    def __repr__(self) -> str:
        return f"<Activations {self.model_name} {self.layer} {self.shape}>"

    @property
    def model_name(self) -> str:
        """The registry's name of the model, or the identity's own name."""
        return str(_model(self.manifest).get("model_name", self.folder.name))

    @property
    def layer(self) -> str:
        """The path of the module that was tapped."""
        return str(_model(self.manifest).get("layer", ""))

    @property
    def items_key(self) -> str:
        """The key of the stimuli, or other items, that the rows are of."""
        return str(self.manifest.identity.get("items", ""))

    @cached_property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """The stimuli, that of row i at position i; read from beside the cache when asked for.

        Raises
        ------
        BundleError
            ``activations-stimuli`` when the list there is another one, and what
            `stored_stimuli` raises.
        """
        stimuli = stored_stimuli(self.folder.parent)
        _check_stimuli(self, stimuli_key(stimuli), len(stimuli))
        return stimuli

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(self._starts[-1])

    @property
    def width(self) -> int:
        """Numbers a row."""
        return self.manifest.width

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and width."""
        return self.count, self.width

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def __len__(self) -> int:
        return self.count

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("activations on the disk become an array by copying only")
        whole = self.chunk(0, self.count)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, which: Any) -> npt.NDArray[Any]:
        """Return a row for a number, an array of rows for a slice, numbers or a mask."""
        if isinstance(which, slice):
            start, stop, step = which.indices(self.count)
            if step == 1:
                return self.chunk(start, max(start, stop))
            return self.rows(np.arange(start, stop, step))
        chosen = np.asarray(which)
        if chosen.dtype == bool:
            if chosen.shape != (self.count,):
                raise IndexError(f"a mask of {self.count} rows is needed, not {chosen.shape}")
            return self.rows(np.flatnonzero(chosen))
        rows = self.rows(np.atleast_1d(chosen))
        return rows if chosen.ndim else rows[0]

    def chunk(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows `start` to `stop` (not included), shape (stop - start, width).

        Raises
        ------
        IndexError
            When they are not within 0 and `count`.
        """
        start, stop = operator.index(start), operator.index(stop)
        if not 0 <= start <= stop <= self.count:
            raise IndexError(f"rows {start} to {stop} of {self.count}")
        result = np.empty((stop - start, self.width), self.dtype)
        if start == stop:
            return result
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        for index in range(first, len(self.manifest.shards)):
            base, end = int(self._starts[index]), int(self._starts[index + 1])
            low, high = max(start, base), min(stop, end)
            if low >= high:
                break
            shard = self._shard(index)
            result[low - start : high - start] = self._decoded(shard[low - base : high - base])
        return result

    def rows(self, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return rows in the order asked for, shape (k, width); repeats are allowed.

        Parameters
        ----------
        indices : array-like of int, shape (k,)
            Each within 0 and `count` (not included).

        Raises
        ------
        IndexError
            When an index is outside, or these are no whole numbers in one dimension.
        """
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64).reshape(-1)
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise IndexError("rows are chosen by whole numbers in one dimension")
        if chosen.size and not (int(chosen.min()) >= 0 and int(chosen.max()) < self.count):
            raise IndexError(f"row {self._outside(chosen)} of {self.count}")
        result = np.empty((chosen.size, self.width), self.dtype)
        # In the order of the file, so that each page is read once.
        order = np.argsort(chosen, kind="stable")
        ordered = chosen[order].astype(np.int64)
        cuts = np.searchsorted(ordered, self._starts)
        for index in range(len(self.manifest.shards)):
            low, high = int(cuts[index]), int(cuts[index + 1])
            if low < high:
                local = ordered[low:high] - self._starts[index]
                result[order[low:high]] = self._decoded(self._shard(index)[local])
        return result

    def chunks(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all rows in order, at most `rows` at a time."""
        for start in range(0, self.count, rows):
            yield self.chunk(start, min(start + rows, self.count))

    def _outside(self, chosen: npt.NDArray[Any]) -> int:
        return int(chosen[(chosen < 0) | (chosen >= self.count)][0])

    def _shard(self, index: int) -> npt.NDArray[Any]:
        shard, dtype = self.manifest.shards[index], STORED[self.manifest.dtype]
        shape = (shard.rows, self.width)
        offset = shard.bytes - shape[0] * shape[1] * dtype.itemsize
        path = self.folder / shard.file
        try:
            # ValueError: the file is shorter than when it was opened.
            return np.memmap(path, dtype, "r", offset, shape)
        except (OSError, ValueError) as error:
            raise _damaged(path, f"it cannot be mapped ({error})") from error

    def _decoded(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return decode(stored, self.manifest.dtype)


def decode(stored: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return stored values as numbers: bfloat16 bits become the float32 of the same value."""
    if dtype != "bfloat16":
        return stored
    return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)


def open_activations(folder: str | os.PathLike[str], *, verify: bool = False) -> Activations:
    """Open a cache that is complete.

    Its manifest, and every shard's size and header, are always checked; nothing else is read.

    Parameters
    ----------
    folder : path
        ``STORE/<set>/<model>.<layer>.<key>``.
    verify : bool
        Also read every shard and compare its SHA-256.

    Raises
    ------
    BundleError
        ``activations-missing``, ``activations-incomplete``, ``activations-manifest``, or
        ``activations-damaged`` naming the shard.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise BundleError(
            "activations-missing", f"{folder} holds no activations (no {MANIFEST}); check the path."
        )
    if not folder.resolve().name.endswith(manifest.key[:16]):
        raise BundleError(
            "activations-manifest",
            f"{folder} is not named after the key of its manifest, {manifest.key[:16]}: it was "
            "renamed or holds other activations; give the folder its name back.",
        )
    if not manifest.complete:
        raise BundleError(
            "activations-incomplete",
            f"{folder} holds {manifest.rows_written:,} of {manifest.rows or 'unknown'} rows; "
            "run the same `mimicry activations extract` again to finish it.",
        )
    for shard in manifest.shards:
        check_shard(folder, manifest, shard, verify=verify)
    return Activations(folder, manifest)


def check_shard(folder: Path, manifest: Manifest, shard: Shard, *, verify: bool) -> None:
    """Compare a shard with its manifest, and with `verify` also its content.

    Raises
    ------
    BundleError
        ``activations-damaged``.
    """
    path = folder / shard.file
    header = npy_header(shard.rows, manifest.width, manifest.dtype)
    try:
        if path.is_symlink() or not path.is_file():
            raise _damaged(path, "it is missing, or no plain file")
        size = path.stat().st_size
        if size != shard.bytes:
            raise _damaged(path, f"it has {size:,} bytes, its manifest says {shard.bytes:,}")
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                raise _damaged(path, "its header is not the one that its manifest tells of")
        if verify and sha256_file(path) != shard.sha256:
            raise _damaged(path, "its SHA-256 is not the one in its manifest")
    except OSError as error:
        raise _damaged(path, f"it cannot be read ({error.strerror})") from error


def open_store(store: str | os.PathLike[str], *, verify: bool = False) -> tuple[Activations, ...]:
    """Open all caches over one list of stimuli.

    Parameters
    ----------
    store : path
        A store that holds one list of stimuli, or ``STORE/<set>``, which holds
        ``stimuli.jsonl`` and a folder for each cache.
    verify : bool
        As for `open_activations`.

    Returns
    -------
    tuple of Activations
        Sorted by model name, then layer and key. Row i of each is of stimulus i, which
        `Activations.stimuli` names.

    Raises
    ------
    BundleError
        ``activations-missing`` when there are none, ``store-several-sets`` for a store of
        several lists, ``activations-stimuli`` when one is over other stimuli than the list,
        and what `open_activations` raises: an incomplete cache is refused, never passed over.
    """
    store_set = find_store_set(store)
    folders = cache_folders(store_set)
    if not folders:
        raise BundleError(
            "activations-missing",
            f"{store_set} lists stimuli and holds no activations; run `mimicry activations "
            "extract` over them.",
        )
    stimuli = stored_stimuli(store_set)
    key = stimuli_key(stimuli)
    opened = []
    for folder in folders:
        one = open_activations(folder, verify=verify)
        _check_stimuli(one, key, len(stimuli))
        # One list for all of them, in place of one read for each.
        one.stimuli = stimuli
        opened.append(one)
    return tuple(sorted(opened, key=lambda a: (a.model_name, a.layer, a.manifest.key)))


def _check_stimuli(opened: Activations, key: str, count: int) -> None:
    if opened.items_key != key or opened.count != count:
        raise BundleError(
            "activations-stimuli",
            f"{opened.folder} is over other stimuli than {opened.folder.parent / STIMULI}; put "
            "each cache into the folder of its own stimuli.",
        )


def _model(manifest: Manifest) -> Mapping[str, Any]:
    model = manifest.identity.get("model")
    return model if isinstance(model, Mapping) else {}


def _damaged(path: Path, problem: str) -> BundleError:
    return BundleError(
        "activations-damaged",
        f"{path}: {problem}; extract these activations anew with --restart.",
    )
