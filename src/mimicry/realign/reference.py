"""Reference data of Blue and Red: matrices and activations, mapped into memory and checked.

Whatever is wrong here is the organiser's to mend. Sentences name files, never values.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
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
from mimicry.realign.rules import (
    THUMBNAILS_NAME,
    BlueRules,
    RedRules,
    read_blue_rules,
    read_red_rules,
)

REGISTRY_NAME = "registry.json"
CKA_NAME = "cka.npy"
CKA_UNBIASED_NAME = "cka_unbiased.npy"
REPLICATES_NAME = "replicates.npy"
CATALOGUE_NAME = "catalogue.jsonl"
MODELS_FOLDER = "models"
MODELS_NAME = "models.json"

LEAST_MODELS = 2
LARGEST_LIST = 1024 * 1024
# What rounding may add to a similarity, whose range is [0, 1].
ROUNDING = 1e-9
# The same for a model's similarity with itself.
DIAGONAL_ROUNDING = 1e-6

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
    thumbnails : Path or None
        The file of small pictures, where the rules have one. Not looked at here, since no
        score hangs on it.
    """

    rules: RedRules
    catalogue: Catalogue
    activations: tuple[Array, ...]
    thumbnails: Path | None = None


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
    rules, registry = read_blue_lists(folder)
    models = len(registry)
    _check_sums(folder, rules.checksums, (CKA_NAME, CKA_UNBIASED_NAME), _invalid)
    cka = _matrix(folder / CKA_NAME, models, least=0)
    # A cosine, and negative where two models have less in common than chance.
    unbiased = _matrix(folder / CKA_UNBIASED_NAME, models, least=-1)
    replicates = _load(folder / REPLICATES_NAME, _unreadable)
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
    rules, catalogue = read_red_lists(folder)
    if rules.activations is None:
        models, listed = folder / MODELS_FOLDER, False
    else:
        models, listed = worker_data / rules.activations.removeprefix("/app/data/"), True
    paths = _model_files(models, listed=listed)
    return RedReference(
        rules,
        catalogue,
        tuple(_activations(path, len(catalogue)) for path in paths),
        folder / THUMBNAILS_NAME if rules.thumbnails else None,
    )


def read_blue_lists(folder: Path) -> tuple[BlueRules, Registry]:
    """Read what a Blue reference says without its matrices; see `read_blue_reference`."""
    rules = read_blue_rules(folder)
    if rules.optimum is None:
        raise BundleError(
            "rules-invalid",
            "rules.json of the reference data has no optimum; search it and build the reference "
            "data anew.",
        )
    _check_sums(folder, rules.checksums, (REGISTRY_NAME,), _bad_registry)
    registry = read_blue_registry(folder / REGISTRY_NAME)
    if rules.count is not None and len(registry) < rules.count:
        raise _too_few(f"{rules.count:,} models", REGISTRY_NAME, len(registry))
    # What `read_blue_rules` cannot know, which reads one file.
    if rules.rule == "largest_set" and rules.optimum.upper_bound > len(registry):
        raise BundleError(
            "rules-invalid",
            f"rules.json of the reference data has an optimum above {len(registry):,}, the number "
            f"of models in {REGISTRY_NAME}; build the reference data anew.",
        )
    return rules, registry


def read_red_lists(folder: Path) -> tuple[RedRules, Catalogue]:
    """Read what a Red reference says without its activations; see `read_red_reference`."""
    rules = read_red_rules(folder)
    if rules.random is None:
        raise BundleError(
            "rules-invalid",
            "rules.json of the reference data has no random draws; build the reference data anew.",
        )
    _check_sums(folder, rules.checksums, (CATALOGUE_NAME,), _bad_catalogue)
    catalogue = Catalogue(read_catalogue(folder / CATALOGUE_NAME))
    # Of copies of one image, one may be named.
    different = len({one.sha256 for one in catalogue.stimuli})
    if different < rules.count:
        raise _too_few(f"{rules.count:,} different stimuli", CATALOGUE_NAME, different)
    return rules, catalogue


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


