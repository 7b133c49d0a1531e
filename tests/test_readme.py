"""The README and the documents say what is so."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_in_documents_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "lint", "bench", "pack", "clean"} <= targets
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```|`(make [a-z]+)`", text, re.DOTALL):
        for target in re.findall(r"^make ([a-z]+)", "\n".join(block), re.MULTILINE):
            assert target in targets, target


def test_the_picture_of_the_board_shows_what_the_demo_scores() -> None:
    runs = ROOT / "runs" / "demo"
    if not (runs / "hybrid" / "final").is_dir():
        pytest.skip("no demo run here: make demo")
    command = [sys.executable, "-m", "mimicry.cli", "board", str(runs), "--competition", "hybrid"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    numbers = re.findall(r"[01]\.\d{4}", done.stdout)
    assert len(numbers) == 64
    picture = ElementTree.parse(ROOT / "docs" / "images" / "board.svg").getroot()
    shown = re.findall(r"[01]\.\d{4}", "".join(picture.itertext()))
    assert len(shown) == len(numbers)
    # Another processor may round a pixel differently, and one image moves a recall of
    # seven by 0.14; a picture of an older baseline is farther off.
    differences = [abs(float(a) - float(b)) for a, b in zip(shown, numbers, strict=True)]
    assert sum(differences) / len(differences) < 0.02


@pytest.mark.parametrize("name", ["board-page", "results-page"])
def test_the_pictures_of_pages_show_what_the_demo_scores(name: str) -> None:
    with Image.open(ROOT / "docs" / "images" / f"{name}.png") as picture:
        shown = json.loads(picture.text["scores"])  # type: ignore[attr-defined]
        assert picture.width >= 1200 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 20
    phase = ROOT / "runs" / "demo" / "hybrid" / "development"
    if not phase.is_dir():
        pytest.skip("no demo run here: make demo")
    shown = shown if name == "board-page" else {"anomaly_code_submission": shown}
    assert set(shown) <= {run.name for run in phase.iterdir()}
    differences = []
    for run, scores in shown.items():
        now = json.loads((phase / run / "run.json").read_text())["tasks"]["hybrid"]["scores"]
        differences += [abs(now[key] - value) for key, value in scores.items()]
    # As for the board's drawing.
    assert differences and sum(differences) / len(differences) < 0.02


def test_every_make_target_explains_itself() -> None:
    done = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert len(done.stdout.splitlines()) >= 8
