"""Folders of a store: one for each list of stimuli, with the list and the caches over it."""

import os
from pathlib import Path

from mimicry.activations.manifest import MANIFEST
from mimicry.activations.stimuli import Stimulus, read_catalogue
from mimicry.errors import BundleError

STIMULI = "stimuli.jsonl"
_SHOWN = 5


def find_store_set(store: str | os.PathLike[str]) -> Path:
    """Return the folder for caches over one list of stimuli.

    Parameters
    ----------
    store : path
        That folder, or a store that holds only one.

    Raises
    ------
    BundleError
        ``store-several-sets`` when the store holds several, ``activations-missing`` when it
        holds none.
    """
    path = Path(store)
    if (path / STIMULI).is_file():
        return path
    found = sorted(one.parent for one in path.glob(f"*/{STIMULI}"))
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise BundleError(
            "store-several-sets",
            f"{path} holds activations over {len(found)} lists of stimuli ({names}{more}); name "
            "one of these folders.",
        )
    if not found:
        raise BundleError(
            "activations-missing",
            f"{path} holds no activations; name a folder that `mimicry activations extract` made.",
        )
    return found[0]


def stored_stimuli(store_set: str | os.PathLike[str]) -> tuple[Stimulus, ...]:
    """Read the list of stimuli that the caches of a folder are over.

    Raises
    ------
    BundleError
        ``catalogue-unreadable``, ``catalogue-row``.
    """
    return read_catalogue(Path(store_set) / STIMULI)


def cache_folders(store_set: Path) -> list[Path]:
    """Return the caches in a folder, complete or not, sorted by name.

    Raises
    ------
    BundleError
        ``activations-missing`` where there is no folder.
    """
    try:
        return sorted(
            path
            for path in store_set.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST).is_file()
        )
    except OSError as error:
        raise BundleError(
            "activations-missing", f"{store_set} cannot be listed ({error.strerror}); check it."
        ) from error
