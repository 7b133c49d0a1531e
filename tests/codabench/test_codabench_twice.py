"""`mimicry run --twice`: the same submission two times, and what differs."""

import json
from pathlib import Path

import numpy as np
import pytest
from codabench_minibundle import copy_repository
from codabench_run_folders import put_predictions
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mimicry.cli import main
from mimicry.codabench import twice
from mimicry.codabench.boards.found_runs import find_runs
from mimicry.codabench.provenance import read_provenance
from mimicry.codabench.records import TaskRecord
from mimicry.codabench.twice import SECOND, TaskDifference, Twice, compare_tasks
from mimicry.codabench.twice_text import twice_text

MODEL = """
import random
class Model:
    def load(self):
        pass
    def predict(self, image):
        return {score}
"""


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = copy_repository(tmp_path / "bundle")
    monkeypatch.chdir(folder)
    return folder


def submission(bundle: Path, score: str) -> str:
    (bundle / "model").mkdir(exist_ok=True)
    (bundle / "model" / "model.py").write_text(MODEL.format(score=score))
    return str(bundle / "model")


def run(*arguments: str) -> int:
    return main(["run", *arguments, "--engine", "subprocess", "--twice", "--output", "runs/one"])


def test_a_steady_model_gives_the_same_and_is_one_attempt(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(submission(bundle, "0.5"), "--competition", "hybrid") == 0
    out = capsys.readouterr().out
    assert "twice: task hybrid: identical byte for byte, predictions and scores" in out
    origin = read_provenance(bundle / "runs/one")
    assert origin is not None and origin.repeated == "identical"
    assert origin.tasks["hybrid"].counts == {"images": 6, "predictions": 6}
    assert None not in origin.tasks["hybrid"].sha256.values()
    assert (bundle / "runs/one" / SECOND / "run.json").is_file()
    runs, problems = find_runs([bundle / "runs"])
    assert len(runs) == 1 and problems == []
    # Both are kept, and both verify.
    before = (bundle / "runs/one" / SECOND / "run.json").read_bytes()
    assert run(str(bundle / "model"), "--competition", "hybrid") == 0
    assert capsys.readouterr().out.count("kept, it was finished by an earlier run") == 2
    assert (bundle / "runs/one" / SECOND / "run.json").read_bytes() == before
    for folder in ("runs/one", f"runs/one/{SECOND}"):
        assert main(["verify", folder, "--submission", "model"]) == 0
    assert "byte for byte what scoring writes now" in capsys.readouterr().out


def test_a_model_of_chance_differs_and_is_told_where_to_look(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(submission(bundle, "random.random()"), "--competition", "hybrid") == 0
    out = capsys.readouterr().out
    assert "twice: task hybrid: 6 of 6 images got another score; rank correlation" in out
    assert out.count("\n  image ") == 5 and "and 1 more" in out and "without a seed" in out
    origin = read_provenance(bundle / "runs/one")
    assert origin is not None and origin.repeated == "differs"
    assert main(["verify", "runs/one"]) == 0


def test_a_run_that_fails_is_not_repeated(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(submission(bundle, "1 / 0"), "--competition", "hybrid") == 3
    assert "the first run failed" in capsys.readouterr().out
    assert not (bundle / "runs/one" / SECOND).exists()
    origin = read_provenance(bundle / "runs/one")
    assert origin is not None and origin.repeated is None
    assert origin.tasks["hybrid"].sha256["scores"] is None


def test_where_nothing_runs_nothing_is_repeated(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [{"model_name": f"model-{number}"} for number in range(4)]
    (bundle / "team.json").write_text(json.dumps({"models": models}))
    assert run("team.json", "--competition", "blue") == 0
    assert "nothing of this submission is run" in capsys.readouterr().out
    assert not (bundle / "runs/one" / SECOND).exists()
    origin = read_provenance(bundle / "runs/one")
    assert origin is not None and origin.repeated == "identical"
    assert main(["verify", "runs/one", "--submission", "team.json"]) == 0
    (bundle / "runs/one/blue/prediction/team.json").write_text(json.dumps({"models": models[:3]}))
    assert main(["verify", "runs/one"]) == 4


def compared(tmp_path: Path, one: list[float], two: list[float]) -> TaskDifference:
    for name, scores in (("one", one), ("two", two)):
        put_predictions(tmp_path / name / "prediction", scores)
    first, second = (TaskRecord("finished", scores={"score": float(sum(s))}) for s in (one, two))
    return compare_tasks(tmp_path / "one", first, tmp_path / "two", second)


def test_images_that_moved_are_named_the_largest_first(tmp_path: Path) -> None:
    found = compared(tmp_path, [0.0, 1.0, 2.0, 3.0], [0.5, 1.0, 2.0, -3.0])
    assert (found.images, found.differing, found.alone, found.identical) == (4, 2, 0, False)
    assert [(m.first, m.second) for m in found.largest] == [(3.0, -3.0), (0.0, 0.5)]
    assert found.spread == 3.0 and found.columns == {"score": (6.0, 0.5)}
    assert found.rank_correlation == pytest.approx(-0.2)


def test_scores_of_the_whole_alone_may_differ(tmp_path: Path) -> None:
    put_predictions(tmp_path / "one" / "prediction", [1.0, 2.0])
    records = [TaskRecord("finished", scores={"score": value}) for value in (0.5, 0.6)]
    found = compare_tasks(tmp_path / "one", records[0], tmp_path / "one", records[1])
    assert not found.identical and found.differing == 0
    (tmp_path / "one" / "prediction" / "predictions.csv").unlink()
    found = compare_tasks(tmp_path / "one", records[0], tmp_path / "one", records[0])
    # What is no table still counts by its bytes.
    assert found.identical and found.images is None


def test_small_differences_are_told_from_large_ones(tmp_path: Path) -> None:
    def words(one: list[float], two: list[float]) -> str:
        found = compared(tmp_path, one, two)
        record = object.__new__(twice.RunRecord)
        object.__setattr__(record, "tasks", {"A": None})
        whole = Twice(record, record, tmp_path, {"A": found})
        assert whole.repeated == "differs"
        return "\n".join(twice_text(whole, {"score": 2}))

    small = words([0.0, 1.0], [1e-7, 1.0])
    assert "as small as rounding" in small and "without a seed" not in small
    assert "(+1e-07)" in small
    large = words([0.0, 1.0], [0.1, 1.0])
    assert "as small as rounding" not in large and "model.eval()" in large


NUMBERS = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=12)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_the_rank_correlation_is_spearmans(first: list[float], random: object) -> None:
    second = [value * random.choice([-1.0, 0.0, 1.0]) for value in first]  # type: ignore[attr-defined]
    found = twice._rank_correlation(first, second)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(float(np.asarray(spearmanr(first, second))[0]), abs=1e-12)
