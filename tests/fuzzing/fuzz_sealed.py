"""Sealed reference data, and what is inside of them once they are open.

An input that begins as the age format does is the sealed file itself; one that begins with
``#`` is a key file; all others are sealed here and then opened, so that they are what
the zip inside holds.
"""

import base64
import functools
import os
import shutil

import pyrage
from fuzzing_checks import ACCEPTED, bundle_fault, scratch

from mimicry.scoring.sealed import SEALED_NAME, open_reference

# Made for this file; it opens nothing else.
KEY = "AGE-SECRET-KEY-14KGDPSRA8RU9DSY8WEK0T966CH2KH50FD2M0K4ELD423W5DUM49SRZ7DMF"
SEALED = base64.b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSAxNXBRSWVPM2xTZ3ZZcHRKdXdOcUE1ZlorK2Q4"
    "S09lWlp6NE1YY1pFejNjCktZR2kvYmhMNjVFMDJUTHRWNC84b1o0Q09SRzE5WUg0WEFSekpRbUd3L0UK"
    "LT4gei1ncmVhc2UgLixDIEpmYiBZClpmSXVtcXlZdEJTZ0tlZzlmOGJiR1ZsM2Vma1VaS0VWc0o0YTln"
    "VQotLS0gcW1yOGlBNCs2aWpNMzN0REVHYlVTbEt2NFlsUUduRnNldHlUS3I0NVNOUQqnRV/ZhJ8u+M4q"
    "pN1JCKDAkQV79lYMV8OZd2W/N+eSlHH7JhLcqsXSKYv1LTFZlSpeLClFG3dWMbyxWP9RgkZz9qno191q"
    "qOzhDdrQdDIJZYmTjrzmDR28JXlU4rEq5sJuhfS7ZiyRmWB4SFE5JheWwhjfCSDOXYRTZ5mBvn2FHMrC"
    "ZmD4ukk6Ip8I3MfQ6K3PZaPssU0F5l5Xww5Sssay9ViX+at7HM6I5NxQ417v3/EF7DFdjYIU6UV9Axpz"
    "IOCl"
)
MAGIC = b"age-encryption.org/v1"


@functools.cache
def identity() -> pyrage.x25519.Identity:
    """Return the key of `SEALED`."""
    return pyrage.x25519.Identity.from_str(KEY)


def inside() -> bytes:
    """Return the zip that `SEALED` holds."""
    return bytes(pyrage.decrypt(SEALED, [identity()]))


VALID = [
    SEALED,
    inside(),
    f"# a key\n{KEY}\n".encode(),
    f"#\r\n\r\n{KEY}".encode(),
    b"PK\x05\x06" + b"\0" * 18,
]
NASTY = [
    b"",
    MAGIC,
    MAGIC + b"\n",
    SEALED[:-1],
    SEALED + b"x",
    SEALED[:60] + b"\0" + SEALED[61:],
    SEALED.replace(b"X25519", b"X25518"),
    inside()[:-5],
    inside().replace(b"val.csv", b"../.csv"),
    inside().replace(b"a.jpg", b"b.jpg"),
    b"#",
    b"#\nAGE-SECRET-KEY-1",
    b"#\n" + KEY[:-1].encode(),
    b"#\n\xff\xfe",
]
WORDS = [b"-> X25519 ", b"--- ", b"\n", MAGIC, b"AGE-SECRET-KEY-1", b"PK\x01\x02", b"PK\x05\x06"]
SHARE = 1
LONGEST = 2048


def judge(data: bytes) -> str:
    """Open `data` with the key, check what comes of it and return its outcome."""
    folder = scratch("sealed")
    reference, target, key = folder / "ref", folder / "opened", folder / "key"
    reference.mkdir(exist_ok=True)
    about_key = data[:1] == b"#"
    sealed = data if data.startswith(MAGIC) else SEALED
    if not about_key and not data.startswith(MAGIC):
        sealed = pyrage.encrypt(data, [identity().to_public()])
    (reference / SEALED_NAME).write_bytes(sealed)
    key.write_bytes(data if about_key else KEY.encode())
    key.chmod(0o600)
    os.environ["MIMICRY_KEY_FILE"] = str(key)
    try:
        _, error = bundle_fault(lambda: open_reference(reference, target, None))
        if error is not None:
            assert KEY[20:] not in error.sentence
            return error.code
        names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*"))
        if sealed is SEALED or data.startswith(MAGIC):
            # Nobody can make another sealed file of these.
            assert names == ["val.csv"]
            assert sealed == SEALED
        assert not any(path.is_symlink() for path in target.rglob("*"))
    finally:
        shutil.rmtree(target, ignore_errors=True)
    left = {path.name for path in folder.iterdir()}
    assert left == {"ref", "key"}, "a file beside the folder"
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
