"""Ctrl-C at a moment that suits: not half-way through, and not in processes that draw."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the block has ended."""
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach; their parent hears it and ends them.

    A handler set inside the child would come too late: it would print a traceback
    if Ctrl-C met it while it imports.
    """
    # Put off here too: a start that is cut in two leaves a child that prints a traceback,
    # and the mask alone leaves Ctrl-C to the threads of numerical libraries.
    with uninterrupted():
        # Started now, since it clears the mask when it starts with the first child.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
