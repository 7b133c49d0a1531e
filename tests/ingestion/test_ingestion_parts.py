"""The parts of ingestion on their own: settings, messages, arena, feed, log, output."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingestion_helpers import draw, names
from PIL import Image

from mimicry.errors import BundleError, SubmissionError, one_line
from mimicry.files import is_clutter, write_atomically
from mimicry.ingestion import runner
from mimicry.ingestion.arena import make_arena
from mimicry.ingestion.feed import Feed
from mimicry.ingestion.images import list_images
from mimicry.ingestion.model_process import Failed, Ready, Scores, model_environment, parse
from mimicry.ingestion.outcome import empty_folder
from mimicry.ingestion.participant_log import ParticipantLog
from mimicry.ingestion.settings import read_time_limit


@pytest.mark.parametrize("value", ["", "x", "nan", "inf", "0", "-3"])
def test_a_time_limit_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(BundleError, match="MIMICRY_TIME_LIMIT"):
        read_time_limit(tmp_path, {"MIMICRY_TIME_LIMIT": value})


def test_time_limits_by_order_of_precedence(tmp_path: Path) -> None:
    assert read_time_limit(tmp_path, {}).seconds == 600
    (tmp_path / "phase.json").write_text('{"execution_time_limit": 300, "phase": "Development"}')
    limit = read_time_limit(tmp_path, {})
    assert (limit.seconds, limit.source, limit.deadline) == (300, "Development", 270)
    assert read_time_limit(tmp_path, {"MIMICRY_TIME_LIMIT": "20"}).deadline == 18


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_no_settings_file_crashes(content: object) -> None:
    import tempfile

    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "phase.json").write_bytes(data)
        with pytest.raises(BundleError):
            read_time_limit(Path(name), {})


@given(
    st.binary(max_size=100)
    | st.builds(lambda k, b: k + b, st.sampled_from([b"R", b"S", b"E"]), st.binary(max_size=64))
)
def test_messages_are_read_or_refused(packet: bytes) -> None:
    try:
        message = parse(packet)
    except SubmissionError as error:
        assert error.code == "model-interfered"
    else:
        assert isinstance(message, (Ready, Scores, Failed))


def test_the_arena_cannot_be_shrunk_or_written_by_others(tmp_path: Path) -> None:
    arena = make_arena(5000, 3, 2**20)
    assert (arena.slot_bytes, arena.slots, arena.size) == (8192, 3, 3 * 8192)
    arena.memory[:5] = b"ready"
    code = """
import mmap, os, sys
fd, size = int(sys.argv[1]), int(sys.argv[2])
view = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
assert view[:5] == b"ready"
def refused(action):
    try:
        action()
    except OSError:
        return
    raise SystemExit(1)
refused(lambda: os.ftruncate(fd, 0))
refused(lambda: os.ftruncate(fd, 2 * size))
refused(lambda: os.pwrite(fd, b"x", 0))
refused(lambda: mmap.mmap(fd, size))
refused(lambda: mmap.mmap(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), size))
"""
    arguments = [sys.executable, "-c", code, str(arena.descriptor), str(arena.size)]
    assert subprocess.run(arguments, pass_fds=(arena.descriptor,), check=False).returncode == 0
    arena.memory[:5] = b"still"


def test_two_slots_even_where_the_budget_holds_none() -> None:
    assert make_arena(3 * 2**20, 100, 2**20).slots == 2


def test_the_feed_keeps_to_its_window_and_order(tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / f"{number:02d}.png", number, (10 + number, 10))
    images = list_images(tmp_path)
    arena = make_arena(max(image.stored_bytes for image in images), 24, 2**24)
    maker = runner.image_maker()
    with Feed(images, arena, threads=3, window=4) as feed:
        for first in range(0, 12, 2):
            end = time.monotonic() + 10
            while not feed.ready(first, 2):
                assert time.monotonic() < end
                time.sleep(0.001)
            for number in (first, first + 1):
                entry = images[number]
                mode = runner.MODES.index(entry.mode)
                made = maker(arena.memory, *feed.place(number), mode)
                assert made.tobytes() == Image.open(entry.path).tobytes()
            time.sleep(0.01)
            # Nothing beyond the window has been started while these are held.
            assert len(feed._slots) <= 4
            feed.release(first, 2)
        with pytest.raises(KeyError):
            feed.place(0)


def test_the_log_of_a_small_output_is_complete(tmp_path: Path) -> None:
    log = ParticipantLog(tmp_path / "log")
    os.write(log.write_end, b"one\n")
    assert log.finish()
    assert (tmp_path / "log").read_bytes() == b"one\n"
    with pytest.raises(FileExistsError):
        ParticipantLog(tmp_path / "log")


def test_emptying_copes_with_what_a_hostile_model_leaves(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    deep = folder
    folder.mkdir()
    here = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(3000):
            os.mkdir("d")  # noqa: PTH102 - deeper than any path may be long
            os.chdir("d")
    finally:
        os.chdir(here)
    (folder / "closed").mkdir()
    (folder / "closed" / "file").write_text("x")
    (folder / "closed").chmod(0)
    (folder / "kept").write_text("x")
    assert empty_folder(deep, {"kept"}) == ["closed", "d"]
    assert names(folder) == ["kept"]


def test_the_model_sees_no_secrets_of_the_environment(tmp_path: Path) -> None:
    environment = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "y", "LC_ALL": "C"}
    passed = model_environment(environment | {"CUDA_VISIBLE_DEVICES": "0"}, tmp_path)
    assert {"PATH", "LC_ALL", "CUDA_VISIBLE_DEVICES"} <= set(passed)
    assert not {"AWS_SECRET_ACCESS_KEY", "HF_TOKEN"} & set(passed)
    assert passed["HOME"] == passed["TMPDIR"] == str(tmp_path)


@given(st.text())
def test_sentences_stay_on_one_printable_line(text: str) -> None:
    line = one_line(text, 100)
    assert len(line) <= 100
    assert line.isprintable()


@pytest.mark.parametrize("name", [".DS_Store", "a/__MACOSX/b", "Thumbs.db", "x/._y", ".git/config"])
def test_clutter(name: str) -> None:
    assert is_clutter(name)


@pytest.mark.parametrize("name", ["model.py", "a/b.c", "thumbs.dbx", ""])
def test_no_clutter(name: str) -> None:
    assert not is_clutter(name)


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError):
        write_atomically(path, "newer")
    assert names(tmp_path) == ["file"]
