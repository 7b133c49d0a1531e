"""The mean CKA of chosen stimuli, and what it would be with one less or one more, exactly.

With kernels K_i over the n chosen stimuli, row sums r_i and totals s_i,

    HSIC_ij = <K_i, K_j> - (2 / n) r_i . r_j + s_i s_j / n^2,

and a stimulus that comes or goes changes each term by sums over its own kernel values.
So kernels are never centred, and no step rebuilds a matrix.

These sums lose what is small beside what they held since they were made anew: a gross
outlier that has left, or an offset that the chosen stimuli share. So the largest <K, K> is
kept, and where a model's HSIC is not well above its rounding, it is `lost`: features are
then centred on the chosen stimuli, and the sums made anew.
"""

from typing import NamedTuple

import numpy as np

from mimicry.realign.search.common import Floats, Indices
from mimicry.realign.search.red_kernels import Kernels, pair_order

# Below this share of the largest <K, K>, a model's HSIC has few digits left.
_LOST = {8: 1e-9, 4: 1e-5}
# Below this share of it, HSIC is rounding altogether.
_CONSTANT = 1e-14


class Totals(NamedTuple):
    """What is known of k sets of stimuli, pairs of models in `pair_order`.

    Attributes
    ----------
    products : float64 ndarray of shape (pairs, k)
        <K_i, K_j>.
    rows : float64 ndarray of shape (pairs, k)
        r_i . r_j.
    sums : float64 ndarray of shape (M, k)
        s_i.
    members : int
        Stimuli in each set, n.
    floor : float64 ndarray of shape (M, 1)
        What HSIC_ii must exceed not to be rounding. Features that do not are constant,
        as far as these sums can tell.
    """

    products: Floats
    rows: Floats
    sums: Floats
    members: int
    floor: Floats

    def own(self) -> Floats:
        """Return each model's HSIC with itself, of shape (M, k)."""
        models = len(self.sums)
        own: Floats = self.products[:models] - (2.0 / self.members) * self.rows[:models]
        return own + self.sums * self.sums * (1.0 / self.members**2)

    def mean_cka(self) -> Floats:
        """Return the mean CKA over pairs of models, from 0 to 1, of shape (k,).

        A model whose features are constant has the CKA 0 with every other.
        """
        models = len(self.sums)
        first, second = pair_order(models)
        hsic = self.products - (2.0 / self.members) * self.rows
        hsic += self.sums[first] * self.sums[second] * (1.0 / self.members**2)
        own = hsic[:models]
        varied = own > self.floor
        factor = np.where(varied, 1.0 / np.sqrt(np.where(varied, own, 1.0)), 0.0)
        cka = hsic[models:] * factor[first[models:]] * factor[second[models:]]
        mean: Floats = cka.mean(axis=0)
        return mean


class Candidates(NamedTuple):
    """Kernel values of k stimuli against a set of chosen ones, summed as the scores need.

    Attributes
    ----------
    diagonal : float64 ndarray of shape (M, k)
        Of each stimulus with itself.
    products : float64 ndarray of shape (pairs, k)
        Sums over the chosen of one model's values times the other's.
    sums : float64 ndarray of shape (M, k)
        Sums over the chosen.
    weighted : float64 ndarray of shape (pairs, k)
        Sums over the chosen of one model's values times the other's row sums, both ways.
    """

    diagonal: Floats
    products: Floats
    sums: Floats
    weighted: Floats


def with_each(chosen: Totals, candidates: Candidates) -> Floats:
    """Return the mean CKA of the chosen stimuli with each candidate added, of shape (k,)."""
    first, second = pair_order(len(candidates.sums))
    more = candidates.sums + candidates.diagonal
    own = candidates.diagonal[first] * candidates.diagonal[second]
    products = chosen.products + 2.0 * candidates.products + own
    rows = chosen.rows + candidates.weighted + candidates.products + more[first] * more[second]
    sums = chosen.sums + candidates.sums + more
    return Totals(products, rows, sums, chosen.members + 1, chosen.floor).mean_cka()


def without_each(chosen: Totals, members: Candidates) -> Floats:
    """Return the mean CKA of the chosen stimuli without each of some members, of shape (k,)."""
    first, second = pair_order(len(members.sums))
    less = members.sums - members.diagonal
    own = members.diagonal[first] * members.diagonal[second]
    products = chosen.products - 2.0 * members.products + own
    rows = chosen.rows - members.weighted + members.products - less[first] * less[second]
    sums = chosen.sums - members.sums - less
    return Totals(products, rows, sums, chosen.members - 1, chosen.floor).mean_cka()


