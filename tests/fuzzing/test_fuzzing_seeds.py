"""Every target takes its valid seeds, refuses the nasty ones, and notices what it should."""

import pytest
from fuzzing_checks import (
    ACCEPTED,
    CATALOGUES,
    REPOSITORY,
    catalogue,
    check_error,
    check_sentence,
)
from fuzzing_targets import TARGETS, load, longest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError, SubmissionError


@pytest.mark.parametrize("name", TARGETS)
def test_valid_seeds_are_accepted_and_nasty_ones_refused(name: str) -> None:
    target = load(name)
    assert target.VALID and target.NASTY and target.WORDS and target.SHARE > 0
    assert [d for d in target.VALID if target.judge(d) != ACCEPTED] == []
    assert [d for d in target.NASTY if target.judge(d) == ACCEPTED] == []
    # A seed that is longer than the fuzzer's inputs would be left out in silence.
    assert any(len(data) <= longest(target) for data in target.VALID)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_says_nothing_and_keeps_nothing(name: str) -> None:
    target = load(name)
    for data in (target.VALID[0], target.NASTY[-1], target.VALID[0]):
        assert target.one_input(data) is None
    assert target.judge(target.VALID[0]) == ACCEPTED


@pytest.mark.parametrize("name", TARGETS)
@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_spoilt_seeds_keep_the_properties(name: str, data: st.DataObject) -> None:
    target = load(name)
    seed = bytearray(data.draw(st.sampled_from([*target.VALID, *target.NASTY])))
    at = data.draw(st.integers(0, len(seed)))
    seed[at : at + data.draw(st.integers(0, 4))] = data.draw(
        st.sampled_from(target.WORDS) | st.binary(max_size=4)
    )
    target.one_input(bytes(seed))


def test_every_module_is_a_target() -> None:
    here = REPOSITORY / "tests" / "fuzzing"
    assert {path.stem for path in here.glob("fuzz_*.py")} == {f"fuzz_{name}" for name in TARGETS}


def test_the_catalogue_is_read() -> None:
    assert all((REPOSITORY / name).is_file() for name in CATALOGUES)
    assert {"predictions-invalid", "json-syntax", "competition-yaml", "run-record"} <= catalogue()
    assert "cause" not in catalogue() and "mimicry" not in catalogue()


def test_undeclared_errors_are_noticed() -> None:
    check_error(SubmissionError("json-syntax", "x"), SubmissionError)
    check_error(BundleError("whatever", "x"), SubmissionError, relayed=True)
    for error in (
        SubmissionError("never-heard-of", "x"),
        SubmissionError("Json Syntax", "x"),
        SubmissionError("json-syntax", ""),
        BundleError("run-record", "x"),
    ):
        with pytest.raises(AssertionError):
            check_error(error, SubmissionError)
    for text in ("", " ", "a\nb", "a\x1b[31m", "\u202e", "x" * 2001):
        with pytest.raises(AssertionError):
            check_sentence(text)
