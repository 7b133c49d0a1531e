"""The colour pattern baseline: robust, clearly above chance, clearly below perfect."""

import importlib.util
import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.metrics import roc_auc_score

from mimicry.demo.build import DEFAULT_SCALE, DEFAULT_SIZE
from mimicry.demo.drawing import draw_all
from mimicry.demo.set_files import training_table
from mimicry.demo.sets import Order, challenge_set, draw, training_set
from mimicry.files import write_atomically
from mimicry.hybrids import metrics

ROOT = Path(__file__).resolve().parents[2]
SUBMISSION = ROOT / "baselines" / "color_pattern_code_submission"


def module_at(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model():
    loaded = module_at(SUBMISSION / "model.py").Model()
    loaded.load()
    return loaded


@pytest.fixture(scope="module")
def drawn():
    """Specimens and pictures of a small test set with a seed the training never saw."""
    specimens = challenge_set("test", 77, 0.09)
    # The real share of non-signal hybrids would leave a handful, too few to judge by.
    more = challenge_set("test", 78, 1.0)
    specimens += [one for one in more if one.indicator == "minor" and one.is_hybrid]
    specimens.sort(key=lambda one: one.filename)
    orders = [Order(one, 77, DEFAULT_SIZE) for one in specimens]
    return specimens, list(draw_all("test", orders, None, print))


@pytest.fixture(scope="module")
def groups(drawn):
    specimens, _ = drawn
    hybrid = np.array([one.is_hybrid for one in specimens])
    return hybrid, np.array([one.indicator for one in specimens])


def recalls(scores, hybrid, group):
    found = {}
    for members in (("major", "minor"), ("mimic",)):
        inside = np.isin(group, members)
        threshold = metrics.operating_threshold(scores[inside], hybrid[inside])
        for name in members:
            chosen = group == name
            found[name] = metrics.recall_above(scores[chosen], hybrid[chosen], threshold)
    return found


def test_scores_are_above_chance_and_below_perfect(model, drawn, groups):
    scores = np.array([model.predict(Image.open(io.BytesIO(data))) for data in drawn[1]])
    hybrid, group = groups
    found = recalls(scores, hybrid, group)
    # Chance is 0.05.
    assert 0.5 < found["major"] < 0.99
    assert 0.2 < found["minor"] < 0.9
    assert 0.3 < found["mimic"] < 0.95
    for name in ("major", "minor", "mimic"):
        chosen = group == name
        assert roc_auc_score(hybrid[chosen], scores[chosen]) > 0.75


def mean_colour(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float).mean(axis=(0, 1))


def test_no_cheap_feature_tells_the_hybrids(drawn, groups):
    _, pictures = drawn
    colours = np.array([mean_colour(data) for data in pictures])
    cheap = {
        "bytes": np.array([len(data) for data in pictures], float),
        "position": np.arange(len(pictures), dtype=float),
        "red": colours[:, 0],
        "green": colours[:, 1],
        "blue": colours[:, 2],
        "redness": colours[:, 0] - colours[:, 1],
        "yellowness": colours[:, 1] - colours[:, 2],
    }
    hybrid, group = groups
    for inside in (group != "mimic", group == "mimic"):
        for name, values in cheap.items():
            area = roc_auc_score(hybrid[inside], values[inside])
            assert 0.25 < area < 0.75, name


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (33, 47)])
def test_any_mode_and_size_gets_a_finite_score(model, mode, size):
    image = Image.effect_noise(size, 80).convert(mode)
    value = model.predict(image)
    assert isinstance(value, float) and np.isfinite(value)


@pytest.mark.parametrize("colour", ["black", "white", (200, 30, 30)])
def test_plain_pictures_get_a_finite_score(model, colour):
    assert np.isfinite(model.predict(Image.new("RGB", (320, 224), colour)))


def test_photograph_of_full_size(model):
    specimen = challenge_set("val", 77, 0.01)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = Image.open(io.BytesIO(draw(Order(specimen, 77, (500, 340)))))
        large = small.resize((5000, 3400), Image.Resampling.BICUBIC)
        # The same picture, ten times as wide: nearly the same score.
        assert model.predict(large) == pytest.approx(model.predict(small), rel=0.15)


def test_transparency_shows_a_white_ground(model):
    clear = Image.new("RGBA", (60, 40), (255, 0, 0, 0))
    assert model.predict(clear) == model.predict(Image.new("RGB", (60, 40), "white"))


def test_a_batch_scores_like_single_images(model, drawn):
    images = [Image.open(io.BytesIO(data)) for data in drawn[1][:12]]
    assert list(model.predict_batch(images)) == [model.predict(image) for image in images]
    assert list(model.predict_batch([])) == []


def test_submission_is_complete_and_plain():
    files = {path.name for path in SUBMISSION.iterdir() if path.name != "__pycache__"}
    assert files == {"model.py", "requirements.txt", "metadata", "weights.npz"}
    metadata = yaml.safe_load((SUBMISSION / "metadata").read_text())
    assert list(metadata) == ["description"]
    with zipfile.ZipFile(SUBMISSION / "weights.npz") as archive:
        assert sorted(archive.namelist()) == ["axes.npy", "centres.npy", "mean.npy", "scale.npy"]


def test_training_gives_the_committed_weights(tmp_path, capsys):
    """The weights in the repository come from the script and the default demo data."""
    train = training_set(1, DEFAULT_SCALE)
    folder = tmp_path / "demo_data" / "train"
    folder.mkdir(parents=True)
    orders = [Order(one, 1, DEFAULT_SIZE) for one in train]
    for one, picture in zip(train, draw_all("train", orders, None, print), strict=True):
        (folder / one.filename).write_bytes(picture)
    table = tmp_path / "demo_data" / "butterfly_train.csv"
    write_atomically(table, training_table(train))
    script = module_at(ROOT / "examples" / "training" / "color_pattern.py")
    output = tmp_path / "weights.npz"
    assert script.train(tmp_path, output, axes=6, shrinkage=0.1) == 0
    assert "held out" in capsys.readouterr().out
    with np.load(output) as made, np.load(SUBMISSION / "weights.npz") as committed:
        assert sorted(made.files) == sorted(committed.files)
        for name in made.files:
            # Other builds of the linear algebra and of the JPEG coder round differently.
            np.testing.assert_allclose(made[name], committed[name], rtol=0.02, atol=0.02)
