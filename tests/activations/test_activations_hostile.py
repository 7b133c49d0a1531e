"""Custom models that do what they should not, and stores, lists and options that are odd."""

import importlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from activations_store_helpers import numbers, plan, write_images, write_models
from click.testing import CliRunner
from PIL import Image

from mimicry.activations import custom_code
from mimicry.activations.entries import ModelEntry, Preprocess
from mimicry.activations.extract import Settings
from mimicry.activations.extraction import extract_activations
from mimicry.activations.feed import decode
from mimicry.activations.models import load_model
from mimicry.activations.stimuli import read_catalogue
from mimicry.activations.store import open_writer
from mimicry.cli import cli, main
from mimicry.errors import BundleError

SETTINGS = Settings(device="cpu", batch_size=8, workers=1, threads=1)
ONE = [("test_resnet", 1, "global_pool", "flatten")]


def custom(point):
    shape = Preprocess(resize=8, crop=8, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bicubic")
    return ModelEntry(
        model_name="own",
        source="custom",
        weights="random:1",
        layer="",
        pooling="flatten",
        preprocess=shape,
        model_parameters={},
        entry_point=point,
    )


NET = "import torch\nclass Net(torch.nn.Flatten):\n    pass\ndef net():\n    return Net()\n"


def code_of(root, point="own.py:net"):
    return load_model(custom(point), root=root).code_sha256


def registry_with(folder, body, names=("own",), models=ONE):
    """Write a registry whose first models compute `body` for images that are not black."""
    path = write_models(folder / "registry.json", models)
    indented = "".join(f"            {line}\n" for line in body.splitlines())
    (folder / "own.py").write_text(
        "import os, sys, time, torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        f"        if x.std():\n{indented}"
        "        return x.flatten(1)\n"
        "def net():\n"
        "    return Net()\n"
    )
    first, *rest = json.loads(path.read_text())
    own = {"source": "custom", "entry_point": "own.py:net", "layer": ""}
    entries = [first | own | {"model_name": name} for name in names]
    path.write_text(json.dumps([*entries, first, *rest]))
    return path


def states(registry, tmp_path, processes=1):
    images = write_images(tmp_path / "images", count=4)
    done = extract_activations(
        registry,
        [("val", images)],
        tmp_path / "store",
        settings=SETTINGS,
        processes=processes,
        progress=False,
    )
    return {outcome.label.split()[0]: outcome.code for outcome in done.outcomes}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.05)
    return condition()


def write_file_entry(root, helper="x = 1\n", extra=""):
    root.mkdir(exist_ok=True)
    (root / "own.py").write_text(
        "import importlib.util, pathlib\n"
        "place = pathlib.Path(__file__).with_name('helper_of_own.py')\n"
        "spec = importlib.util.spec_from_file_location('h', place)\n"
        "helper = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(helper)\n" + NET + extra
    )
    (root / "helper_of_own.py").write_text(helper)
    (root / "stranger.py").write_text("raise SystemExit\n")
    return root


def test_the_fingerprint_of_a_file_covers_what_it_imports_from_beside_it(tmp_path):
    first = code_of(write_file_entry(tmp_path / "a"))
    assert first == code_of(write_file_entry(tmp_path / "b"))
    assert first != code_of(write_file_entry(tmp_path / "c", helper="x = 2\n"))
    assert first != code_of(write_file_entry(tmp_path / "d", extra="# more\n"))
    # Nobody imports this one.
    unrelated = write_file_entry(tmp_path / "e")
    (unrelated / "stranger.py").write_text("print()\n")
    assert first == code_of(unrelated)


def test_the_fingerprint_covers_imports_by_way_of_others_and_inside_functions(tmp_path):
    def write(name, deepest):
        root = tmp_path / name
        (root / "parts").mkdir(parents=True)
        (root / "own.py").write_text(NET + "def later():\n    from parts import one\n")
        (root / "parts" / "__init__.py").write_text("")
        (root / "parts" / "one.py").write_text("from . import two\n")
        (root / "parts" / "two.py").write_text(deepest)
        return code_of(root)

    assert write("a", "x = 1\n") == write("b", "x = 1\n") != write("c", "x = 2\n")


