"""Submissions of the challenge of 2024, as they were handed in, run with no change."""

import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import original_layout as original
import pytest
from ingestion_helpers import PROGRAM, ROOT, Run, draw

from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.programs import ProgramSettings, stage_program
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission

COUNT = 5
# By what they import, so that their plain loops share one process.
STYLES: dict[str, dict[str, Callable[[Path], None]]] = {
    "bioclip": {
        "constructor": lambda f: original.write_bioclip(f, original.BIOCLIP_CONSTRUCTOR),
        "transforms": lambda f: original.write_bioclip(f, original.BIOCLIP_TRANSFORMS),
    },
    "dino": {
        "baseline": lambda f: original.write_dino(f, original.DINO),
        "processor": lambda f: original.write_dino(f, original.DINO_PROCESSOR),
    },
    "others": {
        "talking": original.write_talking,
        "list-or-image": original.write_list_or_image,
    },
}
# One thread: the same sums in the same order in both processes.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Ingest = Callable[..., Run]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return original.make_hub(tmp_path_factory.mktemp("hub") / "huggingface")


@pytest.fixture
def offline(hub: Path) -> dict[str, str]:
    """The environment of a machine with a filled cache and no way to the hub."""
    return {"HF_HOME": str(hub), "HF_HUB_OFFLINE": "1", **THREADS}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Take the place of the smaller images of the other tests."""
    folder = tmp_path / "input_data"
    folder.mkdir()
    for number in range(COUNT):
        draw(folder / f"{number:02d}.jpg", number, (260, 180 + number))
    return folder


def plain_scores(
    submissions: Sequence[Path], images: Path, environment: dict[str, str]
) -> list[dict[str, float]]:
    """Score with the plain loop."""
    answer = images.parent / "plain.json"
    command = [sys.executable, "-c", original.PLAIN_LOOP, str(images), str(answer)]
    done = subprocess.run(
        [*command, *map(str, submissions)],
        env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    scores = json.loads(answer.read_text())
    return [scores[str(submission)] for submission in submissions]


def differ(scores: dict[str, float]) -> bool:
    """Tell whether scores are those of a model that looks, and not rounded ones."""
    return len(set(scores.values())) == COUNT and any(
        value != round(value, 4) for value in scores.values()
    )


@pytest.mark.parametrize("family", STYLES)
def test_a_submission_scores_as_in_a_plain_loop(
    ingest: Ingest, tmp_path: Path, images: Path, offline: dict[str, str], family: str
) -> None:
    scores = []
    for style, write in STYLES[family].items():
        write(tmp_path / "submission")
        files = {"metadata": "", "requirements.txt": original.NAMES}
        run = ingest(None, files, environment=offline)
        assert run.code == 0, run.sentence + run.log[-3000:]
        assert "installing" not in run.stdout
        if style == "talking":
            assert "Image 1: " in run.log and "an old argument" in run.log
        scores.append(run.scores)
        (tmp_path / "submission").rename(tmp_path / style)
    plain = plain_scores([tmp_path / style for style in STYLES[family]], images, offline)
    assert scores == plain
    assert all(differ(values) for values in plain)


def test_old_pins_give_way_to_what_the_container_has(
    ingest: Ingest, tmp_path: Path, images: Path
) -> None:
    """Even pins that contradict each other, as those of the original baseline do."""
    original.write_talking(tmp_path / "submission")
    (tmp_path / "no-wheels").mkdir()
    pins = [line for line in original.OLD_PINS.splitlines() if "opencv" not in line]
    requirements = "\n".join(line for line in pins if "albumentations" not in line)
    environment = {"MIMICRY_WHEELS": str(tmp_path / "no-wheels"), **THREADS}
    run = ingest(None, {"requirements.txt": requirements}, environment=environment)
    assert run.code == 0, run.sentence
    assert [run.scores] == plain_scores([tmp_path / "submission"], images, THREADS)
    (said,) = (line for line in run.stdout.splitlines() if line.startswith("using what"))
    for name in ("torch", "torchvision", "scikit-learn", "transformers", "numpy", "Pillow"):
        assert f" for {name}==" in said
    assert "cannot be installed here" in run.stdout


def test_a_range_is_still_a_demand(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "no-wheels").mkdir()
    environment = {"MIMICRY_WHEELS": str(tmp_path / "no-wheels")}
    files = {"requirements.txt": "tqdm<4.66\nnumpy==1.26.4\n"}
    run = ingest(files=files, environment=environment)
    assert run.code == 3
    assert run.outcome["error_code"] == "requirements-install"
    assert "tqdm" in run.sentence and "numpy" not in run.sentence


@pytest.fixture
def bundle(tmp_path: Path, images: Path) -> Path:
    """The hybrid competition with these images as its validation set."""
    folder = tmp_path / "bundle"
    for name in ("competitions", "ingestion_program", "scoring_program_hybrid", "pages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("competition.yaml", "logo.png"):
        shutil.copy(ROOT / name, folder / name)
    rows = ["filename,hybrid_stat,ssp_indicator"]
    (folder / "input_data").mkdir()
    with zipfile.ZipFile(folder / "input_data" / "val.zip", "w") as archive:
        for number, path in enumerate(sorted(images.iterdir())):
            group = ("major", "minor", "mimic")[number % 3]
            rows.append(f"{path.name},{int(number < 3)},{group}")
            archive.write(path, path.name)
            # Both classes in every group.
            archive.writestr(f"again-{path.name}", path.read_bytes())
            rows.append(f"again-{path.name},{int(number >= 3 or number == 1)},{group}")
    (folder / "reference_data").mkdir()
    with zipfile.ZipFile(folder / "reference_data" / "val.zip", "w") as archive:
        archive.writestr("val.csv", "\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("metadata", original.METADATA)
def test_every_kind_of_metadata_is_taken_from_the_zip(
    tmp_path: Path, bundle: Path, metadata: str
) -> None:
    submission = tmp_path / "zipped"
    original.write_talking(submission)
    archive = tmp_path / "submission.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(submission.iterdir()):
            file.write(path, path.name)
        for name, text in original.METADATA[metadata].items():
            file.writestr(name, text)
    competition = load_competition(bundle, "hybrid")
    phase = competition.phase("development")
    request = RunRequest(
        competition=competition, phase=phase, tasks=phase.tasks, submission=archive,
        participant="ann", engine=ENGINES["subprocess"], output=tmp_path / "run", time_limit=60.0,
    )  # fmt: skip
    record = run_submission(request, lambda line: None)
    assert record.state == "finished", record
    written = (tmp_path / "run" / "hybrid" / "prediction" / "predictions.csv").read_text()
    assert len(written.splitlines()) == 1 + 2 * COUNT


@pytest.fixture(scope="module")
def hub_image(torch_image: str, hub: Path) -> Iterator[str]:
    """The torch image with a filled hub cache, as an organiser adds it in three lines."""
    name = f"mimicry-test-hub:{uuid.uuid4().hex}"
    (hub.parent / "Dockerfile").write_text(
        f"FROM {torch_image}\nCOPY huggingface /opt/huggingface\n"
        "ENV HF_HOME=/opt/huggingface HF_HUB_OFFLINE=1\n"
    )
    build = ["docker", "build", "--quiet", "--force-rm", "--tag", name, str(hub.parent)]
    legacy = os.environ | {"DOCKER_BUILDKIT": "0"}
    subprocess.run(build, check=True, capture_output=True, env=legacy)
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], check=False, capture_output=True)


IN_DOCKER: dict[str, tuple[Callable[[Path], None], str]] = {
    "bioclip-constructor": (STYLES["bioclip"]["constructor"], original.NAMES),
    "dino-pins": (STYLES["dino"]["baseline"], original.OLD_PINS),
    "list-or-image": (
        lambda folder: original.write_list_or_image(folder, original.UTILS_OPENCV),
        "opencv-python-headless\nalbumentations\n",
    ),
}


@pytest.mark.parametrize("style", IN_DOCKER)
def test_in_the_torch_image_without_a_network(
    hub_image: str, tmp_path: Path, images: Path, style: str
) -> None:
    write, requirements = IN_DOCKER[style]
    app = tmp_path / "app"
    write(app / "ingested_program")
    (app / "ingested_program" / "metadata").touch()
    (app / "ingested_program" / "requirements.txt").write_text(requirements)
    stage_program(PROGRAM, app / "program", ProgramSettings("hybrid", "Development", "hybrid", 300))
    (app / "plain.py").write_text(original.PLAIN_LOOP)
    (app / "output").mkdir()
    images.rename(app / "input_data")
    shell = (
        "python3 /app/program/ingestion.py &&"
        " python3 /app/plain.py /app/input_data /app/output/plain.json /app/ingested_program"
    )
    command = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL"]
    command += ["--user", f"{os.getuid()}:{os.getgid()}", "--workdir", "/app/program"]
    command += [*(f"--env={name}={value}" for name, value in THREADS.items())]
    # Nothing of it may leave byte code behind that the caller cannot remove.
    command += ["--env=PYTHONDONTWRITEBYTECODE=1", "--volume", f"{app}:/app"]
    done = subprocess.run(
        [*command, hub_image, "sh", "-c", shell], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    run = Run(0, done.stdout, done.stderr, app / "output")
    (plain,) = json.loads((app / "output" / "plain.json").read_text()).values()
    assert run.scores == plain
    assert differ(plain)
    assert ("using what can be had" in run.stdout) == (style == "dino-pins")
