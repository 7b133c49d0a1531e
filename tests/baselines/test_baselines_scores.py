"""The committed baselines score fixed drawings as stored; renewed by baselines_renew_scores.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from baselines_helpers import BASELINES, NAMES
from baselines_renew_scores import COUNT, SCORES, committed_scores, sample_images

# Another processor or BLAS rounds float32 otherwise, by about a millionth of the spread.
TOLERANCE = 1e-3
LARGEST = 1_500_000


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sample_images(tmp_path_factory.mktemp("samples"))


@pytest.mark.parametrize("name", NAMES)
def test_committed_baselines_score_as_stored(name, images):
    stored = np.array(json.loads(SCORES.read_text())[name])
    assert stored.shape == (COUNT,) and len(set(stored)) == COUNT
    found = committed_scores(name, images)
    np.testing.assert_allclose(found, stored, rtol=0, atol=TOLERANCE * np.ptp(stored))


@pytest.mark.parametrize("name", NAMES)
def test_committed_backbones_are_small(name):
    folder = BASELINES / f"{name}_code_submission" / "backbone"
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST
