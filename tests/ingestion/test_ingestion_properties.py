"""Any requirements, any list of allowed packages, any settings: read, or refused in a sentence."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mimicry.errors import BundleError, SubmissionError
from mimicry.ingestion.pins import pins_that_may_give_way
from mimicry.ingestion.requirements import LARGEST_FILE, check_requirements, read_allowed
from mimicry.ingestion.settings import LONGEST_LIMIT, LONGEST_SOURCE, read_time_limit

quick = settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
INSTALLED = {"torch": "2.13.0", "numpy": "2.4.6"}
ALLOWED = {"torch": SpecifierSet(">=2.2,<3"), "numpy": SpecifierSet(""), "timm": SpecifierSet(">1")}

NAMES = st.sampled_from(["torch", "Torch", "numpy", "timm", "evil", "nu.mpy", "torch[x]"])
VERSIONS = st.sampled_from(["2", "2.3.0", "3", "1!2", "2.0.dev1", "9" * 30, "2.13.*", "x"])
BOUND = st.tuples(st.sampled_from(["==", ">=", "<", "~=", "!=", "==="]), VERSIONS).map("".join)
MARKERS = st.sampled_from(["", "; python_version > '3'", "; os_name == 'none'", "; extra == 'x'"])
LINES = st.builds(
    lambda name, bounds, marker, tail: name + ",".join(bounds) + marker + tail,
    *(NAMES, st.lists(BOUND, max_size=3), MARKERS),
    st.sampled_from(["", "  # why", " \\", "\t"]),
)


@quick
@given(st.lists(LINES, max_size=5).map("\n".join))
def test_only_what_is_allowed_is_ever_installed(text: str) -> None:
    try:
        missing = check_requirements(text, ALLOWED, INSTALLED.get)
    except SubmissionError as error:
        assert error.code == "requirements" and error.sentence.isprintable()
        return
    for line in missing:
        wanted = Requirement(line)
        allowed = ALLOWED[canonicalize_name(wanted.name)]
        assert set(allowed) <= set(wanted.specifier) and wanted.marker is None
    pins = pins_that_may_give_way(text, ALLOWED, INSTALLED.get)
    assert set(pins) <= set(missing)


@quick
@given(st.text(max_size=60) | st.lists(LINES, max_size=3).map("\n".join))
def test_any_list_of_allowed_packages(tmp_path: Path, text: str) -> None:
    path = tmp_path / "allowed_packages.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        allowed = read_allowed(path)
    except BundleError as error:
        assert error.code == "allowed-packages" and error.sentence.isprintable()
        return
    assert all(name == canonicalize_name(name) for name in allowed)


@pytest.mark.parametrize(
    "text",
    ["torch>=" + "9" * 5000, "torch" + "(" * 5000, "\x1b[31mtorch", "torch; x\x1b[31m"],
)
def test_a_line_that_trips_the_library_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "allowed_packages.txt"
    path.write_text(text)
    with pytest.raises(BundleError, match=r"line 1: '(\?\[31m)?torch"):
        read_allowed(path)


@pytest.mark.parametrize("noise", [" ", "\t", " #", "a ", "\\\n", "# \\\n", "\x0b", "# "])
def test_the_largest_file_takes_no_time(noise: str) -> None:
    # Of the processor; white space alone once took a quarter of a minute.
    text = (noise * LARGEST_FILE)[: LARGEST_FILE - 1] + "x"
    start = time.process_time()
    # A file of nothing but a comment is none to refuse.
    with contextlib.suppress(SubmissionError):
        check_requirements(text, ALLOWED, INSTALLED.get)
    assert time.process_time() - start < 3


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@quick
@example({"execution_time_limit": 10**400, "phase": "x"})
@example({"execution_time_limit": -(10**400), "phase": "x"})
@example({"execution_time_limit": 1, "phase": "\x1b[31m\ud800\n" * 90})
@example({"execution_time_limit": 1, "phase": " \n"})
@given(st.fixed_dictionaries({"execution_time_limit": VALUES, "phase": VALUES}))
def test_any_time_limit(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "phase.json").write_text(json.dumps(record))
    try:
        limit = read_time_limit(tmp_path, {})
    except BundleError as error:
        assert error.code == "time-limit" and error.sentence.isprintable()
        return
    assert 0 < limit.seconds <= LONGEST_LIMIT
    # The log's first line shows it.
    assert limit.source and limit.source.isprintable() and len(limit.source) <= LONGEST_SOURCE
