"""Writing activations: shard by shard, resumable, by one writer at a time.

The writer knows rows and widths, nothing of images or models: whatever emits rows in
order can use it, and one pass over the items may feed several writers. How many rows will
come need not be known.

A shard is written to a file of another name, synced, renamed, read back, and then recorded
in the manifest. Whatever ends the process, power included, leaves recorded shards whole
and everything else unrecorded. The next writer begins behind the last recorded shard.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.activations.locks import locked, unwritable
from mimicry.activations.manifest import (
    MANIFEST,
    STORED,
    Manifest,
    Shard,
    canonical,
    npy_header,
    read_manifest,
    shard_name,
    write_manifest,
)
from mimicry.activations.plans import Plan
from mimicry.activations.reading import check_shard, open_activations
from mimicry.activations.stimuli import StimulusSet, catalogue_text
from mimicry.activations.store_sets import STIMULI
from mimicry.errors import BundleError
from mimicry.files import remove_tree, sha256_file, sync_folder, write_atomically

LOCKS = ".locks"
_PART = ".part"

RowName = Callable[[int], str]


def store_set_folder(store: Path, stimuli: StimulusSet) -> Path:
    """Return the folder for caches over these stimuli, made with its list of them.

    Raises
    ------
    BundleError
        ``activations-stimuli`` when there is another list in it, ``store-unwritable``.
    """
    folder = store / stimuli.key[:16]
    path, text = folder / STIMULI, catalogue_text(stimuli.stimuli)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_atomically(path, text)
            sync_folder(folder)
        elif path.read_bytes() != text.encode("utf-8"):
            raise BundleError(
                "activations-stimuli",
                f"{path} was changed, or lists other stimuli; remove it, or name another store.",
            )
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


@contextmanager
def open_writer(
    store_set: Path,
    plan: Plan,
    *,
    restart: bool = False,
    row_name: RowName = str,
    report: Callable[[str], None] = lambda line: None,
) -> Iterator["ShardWriter"]:
    """Begin or continue a cache; nobody else can meanwhile.

    Parameters
    ----------
    store_set : Path
        The folder for caches over the same items.
    plan : Plan
        What is to be written.
    restart : bool
        Remove what is there first.
    row_name : callable
        Gives the name of a row's item, for sentences.
    report : callable
        Gets a line about shards that are written anew.

    Raises
    ------
    StoreBusyError
        Another process has the lock.
    BundleError
        ``activations-conditions`` when an unfinished cache was begun under other conditions,
        ``activations-manifest`` or ``activations-damaged`` when a finished one is not what it
        should be, ``store-no-locks``, ``store-unwritable``, ``disk-full``.
    """
    folder = plan.folder(store_set)
    with locked(store_set / LOCKS / folder.name):
        try:
            folder.mkdir(exist_ok=True)
            if restart:
                _empty(folder)
            manifest = _begin(folder, plan, report)
        except OSError as error:
            raise unwritable(folder, error) from error
        yield ShardWriter(folder, manifest, row_name)


class ShardWriter:
    """Takes rows in order and makes shards of them; made by `open_writer`.

    Attributes
    ----------
    folder : Path
        The cache.
    manifest : Manifest
        As on the disk.
    next_row : int
        The first row that it does not have; a new pass may begin here.
    """

    def __init__(self, folder: Path, manifest: Manifest, row_name: RowName = str) -> None:
        self.folder = folder
        self.manifest = manifest
        self.next_row = manifest.rows_written
        self._row_name = row_name
        self._process = os.getpid()
        self._rows: npt.NDArray[Any] | None = None
        self._held = 0

    @property
    def complete(self) -> bool:
        """Whether the cache is finished."""
        return self.manifest.complete

    def write(self, start: int, rows: npt.NDArray[Any]) -> None:
        """Take rows `start`, `start` + 1, ...; those that are there already are passed over.

        Parameters
        ----------
        start : int
            At most `next_row`, so that no row is left out.
        rows : array, shape (k, width)
            Finite numbers.

        Raises
        ------
        BundleError
            ``activations-not-finite`` naming the item, ``activations-overflow`` when float16
            cannot hold a number, ``disk-full``, ``store-unwritable``, ``store-read-back``.
        """
        self._refuse_others()
        if rows.ndim != 2 or rows.shape[1] != self.manifest.width:
            raise ValueError(f"rows of {self.manifest.width} numbers are needed, not {rows.shape}")
        if start > self.next_row:
            raise ValueError(f"row {self.next_row} is next, not {start}")
        if self.manifest.rows is not None and start + len(rows) > self.manifest.rows:
            raise ValueError(f"{start + len(rows)} rows are more than {self.manifest.rows}")
        if self.complete:
            return
        rows = rows[self.next_row - start :]
        while len(rows):
            if self._rows is None:
                shape = (self.manifest.rows_per_shard, self.manifest.width)
                self._rows = np.empty(shape, STORED[self.manifest.dtype])
            fitting = rows[: len(self._rows) - self._held]
            encoded = self._encoded(fitting)
            self._rows[self._held : self._held + len(fitting)] = encoded
            self._held += len(fitting)
            self.next_row += len(fitting)
            rows = rows[len(fitting) :]
            if self._held == len(self._rows):
                self._record(self.manifest.with_shards(*self.manifest.shards, self._flushed()))

    def finish(self) -> None:
        """Write the last shard and declare the cache complete.

        Raises
        ------
        ValueError
            When rows are missing, or there are none.
        """
        self._refuse_others()
        if self.complete:
            return
        if self.manifest.rows not in {None, self.next_row} or not self.next_row:
            raise ValueError(f"{self.next_row} of {self.manifest.rows} rows were written")
        # One manifest tells of the last shard and of the end, since a short shard has no
        # place in an unfinished cache.
        shards = [*self.manifest.shards, *([self._flushed()] if self._held else [])]
        whole = replace(self.manifest, shards=tuple(shards), rows=self.next_row, complete=True)
        self._record(whole)
        self._rows = None

    def _refuse_others(self) -> None:
        """Keep a forked child, with which the lock is shared, from writing the same files."""
        if os.getpid() != self._process:
            raise RuntimeError("only the process that opened a cache may write it")

    def _encoded(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        finite = np.isfinite(rows)
        if not finite.all():
            raise self._refused(
                "activations-not-finite",
                ~finite,
                "are not all finite numbers; check the model, or compute in another precision",
            )
        encoded = encode(rows, self.manifest.dtype)
        too_large = (
            encoded & np.uint16(0x7FFF) == 0x7F80
            if self.manifest.dtype == "bfloat16"
            else np.isinf(encoded)
        )
        if too_large.any():
            raise self._refused(
                "activations-overflow",
                too_large,
                f"are too large for {self.manifest.dtype}; store another type (--dtype)",
            )
        return encoded

    def _refused(self, code: str, where: npt.NDArray[Any], problem: str) -> BundleError:
        row = self.next_row + int(np.flatnonzero(where.any(axis=1))[0])
        return BundleError(code, f"The activations of {self._row_name(row)} (row {row}) {problem}.")

    def _flushed(self) -> Shard:
        assert self._rows is not None
        rows = self._rows[: self._held]
        index = len(self.manifest.shards)
        path = self.folder / shard_name(index)
        part = self.folder / f".{path.name}{_PART}"
        header = npy_header(len(rows), self.manifest.width, self.manifest.dtype)
        content = rows.reshape(-1).view(np.uint8).data
        digest = hashlib.sha256(header)
        digest.update(content)
        try:
            try:
                with part.open("wb") as file:
                    file.write(header)
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
                sync_folder(self.folder)
            except BaseException:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
            if sha256_file(path) != digest.hexdigest():
                raise BundleError(
                    "store-read-back",
                    f"{path} did not read back as it was written; check the disk.",
                )
        except OSError as error:
            raise unwritable(path, error) from error
        size = len(header) + len(content)
        self._held = 0
        return Shard(path.name, len(rows), size, digest.hexdigest())

    def _record(self, manifest: Manifest) -> None:
        try:
            write_manifest(self.folder, manifest)
            sync_folder(self.folder)
        except OSError as error:
            raise unwritable(self.folder / MANIFEST, error) from error
        self.manifest = manifest


def encode(rows: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Return finite numbers as they are stored, rounded to nearest, ties to even."""
    if dtype != "bfloat16":
        with np.errstate(over="ignore"):
            return rows.astype(STORED[dtype])
    with np.errstate(over="ignore"):
        bits = np.ascontiguousarray(rows, dtype=np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _begin(folder: Path, plan: Plan, report: Callable[[str], None]) -> Manifest:
    manifest = read_manifest(folder)
    if manifest is not None and manifest.complete:
        return open_activations(folder).manifest
    if manifest is None or not manifest.shards:
        _empty(folder)
        manifest = Manifest(
            plan.identity,
            plan.conditions,
            plan.width,
            plan.dtype,
            plan.rows_per_shard,
            rows=plan.rows,
        )
        write_manifest(folder, manifest)
        sync_folder(folder)
        sync_folder(folder.parent)
        return manifest
    # Of the same key, so these can differ only if somebody meddled or two keys collide.
    if (manifest.width, manifest.dtype, manifest.rows) != (plan.width, plan.dtype, plan.rows) or (
        canonical(manifest.identity) != canonical(plan.identity)
    ):
        raise BundleError(
            "activations-manifest",
            f"{folder} holds other activations than its name says; begin it anew with --restart.",
        )
    _check_conditions(folder, manifest, plan)
    return _recovered(folder, manifest, report)


def _check_conditions(folder: Path, manifest: Manifest, plan: Plan) -> None:
    old, new = manifest.conditions, plan.conditions
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if differing:
        told = ", ".join(f"{name} {old.get(name)} (now {new.get(name)})" for name in differing)
        raise BundleError(
            "activations-conditions",
            f"{folder} was begun with {told}, which can change the last digits; go on with the "
            "same, or begin it anew with --restart.",
        )


def _recovered(folder: Path, manifest: Manifest, report: Callable[[str], None]) -> Manifest:
    """Remove what was never recorded; keep recorded shards up to the first that is not whole."""
    whole: list[Shard] = []
    for shard in manifest.shards:
        try:
            check_shard(folder, manifest, shard, verify=True)
        except BundleError as error:
            report(f"{error.sentence} It is written again, with all that follow.")
            break
        whole.append(shard)
    if len(whole) < len(manifest.shards):
        manifest = manifest.with_shards(*whole)
        write_manifest(folder, manifest)
    kept = {MANIFEST, *(shard.file for shard in whole)}
    for path in folder.iterdir():
        if path.name not in kept:
            _remove(path)
    return manifest


def _empty(folder: Path) -> None:
    # The manifest first: shards without one count for nothing.
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.iterdir():
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # Nothing of ours; whatever it is, it must not be in the way.
        remove_tree(path)
    else:
        path.unlink()
