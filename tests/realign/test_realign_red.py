"""Scores of Red against their definitions, term by term."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from realign_stage import CATALOGUE, RANDOM_MEAN, cka_of, red, unbiased_cka_of, write_red

from mimicry.errors import BundleError, SubmissionError
from mimicry.realign.catalogue import class_entropy
from mimicry.realign.columns import RED_COLUMNS
from mimicry.realign.red import chosen_images, score_images
from mimicry.realign.reference import read_red_reference


def test_every_column_is_what_it_says(tmp_path: Path) -> None:
    arrays = [array.astype(np.float64) for array in write_red(tmp_path)]
    reference = read_red_reference(tmp_path, tmp_path)
    rows = (31, 2, 3, 17, 4, 22, 9, 38, 11, 6)
    scores = score_images(rows, reference)
    assert tuple(scores) == tuple(column.key for column in RED_COLUMNS)
    chosen = [array[list(rows)] for array in arrays]
    pairs = list(itertools.combinations(chosen, 2))
    mean = sum(cka_of(x, y) for x, y in pairs) / len(pairs)
    unbiased = sum(unbiased_cka_of(x, y) for x, y in pairs) / len(pairs)
    assert scores["score"] == pytest.approx(1 - mean, abs=1e-9)
    assert scores["unbiased_score"] == pytest.approx(1 - unbiased, abs=1e-9)
    assert scores["margin_over_random"] == pytest.approx(1 - mean - RANDOM_MEAN, abs=1e-9)
    assert 0 < scores["standard_error"] < 0.5
    counts = [sum(row % 4 == kind for row in rows) for kind in range(4)]
    assert scores["class_entropy"] == pytest.approx(
        -sum(n / 10 * math.log2(n / 10) for n in counts if n)
    )
    assert score_images(tuple(sorted(rows)), reference) == scores


def test_models_that_are_the_same_give_zero(tmp_path: Path) -> None:
    (first, *_) = write_red(tmp_path)
    for number in range(3):
        np.save(tmp_path / f"models/{number:02d}.npy", first)
    scores = score_images(tuple(range(10)), read_red_reference(tmp_path, tmp_path))
    assert scores["score"] == pytest.approx(0, abs=1e-9)
    assert scores["standard_error"] == pytest.approx(0, abs=1e-6)


def test_constant_activations_stay_finite(tmp_path: Path) -> None:
    write_red(tmp_path)
    for number in range(3):
        np.save(tmp_path / f"models/{number:02d}.npy", np.ones((40, 3), np.float16))
    scores = score_images(tuple(range(10)), read_red_reference(tmp_path, tmp_path))
    assert scores["score"] == 1.0 and all(map(math.isfinite, scores.values()))


def test_one_row_that_is_not_finite_counts_only_where_it_is_chosen(tmp_path: Path) -> None:
    arrays = write_red(tmp_path)
    arrays[1][7, 0] = np.nan
    np.save(tmp_path / "models/01.npy", arrays[1])
    reference = read_red_reference(tmp_path, tmp_path)
    score_images((0, 1, 2, 3), reference)
    with pytest.raises(BundleError, match="Array 1 of the secret models' activations holds"):
        score_images((0, 1, 2, 7), reference)


@pytest.mark.parametrize(
    ("classes", "bits"),
    [
        (["a"], 0.0),
        (["a", "a", None, None], 1.0),
        ([None] * 5, 0.0),
        (list("abcdefgh"), 3.0),
        (["a", "a", "a", "b"], 2 - 0.75 * math.log2(3)),
    ],
)
def test_class_entropy(classes: list[str | None], bits: float) -> None:
    assert class_entropy(classes) == pytest.approx(bits)


def test_stimuli_are_chosen_by_name(tmp_path: Path) -> None:
    write_red(tmp_path)
    reference = read_red_reference(tmp_path, tmp_path)
    rows = list(range(20, 30))
    for key in ("images", "differentiating_images"):
        assert chosen_images(red(rows, key=key), "team.json", reference) == tuple(rows)
    with pytest.raises(SubmissionError) as caught:
        chosen_images(red([*rows, 21, 38, 39]), "team.json", reference)
    assert caught.value.code == "submission-invalid"
    assert "3 faults" in caught.value.sentence and "name exactly 10" in caught.value.sentence
    assert CATALOGUE[39]["image_identifier"] in caught.value.sentence
