"""``catalogue.jsonl``, the stimuli that Red may choose from."""

import json

from fuzzing_checks import ACCEPTED, bundle_fault, scratch
from fuzzing_teams import ROWS

from mimicry.activations.stimuli import catalogue_text, read_catalogue


def _lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


ROW = ROWS[0]
VALID = [
    _lines(*ROWS),
    _lines({key: value for key, value in ROW.items() if key != "class_name"}),
    _lines(ROW)[:-1],
    _lines({**ROW, "image_identifier": "é\u202e\n.jpg"}),
]
NASTY = [
    b"",
    b"\n",
    b"{}\n",
    b"[]\n",
    b"[" * 3000,
    b"\xff\n",
    _lines(ROW, ROW),
    _lines(ROW) + b"\n",
    _lines({**ROW, "more": 1}),
    _lines({**ROW, "size": -1}),
    _lines({**ROW, "size": True}),
    _lines({**ROW, "size": 1.5}),
    _lines({**ROW, "sha256": "x"}),
    _lines({**ROW, "sha256": "a" * 64 + "\n"}),
    _lines({**ROW, "dataset_name": "\ud800"}),
    _lines({**ROW, "dataset_name": ""}),
    _lines({**ROW, "class_name": None}),
    _lines({**ROW, "image_identifier": "x" * 9000}),
]
WORDS = [
    *(b'"dataset_name"', b'"image_identifier"', b'"class_name"', b'"sha256"', b'"size"', b"\n"),
    *(b"a" * 64, b"\\ud800", b"null", b"1e999", b"\\u0000"),
]
SHARE = 8


def judge(data: bytes) -> str:
    """Read `data` as a catalogue, check what comes of it and return its outcome."""
    path = scratch("catalogue") / "catalogue.jsonl"
    path.write_bytes(data)
    found, error = bundle_fault(lambda: read_catalogue(path))
    if error is not None:
        return error.code
    assert [json.loads(line)["sha256"] for line in data.split(b"\n") if line] == [
        one.sha256 for one in found
    ]
    path.write_text(catalogue_text(found), encoding="utf-8")
    assert read_catalogue(path) == found
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
