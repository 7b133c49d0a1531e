"""Submission folders: what they hold, and that nobody's files are lost for them."""

import errno
import fcntl
import importlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mimicry.errors import BundleError, SubmissionError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "baselines" / "DINO_SGD_code_submission"
HEAD = {"b": np.arange(3, dtype=np.float32), "a": np.float32(2.5)}


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    names = ("backbones", "export", "placing")
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
    # Running the code leaves these.
    (output / "__pycache__").mkdir()
    (output / "__pycache__" / "head.pyc").touch()
    (baseline / "notes.txt").write_text("newer")
    (baseline / "helpers" / "settings.json").unlink()
    export(scripts, baseline, output)
    assert not listed(output) & {"__pycache__/head.pyc", "helpers/settings.json"}
    assert (output / "notes.txt").read_text() == "newer"
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "baseline"}


@pytest.mark.parametrize("kind", ["edited", "added", "hidden", "gone", "linked"])
def test_what_was_changed_since_is_not_replaced(scripts, baseline, tmp_path, kind):
    output = tmp_path / "mine"
    export(scripts, baseline, output)
    name = {"added": "helpers/new.py", "hidden": ".env"}.get(kind, "head.py")
    if kind in ("gone", "linked"):
        (output / name).unlink()
    if kind == "linked":
        (output / name).symlink_to(baseline / name)
    elif kind != "gone":
        (output / name).write_text("# hours of work")
    before = listed(output)
    with pytest.raises(SubmissionError) as caught:
        export(scripts, baseline, output)
    assert caught.value.code == "output-in-the-way"
    assert name in caught.value.sentence and "--force" in caught.value.sentence
    assert listed(output) == before
    export(scripts, baseline, output, force=True)
    assert (output / "head.py").read_bytes() == (baseline / "head.py").read_bytes()


def test_an_empty_folder_is_used(scripts, baseline, tmp_path):
    (tmp_path / "mine").mkdir()
    export(scripts, baseline, tmp_path / "mine")
    assert (tmp_path / "mine" / "model.py").is_file()


def test_the_work_of_others_is_not_overwritten(scripts, baseline, tmp_path):
    output = tmp_path / "mine"
    output.mkdir()
    (output / "thesis.txt").write_text("years")
    for force in (False, True):
        with pytest.raises(SubmissionError, match="no submission") as caught:
            export(scripts, baseline, output, force=force)
        assert caught.value.code == "output-in-the-way"
    assert listed(output) == {"thesis.txt"}
    (output / "model.py").write_text("another submission")
    with pytest.raises(SubmissionError, match="--force"):
        export(scripts, baseline, output)
    export(scripts, baseline, output, force=True)
    assert "thesis.txt" not in listed(output) and "head.py" in listed(output)


@pytest.mark.parametrize(
    "kind",
    [
        *("baseline", "inside", "above", "here", "file", "link", "home", "homes"),
        *("git", "other", "loop", "long", "zero"),
    ],
)
def test_some_places_are_never_replaced(scripts, baseline, tmp_path, monkeypatch, kind):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(here)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("people/me", "git/.git"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("people/me", "people", "git"):
        (tmp_path / name / "model.py").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "people" / "me"))
    output = {
        "baseline": baseline,
        "inside": baseline / "mine",
        "above": tmp_path,
        "here": Path(),
        "file": tmp_path / "file",
        "link": tmp_path / "link",
        "home": tmp_path / "people" / "me",
        "homes": tmp_path / "people",
        "git": tmp_path / "git",
        "other": ROOT / "baselines" / "anomaly_code_submission",
        "loop": tmp_path / "loop" / "mine",
        "long": tmp_path / ("a" * 300),
        "zero": tmp_path / "bad\0",
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
            scripts.placing.check_output(output, baseline, inputs=[images], force=force)
    scripts.placing.check_output(images / "new", baseline, inputs=[images], force=force)


def test_force_does_not_reach_into_inputs(scripts, baseline, tmp_path):
    inner = tmp_path / "data" / "inner"
    inner.mkdir(parents=True)
    (inner / "model.py").touch()
    scripts.placing.check_output(inner, baseline, force=True)
    with pytest.raises(SubmissionError, match="lies in"):
        scripts.placing.check_output(inner, baseline, inputs=[tmp_path / "data"], force=True)


@pytest.mark.parametrize("kind", ["gone", "full"])
def test_a_failure_leaves_the_old_submission(scripts, baseline, tmp_path, monkeypatch, kind):
    output = tmp_path / "mine"
    export(scripts, baseline, output)
    before = {name: (output / name).read_bytes() for name in listed(output)}
    backbone = scripts.backbones.own_backbone(baseline)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some file")

    if kind == "gone":
        (baseline / "backbone" / "model.safetensors").unlink()
        error, code = SubmissionError, "baseline-incomplete"
    else:
        monkeypatch.setattr(shutil, "copy2", full)
        error, code = BundleError, "output-unwritable"
    with pytest.raises(error) as caught:
        scripts.export.export_submission(baseline, backbone, HEAD, output, include_weights=True)
    assert caught.value.code == code
    assert {name: (output / name).read_bytes() for name in listed(output)} == before
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "baseline"}


