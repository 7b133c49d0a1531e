"""What two runs of the same gave, in words, and where to look for the cause."""

from collections.abc import Iterator, Mapping

from mimicry.codabench.twice import TaskDifference, Twice
from mimicry.errors import one_line

ROUNDING = 1e-4
"""Of the scores' spread: differences below are those of sums in another order."""

CAUSES = (
    "Images come in another order in every run, on purpose. Where to look:",
    "  - state: what predict keeps from one image for the next (running means, caches, a",
    "    threshold that adapts); every image must be scored by itself",
    "  - training mode: dropout and batch normalisation, if load does not call model.eval()",
    "  - random numbers: augmentation or sampling without a seed; seed in predict, not in load,",
    "    since the order of the images changes",
    "  - packets: predict_batch must not scale or rank scores within a packet",
    "  - threads and GPUs: sums in another order, which move the last digits only;",
    "    torch.use_deterministic_algorithms(True), torch.set_num_threads(1)",
)
_SMALL = (
    "These differences are as small as rounding: sums in another order (packets of other images, "
    "threads, a GPU). They matter only where scores are nearly equal."
)


def twice_text(found: Twice, precisions: Mapping[str, int]) -> Iterator[str]:
    """Yield what is told of two runs.

    Parameters
    ----------
    found : Twice
        The runs.
    precisions : Mapping
        Column key -> decimals, as the board shows them.
    """
    if found.nothing_runs:
        yield (
            "twice: nothing of this submission is run, it is scored as it is, so a second run "
            "would be the same."
        )
        return
    if found.second is None:
        yield "twice: the first run failed, so there was no second."
        return
    for key in found.first.tasks:
        if key not in found.tasks:
            yield f"twice: task {one_line(key, 60)}: the second run did not finish"
            continue
        yield from _task(key, found.tasks[key], precisions)
    different = [one for one in found.tasks.values() if not one.identical]
    if different and all(_is_rounding(one) for one in different):
        yield _SMALL
    elif different:
        yield from CAUSES
    yield f"second run: {found.folder}"


def _task(key: str, one: TaskDifference, precisions: Mapping[str, int]) -> Iterator[str]:
    start = f"twice: task {one_line(key, 60)}"
    if one.identical:
        yield f"{start}: identical byte for byte, predictions and scores"
        return
    if one.images is None:
        yield f"{start}: what was predicted differs"
    elif not one.differing and not one.alone:
        yield f"{start}: the same score for every image, and other scores of the whole"
    else:
        words = f"{one.differing:,} of {one.images:,} images got another score"
        if one.alone:
            words += f", and {one.alone:,} have one in a single run"
        if one.rank_correlation is not None:
            words += f"; rank correlation {one.rank_correlation:.6f}"
        yield f"{start}: {words}"
    for moved in one.largest:
        change = moved.second - moved.first
        yield (
            f"  image {one_line(moved.image, 80)}: {moved.first:.8g} -> {moved.second:.8g} "
            f"({change:+.3g})"
        )
    if one.differing > len(one.largest):
        yield f"  and {one.differing - len(one.largest):,} more, with smaller differences"
    for column, (first, second) in one.columns.items():
        yield f"  {_column(column, first, second, precisions.get(column, 4))}"


def _column(key: str, first: float | None, second: float | None, decimals: int) -> str:
    name = one_line(key, 60)
    if first is None or second is None:
        return f"{name} is there in one run only"
    if first == second:
        return f"{name} {first:.{decimals}f} in both"
    return f"{name} {first:.{decimals}f} -> {second:.{decimals}f} ({second - first:+.3g})"


def _is_rounding(one: TaskDifference) -> bool:
    if one.images is None or one.alone or not one.largest:
        return False
    change = max(abs(moved.second - moved.first) for moved in one.largest)
    return change <= ROUNDING * one.spread
