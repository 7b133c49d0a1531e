"""Small file helpers that every room uses: safe reading and writing, hashes, removal."""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write `data` to a temporary file beside `path`, then rename it to `path`.

    A reader sees the old content or the whole new one, also after a kill -9.
    Text is written as UTF-8 with the line ends it has.
    """
    payload = data.encode("utf-8") if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # A failed write does not say of which file it was.
            error.filename = str(path)
        raise


def is_unfinished(name: str, of: str) -> bool:
    """Tell whether a file's name is that of a temporary one on its way to the name `of`."""
    return re.fullmatch(re.escape(f".{of}.") + r"[0-9a-f]{12}\.tmp", name) is not None


def remove_unfinished(path: Path, settled: float = 60.0) -> None:
    """Remove what writers of `path` that were killed have left beside it.

    Files that somebody holds a lock on (`fcntl.flock`) stay, and so do those that were
    written to within `settled` seconds: they may not be locked yet.
    """
    with suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            if not is_unfinished(entry.name, path.name):
                continue
            with suppress(OSError):
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                # One from the future is from before the clock was set back.
                if abs(age) < settled:
                    continue
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(entry.path, flags)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    Path(entry.path).unlink()
                finally:
                    os.close(descriptor)


def write_output(path: Path, data: bytes | str) -> None:
    """Write what a command was asked to write at `path`, whatever stands there.

    A file is replaced as by `write_atomically`, and one that a link leads to as well. To a
    device or a pipe, such as ``/dev/stdout``, it is written straight.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is None or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        write_atomically(path.resolve() if path.is_symlink() else path, data)
        return
    # Not by its resolved name: what stands behind a descriptor of ours may have none.
    with path.open("wb") as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do this for folders.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


class UnusableFile(ValueError):  # noqa: N818 - an outcome the caller words, not an error to show
    """Says in a few words why a file cannot be read, to follow the file's name.

    Callers know whose file it is and turn this into a `SubmissionError` or a
    `BundleError`; it never reaches a user.
    """


def read_regular_file(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Symbolic links are not followed, and neither a named pipe nor a device can
    make this wait.

    Raises
    ------
    UnusableFile
        The file is missing, a link, a folder, a pipe, too large or unreadable.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise UnusableFile("is missing") from None
    except OSError:
        what = "is a symbolic link" if _is_link(path) else "cannot be opened"
        raise UnusableFile(what) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFile("is not a regular file")
        data = None
        if status.st_size <= limit:
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
    except OSError:
        raise UnusableFile("cannot be read") from None
    finally:
        os.close(descriptor)
    if data is None or len(data) > limit:
        raise UnusableFile(f"is larger than {limit:,} bytes")
    return data


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except OSError:
        # A name that is too long, for one.
        return False


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_clutter(name: str) -> bool:
    """Tell whether a path inside a zip or folder is an operating system's clutter.

    Any part that is ``__MACOSX``, ``Thumbs.db``, ``desktop.ini`` or begins with a
    dot counts. Readers ignore such files and packers leave them out.
    """
    return any(
        part.startswith(".") or part.lower() in {"__macosx", "thumbs.db", "desktop.ini"}
        for part in name.replace("\\", "/").split("/")
        if part
    )


def remove_tree(folder: Path) -> None:
    """Remove a folder that a participant's code may have filled; a missing one is fine.

    Folders that nobody may enter are opened up, and trees too deep for Python's
    own removal are left to ``rm``. A symbolic link is removed itself, never what it
    leads to.

    Raises
    ------
    OSError
        When something is still there afterwards.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink():
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", str(folder)], stderr=subprocess.DEVNULL, check=False)
        if os.path.lexists(folder):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder)) from None
