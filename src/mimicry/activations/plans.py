"""What a cache of activations is to become: its name, its key, its shards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimicry.activations.manifest import STORED, content_key, shard_bytes

# A shard of about this size is written within a second, and costs as much when it is lost.
_SHARD_BYTES = 32 * 2**20
_SHARD_ROWS = 4096


@dataclass(frozen=True)
class Plan:
    """A cache as it is to become.

    Attributes
    ----------
    name : str
        How its folder's name begins; see `cache_folder`.
    identity, conditions : mapping
        As in `mimicry.activations.manifest.Manifest`.
    width : int
        Numbers a row.
    dtype : str
        What to store: ``float32``, ``float16`` or ``bfloat16``.
    rows : int or None
        How many will come; None when that is not known.
    rows_per_shard : int
        For a cache that is begun; one that is continued keeps its own.
    """

    name: str
    identity: Mapping[str, Any]
    conditions: Mapping[str, Any]
    width: int
    dtype: str
    rows: int | None
    rows_per_shard: int

    @property
    def key(self) -> str:
        """The content key."""
        return content_key(self.identity)

    @property
    def bytes_needed(self) -> int:
        """Bytes of all shards; 0 when the number of rows is not known."""
        if self.rows is None:
            return 0
        whole, rest = divmod(self.rows, self.rows_per_shard)
        size = whole * shard_bytes(self.rows_per_shard, self.width, self.dtype)
        return size + (shard_bytes(rest, self.width, self.dtype) if rest else 0)

    def folder(self, store_set: Path) -> Path:
        """Return the cache's folder below that of its items."""
        return cache_folder(store_set, self.name, self.identity)


def cache_folder(store_set: Path, name: str, identity: Mapping[str, Any]) -> Path:
    """Return the folder of the cache with this identity."""
    return store_set / f"{safe_name(name)}.{content_key(identity)[:16]}"


def safe_name(text: str) -> str:
    """Return `text` as a part of a file name: other characters become ``_``, at most 120."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", text)[:120].lstrip(".") or "_"


def shard_rows(width: int, dtype: str, step: int) -> int:
    """Return how many rows a shard gets by default: about 32 MiB, at most about 4,096 rows.

    Parameters
    ----------
    width : int
        Numbers a row.
    dtype : str
        What is stored.
    step : int
        A multiple of it is returned, so that no batch of so many rows crosses a shard.
    """
    fitting = _SHARD_BYTES // (width * STORED[dtype].itemsize)
    return max(1, min(fitting, _SHARD_ROWS) // step) * step
