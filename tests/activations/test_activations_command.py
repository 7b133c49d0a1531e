"""``mimicry activations`` as it is typed."""

import json
import os
import re
import time

import pytest
from activations_store_helpers import numbers, plan, write_images, write_models
from click.testing import CliRunner

from mimicry.activations.extract import Outcome
from mimicry.activations.listing import list_lines
from mimicry.activations.progress import Progress, duration
from mimicry.activations.store import open_writer
from mimicry.activations.store_sets import cache_folders
from mimicry.cli import main
from mimicry.commands.activations import activations
from mimicry.errors import BundleError


def mimicry(*arguments):
    result = CliRunner().invoke(activations, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, Exception):
        raise result.exception
    return result


def write(folder, plan):
    with open_writer(folder, plan) as writer:
        writer.write(0, numbers(0, plan.rows))
        writer.finish()


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    write_images(folder / "images", count=10)
    models = [
        ("test_resnet", 1, "global_pool", "flatten"),
        ("test_efficientnet", 3, "global_pool", "flatten"),
    ]
    write_models(folder / "registry.json", models)
    return folder


def extract(room, *more, store="store"):
    return mimicry(
        *("extract", room / "registry.json", "--stimuli", f"val={room / 'images'}"),
        *("--store", room / store, "--batch-size", 4, "--workers", 1, "--threads", 1, *more),
    )


def test_extract_list_verify(room):
    done = extract(room)
    assert done.exception is None, done.output
    assert "2 written, 0 kept, 0 failed" in done.output
    assert "10 stimuli of val, key" in done.output
    assert re.search(
        r"test_resnet \(layer global_pool\): .*10 rows of 96 numbers, .*images/s", done.output
    )
    again = extract(room, "--models", "test_res*")
    assert "0 written, 1 kept, 0 failed" in again.output
    listed = mimicry("list", room / "store")
    assert re.search(r"test_resnet\.\w+\.\w{16}  10 x 96 float32, .* complete\n", listed.output)
    (store_set,) = (room / "store").glob("[0-9a-f]*")
    assert mimicry("list", store_set).output == listed.output
    whole = mimicry("verify", room / "store")
    assert whole.exception is None and "2 caches are whole" in whole.output


def test_damage_is_told_and_mended(room):
    extract(room, store="damaged")
    (shard,) = (room / "damaged").glob("*/test_resnet*/shard-00000.npy")
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    result = mimicry("verify", room / "damaged")
    assert isinstance(result.exception, BundleError)
    assert result.exception.code == "activations-damaged"
    assert "test_efficientnet" in result.output and "whole" in result.output
    # What costs nothing to see is seen at once; the rest by `verify`.
    os.truncate(shard, 100)
    result = extract(room, store="damaged")
    assert result.exception.code == "activations-damaged" and "--restart" in result.output
    assert "1 kept, 1 failed" in result.output
    assert extract(room, "--restart", "--models", "test_resnet", store="damaged").exception is None
    assert mimicry("verify", room / "damaged").exception is None


def test_caches_under_other_conditions_are_marked(room):
    write_models(room / "registry-3.json")
    for size in (4, 4, 5):
        models = {4: "test_[re]*", 5: "test_vit"}[size]
        extract_ = mimicry(
            *("extract", room / "registry-3.json", "--stimuli", room / "images", "--workers", 1),
            *("--store", room / "mixed", "--batch-size", size, "--models", models),
        )
        assert extract_.exception is None, extract_.output
    lines = mimicry("list", room / "mixed").output.splitlines()
    assert [line.endswith(" * batch_size 5") for line in lines[1:4]] == [False, False, True]
    assert lines[4].startswith("* computed under other conditions") and len(lines) == 5


def test_a_library_version_is_compared_within_its_source(tmp_path):
    common = {"device": "cpu", "batch_size": 4, "torch": "2", "pillow": "11"}
    versions = [{"timm": "1"}] * 3 + [{"torchvision": "3"}] * 2 + [{}, {"torchvision": "4"}]
    for number, version in enumerate(versions):
        identity = {"model": {"model_name": f"m{number}", "layer": "x"}}
        write(tmp_path, plan(4, name=f"m{number}", conditions=common | version, identity=identity))
    lines = list(list_lines(cache_folders(tmp_path)))
    assert [line.marked for line in lines] == [False] * 6 + [True]
    assert lines[-1].text.endswith("complete * torchvision 4")


def test_caches_of_one_model_are_told_apart(tmp_path):
    for name, code, mean in (("a", "1" * 64, 0.5), ("a", "2" * 64, 0.5), ("b", "1" * 64, 0.5)):
        model = {"model_name": name, "layer": "x", "preprocess": {"mean": [mean] * 3}}
        write(tmp_path, plan(4, name=name, identity={"model": model | {"code_sha256": code}}))
    texts = [line.text for line in list_lines(cache_folders(tmp_path))]
    assert len(texts) == 5
    written = r", written \d{4}-\d\d-\d\d \d\d:\d\d UTC"
    found = {text for text in texts if text.startswith(" ")}
    assert {re.sub(written, "", text).strip() for text in found} == {
        f"code_sha256 {'1' * 16}",
        f"code_sha256 {'2' * 16}",
    }
    assert all(re.search(written, text) for text in found)
    model |= {"model_name": "b", "preprocess": {"mean": [0.25] * 3}}
    write(tmp_path, plan(4, name="b", identity={"model": model | {"weights_sha256": "3" * 64}}))
    texts = [line.text for line in list_lines(cache_folders(tmp_path)) if line.text[0] == " "]
    (text,) = (text for text in texts if "0.25" in text)
    assert "code_sha256 none, preprocess.mean [0.25,0.25,0.25], weights_sha256 33" in text


