"""Submission folders: what they hold, and that nobody's files are lost for them."""

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mimicry.errors import SubmissionError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "baselines" / "DINO_SGD_code_submission"
HEAD = {"b": np.arange(3, dtype=np.float32), "a": np.float32(2.5)}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    names = ("backbones", "export")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    """A baseline with an older head, clutter, and a file of its own."""
    folder = tmp_path / "baseline"
    shutil.copytree(SOURCE, folder)
    (folder / "classifier.npz").write_bytes(b"older")
    (folder / "notes.txt").write_text("own")
    for name in ("__pycache__", ".git"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "x").touch()
    (folder / "helpers").mkdir()
    (folder / "helpers" / "settings.json").write_text("kept")
    return folder


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def export(scripts: SimpleNamespace, baseline: Path, output: Path, **options: object) -> None:
    backbone = scripts.backbones.own_backbone(baseline)
    options.setdefault("include_weights", True)
    scripts.export.export_submission(baseline, backbone, HEAD, output, **options)


def test_a_submission_holds_the_code_the_backbone_and_the_new_head(scripts, baseline, tmp_path):
    output = tmp_path / "deep" / "mine"
    export(scripts, baseline, output)
    code = {"model.py", "backbone.py", "find_weights.py", "head.py", "metadata", "requirements.txt"}
    files = listed(output)
    assert files == code | {"notes.txt", "helpers/settings.json", "classifier.npz"} | {
        "settings.json",
        ".made-by-training",
        "backbone/README.md",
        "backbone/config.json",
        "backbone/model.safetensors",
    }
    for name in code | {"settings.json", "backbone/model.safetensors"}:
        if name != "settings.json":
            assert (output / name).read_bytes() == (baseline / name).read_bytes(), name
    with np.load(output / "classifier.npz", allow_pickle=False) as file:
        assert set(file.files) == {"a", "b"}
        np.testing.assert_array_equal(file["b"], HEAD["b"])
    said = json.loads((output / "settings.json").read_text())
    assert said == json.loads((baseline / "settings.json").read_text())
    assert [path.name for path in output.parent.iterdir()] == ["mine"]


def test_the_same_head_gives_the_same_bytes(scripts, baseline, tmp_path):
    for name in ("one", "two"):
        export(scripts, baseline, tmp_path / name)
    heads = [(tmp_path / name / "classifier.npz").read_bytes() for name in ("one", "two")]
    assert heads[0] == heads[1]


def test_weights_can_be_left_out(scripts, baseline, tmp_path):
    export(scripts, baseline, tmp_path / "mine", include_weights=False)
    assert not (tmp_path / "mine" / "backbone").exists()
    said = json.loads((tmp_path / "mine" / "settings.json").read_text())
    # They are looked for elsewhere, and only these will do.
    assert len(said["weights_sha256"]) == 64


def test_what_it_made_itself_is_replaced_whole(scripts, baseline, tmp_path):
    output = tmp_path / "mine"
    export(scripts, baseline, output)
    (output / "left over.txt").touch()
    (baseline / "notes.txt").write_text("newer")
    export(scripts, baseline, output)
    assert "left over.txt" not in listed(output)
    assert (output / "notes.txt").read_text() == "newer"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "baseline"}


def test_an_empty_folder_is_used(scripts, baseline, tmp_path):
    (tmp_path / "mine").mkdir()
    export(scripts, baseline, tmp_path / "mine")
    assert (tmp_path / "mine" / "model.py").is_file()


def test_the_work_of_others_is_not_overwritten(scripts, baseline, tmp_path):
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.txt").write_text("years")
    with pytest.raises(SubmissionError) as caught:
        export(scripts, baseline, output)
    assert caught.value.code == "output-in-the-way" and "--force" in caught.value.sentence
    assert listed(output) == {"thesis.txt"}
    export(scripts, baseline, output, force=True)
    assert "thesis.txt" not in listed(output) and "model.py" in listed(output)


@pytest.mark.parametrize("kind", ["baseline", "inside", "above", "here", "file", "link"])
def test_some_places_are_never_replaced(scripts, baseline, tmp_path, monkeypatch, kind):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(here)
    output = {
        "baseline": baseline,
        "inside": baseline / "mine",
        "above": tmp_path,
        "here": Path(),
        "file": tmp_path / "file",
        "link": tmp_path / "link",
    }[kind]
    before = listed(tmp_path)
    with pytest.raises(SubmissionError) as caught:
        export(scripts, baseline, output, force=True)
    assert caught.value.code == "output-in-the-way"
    assert listed(tmp_path) == before and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_inputs_is_never_replaced(scripts, baseline, tmp_path, force):
    images = tmp_path / "mine" / "IMAGES"
    images.mkdir(parents=True)
    for output in (tmp_path / "mine", images):
        with pytest.raises(SubmissionError, match="holds it"):
            scripts.export.check_output(output, baseline, inputs=[images], force=force)
    scripts.export.check_output(images / "new", baseline, inputs=[images], force=force)


def test_a_failure_leaves_the_old_submission(scripts, baseline, tmp_path, monkeypatch):
    output = tmp_path / "mine"
    export(scripts, baseline, output)
    before = {name: (output / name).read_bytes() for name in listed(output)}
    backbone = scripts.backbones.own_backbone(baseline)
    (baseline / "backbone" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        scripts.export.export_submission(baseline, backbone, HEAD, output, include_weights=True)
    assert {name: (output / name).read_bytes() for name in listed(output)} == before
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "baseline"}
