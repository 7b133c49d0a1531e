"""Downloads of a real HTTP server: checked, resumed, patient, and honest about failures."""

import hashlib
import importlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from mimicry.errors import SubmissionError

ROOT = Path(__file__).resolve().parents[2]
BODIES = {f"{name}.jpg": f"image {name}".encode() * 500 for name in "abcdefgh"}


class Archive(BaseHTTPRequestHandler):
    """Serves `BODIES`; a plan says what goes wrong with a file, time after time."""

    plan: dict[str, list[object]]
    asked: Counter[str]
    at_once: list[int]
    lock = threading.Lock()

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        with self.lock:
            self.asked[name] += 1
            self.at_once.append(self.at_once[-1] + 1)
            steps = self.plan.get(name, [])
            step = steps.pop(0) if len(steps) > 1 else (steps or [200])[0]
        try:
            self.answer(name, step)
        finally:
            with self.lock:
                self.at_once.append(self.at_once[-1] - 1)

    def answer(self, name: str, step: object) -> None:
        body = BODIES[name]
        if step == "slow":
            time.sleep(0.05)
        if step == "other":
            body = b"another file"
        if step in ("loop", "nowhere", "file"):
            self.send_response(302)
            to = {"loop": self.path, "nowhere": "http://[::1/x", "file": "file:///etc/passwd"}
            self.send_header("Location", to[str(step)])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if step in ("endless", "drip"):
            self.send_response(200)
            self.end_headers()
            piece = b"z" * 100_000 if step == "endless" else b"z"
            # The end comes when the other side hangs up.
            with suppress(OSError):
                for _ in range(500):
                    self.wfile.write(piece)
                    time.sleep(0 if step == "endless" else 0.02)
            return
        self.send_response(step if isinstance(step, int) else 200)
        if step == "zipped":
            self.send_header("Content-Encoding", "gzip")
        if step == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if step == "cut" else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    module = importlib.import_module("download")
    # Pooch waits a second after the first failure, two after the second.
    monkeypatch.setattr(module, "RETRIES", 1)
    return module


@pytest.fixture
def archive() -> Iterator[SimpleNamespace]:
    handler = type("Handler", (Archive,), {"plan": {}, "asked": Counter(), "at_once": [0]})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield SimpleNamespace(
        plan=handler.plan,
        asked=handler.asked,
        at_once=handler.at_once,
        address=f"http://127.0.0.1:{server.server_port}/files",
    )
    server.shutdown()
    thread.join()
    server.server_close()


def rows(download: ModuleType, address: str, names: str = "abcd") -> list[object]:
    return [
        download.Row(
            f"{name}.jpg",
            index % 2 == 0,
            -1 if index % 2 == 0 else 3,
            "8 x 9" if index % 2 == 0 else "",
            f"{address}/{name}.jpg",
            hashlib.md5(BODIES[f"{name}.jpg"], usedforsecurity=False).hexdigest(),
        )
        for index, name in enumerate(names)
    ]


def fetch(download: ModuleType, table: list[object], folder: Path, **options: object):
    lines: list[str] = []
    done = download.download_images(table, folder, report=lines.append, quiet=True, **options)
    return done, lines


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_images_come_into_the_challenges_folders_and_only_once(download, archive, tmp_path):
    table = rows(download, archive.address)
    done, lines = fetch(download, table, tmp_path / "IMAGES")
    assert done == (0, 4, ()) and lines == []
    assert files(tmp_path / "IMAGES") == {
        "hybrid/a.jpg": BODIES["a.jpg"],
        "non-hybrid/b.jpg": BODIES["b.jpg"],
        "hybrid/c.jpg": BODIES["c.jpg"],
        "non-hybrid/d.jpg": BODIES["d.jpg"],
    }
    again, _ = fetch(download, table, tmp_path / "IMAGES")
    assert again == (4, 0, ())
    assert archive.asked == dict.fromkeys(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], 1)


