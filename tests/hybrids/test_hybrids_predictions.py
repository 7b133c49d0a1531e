"""Predictions from friendly, faulty and hostile bytes."""

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mimicry.errors import SubmissionError
from mimicry.hybrids.predictions import match_predictions, parse_predictions, parse_score

NAMES = [f"{letter}.jpg" for letter in "abcdefgh"]
GOOD = [f"{name},0.{index}" for index, name in enumerate(NAMES)]


def file_of(*lines, header="filename,score"):
    return "\n".join([header, *lines, ""]).encode()


def fault(data, names=NAMES):
    with pytest.raises(SubmissionError) as caught:
        match_predictions(parse_predictions(data), names)
    return caught.value


def test_scores_come_in_the_order_asked_for():
    rows = parse_predictions(file_of(*GOOD))
    assert match_predictions(rows, NAMES[::-1]) == [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbffilename,score\na.jpg,1\n",
        b"filename,score\r\na.jpg,1\r\n",
        b"filename,score\ra.jpg,1\r",
        b"filename,score\n\na.jpg,1\n\n",
        b"filename,score\na.jpg,1",
        b'"filename","score"\n"a.jpg"," 1.0 "\n',
        b"filename,score\na.jpg,+1e0\n",
    ],
)
def test_harmless_variations_are_read(data):
    assert match_predictions(parse_predictions(data), ["a.jpg"]) == [1.0]


def test_quoted_names_may_hold_commas_quotes_and_line_breaks():
    data = b'filename,score\n"a, ""b""\nc.jpg",2\n'
    assert match_predictions(parse_predictions(data), ['a, "b"\nc.jpg']) == [2.0]


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -1.7976931348623157e308, -0.0, 1e22])
def test_shortest_decimals_round_trip(value):
    assert parse_score(repr(value)) == value


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "[0.5]", "1_000", "١", "0x10", "1,5", "0." + "1" * 70, "None"]
)
def test_what_is_no_number(text):
    assert parse_score(text) is None


@pytest.mark.parametrize(
    ("data", "code", "part"),
    [
        (b"", "predictions-header", "is empty"),
        (b"\n\n", "predictions-header", "is empty"),
        (b"a.jpg,0.5\n", "predictions-header", 'begins with "a.jpg,0.5"'),
        (b"filename,score,extra\na.jpg,1,2\n", "predictions-header", "filename,score,extra"),
        (b"score,filename\n", "predictions-header", "score,filename"),
        (b"filename;score\na.jpg;1\n", "predictions-header", "filename;score"),
        (b"filename,score\na\0.jpg,1\n", "predictions-unreadable", "NUL"),
        (b"filename,score\n\xff\xfe,1\n", "predictions-unreadable", "not UTF-8 text (byte 16)"),
        ("filename,score\n".encode("utf-16"), "predictions-unreadable", "NUL"),
        (b'filename,score\n"a.jpg,1\n', "predictions-unreadable", "not valid CSV (row 2"),
        (b'filename,score\n"a"b,1\n', "predictions-unreadable", "not valid CSV (row 2"),
        (b"filename,score\n" + b"a" * 200_000 + b",1\n", "predictions-unreadable", "field larger"),
        (b"filename,score\n" + b"\n" * 2_100_000, "predictions-unreadable", "1,000,000 rows"),
        (b"filename,score\n" + b"\n" * 1_100_000, "predictions-unreadable", "1,000,000 rows"),
    ],
)
def test_unreadable_files(data, code, part):
    with pytest.raises(SubmissionError) as caught:
        parse_predictions(data)
    assert caught.value.code == code
    assert part in caught.value.sentence
    assert "filename,score" in caught.value.sentence


def test_missing_names_first_five_in_alphabetical_order():
    error = fault(file_of(GOOD[3]), names=NAMES[::-1])
    assert error.code == "predictions-invalid"
    assert (
        '7 images have no row ("a.jpg", "b.jpg", "c.jpg", "e.jpg", "f.jpg", and 2 more)'
        in error.sentence
    )
    assert "each of the 8 images" in error.sentence


