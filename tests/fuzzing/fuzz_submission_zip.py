"""Zips of participants: raw bytes, or made from a list of names so that all sums are right.

An input that begins with ``#`` is a list, one entry a line:
``name TAB mode in octal TAB content TAB times``. All others are the zip itself.
"""

import contextlib
import functools
import io
import os
import shutil
import stat
import warnings
import zipfile
from pathlib import Path

from fuzzing_checks import ACCEPTED, check_sentence, scratch, submission_fault

from mimicry.codabench.submission_zip import (
    damaged_member,
    is_folder,
    list_members,
    open_zip,
    unpack_submission,
    zip_faults,
)

# What one input may write; the ratio that deflate reaches is about a thousand.
BUDGET = 32 * 1024 * 1024


def made(listing: bytes) -> bytes:
    """Return the zip that a list of entries describes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for line in listing[1:].split(b"\n")[:200]:
            name, mode, content, times = (*line.split(b"\t"), b"", b"", b"", b"")[:4]
            info = zipfile.ZipInfo(name.decode("utf-8", "surrogateescape") or "x")
            # The constructor cuts a name at a NUL; what was written elsewhere may hold one.
            info.filename = name.decode("utf-8", "replace") or "x"
            info.create_system = 3
            with contextlib.suppress(ValueError):
                info.external_attr = (int(mode[:8], 8) & 0xFFFF) << 16
            count = int(times[:6]) if times[:6].isdigit() and times.isascii() else 1
            with contextlib.suppress(ValueError, UnicodeError, OverflowError):
                archive.writestr(info, content[:100] * min(count, 20_000))
    return buffer.getvalue()


@functools.cache
def _plain() -> bytes:
    return made(b"#model.py\t100644\tclass Model: pass\nweights/\t40755\nweights/a.bin\t0\tx\t9")


def _stored() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.py", "class Model:\n    pass\n")
        archive.writestr("metadata", "")
    return buffer.getvalue()


VALID = [
    _stored(),
    _plain(),
    b"#model.py\t100644\tclass Model: pass",
    "#é/ü.py\t100755\tx\n./a\t0\ty\nb/\t40755".encode(),
    b"PK\x05\x06" + b"\0" * 18,
    _stored().replace(b"model.py", b"mod\0l.py"),
]
NASTY = [
    b"",
    b"PK\x03\x04",
    b"Rar!\x1a",
    _stored()[:-10],
    _stored().replace(b"class", b"clasS", 1),
    _stored().replace(b"model.py", b"../../py"),
    _plain().replace(b"PK\x01\x02", b"PK\x01\x03", 1),
    b"#../x\t0\ty",
    b"#/etc/passwd\t0\ty",
    b"#a\\b\t0\ty\nC:x\t0\ty",
    b"#x\t120777\t/etc/passwd",
    b"#x\t10644\t\ny\t20644\t",
    b"#x\t0\ta\nx\t0\tb",
    b"#x\t0\ta\nx/y\t0\tb",
    b"#" + b"a/" * 100 + b"x\t0\ty",
    b"#" + b"n" * 300 + b"\t0\ty",
    b"#\x1b[31m\t0\ty\n\xe2\x80\xae\t0\ty",
    b"#.\t0\ty\n/\t0\ty",
]
WORDS = [
    *(
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"../",
        b"/",
        b"\\",
        b"\t100644\t",
    ),
    *(b"\t120777\t", b"\t40755\t", b"model.py", b"\n", b"\0", b"\xe2\x80\xae", b"./", b"C:"),
]
SHARE = 2
LONGEST = 4096


def judge(data: bytes) -> str:
    """Unpack `data` as a submission, check what comes of it and return its outcome."""
    folder = scratch("zips")
    path, target = folder / "submission.zip", folder / "unpacked"
    path.write_bytes(made(data) if data[:1] == b"#" else data)
    archive, error = submission_fault(lambda: open_zip(path))
    if error is not None:
        return error.code
    with archive:
        for fault in zip_faults(path, archive):
            check_sentence(fault.sentence, 10_000)
        listed = list_members(archive)
        damaged, complete = damaged_member(archive, BUDGET)
        try:
            _, error = submission_fault(lambda: unpack_submission(path, target))
            written = _written(target)
            if error is not None:
                return error.code
            assert damaged is None and complete
            assert dict(listed) == {name: len(content) for name, content in written.items()}
            for entry in archive.infolist():
                if not is_folder(entry):
                    name = "/".join(p for p in entry.filename.split("/") if p not in ("", "."))
                    assert written[name] == archive.read(entry)
        finally:
            shutil.rmtree(target, ignore_errors=True)
    assert [one.name for one in folder.iterdir()] == ["submission.zip"], "a file beside the folder"
    return ACCEPTED


def _written(target: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for here, folders, files in os.walk(target):
        for name in [*folders, *files]:
            status = (Path(here) / name).lstat()
            assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode), name
            assert not status.st_mode & 0o111 or stat.S_ISDIR(status.st_mode)
        for name in files:
            path = Path(here) / name
            found[path.relative_to(target).as_posix()] = path.read_bytes()
    assert sum(map(len, found.values())) <= BUDGET
    return found


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
