"""What a rehearsal says while it plays: lines of several threads, still to be told apart."""

import re
import threading
from collections.abc import Callable

_WARNINGS = ("warning:", "packed:")
_REDONE = ": redone, its "


class Voice:
    """Says one thing at a time, whoever speaks.

    Parameters
    ----------
    out : callable
        Receives the lines; never called by two threads at once.
    verbose : bool
        Let every line of a run through, not only warnings and what is redone.
    """

    def __init__(self, out: Callable[[str], None], *, verbose: bool) -> None:
        self._out = out
        self._verbose = verbose
        self._speaking = threading.Lock()
        self._heard: set[str] = set()
        self._number = 0

    def say(self, text: str) -> None:
        """Say something."""
        with self._speaking:
            self._out(text)

    def heading(self, title: str) -> None:
        """Begin a new, numbered part."""
        self._number += 1
        self.say(f"\n{self._number}. {title}\n")

    def warn(self, line: str, name: str = "") -> None:
        """Say a line of the run `name`, but not what was said of another one already."""
        # Sizes differ where the advice is the same.
        wording = re.sub(r"\d+", "0", line)
        if wording not in self._heard:
            self._heard.add(wording)
            self.say(_prefixed(name, line))

    def relay(self, name: str, line: str) -> None:
        """Pass on a line of the run `name` where that is asked for, or of weight."""
        if line.strip().startswith(_WARNINGS):
            self.warn(line, name)
        elif self._verbose or _REDONE in line:
            self.say(_prefixed(name, line))


def _prefixed(name: str, line: str) -> str:
    return f"[{name}] {line}" if name else line
