"""The columns of the two boards, with the titles of ``competitions/*.yaml``."""

from typing import NamedTuple


class Column(NamedTuple):
    """A number that a scoring program writes: its key in ``scores.json``, what it means."""

    key: str
    title: str
    explanation: str


_ERROR = "One standard error of the mean similarity, were the images drawn anew; lower is surer."

BLUE_COLUMNS = (
    Column(
        "score",
        "Mean similarity",
        "Mean similarity (linear CKA) of every two of the models; or, where the largest set is "
        "asked for, the number of models, 0 if two of them are less alike than the threshold.",
    ),
    Column(
        "mean_cka_unbiased",
        "Mean similarity, unbiased",
        "Mean similarity by the unbiased estimate, about 0 for unrelated models.",
    ),
    Column("minimum_pair", "Least similar pair", "Similarity of the two models least alike."),
    Column("standard_error", "Standard error", _ERROR),
    Column(
        "share_of_optimum",
        "Share of the optimum",
        "Score divided by what no set can exceed; 1 is as good as can be.",
    ),
)
RED_COLUMNS = (
    Column(
        "score",
        "Dissimilarity",
        "1 - mean similarity (linear CKA) of every two of the hidden models on the stimuli.",
    ),
    Column("unbiased_score", "Dissimilarity, unbiased", "The same by the unbiased estimate."),
    Column("standard_error", "Standard error", _ERROR),
    Column(
        "margin_over_random",
        "Margin over random",
        "Score minus the mean score of random draws of as many stimuli; 0 is chance.",
    ),
    Column(
        "class_entropy",
        "Class entropy in bits",
        "How evenly the stimuli spread over classes; 0 if all are of one class.",
    ),
)
