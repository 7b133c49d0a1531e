"""Decoding ahead of the model, in threads, in a given order, into a bounded arena."""

import heapq
import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from mimicry.errors import BundleError
from mimicry.ingestion.arena import Arena
from mimicry.ingestion.images import InputImage, decode_into


class Feed:
    """Decodes images in order; slots are handed out lowest first and come back by `release`.

    The threads start at once, so that decoding overlaps the model's loading.

    Parameters
    ----------
    images : sequence of InputImage
        In the order in which the model gets them.
    arena : Arena
        Where the pixels go.
    threads : int
        Number of decoding threads.
    window : int
        At most so many slots are in use at once; see `widen`.
    """

    def __init__(
        self, images: Sequence[InputImage], arena: Arena, threads: int, window: int
    ) -> None:
        self._images = images
        self._arena = arena
        self._window = min(window, arena.slots)
        self._free = list(range(arena.slots))
        self._slots: dict[int, int] = {}
        self._decoded: dict[int, tuple[int, int]] = {}
        self._next = 0
        self._stopped = False
        self._error: BaseException | None = None
        self._change = threading.Condition()
        # Becomes readable whenever an image is ready, for a selector to wait on.
        self.wake_up = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._threads = [
            threading.Thread(target=self._decode, name=f"decode-{number}", daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        """Start the threads."""
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:
            self.__exit__(None, None, None)
            raise BundleError(
                "model-start",
                "no thread can be started to decode images: allow the container more processes.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the threads after the images they are at."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        os.close(self.wake_up)

    def widen(self, window: int) -> None:
        """Let more slots be in use at once: the model's batch size is known now."""
        with self._change:
            self._window = min(max(self._window, window), self._arena.slots)
            self._change.notify_all()

    def ready(self, first: int, count: int) -> bool:
        """Tell whether images `first` to `first + count - 1` are all decoded.

        Raises
        ------
        BundleError
            When an image could not be decoded.
        """
        with self._change:
            if self._error is not None:
                raise self._error
            return all(number in self._decoded for number in range(first, first + count))

    def place(self, number: int) -> tuple[int, int, int]:
        """Return a decoded image's place in the arena: offset in bytes, width and height."""
        with self._change:
            width, height = self._decoded[number]
            return self._slots[number] * self._arena.slot_bytes, width, height

    def release(self, first: int, count: int) -> None:
        """Give back the slots of images that the model is done with."""
        with self._change:
            for number in range(first, first + count):
                del self._decoded[number]
                heapq.heappush(self._free, self._slots.pop(number))
            self._change.notify_all()

    def _may_start(self) -> bool:
        return bool(self._free) and len(self._slots) < self._window

    def _decode(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(
                    lambda: self._stopped or self._next >= len(self._images) or self._may_start()
                )
                if self._stopped or self._next >= len(self._images):
                    return
                number = self._next
                self._next += 1
                # The lowest slot: its pages are in memory already.
                slot = self._slots[number] = heapq.heappop(self._free)
            offset = slot * self._arena.slot_bytes
            try:
                size = decode_into(self._images[number], self._arena.memory, offset)
            except BaseException as error:
                with self._change:
                    self._error = self._error or error
                    self._stopped = True
                    self._change.notify_all()
            else:
                with self._change:
                    self._decoded[number] = size
            os.eventfd_write(self.wake_up, 1)
