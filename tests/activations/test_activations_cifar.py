"""Three networks trained on CIFAR-10 as custom models, over real images."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mimicry.activations.entries import ModelEntry, Preprocess
from mimicry.activations.models import load_model
from mimicry.activations.registry import read_registry, write_registry

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "cifar10"
ENTRY_POINT = ROOT / "examples" / "realign" / "cifar_resnet.py"
PREPROCESS = Preprocess(None, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the CIFAR-10 networks are not here")


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    """A registry with the networks' pooled features and their logits."""
    folder = tmp_path_factory.mktemp("cifar")
    shutil.copy(ENTRY_POINT, folder)
    entries = []
    for depth in (20, 32, 44):
        (weights,) = DATA.glob(f"resnet{depth}-*.th")
        shutil.copy(weights, folder)
        entries += [
            ModelEntry(
                model_name=f"cifar-resnet{depth}",
                source="custom",
                weights=f"file:{weights.name}",
                layer=layer,
                pooling="flatten",
                preprocess=PREPROCESS,
                model_parameters={"depth": depth},
                entry_point="cifar_resnet.py:cifar_resnet",
            )
            for layer in ("pool", "output")
        ]
    write_registry(folder / "registry.json", entries)
    return folder / "registry.json"


@pytest.fixture(scope="module")
def images() -> tuple[list[Image.Image], list[str]]:
    with zipfile.ZipFile(DATA / "images.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        found = [Image.open(io.BytesIO(archive.read(name))) for name in names]
    return found, [name.split("/")[-2] for name in names]


def test_the_networks_recognise_the_images_as_well_as_they_should(registry, images):
    pictures, names = images
    assert len(pictures) == 1000
    classes = sorted(set(names))
    labels = np.array([classes.index(name) for name in names])
    fingerprints = set()
    for entry in read_registry(registry):
        if entry.layer != "output":
            continue
        extractor = load_model(entry, root=registry.parent)
        assert extractor.width == 10
        fingerprints.add(extractor.weights_sha256)
        batch = torch.from_numpy(np.stack([extractor.preprocess(one) for one in pictures]))
        logits = torch.cat([extractor(part) for part in batch.split(250)]).numpy()
        accuracy = np.mean(logits.argmax(1) == labels)
        # 92 to 93 % on the images before they were compressed.
        assert 0.79 < accuracy < 0.86, (entry.label, accuracy)
    assert len(fingerprints) == 3


def test_the_pooled_features_give_the_logits(registry, images):
    pooled, output = read_registry(registry)[:2]
    features = load_model(pooled, root=registry.parent)
    assert features.width == 64
    assert features.code_sha256 is not None
    batch = torch.from_numpy(np.stack([features.preprocess(one) for one in images[0][::100]]))
    logits = load_model(output, root=registry.parent)(batch)
    weights = registry.parent / pooled.weights.removeprefix("file:")
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    expected = features(batch) @ state["module.linear.weight"].T + state["module.linear.bias"]
    torch.testing.assert_close(logits, expected)


@pytest.fixture(scope="module")
def pooled(registry, tmp_path_factory):
    """The pooled features of the three networks over the 1,000 images, through the store."""
    from mimicry.activations.extraction import extract_activations
    from mimicry.activations.reading import open_store

    extraction = extract_activations(
        registry,
        [("cifar10", DATA / "images.zip")],
        tmp_path_factory.mktemp("store"),
        models=["*:pool"],
        progress=False,
    )
    extraction.check()
    return open_store(extraction.store_set)


def naive_cka(x: np.ndarray, y: np.ndarray) -> float:
    """The formula of 2026 without its epsilon: two Gram matrices, centred, three traces."""
    n = len(x)
    centring = np.eye(n) - 1 / n
    k, l = (centring @ (a @ a.T) @ centring for a in (x.astype(np.float64), y.astype(np.float64)))  # noqa: E741
    return float(np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l)))


def test_what_is_stored_is_what_the_network_emits(registry, pooled, images):
    (entry,) = (
        e for e in read_registry(registry) if (e.model_name, e.layer) == ("cifar-resnet20", "pool")
    )
    extractor = load_model(entry, root=registry.parent)
    pictures, _ = images
    batch = torch.from_numpy(np.stack([extractor.preprocess(image) for image in pictures[:32]]))
    stored = next(found for found in pooled if found.model_name == "cifar-resnet20")
    assert stored.shape == (1000, 64)
    np.testing.assert_allclose(stored.chunk(0, 32), extractor(batch).numpy(), atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
def test_cka_of_the_networks_is_the_naive_one(pooled, dtype, tolerance):
    from mimicry.similarity import similarity_matrix

    features = [np.asarray(found) for found in pooled]
    matrix = similarity_matrix(pooled, "cka", dtype=dtype)
    # Few stimuli take the Gram form, a thousand the feature form.
    few = similarity_matrix([found[:50] for found in features], "cka", dtype=dtype)
    for i in range(3):
        for j in range(i + 1, 3):
            assert abs(matrix[i, j] - naive_cka(features[i], features[j])) < tolerance
            assert abs(few[i, j] - naive_cka(features[i][:50], features[j][:50])) < tolerance
            assert 0.5 < matrix[i, j] < 0.99
