"""What scoring accepts from ingestion, and what it relays."""

import contextlib
import hashlib
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError, MimicryError, SubmissionError
from mimicry.hybrids.outcome import read_outcome
from mimicry.reports.hybrid_facts import Costs

DATA = b"filename,score\na.jpg,1.0\n"
FULL_RECORD = {
    "seconds": 61.5,
    "load_seconds": 4.25,
    "predict_seconds": 50,
    "time_limit": 600.0,
    "peak_memory_bytes": 1_500_000_000,
    "batch_size": 32,
    "versions": {
        "mimicry": "0.6.0",
        "python": "3.11; import os",
        "numpy": "2.4.6",
        "pillow": "13.0",
        "secret": "1.0",
    },
    "replaced": ["torch 2.13.0 for torch==2.3.0"],
}
ANYTHING = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3))
DIGEST = hashlib.sha256(DATA).hexdigest()


def write(folder, data=DATA, **record):
    finished = {"state": "finished", "predictions_sha256": DIGEST, "seconds": 2.5}
    (folder / "ingestion.json").write_text(json.dumps(finished | record), encoding="utf-8")
    if data is not None:
        (folder / "predictions.csv").write_bytes(data)


def fault(folder):
    with pytest.raises(MimicryError) as caught:
        read_outcome(folder)
    return caught.value


def test_what_a_finished_ingestion_vouches_for(tmp_path):
    write(tmp_path, **FULL_RECORD)
    outcome = read_outcome(tmp_path)
    assert (outcome.predictions, outcome.sha256) == (DATA, DIGEST)
    assert outcome.costs == Costs(61.5, 4.25, 50, 600, 1_500_000_000, 32)
    assert outcome.versions == (("Mimicry", "0.6.0"), ("NumPy", "2.4.6"), ("Pillow", "13.0"))
    assert outcome.replaced == ("torch 2.13.0 for torch==2.3.0",)


def test_a_record_of_an_older_ingestion_is_read(tmp_path):
    write(tmp_path)
    assert read_outcome(tmp_path) == (DATA, DIGEST, Costs(seconds=2.5), (), ())


@pytest.mark.parametrize("field", ["seconds", "load_seconds", "predict_seconds", "time_limit"])
@pytest.mark.parametrize("value", [None, True, "3", [], -1, float("nan"), 1e12, 10**400])
def test_unusable_seconds_are_left_out(tmp_path, field, value):
    write(tmp_path, **FULL_RECORD | {field: value})
    costs = read_outcome(tmp_path).costs
    assert getattr(costs, field) is None
    assert sum(value is None for value in costs) == 1


@pytest.mark.parametrize("field", ["peak_memory_bytes", "batch_size"])
@pytest.mark.parametrize("value", [None, True, "3", {}, -1, 0, 2.5, float("inf"), 10**400])
def test_unusable_counts_are_left_out(tmp_path, field, value):
    write(tmp_path, **FULL_RECORD | {field: value})
    costs = read_outcome(tmp_path).costs
    assert getattr(costs, field.removesuffix("_bytes")) is None
    assert sum(value is None for value in costs) == 1


def test_a_time_limit_of_nothing_is_none(tmp_path):
    write(tmp_path, time_limit=0)
    assert read_outcome(tmp_path).costs.time_limit is None


@pytest.mark.parametrize("versions", [None, [], "1", {"numpy": 2}, {"numpy": "not installed"}])
def test_unusable_versions_are_left_out(tmp_path, versions):
    write(tmp_path, versions=versions)
    assert read_outcome(tmp_path).versions == ()


@pytest.mark.parametrize("replaced", [None, 3, {"a": 1}, [1, None, ["a"]]])
def test_unusable_replacements_are_left_out(tmp_path, replaced):
    write(tmp_path, replaced=replaced)
    assert read_outcome(tmp_path).replaced == ()


def test_replacements_are_few_and_short(tmp_path):
    write(tmp_path, replaced=["a\n\x1b[1m" + "x" * 5000] * 100)
    replaced = read_outcome(tmp_path).replaced
    assert len(replaced) == 20
    assert all(len(text) <= 120 and text.isprintable() for text in replaced)


@pytest.mark.parametrize(
    ("kind", "error_type", "exit_code"),
    [("submission", SubmissionError, 3), ("bundle", BundleError, 4), ("bug", MimicryError, 1)],
)
def test_a_failure_is_relayed_with_its_sentence_code_and_exit_code(
    tmp_path, kind, error_type, exit_code
):
    write(
        tmp_path, state="failed", error_kind=kind, error_code="no-model", error="There is no model."
    )
    error = fault(tmp_path)
    assert type(error) is error_type
    assert (error.code, error.sentence) == ("no-model", "There is no model.")
    assert error.exit_code == exit_code


