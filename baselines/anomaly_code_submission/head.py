"""Anomaly head: unlike every animal of a known subspecies, or like the hybrids that were seen.

A hybrid of parents that no training set showed is like no known hybrid; but it is also
unlike every pure animal. So the score is the sum of two parts, both in units of pure
animals that were held out: 0 is their median, 1 is where their top 5 % begin.

1. Strangeness: the mean distance to the nearest known animals, along the axes that tell
   the subspecies apart.
2. Opinion: a linear classifier, trained on the hybrids that there are. It may only raise
   the score, and does so from half a unit on: that an animal is unlike the known hybrids
   does not make it pure.
"""

import numpy as np


def score(features, weights):
    """Return one number per image; higher means more likely a hybrid.

    Parameters
    ----------
    features : array (images, features)
        What the backbone gives.
    weights : dict of arrays
        What `classifier.npz` holds.

    Returns
    -------
    array (images,)
        float64, without bounds.
    """
    features = np.asarray(features, dtype=np.float64)
    strangeness = distance(features, weights) * weights["strangeness_scale"]
    strangeness = strangeness + weights["strangeness_shift"]
    # Sums row by row instead of a matrix product: the same bits whatever the batch.
    opinion = (directions(features) * weights["coef"]).sum(axis=1) + weights["intercept"]
    return strangeness + np.maximum(opinion - weights["opinion_from"], 0.0)


def distance(features, weights):
    """Return the mean distance of each image to its nearest known animals."""
    centred = directions(features) - weights["mean"]
    position = np.stack([(centred * axis).sum(axis=1) for axis in weights["axes"]], axis=1)
    known = np.asarray(weights["known"], dtype=np.float64)
    nearest = int(weights["nearest"])
    # Image by image, since all differences at once would fill the memory.
    far = [np.sqrt(((one - known) ** 2).sum(axis=1)) for one in position]
    return np.array([np.sort(one)[:nearest].mean() for one in far])


def directions(features):
    """Return feature vectors of length 1: what is left out says more of light than of wings."""
    length = np.sqrt((features**2).sum(axis=1, keepdims=True))
    return features / np.maximum(length, 1e-12)
