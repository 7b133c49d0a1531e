"""Any manifest and any list of stimuli: read, or refused in a sentence."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimicry.activations.manifest import (
    Manifest,
    Shard,
    content_key,
    read_manifest,
    shard_bytes,
    shard_name,
    write_manifest,
)
from mimicry.activations.stimuli import Stimulus, catalogue_text, read_catalogue
from mimicry.errors import BundleError

quick = settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def manifest(rows: int, width: int, dtype: str, per_shard: int) -> Manifest:
    counts = [min(per_shard, rows - start) for start in range(0, rows, per_shard)]
    shards = tuple(
        Shard(shard_name(i), count, shard_bytes(count, width, dtype), "0" * 64)
        for i, count in enumerate(counts)
    )
    return Manifest({"model": "m"}, {}, width, dtype, per_shard, shards, rows, True)


@quick
@given(
    st.integers(1, 40),
    st.integers(1, 9),
    st.sampled_from(["float32", "float16", "bfloat16"]),
    st.integers(1, 20),
)
def test_a_written_manifest_is_read_back(
    tmp_path: Path, rows: int, width: int, dtype: str, per_shard: int
) -> None:
    written = manifest(rows, width, dtype, per_shard)
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written


PLACES = st.sampled_from(
    ["state", "key", "identity", "conditions", "rows", "width", "dtype", "rows_per_shard", "shards"]
)


@quick
@example("dtype", [], True)
@example("dtype", {}, True)
@example("state", [], True)
@example("rows", 10**400, False)
@example("shards", [{"file": "x", "rows": 1, "bytes": 1, "sha256": "0" * 64}], True)
@given(PLACES, VALUES, st.booleans())
def test_any_value_in_a_manifest_whose_checksum_is_right(
    tmp_path: Path, place: str, value: Any, complete: bool
) -> None:
    write_manifest(tmp_path, manifest(5, 3, "float32", 2))
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    del document["checksum"]
    document["state"] = "complete" if complete else "incomplete"
    document[place] = value
    # Whoever edits a file can compute this as well.
    document["checksum"] = content_key(document)
    path.write_text(json.dumps(document))
    try:
        found = read_manifest(tmp_path)
    except BundleError as error:
        assert error.code == "activations-manifest" and error.sentence.isprintable()
        return
    assert found is not None and found.key == document["key"]
    assert found.rows is None or found.rows_written <= found.rows


TEXT = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)
STIMULI = st.builds(
    Stimulus,
    dataset_name=TEXT,
    image_identifier=TEXT,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    class_name=st.none() | TEXT,
    size=st.integers(0, 10**12),
)


@quick
@given(
    st.lists(STIMULI, min_size=1, unique_by=lambda one: (one.dataset_name, one.image_identifier))
)
def test_a_written_catalogue_is_read_back(tmp_path: Path, stimuli: list[Stimulus]) -> None:
    path = tmp_path / "catalogue.jsonl"
    path.write_text(catalogue_text(stimuli), encoding="utf-8", newline="")
    assert read_catalogue(path) == tuple(stimuli)


@quick
@given(
    st.dictionaries(
        st.sampled_from(["dataset_name", "image_identifier", "sha256", "size", "class_name", "x"]),
        VALUES | st.just("a" * 64),
    )
    | VALUES
)
def test_any_row_of_a_catalogue(tmp_path: Path, row: Any) -> None:
    path = tmp_path / "catalogue.jsonl"
    path.write_text(json.dumps(row) + "\n")
    try:
        (found,) = read_catalogue(path)
    except BundleError as error:
        assert error.code in {"catalogue-row", "catalogue-unreadable"}
        assert error.sentence.isprintable()
        return
    assert {"sha256": found.sha256, "size": found.size} == {k: row[k] for k in ("sha256", "size")}
