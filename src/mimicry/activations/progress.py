"""Progress of an extraction on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

# Seconds between lines where there is no terminal: the first soon, so that a stuck run can
# be told from a slow one.
_FIRST, _PATIENCE = 5.0, 30.0


class Progress:
    """Counts images done, over all models and processes, and estimates the rest.

    Parameters
    ----------
    total : int
        Images times models; more can be added by `expect`.
    stream : text stream, optional
        ``sys.stderr`` by default.
    what : str
        What is counted.
    quiet : bool
        Count, and tell of nothing.
    """

    def __init__(
        self,
        total: int,
        *,
        stream: TextIO | None = None,
        what: str = "images",
        quiet: bool = False,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._what = what
        self._quiet = quiet
        self._total = total
        self._done = 0
        # Computed since the start, while what was there already costs nothing and says
        # nothing of speed.
        self._computed = 0
        self._began = time.monotonic()
        self._next_line = self._began + _FIRST
        self._lock = threading.Lock()
        self._bar = (
            tqdm(total=total, unit=f" {what}", file=self._stream, dynamic_ncols=True, smoothing=0.1)
            if self._stream.isatty() and not quiet
            else None
        )

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
        self.close()

    def close(self) -> None:
        """Close the bar, if there is one."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int, *, computed: bool = True) -> None:
        """Count `count` more as done, `computed` now or there from an earlier run."""
        with self._lock:
            self._done += count
            if computed:
                self._computed += count
            if self._bar is not None:
                if not computed:
                    # Otherwise the bar's speed would be that of looking.
                    self._bar.initial += count
                self._bar.update(count)
                return
            now = time.monotonic()
            if now >= self._next_line and not self._quiet:
                self._next_line = now + _PATIENCE
                print(self.line(now), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        with self._lock:
            if self._bar is not None:
                tqdm.write(text, file=self._stream)
            elif not self._quiet:
                print(text, file=self._stream, flush=True)

    def line(self, now: float) -> str:
        """Return how far it is, how fast and how long it will take."""
        seconds = max(now - self._began, 1e-9)
        share = self._done / self._total if self._total else 1.0
        text = f"{self._done:,} of {self._total:,} {self._what} ({share:.0%})"
        if not self._computed:
            return text
        speed = self._computed / seconds
        rest = duration((self._total - self._done) / speed)
        return f"{text}, {speed:,.1f} {self._what}/s, about {rest} left"


def duration(seconds: float) -> str:
    """Return seconds in words of at most two units."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
