"""The store: shards written whole, one writer at a time, refused when anything is off."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from activations_store_helpers import content, numbers, plan, write_images
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.activations.locks import StoreBusyError, wait_until_free
from mimicry.activations.manifest import content_key, npy_header, read_manifest, shard_bytes
from mimicry.activations.plans import safe_name, shard_rows
from mimicry.activations.reading import decode, open_activations
from mimicry.activations.stimuli import read_stimuli
from mimicry.activations.store import encode, open_writer, store_set_folder
from mimicry.errors import BundleError


def write(store, what, start=None, stop=None, step=4, **options):
    """Write rows up to `stop`, or all and the end."""
    with open_writer(store, what, **options) as writer:
        begin = writer.next_row if start is None else start
        for first in range(begin, what.rows if stop is None else stop, step):
            last = min(first + step, what.rows)
            writer.write(first, numbers(first, last, what.width))
        if stop is None:
            writer.finish()
        return writer.folder


def refused(action, *arguments, **options):
    with pytest.raises(BundleError) as raised:
        action(*arguments, **options)
    assert "\n" not in raised.value.sentence
    return raised.value.code


def test_what_is_written_is_read(tmp_path):
    folder = write(tmp_path, plan())
    opened = open_activations(folder, verify=True)
    assert (opened.model_name, opened.layer) == ("stand-in", "a.b")
    assert (opened.shape, opened.dtype) == ((50, 3), np.float32)
    assert np.array_equal(np.asarray(opened), numbers(0, 50))
    assert [shard.rows for shard in opened.manifest.shards] == [8] * 6 + [2]
    # NumPy itself reads a shard.
    assert np.array_equal(np.load(folder / "shard-00001.npy"), numbers(8, 16))


@pytest.mark.parametrize("stops", [(3,), (8,), (9, 15, 33), (48,), (49,), (50,)])
def test_interrupted_writers_make_the_same_bytes(tmp_path, stops):
    whole = tmp_path / "whole"
    parts = tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    write(whole, plan())
    for stop in stops:
        folder = write(parts, plan(), stop=stop, step=1)
        assert refused(open_activations, folder) == "activations-incomplete"
        # What a crash between writing and recording leaves.
        (folder / ".shard-00006.npy.part").write_bytes(b"half")
        (folder / "shard-00006.npy").write_bytes(b"not recorded")
        (folder / ".manifest.json.0123.tmp").write_bytes(b"half")
    # With other shard sizes too: a cache keeps those of its first shard.
    write(parts, plan(rows_per_shard=16 if stops[0] >= 8 else 8), step=4)
    assert content(parts) == content(whole)
    before = {path: path.stat().st_mtime_ns for path in parts.rglob("*")}
    with open_writer(parts, plan()) as writer:
        assert writer.complete and writer.next_row == 50
        writer.write(0, numbers(0, 50))
        writer.finish()
    # The lock's folder aside.
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_rows_may_overlap_but_not_leave_a_gap(tmp_path):
    with open_writer(tmp_path, plan(rows=None)) as writer:
        writer.write(0, numbers(0, 10))
        writer.write(5, numbers(5, 21))
        writer.write(0, numbers(0, 3))
        with pytest.raises(ValueError, match="row 21 is next"):
            writer.write(22, numbers(22, 23))
        with pytest.raises(ValueError, match="rows of 3 numbers"):
            writer.write(21, numbers(0, 1, width=4))
        writer.finish()
    assert np.array_equal(np.asarray(open_activations(writer.folder)), numbers(0, 21))


def test_the_number_of_rows_need_not_be_known(tmp_path):
    with open_writer(tmp_path, plan(rows=None)) as writer:
        writer.write(0, numbers(0, 19))
    assert read_manifest(writer.folder).rows_written == 16
    with open_writer(tmp_path, plan(rows=None)) as writer:
        assert writer.next_row == 16
        writer.write(16, numbers(16, 21))
        writer.finish()
    assert open_activations(writer.folder).count == 21
    with (
        open_writer(tmp_path, plan(rows=None, identity={"n": 1})) as writer,
        pytest.raises(ValueError, match="0 of None"),
    ):
        writer.finish()


def test_too_few_and_too_many_rows_are_our_own_fault(tmp_path):
    with open_writer(tmp_path, plan(rows=9)) as writer:
        writer.write(0, numbers(0, 8))
        with pytest.raises(ValueError, match="8 of 9"):
            writer.finish()
        with pytest.raises(ValueError, match="10 rows are more than 9"):
            writer.write(8, numbers(8, 10))


def test_a_pass_may_feed_two_writers(tmp_path):
    first, second = plan(identity={"layer": 1}), plan(identity={"layer": 2}, rows_per_shard=16)
    write(tmp_path, first, stop=24)
    with open_writer(tmp_path, first) as one, open_writer(tmp_path, second) as two:
        for start in range(min(one.next_row, two.next_row), 50, 4):
            rows = numbers(start, min(start + 4, 50))
            one.write(start, rows)
            two.write(start, -rows)
        one.finish()
        two.finish()
    assert np.array_equal(np.asarray(open_activations(one.folder)), numbers(0, 50))
    assert np.array_equal(np.asarray(open_activations(two.folder)), -numbers(0, 50))


def test_one_writer_at_a_time(tmp_path):
    with open_writer(tmp_path, plan()) as writer:
        with pytest.raises(StoreBusyError) as busy, open_writer(tmp_path, plan()):
            pass
        with open_writer(tmp_path, plan(identity={"other": 1})):
            pass
        writer.write(0, numbers(0, 16))
        waiting = threading.Thread(target=wait_until_free, args=(busy.value.lock, 0.01))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()
    with open_writer(tmp_path, plan()) as writer:
        assert writer.next_row == 16


def test_what_changes_a_number_changes_the_key(tmp_path):
    plans = [
        plan(),
        plan(dtype="float16"),
        plan(identity={"items": "1" * 64}),
        plan(identity={"precision": "bfloat16"}),
    ]
    folders = {one.folder(tmp_path) for one in plans}
    assert len(folders) == 4
    assert plan(rows_per_shard=16, conditions={"batch_size": 99}).folder(tmp_path) in folders


def test_conditions_are_not_mixed(tmp_path):
    folder = write(tmp_path, plan(), stop=16)
    other = plan(conditions={"batch_size": 8})
    with pytest.raises(BundleError, match=r"batch_size 4 \(now 8\).*--restart") as raised:
        write(tmp_path, other)
    assert raised.value.code == "activations-conditions"
    assert read_manifest(folder).rows_written == 16
    write(tmp_path, other, restart=True)
    assert open_activations(folder).manifest.conditions == {"batch_size": 8}
    # What is complete is kept, whatever the conditions: it says under which it was computed.
    write(tmp_path, plan())
    assert open_activations(folder).manifest.conditions == {"batch_size": 8}


def test_nothing_begun_binds_nobody(tmp_path):
    folder = write(tmp_path, plan(), stop=0)
    write(tmp_path, plan(conditions={"batch_size": 2}, rows_per_shard=6))
    assert open_activations(folder).manifest.rows_per_shard == 6


def change(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, path.stat().st_size - 4)


def reshape(path):
    data = path.read_bytes()
    path.write_bytes(npy_header(3, 8, "float32") + data[len(npy_header(8, 3, "float32")) :])


def link(path):
    moved = path.with_name("moved")
    path.rename(moved)
    path.symlink_to(moved)


@pytest.mark.parametrize(
    ("damage", "cheap"),
    [(change, False), (truncate, True), (reshape, True), (Path.unlink, True), (link, True)],
)
def test_a_damaged_shard_is_refused_and_written_again(tmp_path, damage, cheap):
    folder = write(tmp_path, plan())
    whole = content(tmp_path)
    damage(folder / "shard-00002.npy")
    assert refused(open_activations, folder, verify=True) == "activations-damaged"
    if cheap:
        assert refused(open_activations, folder) == "activations-damaged"
        assert refused(write, tmp_path, plan()) == "activations-damaged"
    write(tmp_path, plan(), restart=True)
    assert content(tmp_path) == whole


def test_a_shard_damaged_before_the_end_is_written_again(tmp_path):
    store = tmp_path / "b"
    store.mkdir()
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", plan())
    folder = write(store, plan(), stop=40)
    change(folder / "shard-00003.npy")
    lines = []
    with open_writer(store, plan(), report=lines.append) as writer:
        assert writer.next_row == 24
    assert len(lines) == 1 and "shard-00003.npy" in lines[0]
    write(store, plan())
    assert content(store) == content(tmp_path / "a")


EDITS = {
    "state": "complete",
    "rows": 40,
    "width": 4,
    "dtype": "float16",
    "key": "0" * 64,
    "conditions": {"batch_size": 5},
    "rows_per_shard": 4,
    "shards": [],
    "format": 2,
    "more": 1,
}


@pytest.mark.parametrize("field", EDITS)
@pytest.mark.parametrize("with_checksum", [False, True])
def test_an_edited_manifest_is_refused(tmp_path, field, with_checksum):
    folder = write(tmp_path, plan(), stop=50)
    if field != "state":
        write(tmp_path, plan())
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document[field] = EDITS[field]
    if with_checksum:
        del document["checksum"]
        document["checksum"] = content_key(document)
    path.write_text(json.dumps(document))
    if field == "conditions" and with_checksum:
        # Consistent in itself: then only whoever signs manifests could tell.
        open_activations(folder)
        return
    assert refused(open_activations, folder) == "activations-manifest"
    assert refused(write, tmp_path, plan()) == "activations-manifest"
    write(tmp_path, plan(), restart=True)
    open_activations(folder, verify=True)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense", "[" * 100_000, "\ud800"])
def test_a_broken_manifest_is_refused(tmp_path, text):
    folder = write(tmp_path, plan())
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert refused(open_activations, folder) == "activations-manifest"


def test_a_renamed_or_missing_cache_is_refused(tmp_path):
    folder = write(tmp_path, plan())
    assert refused(open_activations, tmp_path / "absent") == "activations-missing"
    other = plan(identity={"items": "1" * 64}).folder(tmp_path)
    shutil.move(folder, other)
    assert refused(open_activations, other) == "activations-manifest"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, value):
    rows = numbers(0, 12)
    rows[9, 1] = value
    with (
        pytest.raises(BundleError, match=r"item-9 \(row 9\)") as raised,
        open_writer(tmp_path, plan(), row_name=lambda row: f"item-{row}") as writer,
    ):
        writer.write(0, rows)
    assert raised.value.code == "activations-not-finite"


@pytest.mark.parametrize(
    ("dtype", "value"), [("float16", 65520.0), ("bfloat16", 3.4e38), ("float32", 1e39)]
)
def test_numbers_that_do_not_fit_are_refused(tmp_path, dtype, value):
    rows = np.zeros((12, 3))
    rows[2, 0] = -value
    with (
        pytest.raises(BundleError, match=r"row 2") as raised,
        open_writer(tmp_path, plan(dtype=dtype)) as writer,
    ):
        writer.write(0, rows)
    assert raised.value.code == "activations-overflow"


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_bfloat16_rounds_to_the_nearest_even(values):
    torch = pytest.importorskip("torch")
    rows = np.array([values], np.float32)
    expected = torch.from_numpy(rows).to(torch.bfloat16).float().numpy()
    assert np.array_equal(decode(encode(rows, "bfloat16"), "bfloat16"), expected)


@given(st.integers(1, 10**6), st.integers(1, 500), st.sampled_from(["float32", "bfloat16"]))
def test_headers_are_numpys_own(rows, width, dtype):
    import io

    stored = np.dtype("<f4" if dtype == "float32" else "<u2")
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": stored.str, "fortran_order": False, "shape": (rows, width)}
    )
    # NumPy leaves room for the first number to grow; both are read by the format's rules.
    ours = npy_header(rows, width, dtype)
    assert len(ours) % 64 == 0
    assert np.lib.format.read_magic(file := io.BytesIO(ours)) == (1, 0)
    assert np.lib.format.read_array_header_1_0(file) == ((rows, width), False, stored)
    assert shard_bytes(rows, width, dtype) == len(ours) + rows * width * stored.itemsize


@given(st.integers(1, 500_000), st.sampled_from(["float32", "float16"]), st.integers(1, 1024))
def test_shards_hold_whole_batches(width, dtype, step):
    rows = shard_rows(width, dtype, step)
    assert rows % step == 0 and rows >= step
    assert rows <= max(step, 4096)
    assert rows == step or rows * width * (4 if dtype == "float32" else 2) <= 32 * 2**20


@given(st.text())
def test_any_name_is_a_file_name(text):
    name = safe_name(text)
    assert name and "/" not in name and not name.startswith(".") and len(name) <= 120


@given(st.integers(1, 200), st.integers(1, 30))
def test_the_space_needed_is_the_space_taken(rows, rows_per_shard):
    what = plan(rows=rows, rows_per_shard=rows_per_shard)
    sizes = [
        shard_bytes(min(rows_per_shard, rows - start), 3, "float32")
        for start in range(0, rows, rows_per_shard)
    ]
    assert what.bytes_needed == sum(sizes)


FULL = """
import sys
sys.path.insert(0, sys.argv[2])
import resource
from pathlib import Path
from activations_store_helpers import numbers, plan
from mimicry.activations.store import open_writer
from mimicry.errors import BundleError
what = plan(width=200)
with open_writer(Path(sys.argv[1]), what) as writer:
    writer.write(0, numbers(0, 16, 200))
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    try:
        writer.write(16, numbers(16, 50, 200))
    except BundleError as error:
        print(error.code)
