"""Activations are read by rows, whatever the shards they lie in."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from activations_store_helpers import numbers, plan, write_images, write_models
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry import activations
from mimicry.activations.reading import open_activations, open_store
from mimicry.activations.stimuli import read_stimuli
from mimicry.activations.store import open_writer, store_set_folder
from mimicry.activations.store_sets import STIMULI, cache_folders
from mimicry.codabench.reachable import reachable_modules
from mimicry.errors import BundleError


def stored(store, rows=50, finish=True, **changes):
    what = plan(rows=rows, **changes)
    with open_writer(store, what) as writer:
        writer.write(0, numbers(0, rows, what.width))
        if finish:
            writer.finish()
    return writer.folder


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """The same 50 rows in shards of many sizes and types."""
    store = tmp_path_factory.mktemp("store")
    return [
        open_activations(stored(store, rows_per_shard=size, dtype=dtype, identity={"size": size}))
        for size in (3, 8, 64)
        for dtype in ("float32", "float16", "bfloat16")
    ]


def whole(opened):
    rows = numbers(0, 50)
    if opened.manifest.dtype == "float16":
        return rows.astype(np.float16)
    if opened.manifest.dtype == "bfloat16":
        bits = rows.view(np.uint32)
        kept = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return kept.astype(np.uint32).view(np.float32)
    return rows


@given(st.data())
def test_rows_are_those_of_the_whole(caches, data):
    opened = data.draw(st.sampled_from(caches))
    indices = data.draw(st.lists(st.integers(0, 49), max_size=80))
    got = opened.rows(indices)
    assert got.dtype == opened.dtype and got.shape == (len(indices), 3)
    assert np.array_equal(got, whole(opened)[np.array(indices, dtype=int)])
    unsigned = np.array(indices, dtype=np.uint8)
    assert np.array_equal(opened[unsigned], got)


@given(st.data())
def test_chunks_are_those_of_the_whole(caches, data):
    opened = data.draw(st.sampled_from(caches))
    start = data.draw(st.integers(0, 50))
    stop = data.draw(st.integers(start, 50))
    assert np.array_equal(opened.chunk(start, stop), whole(opened)[start:stop])
    step = data.draw(st.integers(1, 60))
    assert np.array_equal(np.concatenate(list(opened.chunks(step))), whole(opened))
    cut = slice(
        data.draw(st.none() | st.integers(-60, 60)),
        data.draw(st.none() | st.integers(-60, 60)),
        data.draw(st.none() | st.integers(-9, 9).filter(bool)),
    )
    assert np.array_equal(opened[cut], whole(opened)[cut])


def test_it_is_like_an_array(caches):
    opened = caches[3]
    assert opened.shape == (50, 3) and opened.ndim == 2 and len(opened) == 50
    assert np.array_equal(np.asarray(opened), whole(opened))
    assert np.asarray(opened, dtype=np.float64).dtype == np.float64
    assert np.array_equal(opened[4], whole(opened)[4])
    mask = np.arange(50) % 3 == 0
    assert np.array_equal(opened[mask], whole(opened)[mask])
    # What is returned is the caller's own.
    rows = opened.rows([1, 1])
    rows[:] = 0
    assert np.array_equal(opened.rows([1]), whole(opened)[1:2])


@pytest.mark.parametrize(
    "indices", [[50], [-1], [0, 2**40], [0.0], [[0]], ["a"], [True], 3], ids=str
)
def test_rows_outside_are_an_index_error(caches, indices):
    with pytest.raises(IndexError):
        caches[0].rows(indices)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 51), (5, 4)])
def test_chunks_outside_are_an_index_error(caches, start, stop):
    with pytest.raises(IndexError):
        caches[0].chunk(start, stop)


def test_a_file_that_shrinks_while_it_is_open_is_an_error(tmp_path):
    folder = stored(tmp_path)
    opened = open_activations(folder)
    (folder / "shard-00001.npy").write_bytes(b"")
    assert np.array_equal(opened.rows([0]), numbers(0, 1))
    with pytest.raises(BundleError, match="shard-00001") as raised:
        opened.rows([0, 9])
    assert raised.value.code == "activations-damaged"


def set_of(tmp_path, names=("b", "a")):
    stimuli = read_stimuli(write_images(tmp_path / "images", count=5), "val")
    folder = store_set_folder(tmp_path / "store", stimuli)
    for name in names:
        model = {"model_name": name, "layer": "top"}
        stored(folder, rows=5, name=name, identity={"items": stimuli.key, "model": model})
    return folder


def code(action, *arguments, **options):
    with pytest.raises(BundleError) as raised:
        action(*arguments, **options)
    return raised.value.code


def test_a_store_is_opened_sorted_by_name(tmp_path):
    folder = set_of(tmp_path)
    assert [one.model_name for one in open_store(folder, verify=True)] == ["a", "b"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_store_of_one_list_is_opened_and_its_rows_are_named(tmp_path, kind):
    folder = set_of(tmp_path)
    opened = activations.open_store(kind(tmp_path / "store"))
    assert [one.folder for one in opened] == [one.folder for one in open_store(folder)]
    listed = activations.read_stimuli(kind(tmp_path / "images"), "val").stimuli
    assert opened[0].stimuli is opened[1].stimuli
    assert opened[0].stimuli == listed == activations.read_catalogue(kind(folder / STIMULI))
    alone = activations.open_activations(kind(opened[0].folder))
    assert alone.stimuli == listed
    entry = write_models(tmp_path / "registry.json")
    assert len(activations.read_registry(kind(entry))) == 3
    other = tmp_path / "store" / "other"
    other.mkdir()
    (other / STIMULI).write_text("")
    assert code(open_store, tmp_path / "store") == "store-several-sets"


def test_stimuli_that_are_not_those_of_the_rows_are_refused(tmp_path):
    folder = set_of(tmp_path)
    lines = (folder / STIMULI).read_text().splitlines(keepends=True)
    (folder / STIMULI).write_text("".join(lines[::-1]))
    opened = open_activations(cache_folders(folder)[0])
    with pytest.raises(BundleError) as raised:
        _ = opened.stimuli
    assert raised.value.code == "activations-stimuli"


def test_the_package_offers_its_names_and_loads_them_late():
    code = """
