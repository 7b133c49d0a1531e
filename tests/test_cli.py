"""The command line: verbs, exit codes, the last line on stderr, and a whole demo."""

import csv
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import mimicry.demo.build
from mimicry import __version__
from mimicry.cli import cli, main

ROOT = Path(__file__).resolve().parents[1]
MODEL = """
from PIL import ImageStat
class Model:
    def load(self):
        print("loaded")
    def predict(self, image):
        return ImageStat.Stat(image.convert("L")).mean[0]
"""
FAILING = MODEL.replace("return ImageStat", "raise ValueError('no idea'); ImageStat")
PROGRAMS = ("ingestion_program", "scoring_program_A", "scoring_program_mimic")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with this repository's programs and a few generated images."""
    folder = tmp_path_factory.mktemp("bundle")
    for name in ("competition.yaml", "competitions", *PROGRAMS, "scoring_program_hybrid"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    options = ["--scale", "0.02", "--size", "40x28", "--workers", "1"]
    assert main(["data", "demo", "--output", str(folder), *options]) == 0
    return folder


@pytest.fixture
def here(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(bundle)
    yield bundle  # type: ignore[misc]
    shutil.rmtree(bundle / "runs", ignore_errors=True)


def make_submission(folder: Path, model: str = MODEL) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(model)
    (folder / "metadata").touch()
    return str(folder)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mimicry {__version__}\n"
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name, command in cli.commands.items():
        assert f"\n  {name} " in listed
        if name == "data":
            continue
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"Examples:\n    mimicry {name}" in shown
        assert command.params
    assert main(["data", "demo", "--help"]) == 0
    assert "mimicry data demo --like" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["run"],
        ["run", "x", "--time-limit", "0"],
        ["data", "demo", "--size", "large"],
        ["data", "demo", "--phase", "final"],
        ["data", "demo", "--like", "x.csv", "--scale", "1"],
        ["run", "x", "--task", "B", "--bundle", str(ROOT)],
        ["run", "x", "--engine", "cloud", "--bundle", str(ROOT)],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("Error: ")


def test_unknown_names_list_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "x", "--engine", "cloud", "--bundle", str(ROOT)]) == 2
    assert "auto, bubblewrap, subprocess" in capsys.readouterr().err
    assert main(["run", "x", "--competition", "three", "--bundle", str(ROOT)]) == 4
    assert "two-task, hybrid" in capsys.readouterr().err


def test_a_mendable_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "x", "--bundle", str(tmp_path)]) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].endswith("[bundle-not-found]")


