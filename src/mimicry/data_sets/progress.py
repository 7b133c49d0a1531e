"""Work on many images in threads, in order, with progress."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_through(
    what: str,
    items: Sequence[Item],
    do: Callable[[Item], Result],
    *,
    workers: int | None,
    report: Callable[[str], None],
) -> list[Result]:
    """Return what `do` makes of each item, in their order.

    Threads, since decoding and encoding leave the interpreter's lock alone. Results are
    all held, so they should be small. The first error ends the work.

    Parameters
    ----------
    what : str
        For the progress: a bar where somebody looks on, else a line at each quarter.
    items : sequence
    do : callable
    workers : int, optional
        Threads; one per usable core by default.
    report : callable
        Gets the lines.
    """
    count = workers or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(count)
    try:
        return list(_shown(what, pool.map(do, items), len(items), report))
    finally:
        pool.shutdown(cancel_futures=True)


def _shown(
    what: str, results: Iterator[Result], total: int, report: Callable[[str], None]
) -> Iterator[Result]:
    if sys.stderr.isatty():
        yield from tqdm(results, desc=what, total=total, unit="img")
        return
    started = time.monotonic()
    for done, result in enumerate(results, start=1):
        yield result
        if done * 4 // total > (done - 1) * 4 // total:
            report(f"{what}: {done:,} of {total:,} images, {time.monotonic() - started:.0f} s")
