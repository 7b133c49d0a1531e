"""Features by the baselines' own code, kept from run to run; and where backbones come from."""

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from mimicry.activations import Settings, compute
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ROOT / "baselines"
NAMES = ("BioCLIP", "DINO_SGD", "anomaly")
QUICK = Settings(device="cpu", batch_size=4, workers=1)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    names = ("backbones", "features", "tables")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for name, size in (("hybrid/b", (60, 40)), ("non-hybrid/a", (112, 112)), ("c", (30, 90))):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (*reversed(size), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


def table(scripts: SimpleNamespace) -> tuple[object, ...]:
    row = scripts.tables.Row
    return (
        row("a.png", False, 3, "", None, None),
        row("b.png", True, -1, "8 x 9", None, None),
        row("c.png", False, 4, "", None, None),
    )


def baseline(name: str) -> Path:
    return BASELINES / f"{name}_code_submission"


@pytest.mark.parametrize("name", NAMES)
def test_features_are_what_the_submission_computes(scripts, images, tmp_path, name):
    backbone = scripts.backbones.own_backbone(baseline(name))
    extracted = scripts.features.extract_features(
        backbone, images, "train", tmp_path / "work", settings=QUICK
    )
    rows = table(scripts)
    features = scripts.features.features_of_rows(extracted, rows, images)
    code = scripts.backbones.load_module(baseline(name) / "backbone.py")
    said = json.loads((baseline(name) / "settings.json").read_text())
    prepared = said["preprocess"]
    side = prepared["size"]
    network = code.tower(str(baseline(name) / "backbone"), side, said["weights_file"])
    assert features.shape[0] == 3 and features.dtype == np.float32
    for row, found in zip(rows, features, strict=True):
        place = scripts.tables.find_image(images, row)
        with Image.open(images / place) as image:
            filter = Image.Resampling[prepared["interpolation"].upper()]
            pixels = np.asarray(image.resize((side, side), filter), dtype=np.float32) / 255
        scaled = (pixels - np.float32(prepared["mean"])) / np.float32(prepared["std"])
        with torch.inference_mode():
            expected = network(torch.from_numpy(scaled.transpose(2, 0, 1))[None].float())[0]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4, rtol=1e-4)


def test_a_second_run_computes_nothing(scripts, images, tmp_path, monkeypatch):
    extract, work = scripts.features.extract_features, tmp_path / "work"
    backbone = scripts.backbones.own_backbone(baseline("BioCLIP"))
    first = extract(backbone, images, "train", work, settings=QUICK)
    assert not first.reused

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(compute, "pump", refuse)
    again = extract(backbone, images, "train", work, settings=QUICK)
    assert again.reused and again.names == first.names
    np.testing.assert_array_equal(again.features, first.features)
    # The anomaly baseline stands on the same backbone, by the same code.
    shared = scripts.backbones.own_backbone(baseline("anomaly"))
    assert extract(shared, images, "train", work, settings=QUICK).reused


@pytest.mark.parametrize("what", ["weights", "code", "preparation", "images"])
def test_what_changes_the_numbers_makes_them_anew(scripts, images, tmp_path, what):
    extract, work = scripts.features.extract_features, tmp_path / "work"
    copy = tmp_path / "baseline"
    shutil.copytree(baseline("DINO_SGD"), copy)
    backbone = scripts.backbones.own_backbone(copy)
    first = extract(backbone, images, "train", work, settings=QUICK)
    if what == "weights":
        from safetensors.torch import load_file, save_file

        path = copy / "backbone" / "model.safetensors"
        state = {key: value * 1.5 for key, value in load_file(path).items()}
        save_file(state, path)
        backbone = scripts.backbones.backbone_in(
            copy, copy / "backbone", name=backbone.name, size=backbone.preprocess.crop
        )
    elif what == "code":
        path = copy / "backbone.py"
        text = path.read_text()
        assert "patches.mean(dim=1)" in text
        path.write_text(text.replace("patches.mean(dim=1)", "patches.amax(dim=1)"))
    elif what == "preparation":
        backbone = replace(backbone, preprocess=replace(backbone.preprocess, mean=(0.0, 0.1, 0.2)))
    else:
        Image.new("RGB", (20, 20), "red").save(images / "c.png")
    other = extract(backbone, images, "train", work, settings=QUICK)
    assert not other.reused and not np.array_equal(other.features, first.features)


