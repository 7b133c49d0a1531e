"""The ingestion program's walls as a whole: what is said of them, asked for, and left without."""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ingestion_helpers import GOOD_MODEL, Run, names

from mimicry.ingestion.isolation import landlock

Ingest = Callable[..., Run]
OF_A_PROCESS = ("environ", "mem", "maps", "smaps", "auxv", "io", "stack", "fd/0")
ALL = [
    *(
        "capabilities",
        "files",
        "hidden-input",
        "limits",
        "network",
        "not-dumpable",
        "out-of-memory-first",
    ),
    *("signals", "system-calls"),
]

pytestmark = pytest.mark.skipif(
    landlock.version() < landlock.SIGNALS_SINCE, reason="this kernel's Landlock is too old"
)


def line(run: Run) -> str:
    (found,) = [one for one in run.stdout.splitlines() if one.startswith("isolation of")]
    return found


def trying(*attempts: str) -> str:
    """A model that tells in its log which statements got through."""
    body = "".join(
        f"try:\n    {attempt}\n    print('GOT THROUGH', {attempt!r})\n"
        f"except OSError as error:\n    print('refused', {attempt!r}, error)\n"
        for attempt in attempts
    )
    return f"import os, socket, sys\nfrom pathlib import Path\n{body}\n{GOOD_MODEL}"


def test_all_is_active_and_said(ingest: Ingest) -> None:
    run = ingest(own=True, flags=["--require-isolation"])
    assert run.code == 0, run.stderr
    assert line(run).endswith("none is missing")
    assert sorted(run.outcome["isolation"]["active"]) == ALL
    assert run.outcome["isolation"]["missing"] == []


def test_other_processes_keep_their_own_to_themselves(ingest: Ingest) -> None:
    """Also from a model of root's, whose capabilities would open them."""
    theirs = [f"open('/proc/{os.getpid()}/{name}', 'rb').read(1)" for name in OF_A_PROCESS]
    run = ingest(
        trying(
            *theirs,
            f"os.readlink('/proc/{os.getpid()}/cwd')",
            f"os.listdir('/proc/{os.getpid()}/root')",
            f"open('/proc/{os.getpid()}/oom_score_adj', 'w')",
            "open('/proc/self/mem', 'r+b')",
            "os.setuid(12345)",
        )
        + "\nassert 'CapPrm:\\t0000000000000000' in open('/proc/self/status').read()\n"
    )
    assert run.code == 0, run.stderr
    assert run.log.count("refused") == len(theirs) + 5, run.log
    assert "GOT THROUGH" not in run.log


def test_somebodys_own_input_is_not_rearranged_and_that_is_said(ingest: Ingest) -> None:
    run = ingest()
    assert "missing: hidden-input: the input folder is no copy made for this run" in line(run)


@pytest.mark.parametrize(
    ("without", "gone"),
    [
        ("landlock", {"files", "signals"}),
        ("seccomp", {"system-calls", "network"}),
        ("landlock,seccomp", {"files", "signals", "system-calls", "network"}),
    ],
)
def test_an_older_kernel_is_told_and_can_be_refused(
    ingest: Ingest, without: str, gone: set[str]
) -> None:
    run = ingest(own=True, without=without)
    assert run.code == 0, run.stderr
    missing = run.outcome["isolation"]["missing"]
    assert {one.partition(":")[0] for one in missing} == gone
    assert all(one.partition(": ")[2] for one in missing)
    refused = ingest("raise SystemExit", own=True, without=without, flags=["--require-isolation"])
    assert refused.code == 4
    assert refused.outcome["error_code"] == "isolation-missing"
    assert all(name in refused.sentence for name in gone)
    # The model was never started.
    assert refused.outcome["load_seconds"] is None


def test_the_variable_asks_for_all_too(ingest: Ingest) -> None:
    asked = {"MIMICRY_REQUIRE_ISOLATION": "1"}
    assert ingest(environment=asked, own=True, without="landlock").code == 4


