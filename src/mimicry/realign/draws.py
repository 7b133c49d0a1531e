"""How scores of several submissions move together when stimuli are drawn anew.

Blue's submissions are scored on the same stimuli: what moves one moves the other, and the
bootstrap replicates of the reference data show by how much. Red's choose stimuli of their
own: two of them share what both chose, and the rest is independent.

A choice made by search is no random draw. Its interval says how far the score moves with
stimuli of the same kind; it does not say what the same search would reach elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mimicry.realign.reference import BlueReference, RedReference, rows_of

Matrix = npt.NDArray[np.float64]
Rows = Sequence[tuple[int, ...]]


class Deviations(NamedTuple):
    """Scores of k submissions, each with a vector of what moves it.

    Attributes
    ----------
    values : array of float64, shape (k,)
        The scores.
    vectors : array of float64, shape (k, n)
        The length of a row is the score's standard error; the length of the difference
        of two rows is that of the difference of the two scores.
    """

    values: Matrix
    vectors: Matrix

    @property
    def standard_errors(self) -> Matrix:
        """Of the scores, shape (k,)."""
        lengths: Matrix = np.linalg.norm(self.vectors, axis=1)
        return lengths

    @property
    def difference_errors(self) -> Matrix:
        """Standard errors of the difference of every two scores, shape (k, k)."""
        products = self.vectors @ self.vectors.T
        own = products.diagonal()
        squares = np.clip(own[:, None] + own - 2.0 * products, 0.0, None)
        # Rounding alone moves a score from itself.
        np.fill_diagonal(squares, 0.0)
        errors: Matrix = np.sqrt(squares)
        return errors


class Counts(NamedTuple):
    """Scores of k submissions to the rule ``largest_set``, and under every replicate.

    Attributes
    ----------
    values : array of float64, shape (k,)
        The number of models, or 0.
    draws : array of float64, shape (k, b)
        The number of models where the replicate's least similarity of two of them
        reaches the threshold, else 0.
    """

    values: Matrix
    draws: Matrix


def blue_deviations(rows: Rows, reference: BlueReference) -> Deviations:
    """Return how scores of the rule ``mean_cka`` move over the bootstrap's replicates.

    Parameters
    ----------
    rows : sequence of tuple of int
        Of each submission, rows of the registry, each once.
    reference : BlueReference
        Matrices and b replicates.

    Returns
    -------
    Deviations
        Vectors of b values; their lengths are the column ``standard_error`` of
        `mimicry.realign.blue.score_models`.
    """
    sums = [np.add.reduceat(values, starts) for values, starts in _drawn(rows, reference)]
    pairs = [len(row) * (len(row) - 1) / 2 for row in rows]
    drawn = np.stack(sums, axis=1) / np.array(pairs)[:, None]
    values = np.array([_pairs_of(row, reference.cka).mean() for row in rows])
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    return Deviations(values, centred / np.sqrt(drawn.shape[1] - 1))


def blue_counts(rows: Rows, reference: BlueReference) -> Counts:
    """Return which sets stay above the threshold of ``largest_set`` in every replicate.

    Parameters
    ----------
    rows, reference
        As for `blue_deviations`; the rules have a threshold.
    """
    threshold = reference.rules.threshold
    assert threshold is not None
    sizes = np.array([len(row) for row in rows], dtype=np.float64)
    minima = [np.minimum.reduceat(values, starts) for values, starts in _drawn(rows, reference)]
    least = np.stack(minima, axis=1)
    now = np.array([_pairs_of(row, reference.cka).min() for row in rows])
    return Counts(
        np.where(now >= threshold, sizes, 0.0),
        np.where(least >= threshold, sizes[:, None], 0.0),
    )


def red_deviations(
    rows: Rows, reference: RedReference, done: Callable[[], object] = lambda: None
) -> Deviations:
    """Return how Red scores move with each stimulus of the catalogue.

    Parameters
    ----------
    rows : sequence of tuple of int
        Of each submission, rows of the catalogue, each once.
    reference : RedReference
        Activations of the secret models over n stimuli.
    done : callable
        Called after every submission.

    Returns
    -------
    Deviations
        Vectors over those stimuli that any of them chose, by
        `mimicry.similarity.mean_cka_influences`: a submission's own stimuli have its
        influences, divided by their number, the others 0. Their lengths are the column
        ``standard_error`` of `mimicry.realign.red.score_images`.

    Raises
    ------
    BundleError
        ``activations-invalid`` when a value is not finite.
    """
    from mimicry.similarity import mean_cka_influences

    chosen = [np.sort(np.asarray(row, dtype=np.intp)) for row in rows]
    every = np.unique(np.concatenate(chosen))
    values, vectors = np.empty(len(rows)), np.zeros((len(rows), every.size))
    for index, members in enumerate(chosen):
        found = mean_cka_influences(
            [
                rows_of(array, members, f"Array {number}")
                for number, array in enumerate(reference.activations)
            ]
        )
        values[index] = 1.0 - found.mean
        vectors[index, np.searchsorted(every, members)] = -found.influences / members.size
        done()
    return Deviations(values, vectors)


def _pairs_of(row: Sequence[int], matrix: Matrix) -> Matrix:
    one, other = _pairs(row)
    return matrix[one, other]


def _pairs(row: Sequence[int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    members = np.sort(np.asarray(row, dtype=np.intp))
    at = np.triu_indices(len(members), k=1)
    return members[at[0]], members[at[1]]


def _drawn(rows: Rows, reference: BlueReference) -> Iterator[tuple[Matrix, npt.NDArray[np.intp]]]:
    """Yield each replicate's values of the pairs of all submissions, and where each begins."""
    models = len(reference.registry)
    places = []
    for row in rows:
        one, other = _pairs(row)
        # The upper triangle row by row: row i begins behind i rows of m, m - 1, ... values.
        places.append(one * models - one * (one - 1) // 2 + (other - one))
    starts = np.cumsum([0, *(len(place) for place in places[:-1])])
    every = np.concatenate(places)
    for replicate in reference.replicates:
        yield replicate[every].astype(np.float64), starts
