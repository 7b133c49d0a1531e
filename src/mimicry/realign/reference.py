"""Reference data of Blue and Red: matrices and activations, mapped into memory and checked.

Whatever is wrong here is the organiser's to mend. Sentences name files, never values.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.activations.stimuli import read_catalogue
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.realign.catalogue import Catalogue
from mimicry.realign.registered import Registry, read_blue_registry
from mimicry.realign.rules import BlueRules, RedRules, read_blue_rules, read_red_rules

REGISTRY_NAME = "registry.json"
CKA_NAME = "cka.npy"
CKA_UNBIASED_NAME = "cka_unbiased.npy"
REPLICATES_NAME = "replicates.npy"
CATALOGUE_NAME = "catalogue.jsonl"
MODELS_FOLDER = "models"
MODELS_NAME = "models.json"

LARGEST_LIST = 1024 * 1024
# What rounding may add to a similarity, whose range is [0, 1].
ROUNDING = 1e-9

Matrix = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BlueReference:
    """What a Blue submission is scored with; m models in the registry's order.

    Attributes
    ----------
    rules : BlueRules
        With the optimum.
    registry : Registry
        The m models.
    cka, cka_unbiased : float64 arrays, shape (m, m)
        Linear CKA of every two models on the competition's images. Symmetric, finite;
        the biased one lies in [0, 1].
    replicates : float32 array, shape (b, m * (m + 1) / 2)
        Biased CKA under b resamplings of the images: the upper triangle with the
        diagonal, row by row. Mapped into memory; finite where it is read.
    """

    rules: BlueRules
    registry: Registry
    cka: Matrix
    cka_unbiased: Matrix
    replicates: Array


@dataclass(frozen=True)
class RedReference:
    """What a Red submission is scored with; n stimuli in the catalogue's order.

    Attributes
    ----------
    rules : RedRules
        With the random draws.
    catalogue : Catalogue
        The n stimuli.
    activations : tuple of float16 or float32 arrays, shape (n, width of the model)
        Of each secret model. Mapped into memory; finite where they are read.
    """

    rules: RedRules
    catalogue: Catalogue
    activations: tuple[Array, ...]


def read_blue_reference(folder: Path) -> BlueReference:
    """Read and check the reference data of a Blue competition.

    Parameters
    ----------
    folder : Path
        Holds ``rules.json``, ``registry.json``, ``cka.npy``, ``cka_unbiased.npy`` and
        ``replicates.npy``.

    Raises
    ------
    BundleError
        ``rules-unreadable``, ``rules-invalid``, ``registry-unreadable``,
        ``registry-invalid``, ``matrix-unreadable``, ``matrix-invalid``.
    """
    rules = read_blue_rules(folder)
    if rules.optimum is None:
        raise BundleError(
            "rules-invalid",
            "rules.json of the reference data has no optimum; search it and build the reference "
            "data anew.",
        )
    registry = read_blue_registry(folder / REGISTRY_NAME)
    models = len(registry)
    cka = _matrix(folder / CKA_NAME, models)
    if cka.min() < -ROUNDING or cka.max() > 1 + ROUNDING:
        raise _invalid(CKA_NAME, "holds values outside of 0 to 1")
    unbiased = _matrix(folder / CKA_UNBIASED_NAME, models)
    replicates = _load(folder / REPLICATES_NAME)
    pairs = models * (models + 1) // 2
    if replicates.ndim != 2 or replicates.shape[1] != pairs or len(replicates) < 2:
        raise _invalid(
            REPLICATES_NAME,
            f"has the shape {replicates.shape}, not two or more rows of {pairs:,} values for the "
            f"registry's {models:,} models",
        )
    if replicates.dtype != np.float32:
        raise _invalid(REPLICATES_NAME, f"holds {replicates.dtype}, not float32")
    return BlueReference(rules, registry, cka, unbiased, replicates)


def read_red_reference(folder: Path, worker_data: Path) -> RedReference:
    """Read and check the reference data of a Red competition.

    Whole checksums of gigabytes would cost more than a score may: files of activations
    are checked by name, size and shape here, and by value where they are read.

    Parameters
    ----------
    folder : Path
        Holds ``rules.json``, ``catalogue.jsonl``, and, unless the rules name a folder of
        the worker, ``models/`` with one array per secret model.
    worker_data : Path
        What stands for ``/app/data``.

    Raises
    ------
    BundleError
        ``rules-unreadable``, ``rules-invalid``, ``catalogue-unreadable``,
        ``catalogue-row``, ``activations-missing``, ``activations-invalid``.
    """
    rules = read_red_rules(folder)
    if rules.random is None:
        raise BundleError(
            "rules-invalid",
            "rules.json of the reference data has no random draws; build the reference data anew.",
        )
    if rules.activations is None:
        models, listed = folder / MODELS_FOLDER, False
    else:
        models, listed = worker_data / rules.activations.removeprefix("/app/data/"), True
    paths = _model_files(models, listed=listed)
    catalogue = Catalogue(read_catalogue(folder / CATALOGUE_NAME))
    if len(catalogue) < rules.count:
        raise BundleError(
            "rules-invalid",
            f"rules.json asks for {rules.count:,} stimuli, but {CATALOGUE_NAME} has "
            f"{len(catalogue):,}; build the reference data anew.",
        )
    return RedReference(
        rules, catalogue, tuple(_activations(path, len(catalogue)) for path in paths)
    )


def rows_of(activations: Array, rows: npt.NDArray[np.intp], name: str) -> Matrix:
    """Read some rows of a model's activations.

    Parameters
    ----------
    activations : array, shape (n, d)
        Mapped into memory.
    rows : array of int, shape (k,)
        Sorted, so that the disk is read in one direction.
    name : str
        Of the model, for the error.

    Raises
    ------
    BundleError
        ``activations-invalid`` when a value is not finite.
    """
    values = activations[rows].astype(np.float64)
    if not np.isfinite(values).all():
        raise _bad_activations(name, "holds values that are not finite")
    return values


def _matrix(path: Path, models: int) -> Matrix:
    found = _load(path)
    if found.shape != (models, models):
        raise _invalid(
            path.name,
            f"has the shape {found.shape}, but the registry has {models:,} models",
        )
    if found.dtype != np.float64:
        raise _invalid(path.name, f"holds {found.dtype}, not float64")
    matrix = np.array(found)
    if not np.isfinite(matrix).all():
        raise _invalid(path.name, "holds values that are not finite")
    if np.abs(matrix - matrix.T).max() > ROUNDING:
        raise _invalid(path.name, "is not symmetric")
    return matrix


def _load(path: Path) -> Array:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else "is no array"
        raise BundleError(
            "matrix-unreadable",
            f"{path.name} of the reference data cannot be read ({what}). Build the reference "
            "data anew.",
        ) from None
    return found if isinstance(found, np.ndarray) else _not_an_array(path)


def _not_an_array(path: Path) -> Array:
    raise _invalid(path.name, "holds several arrays, not one")


def _model_files(folder: Path, *, listed: bool) -> list[Path]:
    """Return the arrays of the secret models, two or more, sorted by name."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".npy")
    except OSError as error:
        raise BundleError(
            "activations-missing",
            f"The activations' folder {folder.name} cannot be read ({error.strerror}). "
            + (
                "Put it where the rules say on the worker that runs this competition."
                if listed
                else "Build the reference data anew."
            ),
        ) from None
    if listed:
        _check_list(folder, paths)
    if len(paths) < 2:
        raise BundleError(
            "activations-missing",
            f"The activations' folder {folder.name} holds {len(paths)} arrays (*.npy); a score "
            "needs two models or more.",
        )
    return paths


