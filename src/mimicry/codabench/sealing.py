"""Seals reference data before they leave this machine: age encryption for public recipients.

What opens them is `mimicry.scoring.sealed`; here are keys, sealing, and what can be told of
sealed data without a key.
"""

import os
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mimicry.codabench.submission_zip import ZIP_FAULTS
from mimicry.codabench.zips import Content
from mimicry.errors import BundleError, one_line
from mimicry.files import UnusableFile, is_clutter, read_regular_file
from mimicry.scoring.sealed import SEALED_NAME

LARGEST_LIST = 64 * 1024
LARGEST_HEADER = 64 * 1024
# Files up to this size are searched for secret keys.
LARGEST_SEARCHED = 1024 * 1024
MOST_RECIPIENTS = 20
# Characters of what was named that an error repeats.
_SHOWN = 80

_KEY = re.compile(rb"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{50}", re.IGNORECASE)
_MAGIC = b"age-encryption.org/v1\n"
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n(?:-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*"
    rb"[A-Za-z0-9+/]{0,63}\n)+--- [A-Za-z0-9+/]{43}\n"
)
_STANZA = re.compile(rb"^-> X25519 [A-Za-z0-9+/]{43}$", re.MULTILINE)
# Of the format: a nonce, then parts of 64 KiB with a tag each, one at least.
_NONCE, _PART, _TAG = 16, 64 * 1024, 16
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


def new_key(path: Path) -> str:
    """Make a key, write it as ``age-keygen`` does, and return its public recipient.

    Parameters
    ----------
    path : Path
        New; only its owner can read it (mode 0600).

    Raises
    ------
    BundleError
        `seal-key-taken` where something stands at `path`: a key that is lost cannot be
        made again. `seal-key-unwritable`.
    """
    from pyrage import x25519

    identity = x25519.Identity.generate()
    recipient = str(identity.to_public())
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = one_line(str(path), _SHOWN)
    text = f"# created: {created}\n# public key: {recipient}\n{identity}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise BundleError(
            "seal-key-taken",
            f"{shown} is there already, and a key that is overwritten is lost with all data sealed "
            "for it. Name another file.",
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BundleError(
            "seal-key-unwritable",
            f"{shown} cannot be written ({reason}). Name another file.",
        ) from error
    return recipient


def shared_folder(path: Path) -> str | None:
    """Return in words which Git repository or bundle a file lies in; None outside of any."""
    for folder in path.resolve().parents:
        for name, words in ((".git", "the Git repository"), ("competition.yaml", "the bundle")):
            if os.path.lexists(folder / name):
                return f"{words} {folder}"
    return None


def read_recipients(named: Iterable[str]) -> tuple[Any, ...]:
    """Return the recipients that `mimicry pack --seal` names, each once.

    Parameters
    ----------
    named : iterable of str
        Each ``age1...``, or a file with such lines; comments (#) and blank lines are
        ignored.

    Raises
    ------
    BundleError
        `seal-recipient` for anything else, a secret key among it, which is never repeated.
    """
    from pyrage import RecipientError, x25519

    found: dict[str, Any] = {}
    for value in named:
        secret = _KEY.search(value.encode(errors="replace"))
        shown = "a secret key" if secret else one_line(value, _SHOWN) or "an empty name"
        for line in _recipient_lines(value, shown):
            try:
                found[line] = x25519.Recipient.from_str(line)
            except (RecipientError, UnicodeEncodeError):
                raise BundleError(
                    "seal-recipient",
                    f"{shown} is no recipient that starts with age1, and no file with such "
                    "lines. `mimicry seal-key FILE` makes a key and prints its recipient.",
                ) from None
    if len(found) > MOST_RECIPIENTS:
        raise BundleError(
            "seal-recipient",
            f"There are {len(found)} recipients; leave {MOST_RECIPIENTS} at most.",
        )
    return tuple(found.values())


