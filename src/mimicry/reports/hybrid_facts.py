"""What the results page of the hybrids' tasks shows, as plain values."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

Point: TypeAlias = tuple[float, float]


class Costs(NamedTuple):
    """What the model's run cost; None where it is not known.

    Attributes
    ----------
    seconds : float or None
        The whole of ingestion.
    load_seconds, predict_seconds : float or None
        From the start of the model's process until it had loaded; from then to its last score.
    time_limit : float or None
        The phase's, in seconds.
    peak_memory : int or None
        Largest resident memory of the model's process, in bytes.
    batch_size : int or None
        Images a call.
    """

    seconds: float | None = None
    load_seconds: float | None = None
    predict_seconds: float | None = None
    time_limit: float | None = None
    peak_memory: int | None = None
    batch_size: int | None = None


class Submitted(NamedTuple):
    """What is known of a submission without any label.

    Attributes
    ----------
    images : int
        How many were scored.
    costs : Costs
        Of its run.
    sha256 : str
        Of its predictions file, in hexadecimal digits.
    versions : sequence of (str, str)
        What it ran with.
    replaced : sequence of str
        What served in the place of exact versions that it asked for; any text.
    """

    images: int
    costs: Costs
    sha256: str
    versions: Sequence[tuple[str, str]] = ()
    replaced: Sequence[str] = ()


class Found(NamedTuple):
    """How many hybrids of a group were found.

    Attributes
    ----------
    name, role : str
        The group's, for people and for its colour (``signal``, ``non-signal``, ``mimic``).
    found, hybrids, images : int
        Hybrids found, hybrids, images of the group.
    recall, low, high : float
        The share found and its 95 % interval, given the threshold.
    score_with_one_more : float or None
        The task's score if one hybrid more were found; None where all are.
    """

    name: str
    role: str
    found: int
    hybrids: int
    images: int
    recall: float
    low: float
    high: float
    score_with_one_more: float | None


class Ranking(NamedTuple):
    """A group's ranking, as coarse as it may be shown.

    Attributes
    ----------
    name, role : str
        As in `Found`.
    average_precision : float
        The board's column: of the exact ranking.
    roc, precision_recall : sequence of (float, float)
        Points of the curves, from the highest scores to the lowest: (share of non-hybrids,
        share of hybrids) called hybrids, and (recall, precision). Empty where nothing may
        be shown.
    roc_mark, precision_recall_mark : (float, float) or None
        The board's recall at the share of false alarms that the rule allows, and with the
        precision that this share would mean; None where no hybrid is found.
    hybrids, non_hybrids : sequence of float
        The share of each in equal stretches of the ranking, lowest scores first.
    """

    name: str
    role: str
    average_precision: float
    roc: Sequence[Point] = ()
    precision_recall: Sequence[Point] = ()
    roc_mark: Point | None = None
    precision_recall_mark: Point | None = None
    hybrids: Sequence[float] = ()
    non_hybrids: Sequence[float] = ()


class ScoreFacts(NamedTuple):
    """What the scores look like, labels aside.

    Attributes
    ----------
    images, distinct, tied : int
        How many there are, how many different ones, how many that another image has too.
    quartiles : (float, float, float)
        Of all scores; each is one of them.
    """

    images: int
    distinct: int
    tied: int
    quartiles: tuple[float, float, float]


class HybridDetails(NamedTuple):
    """What the page shows beyond the board's columns where the phase's rules allow it.

    Attributes
    ----------
    low, high : float
        The 95 % interval of the task's score, in hundredths.
    found : sequence of Found
        Every group.
    rankings : sequence of Ranking
        The same groups.
    scores : ScoreFacts
        Of all images.
    """

    low: float
    high: float
    found: Sequence[Found]
    rankings: Sequence[Ranking]
    scores: ScoreFacts
