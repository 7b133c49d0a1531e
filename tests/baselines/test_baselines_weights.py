"""Where a baseline's weights come from: four places in their order, and what is refused."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from baselines_helpers import FILES, change_settings, modules_of

REPO = "mimicry/small"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG, WEIGHTS = FILES["timm"]

Copy = Callable[[str], Path]


@pytest.fixture
def places(submission: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """The four places, each of them with weights; a place is a folder that can be removed."""
    from huggingface_hub import constants

    folder = submission("DINO_SGD")
    settings = change_settings(folder, hub={"repo": REPO, "revision": "main"})
    own = folder / "backbone"
    container = tmp_path / "opt" / settings["name"]
    worker = tmp_path / "app" / settings["name"]
    repository = tmp_path / "hub-cache" / f"models--{REPO.replace('/', '--')}"
    cache = repository / "snapshots" / COMMIT
    for place in (container, worker, cache):
        shutil.copytree(own, place)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    with modules_of(folder) as modules:
        found = modules["find_weights"]
        monkeypatch.setattr(found, "CONTAINER", tmp_path / "opt")
        monkeypatch.setattr(found, "WORKER", tmp_path / "app")
        yield {
            "find": lambda: found.find_weights(folder, settings, CONFIG),
            "settings": settings,
            "error": found.WeightsError,
            "folders": {
                "backbone/": own,
                str(container): container,
                "the Hugging Face cache": cache,
                str(worker): worker,
            },
        }


def test_the_first_place_that_has_them_counts_and_is_named(places, capsys):
    for name, folder in places["folders"].items():
        assert places["find"]() == folder
        assert capsys.readouterr().out == f"weights of small: {name}, {WEIGHTS}\n"
        shutil.rmtree(folder)
    with pytest.raises(places["error"]):
        places["find"]()


@pytest.mark.parametrize("number", range(4))
def test_other_weights_than_the_heads_are_refused_and_no_next_place_is_tried(places, number):
    folders = list(places["folders"].values())
    for folder in folders[:number]:
        shutil.rmtree(folder)
    path = folders[number] / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(places["error"], match="the head was trained on other weights"):
        places["find"]()


def test_without_a_fingerprint_any_weights_do(places):
    places["settings"]["weights_sha256"] = None
    (places["folders"]["backbone/"] / WEIGHTS).write_bytes(b"any")
    assert places["find"]() == places["folders"]["backbone/"]


@pytest.mark.parametrize("lost", [CONFIG, WEIGHTS])
def test_half_a_folder_is_refused(places, lost):
    (places["folders"]["backbone/"] / lost).unlink()
    with pytest.raises(places["error"], match=f"^backbone/ has .* but no {lost};"):
        places["find"]()


@pytest.mark.parametrize("lost", [CONFIG, WEIGHTS])
def test_half_a_download_is_no_place(places, lost):
    folders = list(places["folders"].values())
    for folder in folders[:2]:
        shutil.rmtree(folder)
    (folders[2] / lost).unlink()
    assert places["find"]() == folders[3]


def test_a_closed_place_is_passed_over(places, monkeypatch):
    closed = places["folders"]["backbone/"]
    is_file = Path.is_file

    def refuse(path: Path) -> bool:
        if path.parent == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert places["find"]() != closed


@pytest.mark.parametrize("fingerprint", [True, False])
def test_a_closed_file_is_passed_over_and_told(places, monkeypatch, fingerprint):
    folders = list(places["folders"].values())
    closed = folders[0] / WEIGHTS
    if not fingerprint:
        places["settings"]["weights_sha256"] = None
    opened = Path.open

    def refuse(path: Path, *arguments: object, **named: object) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    assert places["find"]() == folders[1]
    for folder in folders[1:]:
        shutil.rmtree(folder)
    with pytest.raises(places["error"]) as caught:
        places["find"]()
    assert "Looked in backbone/ (Permission denied), " in str(caught.value)


def test_without_any_hub_only_the_folders_are_looked_at(places):
    places["settings"]["hub"] = None
    folders = list(places["folders"].values())
    for folder in (folders[0], folders[1], folders[3]):
        shutil.rmtree(folder)
    with pytest.raises(places["error"]) as caught:
        places["find"]()
    sentence = str(caught.value)
    assert sentence.startswith(f"no weights: put {CONFIG} and {WEIGHTS} of the network")
    assert "the hub" not in sentence and "Hugging" not in sentence


# Run as a program, since the library reads its surroundings when it is imported.
SCRIPT = """
import json, sys
from pathlib import Path
import find_weights
settings = json.loads(Path("settings.json").read_text())
find_weights.PATIENCE = float(sys.argv[1])
find_weights.CONTAINER = find_weights.WORKER = Path("nowhere")
try:
    print(find_weights.find_weights(Path(), settings, "config.json"))