def test_a_missing_device_is_told_once(room):
    for more in ([], ["--processes", "2"]):
        result = extract(room, "--device", "cuda:99", *more, store="never")
        assert result.exception.code == "device-missing"
        assert "stimuli of" not in result.output
    assert not (room / "never").exists()


def test_faults_name_the_model_once(room):
    models = [("test_resnet", 1, "no_layer", "flatten"), ("test_vit", 2, "norm", "cls")]
    write_models(room / "wrong.json", models)
    command = ["extract", room / "wrong.json", "--stimuli", room / "images", "--workers", 1]
    result = mimicry(*command, "--store", room / "wrong", "--models", "test_resnet")
    assert result.exception.code == "layer-unknown"
    assert "The others" not in result.exception.sentence
    label = "test_resnet (layer no_layer): "
    assert f"{label}ResNet has no layer" in result.exception.sentence
    assert result.exception.sentence.count(label) == result.output.count(label) == 1
    both = mimicry(*command, "--store", room / "wrong")
    assert "The others are in" in both.exception.sentence


@pytest.mark.parametrize("restart", [[], ["--restart"]], ids=str)
def test_an_interrupted_extraction_says_how_to_go_on(room, monkeypatch, capsys, restart):
    def press(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mimicry.activations.extraction.extract_activations", press)
    command = ["activations", "extract", str(room / "registry.json"), "--stimuli"]
    command += [str(room / "images"), "--store", str(room / "never"), *restart]
    assert main(command) == 130
    without = " without --restart" if restart else ""
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"Interrupted. The same command{without} goes on where it stopped."


@pytest.mark.parametrize(
    "arguments",
    [
        ["--shard", "0/2"],
        ["--shard", "3/2"],
        ["--shard", "1"],
        ["--device", "gpu"],
        ["--precision", "float64"],
        ["--batch-size", "0"],
        ["--stimuli", "absent"],
        ["--slurm", "--processes", "2"],
        ["--slurm-gpus", "1"],
        ["--slurm", "--slurm-option", "account"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_before_anything_happens(room, arguments):
    import click

    result = extract(room, *arguments, store="never")
    assert isinstance(result.exception, click.ClickException)
    assert not (room / "never").exists()


def test_what_is_no_store_is_told(room, tmp_path):
    for command in ("list", "verify"):
        result = mimicry(command, tmp_path)
        assert result.exception.code == "activations-missing"


def test_broken_manifests_do_not_stop_the_list(room):
    extract(room, store="broken")
    (manifest,) = (room / "broken").glob("*/test_resnet*/manifest.json")
    document = json.loads(manifest.read_text())
    document["rows"] = 11
    manifest.write_text(json.dumps(document))
    listed = mimicry("list", room / "broken")
    assert listed.exception is None
    assert "[activations-manifest]" in listed.output and "complete" in listed.output


def test_help_has_examples():
    for command in ([], ["extract"], ["list"], ["verify"]):
        text = CliRunner().invoke(activations, [*command, "--help"]).output
        assert "Examples:" in text
        assert max(map(len, text.splitlines())) <= 100


class Screen:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return False


def test_progress_estimates_by_what_was_computed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mimicry.activations.progress.time.monotonic", lambda: now[0])
    screen = Screen()
    with Progress(1000, stream=screen) as progress:
        progress.advance(500, computed=False)
        assert screen.text == ""
        # Loading took this long, and says nothing of speed; nor does one batch.
        now[0] = 60.0
        progress.advance(50)
        now[0] = 61.0
        progress.advance(50)
        assert screen.text == "550 of 1,000 images (55%)\n"
        now[0] = 70.0
        progress.advance(50)
        assert screen.text.splitlines()[1] == (
            "650 of 1,000 images (65%), 10.0 images/s, about 35 s left"
        )
        now[0] = 79.0
        progress.advance(1)
        assert screen.text.count("\n") == 2
        now[0] = 80.0
        progress.advance(1)
        assert screen.text.count("\n") == 3
    assert [duration(s) for s in (5, 400, 20000, 400000)] == ["5 s", "7 min", "5.6 h", "4.6 days"]


def test_progress_is_told_of_where_nothing_advances(monkeypatch):
    monkeypatch.setattr("mimicry.activations.progress._FIRST", 0.0)
    screen = Screen()
    with Progress(10, stream=screen):
        until = time.monotonic() + 20
        while not screen.text and time.monotonic() < until:
            time.sleep(0.05)
    assert screen.text == "0 of 10 images (0%)\n"


def test_a_bar_estimates_nothing_at_first(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mimicry.activations.progress.time.monotonic", lambda: now[0])
    screen = Screen()
    screen.isatty = lambda: True
    with Progress(1000, stream=screen) as progress:
        progress.advance(50)
        progress._bar.refresh()
        assert "images/s" not in screen.text and "50/1000" in screen.text
        now[0] = 10.0
        progress.advance(50)
        progress._bar.refresh()
        assert "images/s" in screen.text


def test_an_outcome_is_a_row_of_json():
    outcome = Outcome("a", "failed", "b [c]", "c")
    assert Outcome(*json.loads(json.dumps(list(outcome)))) == outcome
