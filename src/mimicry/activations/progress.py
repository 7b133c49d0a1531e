"""Progress of an extraction on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

# Seconds between lines where there is no terminal: the first soon, so that a stuck run can
# be told from a slow one.
_FIRST, _PATIENCE = 5.0, 10.0
# Seconds from the first batch on after which speed is told: before, it is that of loading.
_SETTLED = 5.0
_UNSETTLED = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


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
        # Computed since the first batch came, and when it came; what was there already costs
        # nothing and says nothing of speed.
        self._computed = 0
        self._first: float | None = None
        self._next_line = time.monotonic() + _FIRST
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._bar = (
            tqdm(
                total=total,
                unit=f" {what}",
                file=self._stream,
                dynamic_ncols=True,
                smoothing=0.1,
                bar_format=_UNSETTLED,
            )
            if self._stream.isatty() and not quiet
            else None
        )
        if self._bar is None and not quiet:
            # A model that is loading, or a slow batch, must not look like one that hangs.
            threading.Thread(target=self._keep_telling, daemon=True).start()

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
        """Close the bar, if there is one, and tell of nothing more."""
        self._closed.set()
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int, *, computed: bool = True) -> None:
        """Count `count` more as done, `computed` now or there from an earlier run."""
        with self._lock:
            now = time.monotonic()
            self._done += count
            if computed and self._first is None:
                self._first = now
            elif computed:
                self._computed += count
            if self._bar is not None:
                if self._speed(now) is not None:
                    self._bar.bar_format = None
                if not computed:
                    # Otherwise the bar's speed would be that of looking.
                    self._bar.initial += count
                self._bar.update(count)
                return
            self._tell(now)

    def say(self, text: str) -> None:
        """Print a line without breaking the bar."""
        with self._lock:
            if self._bar is not None:
                tqdm.write(text, file=self._stream)
            elif not self._quiet:
                print(text, file=self._stream, flush=True)

    def line(self, now: float) -> str:
        """Return how far it is, and once that is known how fast and how long it will take."""
        share = self._done / self._total if self._total else 1.0
        text = f"{self._done:,} of {self._total:,} {self._what} ({share:.0%})"
        if (speed := self._speed(now)) is None:
            return text
        rest = duration((self._total - self._done) / speed)
        return f"{text}, {speed:,.1f} {self._what}/s, about {rest} left"

    def _speed(self, now: float) -> float | None:
        if self._first is None or not self._computed or now - self._first < _SETTLED:
            return None
        return self._computed / (now - self._first)

    def _tell(self, now: float) -> None:
        if now >= self._next_line and not self._quiet:
            self._next_line = now + _PATIENCE
            print(self.line(now), file=self._stream, flush=True)

    def _keep_telling(self) -> None:
        while not self._closed.wait(1.0):
            with self._lock:
                # Closing may have come meanwhile.
                if not self._closed.is_set():
                    self._tell(time.monotonic())


def duration(seconds: float) -> str:
    """Return seconds in words of at most two units."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