def _check_sums(
    folder: Path,
    checksums: Mapping[str, str],
    names: Sequence[str],
    fault: Callable[[str, str], BundleError],
) -> None:
    """Compare files with the SHA-256 that the rules give; of those without one nothing is known."""
    for name in names:
        if name not in checksums:
            continue
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            # Told by what reads it next.
            continue
        if found != checksums[name]:
            raise fault(name, "is not the file that rules.json was written with (its SHA-256)")


def _matrix(path: Path, models: int, *, least: float) -> Matrix:
    found = _load(path, _unreadable)
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
    if matrix.min() < least - ROUNDING or matrix.max() > 1 + ROUNDING:
        raise _invalid(path.name, f"holds values outside of {least} to 1")
    _check_diagonal(path.name, matrix)
    return matrix


def _check_diagonal(name: str, matrix: Matrix) -> None:
    """Refuse a model that is not like itself, unless it is like none: its features are constant."""
    own = matrix.diagonal()
    none = np.abs(matrix).max(axis=1) <= ROUNDING
    odd = np.flatnonzero(~none & (np.abs(own - 1) > DIAGONAL_ROUNDING))
    if odd.size:
        raise _invalid(
            name,
            f"has a similarity of model {odd[0]} with itself that is neither 1 nor that of a "
            "constant model, whose row is 0",
        )


def _load(path: Path, fault: Callable[[str, str], BundleError]) -> Array:
    """Map an array into memory; `fault` makes the error from the file's name and words."""
    try:
        # The product of a broken header's shape may overflow.
        with np.errstate(over="ignore"):
            found = np.load(path, mmap_mode="r", allow_pickle=False)
    # A broken header is read as Python, and fails in as many ways as that can.
    except Exception as error:
        known = isinstance(error, OSError) and error.strerror
        what = f"cannot be read ({known})" if known else "is damaged, cut off or no array"
        raise fault(path.name, what) from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise fault(path.name, "holds several arrays, not one")
    return found


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
    if len(paths) < LEAST_MODELS:
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
        sizes = {str(entry["file"]): entry["size"] for entry in document["models"]}
    except UnusableFile as fault:
        raise _bad_activations(MODELS_NAME, str(fault)) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _bad_activations(
            MODELS_NAME, 'is no object with "models", each with "file", "sha256" and "size"'
        ) from None
    found = {path.name: path.stat().st_size if path.is_file() else None for path in paths}
    odd = sorted(name for name in sizes.keys() | found.keys() if sizes.get(name) != found.get(name))
    if odd:
        raise _bad_activations(
            odd[0], f"is missing, not listed in {MODELS_NAME}, or of another size than there"
        )


def _activations(path: Path, stimuli: int) -> Array:
    found = _load(path, _bad_activations)
    if found.ndim != 2 or found.shape[0] != stimuli or not found.shape[1]:
        raise _bad_activations(
            path.name, f"has the shape {found.shape}, but the catalogue has {stimuli:,} stimuli"
        )
    if found.dtype not in (np.dtype(np.float16), np.dtype(np.float32)):
        raise _bad_activations(path.name, f"holds {found.dtype}, not float16 or float32")
    if not found.flags.c_contiguous:
        # Some rows of it would be read from all over the file.
        raise _bad_activations(path.name, "is stored column by column, not row by row")
    return np.asarray(found)


def _invalid(name: str, what: str) -> BundleError:
    return BundleError(
        "matrix-invalid", f"{name} of the reference data {what}. Build the reference data anew."
    )


def _unreadable(name: str, what: str) -> BundleError:
    return BundleError(
        "matrix-unreadable", f"{name} of the reference data {what}. Build the reference data anew."
    )


def _bad_registry(name: str, what: str) -> BundleError:
    return BundleError(
        "registry-invalid", f"{name} of the reference data {what}. Build the reference data anew."
    )


def _bad_catalogue(name: str, what: str) -> BundleError:
    return BundleError(
        "catalogue-unreadable",
        f"{name} of the reference data {what}. Build the reference data anew.",
    )


def _too_few(asked: str, name: str, there: int) -> BundleError:
    return BundleError(
        "rules-invalid",
        f"rules.json asks for {asked}, but {name} has {there:,}; build the reference data anew.",
    )


def _bad_activations(name: str, what: str) -> BundleError:
    return BundleError(
        "activations-invalid",
        f"{name} of the secret models' activations {what}. Build the activations anew.",
    )
