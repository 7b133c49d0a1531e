"""Sealed reference data: one encrypted file in place of the labels, opened with the key.

The format is age (https://age-encryption.org/v1). Who has the public recipient can seal;
only who has the secret identity can open. Sentences of this module end up on a page that
anyone may read, so they repeat no name, number or byte of what is sealed.
"""

import contextlib
import errno
import os
import shutil
import signal
import stat
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from mimicry.errors import BundleError, MimicryError
from mimicry.files import is_clutter, remove_tree
from mimicry.scoring.seal_keys import find_keys, load_library

SEALED_NAME = "reference.zip.age"
# The operator of a worker may hand the key to a scoring container after its start.
KEY_SECONDS = 10.0

MOST_FILES = 100_000
LARGEST_OPENED = 64 * 1024**3

_MAGIC = b"age-encryption.org/v1\n"
_NO_MATCH = "No matching keys found"
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def holds_sealed(folder: Path) -> bool:
    """Tell whether reference data are sealed: whether they hold `SEALED_NAME`."""
    return os.path.lexists(folder / SEALED_NAME)


@contextlib.contextmanager
def opened_source(
    source: Path, sealed: bool | None, *, wait: float = KEY_SECONDS
) -> Iterator[Path]:
    """Give the input folder of a scoring program with its reference data open.

    Parameters
    ----------
    source : Path
        Holds ``ref`` and ``res``; ``data`` beside it stands for ``/app/data``.
    sealed : bool or None
        What packing said of the reference data. None where nothing was packed: then they
        are opened if they are sealed.
    wait : float
        Seconds to wait for a key that is not there yet; only where `sealed` is true.

    Yields
    ------
    Path
        `source` itself for plain data. For sealed ones a folder that only this user can
        read, with the same layout, removed afterwards.

    Raises
    ------
    BundleError
        ``seal-missing`` for plain data where sealed ones belong, ``seal-unexpected`` for
        sealed ones where plain ones belong, and what `open_reference` finds.
    """
    found = holds_sealed(source / "ref")
    if sealed and not found:
        raise BundleError(
            "seal-missing",
            "This scoring program was packed for sealed reference data, and the task's are not "
            f"sealed: they hold no {SEALED_NAME}. Attach the zip that `mimicry pack --seal` made.",
        )
    if found and sealed is False:
        raise BundleError(
            "seal-unexpected",
            "The reference data are sealed, and this scoring program was packed for plain ones. "
            "Attach program and data of one packed competition (`mimicry pack --seal`).",
        )
    if not found:
        yield source
        return
    with _private_folder() as folder:
        inside, data = folder / "input", source.parent / "data"
        inside.mkdir()
        open_reference(source / "ref", inside / "ref", data, wait=wait if sealed else 0.0)
        (inside / "res").symlink_to((source / "res").resolve())
        if data.is_dir():
            (folder / "data").symlink_to(data.resolve())
        yield inside


@contextlib.contextmanager
def shown_as(opened: Path, source: Path) -> Iterator[None]:
    """Put the folders of `source` into errors in place of those that were opened for it."""
    try:
        yield
    except MimicryError as error:
        if opened == source or str(opened.parent) not in str(error):
            raise
        inside, shown = str(opened.parent), str(source.parent)
        sentence = error.sentence.replace(inside, shown)
        parts = [part.replace(inside, shown) for part in error.parts]
        raise type(error)(error.code, sentence, parts) from None