def test_images_are_out_of_sight_and_back(ingest: Ingest, images: Path) -> None:
    images = images.parent / "app/input_data"
    inside = f"Path({str(images)!r})"
    run = ingest(
        trying(
            f"os.stat({inside} / '00.jpg')",
            f"print(list({inside}.iterdir()))",
            f"print(({inside} / '00.jpg').read_bytes())",
            f"({inside} / 'new').touch()",
        ),
        own=True,
    )
    assert run.code == 0, run.stderr
    assert "GOT THROUGH" not in run.log
    assert run.log.count("refused") == 4
    assert names(images) == [f"{number:02d}.jpg" for number in range(10)]
    assert stat.S_IMODE(images.stat().st_mode) == 0o755


def test_without_landlock_the_folders_are_closed_meanwhile(ingest: Ingest, images: Path) -> None:
    output = images.parent / "app/output"
    run = ingest(
        trying(f"print(oct(Path({str(output)!r}).stat().st_mode))"),
        own=True,
        without="landlock",
    )
    assert run.code == 0, run.stderr
    assert "0o40000" in run.log
    assert stat.S_IMODE(output.stat().st_mode) == 0o755


@pytest.fixture
def server() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=lambda: listening.accept(), daemon=True).start()
        yield listening.getsockname()[1]


def test_the_network_is_closed_unless_it_is_allowed(ingest: Ingest, server: int) -> None:
    model = trying(f"socket.create_connection(('127.0.0.1', {server}), 5)")
    closed = ingest(model)
    assert "GOT THROUGH" not in closed.log
    assert "unreachable" in closed.log
    opened = ingest(model, flags=["--allow-network"])
    assert "GOT THROUGH" in opened.log
    assert "network" not in line(opened)


def test_weights_can_be_shown_and_not_written(ingest: Ingest, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/file").write_text("w")
    path = f"Path({str(tmp_path / 'weights/file')!r})"
    model = trying(f"{path}.read_text()", f"{path}.write_text('x')")
    assert "GOT THROUGH" not in ingest(model).log
    shown = ingest(model, flags=["--weights", str(tmp_path / "weights")])
    assert shown.log.count("GOT THROUGH") == 1
    assert (tmp_path / "weights/file").read_text() == "w"


def test_a_model_that_fills_the_disk_is_ended(ingest: Ingest) -> None:
    model = f"""
import os, time
from pathlib import Path
for number in range(1000):
    with open(Path.home() / str(number), "wb") as file:
        file.write(os.urandom(2**20) * 8)
        file.flush()
        os.fsync(file.fileno())
time.sleep(60)
{GOOD_MODEL}
"""
    run = ingest(model, flags=["--disk-limit", "0.1"])
    assert run.outcome["error_code"] == "disk-limit"
    assert run.code == 3
    assert names(run.output) == ["ingestion.json", "participant.log"]


def test_a_single_huge_file_is_refused(ingest: Ingest) -> None:
    run = ingest(
        trying("open(Path.home() / 'huge', 'wb').truncate(2**31)"), flags=["--disk-limit", "1"]
    )
    assert run.code == 0, run.stderr
    assert "File too large" in run.log


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "much"])
def test_a_disk_limit_is_a_size(ingest: Ingest, size: str) -> None:
    assert ingest(flags=["--disk-limit", size]).code == 2


def test_the_models_own_world_still_works(ingest: Ingest) -> None:
    """What the submissions of earlier years did."""
    run = ingest(
        f"""
import multiprocessing, os, shutil, subprocess, sys, tempfile, threading
from pathlib import Path
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
Path("cache.txt").write_text("beside model.py")
folder = Path(tempfile.mkdtemp())
shutil.copytree(Path(__file__).parent, folder / "copy")
shutil.move(folder / "copy", folder / "moved")
lock = multiprocessing.Lock()
assert subprocess.check_output([sys.executable, "-c", "print(6 * 7)"]).strip() == b"42"
thread = threading.Thread(target=list); thread.start(); thread.join()
assert os.cpu_count()
{GOOD_MODEL}
"""
    )
    assert run.code == 0, run.stderr


def test_the_supervisors_record_is_the_confining_programs_word(ingest: Ingest) -> None:
    """A model cannot add to, or take from, what is said of its walls."""
    model = f"""
import json, os, socket
for descriptor in range(3, 64):
    try:
        os.write(descriptor, json.dumps({{"files": "forged"}}).encode())
    except OSError:
        pass
{GOOD_MODEL}
"""
    run = ingest(model, own=True)
    isolation = json.dumps(run.outcome["isolation"])
    assert "forged" not in isolation
    assert sorted(run.outcome["isolation"]["active"]) == ALL