def test_a_bug_is_told_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("mimicry.codabench.competition.find_bundle", broken)
    assert main(["pack"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: ours" in error
    assert error.splitlines()[-1].endswith("[bug]")


def test_run_and_board(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_submission(tmp_path / "bright")
    bad = make_submission(tmp_path / "clueless", FAILING)
    options = ["--competition", "two-task", "--engine", "subprocess"]
    assert main(["run", good, *options, "--participant", "ann"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "task A: finished" in shown.out and "  mimic_recall " in shown.out
    assert (here / "runs" / "two-task" / "development" / "bright-1" / "run.json").is_file()
    assert main(["run", bad, *options, "--task", "mimic"]) == 3
    shown = capsys.readouterr()
    assert "no idea" in shown.err.splitlines()[-1]
    assert "  | ValueError: no idea" in shown.out
    assert main(["run", bad, *options, "--task", "mimic", "--no-tail"]) == 3
    assert "  | " not in capsys.readouterr().out

    assert main(["board"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Results of two-task, Development\n")
    assert " ann " in text and "Not on the board:\nclueless, clueless: task mimic: " in text
    assert main(["board", "--json"]) == 0
    boards = json.loads(capsys.readouterr().out)
    assert [row["participant"] for row in boards[0]["rows"]] == ["ann"]
    assert len(boards[0]["failed"]) == 2
    assert main(["board", "runs", "--competition", "two-task", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    record = json.loads((here / "runs/two-task/development/bright-1/run.json").read_text())
    assert float(rows[0]["A.score"]) == record["tasks"]["A"]["scores"]["score"]
    assert main(["board", "--competition", "hybrid"]) == 0
    assert capsys.readouterr().out.startswith("No runs yet")


def test_missing_data_name_the_remedy(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = here / "input_data" / "val.zip"
    aside = data.rename(tmp_path / "val.zip")
    try:
        assert main(["run", make_submission(tmp_path / "m")]) == 4
    finally:
        shutil.move(aside, data)
    assert "mimicry data demo" in capsys.readouterr().err.splitlines()[-1]


def test_check_in_words_and_json(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_submission(tmp_path / "good")
    assert main(["check", good, "--smoke", "--engine", "subprocess"]) == 0
    shown = capsys.readouterr().out
    assert "good: looks fine (0 errors, 0 warnings, 1 note)." in shown
    assert "smoke run: 8 images in " in shown and " ms per image." in shown
    bad = make_submission(tmp_path / "bad", FAILING)
    assert main(["check", bad, "--smoke", "--json", "--engine", "subprocess"]) == 3
    content = json.loads(capsys.readouterr().out)
    assert not content["ok"] and "no idea" in content["smoke"]["sentence"]
    assert "ValueError: no idea" in content["smoke"]["tail"]
    broken = make_submission(tmp_path / "broken", "class Model(:")
    assert main(["check", broken]) == 3
    shown = capsys.readouterr()
    assert "syntax-error" in shown.out
    assert shown.err == "broken: will not run (1 error, 0 warnings, 1 note).\n"


def test_check_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", make_submission(tmp_path / "m")]) == 0


def test_a_check_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    submission = make_submission(tmp_path / "m")
    code = (
        "import sys\nfrom mimicry.cli import main\n"
        f"code = main(['check', {submission!r}, '--bundle', {str(ROOT)!r}])\n"
        "heavy = {'numpy', 'sklearn', 'PIL', 'rich', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(code or (str(heavy) if heavy else 0))\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 2


def test_pack_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_submission(tmp_path / "m")
    output = tmp_path / "m.zip"
    assert main(["pack-submission", folder, "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert str(output) in shown and "SHA-256 " in shown
    assert sorted(zipfile.ZipFile(output).namelist()) == ["metadata", "model.py"]
    assert main(["check", str(output), "--bundle", str(ROOT)]) == 0


def test_interrupting_a_run_ends_it(here: Path, tmp_path: Path) -> None:
    slow = MODEL.replace('print("loaded")', "import time; time.sleep(60)")
    command = [sys.executable, "-m", "mimicry.cli", "run", make_submission(tmp_path / "m", slow)]
    process = subprocess.Popen(
        [*command, "--engine", "subprocess"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "ingestion:" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in errors


def test_a_reader_that_goes_away_is_no_bug(here: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m mimicry.cli --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "[bug]" not in done.stderr


def test_the_demo_runs_and_runs_again(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The same as always but for the size of the data.
    small = functools.partial(mimicry.demo.build.build_demo, scale=0.02, size=(40, 28), workers=1)
    monkeypatch.setattr(mimicry.demo.build, "build_demo", small)
    (here / "baselines").mkdir(exist_ok=True)
    make_submission(here / "baselines" / "color_pattern_code_submission")
    assert main(["demo", "--engine", "subprocess"]) == 0
    first = capsys.readouterr()
    assert first.out.count("run folder: ") == 4
    for id in ("two-task", "hybrid"):
        for phase in ("Development", "Final"):
            assert f"of {id}, {phase}\n" in first.out
    runs = sorted((here / "runs" / "demo").rglob("run.json"))
    stamps = [json.loads(path.read_text())["finished"] for path in runs]
    assert len(runs) == 4
    assert main(["demo", "--engine", "subprocess"]) == 0
    again = capsys.readouterr()
    assert again.out.count("kept, it was finished") == 6
    assert [json.loads(path.read_text())["finished"] for path in runs] == stamps
    assert again.out.split("The boards")[1] == first.out.split("The boards")[1]
