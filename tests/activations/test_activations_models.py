"""Real architectures of every source, with random weights, from the entry to the numbers."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from mimicry.activations.entries import ModelEntry, Preprocess
from mimicry.activations.models import load_model, probe_entry, resolve_entry
from mimicry.activations.sources.libraries import library
from mimicry.activations.weights import weights_sha256
from mimicry.errors import BundleError

SMALL = Preprocess(36, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bicubic")


def entry(name: str, layer: str, pooling: str = "flatten", **changes: object) -> ModelEntry:
    whole = {
        "model_name": name,
        "source": "timm",
        "weights": "random:7",
        "layer": layer,
        "pooling": pooling,
        "preprocess": SMALL,
        **changes,
    }
    return ModelEntry(**whole)


def vit(layer: str, pooling: str, **parameters: object) -> ModelEntry:
    parameters = {"img_size": 32, **parameters}
    return entry("vit_tiny_patch16_224", layer, pooling, model_parameters=parameters)


def batch(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(count))


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory) -> str:
    configuration = {
        "embed_dim": 12,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    }
    path = tmp_path_factory.mktemp("clip") / "tiny-clip.json"
    path.write_text(json.dumps(configuration))
    library("open_clip").add_model_config(path)
    return path.stem


@pytest.mark.parametrize(
    ("made", "shape", "width"),
    [
        (entry("resnet10t", "global_pool"), (512,), 512),
        (entry("resnet10t", "layer1", "mean"), (64, 8, 8), 64),
        (entry("resnet10t", "layer1"), (64, 8, 8), 4096),
        (entry("resnet10t", "output", model_parameters={"num_classes": 5}), (5,), 5),
        (entry("mobilenetv3_small_050", "blocks.2", "mean"), (24, 2, 2), 24),
        (vit("norm", "flatten"), (5, 192), 960),
        (vit("norm", "cls"), (5, 192), 192),
        (vit("blocks.3", "cls+mean", reg_tokens=4), (9, 192), 384),
        (vit("blocks.3", "mean", class_token=False, global_pool="avg"), (4, 192), 192),
        (entry("resnet18", "avgpool", source="torchvision"), (512, 1, 1), 512),
        (entry("resnet18", "", source="torchvision"), (1000,), 1000),
    ],
    ids=lambda value: value.label if isinstance(value, ModelEntry) else "",
)
def test_models_emit_what_a_probe_without_weights_foretells(made, shape, width):
    probe = probe_entry(made)
    assert (probe.shape, probe.width) == (shape, width)
    extractor = load_model(made)
    assert extractor.width == width
    features = extractor(batch())
    assert features.shape == (3, width) and features.dtype == torch.float32
    assert torch.isfinite(features).all() and features.std() > 0
    torch.testing.assert_close(extractor(batch()), features, rtol=0, atol=0)


def test_the_image_tower_of_open_clip_is_tapped(tiny_clip, caplog):
    made = entry(tiny_clip, "transformer.resblocks.1", "cls+mean", source="open_clip")
    assert probe_entry(made).shape == (17, 32)
    extractor = load_model(made)
    assert extractor.width == 64
    assert load_model(replace(made, layer="output", pooling="flatten")).width == 12
    assert caplog.records == []
    open_clip = library("open_clip")
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tower = open_clip.create_model(tiny_clip).visual.eval()
    seen = []
    tower.transformer.resblocks[1].register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.inference_mode():
        tower(batch())
        expected = torch.cat((seen[0][:, 0], seen[0][:, 1:].mean(1)), 1)
    torch.testing.assert_close(extractor(batch()), expected)


def test_features_are_those_of_the_library_itself():
    timm = library("timm")
    torch.manual_seed(7)
    model = timm.create_model("resnet10t", pretrained=False).eval()
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(batch()), pre_logits=True)
    features = load_model(entry("resnet10t", "global_pool"))(batch())
    torch.testing.assert_close(features, expected, rtol=0, atol=0)


def test_a_seed_stands_for_its_weights_and_leaves_the_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    seven = load_model(entry("resnet10t", "global_pool"))
    assert torch.rand(1) == expected
    again = load_model(entry("resnet10t", "layer1"))
    eight = load_model(entry("resnet10t", "global_pool", weights="random:8"))
    assert seven.weights_sha256 == again.weights_sha256 != eight.weights_sha256


def test_pixels_and_floats_give_the_same():
    made = entry("resnet10t", "global_pool", preprocess=replace(SMALL, resize=None))
    extractor = load_model(made)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    floats = np.stack([extractor.preprocess(Image.fromarray(one)) for one in pixels])
    torch.testing.assert_close(
        extractor(torch.from_numpy(pixels)), extractor(torch.from_numpy(floats)), rtol=0, atol=0
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_is_near_and_comes_back_as_float32(precision):
    made = vit("norm", "cls")
    exact, mixed = load_model(made), load_model(made, precision=precision)
    assert mixed.weights_sha256 == exact.weights_sha256
    features, near = exact(batch()), mixed(batch())
    assert near.dtype == torch.float32
    assert not torch.equal(near, features)
    torch.testing.assert_close(near, features, rtol=0.05, atol=0.05)


def test_what_the_registry_leaves_open_is_resolved():
    open_entry = replace(SMALL, interpolation=None)
    made = entry("dla102", "global_pool", weights="imagenet", preprocess=open_entry)
    resolved = resolve_entry(made)
    assert (resolved.weights, resolved.preprocess.interpolation) == ("in1k", "bilinear")
    assert resolve_entry(resolved) == resolved
    # What is said is left alone.
    said = replace(SMALL, interpolation="nearest")
    assert resolve_entry(replace(made, preprocess=said)).preprocess == said
    vision = replace(made, model_name="resnet18", source="torchvision")
    resolved = resolve_entry(vision)
    assert (resolved.weights, resolved.preprocess.interpolation) == ("IMAGENET1K_V1", "bilinear")
    clip = replace(made, model_name="ViT-B-32", source="open_clip", weights="laion2b_s34b_b79k")
    resolved = resolve_entry(clip)
    assert (resolved.weights, resolved.preprocess.interpolation) == (clip.weights, "bicubic")


def test_a_renamed_layer_keeps_its_name_and_gets_a_module():
    made = entry("convmixer_768_32", "pooling")
    resolved = resolve_entry(made)
    assert (resolved.layer, resolved.module) == ("pooling", "global_pool")
    assert probe_entry(resolved).width == 768
    # Said by the registry, it holds for any model.
    said = load_model(entry("resnet10t", "features", module="layer1.0"))
    assert said.entry.layer == "features" and said.width == 4096
    with pytest.raises(BundleError, match="no layer 'pooling'"):
        probe_entry(entry("resnet10t", "pooling"))


FAULTS = [
    (entry("resnet1t", "a"), "model-unknown", "similar: resnet1"),
    (entry("resnet10t.c4_in1k", "a"), "model-unknown", r"resnet10t\.c3_in1k"),
    (entry("resnet10t", "a", weights="c4"), "weights-unknown", "it has c3_in1k"),
    (entry("resnet10t.c3_in1k", "a", weights="c4"), "weights-unknown", "it has c3_in1k"),
    (entry("resnet10t", "a", weights="random:-1"), "weights-unknown", "is no seed"),
    (entry("resnet10t", "a", model_parameters={"wide": 3}), "model-not-built", "wide"),
    (entry("resnet10t", "a", model_parameters={"pretrained": True}), "model-not-built", "weights"),
    (entry("resnet10t", "fc.out"), "layer-unknown", r"^resnet10t \(layer fc\.out\): ResNet has"),
    (entry("resnet10t", "layer1", "cls"), "pooling-impossible", "resnet10t"),
    (vit("blocks.0.attn.attn_drop", "flatten"), "layer-silent", "takes no part"),
    (entry("vit_tiny_patch16_224", "norm"), "model-failed", "32 x 32 pixels"),
    (entry("resnet99", "a", source="torchvision"), "model-unknown", "similar: resnet"),
    (
        entry("resnet18", "a", source="torchvision", weights="V9"),
        "weights-unknown",
        "IMAGENET1K_V1",
    ),
    (entry("ViT-C-32", "a", source="open_clip"), "model-unknown", "similar: ViT-"),
    (entry("ViT-B-32", "a", source="open_clip", weights="imagenet"), "weights-unknown", "openai"),
    (entry("ViT-B-32", "a", source="open_clip", weights="openai"), "weights-mismatch", "QuickGELU"),
    (
        entry("a", "b", source="custom", entry_point="no.such:f"),
        "entry-point-unknown",
        "no module no",
    ),
    (entry("a", "b", source="custom", entry_point="f.py:f"), "entry-point-unknown", "no file f.py"),
]


@pytest.mark.parametrize(("made", "code", "phrase"), FAULTS, ids=[fault[1] for fault in FAULTS])
def test_faults_are_the_organisers_and_say_what_to_do(made, code, phrase, tmp_path):
    with pytest.raises(BundleError, match=phrase) as caught:
        load_model(made, root=tmp_path)
    assert caught.value.code == code


def test_other_devices_and_precisions_are_refused():
    made = entry("resnet10t", "global_pool")
    with pytest.raises(BundleError, match="cannot use the device 'quantum'") as caught:
        load_model(made, device="quantum")
    assert caught.value.code == "device-missing"
    if not torch.cuda.is_available():
        with pytest.raises(BundleError, match="'cuda'"):
            load_model(made, device="cuda")
    with pytest.raises(ValueError, match="float64"):
        load_model(made, precision="float64")


def test_weights_that_cannot_be_fetched_are_told(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BundleError, match="connect this machine") as caught:
        load_model(entry("resnet10t", "global_pool", weights="imagenet"))
    assert caught.value.code == "weights-unavailable"


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(3)
    return library("timm").create_model("resnet10t", pretrained=False).eval()


def test_weights_in_files_are_loaded_as_they_are(trained, tmp_path):
    state = trained.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "b.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "c.pth")
    older = {key: value for key, value in state.items() if "num_batches" not in key}
    torch.save(older, tmp_path / "d.pt")
    with torch.inference_mode():
        expected = trained.forward_head(trained.forward_features(batch()), pre_logits=True)
    for name in ("a.safetensors", "b.pt", "c.pth", "d.pt"):
        made = entry("resnet10t", "global_pool", weights=f"file:{name}")
        extractor = load_model(made, root=tmp_path)
        assert extractor.weights_sha256 == weights_sha256(trained)
        torch.testing.assert_close(extractor(batch()), expected, rtol=0, atol=0)
        load_model(replace(made, weights_sha256=extractor.weights_sha256), root=tmp_path)
        with pytest.raises(BundleError, match="the registry says 0000") as caught:
            load_model(replace(made, weights_sha256="0" * 64), root=tmp_path)
        assert caught.value.code == "weights-changed"


def test_files_that_do_not_fit_are_refused(trained, tmp_path):
    state = dict(trained.state_dict())
    state["fc.weight"] = state["fc.weight"][:5].clone()
    state["new"] = state.pop("fc.bias")
    save_file(state, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nonsense")
    (tmp_path / "c.pt").write_bytes(b"nonsense")
    torch.save(trained, tmp_path / "d.pt")
    torch.save([1, 2], tmp_path / "e.pt")
    words = r"missing fc\.bias; unexpected new; of another shape fc\.weight"
    for name, code, phrase in (
        ("a.safetensors", "weights-mismatch", words),
        ("b.safetensors", "weights-unreadable", "b.safetensors"),
        ("c.pt", "weights-unreadable", "c.pt"),
        ("d.pt", "weights-unreadable", "more than tensors"),
        ("e.pt", "weights-unreadable", "no state dict"),
        ("f.pt", "weights-missing", "put the weights there"),
        ("../a.safetensors", "weights-missing", "below the registry's folder"),
    ):
        with pytest.raises(BundleError, match=phrase) as caught:
            load_model(entry("resnet10t", "global_pool", weights=f"file:{name}"), root=tmp_path)
        assert caught.value.code == code


def test_the_fingerprint_tells_names_types_shapes_and_bytes_apart():
    def model(name: str, value: torch.Tensor) -> nn.Module:
        made = nn.Module()
        made.register_buffer(name, value)
        return made

    values = torch.arange(4.0)
    made = [
        model("a", values),
        model("b", values),
        model("a", values.double()),
        model("a", values.bfloat16()),
        model("a", values.reshape(2, 2)),
        model("a", values + 1),
        model("a", torch.zeros(0)),
        model("a", torch.tensor(0.0)),
    ]
    assert len({weights_sha256(one) for one in made}) == len(made)
    turned = torch.arange(6.0).reshape(2, 3)
    assert weights_sha256(model("a", turned.T)) == weights_sha256(model("a", turned.T.contiguous()))
    counted = model("a", values)
    counted.register_buffer("norm.num_batches_tracked".replace(".", "_"), torch.tensor(3))
    assert weights_sha256(counted) == weights_sha256(made[0])


CODE = """
from torch import nn

