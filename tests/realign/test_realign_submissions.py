"""The form of submissions, their names, and that the published schemas say the same."""

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from realign_stage import CATALOGUE, REGISTRY, blue, entry, red

import mimicry.realign
from mimicry.activations.entries import entries_of
from mimicry.activations.stimuli import Stimulus
from mimicry.errors import SubmissionError
from mimicry.realign import schemas_folder
from mimicry.realign.catalogue import Catalogue, check_images
from mimicry.realign.names import KnownNames, fold
from mimicry.realign.registered import Registry, check_models, read_blue_registry
from mimicry.realign.submissions import (
    MOST_GUESSES,
    MOST_KEPT,
    Fault,
    Faults,
    read_blue,
    read_red,
    refuse_wrong_team,
    team_of,
)
from mimicry.reports.catalogue import REALIGN, find

SCHEMAS = {
    team: json.loads((schemas_folder() / f"{team}.schema.json").read_text())
    for team in ("blue", "red")
}
REAL = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "realign" / "model_registry_2026.json"
)
MODELS = Registry(entries_of(REGISTRY))
STIMULI = Catalogue([Stimulus(**row) for row in CATALOGUE])


def faults_of_blue(document: dict[str, Any], count: int | None = None) -> list[Fault]:
    faults = Faults()
    check_models(read_blue(document, faults), MODELS, count, faults)
    assert len(faults.kept) == faults.count
    return faults.kept


def faults_of_red(document: dict[str, Any], count: int | None = None) -> list[Fault]:
    faults = Faults()
    check_images(read_red(document, faults), STIMULI, count, faults)
    assert len(faults.kept) == faults.count
    return faults.kept


@pytest.mark.parametrize("team", ["blue", "red"])
def test_the_schemas_are_schemas(team: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[team])


KEYS = st.sampled_from(
    [
        "models",
        "images",
        "differentiating_images",
        "team_name",
        "methodology",
        "rationale",
        "evidence",
        "metadata",
        "notes",
    ]
)
ROW_KEYS = st.sampled_from(
    [
        "model_name",
        "source",
        "model_parameters",
        "layer_name",
        "dataset_name",
        "image_identifier",
        "index",
    ]
)
TEXT = st.sampled_from(["", "a", "resnet50", "x" * 100, "x" * 101, "é"])
SCALAR = st.none() | st.booleans() | st.integers(-1, 1) | st.floats(-1, 1) | TEXT
ANY = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(TEXT, SCALAR, max_size=2)
ROWS = st.lists(
    st.dictionaries(ROW_KEYS, TEXT | ANY, max_size=4)
    | st.fixed_dictionaries(
        {"model_name": TEXT}, optional={"model_parameters": ANY, "source": ANY, "layer_name": ANY}
    )
    | st.fixed_dictionaries({"dataset_name": TEXT, "image_identifier": TEXT})
    | SCALAR,
    max_size=3,
)
DOCUMENTS = (
    st.dictionaries(KEYS, ROWS | ANY, max_size=4)
    | st.fixed_dictionaries(
        {"models": ROWS},
        optional=dict.fromkeys(("team_name", "methodology", "evidence", "metadata"), ANY),
    )
    | st.fixed_dictionaries(
        {"images": ROWS}, optional={"differentiating_images": ROWS, "rationale": ANY}
    )
)


@settings(max_examples=500)
@given(DOCUMENTS)
def test_the_reader_and_the_schema_agree(document: dict[str, Any]) -> None:
    for team, read in (("blue", read_blue), ("red", read_red)):
        faults = Faults()
        read(document, faults)
        assert Draft202012Validator(SCHEMAS[team]).is_valid(document) == (not faults.count)


GOOD = [
    ("blue", blue("a", {"model_name": "b", "source": "ssl", "model_parameters": None})),
    ("blue", blue({"model_name": "b", "layer_name": None, "source": None})),
    ("blue", blue({"model_name": "b", "layer_name": "norm", "model_parameters": {"x": [1]}})),
    ("blue", blue("a", team_name="T", methodology="m", rationale="", evidence=[1], metadata={})),
    ("red", red([1, 2], metadata={"n_images": 2, "proxy_models": ["a"], "predicted_score": 0.5})),
    ("red", red([1], key="images", evidence={"figure": 1})),
]


