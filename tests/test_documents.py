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
DOCUMENTS = ("docs/organiser.md", "docs/realign.md", "pages/starting_kit.md")
# Participants' roads: every command of theirs, from an empty folder.
ROADS = ("docs/participant.md", "starting_kit/hybrids/README.md")
# The address that these name, until a repository is published.
ADDRESS = "https://github.com/mimicry-challenge/mimicry"
# These draw the whole demo, or files that a reader brings; `make demo` and the tests
# of the demo run them.
BROUGHT_BY_OTHERS = ("mimicry data demo", "mimicry data zoo")
# `make demo` installs torch and draws for minutes, and CI runs it by itself. Here the
# environment of the tests stands in, on the clone's own code, and a small demo.
MAKE = r"""#!/bin/sh
[ "$*" = demo ] || { echo "no stand-in for: make $*" >&2; exit 2; }
cp -r "$STAND_IN_DEMO"/. .
mkdir -p .venv/bin
echo "export PATH='$STAND_IN_BIN':\$PATH PYTHONPATH='$PWD/src'" > .venv/bin/activate
"""
# The tests have no network: weights of a hub are files of some content here.
HF = r"""#!/bin/sh
[ "$1" = download ] && [ "$5" = --local-dir ] && [ $# = 6 ] || exit 2
mkdir -p "$6"
echo "$2" | tee "$6/$3" > "$6/$4"
"""


def shell_blocks(document: str) -> str:
    """Return the document's shell commands as one script."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    # A block of no language would be missed here, and taken for commands by readers.
    assert {language for language, _ in blocks} <= {"sh", "python"}
    return "".join(block for language, block in blocks if language == "sh")


def commands(document: str) -> list[str]:
    """Return the document's mimicry commands, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(block for language, block in blocks if language in {"", "sh"})
    found = re.findall(r"^(?:\.venv/bin/)?(mimicry .*?)(?:\s+#.*)?$", lines, re.MULTILINE)
    return [line for line in found if not line.startswith(BROUGHT_BY_OTHERS)]


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory,
    put_demo: Callable[[Path], None],
    put_zoo: Callable[[Path], None],
) -> Path:
    """Copy the bundle, with small demo data."""
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
        "starting_kit",
    ):
        shutil.copytree(ROOT / name, folder / name)
    # One backbone baseline will do: a rehearsal runs each in every phase.
    for name in ("BioCLIP", "DINO_SGD"):
        shutil.rmtree(folder / "baselines" / f"{name}_code_submission")
    for path in ROOT.glob("scoring_program_*"):
        shutil.copytree(path, folder / path.name)
    for name in ("competition.yaml", "logo.png"):
        shutil.copy(ROOT / name, folder)
    put_demo(folder)
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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository that holds this checkout's files, as it would be published."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no checkout of git, so nothing here can be cloned")
    folder = tmp_path_factory.mktemp("published") / "mimicry"
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A", "-f"], [*who, "commit", "-q", "-m", "All"]):
        subprocess.run(["git", *words], cwd=folder, env=clean_git(), check=True)
    return folder


def clean_git() -> dict[str, str]:
    """Return this environment without a user's own settings of git, or a hook's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


@pytest.mark.parametrize("document", ROADS)
def test_every_command_of_a_road_runs_from_an_empty_folder(
    published: Path, demo_folder: Path, tmp_path: Path, document: str
) -> None:
    script = shell_blocks(document)
    assert script.startswith(f"git clone {ADDRESS}\n")
    stand_ins, here = tmp_path / "bin", tmp_path / "here"
    for name, text in (("make", MAKE), ("hf", HF)):
        stand_ins.mkdir(exist_ok=True)
        (stand_ins / name).write_text(text)
        (stand_ins / name).chmod(0o755)
    here.mkdir()
    own = Path(sys.executable).parent
    # `mimicry` and `python` are there after the page's own `activate` alone.
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != own]
    done = subprocess.run(
        ["bash", "-e", "-x", "-o", "pipefail", "-c", script],
        cwd=here,
        env=clean_git()
        | {
            "PATH": os.pathsep.join([str(stand_ins), *path]),
            "STAND_IN_BIN": f"{stand_ins}:{own}",
            "STAND_IN_DEMO": str(demo_folder),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{published.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert (here / "mimicry" / "dist" / "my_model.zip").is_file()


def test_halving_of_the_participants_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    text = (ROOT / "docs" / "participant.md").read_text(encoding="utf-8")
    _, block = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    whole = ROOT / "baselines" / "DINO_SGD_code_submission" / "backbone" / "model.safetensors"
    copy = tmp_path / "weights" / "dinov2" / "model.safetensors"
    copy.parent.mkdir(parents=True)
    before = {name: tensor.float() for name, tensor in load_file(whole).items()}
    save_file(before, copy)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/participant.md", "exec"), {})
    after = load_file(copy)
    assert before.keys() == after.keys()
    assert all(tensor.element_size() == 2 for tensor in after.values())
    assert all(after[name].float().allclose(before[name], 1e-2, 1e-3) for name in before)


def test_where_the_participants_page_finds_things(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(ROOT / "examples" / "training")
    from backbones import HUBS, OPEN_CLIP, TIMM

    text = (ROOT / "docs" / "participant.md").read_text(encoding="utf-8")
    lines = re.findall(r"^hf download (\S+) (\S+) (\S+) --local-dir \S+$", text, re.MULTILINE)
    assert {repo for repo, *_ in lines} == {hub.repo for hub in HUBS.values()}
    for _, config, weights in lines:
        assert any(config == one.config and weights in one.weights for one in (TIMM, OPEN_CLIP))
    assert all(f"`{name}`" in text for name in OPEN_CLIP.weights)
    assert "`hybrid/prediction/participant.log`" in text
    assert "Why is my score 0.0000?" in text


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