import sys
import mimicry.activations as activations
assert not [name for name in sys.modules if name.startswith("mimicry.activations.")]
assert {"open_store", "load_model"} <= set(dir(activations))
from mimicry.activations import open_store, read_registry, extract
from mimicry.activations import extract_activations, Settings
assert extract.Settings is Settings
assert "torch" not in sys.modules
for name in activations.__all__:
    assert getattr(activations, name).__module__.startswith("mimicry.activations.")
assert "torch" in sys.modules
try:
    activations.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise SystemExit("nothing is there")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_packed_programs_do_not_hold_what_the_package_offers():
    programs = Path(__file__).resolve().parents[2]
    for name in ("scoring_program_blue", "scoring_program_red"):
        found = reachable_modules(programs / name).modules
        assert {one for one in found if one.startswith("activations/")} == {
            "activations/__init__.py",
            "activations/entries.py",
            "activations/stimuli.py",
            "activations/stimulus_sources.py",
        }


def test_a_store_with_anything_amiss_is_refused(tmp_path):
    folder = set_of(tmp_path)
    assert code(open_store, tmp_path / "images") == "activations-missing"
    assert code(open_store, tmp_path / "absent") == "activations-missing"
    strange = stored(folder, rows=5, name="strange")
    assert code(open_store, folder) == "activations-stimuli"
    for path in strange.iterdir():
        path.unlink()
    assert len(open_store(folder)) == 2
    stimuli = (folder / "stimuli.jsonl").read_text()
    (folder / "stimuli.jsonl").write_text("".join(stimuli.splitlines(keepends=True)[:-1]))
    assert code(open_store, folder) == "activations-stimuli"
    (folder / "stimuli.jsonl").write_text(stimuli)
    stored(folder, rows=5, name="half", finish=False)
    assert code(open_store, folder) == "activations-incomplete"


def test_reading_imports_nothing_heavy():
    script = (
        "import sys, mimicry.activations.reading\n"
        "heavy = {'torch', 'timm', 'PIL', 'scipy', 'sklearn', 'jsonschema', 'tqdm', 'submitit'}\n"
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9))
def test_any_cut_into_shards_reads_back(tmp_path_factory, rows, rows_per_shard, step):
    store = tmp_path_factory.mktemp("store")
    with open_writer(store, plan(rows=rows, rows_per_shard=rows_per_shard)) as writer:
        for start in range(0, rows, step):
            writer.write(start, numbers(start, min(start + step, rows)))
        writer.finish()
    opened = open_activations(writer.folder, verify=True)
    assert np.array_equal(np.asarray(opened), numbers(0, rows))
