"""The registry of models, as the scoring programs read it."""

import json

from fuzzing_checks import ACCEPTED, bundle_fault, scratch
from fuzzing_teams import ENTRIES, entry

from mimicry.activations.entries import entries_of, entry_document
from mimicry.realign.registered import read_blue_registry


def _file(*entries: object) -> bytes:
    return json.dumps(list(entries)).encode()


VALID = [
    _file(*ENTRIES[:2]),
    _file(entry("a", source="custom", entry_point="m.py:f", layer="", pooling="cls+mean")),
    _file({**entry("a", module="x.y"), "preprocess": {**ENTRIES[0]["preprocess"], "resize": None}}),
    _file(entry("a", weights="\x1b[31m\ud800")),
]
NASTY = [
    b"",
    b"[]",
    b"{}",
    b"[" * 3000,
    b"\xff",
    _file(3),
    _file(entry("a"), entry("a")),
    _file(entry("a b")),
    _file(entry("a", source="web")),
    _file(entry("a", source=[])),
    _file(entry("a", pooling={})),
    _file(entry("a", weights="x" * 501)),
    _file(entry("a", weights_sha256="A" * 64)),
    _file(entry("a", entry_point="m:f")),
    _file(entry("a", model_parameters=[])),
    *(
        _file(entry("a", preprocess={"resize": 256, "crop": 224, "mean": [0, 0, 0], **more}))
        for more in (
            {"std": [0, 1, 1]},
            {"std": [1, 1, 1], "crop": 1e999},
            {"std": [1, 1, 1], "crop": 0.5},
            {"std": [1, 1, 1], "resize": True},
            {"std": [1, 1, float("nan")]},
            {"std": [1, 1, 10**400]},
            {"std": "abc"},
            {"std": [1, 1, 1], "aspect": "wide"},
        )
    ),
]
WORDS = [
    *(b'"model_name"', b'"source"', b'"weights"', b'"layer"', b'"pooling"', b'"preprocess"'),
    *(b'"resize"', b'"crop"', b'"mean"', b'"std"', b'"custom"', b'"entry_point"', b'"aspect"'),
    *(b'"squash"', b'"module"', b"null", b"1e999", b"NaN", b"\\ud800", b'"embedding"'),
]
SHARE = 6


def judge(data: bytes) -> str:
    """Read `data` as a registry, check what comes of it and return its outcome."""
    path = scratch("registry") / "registry.json"
    path.write_bytes(data)
    found, error = bundle_fault(lambda: read_blue_registry(path))
    if error is not None:
        return error.code
    assert found.entries and len({(e.model_name, e.layer) for e in found.entries}) == len(found)
    written = [entry_document(one) for one in found.entries]
    assert entries_of(written) == found.entries
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
