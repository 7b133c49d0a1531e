"""What the backbone baselines compute: the same for an image however it comes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from baselines_helpers import (
    BASELINES,
    FAMILIES,
    NAMES,
    REPOSITORY,
    SCALING,
    SIZE,
    WIDTHS,
    load,
    make_dinov2,
    modules_of,
)
from PIL import Image

from mimicry.activations.entries import ModelEntry, Preprocess
from mimicry.activations.models import load_model, probe_entry

SHARED = {
    "model.py": NAMES,
    "find_weights.py": NAMES,
    "backbone.py": ("BioCLIP", "anomaly"),
    "head.py": ("BioCLIP", "DINO_SGD"),
}


def pictures(count: int = 19) -> list[Image.Image]:
    generator = np.random.default_rng(5)
    sizes = [(60 + 7 * i, 40 + 5 * (i % 4)) for i in range(count)]
    return [
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


@pytest.fixture(scope="module")
def models(made: Path) -> dict:
    return {name: load(made / name) for name in NAMES}


@pytest.mark.parametrize("name", SHARED)
def test_shared_files_are_the_same_byte_for_byte(name):
    copies = [(BASELINES / f"{one}_code_submission" / name).read_bytes() for one in SHARED[name]]
    assert len(set(copies)) == 1


@pytest.mark.parametrize("baseline", NAMES)
def test_a_batch_scores_as_one_image_at_a_time(models, baseline):
    images = pictures()
    alone = [models[baseline].predict(image) for image in images]
    together = models[baseline].predict_batch(images)
    assert together.dtype == np.float64
    assert np.ptp(alone) > 0.1
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("baseline", NAMES)
def test_neither_order_nor_company_changes_a_bit(made, baseline):
    model = load(made / baseline)
    images = pictures()

    def in_batches(order: list[int]) -> dict[int, float]:
        scores: dict[int, float] = {}
        for start in range(0, len(order), 8):
            part = order[start : start + 8]
            scores |= zip(part, model.predict_batch([images[i] for i in part]), strict=True)
        return scores

    expected = in_batches(list(range(len(images))))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(images)).tolist()
        assert in_batches(order) == expected


ODD = {
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "one row": Image.new("RGB", (300, 1), "red"),
    "grey": Image.new("L", (30, 20), 90),
    "two colours": Image.new("1", (30, 20), 1),
    "transparent": Image.new("RGBA", (30, 20), (255, 0, 0, 0)),
    "palette": Image.new("RGB", (30, 20), "red").quantize(4),
    "print": Image.new("CMYK", (30, 20), (0, 255, 255, 0)),
    "16 bits": Image.new("I;16", (30, 20), 200),
    "32 bits": Image.new("I", (30, 20), 200),
    "float": Image.new("F", (30, 20), 200.0),
    "photograph": Image.linear_gradient("L").convert("RGB").resize((5000, 3400)),
}


@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_every_image_gets_a_score(models, baseline):
    scores = models[baseline].predict_batch(list(ODD.values()))
    assert np.isfinite(scores).all() and scores.shape == (len(ODD),)
    named = dict(zip(ODD, scores, strict=True))
    # What shows the same scores the same: transparency is dropped, shape squashed.
    assert named["one pixel"] == named["one row"] == named["transparent"] == named["palette"]
    assert named["grey"] != named["one pixel"]


@pytest.fixture(scope="module")
def entries(made: Path) -> dict[str, ModelEntry]:
    def entry(baseline: str) -> ModelEntry:
        scaling = SCALING[FAMILIES[baseline]]
        return ModelEntry(
            model_name=baseline,
            source="custom",
            weights="folder",
            layer="output",
            pooling="flatten",
            preprocess=Preprocess(
                resize=SIZE,
                crop=SIZE,
                mean=tuple(scaling["mean"]),
                std=tuple(scaling["std"]),
                interpolation="bicubic",
                aspect="squash",
            ),
            model_parameters={"folder": str(made / baseline / "backbone"), "size": SIZE},
            entry_point="backbone.py:tower",
        )

    return {name: entry(name) for name in NAMES}


@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_training_extracts_the_features_that_are_predicted_on(made, entries, models, baseline):
    extractor = load_model(entries[baseline], root=made / baseline)
    model = models[baseline]
    with modules_of(made / baseline) as modules:
        prepare = modules["model"].prepare
    images = pictures(6)
    ours = np.stack([prepare(image, model.preprocess) for image in images])
    theirs = np.stack([extractor.preprocess(image) for image in images])
    np.testing.assert_array_equal(ours, theirs)
    with torch.inference_mode():
        features = model.network(torch.from_numpy(ours))
    assert features.shape == (6, WIDTHS[FAMILIES[baseline]])
    np.testing.assert_allclose(features, extractor(torch.from_numpy(theirs)), atol=1e-6)


@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_the_tower_is_probed_without_its_weights(made, entries, baseline):
    assert (
        probe_entry(entries[baseline], root=made / baseline).width == (WIDTHS[FAMILIES[baseline]])
    )


def tower(folder: Path, backbone: Path, size: int) -> torch.nn.Module:
    with modules_of(folder) as modules:
        return modules["backbone"].tower(str(backbone), size, "any")


def test_features_are_the_class_token_and_the_mean_of_the_patches(made, backbones):
    import timm

    network = tower(made / "DINO_SGD", backbones["timm"], SIZE)
    plain = timm.create_model(f"local-dir:{backbones['timm']}", pretrained=True, num_classes=0)
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        tokens = plain.eval().forward_features(images)
        features = network(images)
    assert tokens.shape[1] == 1 + (SIZE // 14) ** 2
    torch.testing.assert_close(features[:, :32], tokens[:, 0])
    torch.testing.assert_close(features[:, 32:], tokens[:, 1:].mean(dim=1))


def test_embeddings_are_openclips_own_normalised(made, backbones):
    import open_clip

    network = tower(made / "BioCLIP", backbones["open_clip"], SIZE)
    plain = open_clip.create_model(f"local-dir:{backbones['open_clip']}").eval()
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = network(images)
        torch.testing.assert_close(features, plain.encode_image(images, normalize=True))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    assert not any("text" in name or "token_embedding" in name for name in network.state_dict())


def test_position_embeddings_are_resampled_to_another_size(made, tmp_path):
    # As the full-size DINOv2 is published: for 518 pixels, used at 224.
    make_dinov2(tmp_path / "large", size=2 * SIZE)
    network = tower(made / "DINO_SGD", tmp_path / "large", SIZE)
    embeddings = network.model.pos_embed
    assert embeddings.shape[1] == 1 + (SIZE // 14) ** 2
    whole = tower(made / "DINO_SGD", tmp_path / "large", 2 * SIZE).model.pos_embed
    torch.testing.assert_close(embeddings[:, 0], whole[:, 0])
    assert embeddings[:, 1:].std() > 0.1
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 64)


def test_half_precision_weights_compute_in_single(made, backbones, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "config.json").write_bytes((backbones["timm"] / "config.json").read_bytes())
    arrays = load_file(backbones["timm"] / "model.safetensors")
    save_file({name: array.half() for name, array in arrays.items()}, folder / "model.safetensors")
    network = tower(made / "DINO_SGD", folder, SIZE)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("baseline", NAMES)
def test_requirements_are_allowed_and_cover_the_imports(baseline):
    folder = BASELINES / f"{baseline}_code_submission"
    allowed = (REPOSITORY / "ingestion_program" / "allowed_packages.txt").read_text()
    named = {
        re.split(r"[<>=]", line)[0].lower()
        for line in (folder / "requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    assert named <= {re.split(r"[<>=]", line)[0] for line in allowed.splitlines()}
    needed = {"numpy", "pillow", "torch", "huggingface-hub"}
    needed |= {"timm", "safetensors"} if baseline == "DINO_SGD" else {"open-clip-torch"}
    assert named == needed
