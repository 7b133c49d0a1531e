"""What a process that Landlock restricts can open and reach."""

import subprocess
import sys
from pathlib import Path

import pytest

from mimicry.ingestion.isolation import landlock

pytestmark = pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock")

PRELUDE = """
import errno, os, socket, subprocess, sys
from pathlib import Path
from mimicry.ingestion.isolation import landlock
readable, writable, network = eval(sys.argv[1])
found = landlock.restrict(readable, writable, ["/dev/null"], network=network)

def refused(action):
    try:
        action()
    except OSError as error:
        # EXDEV: so it answers for moves and links between folders.
        assert error.errno in (errno.EACCES, errno.EPERM, errno.EXDEV), error
        return
    raise AssertionError("it was allowed")
"""


def confined(
    body: str, readable: list[str], writable: list[str] | None = None, *, network: bool = False
) -> None:
    """Run statements in a restricted process; fail with what they raise."""
    given = repr((readable, writable or [], network))
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + body, given],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("read", "write", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def test_files(folders: Path) -> None:
    confined(
        f"""
base = Path({str(folders)!r})
assert (base / "read/file").read_text() == "read"
assert os.listdir(base / "read") == ["file"]
refused(lambda: (base / "read/file").write_text("x"))
refused(lambda: (base / "read/new").touch())
refused(lambda: (base / "read/file").unlink())
for name in ("secret", "", "secret/file"):
    path = base / name
    refused(lambda: path.read_text() if path.is_file() else os.listdir(path))
refused(lambda: os.truncate(base / "secret/file", 0))
refused(lambda: os.link(base / "secret/file", base / "write/link"))
refused(lambda: (base / "secret").rename(base / "write/stolen"))
os.symlink(base / "secret/file", base / "write/link")
refused(lambda: (base / "write/link").read_text())
(base / "write/new").write_text("new")
(base / "write/sub").mkdir()
(base / "write/new").rename(base / "write/sub/new")
refused(lambda: os.mknod(base / "write/device", 0o20666, os.makedev(1, 3)))
open("/dev/null", "w").write("x")
refused(lambda: open("/dev/zero", "rb"))
refused(lambda: os.listdir("/proc/1/fd"))
""",
        [str(folders / "read")],
        [str(folders / "write")],
    )
    assert (folders / "secret/file").read_text() == "secret"


def test_what_is_started_is_restricted_too(folders: Path) -> None:
    confined(
        f"""
done = subprocess.run(["/bin/cat", {str(folders / "secret/file")!r}], capture_output=True)
assert done.returncode == 1 and not done.stdout
""",
        ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"],
    )


def test_signals_and_abstract_sockets_stay_inside() -> None:
    if landlock.version() < landlock.SIGNALS_SINCE:
        pytest.skip(f"Landlock has version {landlock.version()} here")
    confined(
        """
refused(lambda: os.kill(os.getppid(), 0))
child = os.fork()
if not child:
    import time
    time.sleep(60)
os.kill(child, 9)
os.waitpid(child, 0)
""",
        ["/usr"],
    )


def test_tcp_is_closed_unless_it_is_allowed() -> None:
    if landlock.version() < landlock.NETWORK_SINCE:
        pytest.skip(f"Landlock has version {landlock.version()} here")
    confined('refused(lambda: socket.socket().bind(("127.0.0.1", 0)))', ["/usr"])
    confined('socket.socket().bind(("127.0.0.1", 0))', ["/usr"], network=True)


def test_paths_that_are_not_there_or_are_links_stay_closed(folders: Path) -> None:
    (folders / "link").symlink_to(folders / "secret")
    confined(
        f"refused(lambda: Path({str(folders / 'secret/file')!r}).read_text())",
        [str(folders / "link"), str(folders / "not-there"), str(folders / "read/file/x")],
    )


def test_a_single_file_can_be_shown(folders: Path) -> None:
    confined(
        f"""
assert Path({str(folders / "secret/file")!r}).read_text() == "secret"
refused(lambda: os.listdir({str(folders / "secret")!r}))
""",
        [str(folders / "secret/file")],
    )
