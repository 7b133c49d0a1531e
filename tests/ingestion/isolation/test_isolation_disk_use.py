"""How much a model has filled."""

import os
import time
from pathlib import Path

import pytest

from mimicry.errors import SubmissionError
from mimicry.ingestion.isolation import disk_use
from mimicry.ingestion.isolation.disk_use import DiskUse


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_use, "_INTERVAL", 0.0)
    monkeypatch.setattr(disk_use, "_WORTH_A_WALK", -1)


def fill(path: Path, mebibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(os.urandom(2**20) * mebibytes)
        file.flush()
        os.fsync(file.fileno())


def test_folders_are_added_up(tmp_path: Path) -> None:
    watch = DiskUse([tmp_path / "one", tmp_path / "two"], 8 * 2**20)
    watch.check()
    fill(tmp_path / "one/a/b", 5)
    watch.check()
    fill(tmp_path / "two/a", 5)
    with pytest.raises(SubmissionError, match=r"0\.0 GiB of disk.*disk-limit"):
        watch.check()


def test_holes_in_files_take_no_room(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    DiskUse([tmp_path], 2**20).check()


def test_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_use, "MOST_FILES", 50)
    for number in range(60):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(SubmissionError, match="more than 50 files"):
        DiskUse([tmp_path], 2**30).check()


def test_a_file_without_a_name_counts_while_a_descendant_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    fill(path, 5)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        held = path.open("rb")
        path.unlink()
        os.write(writing, b"x")
        time.sleep(60)
        os._exit(held.fileno())
    try:
        os.read(reading, 1)
        assert not path.exists()
        with pytest.raises(SubmissionError, match="disk-limit"):
            DiskUse([tmp_path], 2**20).check()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside/file", 5)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(tmp_path / "outside")
    DiskUse([tmp_path / "inside"], 2**20).check()
