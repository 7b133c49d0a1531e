"""Every model of the 2026 challenge builds on the pinned timm, and its layer is there.

Nothing is downloaded and nothing computed: models are built on torch's meta device.
"""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mimicry.activations.models import probe_entry, resolve_entry
from mimicry.activations.preprocess import registry_resize
from mimicry.activations.registry import read_registry
from mimicry.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = ROOT / "examples" / "realign" / "model_registry_2026.json"
PUBLISHED = ROOT.parent / "shared" / "data" / "realign" / "model_registry_2026.json"
PARTS = 6

# Names or layers that the pinned timm does not have.
NOT_THERE: set[str] = set()
# Layers that it calls otherwise.
RENAMED = {"convmixer_1024_20_ks9_p14.in1k": "global_pool"}
# Models whose named layer emits tokens or maps; the shape for one image.
UNPOOLED = {
    "cait_m36_384.fb_dist_in1k": (577, 768),
    "coat_lite_medium.in1k": (50, 512),
    "convit_base.fb_in1k": (197, 768),
    "crossvit_15_240.in1k": (197, 384),
    "efficientformer_l1.snap_dist_in1k": (49, 448),
    "efficientformerv2_l.snap_dist_in1k": (384, 7, 7),
    "gmixer_24_224.ra3_in1k": (196, 384),
    "gmlp_s16_224.ra3_in1k": (196, 256),
    "mixer_b16_224.goog_in21k": (196, 768),
    "mvitv2_base.fb_in1k": (49, 768),
    "pvt_v2_b0.in1k": (49, 256),
    "resmlp_12_224.fb_dino": (196, 384),
    "tnt_s_patch16_224": (197, 384),
    "twins_pcpvt_base.in1k": (49, 512),
    "volo_d1_224.sail_in1k": (197, 384),
    "xcit_large_24_p16_224.fb_dist_in1k": (197, 768),
}
# Numbers per image of every model, in the registry's order.
# fmt: off
WIDTHS = (
    2048, 2048, 768, 768, 2048, 768, 443136, 25600, 768, 512, 768, 151296, 1024, 320, 320,
    75648, 1024, 1024, 1024, 2048, 1024, 1024, 1024, 768, 1024, 1024, 1024, 3072, 2688,
    2048, 2048, 2048, 584, 21952, 18816, 1280, 2152, 1024, 1024, 768, 1216, 1984, 1344, 768,
    1024, 1024, 1280, 2048, 1024, 2560, 960, 960, 75264, 50176, 2048, 2048, 1536, 960, 1280,
    1024, 768, 2048, 320, 2048, 2048, 256, 2048, 384, 768, 768, 512, 768, 150528, 1536,
    1280, 1344, 1024, 1024, 640, 256, 37632, 4032, 512, 1024, 960, 2304, 1024, 4320, 768,
    768, 12544, 1760, 1088, 368, 368, 528, 480, 1280, 384, 2048, 75264, 2048, 2048, 2048,
    2048, 2048, 2048, 2048, 1280, 2560, 896, 256, 1280, 1280, 1024, 1280, 2048, 384, 2048,
    2048, 2048, 512, 2048, 1280, 1024, 1024, 256, 1280, 448, 1280, 75648, 2432, 25088, 4096,
    768, 768, 768, 75648, 2048, 2048, 151296,
)
# fmt: on

FILLS = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, Tensor.erfinv_}
FILLS |= {Tensor.mul_, Tensor.add_, Tensor.clamp_}
SHAPE_KEEPING = {functional.batch_norm, functional.layer_norm, functional.group_norm}
SHAPE_KEEPING |= {functional.gelu, functional.silu, functional.relu, functional.softmax}
SHAPE_KEEPING |= {torch.relu, torch.softmax, torch.sigmoid, Tensor.softmax, Tensor.sigmoid}


class ShapesOnly(TorchFunctionMode):
    """Leaves out what changes no shape and is slow on the meta device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in SHAPE_KEEPING or (func in FILLS and args[0].is_meta):
            return args[0]
        return func(*args, **(kwargs or {}))


def recurrent_shape(self: nn.LSTM, sequence: Tensor) -> tuple[Tensor, None]:
    directions = 2 if self.bidirectional else 1
    return sequence.new_empty(*sequence.shape[:-1], directions * self.hidden_size), None


def test_the_registry_is_the_published_one():
    entries = read_registry(REGISTRY)
    assert len(entries) == 141
    assert {entry.pooling for entry in entries} == {"flatten"}
    assert {entry.preprocess.interpolation for entry in entries} == {None}
    if not PUBLISHED.is_file():
        pytest.skip("the published registry is not here to compare")
    assert json.loads(REGISTRY.read_text("utf-8")) == json.loads(PUBLISHED.read_text("utf-8"))


@pytest.mark.parametrize("part", range(PARTS))
def test_its_models_build_and_their_layers_are_there(part, monkeypatch):
    monkeypatch.setattr(nn.LSTM, "forward", recurrent_shape)
    faults = {}
    with ShapesOnly():
        for entry, width in list(zip(read_registry(REGISTRY), WIDTHS, strict=True))[part::PARTS]:
            name = entry.model_name
            try:
                probe = probe_entry(entry)
            except BundleError as error:
                faults[name] = str(error)
                continue
            assert probe.width == width, name
            assert probe.module == RENAMED.get(name, entry.layer), name
            pooled = sum(side > 1 for side in probe.shape) == 1
            assert pooled == (name not in UNPOOLED), (name, probe.shape)
            if not pooled:
                assert probe.shape == UNPOOLED[name]
    assert set(faults) <= NOT_THERE, faults


def test_what_is_known_of_the_models_names_no_other_ones():
    names = {entry.model_name for entry in read_registry(REGISTRY)}
    assert len(UNPOOLED) == 16
    assert NOT_THERE | set(RENAMED) | set(UNPOOLED) <= names


def test_resolved_entries_say_everything_and_stay_as_they_are():
    resolved = [resolve_entry(entry) for entry in read_registry(REGISTRY)]
    assert Counter(entry.preprocess.interpolation for entry in resolved) == {
        "bicubic": 121,
        "bilinear": 20,
    }
    assert {entry.weights for entry in resolved}.isdisjoint({"imagenet"})
    for entry in resolved:
        # Names end in the tag of the weights, but for one.
        if entry.model_name != "tnt_s_patch16_224":
            assert entry.model_name.endswith(f".{entry.weights}")
        assert resolve_entry(entry) == entry


def test_resizing_is_as_the_registry_says():
    import timm

    rounded_down = 0
    for entry in read_registry(REGISTRY):
        crop_pct = timm.models.get_pretrained_cfg(entry.model_name).crop_pct
        crop = entry.preprocess.crop
        assert registry_resize(crop, crop_pct) == entry.preprocess.resize, entry.model_name
        rounded_down += int(crop / crop_pct) != entry.preprocess.resize
    assert rounded_down == 48