def test_the_fingerprint_of_a_package_covers_all_of_it(tmp_path, monkeypatch):
    def write(name, helper, package="hostile_package", most=custom_code.MOST_FILES):
        monkeypatch.setattr(custom_code, "MOST_FILES", most)
        folder = tmp_path / name / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "nets.py").write_text(NET)
        (folder / "helper.py").write_text(helper)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / name))
            importlib.invalidate_caches()
            for module in [one for one in sys.modules if one.split(".")[0] == package]:
                del sys.modules[module]
            return code_of(tmp_path, f"{package}.nets:net")

    assert write("a", "x = 1\n") == write("b", "x = 1\n") != write("c", "x = 2\n")
    # One that is too large to read: the module's file alone.
    assert write("d", "x = 1\n", most=2) == write("e", "x = 2\n", most=2)
    assert code_of(tmp_path, "torch.nn:Flatten") == code_of(tmp_path, "torch.nn:Flatten")


def test_edited_code_is_not_counted_as_complete(tmp_path):
    # In processes of their own, as two commands are.
    root = write_file_entry(tmp_path / "root")
    script = (
        "import sys; from test_activations_hostile import code_of; from pathlib import Path\n"
        "print(code_of(Path(sys.argv[1])))"
    )

    def told():
        done = subprocess.run(
            [sys.executable, "-c", script, str(root)],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    before = told()
    (root / "helper_of_own.py").write_text("x = 3\n")
    assert told() != before


@pytest.mark.parametrize("body", ["sys.exit(3)", "raise GeneratorExit"])
def test_a_model_that_leaves_fails_alone(tmp_path, body):
    assert states(registry_with(tmp_path, body), tmp_path) == {
        "own": "model-failed",
        "test_resnet": "",
    }


def test_a_model_file_that_leaves_fails_each_of_its_models(tmp_path):
    registry = registry_with(tmp_path, "pass", names=("own", "two"))
    with (tmp_path / "own.py").open("a") as file:
        file.write("sys.exit()\n")
    assert states(registry, tmp_path) == {
        "own": "model-failed",
        "two": "model-failed",
        "test_resnet": "",
    }


def test_a_time_limit_of_slurm_is_not_the_models_fault(tmp_path, monkeypatch):
    from mimicry.activations import extract

    code = compile("def leave(*a, **k):\n    raise SystemExit(-1)", "submitit", "exec")
    space = {"__name__": "submitit.core.job_environment"}
    exec(code, space)
    monkeypatch.setattr(extract, "_extracted", space["leave"])
    with pytest.raises(SystemExit):
        states(registry_with(tmp_path, "pass"), tmp_path)


def test_only_a_broken_pipe_ends_as_one(monkeypatch, capsys):
    def leave(*arguments, **options):
        sys.exit(5)

    monkeypatch.setattr(cli, "invoke", leave)
    assert main(["demo"]) == 1
    assert "sys.exit(5)" in capsys.readouterr().err

    def broken(*arguments, **options):
        raise BrokenPipeError(32, "Broken pipe")

    # Click puts wrappers around the streams then.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(cli, "invoke", broken)
    assert main(["demo"]) == 141


def test_a_worker_keeps_its_channels_to_itself(tmp_path):
    body = "sys.stdin.read()\nprint('{}')\nos.write(1, b'no json')"
    registry = registry_with(tmp_path, body, names=("own", "two", "three"))
    found = states(registry, tmp_path, processes=2)
    assert found == {"own": "", "two": "", "three": "", "test_resnet": ""}


def test_what_a_model_forks_ends_with_its_worker(tmp_path):
    note = tmp_path / "pids"
    body = (
        "pid = os.fork()\n"
        "if not pid:\n"
        "    time.sleep(300)\n"
        "    os._exit(0)\n"
        f"open({str(note)!r}, 'a').write(f'{{pid}}\\n')\n"
        "os.kill(os.getpid(), 9)"
    )
    began = time.monotonic()
    found = states(registry_with(tmp_path, body), tmp_path, processes=2)
    assert found == {"own": "worker-died", "test_resnet": ""}
    assert time.monotonic() - began < 200
    (pid,) = map(int, note.read_text().split())
    assert wait_for(lambda: not alive(pid), 10)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_forked_child_that_comes_back_takes_no_part(tmp_path, processes):
    registry = registry_with(tmp_path, "os.fork()")
    images = write_images(tmp_path / "images", count=4)
    command = [
        *(sys.executable, "-m", "mimicry.cli", "activations", "extract", str(registry)),
        *("--stimuli", f"val={images}", "--store", str(tmp_path / "store")),
        *("--device", "cpu", "--threads", "1", "--processes", str(processes)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 written") == 1


def test_workers_end_when_their_parent_is_killed(tmp_path):
    note = tmp_path / "pids"
    body = f"open({str(note)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(300)"
    registry = registry_with(tmp_path, body, names=("own", "two"))
    images = write_images(tmp_path / "images", count=4)
    command = [
        *(sys.executable, "-m", "mimicry.cli", "activations", "extract", str(registry)),
        *("--stimuli", f"val={images}", "--store", str(tmp_path / "store")),
        *("--device", "cpu", "--threads", "1", "--processes", "2"),
    ]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_for(lambda: note.exists() and len(note.read_text().split()) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    pids = [int(line) for line in note.read_text().split()]
    assert wait_for(lambda: not any(alive(pid) for pid in pids), 10)


@pytest.mark.parametrize(
    ("command", "phrase"),
    [
        (["activations", "extract", "{r}", "--shard", "१/२"], "is not I/N"),
        (["activations", "extract", "{r}", "--slurm-wait", "nan"], "no finite number"),
        (["activations", "extract", "{r}", "--slurm-memory", "inf"], "no finite number"),
        (["realign", "build", "blue", "{r}", "--search-seconds", "nan"], "no finite number"),
        (["realign", "search", "blue", "--seconds", "inf"], "no finite number"),
        (["realign", "search", "red", "{r}", "--seconds", "nan"], "no finite number"),
        (["run", "{r}", "--cpus", "nan"], "no finite number"),
    ],
)
def test_odd_numbers_are_wrong_usage(tmp_path, command, phrase):
    done = CliRunner().invoke(cli, [word.format(r=tmp_path) for word in command])
    assert done.exit_code == 2
    assert phrase in done.output


def test_a_sentence_on_an_image_holds_no_object_of_ours(monkeypatch):
    with pytest.raises(BundleError, match="it is none of JPEG, PNG") as raised:
        decode(b"GIF8 no image", "a.png")
    assert "0x" not in str(raised.value) and "BytesIO" not in str(raised.value)
    data = io.BytesIO()
    Image.new("L", (64, 64)).save(data, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 16)
    with pytest.raises(BundleError, match="DecompressionBombError") as raised:
        decode(data.getvalue(), "a.png")
    assert raised.value.code == "stimulus-undecodable"


@pytest.mark.parametrize("key", ["dataset_name", "image_identifier", "class_name"])
def test_half_a_character_in_a_catalogue_is_refused(tmp_path, key):
    row = {"dataset_name": "d", "image_identifier": "i", "sha256": "0" * 64, "size": 1}
    path = tmp_path / "stimuli.jsonl"
    path.write_text(json.dumps(row | {key: "\ud800"}) + "\n")
    with pytest.raises(BundleError, match=r"line 1: .*surrogate") as raised:
        read_catalogue(path)
    assert raised.value.code == "catalogue-row"


@pytest.mark.parametrize("restart", [False, True])
def test_a_stray_folder_in_a_cache_is_removed(tmp_path, restart):
    own = plan(rows=8)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    stray = own.folder(tmp_path) / "stray"
    (stray / "deep").mkdir(parents=True)
    (stray.parent / "link").symlink_to(kept)
    with open_writer(tmp_path, own, restart=restart) as writer:
        writer.write(0, numbers(0, 8))
        writer.finish()
    assert not stray.exists() and writer.complete
    assert (kept / "file").exists()


def test_nothing_is_built_from_a_damaged_store(tmp_path):
    from mimicry.realign.stored import stored_models

    registry = write_models(tmp_path / "registry.json", ONE)
    assert states(registry, tmp_path) == {"test_resnet": ""}
    (shard,) = (tmp_path / "store").glob("*/*/shard-*")
    assert len(stored_models(shard.parent.parent, None)) == 1
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256") as raised:
        stored_models(shard.parent.parent, None)
    assert raised.value.code == "activations-damaged"
