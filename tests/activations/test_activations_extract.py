"""Extraction with real architectures of timm (random weights) on generated images."""

import dataclasses
import fcntl
import json
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from activations_store_helpers import MODELS, content, write_images, write_models
from PIL import Image

from mimicry.activations import extract as extracting
from mimicry.activations.extract import Request, Settings
from mimicry.activations.extraction import choose_models, extract_activations
from mimicry.activations.feed import decode, feed
from mimicry.activations.reading import open_store
from mimicry.activations.registry import read_registry
from mimicry.activations.stimuli import read_stimuli
from mimicry.activations.torchvision_compat import install
from mimicry.errors import BundleError

torch = pytest.importorskip("torch")

SETTINGS = Settings(device="cpu", batch_size=8, workers=2, threads=1, shard_rows=8)
COUNT = 30


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data") / "images", count=COUNT)


@pytest.fixture
def registry(tmp_path):
    return write_models(tmp_path / "registry.json")


@pytest.fixture(scope="module")
def reference(images, tmp_path_factory):
    """A store that was written in one go, by one process."""
    folder = tmp_path_factory.mktemp("reference")
    registry = write_models(folder / "registry.json")
    done = run(registry, images, folder / "store")
    assert [outcome.state for outcome in done.outcomes] == ["written"] * 3
    return folder / "store"


def run(registry, images, store, **options):
    options = {"settings": SETTINGS, "progress": False} | options
    return extract_activations(registry, [("val", images)], store, **options)


def direct(registry, images, name, batch_size=8):
    """The same numbers by a plain loop over timm and Pillow, written down once more."""
    # As the package does it: beside a CPU torch the registry's torchvision needs help.
    install()
    import timm

    item = next(one for one in json.loads(registry.read_text()) if one["model_name"] == name)
    torch.manual_seed(int(item["weights"].split(":")[1]))
    model = timm.create_model(name, pretrained=False, **item["model_parameters"]).eval()
    paths = sorted(images.rglob("*.*g"), key=lambda path: path.relative_to(images).as_posix())
    rows = []
    seen = {}
    dict(model.named_modules())[item["layer"]].register_forward_hook(
        lambda module, inputs, output: seen.update(output=output)
    )
    for start in range(0, len(paths), batch_size):
        batch = []
        for path in paths[start : start + batch_size]:
            image = Image.open(path).convert("RGB")
            short = min(image.size)
            side = item["preprocess"]["resize"]
            size = [int(side * edge / short) for edge in image.size]
            image = image.resize(size, Image.Resampling.BICUBIC)
            left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
            image = image.crop((left, top, left + side, top + side))
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
            batch.append((pixels - 0.5) / 0.25)
        with torch.inference_mode():
            model(torch.stack(batch))
        output = seen["output"]
        rows.append(output[:, 0] if item["pooling"] == "cls" else output.flatten(1))
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("name", [name for name, *_ in MODELS])
def test_it_equals_a_plain_loop(reference, images, registry, name):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = direct(registry, images, name)
    finally:
        torch.set_num_threads(threads)
    (store_set,) = reference.iterdir()
    found = {one.model_name: one for one in open_store(store_set, verify=True)}
    assert np.allclose(np.asarray(found[name]), expected, rtol=1e-5, atol=1e-6)
    assert np.asarray(found[name]).std() > 0


def test_two_parts_make_the_same_bytes(reference, images, registry, tmp_path):
    for part in (1, 2):
        run(registry, images, tmp_path / "parts", shard=(part, 2))
    assert content(tmp_path / "parts") == content(reference)


