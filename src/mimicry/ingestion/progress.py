"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

FRACTIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


class Progress:
    """Counts images done.

    Without a terminal it prints a line at fixed fractions of the total, with the
    seconds since the start and an estimate of the rest, so that a log stays short
    and a stuck run can be told from a slow one.

    Parameters
    ----------
    total : int
        Number of images.
    clock : callable
        Gives the seconds since the program's start.
    """

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self._total = total
        self._clock = clock
        self._started = clock()
        self._done = 0
        self._next = 0
        self._bar = tqdm(total=total, unit="image") if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def restart(self) -> None:
        """Estimate from now on: the model has loaded."""
        self._started = self._clock()

    def advance(self, count: int) -> None:
        """Count `count` more images as done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            return
        passed = False
        while self._next < len(FRACTIONS) and self._done >= FRACTIONS[self._next] * self._total:
            self._next += 1
            passed = True
        if passed:
            self._print_line()

    def _print_line(self) -> None:
        now = self._clock()
        share = self._done / self._total
        rest = (now - self._started) / self._done * (self._total - self._done)
        estimate = f"about {rest:.0f} s left" if rest >= 1 else "under 1 s left"
        ahead = f", {estimate}" if self._done < self._total else ""
        print(
            f"{self._done:,} of {self._total:,} images ({share:.0%}), {now:.1f} s{ahead}",
            flush=True,
        )
