"""Damaged and hostile files: a baseline says in one line what to do, and runs none of them."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from baselines_helpers import FAMILIES, FILES, change_settings, load, make_clip
from safetensors.torch import load_file, save, save_file

REMEDY = "the backbone cannot be loaded: put the folder backbone/ there"


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


DAMAGE = {
    "empty": lambda data, trap: b"",
    "cut": lambda data, trap: data[: len(data) // 2],
    "pointer": lambda data, trap: b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n",
    "pickle": lambda data, trap: pickle.dumps(Trap(trap)),
    "other": lambda data, trap: save({"a": torch.zeros(2)}),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_damaged_weights_end_in_one_line_and_run_nothing(baseline, damage, submission, tmp_path):
    folder = submission(baseline)
    settings = json.loads((folder / "settings.json").read_text())
    path = folder / "backbone" / settings["weights_file"]
    path.write_bytes(DAMAGE[damage](path.read_bytes(), tmp_path / "sprung"))
    change_settings(folder, weights_sha256=None)
    with pytest.raises(RuntimeError) as caught:
        load(folder)
    sentence = str(caught.value)
    assert sentence.startswith(REMEDY)
    assert "\n" not in sentence and len(sentence) < 300
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("pickled", ["trap", "weights"])
def test_an_older_bin_file_is_read_as_data_only(pickled, submission, tmp_path):
    folder = submission("BioCLIP")
    shutil.rmtree(folder / "backbone")
    make_clip(folder / "backbone", pickled=True)
    path = folder / "backbone" / "open_clip_pytorch_model.bin"
    if pickled == "trap":
        path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    change_settings(folder, weights_file=path.name, weights_sha256=None)
    if pickled == "weights":
        load(folder)
        return
    with pytest.raises(RuntimeError, match="the backbone cannot be loaded"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def test_the_trap_works(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_weights_that_lack_a_part_are_refused(baseline, submission):
    folder = submission(baseline)
    settings = json.loads((folder / "settings.json").read_text())
    path = folder / "backbone" / settings["weights_file"]
    arrays = load_file(path)
    del arrays[next(name for name in arrays if name.endswith("mlp.fc1.weight") or "c_fc" in name)]
    save_file(arrays, path)
    change_settings(folder, weights_sha256=None)
    with pytest.raises(RuntimeError, match="the backbone cannot be loaded"):
        load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"architecture": "no_such_net"}'])
@pytest.mark.parametrize("baseline", ["BioCLIP", "DINO_SGD"])
def test_a_damaged_configuration_ends_in_one_line(baseline, text, submission):
    folder = submission(baseline)
    config = FILES[FAMILIES[baseline]][0]
    (folder / "backbone" / config).write_text(text)
    with pytest.raises(RuntimeError, match=r"^the backbone cannot be loaded: .*\)$"):
        load(folder)


def test_a_head_of_another_backbone_is_told(submission):
    folder = submission("DINO_SGD")
    arrays = {name: np.ones(7, dtype=np.float32) for name in ("mean", "scale", "coef")}
    np.savez(folder / "classifier.npz", intercept=np.float32(0), **arrays)
    with pytest.raises(RuntimeError, match="do not belong together"):
        load(folder)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_head_that_scores_no_number_is_told(submission, odd):
    folder = submission("DINO_SGD")
    with np.load(folder / "classifier.npz") as file:
        arrays = dict(file)
    np.savez(folder / "classifier.npz", **arrays | {"intercept": np.float32(odd)})
    with pytest.raises(RuntimeError, match=r"do not belong together: .* is (nan|inf)\)$"):
        load(folder)


@pytest.mark.parametrize("named", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"])
def test_of_two_weights_files_the_one_of_the_settings_is_loaded_or_none(named, submission):
    folder = submission("BioCLIP")
    make_clip(folder / "other", seed=1, pickled=True)
    other = folder / "other" / "open_clip_pytorch_model.bin"
    other.rename(folder / "backbone" / other.name)
    change_settings(folder, weights_file=named, weights_sha256=None)
    if named == other.name:
        with pytest.raises(RuntimeError, match=r"take open_clip_model\.safetensors in place of"):
            load(folder)
        return
    expected = load_file(folder / "backbone" / named)["visual.proj"]
    torch.testing.assert_close(load(folder).network.visual.proj.cpu().detach(), expected)


def test_a_pickle_in_the_head_runs_nothing(submission, tmp_path):
    folder = submission("DINO_SGD")
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(folder / "classifier.npz", mean=trap, scale=trap, coef=trap, intercept=trap)
    with pytest.raises(RuntimeError, match=r"^classifier\.npz cannot be read: train anew"):
        load(folder)
    (folder / "classifier.npz").unlink()
    with pytest.raises(RuntimeError, match=r"^classifier\.npz cannot be read: train anew"):
        load(folder)
    assert not (tmp_path / "sprung").exists()