def test_the_size_of_a_shard_changes_no_number(reference, images, registry, tmp_path):
    settings = dataclasses.replace(SETTINGS, shard_rows=None)
    done = run(registry, images, tmp_path / "store", settings=settings)
    (store_set,) = reference.iterdir()
    assert done.store_set.name == store_set.name
    for one, other in zip(open_store(done.store_set), open_store(store_set), strict=True):
        assert one.folder.name == other.folder.name
        assert len(one.manifest.shards) == 1 and len(other.manifest.shards) == 4
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_a_second_run_keeps_what_is_complete(reference, images, registry):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*.*")}
    done = run(registry, images, reference)
    assert Counter(outcome.state for outcome in done.outcomes) == {"reused": 3}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_registry_with_fingerprints_needs_no_model_to_know_what_is_complete(
    reference, images, registry, tmp_path, monkeypatch
):
    (store_set,) = reference.iterdir()
    prints = {
        one.model_name: one.manifest.identity["model"]["weights_sha256"]
        for one in open_store(store_set)
    }
    entries = json.loads(registry.read_text())
    for entry in entries:
        entry["weights_sha256"] = prints[entry["model_name"]]
    registry.write_text(json.dumps(entries))
    monkeypatch.setattr("mimicry.activations.models.load_model", None)
    done = run(registry, images, reference)
    assert Counter(outcome.state for outcome in done.outcomes) == {"reused": 3}


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bfloat16"},
        {"dtype": "float16"},
        {"dtype": "bfloat16"},
        {"preprocess": {"interpolation": "bilinear"}},
        {"preprocess": {"std": [0.5, 0.5, 0.5]}},
        {"weights": "random:9"},
        {"layer": "act1"},
        {"pooling": "mean", "layer": "layer4"},
    ],
    ids=str,
)
def test_whatever_changes_a_number_gets_a_cache_of_its_own(reference, images, tmp_path, change):
    fields = {key: value for key, value in change.items() if key in {"precision", "dtype"}}
    registry = write_models(tmp_path / "registry.json", MODELS[:1])
    (entry,) = json.loads(registry.read_text())
    for key, value in change.items():
        if key not in fields:
            entry[key] = entry[key] | value if isinstance(value, dict) else value
    registry.write_text(json.dumps([entry]))
    done = run(
        registry, images, tmp_path / "store", settings=dataclasses.replace(SETTINGS, **fields)
    )
    assert done.outcomes[0].state == "written", done.outcomes
    (opened,) = open_store(done.store_set)
    (store_set,) = reference.iterdir()
    assert opened.folder.name not in {path.name for path in store_set.iterdir()}


def test_other_stimuli_go_into_another_set(reference, images, registry, tmp_path):
    some = write_images(tmp_path / "some", count=COUNT - 1)
    done = run(registry, some, tmp_path / "store", models=["test_resnet"])
    (store_set,) = reference.iterdir()
    assert done.store_set.name != store_set.name


def test_one_bad_model_does_not_stop_the_others(images, registry, tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, fault):\n"
        "        super().__init__()\n"
        "        self.fault, self.top = fault, torch.nn.Flatten()\n"
        "    def forward(self, x):\n"
        "        # The trial with black images must pass, and nothing behind the tap is run.\n"
        "        if x.std() and self.fault == 'raises':\n"
        "            raise RuntimeError('no\\nluck')\n"
        "        if x.std() and self.fault == 'memory':\n"
        "            raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "        return self.top(x)\n"
        "class Nan(Net):\n"
        "    def __init__(self):\n"
        "        super().__init__('')\n"
        "        self.top = torch.nn.Identity()\n"
        "    def forward(self, x):\n"
        "        return self.top(torch.log(x.flatten(1)) if x.std() else x.flatten(1))\n"
        "def net(fault):\n"
        "    return Nan() if fault == 'nan' else Net(fault)\n"
    )
    entries = json.loads(registry.read_text())
    for fault in ("raises", "memory", "nan"):
        entries.insert(
            1,
            entries[0]
            | {
                "model_name": fault,
                "source": "custom",
                "entry_point": "own.py:net",
                "layer": "top",
                "model_parameters": {"fault": fault},
            },
        )
    registry.write_text(json.dumps(entries))
    done = run(registry, images, tmp_path / "store")
    states = {outcome.label.split()[0]: (outcome.state, outcome.code) for outcome in done.outcomes}
    assert states == {
        "raises": ("failed", "model-failed"),
        "memory": ("failed", "device-memory"),
        "nan": ("failed", "activations-not-finite"),
        **{name: ("written", "") for name, *_ in MODELS},
    }
    nan = next(o for o in done.outcomes if o.label.startswith("nan"))
    assert "class-0/0000.png" in nan.text
    with pytest.raises(BundleError, match="3 of 6 models failed") as raised:
        done.check()
    assert raised.value.code == "models-failed"


def test_an_image_that_cannot_be_decoded_is_named(registry, tmp_path):
    images = write_images(tmp_path / "images", count=12)
    path = images / "class-1" / "0010.jpg"
    path.write_bytes(path.read_bytes()[:300])
    done = run(registry, images, tmp_path / "store", models=["test_resnet"])
    with pytest.raises(BundleError, match=r"class-1/0010\.jpg cannot be decoded") as raised:
        done.check()
    assert raised.value.code == "stimulus-undecodable"


def test_too_little_space_is_told_before_anything_is_written(
    images, registry, tmp_path, monkeypatch
):
    class Usage:
        free = 1000

    monkeypatch.setattr(extracting.shutil, "disk_usage", lambda path: Usage)
    done = run(registry, images, tmp_path / "store", models=["test_resnet"])
    assert done.outcomes[0].code == "store-space"
    assert not list((tmp_path / "store").rglob("shard-*"))


