"""Temporary folders: removed afterwards, also by the next one when somebody was killed."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mimicry.codabench.scratch import PREFIX, scratch_folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(folder: Path) -> None:
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))


def test_a_folder_is_removed_with_all_that_is_in_it(place: Path) -> None:
    with scratch_folder() as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").touch()
        (folder / "a").chmod(0)
    assert list(place.iterdir()) == []


def test_abandoned_folders_are_removed_and_those_in_use_left(place: Path) -> None:
    code = (
        "import os, sys, tempfile\n"
        f"tempfile.tempdir = {str(place)!r}\n"
        "from mimicry.codabench.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'x').touch(); print(folder, flush=True); sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    holder = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    assert holder.stdout is not None
    held = Path(holder.stdout.readline().strip())
    foreign = place / "mimicry-else"
    foreign.mkdir()
    for folder in (held, foreign):
        age(folder)
    with scratch_folder():
        assert (held / "x").exists()
    holder.kill()
    holder.communicate()
    age(held)
    with scratch_folder():
        assert not held.exists()
    assert foreign.exists()


def test_a_new_folder_is_left_alone_though_it_is_not_locked_yet(place: Path) -> None:
    new = place / "mimicry-scratch-new"
    new.mkdir()
    with scratch_folder():
        pass
    assert new.exists()


def test_one_from_before_the_clock_was_set_back_is_removed(place: Path) -> None:
    old = place / f"{PREFIX}old"
    old.mkdir()
    tomorrow = time.time() + 86_400
    os.utime(old, (tomorrow, tomorrow))
    with scratch_folder():
        assert not old.exists()


def test_one_that_was_taken_for_abandoned_is_made_anew(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = tempfile.mkdtemp

    def make(**arguments: str) -> str:
        folder = real(**arguments)
        made.append(folder)
        if len(made) == 1:
            # Another process, whose clock has jumped ahead, has found it without a lock.
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    with scratch_folder() as folder:
        assert str(folder) == made[1] and folder.is_dir()
    assert list(place.iterdir()) == []
