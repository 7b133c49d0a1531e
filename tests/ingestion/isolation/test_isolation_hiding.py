"""Input images out of sight, and back whatever happens."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mimicry.errors import BundleError
from mimicry.ingestion.isolation.hiding import closed, hidden_input


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "input"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", ".DS_Store"):
        (folder / name).write_text(name)
    (folder / "sub").mkdir()
    return folder


def listed(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


ALL = [".DS_Store", "a.jpg", "b.jpg", "sub"]


def test_moved_and_brought_back(folder: Path) -> None:
    with hidden_input(folder, own=True) as hidden:
        assert hidden.problem is None
        assert listed(hidden.folder) == ALL
        assert not (folder / "a.jpg").exists()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o111
        assert len(hidden.folder.name) > 32
    assert listed(folder) == ALL
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_names_differ_from_run_to_run(folder: Path) -> None:
    seen = set()
    for _ in range(3):
        with hidden_input(folder, own=True) as hidden:
            seen.add(hidden.folder)
    assert len(seen) == 3


def test_brought_back_after_an_error(folder: Path) -> None:
    with pytest.raises(KeyError), hidden_input(folder, own=True):
        raise KeyError
    assert listed(folder) == ALL


def test_somebodys_own_files_are_left_alone(folder: Path) -> None:
    with hidden_input(folder, own=False) as hidden:
        assert hidden.folder == folder
        assert hidden.problem is not None
        assert listed(folder) == ALL


def test_a_missing_folder_is_told_by_whoever_reads_it(tmp_path: Path) -> None:
    with hidden_input(tmp_path / "nothing", own=True) as hidden:
        assert hidden.problem is not None


HOLD = """
import sys, time
from pathlib import Path
from mimicry.ingestion.isolation.hiding import hidden_input
with hidden_input(Path(sys.argv[1]), own=True):
    print("hidden", flush=True)
    time.sleep(300)
"""


def test_after_a_kill_the_next_run_brings_all_back(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"hidden\n"
        with pytest.raises(BundleError, match="input-busy"), hidden_input(folder, own=True):
            pass
        holder.send_signal(signal.SIGKILL)
    with hidden_input(folder, own=False):
        assert listed(folder) == ALL
    with hidden_input(folder, own=True) as hidden:
        assert listed(hidden.folder) == ALL


@pytest.mark.parametrize("after", [0.0, 0.002, 0.01])
def test_killed_while_it_moves(tmp_path: Path, after: float) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    names = [f"{number:05d}.jpg" for number in range(3000)]
    for name in names:
        (folder / name).touch()
    script = HOLD.replace("with hidden", 'print("ready", flush=True)\nwith hidden')
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        time.sleep(after)
        holder.kill()
    with hidden_input(folder, own=True) as hidden:
        assert listed(hidden.folder) == names
    assert listed(folder) == names


def test_a_planted_link_of_that_name_is_not_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (folder / (".mimicry-hidden-" + "0" * 32)).symlink_to(elsewhere)
    with hidden_input(folder, own=True):
        assert listed(elsewhere) == ["file"]


def test_closed_folders_are_opened_again(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o750)
    with closed([folder, other]):
        assert stat.S_IMODE(other.stat().st_mode) == 0
    with pytest.raises(KeyError), closed([folder, other]):
        raise KeyError
    assert stat.S_IMODE(other.stat().st_mode) == 0o750
    assert os.access(folder, os.W_OK)


PLANTED = ".mimicry-hidden-" + "0" * 32


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", ["a.jpg", "sub"])
def test_planted_images_replace_nothing(folder: Path, name: str, own: bool) -> None:
    (folder / PLANTED).mkdir()
    (folder / PLANTED / name).write_text("planted")
    with pytest.raises(BundleError, match="input-folder"), hidden_input(folder, own=own):
        pass
    assert (folder / "a.jpg").read_text() == "a.jpg"


def test_what_is_put_in_the_way_meanwhile_does_not_stop_the_end(folder: Path) -> None:
    with hidden_input(folder, own=True):
        (folder / "a.jpg").write_text("planted")
        (folder / "b.jpg").mkdir()
    assert (folder / "a.jpg").read_text() == "a.jpg"


CLOSED = """
import os, sys
from pathlib import Path
from mimicry.errors import BundleError
from mimicry.ingestion.isolation.confine import _give_up_capabilities
from mimicry.ingestion.isolation.hiding import hidden_input
_give_up_capabilities()
folder, own = Path(sys.argv[1]), sys.argv[2] == "own"
try:
    with hidden_input(folder, own=own) as hidden:
        print(len(list(hidden.folder.iterdir())))
except BundleError as error:
    print(error.code)
"""


@pytest.mark.parametrize(("whose", "said"), [("own", "4"), ("theirs", "input-folder")])
def test_a_closed_folder(folder: Path, whose: str, said: str) -> None:
    """As a submission's own command may leave it, or the caller has it."""
    folder.chmod(0)
    command = [sys.executable, "-c", CLOSED, str(folder), whose]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert done.stdout.strip() == said, done.stderr


def test_a_closed_folder_inside_is_told(folder: Path) -> None:
    (folder / PLANTED).mkdir()
    (folder / PLANTED).chmod(0)
    command = [sys.executable, "-c", CLOSED, str(folder), "own"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (folder / PLANTED).chmod(0o755)
    assert done.stdout.strip() == "input-folder", done.stderr
