"""The commands of the documents, run as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("docs/participant.md", "docs/organiser.md", "docs/realign.md", "pages/starting_kit.md")
# These draw the whole demo, or files that a reader brings; `make demo` and the tests
# of the demo run them.
BROUGHT_BY_OTHERS = ("mimicry data demo", "mimicry data zoo")


def commands(document: str) -> list[str]:
    """Return the document's mimicry commands, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(block for language, block in blocks if language in {"", "sh"})
    found = re.findall(r"^(?:\.venv/bin/)?(mimicry .*?)(?:\s+#.*)?$", lines, re.MULTILINE)
    return [line for line in found if not line.startswith(BROUGHT_BY_OTHERS)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, put_zoo: Callable[[Path], None]) -> Path:
    """Copy the bundle, with small demo data and a submission of the reader's."""
    from mimicry.demo.build import build_demo

    folder = tmp_path_factory.mktemp("documents") / "bundle"
    folder.mkdir()
    for name in (
        "baselines",
        "competitions",
        "pages",
        "ingestion_program",
        "docs",
        "blue_team_submissions",
        "red_team_submissions",
    ):
        shutil.copytree(ROOT / name, folder / name)
    for path in ROOT.glob("scoring_program_*"):
        shutil.copytree(path, folder / path.name)
    for name in ("competition.yaml", "logo.png"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(folder / "baselines/color_pattern_code_submission", folder / "my_submission")
    build_demo(folder, scale=0.06, workers=1, report=lambda line: None)
    put_zoo(folder)
    return folder


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_run(bundle: Path, document: str) -> None:
    found = commands(document)
    assert len(found) >= 4
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in found:
        done = subprocess.run(
            shlex.split(command),
            cwd=bundle,
            env=os.environ | {"PATH": search},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_python_of_the_realign_page_runs(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import numpy as np

    zoo = bundle / "demo_data" / "zoo"
    shutil.copytree(zoo / "weights", tmp_path / "weights")
    shutil.copy(zoo / "registry.json", tmp_path)
    shutil.copytree(zoo / "images" / "blue_final", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "realign.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    draw = np.random.default_rng(0)
    names = {name: draw.standard_normal((30, 8)) for name in "xyz"}
    for block in blocks:
        exec(compile(block, "docs/realign.md", "exec"), names)
    assert capsys.readouterr().out.count("(60, ") == 12