def test_images_that_are_missing_are_told_before_anything_is_computed(scripts, images):
    rows = table(scripts)
    find = scripts.features.rows_with_images
    assert find(rows, images) == rows
    (images / "c.png").unlink()
    with pytest.raises(SubmissionError, match=r"lacks 1 of the table's 3 images: c\.png") as caught:
        find(rows, images)
    assert caught.value.code == "images-missing"
    lines: list[str] = []
    assert find(rows, images, skip_missing=True, report=lines.append) == rows[:2]
    assert len(lines) == 1 and "c.png" in lines[0]
    shutil.rmtree(images)
    with pytest.raises(SubmissionError):
        find(rows, images, skip_missing=True)


def test_what_cannot_be_read_is_told(scripts, images, tmp_path):
    (images / "c.png").write_bytes(b"no image")
    backbone = scripts.backbones.own_backbone(baseline("DINO_SGD"))
    with pytest.raises(BundleError, match=r"c\.png"):
        scripts.features.extract_features(
            backbone, images, "train", tmp_path / "work", settings=QUICK
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_baselines_own_backbone_is_the_one_it_vouches_for(scripts, tmp_path, name):
    copy = tmp_path / "baseline"
    shutil.copytree(baseline(name), copy)
    backbone = scripts.backbones.own_backbone(copy)
    assert backbone.settings() == json.loads((copy / "settings.json").read_text())
    assert backbone.preprocess.aspect == "squash"
    file = copy / "backbone" / backbone.weights_file
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(SubmissionError) as caught:
        scripts.backbones.own_backbone(copy)
    assert caught.value.code == "backbone-changed"
    file.unlink()
    with pytest.raises(SubmissionError) as caught:
        scripts.backbones.own_backbone(copy)
    assert caught.value.code == "baseline-incomplete"
    shutil.copy(baseline(name) / "backbone" / file.name, file)
    scripts.backbones.own_backbone(copy)
    next((copy / "backbone").glob("*config.json")).unlink()
    with pytest.raises(SubmissionError, match=r"config\.json") as caught:
        scripts.backbones.own_backbone(copy)
    assert caught.value.code == "baseline-incomplete"


def test_a_work_folder_that_cannot_be_written_is_told(scripts, images, tmp_path):
    (tmp_path / "work").touch()
    backbone = scripts.backbones.own_backbone(baseline("DINO_SGD"))
    with pytest.raises(BundleError, match="--work") as caught:
        scripts.features.extract_features(backbone, images, "train", tmp_path / "work")
    assert caught.value.code == "work-unwritable"


@pytest.mark.parametrize("name", NAMES)
def test_any_folder_of_the_family_can_be_the_backbone(scripts, tmp_path, name):
    own = scripts.backbones.own_backbone(baseline(name))
    folder = tmp_path / "mine"
    shutil.copytree(own.weights, folder)
    config = next(folder.glob("*config.json"))
    document = json.loads(config.read_text())
    key = "pretrained_cfg" if name == "DINO_SGD" else "preprocess_cfg"
    document[key] = document.get(key, {}) | {"mean": [0.1, 0.2, 0.3], "interpolation": "bilinear"}
    config.write_text(json.dumps(document))
    found = scripts.backbones.backbone_in(baseline(name), folder, name="mine", size=56)
    assert found.preprocess.crop == found.preprocess.resize == 56
    assert found.preprocess.mean == (0.1, 0.2, 0.3) and found.preprocess.std == own.preprocess.std
    assert found.preprocess.interpolation == "bilinear"
    assert found.weights_sha256 == sha256_file(folder / own.weights_file)
    assert found.settings()["hub"] is None and found.settings()["name"] == "mine"
    document[key]["interpolation"] = "lanczos"
    config.write_text(json.dumps(document))
    with pytest.raises(SubmissionError, match="lanczos"):
        scripts.backbones.backbone_in(baseline(name), folder, name="mine", size=56)
    config.write_text("[]")
    with pytest.raises(SubmissionError, match="no configuration"):
        scripts.backbones.backbone_in(baseline(name), folder, name="mine", size=56)
    config.unlink()
    with pytest.raises(SubmissionError) as caught:
        scripts.backbones.backbone_in(baseline(name), folder, name="mine", size=56)
    assert caught.value.code == "backbone-files"


def test_a_baseline_without_usable_settings_is_refused(scripts: SimpleNamespace, tmp_path: Path):
    modules: ModuleType = scripts.backbones
    for text in (None, "{", "[]", "{}", '{"name": "a"}'):
        if text is not None:
            (tmp_path / "settings.json").write_text(text)
        with pytest.raises(SubmissionError) as caught:
            modules.read_settings(tmp_path)
        assert caught.value.code == "baseline-incomplete"
