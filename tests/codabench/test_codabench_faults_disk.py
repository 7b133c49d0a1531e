"""Full and read-only disks: one sentence, nothing half written, the old file kept."""

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from codabench_faults import SmallDisk, left_overs, mounted, write_submission
from codabench_minibundle import copy_repository

from mimicry.cli import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("faults") / "bundle")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk") as found:
        yield found


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    folder = write_submission(tmp_path / "sub")
    # What cannot be made smaller, so that a disk that is nearly full has no room for it.
    (folder / "weights.bin").write_bytes(random.Random(1).randbytes(200_000))
    return folder


def run(bundle: Path, submission: Path, output: Path) -> int:
    where = ["--bundle", str(bundle), "--output", str(output), "--engine", "subprocess"]
    return main(["run", str(submission), "--competition", "two-task", "--task", "A", *where])


@pytest.mark.parametrize("free", [20_000, 500_000, 900_000])
def test_a_run_stops_and_goes_on(
    disk: SmallDisk,
    bundle: Path,
    submission: Path,
    capsys: pytest.CaptureFixture[str],
    free: int,
) -> None:
    output = disk.folder / "run"
    disk.fill(but=free)
    assert run(bundle, submission, output) == 4
    last = capsys.readouterr().err.splitlines()[-1]
    assert "No space left" in last or "[output-folder]" in last
    assert left_overs(output) == []
    if (output / "run.json").exists():
        record = json.loads((output / "run.json").read_text())
        assert (record["state"], record["tasks"]["A"]["scores"]) == ("running", None)
    disk.free()
    assert run(bundle, submission, output) == 0
    assert json.loads((output / "run.json").read_text())["state"] == "finished"


def test_full_temporary_folder_is_not_the_datas_fault(
    disk: SmallDisk,
    bundle: Path,
    submission: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    blue = ["pack", "--bundle", str(bundle), "--competition", "blue", "--dist"]
    for command in (
        ["pack-submission", str(submission), "--output", str(disk.folder / "x.zip")],
        ["check", str(submission), "--smoke", "--bundle", str(bundle)],
        # Its validation unpacks what it reads.
        [*blue, str(tmp_path / "dist")],
    ):
        disk.fill(but=8_192)
        assert main(command) == 4, command
        last = capsys.readouterr().err.splitlines()[-1]
        assert "No space left" in last, last
        assert last.endswith(("[disk-full]", "[zip-unwritable]")), last
        disk.free()
        assert [path.name for path in disk.folder.iterdir()] == []
    assert list((tmp_path / "dist").glob("*")) == []


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_what_was_there_stays(
    disk: SmallDisk,
    bundle: Path,
    submission: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    done = tmp_path / "done"
    assert run(bundle, submission, done) == 0
    capsys.readouterr()
    at = disk.folder
    commands = {
        "b.html": ["board", str(tmp_path), "--bundle", str(bundle), "--html", str(at / "b.html")],
        "r.html": ["report", str(done), "--output", str(at / "r.html")],
        "v.json": ["verify", str(done), "--bundle", str(bundle), "--json", str(at / "v.json")],
        "s.zip": ["pack-submission", str(submission), "--output", str(at / "s.zip")],
        "mimicry-blue.zip": [
            *("pack", "--bundle", str(bundle), "--competition", "blue", "--dist", str(at)),
        ],
    }
    for command in commands.values():
        assert main(command) == 0, command
    old = {path: path.read_bytes() for path in at.rglob("*") if path.is_file()}
    assert {path.name for path in old} >= set(commands)
    if fault == "full":
        disk.fill(but=0)
    else:
        disk.read_only()
    for command in commands.values():
        assert main(command) == 4, command
        last = capsys.readouterr().err.splitlines()[-1]
        assert ("No space left" if fault == "full" else "Read-only file system") in last, last
    left = {path: path.read_bytes() for path in at.rglob("*") if path.is_file()}
    left.pop(at / "filler", None)
    assert left == old


def test_a_run_folder_that_became_read_only(
    disk: SmallDisk, bundle: Path, submission: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = disk.folder / "run"
    assert run(bundle, submission, output) == 0
    before = (output / "run.json").read_bytes()
    disk.read_only()
    capsys.readouterr()
    assert run(bundle, submission, output) == 4
    assert capsys.readouterr().err.splitlines()[-1].endswith("[run-folder-unwritable]")
    assert run(bundle, submission, disk.folder / "new") == 4
    assert capsys.readouterr().err.splitlines()[-1].endswith("[run-folder-unwritable]")
    assert (output / "run.json").read_bytes() == before


def test_a_folder_where_a_record_should_be(
    bundle: Path, submission: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("run.json", "provenance.json"):
        output = tmp_path / f"run-{name}"
        (output / name).mkdir(parents=True)
        (output / "run.json").exists() or (output / ".lock").touch()
        assert run(bundle, submission, output) == 4, name
        assert "[bug]" not in capsys.readouterr().err
        assert (output / name).is_dir()


def test_a_rehearsal_tells_the_organiser_and_goes_on(
    disk: SmallDisk, bundle: Path, submission: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = disk.folder / "rehearsal"
    command = ["rehearse", str(submission), "--bundle", str(bundle), "--competition", "hybrid"]
    command += ["--engine", "subprocess", "--output", str(output)]
    # Enough for its own record and the zip.
    disk.fill(but=400_000)
    assert main(command) == 4
    shown = capsys.readouterr()
    assert "[disk-full]" in shown.out + shown.err
    assert "[bug]" not in shown.out + shown.err
    disk.free()
    assert main(command) == 0
    assert left_overs(output) == []