"""


def test_a_full_disk_leaves_no_half(tmp_path):
    store, whole = tmp_path / "store", tmp_path / "whole"
    store.mkdir()
    whole.mkdir()
    call = [sys.executable, "-c", FULL, str(store), str(Path(__file__).parent)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout == "disk-full\n"
    folder = plan(width=200).folder(store)
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "shard-00000.npy",
        "shard-00001.npy",
    ]
    assert refused(open_activations, folder) == "activations-incomplete"
    write(store, plan(width=200))
    write(whole, plan(width=200))
    assert content(store) == content(whole)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / ".locks").write_text("a file in the way")
    assert refused(write, tmp_path, plan()) == "store-unwritable"


def test_the_list_of_stimuli_lies_beside_the_caches(tmp_path):
    stimuli = read_stimuli(write_images(tmp_path / "images", count=3), "val")
    store = tmp_path / "store"
    folder = store_set_folder(store, stimuli)
    assert folder == store / stimuli.key[:16] == store_set_folder(store, stimuli)
    change(folder / "stimuli.jsonl", at=20)
    assert refused(store_set_folder, store, stimuli) == "activations-stimuli"
    (tmp_path / "file").write_text("")
    assert refused(store_set_folder, tmp_path / "file", stimuli) == "store-unwritable"
