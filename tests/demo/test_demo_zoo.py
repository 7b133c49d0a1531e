"""The demo zoo, in small: made, kept, mended, never over foreign data, and removed again."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from mimicry.activations.registry import read_registry
from mimicry.demo.zoo import Zoo, build_zoo
from mimicry.demo.zoo_files import clean_zoo, read_zoo_manifest
from mimicry.demo.zoo_images import CATALOGUE, KINDS, ImageCounts, pictures_of, twin_of
from mimicry.demo.zoo_models import BREEDS, Breed, entry_of
from mimicry.errors import BundleError
from mimicry.files import sha256_file

SMALL = {"img_size": 64, "patch_size": 16, "depth": 1, "embed_dim": 24, "num_heads": 2}
TINY = Zoo(
    breeds=(
        Breed("deit_tiny_patch16_224", "norm", "cls", parameters=SMALL,
              weights_of="vit_tiny_patch16_224"),
        Breed("test_efficientnet", "global_pool", "flatten", passes=1),
        Breed("test_resnet", "global_pool", "flatten", passes=1),
        Breed("vit_tiny_patch16_224", "norm", "cls", 1e-3, 1, SMALL),
    ),
    counts=ImageCounts(training=2, blue_development=1, blue_final=1, red_catalogue=2),
    blue_count=2,
    red_count=5,
    red_models={
        "development": ("test_efficientnet", "test_resnet"),
        "final": ("test_resnet", "vit_tiny_patch16_224"),
    },
    replicates=4,
    draws=2,
)  # fmt: skip
TARGETS = {
    "public_data/blue/registry.json", "public_data/blue/rules.json",
    "public_data/red/catalogue.jsonl", "public_data/red/rules.json",
    "reference_data/blue_development.zip", "reference_data/blue_final.zip",
    "reference_data/red_development.zip", "reference_data/red_final.zip",
}  # fmt: skip


def silent(line: str) -> None:
    pass


def state(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): sha256_file(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and "/." not in path.as_posix() and path.name != "log.jsonl"
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo")
    (root / "reference_data").mkdir()
    (root / "reference_data" / "README.md").write_text("somebody's")
    assert build_zoo(root, TINY, workers=1, report=silent).changed
    return root


def test_everything_is_there(made: Path) -> None:
    assert set(state(made)) >= TARGETS
    rules = json.loads((made / "public_data/blue/rules.json").read_text())
    assert rules == {"competition": "blue", "rule": "mean_cka", "count": 2}
    with zipfile.ZipFile(made / "reference_data/red_final.zip") as archive:
        assert sum(name.startswith("models/") for name in archive.namelist()) == 2
        assert "thumbnails.npy" not in archive.namelist()
    # Drawn pictures may be shown to everybody.
    with zipfile.ZipFile(made / "reference_data/red_development.zip") as archive:
        assert "thumbnails.npy" in archive.namelist()


def test_two_names_have_the_same_weights(made: Path) -> None:
    entries = {
        one.model_name: one for one in read_registry(made / "public_data/blue/registry.json")
    }
    one, other = entries["deit_tiny_patch16_224"], entries["vit_tiny_patch16_224"]
    assert one.weights_sha256 == other.weights_sha256 is not None
    assert entries["test_resnet"].weights_sha256 != one.weights_sha256


def test_one_image_has_two_names(made: Path) -> None:
    rows = [json.loads(line) for line in (made / "public_data/red/catalogue.jsonl").open()]
    assert len(rows) == 20 and {row["class_name"] for row in rows} == set(KINDS)
    by_sum: dict[str, list[str]] = {}
    for row in rows:
        by_sum.setdefault(row["sha256"], []).append(row["image_identifier"])
    twins = [tuple(names) for names in by_sum.values() if len(names) > 1]
    assert twins == [twin_of(TINY.counts)]


def test_the_second_time_nothing_is_done(made: Path) -> None:
    before = state(made)
    lines: list[str] = []
    started = time.monotonic()
    assert not build_zoo(made, TINY, workers=1, report=lines.append).changed
    assert time.monotonic() - started < 5
    assert state(made) == before and lines[0].startswith("already there")


def test_what_was_lost_is_made_again_the_same(made: Path) -> None:
    before = state(made)
    (made / "demo_data/zoo/weights/test_resnet.safetensors").unlink()
    (made / "reference_data/blue_final.zip").write_bytes(b"damaged")
    with pytest.raises(BundleError) as caught:
        build_zoo(made, TINY, workers=1, report=silent)
    assert caught.value.code == "demo-foreign-file"
    (made / "reference_data/blue_final.zip").unlink()
    assert build_zoo(made, TINY, workers=1, report=silent).changed
    assert state(made) == before


def test_foreign_data_stay(tmp_path: Path) -> None:
    foreign = tmp_path / "public_data" / "blue" / "rules.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(BundleError) as caught:
        build_zoo(tmp_path, TINY, workers=1, report=silent)
    assert caught.value.code == "demo-foreign-file" and foreign.read_text() == "mine"


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_demo_zoo import TINY
from mimicry.demo.zoo import build_zoo
if __name__ == "__main__":
    build_zoo(Path(sys.argv[1]), TINY, workers=1)
"""


