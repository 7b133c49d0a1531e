"""Extraction that is killed at random moments, and two at once: always the same bytes."""

import contextlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from activations_store_helpers import (
    Forks,
    content,
    numbers,
    plan,
    rows_written,
    write_images,
    write_models,
)

from mimicry.activations.reading import open_activations
from mimicry.activations.store import open_writer
from mimicry.errors import BundleError

KILLS = 20
ROWS = 400

EXTRACT = """
from pathlib import Path
import torch
from mimicry.activations.torchvision_compat import install
install()
import timm, timm.models.resnet, PIL.Image, tqdm
import mimicry.activations.compute
from mimicry.activations.extract import Settings
from mimicry.activations.extraction import extract_activations
torch.set_num_threads(1)
def task(registry, images, store):
    settings = Settings(device="cpu", batch_size=2, workers=1, threads=1, shard_rows=2)
    done = extract_activations(
        Path(registry), [("val", Path(images))], Path(store), settings=settings, progress=False
    )
    return len(done.failed)
"""

WRITE = """
import sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from activations_store_helpers import numbers, plan
from mimicry.activations.store import open_writer
def task(store, pause):
    with open_writer(Path(store), plan(rows={rows}, rows_per_shard=4)) as writer:
        for start in range(writer.next_row, {rows}, 2):
            writer.write(start, numbers(start, start + 2))
            time.sleep(pause)
        writer.finish()
"""


@pytest.fixture(scope="module")
def extractors():
    forks = Forks(EXTRACT)
    yield forks
    forks.close()


@pytest.fixture
def writers():
    forks = Forks(WRITE.format(folder=str(Path(__file__).parent), rows=ROWS))
    yield forks
    forks.close()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def kill(forks, folder, arguments, moments, step, pause):
    """Start a task and kill it at a random moment; return whether it was alive then.

    The moment is counted from one of the shards that it writes, so that slow machines and
    fast ones see kills at every stage: while it loads, resumes, computes and writes.
    """
    before = rows_written(folder)
    process = forks.start(*arguments)
    target = before + step * moments.choice([0, 0, 1, 2])
    while rows_written(folder) < target and alive(process):
        time.sleep(0.0005)
    time.sleep(moments.uniform(0, pause))
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    status = forks.wait()
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def check(store, folder, whole):
    """Half a cache is refused; a whole one is as it should be, and makes room for another."""
    try:
        open_activations(folder)
    except BundleError as error:
        assert error.code in {"activations-missing", "activations-incomplete"}
        return
    assert content(store) == content(whole)
    shutil.rmtree(store)
    store.mkdir()


def test_a_writer_killed_twenty_times_makes_the_same_bytes(writers, tmp_path):
    whole, store = tmp_path / "whole", tmp_path / "store"
    whole.mkdir()
    store.mkdir()
    writers.start(str(whole), 0)
    assert writers.wait() == 0
    folder = plan(rows=ROWS).folder(store)
    moments = random.Random(7)
    killed, stages = 0, set()
    while killed < KILLS:
        # A little slower than the disk, so that some kills fall between writes.
        killed += kill(writers, folder, (str(store), 0.002), moments, step=4, pause=0.03)
        stages.add(rows_written(folder))
        check(store, folder, whole)
    assert len(stages) > 3
    writers.start(str(store), 0)
    assert writers.wait() == 0
    assert content(store) == content(whole)


def test_an_extraction_killed_twenty_times_makes_the_same_bytes(extractors, tmp_path):
    images = write_images(tmp_path / "images", count=200, side=34)
    registry = write_models(
        tmp_path / "registry.json", [("test_resnet", 1, "global_pool", "flatten")]
    )
    whole, store = tmp_path / "whole", tmp_path / "store"
    extractors.start(str(registry), str(images), str(whole))
    assert extractors.wait() == 0
    name = next(whole.glob("*/test_resnet*")).relative_to(whole)
    moments = random.Random(11)
    killed, stages = 0, set()
    while killed < KILLS:
        arguments = (str(registry), str(images), str(store))
        killed += kill(extractors, store / name, arguments, moments, step=2, pause=0.05)
        stages.add(rows_written(store / name))
        check(store, store / name, whole)
    assert len(stages) > 3
    extractors.start(str(registry), str(images), str(store))
    assert extractors.wait() == 0
    assert content(store) == content(whole)
    open_activations(store / name, verify=True)


def test_two_extractions_at_once_make_each_cache_once(extractors, tmp_path):
    images = write_images(tmp_path / "images", count=12, side=34)
    registry = write_models(tmp_path / "registry.json")
    whole, store = tmp_path / "whole", tmp_path / "store"
    extractors.start(str(registry), str(images), str(whole))
    assert extractors.wait() == 0
    other = Forks(EXTRACT)
    try:
        for forks in (extractors, other):
            forks.start(str(registry), str(images), str(store))
        assert extractors.wait() == other.wait() == 0
    finally:
        other.close()
    assert content(store) == content(whole)
    # Each was computed by one of the two only.
    (log,) = store.glob("*/log.jsonl")
    assert len(log.read_text().splitlines()) == 3


def test_a_killed_writer_leaves_no_lock(writers, tmp_path):
    process = writers.start(str(tmp_path), 0.01)
    folder = plan(rows=ROWS).folder(tmp_path)
    while not rows_written(folder):
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    writers.wait()
    with open_writer(tmp_path, plan(rows=ROWS)) as writer:
        assert writer.next_row >= 4
        writer.write(writer.next_row, numbers(writer.next_row, ROWS))
        writer.finish()
