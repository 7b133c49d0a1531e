"""Demo files on disk: written aside, recorded in a manifest, never in place of foreign data."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from mimicry.demo.interrupts import uninterrupted
from mimicry.errors import BundleError
from mimicry.files import sha256_file, sync_folder, write_atomically

RECORDS = "demo_data"
LOCK = ".lock"
# The training set once more, in the form in which participants download it.
PUBLIC = "public_data/hybrids.zip"
FOLDERS = ("input_data", "reference_data", "public_data", RECORDS, f"{RECORDS}/train")
# The comment of every zip: this and the SHA-256 of the zip as it is without a comment.
# It tells a demo zip from any other, and from one that was edited, without a record.
_MARK = b"Mimicry demo data "
_PART = ".part"
# Faults of the disk or its rights; any other OSError is a bug of ours.
_OUTSIDE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep a second build out of the same folder; the lock ends with the process."""
    folder = output / RECORDS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("wb")
    except OSError as error:
        raise BundleError(
            "demo-folder",
            f"Demo data cannot be written to {output} ({error.strerror}); "
            "choose a folder that you may write to.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another file, or none, if the data were cleaned between opening and locking.
            if not os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        except OSError as error:
            raise BundleError(
                "demo-busy",
                f"Another process is writing demo data to {output}; wait until it has ended.",
            ) from error
        try:
            yield
        except OSError as error:
            if error.errno not in _OUTSIDE:
                raise
            raise BundleError(
                "demo-folder",
                f"Writing demo data to {output} failed ({error.strerror}); "
                "make room or choose another folder, then run the command again.",
            ) from error


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip whose bytes depend on the members alone: stored, flat dates, given order.

    Its comment marks it as made here, see `is_demo_zip`. It is on the disk when this returns.
    """
    with path.open("w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in members:
                info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                info.create_system = 3
                archive.writestr(info, data)
        # The last field of a zip is the length of its comment, in two bytes.
        end = file.seek(-2, os.SEEK_END)
        comment = _MARK + _digest_of_first(end, file)
        file.seek(end)
        file.write(len(comment).to_bytes(2, "little") + comment)
        file.flush()
        os.fsync(file.fileno())


def is_demo_zip(path: Path) -> bool:
    """Tell whether `write_zip` made this file and nobody changed it since."""
    with path.open("rb") as file:
        length = len(_MARK) + 64
        end = file.seek(0, os.SEEK_END) - length - 2
        if end < 0:
            return False
        file.seek(end)
        field, comment = file.read(2), file.read(length)
        if field != length.to_bytes(2, "little") or not comment.startswith(_MARK):
            return False
        return comment[len(_MARK) :] == _digest_of_first(end, file)


def _digest_of_first(count: int, file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while count:
        block = file.read(min(count, 1 << 20))
        if not block:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        digest.update(block)
        count -= len(block)
    return digest.hexdigest().encode("ascii")


class Build:
    """One set of files that are made aside and then put in place together.

    Used as a context: when it fails, its parts are removed. A crash before `install`
    leaves only parts, which the next build removes; a crash inside it leaves a pending
    record, by which the next build knows the files as its own. Zips and records are on
    the disk before they get their names; a single image that a power cut damaged does
    not match its recorded hash and is drawn again.

    Parameters
    ----------
    output : Path
        The folder that holds ``input_data``, ``reference_data``, ``public_data`` and
        ``demo_data``.
    record : str
        Name of the manifest in ``demo_data``.
    """

    def __init__(self, output: Path, record: str) -> None:
        self.output = output
        self.manifest = output / RECORDS / record
        self.pending = self.manifest.with_suffix(".pending.json")
        self.kept: dict[str, str] = {}
        self._parts: dict[str, Path] = {}

    def __enter__(self) -> Self:
        """Remove what an earlier build left behind."""
        self.clean()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the parts of a build that failed; its own error matters more than theirs."""
        if kind is not None:
            with suppress(OSError), uninterrupted():
                self.clean()

    def keep(
        self, parameters: Mapping[str, object], needed: Iterable[str] = ()
    ) -> dict[str, object] | None:
        """Note in `kept` which files are as recorded for these parameters.

        Returns the manifest if these are all of them, with all that are `needed` among
        them, and None otherwise.
        """
        manifest = read_record(self.manifest)
        # Through JSON, since a tuple reads back as a list.
        if manifest is None or manifest.get("parameters") != json.loads(json.dumps(parameters)):
            return None
        files = recorded_files(manifest)
        for name, digest in files.items():
            path = self.output / name
            if path.is_file() and sha256_file(path) == digest:
                self.kept[name] = digest
        whole = bool(files) and self.kept == files and all(name in files for name in needed)
        return manifest if whole else None

    def check_targets(self, names: Iterable[str]) -> None:
        """Refuse to go on where a file of unknown origin would be overwritten."""
        owned = owned_files(self.output)
        for name in names:
            path = self.output / name
            if name in self.kept:
                continue
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise BundleError(
                    "demo-foreign-file",
                    f"{path} is no plain file; move it away, then run the command again.",
                )
            if path.exists() and not is_ours(path, owned.get(name, {})):
                raise BundleError(
                    "demo-foreign-file",
                    f"{path} was not made by this command and would be overwritten; "
                    "move it away, choose another output folder, or pass --force.",
                )

    def displaced(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Return which of these files another record describes as they are now, by record."""
        owned = owned_files(self.output)
        found: dict[str, list[str]] = {}
        for name in names:
            path = self.output / name
            if name in self.kept or name not in owned or not path.is_file():
                continue
            for record in owned[name].get(sha256_file(path), ()):
                if record not in {self.manifest.name, self.pending.name}:
                    found.setdefault(record, []).append(name)
        return found

    def part(self, name: str) -> Path:
        """Return the path at which to write a file that later becomes `name`."""
        final = self.output / name
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = final.with_name(f".{final.name}{_PART}")
        self._parts[name] = aside
        return aside

    def whole(self, name: str) -> Path:
        """Return where `name` can be read now: kept in its place, or written aside."""
        return self._parts[name] if name in self._parts else self.output / name

    def clean(self) -> None:
        """Remove the parts that this or an earlier build left behind."""
        for leftover in leftovers(self.output):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    def install(self, manifest: dict[str, object]) -> dict[str, object]:
        """Put all parts in place and record them with what is kept; returns the manifest."""
        owned = owned_files(self.output)
        earlier = recorded_files(read_record(self.manifest) or {})
        made = {name: sha256_file(path) for name, path in self._parts.items()}
        files = dict(sorted((self.kept | made).items()))
        manifest = manifest | {"files": files}
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        with uninterrupted():
            write_atomically(self.pending, text)
            for name, path in self._parts.items():
                path.replace(self.output / name)
            for name in earlier:
                stale = self.output / name
                # What somebody changed since is theirs now and stays.
                if name not in files and stale.is_file() and is_ours(stale, owned[name]):
                    stale.unlink()
            for folder in {(self.output / name).parent for name in files}:
                sync_folder(folder)
            write_atomically(self.manifest, text)
            self.pending.unlink(missing_ok=True)
        return manifest


def leftovers(output: Path) -> list[Path]:
    """Return the parts of builds that were ended from outside."""
    return [path for folder in FOLDERS for path in (output / folder).glob(f".*{_PART}")]


def records(output: Path) -> list[Path]:
    """Return the manifests in a folder, pending ones included."""
    return sorted((output / RECORDS).glob("manifest*.json"))


def owned_files(output: Path) -> dict[str, dict[str, list[str]]]:
    """Return, for each recorded file, its hashes and the names of the records that have them."""
    owned: dict[str, dict[str, list[str]]] = {}
    for path in records(output):
        for name, digest in recorded_files(read_record(path) or {}).items():
            owned.setdefault(name, {}).setdefault(digest, []).append(path.name)
    return owned


def is_ours(path: Path, digests: Iterable[str]) -> bool:
    """Tell whether a file is as one of the records has it, or is a demo zip by its mark."""
    return sha256_file(path) in digests or (path.suffix == ".zip" and is_demo_zip(path))


def read_record(path: Path) -> dict[str, object] | None:
    """Return a manifest's content, None where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def recorded_files(manifest: Mapping[str, object]) -> dict[str, str]:
    """Return the files of a manifest and their hashes."""
    files = manifest.get("files")
    if not isinstance(files, dict):
        return {}
    return {
        name: digest
        for name, digest in files.items()
        # A record that was edited by hand must not lead to files of others.
        if isinstance(digest, str) and Path(name).parent.as_posix() in FOLDERS
    }
