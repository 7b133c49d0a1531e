"""Faults of the machine that people can mend: a full disk, a forbidden or misplaced file."""

import errno
import os
import re
import shutil

from mimicry.errors import BundleError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR}


def system_fault(error: OSError) -> BundleError | None:
    """Return the sentence for a full disk or a file that cannot be used, None for any other error.

    Its code is `disk-full` or `no-permission`.
    """
    number, where = _number(error), _where(error)
    if number in _FULL:
        return BundleError(
            "disk-full",
            f"{where} could not be written ({os.strerror(number)}); free some space, or "
            "name a folder on another disk.",
        )
    if number in _FORBIDDEN:
        return BundleError(
            "no-permission",
            f"{where} cannot be used ({os.strerror(number)}); change its permissions, or "
            "name another folder.",
        )
    if number in _IN_THE_WAY:
        return BundleError(
            "no-permission",
            f"{where} cannot be used ({os.strerror(number)}); move away what is in its place, or "
            "name another folder.",
        )
    return None


def _where(error: OSError) -> str:
    """Return the file that an error is about, as far as it is known."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        # Copying a folder gives (source, target, reason) of every file that it could not copy.
        return next((str(one[1]) for one in error.args[0] if len(one) == 3), "A file")
    return f"{error.filename}" if error.filename else "A file"


def _number(error: OSError) -> int:
    """Return an error's number; copying folders hides it in a list of texts."""
    if isinstance(error, shutil.Error):
        found = re.search(r"\[Errno (\d+)\]", str(error))
        return int(found[1]) if found else 0
    return error.errno or 0
