"""What a score's standard error says: one interval, wherever it is shown."""

# Of the normal distribution: 95 % lie within as many standard errors.
STANDARD_ERRORS = 1.959963984540054


def interval_of(score: float, standard_error: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean similarity or dissimilarity, were the images drawn anew.

    Page, board and report call this with the board's two columns, so that all of them show
    the same numbers. The normal approximation, which the bootstrap's standard error of a
    mean over pairs asks for; close to 0 or 1, or with tens of images, it is rough.

    Parameters
    ----------
    score : float
        A mean of similarities (biased CKA), or one minus it: in [0, 1]. Not the number of
        models that the rule ``largest_set`` scores, which has no such error.
    standard_error : float
        Of that mean, at least 0.

    Returns
    -------
    float, float
        score -+ 1.96 standard errors, clipped to [0, 1]; it always holds the score.

    Raises
    ------
    ValueError
        A score outside of [0, 1], or a standard error that is negative or not finite.
    """
    # What rounding may add to a mean of similarities.
    if not -1e-9 <= score <= 1 + 1e-9:
        raise ValueError(f"the score is {score}, but must lie between 0 and 1")
    if not 0 <= standard_error < float("inf"):
        raise ValueError(f"the standard error is {standard_error}, but must be finite and >= 0")
    half = STANDARD_ERRORS * standard_error
    low, high = max(0.0, score - half), min(1.0, score + half)
    return min(low, score), max(high, score)
