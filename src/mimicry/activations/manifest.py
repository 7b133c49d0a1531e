"""The manifest of one cache of activations: what the numbers are of, and which files hold them.

A cache is a folder with ``manifest.json`` and ``shard-00000.npy``, ``shard-00001.npy``, ...
Its *identity* is everything that decides which numbers belong in it: for images the
resolved registry entry, the weights' checksum, the key of the stimuli, the precision and
the stored type. The *key* is the SHA-256 of the identity. *Conditions* (device kind, batch
size, versions of libraries) move numbers by rounding only and are not part of the key: they
are recorded, and a cache that was begun under one set of them is not continued under
another. How the rows are cut into shards changes no number and is part of neither.

Nothing in a cache depends on when, where or in how many attempts it was written.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.errors import BundleError
from mimicry.files import write_atomically

MANIFEST = "manifest.json"
FORMAT = 1
LARGEST_MANIFEST = 2**28
# What is stored, by the manifest's word: bfloat16 has no NumPy type and lies as its 16 bits.
STORED: Mapping[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
_HEX = re.compile(r"[0-9a-f]{64}")
_KEYS = {
    "format",
    "state",
    "key",
    "identity",
    "conditions",
    "rows",
    "width",
    "dtype",
    "rows_per_shard",
    "shards",
    "checksum",
}


@dataclass(frozen=True)
class Shard:
    """One file of rows, on the disk and checked."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a cache holds.

    Attributes
    ----------
    identity : mapping
        JSON values that decide which numbers belong here.
    conditions : mapping
        JSON values under which they were computed.
    width : int
        Numbers a row.
    dtype : str
        ``float32``, ``float16`` or ``bfloat16``.
    rows_per_shard : int
        Of every shard but the last.
    shards : tuple of Shard
        Those that are whole, in order.
    rows : int or None
        Of the whole cache; None while they are not counted yet.
    complete : bool
        Whether all rows are there.
    """

    identity: Mapping[str, Any]
    conditions: Mapping[str, Any]
    width: int
    dtype: str
    rows_per_shard: int
    shards: tuple[Shard, ...] = ()
    rows: int | None = None
    complete: bool = False

    @property
    def key(self) -> str:
        """The content key: SHA-256 of the identity, 64 hexadecimal digits."""
        return content_key(self.identity)

    @property
    def rows_written(self) -> int:
        """How many rows are in whole shards."""
        return sum(shard.rows for shard in self.shards)

    def with_shards(self, *shards: Shard) -> "Manifest":
        """Return the manifest with these shards in place of its own."""
        return replace(self, shards=shards)


def canonical(value: object) -> str:
    """Return JSON values as their one canonical text: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
    )


def content_key(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an identity's canonical text."""
    return hashlib.sha256(canonical(identity).encode("ascii")).hexdigest()


def shard_name(index: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{index:05d}.npy"


def npy_header(rows: int, width: int, dtype: str) -> bytes:
    """Return the bytes with which NumPy's format 1.0 begins a file of this shape."""
    text = (
        f"{{'descr': '{STORED[dtype].str}', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    )
    # NumPy pads with spaces, so that the data begin at a multiple of 64.
    padding = -(10 + len(text) + 1) % 64
    body = text.encode("ascii") + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


def shard_bytes(rows: int, width: int, dtype: str) -> int:
    """Return the size of a shard's file."""
    return len(npy_header(rows, width, dtype)) + rows * width * STORED[dtype].itemsize


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a cache's manifest; the old one or the new one is there, never half of one."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "state": "complete" if manifest.complete else "incomplete",
        "key": manifest.key,
        "identity": manifest.identity,
        "conditions": manifest.conditions,
        "rows": manifest.rows,
        "width": manifest.width,
        "dtype": manifest.dtype,
        "rows_per_shard": manifest.rows_per_shard,
        "shards": [asdict(shard) for shard in manifest.shards],
    }
    document["checksum"] = content_key(document)
    write_atomically(folder / MANIFEST, json.dumps(document, indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Read and check a cache's manifest, without looking at its shards.

    Returns
    -------
    Manifest or None
        None where there is no manifest.

    Raises
    ------
    BundleError
        ``activations-manifest`` when it is damaged, edited or contradicts itself.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_MANIFEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _faulty(path, f"it cannot be read ({error.strerror})") from error
    if len(data) > LARGEST_MANIFEST:
        raise _faulty(path, "it is too large")
    try:
        document: Any = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _faulty(path, "it is no JSON") from error
    return _manifest(path, document)


def _manifest(path: Path, document: Any) -> Manifest:
    if not isinstance(document, dict) or set(document) != _KEYS:
        raise _faulty(path, "its keys are not a manifest's")
    if document["format"] != FORMAT:
        raise _faulty(path, f"its format is {document['format']!r}, this version reads {FORMAT}")
    checksum = document.pop("checksum")
    try:
        edited = checksum != content_key(document)
    except (ValueError, RecursionError):
        edited = True
    if edited:
        raise _faulty(path, "its checksum does not fit: it was edited or damaged")
    shards, rows = document["shards"], document["rows"]
    fits = (
        document["state"] in ("complete", "incomplete")
        and isinstance(document["identity"], dict)
        and isinstance(document["conditions"], dict)
        and isinstance(document["dtype"], str)
        and document["dtype"] in STORED
        and _is_count(document["width"])
        and _is_count(document["rows_per_shard"])
        and (rows is None or _is_count(rows))
        and isinstance(shards, list)
        and document["key"] == content_key(document["identity"])
    )
    if not fits:
        raise _faulty(path, "its values contradict each other")
    manifest = Manifest(
        identity=document["identity"],
        conditions=document["conditions"],
        width=document["width"],
        dtype=document["dtype"],
        rows_per_shard=document["rows_per_shard"],
        shards=tuple(_shard(path, shard) for shard in shards),
        rows=rows,
        complete=document["state"] == "complete",
    )
    _check_shards(path, manifest)
    return manifest


def _shard(path: Path, document: Any) -> Shard:
    if (
        not isinstance(document, dict)
        or set(document) != {"file", "rows", "bytes", "sha256"}
        or not (_is_count(document["rows"]) and _is_count(document["bytes"]))
        or not (isinstance(document["sha256"], str) and _HEX.fullmatch(document["sha256"]))
    ):
        raise _faulty(path, "a shard in it is not described as one")
    return Shard(**document)


def _check_shards(path: Path, manifest: Manifest) -> None:
    last = len(manifest.shards) - 1
    for index, shard in enumerate(manifest.shards):
        whole = shard.rows == manifest.rows_per_shard
        fits = (
            shard.file == shard_name(index)
            and (whole or (index == last and shard.rows < manifest.rows_per_shard))
            and shard.bytes == shard_bytes(shard.rows, manifest.width, manifest.dtype)
        )
        if not fits:
            raise _faulty(path, f"shard {index} in it does not fit the others")
    written = manifest.rows_written
    too_many = manifest.rows is not None and written > manifest.rows
    if too_many or (manifest.complete and written != manifest.rows):
        raise _faulty(path, "its shards do not add up to its rows")
    # Rounded up in whole numbers: a quotient may be too large for a float.
    if manifest.rows is not None and len(manifest.shards) > -(
        -manifest.rows // manifest.rows_per_shard
    ):
        raise _faulty(path, "it has more shards than its rows need")


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _faulty(path: Path, problem: str) -> BundleError:
    return BundleError(
        "activations-manifest",
        f"{path}: {problem}; remove its folder, or extract these activations anew with --restart.",
    )
