"""One target under libFuzzer: ``fuzzing_child.py TARGET [libFuzzer's arguments]``.

Started by ``run.py``, which bounds it.
"""

import sys
import time
from collections.abc import Callable

import atheris
from fuzzing_targets import load

# Of the processor's time, so that a busy machine finds nothing. libFuzzer's own limit is
# of the clock's, and ends what would never return.
MOST_CPU_SECONDS = 1.0


def timed(one_input: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Return `one_input` with a bound on what an input may cost."""

    def run(data: bytes) -> None:
        start = time.process_time()
        one_input(data)
        spent = time.process_time() - start
        assert spent <= MOST_CPU_SECONDS, f"{spent:.2f} s for {len(data):,} bytes"

    return run


def main() -> None:
    """Fuzz until libFuzzer's bounds are met or an input is found."""
    # What is imported within gets counters for its branches: the package, and no library.
    with atheris.instrument_imports(include=["mimicry"]):
        target = load(sys.argv[1])
        # Some readers import what they need when they are called.
        for data in (*target.VALID, *target.NASTY):
            target.one_input(data)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], timed(target.one_input))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