def test_what_cannot_be_written_is_told_before_the_work(scripts, baseline, tmp_path, monkeypatch):
    def read_only(self: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(BundleError, match=r"Read-only.*--output") as caught:
        scripts.placing.prepare_output(tmp_path / "mine", baseline)
    assert caught.value.code == "output-unwritable"
    with pytest.raises(BundleError, match=r"Read-only.*--work") as caught:
        scripts.placing.prepare_work(tmp_path / "work")
    assert caught.value.code == "work-unwritable"
    with pytest.raises(BundleError, match=r"--work"):
        scripts.placing.keep(tmp_path / "none" / "file", "text")
    # The name of the folder that is made beside it would be too long.
    monkeypatch.undo()
    with pytest.raises(BundleError, match="too long"):
        scripts.placing.prepare_output(tmp_path / ("a" * 250), baseline)
    assert {path.name for path in tmp_path.iterdir()} == {"baseline"}


def test_what_killed_runs_left_is_tidied_up(scripts, baseline, tmp_path):
    output = tmp_path / "mine"
    export(scripts, baseline, output)
    first = listed(output)
    other = ".mine.0123456789ab.tmp.txt"
    (tmp_path / other).touch()
    (tmp_path / ".yours.0123456789ab.tmp").mkdir()
    kept = {other, ".yours.0123456789ab.tmp", "baseline", "mine"}
    left = [tmp_path / f".mine.{'0' * 12}.tmp", tmp_path / f".mine.{'1' * 12}.old"]
    # Killed between moving the old one away and the new one into its place.
    left[0].mkdir()
    output.rename(left[1])
    scripts.placing.prepare_output(output, baseline)
    assert listed(output) == first
    assert {path.name for path in tmp_path.iterdir()} == kept
    for path in left:
        path.mkdir()
    # Another export is at work there.
    busy = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(busy, fcntl.LOCK_EX)
    scripts.placing.prepare_output(output, baseline)
    assert all(path.is_dir() for path in left)
    os.close(busy)
    export(scripts, baseline, output)
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("kind", ["outside", "nowhere", "folder", "loop", "pipe"])
def test_links_out_of_the_code_are_refused(scripts, baseline, tmp_path, kind):
    (tmp_path / "secret").write_text("key")
    odd = baseline / "helpers" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        target = {"outside": tmp_path / "secret", "nowhere": tmp_path / "none"}
        target |= {"folder": baseline / "helpers", "loop": odd}
        odd.symlink_to(target[kind])
    with pytest.raises(SubmissionError, match="helpers/odd") as caught:
        scripts.export.code_files(baseline)
    assert caught.value.code == "code-link"
    with pytest.raises(SubmissionError):
        export(scripts, baseline, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_links_inside_the_code_become_files(scripts, baseline, tmp_path):
    (baseline / "same.txt").symlink_to("notes.txt")
    # Editors leave such, and nobody packs them.
    (baseline / ".#head.py").symlink_to("nowhere")
    export(scripts, baseline, tmp_path / "mine")
    copy = tmp_path / "mine" / "same.txt"
    assert copy.read_text() == "own" and not copy.is_symlink()
    with pytest.raises(SubmissionError) as caught:
        scripts.export.code_files(tmp_path / "none")
    assert caught.value.code == "baseline-incomplete"