@pytest.mark.parametrize(("team", "document"), GOOD)
def test_the_forms_of_both_years_are_taken(team: str, document: dict[str, Any]) -> None:
    assert team_of(document) == team
    assert Draft202012Validator(SCHEMAS[team]).is_valid(document)
    faults = Faults()
    (read_blue if team == "blue" else read_red)(document, faults)  # type: ignore[operator]
    faults.refuse("team.json")
    refuse_wrong_team(document, team, "team.json")  # type: ignore[arg-type]


BLUE_FAULTS = [
    (blue("resnet5O", "mixer_b"), "unknown-model", 'models[0].model_name "resnet5O"'),
    (blue("resnet5O", "resnet50d"), "unknown-model", 'perhaps "resnet50" is meant'),
    (blue("resnеt50", "resnet50d"), "unknown-model", "U+0435 CYRILLIC SMALL LETTER IE: write"),
    (blue("ｒesnet50", "resnet50d"), "unknown-model", "U+FF52 FULLWIDTH LATIN SMALL LETTER R"),
    (blue("resnet\u200b50", "resnet50d"), "unknown-model", "U+200B ZERO WIDTH SPACE"),
    (blue("ResNet50 ", "resnet50d"), "unknown-model", 'case and spaces count: write "resnet50"'),
    (blue("x" * 10_000, "resnet50d"), "unknown-model", "… (10,000 characters)"),
    (blue("../../etc/passwd", "resnet50d"), "unknown-model", "is not in the registry"),
    (
        blue({"model_name": "resnet50", "layer_name": "fc"}, "resnet50d"),
        "wrong-layer",
        'models[0].layer_name is "fc", but the registry has "head.global_pool" for resnet50',
    ),
    (
        blue({"model_name": "mixer", "layer_name": "fc"}, "resnet50d"),
        "wrong-layer",
        '"head.global_pool" or "stem"',
    ),
    (blue("mixer", "resnet50d"), "layer-missing", 'write "head.global_pool" or "stem"'),
    (
        blue({"model_name": "resnet50", "source": "torchvision"}, "resnet50d"),
        "wrong-source",
        'models[0].source is "torchvision", but the registry has resnet50 from "timm"',
    ),
    (
        blue("resnet50", {"model_name": "vit_base", "model_parameters": {"img_size": True}}),
        "wrong-parameters",
        'models[1].model_parameters differ from the registry\'s for vit_base ({"img_size": 224})',
    ),
    (
        blue("resnet50d", {"model_name": "resnet50", "model_parameters": {"x": 1}}),
        "wrong-parameters",
        "(none)",
    ),
    (
        blue("resnet50", "resnet50d", "resnet50"),
        "duplicate-model",
        'models[2] names "resnet50" again, which models[0] names',
    ),
    (
        blue("resnet50", "vit_base.copy"),
        "same-weights",
        "models[1] (vit_base.copy) has the same weights as models[0]",
    ),
    (
        blue(
            {"model_name": "mixer", "layer_name": "stem"},
            {"model_name": "mixer", "layer_name": "head.global_pool"},
        ),
        "same-weights",
        "models[1] (mixer) has the same weights as models[0]",
    ),
    (blue("resnet50"), "wrong-count", "`models` names 1; name 2 or more"),
    ({"model": []}, "unknown-key", 'has the unknown key "model"; perhaps "models" is meant'),
]


@pytest.mark.parametrize(("document", "code", "part"), BLUE_FAULTS)
def test_faults_of_blue(document: dict[str, Any], code: str, part: str) -> None:
    found = [fault.sentence for fault in faults_of_blue(document) if fault.code == code]
    assert any(part in sentence for sentence in found), faults_of_blue(document)
    # Nothing else is wrong with most of them.
    others = {fault.code for fault in faults_of_blue(document)} - {code}
    assert others <= {"unknown-model", "missing-key"}