def _check_list(folder: Path, paths: Sequence[Path]) -> None:
    """Compare a worker's folder with its own list: names and sizes, no checksums."""
    try:
        document = json.loads(read_regular_file(folder / MODELS_NAME, LARGEST_LIST))
        sizes = {entry["file"]: entry["size"] for entry in document["models"]}
    except UnusableFile as fault:
        raise _bad_activations(MODELS_NAME, str(fault)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _bad_activations(
            MODELS_NAME, 'is no object with "models", each with "file", "sha256" and "size"'
        ) from None
    found = {path.name: path.stat().st_size for path in paths}
    odd = sorted(name for name in sizes.keys() | found.keys() if sizes.get(name) != found.get(name))
    if odd:
        raise _bad_activations(
            str(odd[0]), f"is missing, not listed in {MODELS_NAME}, or of another size than there"
        )


def _activations(path: Path, stimuli: int) -> Array:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise _bad_activations(path.name, "is damaged, cut off or no array") from None
    if found.ndim != 2 or found.shape[0] != stimuli or not found.shape[1]:
        raise _bad_activations(
            path.name, f"has the shape {found.shape}, but the catalogue has {stimuli:,} stimuli"
        )
    if found.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
        raise _bad_activations(path.name, f"holds {found.dtype}, not float16 or float32")
    return np.asarray(found)


def _invalid(name: str, what: str) -> BundleError:
    return BundleError(
        "matrix-invalid", f"{name} of the reference data {what}. Build the reference data anew."
    )


def _bad_activations(name: str, what: str) -> BundleError:
    return BundleError(
        "activations-invalid",
        f"{name} of the secret models' activations {what}. Build the activations anew.",
    )
