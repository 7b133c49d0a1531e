"""Any rules, arrays and checkpoints: read, or refused with the declared code."""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from realign_stage import blue, write_blue, write_red

from mimicry.errors import BundleError
from mimicry.realign.pull_requests import score_folder
from mimicry.realign.reference import read_blue_reference
from mimicry.realign.rules import read_rules
from mimicry.realign.search.checkpoint import (
    finite_number,
    index_list,
    read_checkpoint,
    write_checkpoint,
)

quick = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@quick
@given(st.sampled_from(["blue", "red"]), st.data())
def test_any_value_at_any_place_of_the_rules(
    tmp_path: Path, team: Any, data: st.DataObject
) -> None:
    write_blue(tmp_path) if team == "blue" else write_red(tmp_path)
    path = tmp_path / "rules.json"
    document = json.loads(path.read_text())
    inside = [document, *(value for value in document.values() if isinstance(value, dict))]
    place = data.draw(st.sampled_from(inside))
    key = data.draw(st.sampled_from(sorted(place)) | st.text(max_size=3))
    place[key] = data.draw(VALUES)
    path.write_text(json.dumps(document))
    try:
        found = read_rules(tmp_path, team)
    except BundleError as error:
        assert error.code in {"rules-invalid", "rules-unreadable"} and error.sentence.isprintable()
        return
    assert found.count is None or found.count >= 2


@quick
@given(st.data())
def test_any_damage_of_an_array_is_told(tmp_path: Path, data: st.DataObject) -> None:
    write_blue(tmp_path)
    path = tmp_path / data.draw(st.sampled_from(["cka.npy", "cka_unbiased.npy", "replicates.npy"]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, min(200, len(content) - 1)))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.unlink()
    path.write_bytes(content)
    try:
        found = read_blue_reference(tmp_path)
    except BundleError as error:
        assert error.code in {"matrix-unreadable", "matrix-invalid"}
        assert path.name in error.sentence and error.sentence.isprintable()
        return
    assert np.isfinite(found.cka).all() and found.cka.min() >= -1e-9
    assert found.replicates.dtype == np.float32


@quick
@example({"key": "k", "state": {"bound": 10**400}})
@example({"key": "k", "state": {"bound": True, "set": [0, 0]}})
@given(
    VALUES
    | st.fixed_dictionaries(
        {
            "format": st.just("mimicry-search-1") | VALUES,
            "key": st.just("k") | VALUES,
            "state": st.fixed_dictionaries({"bound": VALUES, "set": VALUES}) | VALUES,
        }
    )
)
def test_any_checkpoint(tmp_path: Path, document: Any) -> None:
    if isinstance(document, dict):
        document = {"format": "mimicry-search-1", **document}
    path = tmp_path / "search.json"
    path.write_text(json.dumps(document))
    try:
        state = read_checkpoint(path, "k")
        assert state is not None
        number = finite_number(state.get("bound"), path)
        chosen = index_list(state.get("set"), 5, path)
    except BundleError as error:
        assert error.code in {"search-checkpoint-broken", "search-checkpoint-other"}
        return
    assert np.isfinite(number) and sorted(set(chosen)) == sorted(chosen)
    write_checkpoint(path, "k", state)
    assert read_checkpoint(path, "k") == state


def test_a_checkpoint_that_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        read_checkpoint(tmp_path, "k")
    assert caught.value.code == "search-checkpoint-broken"


@quick
@given(st.data())
def test_any_damage_of_a_zip_of_reference_data_is_told(tmp_path: Path, data: st.DataObject) -> None:
    source, teams = tmp_path / "ref", tmp_path / "teams"
    source.mkdir(exist_ok=True)
    teams.mkdir(exist_ok=True)
    write_blue(source, count=2)
    (teams / "one.json").write_text(json.dumps(blue("resnet50", "resnet50d")))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in source.iterdir():
            archive.write(path, path.name)
    content = bytearray(buffer.getvalue())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "blue.zip").write_bytes(content)
    try:
        board = score_folder(teams, tmp_path / "blue.zip")
    except BundleError as error:
        assert error.sentence.isprintable()
        return
    assert len(board.rows) + len(board.failed) == 1


@pytest.mark.parametrize("fault", ["encrypted", "method", "deflate"])
def test_zips_that_cannot_be_unpacked_are_told(tmp_path: Path, fault: str) -> None:
    (tmp_path / "one.json").write_text("{}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rules.json", b"{}" * 50)
    content = bytearray(buffer.getvalue())
    entry = content.index(b"PK\x01\x02")
    if fault == "encrypted":
        content[6] |= 1
        content[entry + 8] |= 1
    elif fault == "method":
        content[8] = content[entry + 10] = 99
    else:
        content[40] = 0xFF
        with pytest.raises(zlib.error):
            zlib.decompress(bytes(content[40:entry]), -15)
    (tmp_path / "blue.zip").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        score_folder(tmp_path, tmp_path / "blue.zip", "blue")
    assert caught.value.code == "reference-missing"
