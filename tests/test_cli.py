"""The command line: verbs, exit codes, the last line on stderr, and a whole demo."""

import csv
import dataclasses
import errno
import functools
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

import mimicry.demo.build
import mimicry.demo.zoo
from mimicry import __version__
from mimicry.cli import cli, main
from mimicry.codabench.engines import ENGINES
from mimicry.demo.zoo import Zoo

ROOT = Path(__file__).resolve().parents[1]
HERE = str(Path(__file__).parent)
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
    others = [f"scoring_program_{key}" for key in ("hybrid", "blue", "red")]
    for name in ("competition.yaml", "competitions", *PROGRAMS, *others):
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
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        if name != "data":
            assert f"Examples:\n    mimicry {name}" in shown
            assert command.params or isinstance(command, click.Group)
    assert main(["data", "demo", "--help"]) == 0
    assert "mimicry data demo --like" in capsys.readouterr().out


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*path, name))


@pytest.mark.parametrize("path", list(every_command(cli)), ids=" ".join)
def test_every_help_has_an_example_and_no_raw_markup(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown and "\\b" not in shown and "\b" not in shown
    # Examples stand on lines of their own.
    assert re.search(rf"^ +{' '.join(('mimicry', *path))}\b", shown, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["run"],
        ["run", HERE, "--time-limit", "0"],
        ["run", "x", "--bundle", str(ROOT)],
        ["check", "x", "--bundle", str(ROOT)],
        ["check", HERE, "--competition", "three", "--bundle", str(ROOT)],
        ["check", HERE, "--smoke", "--competition", "three", "--bundle", str(ROOT)],
        ["pack-submission", "x"],
        ["pack-submission", str(ROOT / "README.md")],
        ["pack", "--competition", "three", "--bundle", str(ROOT)],
        ["board", "x", "--bundle", str(ROOT)],
        ["board", HERE, "--competition", "three", "--bundle", str(ROOT)],
        ["board", HERE, "--phase", "third", "--bundle", str(ROOT)],
        ["data", "demo", "--size", "large"],
        ["data", "demo", "--phase", "final"],
        ["data", "demo", "--like", "x.csv", "--scale", "1"],
        ["run", HERE, "--task", "B", "--bundle", str(ROOT)],
        ["run", HERE, "--engine", "cloud", "--bundle", str(ROOT)],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("Error: ")


def test_unknown_names_list_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--bundle", str(ROOT)]
    for arguments, listed in (
        (["--engine", "cloud"], "auto, docker, bubblewrap, subprocess"),
        (["--competition", "three"], "two-task, blue, hybrid, red"),
        (["--phase", "third"], "development, final"),
        (["--task", "B"], "choose from: hybrid"),
    ):
        assert main(["run", HERE, *arguments, *options]) == 2
        assert listed in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "check", "pack-submission"])
