"""What a search found, as a team's submission."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mimicry.activations.entries import ModelEntry
from mimicry.activations.stimuli import Stimulus
from mimicry.realign.search.blue_results import BlueResult
from mimicry.realign.search.red import RedResult

_BLUE = {
    "mean_cka": "Greedy sets of models from every start, improved by swaps, then branch and bound "
    "over the matrix of pairwise linear CKA.",
    "largest_set": "Maximum clique of the models whose pairwise linear CKA reaches the threshold, "
    "by branch and bound with colouring.",
}
_RED = (
    "Descents by exact swaps of stimuli on the mean pairwise linear CKA of the proxy models, from "
    "random sets, the best single class and shaken best sets."
)


def blue_submission(
    entries: Sequence[ModelEntry],
    found: BlueResult,
    *,
    count: int | None = None,
    threshold: float | None = None,
    team_name: str | None = None,
) -> dict[str, Any]:
    """Return the Blue submission for a set of models.

    Parameters
    ----------
    entries : sequence of ModelEntry
        Row i of the matrix is of entry i.
    found : BlueResult
        From `best_models` with `count` or `largest_set` with `threshold`.
    count, threshold : int or float, optional
        Which of them is given tells the rule.
    team_name : str, optional
        As the team wants to be called.

    Returns
    -------
    dict
        ``metadata.predicted_score`` is the score on the matrix that was searched; nothing
        tells of the time the search took.
    """
    rule = "mean_cka" if threshold is None else "largest_set"
    metadata: dict[str, Any] = {
        "rule": rule,
        "predicted_score": found.value,
        "upper_bound": found.upper_bound,
        "proved": found.proved,
        "models_considered": len(entries),
    }
    metadata |= {"threshold": threshold} if threshold is not None else {"count": count}
    models = [
        {"model_name": entries[one].model_name, "layer_name": entries[one].layer}
        for one in found.members
    ]
    return _named(team_name) | {
        "models": models,
        "methodology": _BLUE[rule],
        "metadata": metadata,
    }


def red_submission(
    stimuli: Sequence[Stimulus],
    found: RedResult,
    proxy_models: Sequence[str],
    *,
    team_name: str | None = None,
) -> dict[str, Any]:
    """Return the Red submission for some stimuli.

    Parameters
    ----------
    stimuli : sequence of Stimulus
        The catalogue in the order of the activations' rows.
    found : RedResult
        Members are rows.
    proxy_models : sequence of str
        Names of the models the search looked at.
    team_name : str, optional
        As the team wants to be called.

    Returns
    -------
    dict
        ``metadata.predicted_score`` is 1 - mean CKA of the proxy models, not of the
        secret ones.
    """
    chosen = [stimuli[one] for one in found.members]
    return _named(team_name) | {
        "differentiating_images": [
            {"dataset_name": one.dataset_name, "image_identifier": one.image_identifier}
            for one in chosen
        ],
        "methodology": _RED,
        "metadata": {
            "n_images": len(chosen),
            "n_candidates": len(stimuli),
            "predicted_mean_cka": found.value,
            "predicted_score": found.score,
            "proxy_models": list(proxy_models),
        },
    }


def submission_text(document: Mapping[str, Any]) -> str:
    """Return a submission as the text of a file."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _named(team_name: str | None) -> dict[str, Any]:
    return {} if team_name is None else {"team_name": team_name}