def test_one_missing_and_one_repeated_are_both_told():
    error = fault(file_of(*GOOD[1:], GOOD[1]))
    assert '1 image has no row ("a.jpg")' in error.sentence
    assert '1 row repeats an earlier image (row 9 "b.jpg")' in error.sentence


def test_every_fault_at_once_with_rows_and_counts():
    lines = ["a.jpg,nan", "b.jpg,-inf", "c.jpg,[0.1]", "d.jpg,1,2", "x.jpg,1", "y.jpg", "f.jpg,"]
    error = fault(file_of(*lines, *GOOD[6:], *GOOD[6:]))
    sentence = error.sentence
    assert '1 image has no row ("e.jpg")' in sentence
    assert '2 rows repeat an earlier image (row 11 "g.jpg", row 12 "h.jpg")' in sentence
    assert '2 rows name an unknown image (row 6 "x.jpg", row 7 "y.jpg")' in sentence
    assert '2 rows do not have two columns (row 5 "d.jpg", row 7 "y.jpg")' in sentence
    assert '2 scores are not numbers (row 4 "c.jpg" = "[0.1]", row 8 "f.jpg")' in sentence
    assert '2 scores are not finite (row 2 "a.jpg" = "nan", row 3 "b.jpg" = "-inf")' in sentence
    assert "tell the organisers" in sentence


def test_the_sentence_keeps_its_advice_when_every_list_is_full_of_long_names():
    names = [f"{index:03}" + "n" * 300 for index in range(60)]
    lines = [
        *(f"{name},{'z' * 60}" for name in names[:10]),
        *(f"{name},infinity" for name in names[10:20]),
        *(f"{name},1,2" for name in names[20:30]),
        *(f"u{name},1" for name in names[30:40]),
        *(f"{name},1" for name in names[:10]),
    ]
    sentence = fault(file_of(*lines), names).sentence
    assert sentence.endswith("tell the organisers.")
    assert sentence.count("and 5 more") == 5
    assert "and 25 more" in sentence


def test_terminal_escapes_do_not_reach_the_sentence():
    assert "\x1b" not in fault(file_of("\x1b[2Jx,1", *GOOD)).sentence


anything = st.one_of(
    st.binary(max_size=300),
    st.text(alphabet='a,"\n\r0.1einf-_ \ufeffé', max_size=200).map(
        lambda text: b"filename,score\n" + text.encode()
    ),
    st.binary(max_size=200).map(lambda data: b"filename,score\n" + data),
)


@given(anything)
@example(b"filename,score\n,\n")
@example(b"filename,score\n,1\n,1\n")
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(SubmissionError):
        rows = parse_predictions(data)
        listed = [fault for kind in rows[2:] for fault in kind]
        assert set(rows.first_row) == set(rows.scores) | {fault.filename for fault in listed}
        assert match_predictions(rows, ["a"]) == [rows.scores["a"]]
        assert not listed and len(rows.first_row) == 1


def test_a_large_file_is_quick():
    names = [f"{index:06d}_CAM{index:06d}_d.jpg" for index in range(94_000)]
    data = file_of(*(f"{name},0.{index}" for index, name in enumerate(names)))
    started = time.process_time()
    assert len(match_predictions(parse_predictions(data), names)) == 94_000
    assert time.process_time() - started < 1.5


@pytest.mark.parametrize(
    "line", ["a.jpg,", "x,1", '"' + "q" * 100_000 + '",1', "a.jpg,0." + "1" * 100_000]
)
def test_hostile_repetition_stays_bounded(line):
    repeats = min(200_000, 8_000_000 // len(line))
    started = time.process_time()
    assert len(fault(file_of(*[line] * repeats)).sentence) <= 2000
    assert time.process_time() - started < 3
