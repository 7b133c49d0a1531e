"""The one command: from a table to a packed, checked submission, again and again."""

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mimicry.demo.build import build_demo
from mimicry.files import sha256_file

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "training" / "train.py"
Run = Callable[..., str]
REPO = "timm/vit_base_patch14_dinov2.lvd142m"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Prints the submission's own scores of the images in a zip, by name.
PREDICT = """
import io, json, sys, zipfile
from PIL import Image
from model import Model
model = Model()
model.load()
with zipfile.ZipFile(sys.argv[1]) as archive:
    names = sorted(archive.namelist())
    images = [Image.open(io.BytesIO(archive.read(name))) for name in names]
    print(json.dumps(dict(zip(names, [float(score) for score in model.predict_batch(images)]))))
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "demo"
    build_demo(folder, scale=0.02, size=(96, 68), workers=1, report=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def work(demo: Path) -> Path:
    return demo.parent / "work"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in a folder, in this process, and returns all that it printed."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    train = importlib.import_module("train")

    def run(*arguments: object, folder: Path, code: int = 0) -> str:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        try:
            left = train.main([str(one) for one in arguments])
        except SystemExit as leaving:
            left = leaving.code
        printed = capfd.readouterr()
        assert left == code, printed
        return printed.out + printed.err

    return run


def run_apart(*arguments: object, folder: Path, code: int = 0, **variables: str) -> str:
    """Run the command as a process of its own, whose libraries see other variables."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout[-4000:]
    return done.stdout


def validation_labels(demo: Path) -> dict[str, bool]:
    with zipfile.ZipFile(demo / "reference_data" / "val.zip") as archive:
        lines = archive.read("val.csv").decode().splitlines()
    return {line.split(",")[0]: line.split(",")[1] == "1" for line in lines[1:]}


def test_a_table_becomes_a_packed_submission_that_scores_as_in_training(run, demo, work, tmp_path):
    printed = run(
        *("demo", "--data", demo, "--work", work, "--baseline", "DINO_SGD"),
        *("--output", "my_submission", "--engine", "subprocess"),
        folder=tmp_path,
    )
    parts = re.findall(r"^== (.*)$", printed, re.MULTILINE)
    assert parts == [
        *("data", "backbone", "features", "validation", "head", "submission"),
        *("mimicry check", "mimicry pack"),
    ]
    assert "smoke run: 8 images" in printed and "my_submission: looks fine" in printed
    assert "unseen cross 8 x 9: no figure" in printed
    assert "the anomaly head on these features" in printed
    with zipfile.ZipFile(tmp_path / "dist" / "my_submission.zip") as archive:
        names = archive.namelist()
    assert {"model.py", "head.py", "classifier.npz", "backbone/model.safetensors"} <= set(names)
    assert not any(name.startswith(".") for name in names)
    # Running its code is no change to it, so the same command may replace it.
    placing = importlib.import_module("placing")
    placing.check_output(tmp_path / "my_submission", ROOT / "baselines" / "none")

    # What the submission itself predicts gives the figures that training printed.
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, demo / "input_data" / "val.zip"],
        cwd=tmp_path / "my_submission",
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout.splitlines()[-1])
    assert set(scores) == set(validation_labels(demo))
    figures = json.loads((work / "my_submission.validation_set.json").read_text())
    graded = grade(demo, scores)
    assert figures["columns"] == pytest.approx(graded, abs=1e-12)
    held_out = json.loads((work / "my_submission.held_out.json").read_text())
    assert held_out["seen"]["hybrids"] == 6 and held_out["unseen"] == {"8 x 9": None}
    low, high = held_out["seen"]["interval"]
    assert low <= held_out["seen"]["recall"] <= high


def grade(demo: Path, scores: dict[str, float]) -> dict[str, float]:
    from mimicry.hybrids.grading import grade as by_scorer
    from mimicry.hybrids.reference import parse_reference
    from mimicry.hybrids.tasks import TASKS

    with zipfile.ZipFile(demo / "reference_data" / "val.zip") as archive:
        reference = parse_reference(archive.read("val.csv"), "val.csv")
    return by_scorer(TASKS["hybrid"], reference, [scores[name] for name in reference.filenames])