def test_a_device_that_is_not_there_is_told(images, registry, tmp_path):
    settings = dataclasses.replace(SETTINGS, device="cuda:99")
    with pytest.raises(BundleError) as raised:
        run(registry, images, tmp_path / "store", settings=settings, models=["test_resnet"])
    assert raised.value.code == "device-missing"
    assert not (tmp_path / "store").exists()


def test_processes_make_the_same_bytes_and_one_that_dies_costs_one_model(
    reference, images, registry, tmp_path
):
    (tmp_path / "own.py").write_text(
        "import os, torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        if x.std():\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return x.flatten(1)\n"
        "def net():\n"
        "    return Net()\n"
    )
    entries = json.loads(registry.read_text())
    dying = {"model_name": "dying", "source": "custom", "entry_point": "own.py:net", "layer": ""}
    # First, so that others come after it on the same worker.
    entries = [entries[0] | dying, *entries]
    registry.write_text(json.dumps(entries))
    # Somebody else writes one of them meanwhile, and gives up.
    (cache,) = reference.glob("*/test_vit*")
    locks = tmp_path / "store" / cache.parent.name / ".locks"
    locks.mkdir(parents=True)
    with (locks / cache.name).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        release = threading.Timer(6, fcntl.flock, (lock, fcntl.LOCK_UN))
        release.start()
        done = run(registry, images, tmp_path / "store", processes=2)
        release.join()
    states = Counter((outcome.state, outcome.code) for outcome in done.outcomes)
    assert states == {("written", ""): 3, ("failed", "worker-died"): 1}
    assert "signal 9" in next(o.text for o in done.outcomes if o.code)
    found = content(tmp_path / "store")
    assert {path: data for path, data in found.items() if "dying" not in path} == content(reference)


def test_models_are_chosen_by_name_layer_and_part(registry):
    entries = read_registry(registry)

    def names(*patterns, shard=(1, 1)):
        return [entries[one.index].model_name for one in choose_models(entries, patterns, shard)]

    everything = [name for name, *_ in MODELS]
    assert names() == everything
    assert names("*net", "test_vit", "*") == everything
    assert names("*resnet:global_pool") == ["test_resnet"]
    parts = [names(shard=(part, 2)) for part in (1, 2)]
    assert parts == [everything[::2], everything[1::2]]
    assert names(shard=(9, 9)) == []
    with pytest.raises(BundleError, match="absent") as raised:
        names("absent")
    assert raised.value.code == "model-unknown"


def test_a_request_survives_a_line_of_json(tmp_path):
    request = Request(tmp_path / "a", tmp_path / "b", (("x", tmp_path),), SETTINGS)
    assert "\n" not in request.text()
    assert Request.from_text(request.text()) == request


def test_the_feed_bounds_memory_and_keeps_order(images):
    stimuli = read_stimuli(images, "val")
    made = []

    def allocate(shape):
        made.append(shape)
        return np.zeros(shape, np.uint8)

    def prepare(image):
        return np.asarray(image.convert("RGB"))[:4, :4]

    expected = [prepare(decode(stimuli.read(i), "")) for i in range(COUNT)]
    options = {"batch_size": 8, "threads": 3, "ahead": 2, "held": 2, "allocate": allocate}
    starts, kept = [], []
    with feed(stimuli, prepare, (4, 4, 3), start=8, **options) as batches:
        for batch in batches:
            starts.append(batch.start)
            for offset, image in enumerate(batch.images):
                assert np.array_equal(image, expected[batch.start + offset])
            kept.append(batch)
            if len(kept) == 2:
                kept.pop(0).release()
    assert starts == [8, 16, 24] and len(batch.images) == COUNT - 24
    # 22 images are three batches: there is no more to hold.
    assert made == [(8, 4, 4, 3)] * 3
    with (
        pytest.raises(ValueError, match="multiple"),
        feed(stimuli, prepare, (4, 4, 3), start=3, **options),
    ):
        pass


def test_the_feed_can_be_left_early(images):
    stimuli = read_stimuli(images, "val")
    with feed(
        stimuli, lambda image: np.zeros((2, 2, 3)), (2, 2, 3), batch_size=2, threads=2
    ) as batches:
        next(batches)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(BundleError) as raised:
        decode(data, "a.jpg")
    assert raised.value.code == "stimulus-undecodable"


def test_the_library_imports_no_torch_by_itself():
    script = (
        "import sys, mimicry.activations.extraction, mimicry.commands.activations\n"
        "print(*{'torch', 'timm', 'submitit'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
