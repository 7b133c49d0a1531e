"""Prints how good a head is, before anything is uploaded."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from backbones import load_module
from features import Extracted, Features
from heads import fit_head
from tables import Row
from validation import Head, Recall, grade_bundle, seen_crosses, unseen_crosses

from mimicry.errors import BundleError
from mimicry.hybrids.reference import check_gradable, parse_reference
from mimicry.hybrids.tasks import TASKS

# The anomaly head asks how unlike the subspecies an animal is, which needs no hybrid.
WITHOUT_HYBRIDS = "anomaly"
GROUPS = {"major": "signal hybrids", "minor": "non-signal hybrids", "mimic": "mimic hybrids"}
BASELINES = Path(__file__).resolve().parents[2] / "baselines"


def head_of(baseline: str, folder: Path, *, seed: int = 0) -> Head:
    """Return a baseline's head: fitted by `heads`, scored by the folder's own ``head.py``."""
    fit = partial(fit_head, baseline, seed=seed)
    score = load_module(folder / "head.py").score
    return Head(baseline, fit, score, needs_hybrids=baseline != WITHOUT_HYBRIDS)


def judge(
    baseline: str, folder: Path, features: Features, rows: Sequence[Row], *, seed: int = 0
) -> dict[str, Any]:
    """Print how a head does on held-out animals of the training table, and return it.

    Parameters
    ----------
    baseline : str
        ``BioCLIP``, ``DINO_SGD`` or ``anomaly``.
    folder : Path
        Its code.
    features, rows
        Of the training table.
    seed : int
        Of folds and head.

    Returns
    -------
    dict
        ``seen`` and ``unseen``, ready for JSON.

    Raises
    ------
    SubmissionError
        When there is too little to hold out.
    """
    head = head_of(baseline, folder, seed=seed)
    click.echo("hybrids found at 95 % true negatives, with 95 % intervals")
    seen = seen_crosses(head, features, rows, seed=seed)
    click.echo(f"  seen crosses: {seen.text()}")
    report: dict[str, Any] = {"seen": _figures(seen), "unseen": {}}
    other: Mapping[str, Recall | None] | None = None
    for cross, recall in unseen_crosses(head, features, rows, seed=seed).items():
        report["unseen"][cross] = None if recall is None else _figures(recall)
        if recall is not None:
            click.echo(f"  unseen cross {cross}: {recall.text()}")
            continue
        click.echo(
            f"  unseen cross {cross}: no figure. It is the only cross of the table, so without it "
            f"no hybrid is left, and the {baseline} head has nothing to learn from."
        )
        if other is None:
            anomaly = head_of(
                WITHOUT_HYBRIDS, BASELINES / f"{WITHOUT_HYBRIDS}_code_submission", seed=seed
            )
            other = unseen_crosses(anomaly, features, rows, seed=seed)
        found = other[cross]
        if found is not None:
            click.echo(f"    the {WITHOUT_HYBRIDS} head on these features: {found.text()}")
            report["unseen_by_anomaly_head"] = {cross: _figures(found)}
    return report


def judge_bundle(
    bundle: Path,
    folder: Path,
    weights: Mapping[str, npt.NDArray[np.generic]],
    extract: Callable[[Path, str], Extracted],
) -> dict[str, Any]:
    """Print how a fitted head does on a bundle's validation set, and return it.

    Parameters
    ----------
    bundle : Path
        Holds ``input_data/val.zip`` and ``reference_data/val.zip``.
    folder : Path
        The baseline's code.
    weights : mapping
        The fitted head.
    extract : callable
        From a zip of images and a name to their features.

    Raises
    ------
    BundleError
        When the reference data cannot be graded, or an image has no features.
    """
    source = bundle / "reference_data" / "val.zip"
    try:
        with zipfile.ZipFile(io.BytesIO(source.read_bytes())) as archive:
            reference = parse_reference(archive.read("val.csv"), "val.csv")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(
            "data-zip", f"{source} holds no val.csv ({error}); make the data anew."
        ) from error
    check_gradable(reference, TASKS["hybrid"].groups, "hybrid")
    images = bundle / "input_data" / "val.zip"
    extracted = extract(images, "val")
    missing = [name for name in reference.filenames if name not in extracted.names]
    if missing:
        raise BundleError(
            "data-names", f"{images} lacks {missing[0]}, which {source} names; make both anew."
        )
    indexes = [extracted.names[name] for name in reference.filenames]
    scores = load_module(folder / "head.py").score(extracted.features[indexes], weights)
    recalls, columns = grade_bundle(np.asarray(scores, dtype=np.float64), reference)
    click.echo(f"validation set of {len(scores):,} images, as the challenge grades it")
    for group, recall in recalls.items():
        click.echo(f"  {GROUPS[group]}: {recall.text()}")
    click.echo(f"  challenge score: {columns['challenge_score']:.3f}")
    return {"columns": columns} | {group: _figures(one) for group, one in recalls.items()}


def _figures(recall: Recall) -> dict[str, Any]:
    return {
        "recall": recall.share,
        "interval": list(recall.interval),
        "found": recall.found,
        "hybrids": recall.hybrids,
        "average_precision": recall.average_precision,
    }