def _recipient_lines(value: str, shown: str) -> list[str]:
    if value.startswith("age1"):
        return [value.strip()]
    try:
        content = read_regular_file(Path(value), LARGEST_LIST)
    except (UnusableFile, OSError, ValueError) as fault:
        said = fault if isinstance(fault, UnusableFile) else "cannot be opened"
        raise BundleError(
            "seal-recipient",
            f"{shown} is no recipient (age1...), and as a file it {said}. `mimicry seal-key FILE` "
            "makes a key and prints its recipient.",
        ) from None
    if _KEY.search(content) or _KEY.search(value.encode(errors="replace")):
        raise BundleError(
            "seal-recipient",
            "This is the secret key, which stays where the data are opened. Name its recipient, "
            "the age1... in the file's comment `public key`.",
        )
    lines = [line.strip() for line in content.decode("utf-8-sig", "replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise BundleError(
            "seal-recipient", f"{shown} holds no recipient; write one age1... line for each."
        )
    return lines


def seal_zip(plain: Path, target: Path, recipients: Sequence[Any]) -> None:
    """Write a zip that holds `plain` encrypted as its only file, and check it.

    Streams: memory does not grow with the data. Nothing of `plain` but its size can be
    told from the zip without a key; two zips of the same data differ.

    Parameters
    ----------
    plain : Path
        A zip with reference data.
    target : Path
        New, or replaced.
    recipients : sequence
        What `read_recipients` returns; each one's key opens the data.

    Raises
    ------
    BundleError
        `zip-unwritable` where there is no room, `zip-broken` where what was written is not
        what was meant.
    """
    import pyrage

    info = zipfile.ZipInfo(SEALED_NAME, _EPOCH)
    info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    size = plain.stat().st_size
    info.file_size = _sealed_size(size) + LARGEST_HEADER
    try:
        with (
            plain.open("rb", buffering=_CHUNK) as source,
            zipfile.ZipFile(target, "w") as archive,
            archive.open(info, "w") as file,
        ):
            pyrage.encrypt_io(source, file, list(recipients))
    except OSError as error:
        raise BundleError(
            "zip-unwritable",
            f"The sealed reference data cannot be written ({error.strerror or error}); make room "
            "where temporary files go, or set TMPDIR.",
        ) from error
    with target.open("rb") as file:
        fault = sealed_fault(file, size)
    if fault is not None:
        raise BundleError(
            "zip-broken",
            f"The sealed reference data did not read back as written: {SEALED_NAME} {fault}; check "
            "the disk and pack again.",
        )


def is_sealed(path: Path | None) -> bool:
    """Tell whether reference data, a zip or a folder, hold a sealed file and nothing else."""
    if path is None:
        return False
    try:
        if path.is_dir():
            names = [entry.name for entry in path.iterdir()]
        elif path.is_file():
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        else:
            return False
    except ZIP_FAULTS:
        return False
    return [name for name in names if not is_clutter(name)] == [SEALED_NAME]


def sealed_fault(file: IO[bytes], plain_size: int | None = None) -> str | None:
    """Return what is wrong with a zip of sealed data, to follow the name of what it holds.

    Without a key only the form can be looked at: the file's name, its header, at least one
    recipient, a length that encrypted data can have.

    Parameters
    ----------
    file : binary file
        The zip.
    plain_size : int, optional
        Bytes that were sealed, where it is known.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if [info.filename for info in infos] != [SEALED_NAME]:
                return "is not alone in it"
            with archive.open(infos[0]) as sealed:
                begin = sealed.read(LARGEST_HEADER)
            return header_fault(begin, infos[0].file_size, plain_size)
    except ZIP_FAULTS:
        return "cannot be read"


def header_fault(begin: bytes, size: int, plain_size: int | None = None) -> str | None:
    """Return what is wrong with a sealed file of `size` bytes by its first bytes, if anything."""
    if not begin.startswith(_MAGIC):
        return "is not encrypted in the age format"
    header = _HEADER.match(begin)
    if header is None:
        return "has a damaged header"
    if not _STANZA.search(header[0]):
        return "is not sealed for a recipient (age1...)"
    left = size - header.end() - _NONCE
    parts = -(-left // (_PART + _TAG))
    last = left - (parts - 1) * (_PART + _TAG)
    if left < _TAG or last < _TAG + (parts > 1):
        return "was cut"
    if plain_size is not None and left - parts * _TAG != plain_size:
        return "has another length than it must have"
    return None


def check_no_keys(members: Mapping[str, Content]) -> None:
    """Refuse small files that hold a secret key among what is packed.

    Raises
    ------
    BundleError
        `seal-key-inside`.
    """
    for name, content in members.items():
        if isinstance(content, Path):
            content = content.read_bytes() if content.stat().st_size <= LARGEST_SEARCHED else b""
        if _KEY.search(content):
            raise BundleError(
                "seal-key-inside",
                f"{name} holds a secret key (AGE-SECRET-KEY-1...), and whatever is packed can be "
                "read by others. Take it out; make a new key if this was uploaded before.",
            )


def _sealed_size(plain: int) -> int:
    return _NONCE + plain + _TAG * max(1, -(-plain // _PART))
