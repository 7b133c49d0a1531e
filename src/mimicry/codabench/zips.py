"""Zips with the same bytes for the same content, and a second look at each."""

import errno
import fcntl
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mimicry.codabench.scratch import writable
from mimicry.codabench.submission_zip import MOST_PARTS, too_long
from mimicry.errors import BundleError
from mimicry.files import is_clutter, remove_unfinished

Content = bytes | Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_UNIX = 3
_LEFTOVERS = ("~", ".bak", ".swp", ".swo")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Refused(NamedTuple):
    """Something in a folder that is not packed: its path, a stable code, what is wrong."""

    name: str
    code: str
    reason: str


def is_left_out(name: str) -> bool:
    """Tell whether a path is never packed: clutter, dot files and compiled Python."""
    parts = PurePosixPath(name).parts
    return is_clutter(name) or "__pycache__" in parts or name.endswith((".pyc", ".pyo"))


def is_leftover(name: str) -> bool:
    """Tell whether a path is what an editor leaves behind: a backup or a swap file."""
    return any(part.endswith(_LEFTOVERS) for part in PurePosixPath(name).parts)


def folder_members(folder: Path) -> tuple[dict[str, Path], list[Refused]]:
    """List the files below `folder` that are packed, and what cannot be.

    Links are followed as long as they stay inside; links to folders are not walked.
    Raises nothing for what is in the folder.

    Returns
    -------
    members : dict
        Path relative to `folder` with ``/`` -> file, sorted.
    refused : list of Refused
        Sorted: `submission-link` for links that leave the folder, are broken or lead to
        folders, and for everything that is no plain file; `submission-unreadable`;
        `submission-name` for names that no zip carries and trees that are too deep.
    """
    root = folder.resolve()
    members: dict[str, Path] = {}
    refused: list[Refused] = []
    # Not by recursion, which a deep tree overruns.
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            name = here.relative_to(folder).as_posix()
            refused.append(_unreadable(name, error))
            continue
        for entry in entries:
            path = here / entry.name
            name = path.relative_to(folder).as_posix()
            if is_left_out(name):
                continue
            if too_long(name) or not name.isprintable():
                refused.append(Refused(name, "submission-name", _name_problem(name)))
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif (problem := _file_problem(path, name, root)) is not None:
                refused.append(problem)
            else:
                members[name] = path
    return dict(sorted(members.items())), sorted(refused)


def _name_problem(name: str) -> str:
    if not name.isprintable():
        return "the name holds characters that cannot be shown; rename it"
    return f"the name is too long, or more than {MOST_PARTS} folders deep; shorten it"


def _unreadable(name: str, error: OSError) -> Refused:
    reason = f"it cannot be read ({error.strerror or error}); change its permissions"
    return Refused(name, "submission-unreadable", reason)


def _file_problem(path: Path, name: str, root: Path) -> Refused | None:
    """Return why a file is not packed, None if it is."""
    try:
        target = path.resolve()
        if target.is_file() and target.is_relative_to(root):
            with path.open("rb"):
                return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            return _unreadable(name, error)
    except RuntimeError:
        # Python's word for links that lead in a circle; newer versions have none.
        pass
    return Refused(
        name,
        "submission-link",
        "it is a link that leaves the folder, is broken or leads to a folder, or no plain file; "
        "put the file itself there",
    )


def write_zip(
    output: Path,
    members: Mapping[str, Content],
    *,
    compress: bool,
    check: Callable[[zipfile.ZipFile], None],
) -> None:
    """Write `members` to `output`, which appears only when it has been read back.

    The bytes depend on names and contents alone: members are sorted, dated
    1980-01-01, readable by all and executable by nobody.

    Parameters
    ----------
    output : Path
        The zip; its folder is made when missing, an existing file is replaced.
    members : mapping
        Name inside the zip -> bytes, or the file that holds them.
    compress : bool
        Deflate. Without it the bytes do not even depend on the version of zlib.
    check : callable
        Looks at the reopened zip and raises; then nothing is left at `output`.

    Raises
    ------
    BundleError
        `zip-unwritable` when `output` cannot be written, `zip-broken` when the written
        file does not read back as it was meant.
    """
    temporary = output.with_name(f".{output.name}.{secrets.token_hex(6)}.tmp")
    remedy = "name another place for the zip, or make room there"
    with writable(output, "zip-unwritable", remedy):
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        output.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(output)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    # So that nobody takes it for a killed one's; some network file systems have no locks.
    lock = os.dup(descriptor)
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            try:
                with zipfile.ZipFile(file, "w") as archive:
                    for name in sorted(members):
                        _add(archive, name, members[name], compress=compress)
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                # Anything else came from a file that was read.
                if error.errno in _FULL:
                    with writable(output, "zip-unwritable", remedy):
                        raise
                raise
        with zipfile.ZipFile(temporary) as archive:
            damaged = archive.testzip()
            if damaged is not None or sorted(archive.namelist()) != sorted(members):
                raise BundleError(
                    "zip-broken",
                    f"{output.name} did not read back as written ({damaged or 'other members'}); "
                    "check the disk and pack again.",
                )
            check(archive)
        temporary.replace(output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


def _add(archive: zipfile.ZipFile, name: str, content: Content, *, compress: bool) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    if isinstance(content, bytes):
        archive.writestr(info, content)
        return
    with content.open("rb") as source:
        info.file_size = os.fstat(source.fileno()).st_size
        with archive.open(info, "w") as target:
            shutil.copyfileobj(source, target, 1 << 20)
