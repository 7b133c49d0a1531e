"""``mimicry activations`` as it is typed."""

import json
import os
import re

import pytest
from activations_store_helpers import write_images, write_models
from click.testing import CliRunner

from mimicry.activations.extract import Outcome
from mimicry.activations.progress import Progress, duration
from mimicry.commands.activations import activations
from mimicry.errors import BundleError


def mimicry(*arguments):
    result = CliRunner().invoke(activations, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, Exception):
        raise result.exception
    return result


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
    assert re.search(r"test_resnet \(layer global_pool\): .*10 rows of 96.*images/s", done.output)
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
    assert [line.endswith("*") for line in lines[1:]] == [False, False, True]


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
        now[0] = 10.0
        progress.advance(100)
        assert screen.text == "600 of 1,000 images (60%), 10.0 images/s, about 40 s left\n"
        progress.advance(1)
        assert screen.text.count("\n") == 1
        now[0] = 45.0
        progress.advance(1)
        assert screen.text.count("\n") == 2
    assert [duration(s) for s in (5, 400, 20000, 400000)] == ["5 s", "7 min", "5.6 h", "4.6 days"]


def test_an_outcome_is_a_row_of_json():
    outcome = Outcome("a", "failed", "b [c]", "c")
    assert Outcome(*json.loads(json.dumps(list(outcome)))) == outcome
