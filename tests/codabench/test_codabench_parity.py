"""The same submission ends in the same way wherever it runs: same bytes, or same sentence."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from codabench_minibundle import REPOSITORY, copy_repository

from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.engines.bubblewrap import bubblewrap_problem
from mimicry.codabench.records import RunRecord
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission

OTHERS = ("bubblewrap", "docker")
TEAMS = ("blue", "red")
METHODS = "    def load(self): pass\n    def predict(self, image): return 0.5\n"
PREDICT = "class Model:\n    def load(self): pass\n    def predict(self, image):\n        "

# What a model can do wrong; each must end with a sentence of its own and exit code 3.
FAILING: dict[str, dict[str, str]] = {
    "no-model": {"readme.txt": "nothing here"},
    "syntax": {"model.py": "class Model\n"},
    "no-class": {"model.py": "model = 1\n"},
    "import": {"model.py": "import surely_not_installed\nclass Model:\n" + METHODS},
    "load": {
        "model.py": "class Model:\n    def load(self): raise OSError('weights.npz is not there')\n"
        "    def predict(self, image): return 0.5\n"
    },
    "predict": {"model.py": PREDICT + "return image.size[0] / 0\n"},
    "nan": {"model.py": PREDICT + "return float('nan')\n"},
    "text": {"model.py": PREDICT + "return 'hybrid'\n"},
    "exit": {"model.py": "import os\n" + PREDICT + "os._exit(0)\n"},
    "signal": {"model.py": "import os\n" + PREDICT + "os.kill(os.getpid(), 11)\n"},
    "endless": {"model.py": PREDICT + "\n        while True: pass\n"},
    "forbidden": {
        "model.py": "class Model:\n" + METHODS,
        "requirements.txt": "a-package-nobody-allowed==1.0\n",
    },
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("parity") / "bundle")


@pytest.fixture(scope="module")
def zoo_bundle(tmp_path_factory: pytest.TempPathFactory, put_zoo: Callable[[Path], None]) -> Path:
    folder = copy_repository(tmp_path_factory.mktemp("parity-zoo") / "bundle")
    put_zoo(folder)
    return folder


def run_on(
    engine: str, bundle: Path, submission: Path, output: Path, limit: float, id: str = "hybrid"
) -> RunRecord:
    competition = load_competition(bundle, id)
    phase = competition.phase("development")
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks,
        submission=submission,
        participant="ann",
        engine=ENGINES[engine],
        output=output,
        time_limit=limit,
    )
    return run_submission(request, lambda line: None)


@pytest.fixture
def usable(request: pytest.FixtureRequest) -> None:
    if problem := bubblewrap_problem():
        pytest.skip(problem)
    for image in ("core_image", "competition_image"):
        request.getfixturevalue(image)


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in {"metadata": "", **files}.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize("case", FAILING)
def test_failures_read_the_same(case: str, bundle: Path, tmp_path: Path) -> None:
    if case == "no-model":
        # A folder without model.py is not even packed; what is uploaded is a zip.
        import zipfile

        submission = tmp_path / "sub.zip"
        with zipfile.ZipFile(submission, "w") as archive:
            archive.writestr("metadata", "")
            archive.writestr("readme.txt", "nothing here")
    else:
        submission = write(tmp_path / "sub", FAILING[case])
    limit = 6.0 if case == "endless" else 60.0
    told: dict[str, tuple[object, ...]] = {}
    for engine in ("subprocess", *OTHERS):
        record = run_on(engine, bundle, submission, tmp_path / engine, limit)
        task = record.tasks["hybrid"]
        assert record.exit_code == 3, (engine, task)
        assert not (tmp_path / engine / "hybrid" / "scoring" / "scores.json").exists()
        page = tmp_path / engine / "hybrid" / "scoring" / "detailed_results.html"
        told[engine] = (task.error, task.error_code, task.notes, page.read_text())
        if case == "endless":
            # It names the seconds that an image took.
            told[engine] = tuple(re.sub(r"[\d.]+", "N", str(part)) for part in told[engine])
    for engine in OTHERS:
        assert told[engine] == told["subprocess"]


def baselines(team: str) -> list[str]:
    """The folders of one team's baselines; those of model submissions have none."""
    names = sorted(path.name for path in (REPOSITORY / "baselines").iterdir() if path.is_dir())
    teams = {name: name.split("_")[0] if name.split("_")[0] in TEAMS else "" for name in names}
    return [name for name in names if teams[name] == team]


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize("name", baselines(""))
def test_baselines_score_the_same(name: str, bundle: Path, tmp_path: Path) -> None:
    scored = {}
    for engine in ("subprocess", *OTHERS):
        output = tmp_path / engine
        record = run_on(engine, bundle, REPOSITORY / "baselines" / name, output, 120.0)
        assert record.state == "finished", (engine, record)
        files = [output / "hybrid" / "scoring" / f for f in ("scores.json", "score.json")]
        files.append(output / "hybrid" / "prediction" / "predictions.csv")
        scored[engine] = [path.read_bytes() for path in files]
        assert replace(record.tasks["hybrid"], seconds={}).notes == ()
    assert scored["bubblewrap"] == scored["subprocess"]
    assert scored["docker"] == scored["subprocess"]


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize(("team", "name"), [(t, n) for t in TEAMS for n in baselines(t)])
def test_realign_baselines_score_the_same(
    team: str, name: str, zoo_bundle: Path, tmp_path: Path
) -> None:
    scored = {}
    for engine in ("subprocess", *OTHERS):
        output = tmp_path / engine
        submission = REPOSITORY / "baselines" / name
        record = run_on(engine, zoo_bundle, submission, output, 120.0, team)
        assert record.state == "finished", (engine, record)
        scored[engine] = json.loads((output / team / "scoring" / "scores.json").read_text())
        assert replace(record.tasks[team], seconds={}).notes == ()
    for engine in OTHERS:
        # Another build of BLAS may add in another order.
        assert scored[engine] == pytest.approx(scored["subprocess"], abs=1e-12)


@pytest.mark.usefixtures("usable")
@pytest.mark.parametrize("text", ["", "{", '{"models": []}', '{"models": [], "models": []}'])
def test_refused_json_reads_the_same(text: str, zoo_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "team.json").write_text(text)
    told = {}
    for engine in ("subprocess", *OTHERS):
        record = run_on(engine, zoo_bundle, folder, tmp_path / engine, 60.0, "blue")
        assert record.exit_code == 3, (engine, record)
        scoring = tmp_path / engine / "blue" / "scoring"
        assert not (scoring / "scores.json").exists()
        page = (scoring / "detailed_results.html").read_text()
        task = record.tasks["blue"]
        told[engine] = (task.error, task.error_code, task.notes, page)
    assert told["bubblewrap"] == told["docker"] == told["subprocess"]
