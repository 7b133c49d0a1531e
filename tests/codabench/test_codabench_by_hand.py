"""The lines of docs/docker.md, run as an organiser would paste them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from codabench_minibundle import REPOSITORY, copy_repository

DOCUMENT = REPOSITORY / "docs" / "docker.md"
BASELINE = "baselines/color_pattern_code_submission"
# Building images takes a minute; `.ci/run` does it before the tests.
DONE_BEFORE = "make image\n"


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)


def test_the_lines_name_the_image_of_the_competitions(competition_image: str) -> None:
    named = re.findall(r"^  (\S+/\S+:\S+) \\$", "".join(blocks()), re.MULTILINE)
    assert named == [competition_image, competition_image]


def test_the_lines_work_and_agree_with_a_dry_run(competition_image: str, tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    shutil.copytree(REPOSITORY / BASELINE, bundle / BASELINE)
    first, *others = blocks()
    assert first.startswith(DONE_BEFORE)
    script = "".join([first.removeprefix(DONE_BEFORE), *others])
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=bundle,
        env=os.environ | {"PATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    by_hand = bundle / "runs" / "by-hand"
    (dry_run,) = bundle.glob("runs/hybrid/development/*-1")
    for place, path in (("output", "prediction"), ("scores", "scoring")):
        for name in {"output": ["predictions.csv"], "scores": ["scores.json"]}[place]:
            mine = (by_hand / place / name).read_bytes()
            assert mine == (dry_run / "hybrid" / path / name).read_bytes()
    for path in [by_hand, *by_hand.rglob("*")]:
        assert path.lstat().st_uid == os.geteuid()


@pytest.mark.parametrize("option", ["--network", "--memory", "--cpus", "--pids", "--worker-data"])
def test_every_option_that_is_named_exists(option: str) -> None:
    from click.testing import CliRunner

    from mimicry.cli import cli

    assert f"`{option}" in DOCUMENT.read_text()
    assert option in CliRunner().invoke(cli, ["run", "--help"]).output