@pytest.mark.parametrize("how", ["running", "missing", "no folder"])
def test_an_unfinished_ingestion(tmp_path, how):
    if how == "running":
        write(tmp_path, state="running")
    error = fault(tmp_path / "none" if how == "no folder" else tmp_path)
    assert isinstance(error, SubmissionError)
    assert error.code == "ingestion-unfinished"
    assert "time limit" in error.sentence and "memory" in error.sentence


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"finished"',
        b"[" * 100_000,
        b"\xff\xfe{}",
        b"9" * 10_000,
        b"{}",
        b'{"state": "done"}',
        b'{"state": ["failed"]}',
        b'{"state": "finished"}',
        b'{"state": "finished", "predictions_sha256": "AB"}',
        b'{"state": "failed"}',
        b'{"state": "failed", "error_kind": ["bug"], "error_code": "a", "error": "b"}',
        b'{"state": "failed", "error_kind": "mine", "error_code": "a", "error": "b"}',
        b'{"state": "failed", "error_kind": "bug", "error_code": "A b", "error": "b"}',
        b'{"state": "failed", "error_kind": "bug", "error_code": "a", "error": " "}',
        b" " * (1024 * 1024 + 1),
    ],
)
def test_a_broken_record(tmp_path, data):
    write(tmp_path)
    (tmp_path / "ingestion.json").write_bytes(data)
    error = fault(tmp_path)
    assert isinstance(error, SubmissionError)
    assert error.code == "ingestion-record-broken"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.fixed_dictionaries(
            {
                "state": st.sampled_from(["running", "finished", "failed", 1]),
                "error_kind": st.sampled_from(["submission", "bundle", "bug", None, 3]),
                "error_code": st.one_of(st.none(), st.text(max_size=8), st.just("a-b")),
                "error": st.one_of(st.none(), st.text(max_size=8)),
                "predictions_sha256": st.sampled_from([DIGEST, "0" * 64, None, 7]),
                "seconds": ANYTHING,
                "peak_memory_bytes": ANYTHING,
                "batch_size": ANYTHING,
                "versions": st.one_of(ANYTHING, st.dictionaries(st.just("numpy"), ANYTHING)),
                "replaced": st.one_of(ANYTHING, st.lists(ANYTHING, max_size=3)),
            }
        ).map(lambda record: json.dumps(record).encode()),
    )
)
def test_any_record_is_read_or_refused(tmp_path, data):
    (tmp_path / "predictions.csv").write_bytes(DATA)
    (tmp_path / "ingestion.json").write_bytes(data)
    record = None
    with contextlib.suppress(ValueError):
        record = json.loads(data)
    vouched = isinstance(record, dict) and (
        record.get("state") == "finished" and record.get("predictions_sha256") == DIGEST
    )
    if vouched:
        outcome = read_outcome(tmp_path)
        assert outcome.predictions == DATA
        assert all(value is None or 0 <= value < 2**51 for value in outcome.costs)
    else:
        assert fault(tmp_path).sentence


def test_other_predictions_than_the_recorded_ones(tmp_path):
    write(tmp_path, data=DATA + b"b.jpg,1\n")
    assert fault(tmp_path).code == "predictions-changed"


@pytest.mark.parametrize("name", ["predictions.csv", "ingestion.json"])
@pytest.mark.parametrize("kind", ["absent", "folder", "link", "loop", "pipe"])
def test_nothing_but_a_regular_file_is_read(tmp_path, name, kind):
    write(tmp_path)
    path, elsewhere = tmp_path / name, tmp_path / "elsewhere"
    path.rename(elsewhere)
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    code = fault(tmp_path).code
    if name == "predictions.csv":
        assert code == "predictions-missing"
    else:
        assert code == ("ingestion-unfinished" if kind == "absent" else "ingestion-record-broken")


@pytest.mark.parametrize("exit_code", ["1", "null", "-9", "137"])
def test_the_platforms_own_record_can_contradict(tmp_path, exit_code):
    write(tmp_path)
    text = f"elapsedTime: 3\nexitCode: null\ningestionExitCode: {exit_code}\n"
    (tmp_path / "metadata").write_text(text, encoding="utf-8")
    error = fault(tmp_path)
    assert isinstance(error, BundleError)
    assert error.code == "ingestion-exit-code"


@pytest.mark.parametrize(
    "data", [b"ingestionExitCode: 0\nexitCode: null\n", b"ingestionExitCode:\n", b"\xff\0", b""]
)
def test_the_platforms_own_record_can_agree_or_say_nothing(tmp_path, data):
    write(tmp_path)
    (tmp_path / "metadata").write_bytes(data)
    assert read_outcome(tmp_path).predictions == DATA


def test_a_failure_is_relayed_whatever_the_platform_says(tmp_path):
    write(tmp_path, state="failed", error_kind="submission", error_code="late", error="Too late.")
    (tmp_path / "metadata").write_text("ingestionExitCode: 3\n", encoding="utf-8")
    assert fault(tmp_path).code == "late"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_platform_record_that_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "metadata"
    if kind == "link":
        path.symlink_to("/dev/null")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    write(tmp_path)
    error = fault(tmp_path)
    assert isinstance(error, BundleError)
    assert error.code == "ingestion-exit-code"