except find_weights.WeightsError as error:
    print("WeightsError:", error)
"""


def ask_the_hub(folder: Path, endpoint: str, patience: float = 20, **more: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(patience)],
        cwd=folder,
        env={**environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks a hub for, of one repository with the files of a folder."""

    files: Path

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        match = re.fullmatch(rf"/{REPO}/resolve/(main|{COMMIT})/([a-z._]+)", self.path)
        path = self.files / match[2] if match else None
        if path is None or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{len(data)}-{path.name}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(backbones: dict[str, Path]) -> Iterator[str]:
    handler = type("Handler", (Hub,), {"files": backbones["timm"]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def bare(submission: Copy) -> Path:
    """A submission without weights that knows a hub."""
    folder = submission("DINO_SGD")
    shutil.rmtree(folder / "backbone")
    change_settings(folder, hub={"repo": REPO, "revision": "main"})
    return folder


def test_the_hub_comes_last_and_fills_the_cache(bare, hub, backbones):
    first = ask_the_hub(bare, hub)
    assert first[0] == f"weights of small: the hub, {WEIGHTS}"
    folder = Path(first[1])
    for name in (CONFIG, WEIGHTS):
        assert (folder / name).read_bytes() == (backbones["timm"] / name).read_bytes()
    nobody = f"http://127.0.0.1:{unused_port()}"
    again = ask_the_hub(bare, nobody)
    assert again == [f"weights of small: the Hugging Face cache, {WEIGHTS}", str(folder)]


def test_a_cache_that_cannot_be_written_does_not_stop_the_download(bare, hub):
    temporary = bare / "tmp"
    temporary.mkdir()
    lines = ask_the_hub(bare, hub, HF_HUB_CACHE="/proc/nowhere", TMPDIR=str(temporary))
    assert lines[0] == f"weights of small: the hub, {WEIGHTS}"
    assert Path(lines[1]).is_relative_to(temporary)


def test_other_weights_on_the_hub_are_refused(bare, hub):
    change_settings(bare, weights_sha256="0" * 64)
    (line,) = ask_the_hub(bare, hub)
    assert "trained on other weights than model.safetensors in the hub" in line


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def the_remedy(sentence: str) -> None:
    """The sentence names command and places, within what the platform shows of one."""
    command = f"hf download {REPO} {CONFIG} {WEIGHTS} --local-dir backbone"
    assert command in sentence[:300]
    for place in ("backbone/", "nowhere/small", "the Hugging Face cache", "the hub ("):
        assert place in sentence


def test_without_a_network_the_error_comes_at_once_and_names_the_remedy(bare):
    begun = time.monotonic()
    (line,) = ask_the_hub(bare, f"http://127.0.0.1:{unused_port()}")
    assert time.monotonic() - begun < 10
    the_remedy(line)
    assert line.endswith("the hub (ConnectError)")


def test_a_network_that_swallows_everything_is_given_up(bare):
    with socket.create_server(("127.0.0.1", 0)) as server:
        (line,) = ask_the_hub(bare, f"http://127.0.0.1:{server.getsockname()[1]}", patience=2)
    the_remedy(line)
    assert line.endswith("the hub (ReadTimeout)")


@pytest.mark.parametrize(
    ("status", "word"), [(403, "it answered 403"), (200, "what answered is no hub")]
)
def test_a_proxy_in_place_of_the_hub_is_told(bare, status, word):
    class Proxy(Hub):
        def answer(self, *, with_body: bool) -> None:
            page = b"<html>Not from here.</html>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if with_body:
                self.wfile.write(page)

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (line,) = ask_the_hub(bare, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    the_remedy(line)
    assert line.endswith(f"the hub ({word})")


def test_an_unknown_repository_is_told(bare, hub):
    change_settings(bare, hub={"repo": "mimicry/other", "revision": "main"})
    (line,) = ask_the_hub(bare, hub)
    assert "the hub (RepositoryNotFoundError)" in line


def test_a_revision_is_part_of_the_command(bare):
    change_settings(bare, hub={"repo": REPO, "revision": COMMIT})
    (line,) = ask_the_hub(bare, "http://127.0.0.1:1", HF_HUB_OFFLINE="1")
    assert f"--revision {COMMIT} --local-dir backbone`" in line[:300]