def test_blue_counts() -> None:
    document = blue("resnet50", "resnet50d")
    assert faults_of_blue(document, 2) == [] == faults_of_blue(document)
    (fault,) = faults_of_blue(document, 3)
    assert fault == Fault("wrong-count", "`models`", "names 2; name exactly 3")


def test_rows_of_the_registry_come_in_the_order_of_the_submission() -> None:
    faults = Faults()
    document = blue("vit_base", {"model_name": "mixer", "layer_name": "stem"}, "resnet50")
    assert check_models(read_blue(document, faults), MODELS, 3, faults) == (2, 5, 0)
    assert not faults.count


def image(dataset: str, identifier: str) -> dict[str, Any]:
    return {"images": [{"dataset_name": dataset, "image_identifier": identifier}]}


FIRST = CATALOGUE[0]["image_identifier"]
RED_FAULTS = [
    (image("imagenet_val", FIRST[:-1]), "unknown-stimulus", f'perhaps "{FIRST}" is meant'),
    (image("imagenet_val", FIRST.lower()), "unknown-stimulus", f'write "{FIRST}"'),
    (image("imagenet_va1", FIRST), "unknown-stimulus", 'perhaps "imagenet_val" is meant'),
    (image("objectnet", FIRST), "unknown-stimulus", "is not in the catalogue's objectnet"),
    (
        image("imagenet_val", "../../../etc/passwd"),
        "unknown-stimulus",
        "images[0].image_identifier",
    ),
    (image("imagenet_val", "/dev/zero"), "unknown-stimulus", "is not in the catalogue's"),
    (image("imagenet_val", "x" * 100_000), "unknown-stimulus", "… (100,000 characters)"),
    (red([3, 4, 3]), "duplicate-stimulus", "[2] names "),
    (
        red([37, 38, 39]),
        "same-image",
        "is the same image, by its SHA-256, as differentiating_images[1]",
    ),
    (red([1]) | red([2], key="images"), "both-keys", "mean the same; keep one of them"),
    ({"images": []}, "wrong-type", "must be a list of at least one object"),
    ({"images": ["a"]}, "wrong-type", 'images[0] must be an object with "dataset_name"'),
    ({"images": [{"dataset_name": "a"}]}, "missing-key", 'images[0] has no key "image_identifier"'),
    (
        {"images": [{"dataset_name": 1, "image_identifier": "b"}]},
        "wrong-type",
        "[0].dataset_name must",
    ),
    (
        {"image": []},
        "missing-key",
        'the key "differentiating_images", a list of stimuli, is missing',
    ),
]


@pytest.mark.parametrize(("document", "code", "part"), RED_FAULTS)
def test_faults_of_red(document: dict[str, Any], code: str, part: str) -> None:
    found = [fault.sentence for fault in faults_of_red(document) if fault.code == code]
    assert any(part in sentence for sentence in found), faults_of_red(document)


def test_red_rows_have_exactly_their_keys() -> None:
    document = red([1, 2])
    document["differentiating_images"][1]["path"] = "x"
    (fault,) = faults_of_red(document)
    assert fault.code == "unknown-key" and fault.where == "differentiating_images[1]"


def test_all_faults_come_in_one_line_and_are_counted() -> None:
    faults = Faults()
    document = blue(*(f"nothing{i}" * 30 for i in range(200)), notes=1)
    check_models(read_blue(document, faults), MODELS, 20, faults)
    assert faults.count == 202 and len(faults.kept) == MOST_KEPT
    with pytest.raises(SubmissionError) as caught:
        faults.refuse("team.json")
    sentence = caught.value.sentence
    assert caught.value.code == "submission-invalid"
    assert sentence.startswith("team.json: 202 faults: ") and len(sentence) < 2000
    assert "; and 192 more." in sentence and "\n" not in sentence
    head, *told = caught.value.parts
    assert sentence == f"{head}: {'; '.join(told)}."
    assert len(told) == 11 and told[0] == faults.kept[0].sentence and told[-1] == "and 192 more"