def test_killed_and_run_again(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "zoo"
    root.mkdir()
    script = tmp_path / "make.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(root), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        # In the middle: some networks have their weights, others not.
        if line.startswith("trained 1"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert read_zoo_manifest(root)["state"] == "building"
    assert build_zoo(root, TINY, workers=1, report=silent).changed
    assert {n: h for n, h in state(root).items() if n in TARGETS} == {
        n: h for n, h in state(made).items() if n in TARGETS
    }
    # A zoo that was left half-made goes whole as well.
    manifest = root / "demo_data/zoo/manifest.json"
    manifest.write_text(json.dumps(read_zoo_manifest(root) | {"state": "building"}))
    clean_zoo(root, report=silent)
    assert not state(root)


def test_cleaning_leaves_what_is_not_the_zoos(made: Path) -> None:
    mine = made / "demo_data/zoo/mine.txt"
    mine.write_text("mine")
    edited = made / "public_data/red/rules.json"
    edited.write_text("edited")
    lines: list[str] = []
    removed = clean_zoo(made, report=lines.append)
    assert set(state(made)) == {
        "demo_data/zoo/mine.txt", "public_data/red/rules.json", "reference_data/README.md",
    }  # fmt: skip
    assert len(removed) > 20 and any(line.startswith("kept demo_data/zoo/") for line in lines)
    assert clean_zoo(made, report=silent) == ()


def test_the_zoo_of_the_demo() -> None:
    names = [breed.name for breed in BREEDS]
    assert 10 <= len(names) <= 14 and names == sorted(set(names))
    secret = [set(models) for models in Zoo().red_models.values()]
    own = {breed.name for breed in BREEDS if breed.weights_of is None}
    assert secret[0] | secret[1] < own and not secret[0] & secret[1]
    for breed in BREEDS:
        if breed.weights_of is not None:
            other = next(one for one in BREEDS if one.name == breed.weights_of)
            assert entry_of(breed).weights == entry_of(other).weights
            assert breed.arguments == other.arguments
    assert len(pictures_of(CATALOGUE, ImageCounts())) == 400


def test_the_baselines_name_what_the_zoo_has() -> None:
    root = Path(__file__).resolve().parents[2]
    zoo = Zoo()
    names = {breed.name for breed in zoo.breeds}
    images = {one.name for one in pictures_of(CATALOGUE, zoo.counts)}
    files = [
        *root.glob("baselines/*_submission/[br]*_*.json"),
        *root.glob("*_team_submissions/example_team.json"),
    ]
    seen = {"blue": 0, "red": 0}
    for path in files:
        document = json.loads(path.read_text())
        if "models" in document:
            chosen = [one["model_name"] for one in document["models"]]
            assert len(set(chosen)) == zoo.blue_count and set(chosen) <= names
            assert not {"deit_tiny_patch16_224", "vit_tiny_patch16_224"} <= set(chosen)
            seen["blue"] += 1
        else:
            pairs = [tuple(one.values()) for one in document["differentiating_images"]]
            assert len(set(pairs)) == zoo.red_count
            assert {one["dataset_name"] for one in document["differentiating_images"]} == {
                "butterflies"
            }
            chosen = [one["image_identifier"] for one in document["differentiating_images"]]
            assert set(chosen) <= images and not set(twin_of(zoo.counts)) <= set(chosen)
            seen["red"] += 1
    assert seen == {"blue": 3, "red": 3}
