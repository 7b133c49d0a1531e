"""Telling a device that has failed from a model that has."""

import re

# Before torch had a class for it, it said so in a plain RuntimeError.
_FAILED = re.compile(
    r"CUDA error|HIP error|CUDA driver error"
    r"|C(?:UDNN|UBLAS)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED|ALLOC_FAILED)"
)
_FULL = re.compile(r"(?:CUDA|HIP) error: out of memory|CUBLAS_STATUS_ALLOC_FAILED")


def is_device_memory(error: BaseException) -> bool:
    """Tell whether a device's, or this machine's, memory ran out."""
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and _FULL.search(str(error)) is not None


def is_device_fault(error: BaseException) -> bool:
    """Tell whether a GPU failed or was lost, by torch's class or what its libraries say.

    A process that has seen one computes nothing more on that device.
    """
    if type(error).__name__ == "AcceleratorError":
        return True
    return isinstance(error, RuntimeError) and _FAILED.search(str(error)) is not None
