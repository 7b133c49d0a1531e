"""How much a model has filled."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimicry.errors import SubmissionError
from mimicry.files import remove_tree
from mimicry.ingestion.isolation import disk_use
from mimicry.ingestion.isolation.disk_use import DiskUse


def found(folders: list[Path], limit: int) -> None:
    """Look once and raise what was found."""
    watch = DiskUse(folders, limit)
    watch.look()
    watch.check()


def fill(path: Path, mebibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(os.urandom(2**20) * mebibytes)
        file.flush()
        os.fsync(file.fileno())


def test_folders_are_added_up(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    found(folders, 8 * 2**20)
    fill(tmp_path / "one/a/b", 5)
    found(folders, 8 * 2**20)
    fill(tmp_path / "two/a", 5)
    with pytest.raises(SubmissionError, match=r"0\.009\d* GiB of disk; 0\.00781 GiB.*disk-limit"):
        found(folders, 8 * 2**20)


def test_holes_in_files_take_no_room(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    found([tmp_path], 2**20)


def test_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_use, "MOST_FILES", 50)
    for number in range(60):
        (tmp_path / str(number)).mkdir()
    with pytest.raises(SubmissionError, match="more than 50 files"):
        found([tmp_path], 2**30)


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
            found([tmp_path], 2**20)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside/file", 5)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(tmp_path / "outside")
    found([tmp_path / "inside"], 2**20)


def test_a_folder_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o300)
    script = f"""
import os
from pathlib import Path
from mimicry.errors import SubmissionError
from mimicry.files import remove_tree
from mimicry.ingestion.isolation.confine import _give_up_capabilities
from mimicry.ingestion.isolation.disk_use import DiskUse
_give_up_capabilities()
watch = DiskUse([Path({str(tmp_path)!r})], 2**30)
watch.look()
try:
    watch.check()
except SubmissionError as error:
    assert "cannot be read" in str(error), error
else:
    raise AssertionError("not noticed")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    (tmp_path / "closed").chmod(0o700)
    assert done.returncode == 0, done.stderr


def test_folders_too_deep_for_paths_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, os.urandom(5 * 2**20))
    os.fsync(file)
    os.close(file)
    os.close(here)
    with pytest.raises(SubmissionError, match="GiB of disk"):
        found([tmp_path], 2**20)
    monkeypatch.setattr(disk_use, "DEEPEST", 20)
    with pytest.raises(SubmissionError, match="deeper than 20"):
        found([tmp_path], 2**30)
    remove_tree(tmp_path)


def test_it_looks_by_itself_when_a_disk_gets_fuller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_use, "_INTERVAL", 0.01)
    monkeypatch.setattr(disk_use, "_WORTH_A_WALK", 2**20)
    with DiskUse([tmp_path], 4 * 2**20) as watch:
        fill(tmp_path / "file", 30)
        end = time.monotonic() + 60
        while watch._fault is None and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(SubmissionError, match="disk-limit"):
            watch.check()


def test_a_disk_that_gets_full_counts_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_use, "_NEARLY_FULL", 2**60)
    watch = DiskUse([tmp_path], 2**20)
    folder, free = next(iter(watch._first.items()))
    watch._first[folder] = free._replace(size=free.size + 2**40)
    watch.look()
    with pytest.raises(SubmissionError, match=r"the disk lost 1\.02e"):
        watch.check()


def test_millions_of_names_are_not_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(disk_use, "MOST_FILES", 10)
    seen = 0
    scandir = os.scandir

    class Counting:
        def __init__(self, where: int) -> None:
            self.inner = scandir(where)

        def __next__(self) -> os.DirEntry[str]:
            nonlocal seen
            seen += 1
            return next(self.inner)

        def close(self) -> None:
            self.inner.close()

    monkeypatch.setattr(os, "scandir", Counting)
    with pytest.raises(SubmissionError, match="more than 10 files"):
        found([tmp_path], 2**30)
    assert seen < 20
