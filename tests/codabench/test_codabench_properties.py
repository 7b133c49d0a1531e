"""Any metadata, source, zip and record: read, or refused with a listed code."""

import ast
import io
import json
import math
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mimicry.codabench.engines.jobs import parse_metadata, split_command
from mimicry.codabench.model_code import Finding, model_findings, parse_source
from mimicry.codabench.reading.yaml_file import parse_document
from mimicry.codabench.records import RUN_FILE, RunRecord, TaskRecord, read_run, write_run
from mimicry.codabench.safe_yaml import load_yaml
from mimicry.codabench.scores_file import platform_scores
from mimicry.codabench.submission_zip import (
    damaged_member,
    list_members,
    unpack_submission,
)
from mimicry.errors import BundleError, SubmissionError

quick = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

WORD = st.text("ab'\"\\ $;|~\n\t\0é", max_size=12)


@quick
@given(st.lists(WORD, max_size=4).map(" ".join))
def test_any_command_is_split_as_a_shell_would(command: str) -> None:
    data = json.dumps({"command": command}).encode()
    metadata = parse_metadata("metadata.yaml", data)
    if not command:
        assert metadata.command is None and metadata.problem
        return
    assert metadata.command == command
    try:
        words = split_command(command, "scoring")
    except BundleError as error:
        assert error.code == "program-command" and error.sentence.isprintable()
        return
    assert words and all("\0" not in word for word in words)


@quick
@example("!!timestamp x")
@example("a: !!timestamp x")
@example("a: !!set {[x]}")
@given(st.text(max_size=40) | st.text("a:-&*!<[]{}? \n'\"#|>%1.", max_size=40))
def test_any_yaml_ends_in_a_value_or_a_fault(text: str) -> None:
    document = parse_document(text.encode("utf-8", "surrogatepass"), "competition.yaml")
    if document.readable:
        assert load_yaml(text.removeprefix("\ufeff")) == document.data or "nan" in text.lower()
    else:
        assert document.faults and all(fault.line >= 0 for fault in document.faults)


EXPRESSIONS = st.recursive(
    st.sampled_from(["x", "1", "''", "f'{x!r:{y}}'", "*a", "lambda: 0", "..."]),
    lambda inner: st.builds("f({}, {})".format, inner, inner) | inner.map("a.b[{}]".format),
    max_leaves=5,
)


@quick
@given(
    EXPRESSIONS, EXPRESSIONS, st.sampled_from(["def load(self", "async def load(self", "load=("])
)
def test_any_class_is_looked_at(base: str, value: str, load: str) -> None:
    source = f"class Model({base}):\n  batch_size = {value}\n  {load}, x={value}): pass\n"
    module = parse_source("model.py", source.encode())
    if isinstance(module, Finding):
        assert module.code == "syntax-error"
        return
    for finding in model_findings(module, "model.py"):
        assert finding.level in {"error", "warning", "note"} and finding.sentence


@pytest.mark.parametrize(
    "source",
    [
        "class Model(" + "a." * 700 + "b): pass",
        "@" + "a." * 700 + "b\nclass Model: pass",
        "class Model:\n  " + "a." * 700 + "batch_size = 1",
        "class Model:\n  @" + "a." * 700 + "b\n  def load(self): pass",
    ],
)
def test_code_too_deep_to_be_written_down_is_no_bug(source: str) -> None:
    module = parse_source("model.py", source.encode())
    assert isinstance(module, ast.Module)
    assert {f.code for f in model_findings(module, "model.py")} <= {
        *("model-method-elsewhere", "no-load", "no-predict"),
    }


NAMES = st.text("ab./\\:\0é\u202e\n", min_size=1, max_size=10)
ENTRIES = st.lists(
    st.tuples(NAMES, st.binary(max_size=20), st.sampled_from([0, 0o100755, 0o120777, 0o40755])),
    max_size=4,
)


def zipped(entries: list[tuple[str, bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system, info.external_attr = name, 3, mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


@quick
@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(ENTRIES)
def test_any_names_stay_below_their_folder(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes, int]]
) -> None:
    here = tmp_path_factory.mktemp("zip")
    path, target = here / "s.zip", here / "into" / "folder"
    path.write_bytes(zipped(entries))
    try:
        unpack_submission(path, target)
    except SubmissionError as error:
        assert error.sentence.isprintable()
    assert {p for p in here.rglob("*") if not p.is_relative_to(here / "into")} == {path}
    for found in (here / "into").rglob("*"):
        mode = found.lstat().st_mode
        assert stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and not mode & 0o111)


