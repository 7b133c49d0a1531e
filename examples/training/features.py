"""Features of the training images, by the very code that a baseline predicts with.

A baseline's own ``backbone.py`` makes the network, as an entry of a registry of one model,
and `mimicry.activations` keeps what it computes: what was interrupted goes on, and a second
run computes nothing.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from backbones import Backbone
from tables import Row, find_image, places

from mimicry.activations import Settings, extract_activations, open_store
from mimicry.activations.entries import ModelEntry
from mimicry.activations.registry import write_registry
from mimicry.codabench.scratch import writable
from mimicry.errors import SubmissionError
from mimicry.files import sha256_file, write_atomically

Features = npt.NDArray[np.float32]

REGISTRY = "registry.json"
CODE = "backbone.py"
MISSING_SHOWN = 5


class Extracted(NamedTuple):
    """The features of a folder or zip of images.

    Attributes
    ----------
    features : array of float32, shape (n, d)
        One row an image.
    names : dict of str to int
        Path of an image inside the folder or zip -> its row.
    reused : bool
        Whether all of it was there from an earlier run.
    """

    features: Features
    names: dict[str, int]
    reused: bool


def extract_features(
    backbone: Backbone, images: Path, dataset: str, work: Path, *, settings: Settings | None = None
) -> Extracted:
    """Compute what a backbone makes of all images of a folder or zip, or read it back.

    Parameters
    ----------
    backbone : Backbone
        Its code, its weights and how images are prepared.
    images : Path
        A folder or zip.
    dataset : str
        A name for these images.
    work : Path
        Where the features are kept.
    settings : Settings, optional
        Device, threads and the size of batches.

    Raises
    ------
    BundleError
        ``work-unwritable``, and what `mimicry.activations.extract_activations` raises, for
        the images among others.
    """
    # Everything that the numbers depend on, so that each store holds one cache. Where the
    # folders lie is no part of it: two baselines on one backbone share its features.
    code = backbone.code / CODE
    parts = [sha256_file(path) for path in (code, *backbone.needed())]
    document = [backbone.name, repr(backbone.preprocess), *parts]
    key = hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]
    place = (work / f"{backbone.name}-{key}").resolve()
    source = code.read_bytes()
    with writable(place, "work-unwritable", "free some space, or choose another --work"):
        place.mkdir(parents=True, exist_ok=True)
        # A copy, since a registry names files beside itself alone.
        write_atomically(place / CODE, source)
        _link(place / "backbone", backbone.weights)
        write_registry(place / REGISTRY, [_entry(backbone, place / "backbone")])
    extraction = extract_activations(
        place / REGISTRY, [(dataset, images)], place / "features", settings=settings
    )
    extraction.check()
    (opened,) = open_store(extraction.store_set)
    names = {one.image_identifier: index for index, one in enumerate(opened.stimuli)}
    reused = extraction.outcomes[0].state == "reused"
    return Extracted(np.asarray(opened, dtype=np.float32), names, reused)


def rows_with_images(
    rows: Sequence[Row],
    images: Path,
    *,
    skip_missing: bool = False,
    report: Callable[[str], None] = print,
) -> tuple[Row, ...]:
    """Return the rows whose images are there; see `tables.find_image`.

    Parameters
    ----------
    rows : sequence of Row
        The training table.
    images : Path
        The folder of its images.
    skip_missing : bool
        Leave rows without an image out, instead of refusing them.
    report : callable
        Told of what is left out.

    Raises
    ------
    SubmissionError
        ``images-missing``, with the first names.
    """
    known = tuple(row for row in rows if find_image(images, row) is not None)
    there = set(known)
    missing = [row.filename for row in rows if row not in there]
    if missing and not (skip_missing and known):
        raise _missing(images, missing, len(rows))
    if missing:
        report(f"without {len(missing):,} images that are missing, the first {missing[0]}")
    return known


def features_of_rows(extracted: Extracted, rows: Sequence[Row], images: Path) -> Features:
    """Return the features of rows, in their order, shape (rows, d).

    Raises
    ------
    SubmissionError
        ``images-missing`` when there are none for a row's image.
    """
    indexes: list[int] = []
    for row in rows:
        place = next((name for name in places(row) if name in extracted.names), None)
        if place is None:
            # A file system that ignores case found it under another name.
            raise _missing(images, [row.filename], len(rows))
        indexes.append(extracted.names[place])
    return extracted.features[indexes]


def _missing(images: Path, names: Sequence[str], count: int) -> SubmissionError:
    more = f" and {len(names) - MISSING_SHOWN:,} more" if len(names) > MISSING_SHOWN else ""
    return SubmissionError(
        "images-missing",
        f"{images} lacks {len(names):,} of the table's {count:,} images: "
        f"{', '.join(names[:MISSING_SHOWN])}{more}. Get them with --download, name the folder "
        "that holds them with --images, or leave them out with --skip-missing.",
    )


def _link(link: Path, folder: Path) -> None:
    """Let a name stand for the folder of the weights, whatever it stood for before."""
    fresh = link.with_name(f".{link.name}.{secrets.token_hex(6)}.tmp")
    fresh.symlink_to(folder.resolve(), target_is_directory=True)
    fresh.replace(link)


def _entry(backbone: Backbone, folder: Path) -> ModelEntry:
    return ModelEntry(
        model_name=backbone.name,
        source="custom",
        # For the entry point, the file in its folder; the key has the fingerprint.
        weights=backbone.weights_file,
        layer="output",
        pooling="flatten",
        preprocess=backbone.preprocess,
        model_parameters={"folder": str(folder), "size": backbone.preprocess.crop},
        entry_point=f"{CODE}:tower",
    )
