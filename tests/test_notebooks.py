"""The example notebooks run from top to bottom on a small zoo."""

import os
import shutil
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


def test_the_three_notebooks_are_there() -> None:
    assert NOTEBOOKS == [
        "blue_team_starter.ipynb",
        "extract_activations.ipynb",
        "red_team_starter.ipynb",
    ]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = bundle / "examples" / "realign" / name
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute(env=dict(os.environ))
    last = next(cell for cell in reversed(notebook.cells) if cell.cell_type == "code")
    assert last.outputs