def make(width=4, weights=None):
    if weights == "none such":
        raise RuntimeError("nothing here")
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, width))
    if weights == "zeros":
        nn.init.zeros_(model[1].weight)
    return model

def number():
    return 3
"""


def custom(tmp_path: Path, function: str, **changes: object) -> ModelEntry:
    (tmp_path / "models.py").write_text(CODE)
    return entry("mine", "1", source="custom", entry_point=f"models.py:{function}", **changes)


def test_an_organisers_function_makes_the_model(tmp_path):
    made = custom(tmp_path, "make", model_parameters={"width": 9})
    seven = load_model(made, root=tmp_path)
    assert seven.width == 9 and seven.code_sha256 is not None
    assert probe_entry(made, root=tmp_path).width == 9
    eight = load_model(replace(made, weights="random:8"), root=tmp_path)
    assert not torch.equal(seven(batch()), eight(batch()))
    # A word that is no seed and no file is the function's own business.
    features = load_model(replace(made, weights="zeros"), root=tmp_path)(batch())
    assert torch.equal(features[0], features[1])


@pytest.mark.parametrize(
    ("function", "changes", "code", "phrase"),
    [
        ("make", {"weights": "none such"}, "entry-point-failed", "RuntimeError: nothing here"),
        ("make", {"model_parameters": {"depth": 1}}, "entry-point-failed", "depth"),
        ("number", {}, "entry-point-failed", "returned a int"),
        ("nobody", {}, "entry-point-unknown", "no function nobody"),
    ],
)
def test_an_organisers_faults_are_told(tmp_path, function, changes, code, phrase):
    with pytest.raises(BundleError, match=phrase) as caught:
        load_model(custom(tmp_path, function, **changes), root=tmp_path)
    assert caught.value.code == code


def test_a_file_that_does_not_import_is_told(tmp_path):
    made = custom(tmp_path, "make")
    (tmp_path / "models.py").write_text("import nothing_of_this_name")
    with pytest.raises(BundleError, match="could not be imported: ModuleNotFoundError") as caught:
        load_model(made, root=tmp_path)
    assert caught.value.code == "entry-point-failed"
