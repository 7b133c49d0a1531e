"""An array of Blue's reference data: the header first, then every value."""

import io
import json
from pathlib import Path

import numpy as np
from fuzzing_checks import ACCEPTED, bundle_fault, scratch
from fuzzing_teams import ENTRIES, blue_reference

from mimicry.realign.reference import read_blue_reference

GOOD = blue_reference(1)
_RULES = {
    **{"competition": "blue", "rule": "mean_cka", "count": 3},
    "optimum": {"value": 0.9, "upper_bound": 1.0, "proved": True},
}


def _array(array: object, version: tuple[int, int] | None = None) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), version=version)
    return buffer.getvalue()


def _header(text: str, rest: bytes = b"\0" * 200) -> bytes:
    line = (text + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + rest


_CKA = GOOD.cka
_HEAD = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"
VALID = [_array(_CKA), _array(_CKA, (2, 0)), _array(np.asfortranarray(_CKA)), _array(_CKA * 0)]
NASTY = [
    b"",
    b"\x93NUMPY",
    _array(_CKA)[:-8],
    _array(_CKA.astype(np.float32)),
    _array(_CKA.astype(">f8")),
    _array(_CKA[:2]),
    _array(_CKA * np.nan),
    _array(_CKA * 2),
    _array(np.triu(_CKA)),
    _array(_CKA - np.eye(len(_CKA)) / 2),
    _header(_HEAD % "(9223372036854775807, 9223372036854775807)"),
    _header(_HEAD % "(-1, 5)"),
    _header(_HEAD % "(5, 5"),
    _header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n"),
    _header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (5, 5), }"),
    _header("(" * 900),
    _header("__import__('os')"),
    b"PK\x05\x06" + b"\0" * 18,
]
WORDS = [
    b"\x93NUMPY\x01\x00",
    b"'descr'",
    b"'<f8'",
    b"'|O'",
    b"'shape'",
    b"(5, 5)",
    b"(5,)",
    b"True",
]
SHARE = 3
LONGEST = 1024


def _folder() -> Path:
    folder = scratch("matrix")
    if not (folder / "rules.json").exists():
        (folder / "registry.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
        np.save(folder / "cka_unbiased.npy", GOOD.cka_unbiased)
        np.save(folder / "replicates.npy", GOOD.replicates)
        (folder / "rules.json").write_text(json.dumps(_RULES), encoding="utf-8")
    return folder


def judge(data: bytes) -> str:
    """Read `data` as the similarities, check what comes of it and return its outcome."""
    folder = _folder()
    (folder / "cka.npy").unlink(missing_ok=True)
    (folder / "cka.npy").write_bytes(data)
    found, error = bundle_fault(lambda: read_blue_reference(folder))
    if error is not None:
        return error.code
    plain = np.load(io.BytesIO(data), allow_pickle=False)
    assert np.array_equal(found.cka, plain) and found.cka.shape == (len(ENTRIES),) * 2
    assert np.isfinite(found.cka).all() and abs(found.cka - found.cka.T).max() <= 1e-9
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
