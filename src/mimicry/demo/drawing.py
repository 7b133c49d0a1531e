"""Draw many pictures in several processes: in order, with progress, in bounded memory."""

import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import islice

from tqdm import tqdm

from mimicry.demo.interrupts import deaf_children
from mimicry.demo.sets import Order, draw
from mimicry.errors import BundleError
from mimicry.ingestion.processes import die_with_parent

_BATCH = 4


def draw_all(
    name: str, orders: Sequence[Order], workers: int | None, report: Callable[[str], None]
) -> Generator[bytes, None, None]:
    """Yield the pictures of `orders` in their order, with progress."""
    count = workers or len(os.sched_getaffinity(0))
    # Closed at once when the reader fails, so that nobody draws on for nothing.
    with closing(_in_turn(orders) if count == 1 else _in_parallel(orders, count)) as drawn:
        if sys.stderr.isatty():
            yield from tqdm(drawn, desc=f"drawing {name}", total=len(orders), unit="img")
            return
        started = time.monotonic()
        for done, picture in enumerate(drawn, start=1):
            # Told before the picture goes on: the reader may stop at the last one.
            if done * 4 // len(orders) > (done - 1) * 4 // len(orders):
                spent = time.monotonic() - started
                report(f"drawing {name}: {done} of {len(orders)} images, {spent:.0f} s")
            yield picture


def _in_turn(orders: Sequence[Order]) -> Generator[bytes, None, None]:
    for order in orders:
        yield draw(order)


def _in_parallel(orders: Sequence[Order], workers: int) -> Generator[bytes, None, None]:
    """Draw in processes, a bounded number of pictures ahead of the reader."""
    batches = (orders[i : i + _BATCH] for i in range(0, len(orders), _BATCH))
    # A fresh interpreter per worker: a fork would copy the threads' locks of the caller.
    context = multiprocessing.get_context("spawn")
    # Workers wait for work in silence: nothing else would tell them of a kill -9.
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent)
    try:
        waiting: deque[Future[list[bytes]]] = deque()
        with deaf_children():
            for batch in islice(batches, 4 * workers):
                waiting.append(pool.submit(_draw_batch, batch))
        while waiting:
            pictures = waiting.popleft().result()
            with deaf_children():
                waiting.extend(pool.submit(_draw_batch, batch) for batch in islice(batches, 1))
            yield from pictures
    except BrokenProcessPool as error:
        raise BundleError(
            "demo-worker-died",
            "A process that draws images was ended from outside, often for want of memory; "
            "run the command again with fewer workers or smaller images.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_batch(batch: Sequence[Order]) -> list[bytes]:
    return [draw(order) for order in batch]