def test_one_kind_of_fault_has_its_own_code() -> None:
    faults = Faults()
    check_models(read_blue(blue("a", "b"), faults), MODELS, 2, faults)
    with pytest.raises(SubmissionError) as caught:
        faults.refuse("team.json")
    assert caught.value.code == "unknown-model" and "2 faults" in caught.value.sentence
    assert len(caught.value.parts) == 3
    alone = Faults()
    alone.add("unknown-key", "", "is wrong")
    with pytest.raises(SubmissionError) as caught:
        alone.refuse("team.json")
    assert str(caught.value) == "team.json: is wrong. [unknown-key]" and caught.value.parts == ()


def test_every_fault_is_in_the_catalogue_of_errors() -> None:
    folder = Path(mimicry.realign.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    codes = set(re.findall(r'\bfaults\.add\(\s*"([a-z-]+)"', source))
    assert len(codes) > 12
    for code in (*codes, "submission-invalid"):
        assert [sections is REALIGN for sections, _ in find(code)] == [True], code


@pytest.mark.parametrize(
    ("document", "team", "other"), [(blue("a"), "red", "Blue"), (red([1]), "blue", "Red")]
)
def test_the_wrong_teams_file(document: dict[str, Any], team: Any, other: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        refuse_wrong_team(document, team, "team.json")
    assert caught.value.code == "wrong-team"
    assert f"a {other} team's submission" in caught.value.sentence


@given(st.text(max_size=30))
def test_folding_is_stable_and_folded_names_are_explained(name: str) -> None:
    assert fold(fold(name)) == fold(name) or not name.isascii()
    known = KnownNames([name])
    if name and name.upper() != name and fold(name.upper()) == fold(name):
        assert "write" in known.hint(name.upper())


def test_hints_among_a_hundred_thousand_names_are_quick() -> None:
    known = KnownNames(f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(100_000))
    assert 'perhaps "ILSVRC2012_val_00050000.JPEG"' in known.hint("ILSVRC2012_val_00050000.JPG")
    for i in range(200):
        known.hint("ILSVRC2012_val_0005" + "z" * i)


@pytest.mark.parametrize(("letters", "length"), [("abcdefghij", 120), ("ab", 120), ("ab", 198)])
def test_unknown_names_cost_seconds_at_most(letters: str, length: int) -> None:
    draw = random.Random(0)

    def names(count: int) -> list[str]:
        return ["".join(draw.choices(letters, k=length)) for _ in range(count)]

    stimuli = [Stimulus("d", name, f"{i:064x}", None, 1) for i, name in enumerate(names(5_000))]
    submission = {
        "images": [{"dataset_name": "d", "image_identifier": name} for name in names(1000)]
    }
    faults = Faults()
    before = time.process_time()
    check_images(read_red(submission, faults), Catalogue(stimuli), 1000, faults)
    # About 1 s at worst; without a bound on guesses and their work it takes minutes.
    assert faults.count == 1000 and time.process_time() - before < 5


def test_a_meaning_is_guessed_for_the_faults_that_are_told() -> None:
    rows = [*range(MOST_GUESSES + 5)]
    document = red(rows)
    for row in document["differentiating_images"]:
        row["image_identifier"] += "x"
    found = faults_of_red(document)
    assert ["perhaps" in fault.sentence for fault in found] == [r < MOST_GUESSES for r in rows]
    # Look-alikes cost nothing, and are always explained.
    document = red(rows)
    for row in document["differentiating_images"]:
        row["image_identifier"] = row["image_identifier"].lower()
    assert all("case and spaces count" in fault.sentence for fault in faults_of_red(document))


def test_a_registry_of_the_2026_form_is_read(tmp_path: Path) -> None:
    old = entry("resnet50")
    old["embedding"] = old.pop("pooling")
    (tmp_path / "r.json").write_text(json.dumps([old]))
    assert len(read_blue_registry(tmp_path / "r.json")) == 1


@pytest.mark.skipif(not REAL.is_file(), reason="the registry of 2026 is not beside the repository")
def test_the_registry_of_2026_is_chosen_from() -> None:
    registry = read_blue_registry(REAL)
    names = [{"model_name": e.model_name, "layer_name": e.layer} for e in registry.entries]
    faults = Faults()
    rows = check_models(read_blue(blue(*names), faults), registry, 141, faults)
    faults.refuse("team.json")
    assert rows == tuple(range(141))
