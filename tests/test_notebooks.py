"""The notebooks run from top to bottom, on a small zoo and on a small demo of butterflies."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(path.name for path in (ROOT / "examples" / "realign").glob("*.ipynb"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, put_zoo: Callable[[Path], None]) -> Path:
    """A bundle with the demo zoo and the notebooks."""
    folder = tmp_path_factory.mktemp("notebooks") / "bundle"
    folder.mkdir()
    shutil.copy(ROOT / "competition.yaml", folder)
    shutil.copytree(ROOT / "examples" / "realign", folder / "examples" / "realign")
    put_zoo(folder)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, put_demo: Callable[[Path], None]) -> Path:
    """A bundle with the demo's butterflies and the starting kit."""
    folder = tmp_path_factory.mktemp("notebooks") / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "competition.yaml", folder)
    for name in ("competitions", "ingestion_program", "scoring_program_hybrid", "starting_kit"):
        shutil.copytree(ROOT / name, folder / name)
    put_demo(folder)
    return folder


def test_the_three_notebooks_are_there() -> None:
    assert NOTEBOOKS == [
        "blue_team_starter.ipynb",
        "extract_activations.ipynb",
        "red_team_starter.ipynb",
    ]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_notebook(bundle / "examples" / "realign" / name, monkeypatch)


def test_the_starting_kit_runs(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_notebook(clone / "starting_kit" / "hybrids" / "first_submission.ipynb", monkeypatch)
    work = clone / "runs" / "notebooks"
    with zipfile.ZipFile(work / "my_model.zip") as archive:
        assert archive.namelist() == ["metadata", "model.py", "requirements.txt", "weights.npz"]
    (scores,) = clone.glob("runs/hybrid/development/my_model-1/hybrid/scoring/scores.json")
    assert json.loads(scores.read_text())["A_PRC_AUC"] > 0.2
    # What it leaves must not be packed with the kit.
    kit = {path.name for path in (clone / "starting_kit" / "hybrids").iterdir()}
    assert kit == {"README.md", "example_submission", "first_submission.ipynb"}


def run_notebook(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute(env=dict(os.environ))
    last = next(cell for cell in reversed(notebook.cells) if cell.cell_type == "code")
    assert last.outputs
