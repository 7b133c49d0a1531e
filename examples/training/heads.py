"""The three baselines' heads: what each learns from the features of the training images.

All three get the same numbers and differ in the question that they ask of them:

- BioCLIP: is this like the hybrids that were seen, and not like the pure animals?
  (logistic regression on the direction of the feature vector)
- DINO_SGD: the same, by stochastic gradient descent on standardised features
- anomaly: is this unlike every subspecies, or like the hybrids that were seen?
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import NearestNeighbors
from validation import deal

from mimicry.errors import SubmissionError

Array: TypeAlias = npt.NDArray[np.float64]
Kinds: TypeAlias = npt.NDArray[np.int64]
Arrays: TypeAlias = dict[str, Array]
Weights: TypeAlias = dict[str, npt.NDArray[np.float32]]

HYBRID = -1
FOLDS = 5
# Chosen on the demo's training and validation sets; docs/baselines.md has the figures.
SHRINKAGE = 0.3
NEAREST = 5
STRENGTH = 1.0
SGD_PENALTY = 1e-4
OPINION_FROM = 0.5
# Keeps a feature that never changes from being divided by zero.
TINY = 1e-6


def fit_head(
    name: str, features: npt.NDArray[np.floating], subspecies: Kinds, *, seed: int = 0
) -> Weights:
    """Fit a baseline's head.

    The same arguments give the same arrays on the same machine.

    Parameters
    ----------
    name : str
        ``BioCLIP``, ``DINO_SGD`` or ``anomaly``.
    features : array of float, shape (n, d)
        One row an animal.
    subspecies : array of int64, shape (n,)
        Number of the subspecies, -1 for a hybrid.
    seed : int
        Decides the order in which animals are shown and which are held out together.

    Returns
    -------
    dict of str to array of float32
        What ``score`` of the baseline's ``head.py`` needs. The anomaly head does without
        hybrids, too: it is then the distance to the subspecies alone.

    Raises
    ------
    SubmissionError
        ``head-data`` when there are too few hybrids or pure animals, or a feature is not
        finite.
    ValueError
        The name is unknown or the shapes do not match.
    """
    if name not in HEADS:
        raise ValueError(f"no head is called {name!r}; there are {', '.join(HEADS)}")
    values = np.asarray(features, dtype=np.float64)
    kinds = np.asarray(subspecies, dtype=np.int64)
    if values.ndim != 2 or kinds.shape != (len(values),):
        raise ValueError(f"features {values.shape} and subspecies {kinds.shape} do not match")
    if not np.isfinite(values).all():
        raise SubmissionError(
            "head-data",
            "Some features are not finite numbers; check the backbone's weights and "
            "extract the features anew.",
        )
    arrays = HEADS[name](values, kinds, seed)
    # Single precision is plenty and hides how a machine's linear algebra rounds.
    return {key: np.asarray(value, dtype=np.float32) for key, value in arrays.items()}


def _bioclip(features: Array, kinds: Kinds, seed: int) -> Arrays:
    _check_counts(kinds, hybrids=2)
    coefficients, intercept = _logistic(features, kinds)
    width = features.shape[1]
    return {
        "mean": np.zeros(width),
        "scale": np.ones(width),
        "coef": coefficients,
        "intercept": np.asarray(intercept),
    }


def _dino_sgd(features: Array, kinds: Kinds, seed: int) -> Arrays:
    _check_counts(kinds, hybrids=2)
    mean, scale = _mean_and_scale(features)
    classifier = SGDClassifier(
        loss="log_loss",
        alpha=SGD_PENALTY,
        class_weight="balanced",
        # The mean over all steps moves less with the order of the animals than the last one.
        average=True,
        max_iter=2000,
        tol=1e-4,
        random_state=seed,
    )
    classifier.fit((features - mean) / scale, kinds == HYBRID)
    return {
        "mean": mean,
        "scale": scale,
        "coef": classifier.coef_[0],
        "intercept": classifier.intercept_[0],
    }


def _anomaly(features: Array, kinds: Kinds, seed: int) -> Arrays:
    _check_counts(kinds, hybrids=0)
    pure = kinds != HYBRID
    features = _directions(features)
    # Dealt within each kind: of three animals, two are always left to learn from.
    folds = deal(kinds.astype(str), FOLDS, seed)
    held_out = _held_out(features, kinds, folds, _fit_known, _distance)
    middle, unit = _middle_and_unit(held_out[pure])
    width = features.shape[1]
    arrays = _fit_known(features, kinds) | {
        "strangeness_scale": np.asarray(1 / unit),
        "strangeness_shift": np.asarray(-middle / unit),
        "coef": np.zeros(width),
        "intercept": np.asarray(0.0),
        "opinion_from": np.asarray(OPINION_FROM),
    }
    if np.count_nonzero(~pure) >= 2:
        held_out = _held_out(features, kinds, folds, _fit_opinion, _opinion)
        middle, unit = _middle_and_unit(held_out[pure])
        opinion = _fit_opinion(features, kinds)
        arrays["coef"] = opinion["coef"] / unit
        arrays["intercept"] = (opinion["intercept"] - middle) / unit
    return arrays


HEADS: Mapping[str, Callable[[Array, Kinds, int], Arrays]] = {
    "BioCLIP": _bioclip,
    "DINO_SGD": _dino_sgd,
    "anomaly": _anomaly,
}


def _fit_known(features: Array, kinds: Kinds) -> Arrays:
    """Return the axes that tell the subspecies apart, and where the pure animals lie on them.

    Along those axes the animals of one subspecies scatter little and equally, so that one
    plain distance is fair to all of them; dirt, damage and pose lie mostly elsewhere.
    """
    names, counts = np.unique(kinds[kinds != HYBRID], return_counts=True)
    # One animal says nothing about how its subspecies scatters.
    names, counts = names[counts > 1], counts[counts > 1]
    mean = features[kinds != HYBRID].mean(axis=0)
    scale = features[kinds != HYBRID].std(axis=0) + TINY
    standard = (features - mean) / scale
    several = np.isin(kinds, names)
    # Between equal weights and those of a training set that one subspecies rules.
    priors = np.sqrt(counts) / np.sqrt(counts).sum()
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE, priors=priors)
    axes = analysis.fit(standard[several], kinds[several]).scalings_[:, : len(names) - 1].T
    # An axis and its mirror image are the same axis: settle on one.
    strongest = np.argmax(np.abs(axes), axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), strongest])[:, None]
    known = standard[kinds != HYBRID] @ axes.T
    nearest = np.asarray(min(NEAREST, len(known)))
    return {"mean": mean, "axes": axes / scale, "known": known, "nearest": nearest}


def _distance(features: Array, arrays: Arrays) -> Array:
    positions = (features - arrays["mean"]) @ arrays["axes"].T
    tree = NearestNeighbors(n_neighbors=int(arrays["nearest"])).fit(arrays["known"])
    mean: Array = tree.kneighbors(positions)[0].mean(axis=1)
    return mean


def _fit_opinion(features: Array, kinds: Kinds) -> Arrays:
    coefficients, intercept = _logistic(features, kinds)
    return {"coef": coefficients, "intercept": np.asarray(intercept)}


def _opinion(features: Array, arrays: Arrays) -> Array:
    opinion: Array = features @ arrays["coef"] + arrays["intercept"]
    return opinion


def _logistic(features: Array, kinds: Kinds) -> tuple[Array, float]:
    classifier = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000)
    classifier.fit(features, kinds == HYBRID)
    return classifier.coef_[0], float(classifier.intercept_[0])


def _directions(features: Array) -> Array:
    lengths = np.sqrt((features**2).sum(axis=1, keepdims=True))
    directions: Array = features / np.maximum(lengths, 1e-12)
    return directions


def _mean_and_scale(features: Array) -> tuple[Array, Array]:
    return features.mean(axis=0), features.std(axis=0) + TINY


def _held_out(
    features: Array,
    kinds: Kinds,
    folds: Kinds,
    fit: Callable[[Array, Kinds], Arrays],
    score: Callable[[Array, Arrays], Array],
) -> Array:
    """Return each animal's score by a fit that did not see it."""
    scores = np.empty(len(kinds))
    for fold in range(FOLDS):
        away = folds == fold
        scores[away] = score(features[away], fit(features[~away], kinds[~away]))
    return scores


def _middle_and_unit(scores: Array) -> tuple[float, float]:
    """Return the median of pure animals' scores and how far above it their top 5 % begin."""
    middle, top = np.quantile(scores, [0.5, 0.95])
    return float(middle), max(float(top - middle), 1e-12)


def _check_counts(kinds: Kinds, *, hybrids: int) -> None:
    """Refuse a training set from which nothing can be learnt."""
    _, counts = np.unique(kinds[kinds != HYBRID], return_counts=True)
    known, found = np.count_nonzero(counts >= 3), np.count_nonzero(kinds == HYBRID)
    if found < hybrids or known < 2:
        raise SubmissionError(
            "head-data",
            f"There are {found} hybrids and {known} subspecies of three animals or more; a head "
            f"needs {hybrids} hybrids and two such subspecies at least. Add images of them.",
        )
