"""Registries: what is accepted, what is refused and in which words."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.activations.registry import (
    ModelEntry,
    Preprocess,
    entries_of,
    entry_document,
    read_registry,
    registry_faults,
    write_registry,
)
from mimicry.errors import BundleError

ENTRY = {
    "model_name": "resnet10t.c3_in1k",
    "source": "timm",
    "weights": "imagenet",
    "layer": "global_pool",
    "embedding": "flatten",
    "preprocess": {
        "resize": 185,
        "crop": 176,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
}


def changed(**changes: object) -> dict[str, object]:
    """The entry with other values; None takes a key away."""
    document = {**copy.deepcopy(ENTRY), **changes}
    return {key: value for key, value in document.items() if value is not None}


def prepared(**changes: object) -> dict[str, object]:
    return changed(preprocess={**ENTRY["preprocess"], **changes})


def test_an_entry_of_2026_is_read():
    (entry,) = entries_of([ENTRY])
    assert entry == ModelEntry(
        model_name="resnet10t.c3_in1k",
        source="timm",
        weights="imagenet",
        layer="global_pool",
        pooling="flatten",
        preprocess=Preprocess(185, 176, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), None),
    )
    assert entry_document(entry) == changed(embedding=None, pooling="flatten")


@pytest.mark.parametrize("said", [{}, {"aspect": "keep"}])
def test_an_aspect_that_is_kept_is_not_written(said):
    (entry,) = entries_of([prepared(**said)])
    assert entry.preprocess.aspect == "keep"
    assert entry_document(entry) == changed(embedding=None, pooling="flatten")


def test_a_squashed_aspect_is_written():
    (entry,) = entries_of([prepared(aspect="squash")])
    assert entry.preprocess.aspect == "squash"
    assert entry_document(entry)["preprocess"] == {**ENTRY["preprocess"], "aspect": "squash"}


FIRST = changed(layer="first")
FAULTY = [
    (changed(model_name="a b"), 'entry 1 (a b): model_name "a b" has characters that do not'),
    (changed(model_name=None), 'entry 1: "model_name" is missing'),
    (changed(source="keras"), 'source is "keras", must be one of timm, open_clip, torchvision'),
    (changed(layer="a..b"), "layer"),
    (changed(layer="a/../b"), "layer"),
    (changed(weights=""), "weights"),
    (changed(weights="random:x"), "weights"),
    (changed(weights="file:/etc/passwd"), "weights"),
    (changed(embedding="mean"), 'embedding is "mean", must be flatten'),
    (changed(embedding=None), 'give one of "pooling" and the 2026 key "embedding"'),
    (changed(pooling="flatten"), 'give one of "pooling" and the 2026 key "embedding"'),
    (changed(embedding=None, pooling="max"), 'pooling is "max", must be one of flatten, mean, cls'),
    (changed(layers="a"), 'unknown key "layers"'),
    (changed(entry_point="a:b"), '"entry_point" is for the source custom alone'),
    (changed(source="custom"), '"entry_point" is missing'),
    (changed(source="custom", entry_point="/a.py:b"), "entry_point"),
    (changed(source="custom", entry_point="../a.py:b"), "entry_point"),
    (changed(model_parameters={"a": {"b": 1}}), "model_parameters.a must be text, a number"),
    (changed(model_parameters={"a b": 1}), "model_parameters"),
    (changed(weights_sha256="AB"), "weights_sha256"),
    (changed(preprocess=None), '"preprocess" is missing'),
    (changed(preprocess=[]), "preprocess is [], must be object"),
    (prepared(resize=0), "preprocess.resize is 0, minimum is 1"),
    (prepared(resize=2.5), "preprocess.resize is 2.5, must be integer or null"),
    (prepared(crop=True), "preprocess.crop is true, must be integer"),
    (prepared(crop=100_000), "preprocess.crop"),
    (prepared(std=[1, 0, 1]), "preprocess.std.1 is 0"),
    (prepared(mean=[0, 0]), "preprocess.mean has 2 items"),
    (prepared(interpolation="lanczos"), "preprocess.interpolation"),
    (prepared(aspect="stretch"), 'preprocess.aspect is "stretch", must be one of keep, squash'),
    (prepared(aspect="squash", resize=None), "preprocess.resize is null, must be integer"),
    (FIRST, "the same model and layer as entry 0"),
    (7, "entry 1: is 7, must be object"),
]


@pytest.mark.parametrize(("document", "phrase"), FAULTY)
def test_each_fault_is_named_with_its_place(document, phrase):
    faults = registry_faults([FIRST, document])
    assert len(faults) == 1, faults
    assert faults[0].startswith("entry 1") and phrase in faults[0], faults


def test_all_faults_are_told_at_once(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps([document for document, _ in FAULTY[:4]] + [{}]))
    with pytest.raises(BundleError) as caught:
        read_registry(path)
    assert caught.value.code == "registry-invalid"
    sentence = caught.value.sentence
    for phrase in ("entry 0 (a b)", "entry 1:", "entry 2 (res", "entry 3 (res", "entry 4: "):
        assert phrase in sentence
    assert '"model_name", "source", "weights", "layer", "preprocess" are missing' in sentence


def test_a_registry_of_nothing_but_faults_stays_one_line(tmp_path):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps([{"model_name": "\x1b[31m" * 50}] * 500))
    with pytest.raises(BundleError) as caught:
        read_registry(path)
    assert len(caught.value.sentence) <= 2000
    assert "\n" not in caught.value.sentence and "\x1b" not in caught.value.sentence


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "no strict JSON"),
        (b"[1, 2", "no strict JSON"),
        (b"// a\n[]", "no strict JSON"),
        (b"\xef\xbb\xbf[]", "no strict JSON"),
        ("[]".encode("utf-16"), "no strict JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"model_name": "a", "model_name": "b"}]', "'model_name' stands twice"),
        (b"[NaN]", "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"[1e999]", "too large"),
        (b"[" + b"9" * 5000 + b"]", "no strict JSON"),
    ],
)
def test_what_is_no_strict_json_is_refused(tmp_path, content, phrase):
    path = tmp_path / "registry.json"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=phrase) as caught:
        read_registry(path)
    assert caught.value.code == "registry-unreadable"


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(BundleError, match="No such file"):
        read_registry(tmp_path / "registry.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BundleError, match="larger than 32 MiB"):
        read_registry(huge)


@pytest.mark.parametrize("document", [None, {}, [], "text", 3])
def test_only_a_list_with_entries_is_a_registry(document):
    assert registry_faults(document)
    with pytest.raises(BundleError, match="list of at least one model"):
        entries_of(document)


@pytest.mark.parametrize(("document", "phrase"), FAULTY)
def test_the_lean_reader_refuses_what_it_needs_otherwise(document, phrase):
    if isinstance(document, dict) and (
        phrase.startswith(("unknown key", "model_parameters"))
        or document.get("weights") in {"random:x", "file:/etc/passwd"}
        or {"pooling", "embedding"} <= set(document)
    ):
        entries_of([FIRST, document])
        return
    with pytest.raises(BundleError, match="entry 1") as caught:
        entries_of([FIRST, document])
    assert caught.value.code == "registry-invalid"


def test_line_ends_do_not_slip_through_at_the_end_of_names():
    for key in ("model_name", "layer"):
        with pytest.raises(BundleError, match=key):
            entries_of([changed(**{key: f"{ENTRY[key]}\n"})])


words = st.text("abcXYZ019_", min_size=1, max_size=8)
paths = st.lists(words, max_size=3).map(".".join)
numbers = st.floats(-5, 5)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), numbers, st.text(max_size=5))
entries = st.builds(
    ModelEntry,
    model_name=words.filter(lambda word: word[0] != "_"),
    source=st.sampled_from(["timm", "open_clip", "torchvision"]),
    weights=st.one_of(
        st.just("imagenet"),
        st.integers(0, 10**17).map("random:{}".format),
        words,
        paths.map("file:a/{}".format),
    ),
    layer=paths,
    pooling=st.sampled_from(["flatten", "mean", "cls", "cls+mean"]),
    preprocess=st.builds(
        Preprocess,
        resize=st.one_of(st.none(), st.integers(1, 8192)),
        crop=st.integers(1, 8192),
        mean=st.tuples(numbers, numbers, numbers),
        std=st.tuples(*[st.floats(1e-3, 5)] * 3),
        interpolation=st.sampled_from([None, "nearest", "bilinear", "bicubic"]),
        aspect=st.sampled_from(["keep", "squash"]),
    ).filter(lambda one: one.aspect == "keep" or one.resize is not None),
    model_parameters=st.dictionaries(
        words.filter(lambda word: not word[0].isdigit()),
        st.one_of(scalars, st.lists(scalars, max_size=3)),
        max_size=3,
    ),
    weights_sha256=st.one_of(st.none(), st.text("0123456789abcdef", min_size=64, max_size=64)),
    module=st.one_of(st.none(), words),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(entries, min_size=1, max_size=4, unique_by=lambda e: (e.model_name, e.layer)))
def test_what_is_written_is_read_back(tmp_path_factory, listed):
    path = tmp_path_factory.getbasetemp() / "registry.json"
    write_registry(path, listed)
    assert read_registry(path) == tuple(listed)


json_values = st.recursive(
    st.one_of(scalars, st.just("flatten")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from([*ENTRY]), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*ENTRY, "entry_point", "module", "pooling"]), json_values)
def test_what_the_schema_accepts_the_lean_reader_accepts(key, value):
    document = [changed(**{key: value})]
    if registry_faults(document):
        return
    (entry,) = entries_of(document)
    assert registry_faults([entry_document(entry)]) == []


def test_reading_entries_needs_the_standard_library_alone():
    code = (
        "import sys, mimicry.activations.entries\n"
        "assert not {'numpy', 'jsonschema', 'torch'} & set(sys.modules)\n"
        "import mimicry.activations.registry\n"
        "assert not {'numpy', 'jsonschema', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