def both_ways(weighted: Floats) -> Floats:
    """Turn sums of shape (M, M, k), one model's kernel with another's weights, into pairs."""
    first, second = pair_order(len(weighted))
    pairs: Floats = weighted[first, second] + weighted[second, first]
    return pairs


class Saved(NamedTuple):
    """A choice to go back to; see `State`."""

    chosen: Indices
    products: Floats
    sums: Floats
    largest: Floats
    kernels: Kernels


class State:
    """Chosen stimuli of a working set with everything their neighbours' scores need.

    Parameters
    ----------
    kernels : Kernels
        Of the working set.
    chosen : int64 ndarray of shape (n,)
        Places in it.
    """

    def __init__(self, kernels: Kernels, chosen: Indices) -> None:
        self.first, self.second = pair_order(kernels.models)
        self.chosen = np.array(chosen, dtype=np.int64)
        self._begin(kernels)

    def _begin(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.products, self.sums = kernels.moments(self.chosen)
        self.largest = self._own_products()

    def _own_products(self) -> Floats:
        """Return <K_i, K_i> of the chosen stimuli, of shape (M,)."""
        own: Floats = self.products[: self.kernels.models, self.chosen].sum(axis=1)
        return own

    def settle(self) -> None:
        """Make the sums anew around the chosen stimuli, if a model's are lost."""
        if len(self.chosen) > 1 and self.is_lost():
            self._begin(self.kernels.centred_on(self.chosen))

    def is_lost(self) -> bool:
        """Tell whether some model's HSIC may be rounding, though its features are not constant."""
        own = self.totals().own()[:, 0]
        least = _LOST[self.kernels.sources[0].dtype.itemsize] * self.largest
        return bool(((own <= least) & (self.largest > self._noise())).any())

    def _noise(self) -> Floats:
        """Return <K_i, K_i> of constant features that are centred on the chosen stimuli."""
        noise: Floats = (len(self.chosen) * self.kernels.rounding) ** 2
        return noise

    def totals(self) -> Totals:
        """Return what is known of the chosen set, k = 1."""
        rows = self.sums[:, self.chosen]
        between = (rows @ rows.T)[self.first, self.second]
        products = self.products[:, self.chosen].sum(axis=1)
        sums = rows.sum(axis=1)
        # Of features that vary, HSIC is lost long before it comes near to this.
        floor = np.maximum(self._noise(), _CONSTANT * self.largest)
        return Totals(
            products[:, None], between[:, None], sums[:, None], len(self.chosen), floor[:, None]
        )

    def value(self) -> float:
        """Return the mean CKA of the chosen stimuli."""
        return float(self.totals().mean_cka()[0])

    def without_each(self) -> Floats:
        """Return the mean CKA without each of the chosen stimuli, of shape (n,)."""
        return without_each(self.totals(), self._candidates(self.chosen))

    def with_each(self) -> Floats:
        """Return the mean CKA with each stimulus of the working set added, of shape (w,).

        Of members themselves it has no meaning.
        """
        return with_each(self.totals(), self._candidates(slice(None)))

    def _candidates(self, wanted: Indices | slice) -> Candidates:
        weights = np.zeros_like(self.sums)
        weights[:, self.chosen] = self.sums[:, self.chosen]
        return Candidates(
            self.kernels.diagonal[:, wanted],
            self.products[:, wanted],
            self.sums[:, wanted],
            both_ways(self.kernels.weighted(weights, wanted)),
        )

    def remove(self, stimulus: int, column: Floats | None = None) -> None:
        """Take a chosen stimulus away; its kernel column may be known."""
        self._move(stimulus, -1.0, column)
        self.chosen = self.chosen[self.chosen != stimulus]

    def add(self, stimulus: int, column: Floats | None = None) -> None:
        """Choose a stimulus; its kernel column may be known."""
        self._move(stimulus, 1.0, column)
        self.chosen = np.append(self.chosen, stimulus)
        self.largest = np.maximum(self.largest, self._own_products())

    def _move(self, stimulus: int, sign: float, column: Floats | None) -> None:
        if column is None:
            column = self.kernels.columns(np.array([stimulus]))[0]
        # New arrays, so that a caller can go back to the old ones.
        self.products = self.products + sign * (column[self.first] * column[self.second])
        self.sums = self.sums + sign * column

    def saved(self) -> Saved:
        """Return what `restore` takes to undo later moves."""
        return Saved(self.chosen, self.products, self.sums, self.largest, self.kernels)

    def restore(self, saved: Saved) -> None:
        """Go back to a saved choice."""
        self.chosen, self.products, self.sums, self.largest, self.kernels = saved