def test_a_file_shorter_than_listed_is_damaged(tmp_path: Path) -> None:
    data = bytearray(zipped([("model.py", b"class Model: pass", 0)]))
    at = data.index(b"PK\x01\x02") + 24
    assert data[at : at + 4] == (17).to_bytes(4, "little")
    data[at : at + 4] = (9000).to_bytes(4, "little")
    path = tmp_path / "s.zip"
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert list_members(archive)[0].size == 9000
        assert damaged_member(archive, 10**6) == ("model.py", False)
    with pytest.raises(SubmissionError, match="its size is not the one listed") as caught:
        unpack_submission(path, tmp_path / "out")
    assert caught.value.code == "damaged-zip"


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TASKS = st.builds(
    TaskRecord,
    state=st.sampled_from(["finished", "failed", "running"]),
    exit_codes=st.dictionaries(st.text(max_size=3), st.none() | st.integers(-9, 255), max_size=2),
    seconds=st.dictionaries(st.text(max_size=3), NUMBERS, max_size=2),
    memory=st.dictionaries(st.text(max_size=3), st.none() | st.integers(0, 2**50), max_size=2),
    scores=st.none() | st.dictionaries(st.text(max_size=3), NUMBERS.filter(bool), max_size=2),
    error=st.none() | st.text(max_size=5),
    error_code=st.none() | st.text(max_size=5),
    error_kind=st.none() | st.sampled_from(["submission", "bundle", "bug"]),
    notes=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    fingerprint=st.text(max_size=3),
)


def record(tasks: dict[str, TaskRecord]) -> RunRecord:
    texts = ("hybrid", "Development", "s", "p", "0" * 64, "subprocess", "2026-01-01T00:00:00+00:00")
    return RunRecord(*texts, None, "finished", tasks, submitted="x")


@quick
@given(st.dictionaries(st.text(max_size=4), TASKS, max_size=3))
def test_a_written_run_is_read_back(tmp_path: Path, tasks: dict[str, TaskRecord]) -> None:
    write_run(tmp_path, record(tasks))
    assert read_run(tmp_path) == record(tasks)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@quick
@given(st.data())
def test_any_value_at_any_place_of_a_run(tmp_path: Path, data: st.DataObject) -> None:
    task = TaskRecord("finished", {"scoring": 0}, {"scoring": 1.0}, {"scoring": 9}, {"score": 0.5})
    write_run(tmp_path, record({"hybrid": task}))
    document = json.loads((tmp_path / RUN_FILE).read_text())
    place = document
    for key in data.draw(st.sampled_from([(), ("tasks",), ("tasks", "hybrid")])):
        place = place[key]
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    (tmp_path / RUN_FILE).write_text(json.dumps(document))
    try:
        found = read_run(tmp_path)
    except BundleError as error:
        assert error.code == "run-record" and error.sentence.isprintable()
        return
    assert found.exit_code in {0, 1, 3, 4}
    for one in found.tasks.values():
        assert all(map(math.isfinite, (one.scores or {}).values()))


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("score: 0.5\nmore: &a [*a]", True),
        ("score: 0.5\nmore: &a {b: {c: *a}}", True),
        ("score: 0.5\nmore: [&a [1], *a, *a]", False),
        ("score: 0.5\n" + "x: [" + "a," * 900 + "]", False),
        ("score: 0.5\nmore: [&a [.nan], *a]", True),
    ],
)
def test_scores_that_hold_themselves_are_none(tmp_path: Path, text: str, dropped: bool) -> None:
    (tmp_path / "scores.txt").write_text(text)
    found = platform_scores(tmp_path, ("score",), "score")
    assert found.scores == ({} if dropped else {"score": 0.5})


def test_aliases_that_multiply_are_no_scores(tmp_path: Path) -> None:
    lines = ["score: 0.5", "a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    (tmp_path / "scores.txt").write_text("\n".join(lines))
    assert platform_scores(tmp_path, ("score",), "score").scores == {}
