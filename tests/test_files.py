"""What is written where a person names the place."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mimicry.files import UnusableFile, read_regular_file, write_output


def test_a_file_and_what_a_link_leads_to_are_replaced(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    write_output(file, "one")
    assert file.read_text() == "one"
    link.symlink_to(file)
    write_output(link, b"two")
    assert link.is_symlink() and file.read_text() == "two"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "new")
    write_output(dangling, "three")
    assert dangling.is_symlink() and (tmp_path / "new").read_text() == "three"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_output(pipe, "through")
    reader.join(10)
    assert read == ["through"] and pipe.is_fifo()


def test_the_terminal_is_written_to(tmp_path: Path) -> None:
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    script = (
        "import sys; from pathlib import Path; from mimicry.files import write_output; "
        "write_output(Path(sys.argv[1]), 'said')"
    )
    command = [sys.executable, "-c", script, str(link)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "said", "")
    assert link.is_symlink()


def test_a_name_that_is_too_long_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="cannot be opened"):
        read_regular_file(tmp_path / ("x" * 300), 10)
