"""Any content of the files that hybrids' scoring reads: a value, or one declared sentence."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError, MimicryError, SubmissionError
from mimicry.hybrids.outcome import read_outcome
from mimicry.hybrids.predictions import match_predictions, parse_predictions, parse_score
from mimicry.hybrids.reference import GROUPS, parse_reference

quick = settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

PREDICTIONS = b"filename,score\na.jpg,1\n"
DIGEST = hashlib.sha256(PREDICTIONS).hexdigest()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
KEYS = (
    *("state", "predictions_sha256", "error_kind", "error_code", "error", "seconds"),
    *("load_seconds", "time_limit", "peak_memory_bytes", "batch_size", "versions", "replaced"),
)
KNOWN = st.sampled_from(["finished", "failed", "running", DIGEST, "submission", "bundle", "bug"])


@quick
@example({"state": "failed", "error_kind": "bug", "error_code": "x", "error": " " * 9000 + "x"})
@example({"state": "failed", "error_kind": "bug", "error_code": "x", "error": "\x00\u202e"})
@given(st.dictionaries(st.sampled_from(KEYS), KNOWN | JSON))
def test_any_record_of_ingestion(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "predictions.csv").write_bytes(PREDICTIONS)
    (tmp_path / "ingestion.json").write_text(json.dumps(record))
    try:
        found = read_outcome(tmp_path)
    except MimicryError as error:
        assert error.sentence.strip() and error.sentence.isprintable() and error.code
        assert len(error.sentence) <= 2000
        return
    assert record["state"] == "finished" and record["predictions_sha256"] == DIGEST
    assert all(value is None or (math.isfinite(value) and value >= 0) for value in found.costs)
    assert all(text.isprintable() and len(text) <= 120 for text in found.replaced)


FIELD = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
ROWS = st.lists(st.tuples(FIELD, st.booleans(), st.sampled_from(GROUPS), FIELD), min_size=1)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@quick
@given(ROWS, st.permutations(["filename", "hybrid_stat", "ssp_indicator", "note"]))
def test_labels_are_read_back_or_the_row_is_named(
    rows: list[tuple[str, bool, str, str]], head: list[str]
) -> None:
    lines = [",".join(head)]
    for name, hybrid, group, note in rows:
        label = str(int(hybrid))
        cells = {"filename": name, "hybrid_stat": label, "ssp_indicator": group, "note": note}
        lines.append(",".join(quoted(cells[key]) for key in head))
    data = "\n".join(lines).encode()
    names = [row[0] for row in rows]
    if len(set(names)) == len(names) and all(name.strip() for name in names):
        found = parse_reference(data, "labels.csv")
        assert list(zip(*found, strict=True)) == [row[:3] for row in rows]
    else:
        with pytest.raises(BundleError, match="row"):
            parse_reference(data, "labels.csv")


SCORES = st.floats(allow_nan=False, allow_infinity=False)


@quick
@given(st.dictionaries(FIELD, SCORES, min_size=1), st.randoms(use_true_random=False))
def test_written_predictions_are_read_back_in_any_order(
    scores: dict[str, float], random: Any
) -> None:
    names = sorted(scores)
    random.shuffle(names)
    lines = ["filename,score", *(f"{quoted(name)},{scores[name]!r}" for name in names)]
    rows = parse_predictions("\r\n".join(lines).encode())
    assert match_predictions(rows, sorted(scores)) == [scores[name] for name in sorted(scores)]
    # One image too many, or too few, and there is nothing to grade.
    for wanted in ([*names, "another"], names[1:]):
        if "another" not in scores:
            with pytest.raises(SubmissionError, match="cannot be graded"):
                match_predictions(rows, wanted)


@quick
@given(st.text(max_size=70))
def test_a_score_is_what_python_and_ascii_agree_on(text: str) -> None:
    found = parse_score(text)
    try:
        plain = float(text)
    except ValueError:
        assert found is None
        return
    assert found is None or found == plain or (math.isnan(found) and math.isnan(plain))
    assert (found is None) == ("_" in text or not text.isascii() or len(text) > 64)
