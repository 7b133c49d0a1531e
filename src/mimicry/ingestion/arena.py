"""The shared memory through which pixels reach the model's process."""

import ctypes
import fcntl
import mmap
import os
from typing import NamedTuple

# Since Linux 5.1; Python's fcntl module does not name it in 3.11.
_F_SEAL_FUTURE_WRITE = 0x0010


class Arena(NamedTuple):
    """Sealed anonymous memory, cut into slots that each hold the largest image.

    `memory` is this process's writable mapping; whoever maps `descriptor`
    afterwards can only read.
    """

    descriptor: int
    memory: mmap.mmap
    slot_bytes: int
    slots: int

    @property
    def size(self) -> int:
        """All bytes."""
        return self.slot_bytes * self.slots


def make_arena(largest_image: int, wanted_slots: int, budget: int) -> Arena:
    """Make the shared memory.

    Parameters
    ----------
    largest_image : int
        Bytes of the largest decoded image.
    wanted_slots : int
        No more than this many slots are of use.
    budget : int
        Bytes that all slots together may take. Two slots are made in any case,
        so that one image is decoded while the model has another.

    Returns
    -------
    Arena
        Pages that are never written take no memory.
    """
    slot_bytes = -(-max(largest_image, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    slots = max(2, min(wanted_slots, budget // slot_bytes))
    descriptor = os.memfd_create("arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, slot_bytes * slots)
    memory = mmap.mmap(descriptor, slot_bytes * slots)
    # Without the first two the model could shrink it under the supervisor's feet
    # (SIGBUS). The third leaves this mapping writable, and no later one.
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, ctypes.c_int(seals).value)
    return Arena(descriptor, memory, slot_bytes, slots)
