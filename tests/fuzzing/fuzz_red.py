"""Red's JSON: from bytes to rows of the catalogue, beside the published schema."""

import json
import math

from fuzzing_checks import ACCEPTED, submission_fault
from fuzzing_teams import ROWS, STIMULI, plain_document, red_reference
from jsonschema import Draft202012Validator

from mimicry.realign import schemas_folder
from mimicry.realign.documents import submission_object
from mimicry.realign.red import chosen_images, score_images

SCHEMA = Draft202012Validator(
    json.loads((schemas_folder() / "red.schema.json").read_text(encoding="utf-8"))
)
ONE, OTHER = red_reference(1), red_reference(2)
KEYS = ("dataset_name", "image_identifier")


def _file(*rows: int, key: str = "differentiating_images", **more: object) -> bytes:
    return json.dumps({key: [{k: ROWS[row][k] for k in KEYS} for row in rows], **more}).encode()


VALID = [_file(0, 1, 4, 6), _file(7, 2, 3, 0, key="images", team_name="T", rationale="x")]
NASTY = [
    b"",
    b"{}",
    b'"images"',
    _file(0, 1, 2),
    _file(0, 1, 2, 2),
    _file(0, 1, 6, 7),
    _file(0, 1, 2, 3, images=[]),
    b'{"images": [{"dataset_name": "../../ref", "image_identifier": "/etc/passwd"}]}',
    b'{"images": [{"dataset_name": "Imagenet", "image_identifier": "n0/0.jpg"}]}',
    b'{"images": [{"dataset_name": "imagenet", "image_identifier": "n0/0.jpeg"}]}',
    b'{"images": [{"dataset_name": "imagenet", "image_identifier": "n\\u0660/0.jpg"}, 3, null]}',
    b'{"images": {"dataset_name": 1}}',
    b'{"images": [' + b'{"dataset_name": "x", "image_identifier": "y"},' * 60 + b"{}]}",
    b'{"models": [{"model_name": "resnet50"}]}',
    b'{"images": "\\ud83d", "team_name": ""}',
    b'{"images": [[[[[' + b"[" * 60,
    b'{"images": [{"dataset_name": "a\\u001b[31m", "image_identifier": "\x7f"}]}',
]
WORDS = [
    *(b'"images"', b'"differentiating_images"', b'"dataset_name"', b'"image_identifier"'),
    *(b'"imagenet"', b'"objectnet"', b'"n0/0.jpg"', b'"n1/1.jpg"', b'"n2/2.jpg"', b'"n0/3.jpg"'),
    *(b'"n1/4.jpg"', b"\\ud800", b"\\u0000", b"NaN", b'"team_name"', b"null"),
]
SHARE = 10


def judge(data: bytes) -> str:
    """Read `data` as Red's file, check what comes of it and return its outcome."""
    rows, error = submission_fault(
        lambda: chosen_images(submission_object(data, "team.json"), "team.json", ONE)
    )
    if error is not None:
        _, other = submission_fault(
            lambda: chosen_images(submission_object(data, "team.json"), "team.json", OTHER)
        )
        assert str(other) == str(error), "the error depends on the reference data"
        return error.code
    document = plain_document(data)
    assert document is not None and SCHEMA.is_valid(document), "a score for an invalid document"
    asked = document.get("images", document.get("differentiating_images"))
    assert asked == [{key: ROWS[row][key] for key in KEYS} for row in rows]
    assert len({ROWS[row]["sha256"] for row in rows}) == len(rows) == STIMULI
    if len(data) % 8 == 0:
        assert all(math.isfinite(value) for value in score_images(rows, ONE).values())
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
