"""The head: one number from the features of one image.

`classifier.npz` holds the arrays `mean`, `scale` and `coef`, each of shape (features,), and
`intercept` of shape (): the decision function of a linear classifier, such as scikit-learn's
SGDClassifier, on standardised features. NumPy is enough to compute it.
"""

import numpy as np


def score(features, weights):
    """Return the distance to the separating plane: higher means more likely a hybrid.

    Parameters
    ----------
    features : array (images, features)
        What the backbone gives.
    weights : dict of arrays
        What `classifier.npz` holds.

    Returns
    -------
    array (images,)
        float64, without bounds. A sigmoid would round sure cases to the same 1.0, and only
        the order of the scores counts.
    """
    features = np.asarray(features, dtype=np.float64)
    standard = (features - weights["mean"]) / weights["scale"]
    # A sum instead of a matrix product: the same bits whatever the number of images.
    return (standard * weights["coef"]).sum(axis=1) + float(weights["intercept"])