def test_only_what_is_missing_or_damaged_is_downloaded(download, archive, tmp_path):
    table = rows(download, archive.address)
    fetch(download, table, tmp_path)
    (tmp_path / "hybrid" / "a.jpg").unlink()
    (tmp_path / "non-hybrid" / "b.jpg").write_bytes(b"damaged")
    archive.asked.clear()
    done, _ = fetch(download, table, tmp_path)
    assert done == (2, 2, ()) and archive.asked == {"a.jpg": 1, "b.jpg": 1}
    assert (tmp_path / "non-hybrid" / "b.jpg").read_bytes() == BODIES["b.jpg"]


def test_a_folder_without_others_is_kept_as_it_is(download, archive, tmp_path):
    table = rows(download, archive.address)
    (tmp_path / "a.jpg").write_bytes(BODIES["a.jpg"])
    (tmp_path / "b.jpg").write_bytes(b"damaged")
    done, _ = fetch(download, table, tmp_path)
    assert done == (1, 3, ())
    assert set(files(tmp_path)) == {"a.jpg", "b.jpg", "hybrid/c.jpg", "non-hybrid/d.jpg"}
    assert (tmp_path / "b.jpg").read_bytes() == BODIES["b.jpg"]


def test_what_an_interruption_left_is_no_image_and_goes_away(download, archive, tmp_path):
    (tmp_path / ".incoming" / "tmpabcdefgh").mkdir(parents=True)
    (tmp_path / ".incoming" / "tmp12345678").write_bytes(b"half an ima")
    (tmp_path / ".incoming" / "tmpabcdefgh" / "a.jpg").write_bytes(b"half an ima")
    done, _ = fetch(download, rows(download, archive.address), tmp_path)
    assert done == (0, 4, ())
    assert not (tmp_path / ".incoming").exists()
    assert set(files(tmp_path)) == {"hybrid/a.jpg", "non-hybrid/b.jpg", "hybrid/c.jpg"} | {
        "non-hybrid/d.jpg"
    }


def test_what_passes_is_tried_again(download, archive, tmp_path):
    archive.plan.update({"a.jpg": [500, 200], "b.jpg": ["cut", 200], "c.jpg": ["other", 200]})
    done, lines = fetch(download, rows(download, archive.address), tmp_path)
    assert done == (0, 4, ()) and lines == []
    assert files(tmp_path)["non-hybrid/b.jpg"] == BODIES["b.jpg"]


def test_a_busy_server_is_waited_for(download, archive, tmp_path):
    archive.plan["a.jpg"] = [429, 429, 429, 200]
    began = time.monotonic()
    done, _ = fetch(download, rows(download, archive.address, "a"), tmp_path)
    # More often than what fails is tried again, and as long as the server says.
    assert done == (0, 1, ()) and time.monotonic() - began > 2.9
    assert archive.asked["a.jpg"] == 4


def test_what_stays_wrong_is_told_and_leaves_nothing(download, archive, tmp_path):
    archive.plan.update({"a.jpg": ["other"], "b.jpg": ["cut"], "c.jpg": [404]})
    done, lines = fetch(download, rows(download, archive.address), tmp_path)
    assert (done.kept, done.fetched) == (0, 1)
    assert [failure.row.filename for failure in done.failures] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "MD5" in done.failures[0].reason
    assert "connection" in done.failures[1].reason
    assert done.failures[2].reason == "the server answers 404"
    assert len(lines) == 3 and all(archive.address in line for line in lines)
    assert set(files(tmp_path)) == {"non-hybrid/d.jpg"}
    # An answer that no further try would change is asked for once.
    assert archive.asked == {"a.jpg": 2, "b.jpg": 2, "c.jpg": 1, "d.jpg": 1}
    with pytest.raises(SubmissionError) as caught:
        done.check()
    assert caught.value.code == "images-incomplete"
    assert "3 of 4 images" in caught.value.sentence and "same command" in caught.value.sentence


def test_without_a_network_it_soon_gives_up(download, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "HOPELESS", 2)
    monkeypatch.setattr(download, "RETRIES", 0)
    # Nothing listens there.
    done, _ = fetch(download, rows(download, "http://127.0.0.1:9", "abcdefgh"), tmp_path, threads=1)
    assert len(done.failures) == 8
    assert done.failures[0].reason == "no connection"
    assert "not tried" in done.failures[-1].reason


