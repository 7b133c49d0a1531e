"""The entry scripts from end to end, as the platform starts them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from realign_stage import ROOT, Stage, blue, red, write_blue, write_red

from mimicry.codabench.packing import ProgramSettings, stage_program
from mimicry.realign import program
from mimicry.realign.columns import BLUE_COLUMNS, RED_COLUMNS
from mimicry.realign.rules import Team

RESULTS = {"scores.json", "score.json", "detailed_results.html"}
COLUMNS = {"blue": BLUE_COLUMNS, "red": RED_COLUMNS}
GOOD = {"blue": blue("resnet50", "resnet50d", "vit_base"), "red": red(range(10))}
WRITE = {"blue": write_blue, "red": write_red}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "app")


def ready(stage: Stage, team: Team) -> None:
    WRITE[team](stage.ref)
    stage.submit(GOOD[team])


@pytest.mark.parametrize("team", ["blue", "red"])
def test_a_good_run_writes_every_column_twice(stage: Stage, team: Team) -> None:
    ready(stage, team)
    stage.output.mkdir()
    for name in RESULTS | {"scoring.log"}:
        (stage.output / name).write_text("stale")
    done = stage.run(team)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.files == RESULTS
    written = (stage.output / "scores.json").read_bytes()
    assert written == (stage.output / "score.json").read_bytes()
    assert list(done.scores) == [column.key for column in COLUMNS[team]]
    assert all(type(v) is float and np.isfinite(v) for v in done.scores.values())
    for key, value in done.scores.items():
        assert key in done.page and f"{value:.4f}" in done.page
    counted = "3 models" if team == "blue" else "10 stimuli"
    assert counted in done.page and counted in done.stdout
    assert not re.search(r"0\.\d{3}", done.stdout)
    # Nothing of single models or stimuli: their scores would tell of secret data.
    assert not re.search("resnet50|ILSVRC|npy", done.page + done.stdout)
    again = stage.run(team)
    assert (again.output / "scores.json").read_bytes() == written


@pytest.mark.parametrize("team", ["blue", "red"])
@pytest.mark.parametrize("name", ["TEAM.JSON", "folder/team.json"])
def test_names_and_one_folder_are_allowed(stage: Stage, team: Team, name: str) -> None:
    WRITE[team](stage.ref)
    stage.submit(GOOD[team], name)
    stage.submit(b"junk", "README.md")
    stage.submit(b"junk", "__MACOSX/._team.json")
    stage.submit(b"junk", ".DS_Store")
    stage.submit(b"junk", "a/b/c.json")
    assert stage.run(team).exit_code == 0


@pytest.mark.parametrize("team", ["blue", "red"])
@pytest.mark.parametrize(
    ("names", "code", "part"),
    [
        ([], "no-json-file", "mimicry pack-submission"),
        (["team.txt"], "no-json-file", "at its root or one folder down"),
        (["a/b/team.json"], "no-json-file", "at its root or one folder down"),
        (["a.json", "b.json"], "several-json-files", '("a.json", "b.json"); leave exactly one'),
        (["a.json", "x/b.json"], "several-json-files", "leave exactly one"),
        ([f"{i}.json" for i in range(50)], "several-json-files", "50 JSON files"),
    ],
)
def test_not_exactly_one_file(
    stage: Stage, team: Team, names: list[str], code: str, part: str
) -> None:
    WRITE[team](stage.ref)
    for name in names:
        stage.submit(GOOD[team], name)
    done = stage.run(team)
    assert (done.exit_code, done.files) == (3, {"detailed_results.html"})
    assert done.last_line.endswith(f"[{code}]") and part in done.last_line
    assert done.stderr.count("\n") == 1


def test_too_many_files_are_not_listed_for_ever(stage: Stage) -> None:
    write_blue(stage.ref)
    for index in range(20_001):
        (stage.res / f"{index}.txt").touch()
    assert stage.run("blue").last_line.endswith("[too-many-files]")


def test_links_and_pipes_are_refused(stage: Stage) -> None:
    write_blue(stage.ref)
    (stage.res / "team.json").symlink_to(stage.ref / "rules.json")
    assert stage.run("blue").last_line.endswith("[json-unreadable]")
    (stage.res / "team.json").unlink()
    os.mkfifo(stage.res / "team.json")
    assert stage.run("blue").last_line.endswith("[json-unreadable]")
    (stage.res / "team.json").unlink()
    (stage.res / "team.json").mkdir()
    assert stage.run("blue").last_line.endswith("[no-json-file]")


@pytest.mark.parametrize(("team", "other"), [("blue", "red"), ("red", "blue")])
def test_the_other_teams_file(stage: Stage, team: Team, other: Team) -> None:
    WRITE[team](stage.ref)
    stage.submit(GOOD[other])
    done = stage.run(team)
    assert done.exit_code == 3 and done.last_line.endswith("[wrong-team]")
    assert f"a {other.capitalize()} team's submission" in done.last_line
    assert "wrong-team" in done.page


def test_the_page_lists_faults_one_by_one(stage: Stage) -> None:
    write_blue(stage.ref)
    stage.submit(blue("nothing", "resnet50", "resnet50", notes=1))
    done = stage.run("blue")
    assert done.exit_code == 3 and done.last_line.endswith("[submission-invalid]")
    assert " 3 faults: " in done.last_line and done.page.count("<li>") == 3
    assert "Cause: " in done.page and "The sentence above" not in done.page


@pytest.mark.parametrize("team", ["blue", "red"])
def test_faults_of_the_reference_data_are_the_organisers(stage: Stage, team: Team) -> None:
    ready(stage, team)
    (stage.ref / "rules.json").write_text('{"competition": "green"}')
    done = stage.run(team)
    assert (done.exit_code, done.files) == (4, {"detailed_results.html"})
    assert done.last_line.endswith("[rules-invalid]")


def test_activations_of_the_worker_lie_beside_the_input(stage: Stage) -> None:
    arrays = write_red(stage.ref)
    stage.submit(GOOD["red"])
    beside = stage.run("red").scores
    shutil.rmtree(stage.ref / "models")
    write_rules = json.loads((stage.ref / "rules.json").read_text())
    write_rules["activations"] = "/app/data/secret"
    (stage.ref / "rules.json").write_text(json.dumps(write_rules))
    assert stage.run("red").last_line.endswith("[activations-missing]")
    folder = stage.data / "secret"
    folder.mkdir(parents=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"{number}.npy", array)
    listed = [
        {"file": p.name, "sha256": "0" * 64, "size": p.stat().st_size} for p in folder.iterdir()
    ]
    (folder / "models.json").write_text(json.dumps({"models": listed}))
    assert stage.run("red").scores == beside


@pytest.mark.parametrize("team", ["blue", "red"])
def test_a_packed_program_runs_without_the_package_or_heavy_libraries(
    stage: Stage, tmp_path: Path, team: Team
) -> None:
    ready(stage, team)
    packed = tmp_path / "packed"
    settings = ProgramSettings("realign", "Final <1>", team, 600)
    stage_program(ROOT / f"scoring_program_{team}", packed, settings)
    heavy = tmp_path / "heavy"
    heavy.mkdir()
    for name in ("torch", "scipy", "sklearn", "jsonschema", "yaml", "PIL", "array_api_compat"):
        (heavy / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    source = str(packed / f"score_{team}.py")
    code = (
        f"import sys, runpy; sys.path[:0] = [{str(packed)!r}, {str(heavy)!r}]\n"
        f"sys.argv = [{source!r}, {str(stage.source)!r}, {str(stage.output)!r}]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(sys.modules['mimicry'].__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == str(packed / "mimicry" / "__init__.py")
    page = (stage.output / "detailed_results.html").read_text()
    assert "realign" in page and "Final &lt;1&gt;" in page
    (packed / "phase.json").write_text(settings.to_json().replace(f'"{team}"', '"hybrid"'))
    assert stage.run(team, script=packed / f"score_{team}.py").last_line.endswith(
        "[phase-settings]"
    )


@pytest.mark.parametrize("team", ["blue", "red"])
def test_metadata_starts_the_entry_script(team: Team) -> None:
    folder = ROOT / f"scoring_program_{team}"
    assert (folder / "metadata.yaml").read_text() == (
        f"command: python3 /app/program/score_{team}.py /app/input /app/output\n"
    )
    assert (folder / f"score_{team}.py").is_file()


def scored_in_process(stage: Stage, team: Team) -> int:
    return program.main(team, stage.source, [str(stage.source), str(stage.output)])


@pytest.mark.parametrize(
    "scores", [{"score": 0.5}, dict.fromkeys((c.key for c in BLUE_COLUMNS), float("nan"))]
)
def test_missing_or_non_finite_columns_are_never_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, scores: dict[str, float]
) -> None:
    ready(stage, "blue")
    monkeypatch.setattr("mimicry.realign.blue.score_models", lambda *_: scores)
    assert scored_in_process(stage, "blue") == 1
    assert {path.name for path in stage.output.iterdir()} == {
        "detailed_results.html",
        "scoring.log",
    }


def test_a_page_that_cannot_be_drawn_costs_no_scores(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(stage, "blue")

    def broken(*_: object) -> None:
        raise ValueError("no page today")

    monkeypatch.setattr(program, "declared_page", broken)
    assert scored_in_process(stage, "blue") == 0
    assert "no page today" in (stage.output / "scoring.log").read_text()
    assert (stage.output / "scores.json").is_file()
    assert not (stage.output / "detailed_results.html").exists()


def test_wrong_usage_and_help(tmp_path: Path) -> None:
    script = str(ROOT / "scoring_program_red" / "score_red.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path / "absent")], capture_output=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith(b"usage: score_red.py")
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, check=False)
    assert b"python3 score_red.py /app/input /app/output" in b" ".join(done.stdout.split())
