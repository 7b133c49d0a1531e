"""Blue's JSON: from bytes to rows of the registry, beside the published schema."""

import json

from fuzzing_checks import ACCEPTED, submission_fault
from fuzzing_teams import ENTRIES, MODELS, blue_reference, plain_document
from jsonschema import Draft202012Validator

from mimicry.realign import schemas_folder
from mimicry.realign.blue import chosen_models, score_models
from mimicry.realign.documents import submission_object

SCHEMA = Draft202012Validator(
    json.loads((schemas_folder() / "blue.schema.json").read_text(encoding="utf-8"))
)
ONE, OTHER = blue_reference(1), blue_reference(2)


def _file(*models: object, **more: object) -> bytes:
    rows = [{"model_name": one} if isinstance(one, str) else one for one in models]
    return json.dumps({"models": rows, **more}).encode()


STEM = {"model_name": "mixer", "layer_name": "stem"}
VALID = [
    _file("resnet50", "vit_base", STEM),
    _file(
        {"model_name": "vit_base", "source": "timm", "model_parameters": {"img_size": 224}},
        {"model_name": "resnet50", "model_parameters": None, "layer_name": None},
        {"model_name": "mixer", "layer_name": "head"},
        team_name="Team é",
        methodology="x\ny",
        evidence=[1, {"a": None}],
        metadata={"n": 1.5},
    ),
]
NASTY = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"models": ' + b"[" * 2000,
    b'{"models": [], "models": []}',
    b'{"models": [NaN]}',
    b'{"models": [1e999, ' + b"9" * 50 + b"]}",
    b'{"models": [{"model_name": "\\ud800"}]}',
    b'{"models": [{"model_name": "\\u0000"}]}',
    b'{"models": [{"model_name": "res\xff"}]}',
    b"\xff\xfe{\0}\0",
    b'\xef\xbb\xbf{"models": []}',
    b"{'models': []}",
    b'{"models": [],} // so',
    _file("resnet50", "resnet50", STEM),
    _file("resnet50", "resnet50.copy", STEM),
    _file("resnet50", "mixer", STEM),
    _file("r\u0435snet50", "ResNet50 ", "resnet51"),
    _file("x" * 1500, STEM, {"model_name": 3}),
    _file("resnet50"),
    _file(*["nobody"] * 60),
    _file("resnet50", STEM, {"model_name": "vit_base", "model_parameters": {"img_size": True}}),
    _file("resnet50", STEM, {"model_name": "vit_base", "modle": 1}, extra="\u202e"),
    b'{"differentiating_images": [{"dataset_name": "a", "image_identifier": "b"}]}',
]
WORDS = [
    *(b'"models"', b'"model_name"', b'"layer_name"', b'"source"', b'"model_parameters"'),
    *(b'"resnet50"', b'"vit_base"', b'"mixer"', b'"stem"', b'"timm"', b'"team_name"', b"null"),
    *(b"\\ud800", b"\\u0000", b"NaN", b"1e999", b'"differentiating_images"'),
]
SHARE = 10


def judge(data: bytes) -> str:
    """Read `data` as Blue's file, check what comes of it and return its outcome."""
    rows, error = submission_fault(
        lambda: chosen_models(submission_object(data, "team.json"), "team.json", ONE)
    )
    if error is not None:
        _, other = submission_fault(
            lambda: chosen_models(submission_object(data, "team.json"), "team.json", OTHER)
        )
        assert str(other) == str(error), "the error depends on the reference data"
        return error.code
    document = plain_document(data)
    assert document is not None and SCHEMA.is_valid(document), "a score for an invalid document"
    named = [ENTRIES[row] for row in rows]
    assert len(rows) == len(set(rows)) == MODELS
    asked = [(one["model_name"], one.get("layer_name")) for one in document["models"]]
    assert all(
        name == one["model_name"] and layer in (None, one["layer"])
        for (name, layer), one in zip(asked, named, strict=True)
    )
    weights = [one["weights_sha256"] for one in named if "weights_sha256" in one]
    assert len(weights) == len(set(weights)), "the same weights twice"
    scores = score_models(rows, ONE)
    assert 0 <= scores["score"] <= 1 and 0 <= scores["share_of_optimum"] <= 1
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