def open_reference(folder: Path, target: Path, data: Path | None, *, wait: float = 0.0) -> None:
    """Decrypt sealed reference data and unpack them into `target`, a new folder.

    Parameters
    ----------
    folder : Path
        Holds `SEALED_NAME` and nothing else, an operating system's clutter aside.
    target : Path
        Must not exist; left incomplete where this raises. Its parent takes the zip, too,
        while it is unpacked.
    data : Path or None
        What stands for ``/app/data``, where the key may lie.
    wait : float
        Seconds to wait for a key that is not there yet.

    Raises
    ------
    BundleError
        ``seal-missing`` for other files beside it; ``seal-key-missing``,
        ``seal-key-unreadable``, ``seal-key-wrong``; ``seal-damaged`` for a file that was
        changed or cut, or holds no sound zip that this system can unpack (a name may be
        too long for it); ``seal-library`` without pyrage;
        ``temporary-folder`` where there is no room.
    """
    names = [entry.name for entry in folder.iterdir() if not is_clutter(entry.name)]
    if names != [SEALED_NAME]:
        raise BundleError(
            "seal-missing",
            f"Sealed reference data hold {SEALED_NAME} and nothing else, and these hold other "
            "files. Attach the zip that `mimicry pack --seal` made.",
        )
    keys = find_keys(data, wait)
    archive = target.with_name(f"{target.name}.zip")
    try:
        target.mkdir()
        _decrypt(folder / SEALED_NAME, archive, keys)
        _unpack(archive, target)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _no_room(error) from error
        # The format's faults have no number; the system's words may hold a name that is sealed.
        raise _damaged() from None
    finally:
        archive.unlink(missing_ok=True)


def _decrypt(path: Path, target: Path, keys: Sequence[Any]) -> None:
    pyrage = load_library()
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        raise _damaged() from None
    private = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        os.fdopen(descriptor, "rb") as file,
        os.fdopen(os.open(target, private, 0o600), "wb") as to,
    ):
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _damaged()
        # The library would take the armored form and passphrases, too.
        if file.read(len(_MAGIC)) != _MAGIC:
            raise _damaged()
        file.seek(0)
        try:
            pyrage.decrypt_io(file, to, list(keys))
        except pyrage.DecryptError as error:
            if str(error) != _NO_MATCH:
                raise _damaged() from None
            raise BundleError(
                "seal-key-wrong",
                "The reference data are sealed for another key than the one that is here. Put the "
                "key there that belongs to the recipient of `mimicry pack --seal`, or pack again.",
            ) from None


def _unpack(path: Path, target: Path) -> None:
    """Unpack a zip; links, names that lead out, and doubles are refused, never mended."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if len(infos) > MOST_FILES or total > LARGEST_OPENED or not all(map(_is_sound, infos)):
                raise _damaged()
            if total > shutil.disk_usage(target).free:
                raise _no_room(None)
            for info in infos:
                place = target / info.filename
                if info.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as member, place.open("xb") as file:
                    shutil.copyfileobj(member, file, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, FileExistsError):
        raise _damaged() from None
    except (NotADirectoryError, IsADirectoryError):
        # One name is a file here and a folder there.
        raise _damaged() from None


def _is_sound(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.removesuffix("/").split("/")
    return (
        info.filename == info.orig_filename
        and "\\" not in info.filename
        and not any(part in {"", ".", ".."} for part in parts)
        and not stat.S_ISLNK(info.external_attr >> 16)
        and info.compress_type in _METHODS
        and not info.flag_bits & _ENCRYPTED
    )


def _damaged() -> BundleError:
    return BundleError(
        "seal-damaged",
        f"{SEALED_NAME} of the reference data was changed or cut, or is not what `mimicry pack "
        "--seal` made. Pack the competition again and attach its data anew.",
    )


def _no_room(error: OSError | None) -> BundleError:
    reason = "" if error is None else f" ({error.strerror or 'unknown reason'})"
    return BundleError(
        "temporary-folder",
        f"There is no room to open the sealed reference data{reason}. Free some space, or set "
        "TMPDIR to a folder that can be written.",
    )


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Give a folder that only this user can read, removed also where this process is ended."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="mimicry-opened-")).resolve()
    except OSError as error:
        raise _no_room(error) from error
    try:
        with _leaving_on_termination():
            yield folder
    finally:
        # What it is good for is done, and the container goes away with what is left.
        with contextlib.suppress(OSError):
            remove_tree(folder)


@contextlib.contextmanager
def _leaving_on_termination() -> Iterator[None]:
    """Let SIGTERM leave through the clean-up, where nobody else handles it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
