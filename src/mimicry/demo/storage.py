"""Demo files on disk: written aside, recorded in a manifest, never in place of foreign data."""

import errno
import fcntl
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mimicry.errors import BundleError
from mimicry.files import sha256_file, write_atomically

RECORDS = "demo_data"
_PART = ".part"
# Faults of the disk or its rights; any other OSError is a bug of ours.
_OUTSIDE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep a second build out of the same folder; the lock ends with the process."""
    folder = output / RECORDS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("wb")
    except OSError as error:
        raise BundleError(
            "demo-folder",
            f"Demo data cannot be written to {output} ({error.strerror}); "
            "choose a folder that you may write to.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    """Write a zip whose bytes depend on the members alone: stored, flat dates, given order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, data)


class Build:
    """One set of files that are made aside and then put in place together.

    A crash before `install` leaves only parts, which the next build removes; a crash
    inside it leaves a pending record, by which the next build knows the files as its own.

    Parameters
    ----------
    output : Path
        The folder that holds ``input_data``, ``reference_data`` and ``demo_data``.
    record : str
        Name of the manifest in ``demo_data``.
    """

    def __init__(self, output: Path, record: str) -> None:
        self.output = output
        self.manifest = output / RECORDS / record
        self.pending = self.manifest.with_suffix(".pending.json")
        self._parts: dict[str, Path] = {}

    def is_complete(self, parameters: Mapping[str, object]) -> dict[str, object] | None:
        """Return the manifest if it has these parameters and every file is as recorded."""
        manifest = _read(self.manifest)
        # Through JSON, since a tuple reads back as a list.
        if manifest is None or manifest.get("parameters") != json.loads(json.dumps(parameters)):
            return None
        for name, digest in _files(manifest).items():
            path = self.output / name
            if not path.is_file() or sha256_file(path) != digest:
                return None
        return manifest

    def check_targets(self, names: Iterable[str]) -> None:
        """Refuse to go on where a file of unknown origin would be overwritten."""
        owned = self._owned()
        for name in names:
            path = self.output / name
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise BundleError(
                    "demo-foreign-file",
                    f"{path} is no plain file; move it away, then run the command again.",
                )
            if path.exists() and sha256_file(path) not in owned.get(name, set()):
                raise BundleError(
                    "demo-foreign-file",
                    f"{path} was not made by this command and would be overwritten; "
                    "move it away, choose another output folder, or pass --force.",
                )

    def part(self, name: str) -> Path:
        """Return the path at which to write a file that later becomes `name`."""
        final = self.output / name
        final.parent.mkdir(parents=True, exist_ok=True)
        aside = final.with_name(f".{final.name}{_PART}")
        self._parts[name] = aside
        return aside

    def clean(self) -> None:
        """Remove the parts that an earlier build left behind."""
        for folder in ("input_data", "reference_data", RECORDS, f"{RECORDS}/train"):
            for leftover in (self.output / folder).glob(f".*{_PART}"):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()

    def install(self, manifest: dict[str, object]) -> dict[str, object]:
        """Put all parts in place and record them; returns the manifest as written."""
        owned = self._owned()
        earlier = _read(self.manifest)
        files = {name: sha256_file(path) for name, path in sorted(self._parts.items())}
        manifest = manifest | {"files": files}
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        write_atomically(self.pending, text)
        for name, path in self._parts.items():
            path.replace(self.output / name)
        for name in _files(earlier or {}):
            stale = self.output / name
            # What somebody changed since is theirs now and stays.
            if name not in files and stale.is_file() and sha256_file(stale) in owned[name]:
                stale.unlink()
        write_atomically(self.manifest, text)
        self.pending.unlink(missing_ok=True)
        return manifest

    def _owned(self) -> dict[str, set[str]]:
        """Return the hashes that any record in this folder has for each file."""
        owned: dict[str, set[str]] = {}
        for path in sorted((self.output / RECORDS).glob("manifest*.json")):
            for name, digest in _files(_read(path) or {}).items():
                owned.setdefault(name, set()).add(digest)
        return owned


def _read(path: Path) -> dict[str, object] | None:
    """Return a manifest's content, None where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _files(manifest: Mapping[str, object]) -> dict[str, str]:
    files = manifest.get("files")
    if not isinstance(files, dict):
        return {}
    return {
        name: digest
        for name, digest in files.items()
        # A record that was edited by hand must not lead outside the folder.
        if isinstance(digest, str) and ".." not in Path(name).parts and not Path(name).is_absolute()
    }