def test_a_path_that_is_not_there(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "no/such.zip", "--bundle", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "there is no file or folder no/such.zip; check the path." in shown.err.splitlines()[-1]


def test_a_mendable_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path), "--bundle", str(tmp_path)]) == 4
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
    assert "task mimic: failed [predict-failed]\n" in shown.out
    # What failed has a page, too, which tells why; its path is the last word.
    words, _, page = shown.out.splitlines()[-1].partition(": ")
    assert words == "results page" and page.endswith("/mimic/scoring/detailed_results.html")
    assert "no idea" in Path(page).read_text(encoding="utf-8")
    # The sentence: once while it runs, and once as the last line.
    sentence = shown.err.strip().removeprefix("task mimic: ")
    assert "\n" not in sentence and shown.out.count(sentence[:60]) == 1
    unready = make_submission(tmp_path / "unready", MODEL.replace("print(", "raise OSError("))
    assert main(["run", unready, *options, "--no-tail"]) == 3
    shown = capsys.readouterr()
    # One reason for both tasks is told once.
    assert shown.err.startswith("tasks A, mimic: ") and shown.err.count("\n") == 1
    assert main(["run", bad, *options, "--task", "mimic", "--no-tail"]) == 3
    assert "  | " not in capsys.readouterr().out

    assert main(["board"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Results of two-task, Development\n")
    assert " ann " in text and "Not on the board:\nclueless, clueless: task mimic: " in text
    assert main(["board", "--json"]) == 0
    boards = json.loads(capsys.readouterr().out)
    assert [row["participant"] for row in boards[0]["rows"]] == ["ann"]
    assert len(boards[0]["failed"]) == 4
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
    assert shown.splitlines()[-1] == "good: looks fine (0 errors, 0 warnings, 1 note)."
    assert "\nwarning: engine subprocess: the code runs as you" in shown
    assert "smoke run: 8 images in " in shown and " ms per image." in shown
    bad = make_submission(tmp_path / "bad", FAILING)
    assert main(["check", bad, "--smoke", "--json", "--engine", "subprocess"]) == 3
    shown = capsys.readouterr()
    assert shown.err.startswith("warning: engine subprocess")
    content = json.loads(shown.out)
    assert "ValueError: no idea" in content["smoke"]["tail"]
    assert not content["ok"] and "no idea" in content["smoke"]["sentence"]
    assert main(["check", bad, "--smoke", "--engine", "subprocess"]) == 3
    shown = capsys.readouterr()
    last = shown.err.splitlines()[-1]
    assert last.startswith("bad: will not run; smoke run failed: ") and "no idea" in last
    assert "looks fine" not in shown.out + shown.err
    broken = make_submission(tmp_path / "broken", "class Model(:")
    assert main(["check", broken]) == 3
    shown = capsys.readouterr()
    assert "syntax-error" in shown.out
    assert shown.err == "broken: will not run (1 error, 0 warnings, 1 note).\n"


def test_check_without_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", make_submission(tmp_path / "m")]) == 0
    capsys.readouterr()
    assert main(["check", make_submission(tmp_path / "m"), "--smoke"]) == 4
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("--smoke runs the competition's own ingestion")
    assert shown.err.endswith("[bundle-not-found]\n")


def test_bubblewrap_that_is_not_there_is_a_warning(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    absent = {
        name: dataclasses.replace(ENGINES[name], problem=lambda name=name: f"{name} is not there")
        for name in ("docker", "bubblewrap")
    }
    monkeypatch.setattr("mimicry.codabench.engines.ENGINES", {**ENGINES, **absent})
    monkeypatch.setattr("mimicry.commands.engine.ENGINES", {**ENGINES, **absent})
    assert main(["check", make_submission(tmp_path / "m"), "--smoke"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "warning: docker is not there\nwarning: bubblewrap is not there\n"
    assert "\nwarning: engine subprocess: the code runs as you" in shown.out


def test_folders_that_cannot_be_written(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    submission = make_submission(tmp_path / "m")
    below_a_file = str(tmp_path / "m" / "model.py" / "out")
    for arguments, code in (
        (["run", submission, "--output", below_a_file], "run-folder-unwritable"),
        (["pack-submission", submission, "--output", below_a_file + "/x.zip"], "zip-unwritable"),
        (["pack-submission", submission, "--output", str(tmp_path)], "zip-unwritable"),
        (["board", "--svg", below_a_file], "picture-unwritable"),
    ):
        assert main(arguments) == 4, arguments
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.endswith(f"[{code}]") and "cannot be written (" in last
    (here / "runs").write_text("")
    assert main(["run", submission]) == 4
    assert "choose another --output. [run-folder-unwritable]" in capsys.readouterr().err
    (here / "runs").unlink()

    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", nowhere)
    for command in (["check", submission, "--smoke"], ["run", submission]):
        assert main(command) == 4
        assert capsys.readouterr().err.splitlines()[-1].endswith("[temporary-folder]")


def test_a_check_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    submission = make_submission(tmp_path / "m")
    code = (
        "import sys\nfrom mimicry.cli import main\n"
        f"code = main(['check', {submission!r}, '--bundle', {str(ROOT)!r}])\n"
        "heavy = {'numpy', 'sklearn', 'PIL', 'rich', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(code or (str(heavy) if heavy else 0))\n"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = os.times()
    assert (done.returncode, done.stderr) == (0, "")
    # Processor time, which a busy machine does not change: the promise is under 2 s.
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 2


def test_pack_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_submission(tmp_path / "m")
    output = tmp_path / "m.zip"
    assert main(["pack-submission", folder, "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert str(output) in shown and "SHA-256 " in shown
    assert sorted(zipfile.ZipFile(output).namelist()) == ["metadata", "model.py"]
    assert main(["check", str(output), "--bundle", str(ROOT)]) == 0


def test_pack_submission_checks_first(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "m.zip"
    folder = make_submission(tmp_path / "m", MODEL.replace("def load", "def lode"))
    (tmp_path / "m" / "requirements.txt").write_text("no-such-package-at-all\n")
    (tmp_path / "m" / "metadata").unlink()
    assert main(["pack-submission", folder, "--output", str(output)]) == 3
    shown = capsys.readouterr()
    assert not output.exists() and not (here / "dist").exists()
    assert [code in shown.out for code in ("no-load", "requirements", "no-metadata")] == [True] * 3
    assert shown.err.startswith("m: will not run (2 errors, ")
    assert shown.err.endswith("Nothing was packed: mend the errors first.\n")
    (tmp_path / "outer").mkdir()
    make_submission(tmp_path / "outer" / "inner")
    assert main(["pack-submission", str(tmp_path / "outer"), "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "model.py lies in inner/" in shown and "no-metadata" not in shown
    assert sorted(zipfile.ZipFile(output).namelist()) == ["metadata", "model.py"]


def test_a_broken_competition_stops_only_itself(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = here / "competitions" / "broken.yaml"
    broken.write_text("version: 3\ntitel: x\n")
    (here / "competitions" / "two-task.yaml").write_text("")
    try:
        options = ["--competition", "hybrid", "--engine", "subprocess"]
        assert main(["run", make_submission(tmp_path / "m"), *options]) == 0
        capsys.readouterr()
        assert main(["board"]) == 0
        shown = capsys.readouterr()
        assert "of hybrid, Development\n" in shown.out
        assert "warning: broken is left out: competitions/broken.yaml has " in shown.err
        assert "warning: two-task is left out: " in shown.err
        assert main(["board", "--competition", "broken"]) == 4
        capsys.readouterr()
        assert main(["pack", "--dist", str(tmp_path / "dist")]) == 4
        told = capsys.readouterr().err.splitlines()
        assert ["two-task" in told[0], "broken.yaml line 1, version" in told[1]] == [True, True]
        assert "broken.yaml line 2, titel" in told[1] and not (tmp_path / "dist").exists()
    finally:
        broken.unlink()
        (here / "competitions" / "two-task.yaml").unlink()


def test_a_narrow_terminal_gets_blocks(here: Path, tmp_path: Path) -> None:
    submission = make_submission(tmp_path / "m")
    assert main(["run", submission, "--engine", "subprocess"]) == 0
    command = [sys.executable, "-m", "mimicry.cli", "board"]
    for columns, wide in (("70", False), ("400", True)):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            command, stdout=follower, env=os.environ | {"COLUMNS": columns, "LINES": "50"}
        )
        os.close(follower)
        text = b""
        while part := read_or_end(leader):
            text += part
        os.close(leader)
        assert process.wait() == 0
        lines = text.decode().splitlines()
        assert any(line.startswith("#1  m") for line in lines) == (not wide)
        assert (max(map(len, lines)) <= 70) == (not wide)


def read_or_end(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        # What Linux says when the other side of a terminal is closed.
        return b""


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [
        (signal.SIGINT, 130, "Interrupted."),
        (signal.SIGTERM, 143, "Ended by SIGTERM."),
        (signal.SIGHUP, 129, "Ended by SIGHUP."),
    ],
)
def test_a_run_that_is_asked_to_end_cleans_up(
    here: Path, tmp_path: Path, number: int, code: int, last: str
) -> None:
    slow = MODEL.replace('print("loaded")', "import time; time.sleep(60)")
    command = [sys.executable, "-m", "mimicry.cli", "run", make_submission(tmp_path / "m", slow)]
    process = subprocess.Popen(
        [*command, "--engine", "subprocess", "--output", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "ingestion:" in line:
            break
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.splitlines()[-1] == last
    assert "Traceback" not in errors
    # What is left can be resumed.
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "running"
    assert not (tmp_path / "run" / ".staging").exists()


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "no-permission"),
        (errno.EACCES, "no-permission"),
    ],
)
def test_a_full_disk_is_no_bug(
    here: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: str,
    hidden: bool,
) -> None:
    def fail(*arguments: object) -> None:
        error = OSError(number, os.strerror(number), str(tmp_path / "x.png"))
        # As copying a folder tells of what went wrong inside.
        raise shutil.Error([("a", "b", str(error))]) if hidden else error

    monkeypatch.setattr("mimicry.codabench.worker.unpack_data", fail)
    output = tmp_path / "run"
    arguments = ["run", make_submission(tmp_path / "m"), "--output", str(output)]
    assert main([*arguments, "--engine", "subprocess"]) == 4
    *_, last = capsys.readouterr().err.splitlines()
    assert os.strerror(number) in last and last.endswith(f"[{code}]")
    assert not (output / ".staging").exists()


def test_another_fault_of_the_system_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("mimicry.commands.board.show_boards", fail)
    assert main(["board"]) == 1
    assert capsys.readouterr().err.endswith("[bug]\n")


def test_a_reader_that_goes_away_is_no_bug(here: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m mimicry.cli --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "[bug]" not in done.stderr


def test_the_demo_runs_and_runs_again(
    here: Path,
    small_zoo: Zoo,
    put_zoo: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The same as always but for the size of the data.
    small = functools.partial(mimicry.demo.build.build_demo, scale=0.02, size=(40, 28), workers=1)
    monkeypatch.setattr(mimicry.demo.build, "build_demo", small)
    put_zoo(here)
    known = functools.partial(mimicry.demo.zoo.build_zoo, zoo=small_zoo)
    monkeypatch.setattr(mimicry.demo.zoo, "build_zoo", known)
    (here / "baselines").mkdir(exist_ok=True)
    for name in ("color_pattern", "BioCLIP", "DINO_SGD", "anomaly"):
        make_submission(here / "baselines" / f"{name}_code_submission")
    for name in ("blue_search", "blue_random", "red_search", "red_random"):
        folder = f"baselines/{name}_submission"
        shutil.copytree(ROOT / folder, here / folder)
    assert main(["demo", "--engine", "subprocess"]) == 0
    first = capsys.readouterr()
    assert first.out.count("run folder: ") == 18
    assert "already there: 12 models in " in first.out
    for id in ("two-task", "hybrid", "blue", "red"):
        for phase in ("Development", "Final"):
            assert f"of {id}, {phase}\n" in first.out
    runs = sorted((here / "runs" / "demo").rglob("run.json"))
    stamps = [json.loads(path.read_text())["finished"] for path in runs]
    assert len(runs) == 18
    assert main(["demo", "--engine", "subprocess"]) == 0
    again = capsys.readouterr()
    assert again.out.count("kept, it was finished") == 20
    assert [json.loads(path.read_text())["finished"] for path in runs] == stamps
    assert again.out.split("The boards")[1] == first.out.split("The boards")[1]
