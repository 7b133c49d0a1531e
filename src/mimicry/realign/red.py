"""The score of a Red submission, from cached activations: no model runs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mimicry.realign.catalogue import check_images, class_entropy
from mimicry.realign.reference import RedReference, rows_of
from mimicry.realign.submissions import Faults, read_red, refuse_wrong_team


def chosen_images(
    document: Mapping[str, Any], shown: str, reference: RedReference
) -> tuple[int, ...]:
    """Return the rows of the catalogue that a Red submission names.

    Parameters
    ----------
    document : mapping
        The submission, as `mimicry.realign.documents.submission_object` returns it.
    shown : str
        What sentences call it.
    reference : RedReference
        Catalogue and rules.

    Raises
    ------
    SubmissionError
        ``wrong-team``, else all faults at once:
        those of `mimicry.realign.submissions.read_red` and
        `mimicry.realign.catalogue.check_images`.
    """
    refuse_wrong_team(document, "red", shown)
    faults = Faults()
    submission = read_red(document, faults)
    rows = check_images(submission, reference.catalogue, reference.rules.count, faults)
    faults.refuse(shown)
    return rows


def score_images(rows: tuple[int, ...], reference: RedReference) -> dict[str, float]:
    """Return every column of the Red board for a set of stimuli.

    Parameters
    ----------
    rows : tuple of int, length k >= 4
        Rows of the catalogue, each once; their order does not matter.
    reference : RedReference
        Activations of m >= 2 secret models, rules, catalogue.

    Returns
    -------
    dict of str to float
        ``score``: 1 - the mean biased linear CKA over the m (m - 1) / 2 pairs of models,
        each from the k stimuli alone; in [0, 1], higher is better.
        ``unbiased_score``: the same of the unbiased estimate; above 1 where models have
        less in common than chance.
        ``standard_error``: of the mean biased CKA, were the stimuli drawn anew, as
        `mimicry.similarity.mean_cka_standard_error` has it; at least 0.
        ``margin_over_random``: score - mean score of random draws.
        ``class_entropy``: of the stimuli's classes, in bits.

    Raises
    ------
    BundleError
        ``activations-invalid`` when a value is not finite.
    """
    from mimicry.similarity import mean_cka

    members = np.sort(np.asarray(rows, dtype=np.intp))
    found = mean_cka(
        [
            rows_of(array, members, f"Array {number}")
            for number, array in enumerate(reference.activations)
        ]
    )
    score = 1.0 - found.biased
    assert reference.rules.random is not None
    stimuli = reference.catalogue.stimuli
    return {
        "score": score,
        "unbiased_score": 1.0 - found.unbiased,
        "standard_error": found.biased_standard_error,
        "margin_over_random": score - reference.rules.random.mean,
        "class_entropy": class_entropy(stimuli[row].class_name for row in members.tolist()),
    }
