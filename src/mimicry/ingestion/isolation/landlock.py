"""Landlock: what the model's process may open, and whom it may reach (Linux 5.13 or later).

A small part of the kernel's interface by ctypes: rules are made of paths, and bind the
calling thread and all that it starts, for good. Source: the kernel's
``Documentation/userspace-api/landlock.rst``.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Sequence
from contextlib import suppress

from mimicry.ingestion.processes import PR_SET_NO_NEW_PRIVS, prctl

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_FIRST_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _DEVICE_CALLS = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CALLS
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TCP = 1 << 0 | 1 << 1
_SCOPES = 1 << 0 | 1 << 1
# Since which version of the interface.
_REFER_SINCE, _TRUNCATE_SINCE, NETWORK_SINCE, _DEVICE_CALLS_SINCE, SIGNALS_SINCE = 2, 3, 4, 5, 6


def version() -> int:
    """Return the version of Landlock that this kernel has; 0 without it."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint(_CREATE_RULESET_VERSION),
    )
    return max(found, 0)


def restrict(
    readable: Sequence[str],
    writable: Sequence[str],
    devices: Sequence[str],
    *,
    network: bool,
) -> int:
    """Leave this thread, and all that it will start, nothing but what is listed.

    Parameters
    ----------
    readable : sequence of str
        Files, and folders with all below them, to read and execute.
    writable : sequence of str
        Folders with all below them, to read, execute, write, make and remove in.
        No device can be made there.
    devices : sequence of str
        Device files to read, write and control.
    network : bool
        Whether TCP is left open. Signals to processes outside, and abstract sockets of
        theirs, are closed in any case where the kernel can.

    Returns
    -------
    int
        The version of the interface.

    Raises
    ------
    OSError
        The kernel has no Landlock, or does not take the rules. Paths that are not there, or
        cannot be opened, are left out: they stay closed.
    """
    found = version()
    if found < 1:
        raise OSError("this kernel has no Landlock, or the container's settings refuse it")
    handled = _handled(found)
    ruleset = _create_ruleset(found, handled, network=network)
    try:
        for path in readable:
            _allow(ruleset, path, handled & (_EXECUTE | _READ_FILE | _READ_DIR))
        for path in writable:
            _allow(ruleset, path, handled & ~_MAKE_DEVICES & ~_DEVICE_CALLS)
        for path in devices:
            _allow(ruleset, path, handled & (_READ_FILE | _WRITE_FILE | _DEVICE_CALLS))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return found


def _handled(found: int) -> int:
    handled = _FIRST_RIGHTS
    for since, right in (
        (_REFER_SINCE, _REFER),
        (_TRUNCATE_SINCE, _TRUNCATE),
        (_DEVICE_CALLS_SINCE, _DEVICE_CALLS),
    ):
        handled |= right if found >= since else 0
    return handled


def _create_ruleset(found: int, handled: int, *, network: bool) -> int:
    fields = [handled]
    if found >= NETWORK_SINCE:
        fields.append(0 if network else _TCP)
    if found >= SIGNALS_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    return _call(
        _CREATE_RULESET,
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint(0),
    )


def _allow(ruleset: int, path: str, rights: int) -> None:
    with suppress(FileNotFoundError, PermissionError, NotADirectoryError):
        # Links were resolved when the plan was made; what is one now has been swapped.
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            mode = os.fstat(opened).st_mode
            if stat.S_ISLNK(mode):
                return
            # Rights of folders are refused for a file.
            rule = struct.pack("=Qi", rights if stat.S_ISDIR(mode) else rights & _OF_FILES, opened)
            _call(
                _ADD_RULE,
                ctypes.c_int(ruleset),
                ctypes.c_int(_RULE_PATH_BENEATH),
                ctypes.c_char_p(rule),
                ctypes.c_uint(0),
            )
        finally:
            os.close(opened)


def _call(code: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(code), *arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
