"""The score of a Blue submission, from cached matrices: no model runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mimicry.errors import BundleError
from mimicry.realign.reference import REPLICATES_NAME, BlueReference
from mimicry.realign.registered import check_models
from mimicry.realign.submissions import Faults, read_blue, refuse_wrong_team

# By how much a score may exceed the bound that a search proved, for rounding.
SLACK = 1e-6
# What float32 may add to a replicate.
REPLICATE_ROUNDING = 1e-5


def chosen_models(
    document: Mapping[str, Any], shown: str, reference: BlueReference
) -> tuple[int, ...]:
    """Return the rows of the registry that a Blue submission names.

    Parameters
    ----------
    document : mapping
        The submission, as `mimicry.realign.documents.submission_object` returns it.
    shown : str
        What sentences call it.
    reference : BlueReference
        Registry and rules.

    Raises
    ------
    SubmissionError
        ``wrong-team``, else all faults at once:
        those of `mimicry.realign.submissions.read_blue` and
        `mimicry.realign.registered.check_models`.
    """
    refuse_wrong_team(document, "blue", shown)
    faults = Faults()
    submission = read_blue(document, faults)
    rows = check_models(submission, reference.registry, reference.rules.count, faults)
    faults.refuse(shown)
    return rows


def score_models(rows: tuple[int, ...], reference: BlueReference) -> dict[str, float]:
    """Return every column of the Blue board for a set of models.

    Parameters
    ----------
    rows : tuple of int, length k >= 2
        Rows of the registry, each once; their order does not matter.
    reference : BlueReference
        Matrices, bootstrap replicates, rules.

    Returns
    -------
    dict of str to float
        ``score``: for the rule ``mean_cka`` the mean biased linear CKA over the
        k (k - 1) / 2 pairs, in [0, 1]; for ``largest_set`` k if the least of them reaches
        the threshold (equality does), else 0. Higher is better.
        ``mean_cka_unbiased``: the same mean of the unbiased estimate, at most 1, and
        below 0 where models have less in common than chance.
        ``minimum_pair``: the least biased CKA, in [0, 1].
        ``standard_error``: standard deviation (n - 1) over the replicates of the mean
        over the set's pairs; at least 0.
        ``share_of_optimum``: score / the optimum's upper bound, in [0, 1].

    Raises
    ------
    BundleError
        ``matrix-invalid`` when a replicate is not finite or outside of [0, 1],
        ``optimum-too-low`` when the score exceeds the upper bound in the rules.
    """
    members = np.sort(np.asarray(rows, dtype=np.intp))
    at = np.triu_indices(len(members), k=1)
    one, other = members[at[0]], members[at[1]]
    pairs = reference.cka[one, other]
    mean, least = float(pairs.mean()), float(pairs.min())
    rules = reference.rules
    if rules.rule == "mean_cka":
        score = mean
    else:
        assert rules.threshold is not None
        score = float(len(members)) if least >= rules.threshold else 0.0
    assert rules.optimum is not None
    if score > rules.optimum.upper_bound + SLACK:
        raise BundleError(
            "optimum-too-low",
            "This submission scores higher than the optimum in rules.json allows, so that optimum "
            "is not of these matrices. Search it again and build the reference data anew.",
        )
    return {
        "score": score,
        "mean_cka_unbiased": float(reference.cka_unbiased[one, other].mean()),
        "minimum_pair": least,
        "standard_error": _standard_error(reference, one, other),
        "share_of_optimum": min(1.0, max(0.0, score / rules.optimum.upper_bound)),
    }


def _standard_error(
    reference: BlueReference, one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]
) -> float:
    """Return the bootstrap's standard error of the mean over pairs (one < other)."""
    models = len(reference.registry)
    # The upper triangle row by row: row i begins behind i rows of m, m - 1, ... values.
    places = one * models - one * (one - 1) // 2 + (other - one)
    # Rows apart, so that a large file is read in one direction.
    drawn = np.array([row[places] for row in reference.replicates], dtype=np.float64)
    if not np.isfinite(drawn).all():
        raise _bad_replicates("values that are not finite")
    if drawn.min() < -REPLICATE_ROUNDING or drawn.max() > 1 + REPLICATE_ROUNDING:
        raise _bad_replicates("values outside of 0 to 1")
    return float(drawn.mean(axis=1).std(ddof=1))


def _bad_replicates(what: str) -> BundleError:
    return BundleError(
        "matrix-invalid",
        f"{REPLICATES_NAME} of the reference data holds {what}. Build the reference data anew.",
    )
