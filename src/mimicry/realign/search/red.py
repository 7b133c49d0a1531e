"""Stimuli on which models differ most: a search that can end at any moment and go on later."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from mimicry.realign.search.checkpoint import Saver, input_key, read_checkpoint
from mimicry.realign.search.common import Indices, check_count, group_numbers, is_over
from mimicry.realign.search.red_data import Source, open_sources
from mimicry.realign.search.red_pool import Pools
from mimicry.realign.search.red_walk import RedProgress, Walk

__all__ = ["RedProgress", "RedResult", "best_stimuli", "mean_cka_of"]

Ending = Literal["settled", "deadline", "swap-limit", "interrupted"]

_DEFAULT_MEMORY = 2**30


class RedResult(NamedTuple):
    """The best stimuli that were found.

    Attributes
    ----------
    members : tuple of int
        Their rows, ascending.
    value : float
        Mean pairwise biased linear CKA on them, in [0, 1]; lower is better. Computed anew
        from their activations, as a score is.
    swaps : int
        Improvements made, over all descents.
    scored : int
        Candidates scored, each against a set of stimuli.
    descents : int
        Descents that ended where no tried swap improves.
    stopped : str
        ``settled``, ``deadline``, ``swap-limit`` or ``interrupted``.
    """

    members: tuple[int, ...]
    value: float
    swaps: int
    scored: int
    descents: int
    stopped: Ending

    @property
    def score(self) -> float:
        """Red's score, 1 - value; higher is better."""
        return 1.0 - self.value


def best_stimuli(
    activations: Sequence[Any],
    count: int,
    *,
    groups: Sequence[Hashable] | None = None,
    classes: Sequence[str | None] | None = None,
    deadline: float | None = None,
    swap_limit: int | None = None,
    patience: int = 100,
    random_starts: int = 2,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Callable[[RedProgress], None] | None = None,
    memory: int = _DEFAULT_MEMORY,
    dtype: str = "float64",
) -> RedResult:
    """Search the `count` stimuli with the least mean pairwise biased linear CKA.

    Descents take out the stimulus without which the models differ most and take in the
    one with which they do, each candidate's score being exact, until no tried swap improves.
    They start from a random set, the best single class (where classes are known) and
    more random sets; then from the best end so far with some stimuli replaced at random.
    There is no proof that the result is the best.

    Where the catalogue's features or kernels fit into `memory`, each step scores all
    stimuli. Otherwise rounds take the catalogue part by part: every candidate of a part
    is scored from its activations in chunks, with 2 n d operations for each model, and
    the best of them take part in the round's swaps. Kernels over the whole catalogue are
    never made.

    The same input and settings give the same walk on the same machine; a deadline or
    Ctrl-C only cut it short.

    Parameters
    ----------
    activations : sequence of array-likes of shape (N, d_m)
        Row i of each is of stimulus i; memory-mapped arrays or
        `mimicry.activations.reading.Activations`.
    count : int
        Stimuli to choose, at least 2.
    groups : sequence of hashable, optional
        One label per stimulus, as the image's SHA-256: of equal labels at most one is chosen.
        None is a group of its own.
    classes : sequence of str or None, optional
        One per stimulus.
    deadline : float, optional
        A moment of `time.monotonic`; the search ends soon after it.
    swap_limit : int, optional
        The most swaps of the walk, those before a checkpoint included.
    patience : int
        After so many descents in a row without a better end the search has settled.
    random_starts : int
        At least 1.
    seed : int
        At least 0.
    checkpoint : Path, optional
        A file to go on from, written every few seconds at the end of a round. A later
        call over the same input with the same settings (limits may differ) repeats the
        round that was cut short and then takes the steps of a search that never ended.
    progress : callable, optional
        Called with a `RedProgress` after each swap and chunk.
    memory : int
        Bytes for features, kernels and scores, roughly.
    dtype : str
        ``float64`` or ``float32``, of features and kernels; float32 is about twice as
        fast and ranks candidates to about 1e-6. Sums are float64 always.

    Returns
    -------
    RedResult

    Raises
    ------
    BundleError
        ``search-count``, ``search-models``, ``search-activations``,
        ``search-checkpoint-other`` and ``search-checkpoint-broken``.
    ValueError
        When groups or classes are not one for each stimulus, or the type is another.
    """
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype is {dtype!r}; it must be 'float64' or 'float32'.")
    if random_starts < 1 or patience < 1 or seed < 0:
        raise ValueError("random_starts and patience must be at least 1, seed at least 0.")
    sources, size, fingerprint = open_sources(activations, np.dtype(dtype))
    numbers = group_numbers(groups, size)
    check_count(count, numbers, "stimuli")
    if classes is not None and len(classes) != size:
        raise ValueError(f"there are {len(classes)} classes for {size} stimuli; give one for each.")
    settings = (count, list(classes) if classes else None, random_starts, seed, memory, dtype)
    saver = Saver(checkpoint, input_key("red", numbers, settings, *fingerprint))
    pools = Pools(sources, size, count, seed, memory)
    starts = _class_starts(sources, numbers, classes, count)
    walk = Walk(pools, numbers, starts, random_starts, seed, progress)
    if checkpoint is not None and (known := read_checkpoint(checkpoint, saver.key)) is not None:
        walk.resume(known, checkpoint)
    limit = np.inf if swap_limit is None else swap_limit
    settled = patience if size > count else 1
    stopped: Ending = "settled"
    try:
        while walk.failures < settled:
            saver.note(walk.document)
            if walk.swaps >= limit:
                stopped = "swap-limit"
                break
            if not walk.round(deadline, int(min(limit - walk.swaps, 2**62))):
                stopped = "deadline" if is_over(deadline) else "swap-limit"
                break
        else:
            saver.note(walk.document)
    except KeyboardInterrupt:
        stopped = "interrupted"
    finally:
        # Also when the process is asked to end.
        saver.flush()
    members = np.sort(walk.best)
    return RedResult(
        tuple(int(one) for one in members),
        mean_cka_of(sources, members),
        walk.swaps,
        walk.scored,
        walk.descents,
        stopped,
    )


def mean_cka_of(sources: Sequence[Source], members: Indices) -> float:
    """Return the mean pairwise biased linear CKA on some stimuli, by the metric that scores.

    Parameters
    ----------
    sources : sequence of Source
        M models, at least 2.
    members : int64 ndarray of shape (n,)
        Rows of their activations.

    Returns
    -------
    float
        From 0 to 1; pairs with a model whose features are constant count as 0.
    """
    from mimicry.similarity import mean_pairwise, similarity_matrix

    # In float64, as scores are: in float32 similarity forgives more rounding.
    chosen = [source.values(members).astype(np.float64) for source in sources]
    return mean_pairwise(similarity_matrix(chosen, "cka", dtype="float64"))


def _class_starts(
    sources: Sequence[Source], groups: Indices, classes: Sequence[str | None] | None, count: int
) -> list[Indices]:
    """Return the first stimuli of the class that has the least mean CKA, if one is large enough."""
    if classes is None:
        return []
    names = np.array(["" if name is None else f"class {name}" for name in classes])
    best: list[Indices] = []
    best_value = np.inf
    for name in np.unique(names[names != ""]):
        members = np.flatnonzero(names == name)
        members = members[np.sort(np.unique(groups[members], return_index=True)[1])]
        if len(members) >= count:
            value = mean_cka_of(sources, members[:count])
            if value < best_value:
                best, best_value = [members[:count]], value
    return best
