"""The backbone baselines through ingestion, on every engine and without a network."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baselines_helpers import REPOSITORY, change_settings

from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES, NO_LIMITS
from mimicry.codabench.engines.bubblewrap import bubblewrap_problem
from mimicry.codabench.packing import ProgramSettings, stage_program
from mimicry.codabench.run_files import read_ingestion_state, settle
from mimicry.codabench.task_plan import TaskPlan
from mimicry.codabench.worker import run_ingestion
from mimicry.demo.build import write_samples

OTHERS = ("bubblewrap", "docker")
# Both families and both kinds of head.
NAMES = ("DINO_SGD", "anomaly")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_samples(folder, 6, seed=3)
    return folder


@pytest.fixture(params=OTHERS)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "docker":
        request.getfixturevalue("torch_image")
    elif problem := bubblewrap_problem():
        pytest.skip(problem)
    return name


def ingest(engine: str, submission: Path, images: Path, folder: Path) -> Path:
    """Run ingestion as the platform's worker would, and return its output."""
    competition = load_competition(REPOSITORY, "hybrid")
    phase = competition.phases[0]
    task = phase.tasks[0]
    settings = ProgramSettings(competition.id, phase.name, task.key, 120)
    plan = TaskPlan(
        task,
        settings,
        120,
        (),
        image=competition.docker_image,
        resources=NO_LIMITS,
        worker_data=None,
    )
    folder.mkdir()
    stage_program(task.ingestion_program, folder / "program", settings)
    (folder / "logs").mkdir()
    run_ingestion(
        plan,
        folder / "program",
        submission,
        folder / "root",
        folder / "logs",
        ENGINES[engine],
        lambda line: None,
        images=images,
    )
    output = folder / "root" / "app" / "output"
    settle(output)
    return output


@pytest.fixture(scope="module")
def plain(made: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The predictions of the engine without walls, by baseline."""
    folder = tmp_path_factory.mktemp("plain")
    outputs = {name: ingest("subprocess", made / name, images, folder / name) for name in NAMES}
    for output in outputs.values():
        assert read_ingestion_state(output)["state"] == "finished", read_ingestion_state(output)
    return {name: (output / "predictions.csv").read_bytes() for name, output in outputs.items()}


@pytest.mark.parametrize("baseline", NAMES)
def test_every_engine_predicts_the_same_bytes(engine, baseline, made, plain, images, tmp_path):
    output = ingest(engine, made / baseline, images, tmp_path / "run")
    assert read_ingestion_state(output)["state"] == "finished", read_ingestion_state(output)
    assert (output / "predictions.csv").read_bytes() == plain[baseline]
    scores = {line.split(",")[1] for line in plain[baseline].decode().split()[1:]}
    assert len(scores) == 6


def test_without_weights_and_network_the_sentence_names_the_remedy(
    engine: str, submission: Callable[[str], Path], images: Path, tmp_path: Path
) -> None:
    folder = submission("DINO_SGD")
    shutil.rmtree(folder / "backbone")
    change_settings(folder, hub={"repo": "timm/vit_base_patch14_dinov2.lvd142m", "revision": None})
    output = ingest(engine, folder, images, tmp_path / "run")
    state = read_ingestion_state(output)
    assert state["error_code"] == "load-failed"
    command = (
        "hf download timm/vit_base_patch14_dinov2.lvd142m config.json model.safetensors "
        "--local-dir backbone"
    )
    assert command in state["error"]
    assert command in (output / "participant.log").read_text()
    assert not (output / "predictions.csv").exists()