def test_several_are_downloaded_at_once_but_not_many(download, archive, tmp_path):
    archive.plan.update({name: ["slow"] for name in BODIES})
    done, _ = fetch(download, rows(download, archive.address, "abcdefgh"), tmp_path, threads=3)
    assert done.fetched == 8 and 2 <= max(archive.at_once) <= 3


def test_a_row_without_an_address_is_refused(download, archive, tmp_path):
    table = rows(download, archive.address)
    for field in ("url", "md5"):
        with pytest.raises(SubmissionError) as caught:
            fetch(download, [*table, table[0]._replace(**{field: None})], tmp_path)
        assert caught.value.code == "table-no-address"
    assert not files(tmp_path)


def test_two_downloads_into_one_folder_leave_each_other_alone(download, archive, tmp_path):
    """The first to end must not take along what the other is about to write."""
    archive.plan.update({name: ["slow"] for name in BODIES})
    command = [sys.executable, "-c", TWO, str(tmp_path), archive.address]
    folder = ROOT / "examples" / "training"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "begun\n"
    stranger = next((tmp_path / ".incoming").iterdir())
    done, _ = fetch(download, rows(download, archive.address, "abcd"), tmp_path)
    assert done.fetched == 4 and stranger.is_dir()
    said, _ = other.communicate(timeout=60)
    assert said == "4 0\n"
    assert set(map(len, files(tmp_path).values())) == {len(BODIES["a.jpg"])}
    assert len(files(tmp_path)) == 8 and not (tmp_path / ".incoming").exists()


TWO = """
import hashlib, sys, time
from pathlib import Path
import download
private = download._private_folder
def begun(incoming):
    made = private(incoming)
    print("begun", flush=True)
    time.sleep(1)
    return made
download._private_folder = begun
rows = [
    download.Row(f"{n}.jpg", n in "eg", 3, "", f"{sys.argv[2]}/{n}.jpg",
                 hashlib.md5(f"image {n}".encode() * 500).hexdigest())
    for n in "efgh"
]
done = download.download_images(rows, Path(sys.argv[1]), quiet=True)
print(done.fetched, len(done.failures))
"""


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("endless", "larger than 1 MB"),
        ("drip", "longer than 1 s"),
        ("loop", "redirects without end"),
        ("nowhere", "is none of the web"),
        ("file", "is none of the web"),
    ],
)
def test_no_server_holds_it_up_or_fills_the_disk(
    download, archive, tmp_path, monkeypatch, step, reason
):
    monkeypatch.setattr(download, "LARGEST_IMAGE", 1_000_000)
    monkeypatch.setattr(download, "LONGEST_IMAGE", 1.0)
    archive.plan["a.jpg"] = [step]
    began = time.monotonic()
    done, _ = fetch(download, rows(download, archive.address, "ab"), tmp_path)
    (failure,) = done.failures
    assert reason in failure.reason and time.monotonic() - began < 5
    assert set(files(tmp_path)) == {"non-hybrid/b.jpg"}


def test_the_bytes_count_not_what_the_server_calls_them(download, archive, tmp_path):
    archive.plan["a.jpg"] = ["zipped"]
    done, _ = fetch(download, rows(download, archive.address, "a"), tmp_path)
    assert done == (0, 1, ())


def test_others_may_read_the_images(download, archive, tmp_path):
    before = os.umask(0o022)
    try:
        fetch(download, rows(download, archive.address, "a"), tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "hybrid" / "a.jpg").stat().st_mode & 0o777 == 0o644


def test_a_folder_that_cannot_be_written_is_read_all_the_same(download, archive, tmp_path):
    table = rows(download, archive.address, "ab")
    fetch(download, table, tmp_path)
    # In the way of any folder, for whoever runs this.
    (tmp_path / ".incoming").write_text("")
    assert fetch(download, table, tmp_path)[0] == (2, 0, ())
    (tmp_path / "hybrid" / "a.jpg").unlink()
    done, _ = fetch(download, table, tmp_path)
    assert done.kept == 1 and "cannot be written" in done.failures[0].reason