def test_a_second_run_computes_no_feature_and_gives_the_same_bytes(run, demo, work, tmp_path):
    options = ("demo", "--data", demo, "--work", work, "--baseline", "anomaly", "--no-pack")
    run(*options, "--output", "one", folder=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.npy")}
    assert before
    printed = run(*options, "--output", "two", folder=tmp_path)
    assert "all of them were there from an earlier run" in printed
    assert "computed, kept" not in printed and printed.count("is complete") == 2
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.npy")} == before
    for name in ("classifier.npz", "settings.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    # The anomaly head needs no hybrid, and so has a figure for hybrids that it never saw.
    assert re.search(r"unseen cross 8 x 9: 0\.\d+ |unseen cross 8 x 9: 1\.000 ", printed)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A Hugging Face cache that holds a small network under the name of the full-size one."""
    place = tmp_path / "hf" / "hub" / f"models--{REPO.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    source = ROOT / "baselines" / "DINO_SGD_code_submission" / "backbone"
    shutil.copytree(source, place / "snapshots" / COMMIT)
    return tmp_path / "hf"


def test_the_hubs_backbone_is_used_and_named_for_later(demo, work, cache, tmp_path):
    printed = run_apart(
        *("demo", "--data", demo, "--work", work, "--baseline", "DINO_SGD", "--hub"),
        *("--size", 56, "--leave-weights-out", "--no-validation", "--no-pack", "--output", "mine"),
        folder=tmp_path,
        HF_HOME=str(cache),
    )
    assert "the Hugging Face cache, model.safetensors" in printed
    assert "== validation" not in printed
    said = json.loads((tmp_path / "mine" / "settings.json").read_text())
    assert said["hub"] == {"repo": REPO, "revision": COMMIT}
    assert said["name"] == "vit_base_patch14_dinov2.lvd142m"
    assert said["preprocess"]["size"] == 56
    weights = cache / "hub" / f"models--{REPO.replace('/', '--')}" / "snapshots" / COMMIT
    assert said["weights_sha256"] == sha256_file(weights / "model.safetensors")
    assert not (tmp_path / "mine" / "backbone").exists()
    assert "/opt/weights/vit_base_patch14_dinov2.lvd142m" in printed and REPO in printed


def test_a_folder_can_be_the_backbone(run, demo, work, tmp_path):
    source = ROOT / "baselines" / "BioCLIP_code_submission" / "backbone"
    shutil.copytree(source, tmp_path / "my (weights)")
    options = ("demo", "--data", demo, "--work", work, "--baseline", "BioCLIP", "--no-pack")
    options += ("--weights", "my (weights)", "--no-validation", "--output", "mine")
    printed = run(*options, "--size", 112, folder=tmp_path)
    assert "my-weights from my (weights), 112 pixels" in printed
    said = json.loads((tmp_path / "mine" / "settings.json").read_text())
    assert said["name"] == "my-weights" and said["hub"] is None
    assert (tmp_path / "mine" / "backbone" / "open_clip_model.safetensors").is_file()


def test_weights_that_are_elsewhere_go_by_their_name_there(run, demo, work, tmp_path):
    source = ROOT / "baselines" / "BioCLIP_code_submission" / "backbone"
    options = ("demo", "--data", demo, "--work", work, "--baseline", "BioCLIP", "--no-validation")
    options += ("--weights", source, "--size", 112, "--leave-weights-out", "--output", "mine")
    printed = run(*options, "--name", "bioclip", folder=tmp_path)
    assert "/opt/weights/bioclip" in printed and "not run, since its weights" in printed
    assert json.loads((tmp_path / "mine" / "settings.json").read_text())["name"] == "bioclip"
    with zipfile.ZipFile(tmp_path / "dist" / "mine.zip") as archive:
        assert not [name for name in archive.namelist() if name.startswith("backbone/")]
    assert "--name" in run(*options, "--name", "../up", folder=tmp_path, code=2)


def test_without_a_network_the_hubs_backbone_is_told_to_be_missing(demo, work, tmp_path):
    printed = run_apart(
        *("demo", "--data", demo, "--work", work, "--baseline", "BioCLIP", "--hub"),
        *("--output", "mine"),
        folder=tmp_path,
        code=3,
        HF_HOME=str(tmp_path / "empty"),
    )
    last = printed.splitlines()[-1]
    assert last.endswith("[backbone-unavailable]")
    assert "imageomics/bioclip" in last and "--weights" in last
    assert not (tmp_path / "mine").exists()


@pytest.fixture
def photographs(demo: Path, tmp_path: Path) -> Iterator[Path]:
    """The challenge's table and folders, with the demo's pictures."""
    source = demo / "demo_data"
    lines = (source / "butterfly_train.csv").read_text().splitlines()
    table = [f"CAMID,{lines[0]},file_url,md5"]
    for number, line in enumerate(lines[1:]):
        name, kind = line.split(",")[:2]
        image = source / "train" / name
        target = tmp_path / "IMAGES" / kind / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)
        digest = hashlib.md5(image.read_bytes(), usedforsecurity=False).hexdigest()
        # Nothing listens there: whatever is not in its place cannot be had.
        table.append(f"CAM{number},{line},http://127.0.0.1:9/{name},{digest}")
    (tmp_path / "butterfly_anomaly_train.csv").write_text("\n".join(table) + "\n")
    return tmp_path


def test_the_challenges_own_layout_is_trained_on(run, photographs, work):
    options = ("original", "--table", "butterfly_anomaly_train.csv", "--images", "IMAGES")
    options += ("--download", "--work", work, "--baseline", "BioCLIP", "--output", "mine")
    printed = run(*options, "--no-pack", "--no-validation", folder=photographs)
    assert "57 were there, 0 downloaded, 0 failed" in printed
    assert "57 training images, 6 of them hybrids" in printed
    assert (photographs / "mine" / "classifier.npz").is_file()


def test_what_cannot_be_downloaded_is_told_with_how_to_go_on(run, photographs, work):
    gone = sorted((photographs / "IMAGES" / "non-hybrid").iterdir())[0]
    gone.unlink()
    options = ("original", "--table", "butterfly_anomaly_train.csv", "--images", "IMAGES")
    options += ("--work", work, "--baseline", "BioCLIP", "--output", "mine", "--no-pack")
    printed = run(*options, "--download", folder=photographs, code=3)
    assert f"  {gone.name}: no connection (http://127.0.0.1:9/" in printed
    last = printed.splitlines()[-1]
    assert "1 of 57 images" in last and "same command" in last and last.endswith("incomplete]")
    printed = run(*options, folder=photographs, code=3)
    assert printed.splitlines()[-1].endswith("[images-missing]")
    printed = run(*options, "--skip-missing", "--no-validation", folder=photographs)
    assert "56 training images" in printed


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["demo", "--baseline", "DINO_SGD"], "--output"),
        (["demo", "--baseline", "other", "--output", "mine"], "other"),
        (["demo", "--baseline", "BioCLIP", "--output", "mine", "--size", "9"], "--size goes with"),
        (
            ["demo", "--baseline", "BioCLIP", "--output", "m", "--hub", "--weights", "w"],
            "not both",
        ),
        (["original", "--baseline", "BioCLIP", "--output", "mine"], "--table"),
        (["demo", "--baseline", "BioCLIP", "--output", "mine", "--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage_is_told_at_once(run, tmp_path, arguments, phrase):
    assert phrase in run(*arguments, folder=tmp_path, code=2)


@pytest.mark.parametrize("command", [(), ("demo",), ("original",)])
def test_help_has_examples(run, tmp_path, command):
    printed = run(*command, "--help", folder=tmp_path)
    assert "Examples:" in printed and "python examples/training/train.py" in printed


def test_the_work_of_others_is_refused_before_any_work(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    # There are no data either, which would be told otherwise.
    printed = run(
        *("original", "--table", "none.csv", "--images", "none", "--baseline", "BioCLIP"),
        *("--output", "mine"),
        folder=tmp_path,
        code=3,
    )
    assert printed.splitlines()[-1].endswith("[output-in-the-way]")


@pytest.mark.parametrize("place", ["demo_data", "reference_data", "work"])
def test_inputs_are_never_replaced(run, tmp_path, place):
    (tmp_path / place).mkdir()
    (tmp_path / place / "model.py").touch()
    printed = run(
        *("demo", "--data", ".", "--work", "work", "--baseline", "DINO_SGD", "--force"),
        *("--output", place),
        folder=tmp_path,
        code=3,
    )
    assert printed.splitlines()[-1].endswith("[output-in-the-way]")
    assert (tmp_path / place / "model.py").is_file()


@pytest.mark.parametrize("kind", ["data", "worker_data"])
def test_folders_above_inputs_are_never_replaced(run, tmp_path, kind):
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    (tmp_path / "mine" / "model.py").touch()
    option = "--" + kind.replace("_", "-")
    printed = run(
        *("demo", option, "mine/inner", "--work", "work", "--baseline", "DINO_SGD", "--force"),
        *("--output", "mine"),
        folder=tmp_path,
        code=3,
    )
    assert "holds it" in printed.splitlines()[-1]


def test_odd_code_and_unusable_work_are_told_before_the_data(run, tmp_path):
    shutil.copytree(ROOT / "baselines" / "DINO_SGD_code_submission", tmp_path / "code")
    (tmp_path / "code" / "odd").symlink_to("nowhere")
    (tmp_path / "data").mkdir()
    options = ("demo", "--data", "data", "--baseline", "DINO_SGD", "--output", "mine")
    printed = run(*options, "--code", "code", "--work", "work", folder=tmp_path, code=3)
    assert printed.splitlines()[-1].endswith("[code-link]")
    (tmp_path / "file").touch()
    printed = run(*options, "--work", "file/work", folder=tmp_path, code=4)
    assert printed.splitlines()[-1].endswith("[work-unwritable]")


def test_an_interrupt_has_its_own_exit_code(run, tmp_path, monkeypatch):
    train = importlib.import_module("train")

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    (tmp_path / "data" / "demo_data").mkdir(parents=True)
    (tmp_path / "data" / "demo_data" / "butterfly_train.csv").touch()
    printed = run(
        *("demo", "--data", "data", "--work", "work", "--baseline", "DINO_SGD"),
        *("--output", "mine"),
        folder=tmp_path,
        code=130,
    )
    assert printed.splitlines()[-1] == "Interrupted. The same command goes on."
