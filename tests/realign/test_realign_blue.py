"""Scores of Blue against their definitions."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from realign_stage import REGISTRY, blue, write_blue

from mimicry.errors import BundleError, SubmissionError
from mimicry.realign.blue import chosen_models, score_models
from mimicry.realign.columns import BLUE_COLUMNS
from mimicry.realign.reference import BlueReference, read_blue_reference

MODELS = len(REGISTRY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("blue")
    write_blue(path)
    return path


@pytest.fixture(scope="module")
def reference(folder: Path) -> BlueReference:
    return read_blue_reference(folder)


@given(rows=st.permutations(range(MODELS)), size=st.integers(2, MODELS))
def test_mean_cka_is_what_it_says(reference: BlueReference, rows: list[int], size: int) -> None:
    rows = rows[:size]
    scores = score_models(tuple(rows), reference)
    assert tuple(scores) == tuple(column.key for column in BLUE_COLUMNS)
    pairs = list(itertools.combinations(sorted(rows), 2))
    values = [reference.cka[i, j] for i, j in pairs]
    assert scores["score"] == pytest.approx(sum(values) / len(pairs), rel=1e-12)
    assert scores["mean_cka_unbiased"] == pytest.approx(
        sum(reference.cka_unbiased[i, j] for i, j in pairs) / len(pairs), rel=1e-12
    )
    assert scores["minimum_pair"] == min(values)
    upper = {pair: at for at, pair in enumerate(zip(*np.triu_indices(MODELS), strict=True))}
    means = [
        sum(float(row[upper[pair]]) for pair in pairs) / len(pairs) for row in reference.replicates
    ]
    assert scores["standard_error"] == pytest.approx(float(np.std(means, ddof=1)), rel=1e-9)
    assert scores["share_of_optimum"] == pytest.approx(scores["score"] / 0.95)
    assert score_models(tuple(reversed(rows)), reference) == scores


def test_the_share_never_exceeds_one(tmp_path: Path) -> None:
    cka, *_ = write_blue(tmp_path)
    exact = cka[0, 1] - 1e-9
    write_blue(tmp_path, optimum={"value": exact, "upper_bound": exact, "proved": True})
    assert score_models((0, 1), read_blue_reference(tmp_path))["share_of_optimum"] == 1.0


def test_an_optimum_that_is_exceeded_is_the_organisers_fault(tmp_path: Path) -> None:
    write_blue(tmp_path, optimum={"value": 0.1, "upper_bound": 0.1, "proved": True})
    with pytest.raises(BundleError, match="optimum-too-low"):
        score_models((0, 1), read_blue_reference(tmp_path))


def test_the_largest_set(tmp_path: Path) -> None:
    cka, *_ = write_blue(tmp_path)
    rows = (0, 2, 4)
    least = min(cka[i, j] for i, j in itertools.combinations(rows, 2))
    optimum = {"value": 4, "upper_bound": 5, "proved": False}
    for threshold, score in ((least, 3.0), (np.nextafter(least, 1), 0.0)):
        write_blue(
            tmp_path, rule="largest_set", count=None, threshold=float(threshold), optimum=optimum
        )
        scores = score_models(rows, read_blue_reference(tmp_path))
        assert scores["score"] == score
        assert scores["share_of_optimum"] == pytest.approx(score / 5)
        assert scores["minimum_pair"] == least


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "not finite"), (1.1, "outside of 0"), (-0.1, "outside of 0")]
)
def test_a_replicate_that_cannot_be(tmp_path: Path, value: float, words: str) -> None:
    _, _, replicates = write_blue(tmp_path)
    replicates[3] = value
    np.save(tmp_path / "replicates.npy", replicates)
    with pytest.raises(BundleError, match=f"{words}.*matrix-invalid"):
        score_models((0, 1), read_blue_reference(tmp_path))


def test_models_are_chosen_by_name(reference: BlueReference) -> None:
    document = blue("resnet50d", "vit_base", "resnet50")
    assert chosen_models(document, "team.json", reference) == (1, 2, 0)
    with pytest.raises(SubmissionError) as caught:
        chosen_models(blue("resnet50d", "resnet50", "nope", note=1), "team.json", reference)
    assert caught.value.code == "submission-invalid"
    assert caught.value.sentence.startswith("team.json: 2 faults: ")
