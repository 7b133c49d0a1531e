"""Taking a run's folders out of a model's sight while it runs, and bringing them back.

Landlock keeps a model from opening and listing them, but not from asking whether a
name exists. So the images move into a folder whose name cannot be guessed.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError

# Readers take names that begin with a dot for clutter.
_PREFIX = ".mimicry-hidden-"
_HIDDEN = re.compile(re.escape(_PREFIX) + "[0-9a-f]{32}")
_PASS_THROUGH = 0o111
_USUAL = 0o755


class Hidden(NamedTuple):
    """Where the images lie now, and why they are still in their place if they are."""

    folder: Path
    problem: str | None


@contextmanager
def hidden_input(folder: Path, *, own: bool) -> Iterator[Hidden]:
    """Move what a folder holds into one with a random name of 128 bits inside it.

    Nobody can list the folder meanwhile. In the end, also after an error, everything is back
    in its place; after a kill -9 the next run brings it back first.

    Parameters
    ----------
    folder : Path
        The input images.
    own : bool
        Whether it is a copy made for this run. Somebody's own files are left alone.

    Raises
    ------
    BundleError
        ``input-busy``: another run that is still at work has hidden this folder's images;
        ``input-folder``: what an earlier run, or somebody else, has left there is in the way.
    """
    try:
        _open_up(folder, own=own)
        _bring_back_left(folder)
    except (FileNotFoundError, NotADirectoryError):
        # Whoever reads the folder says so.
        pass
    except OSError as error:
        raise BundleError(
            "input-folder",
            f"the input folder cannot be put in order ({error.strerror}). Give the task sound "
            "input data; a command in the submission's metadata may have changed them.",
        ) from error
    if not own:
        yield Hidden(folder, "the input folder is no copy made for this run")
        return
    try:
        place, lock = _hide(folder)
    except OSError as error:
        yield Hidden(folder, f"the input folder cannot be changed ({error.strerror})")
        return
    try:
        yield Hidden(place, None)
    finally:
        _bring_back_mine(folder, place)
        os.close(lock)


def _hide(folder: Path) -> tuple[Path, int]:
    """Return the hidden folder and the descriptor that holds its lock."""
    entries = list(folder.iterdir())
    place = folder / (_PREFIX + secrets.token_hex(16))
    place.mkdir(0o700)
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for entry in entries:
            entry.rename(place / entry.name)
        folder.chmod(_PASS_THROUGH)
    except OSError:
        _bring_back(place)
        os.close(lock)
        raise
    return place, lock


def _reopen(folder: Path) -> None:
    folder.chmod(_USUAL)


def _open_up(folder: Path, *, own: bool) -> None:
    """Let a folder be read again: one that a killed run has left, and a run's own copy."""
    mode = folder.stat().st_mode
    left = mode & stat.S_IRWXU == _PASS_THROUGH & stat.S_IRWXU
    if left or (own and not mode & stat.S_IRUSR):
        with suppress(PermissionError):
            _reopen(folder)


def _bring_back_left(folder: Path) -> None:
    """Undo what a run that was killed has left."""
    for place in [entry for entry in folder.iterdir() if _HIDDEN.fullmatch(entry.name)]:
        if place.is_symlink() or not place.is_dir():
            continue
        lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _bring_back(place)
        except BlockingIOError:
            raise BundleError(
                "input-busy",
                "another run is using the input folder. Wait for its end, or give each run a "
                "copy of its own.",
            ) from None
        finally:
            os.close(lock)


def _bring_back_mine(folder: Path, place: Path) -> None:
    """Bring back what this run has hidden, over whatever stands in its place by now."""
    with suppress(OSError):
        _reopen(folder)
        for entry in list(place.iterdir()):
            with suppress(OSError):
                entry.rename(folder / entry.name)
        place.rmdir()


def _bring_back(place: Path) -> None:
    entries = list(place.iterdir())
    for entry in entries:
        target = place.parent / entry.name
        # A rename would replace it without a word; both cannot be the organiser's.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    for entry in entries:
        entry.rename(place.parent / entry.name)
    place.rmdir()


@contextmanager
def closed(folders: list[Path]) -> Iterator[None]:
    """Let nobody enter folders meanwhile: what is left to do where there is no Landlock.

    Holds for whoever has no capability to override modes, so in the platform's container
    and for ordinary users, and only as long as modes cannot be changed, which the filter
    of system calls prevents.
    """
    modes = []
    try:
        for folder in folders:
            modes.append((folder, stat.S_IMODE(folder.stat().st_mode)))
            folder.chmod(0)
        yield
    finally:
        for folder, mode in modes:
            with suppress(FileNotFoundError):
                folder.chmod(mode)
