"""Strict JSON: what Python's parser takes too, minus what no submission should hold."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.errors import SubmissionError
from mimicry.realign.documents import (
    LARGEST_DOCUMENT,
    parse_object,
    read_submission_file,
)
from mimicry.realign.json_faults import DEEPEST, DocumentFault

DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
FAULTS = [
    ("empty", b"", "json-empty", "is empty"),
    ("white space", b" \n\t", "json-empty", "is empty"),
    ("mark", b"\xef\xbb\xbf{}", "json-encoding", "byte order mark"),
    ("utf-16 with mark", '{"a":1}'.encode("utf-16"), "json-encoding", "UTF-16"),
    ("utf-16", '{"a":1}'.encode("utf-16-le"), "json-encoding", "UTF-16"),
    ("utf-16 big", '{"a":1}'.encode("utf-16-be"), "json-encoding", "UTF-16"),
    ("utf-32", '{"a":1}'.encode("utf-32-le"), "json-encoding", "UTF-32"),
    ("utf-32 with mark", '{"a":1}'.encode("utf-32"), "json-encoding", "UTF-32"),
    ("latin-1", '{\n"a":"é"}'.encode("latin-1"), "json-encoding", "line 2, byte 8 "),
    ("cut in a character", '{"a":"é"}'.encode()[:-3], "json-encoding", "not UTF-8"),
    ("nul", b'{"a":\n "x\0"}', "json-character", "line 2, column 4: a NUL byte"),
    (
        "escaped nul",
        b'{"a":\n "\\u0000"}',
        "json-character",
        "line 2, column 2: a text holds U+0000",
    ),
    ("escape sequence", b'{"a":["\\u001b[2J"]}', "json-character", "U+001B"),
    ("control in a key", b'{"\\u0007":1}', "json-character", "U+0007"),
    ("half a character", b'{"a": "\\ud83d"}', "json-character", "column 7: a text holds U+D83D"),
    ("raw line break", b'{"a":"x\ny"}', "json-syntax", "line 1, column 8: a line break"),
    ("comment", b'{"a":1, // why\n"b":2}', "json-syntax", "line 1, column 9: a comment"),
    ("block comment", b'/* x */ {"a":1}', "json-syntax", "a comment"),
    ("hash", b'{"a":1}\n# end', "json-syntax", "line 2, column 1: a comment"),
    ("comma", b'{"a":[1,2,\n]}', "json-syntax", "line 2, column 1: a comma before"),
    ("comma in object", b'{"a":1,}', "json-syntax", "column 8: a comma before"),
    ("trailing data", b'{"a":1}{"b":2}', "json-syntax", "column 8: more text after the end"),
    ("trailing word", b"{} x", "json-syntax", "more text after the end"),
    ("single quotes", b"{'a':1}", "json-syntax", "the quote '"),
    ("typographic quotes", "{“a”:1}".encode(), "json-syntax", "the quote “"),
    ("python", b'{"a":None}', "json-syntax", "JSON writes null"),
    ("cut off", b'{"a":[1', "json-syntax", "ends too early"),
    ("open text", b'{"a":"b', "json-syntax", "never ends"),
    ("bad escape", b'{"a":"\\x41"}', "json-syntax", "no JSON escape"),
    ("no-break space", '{"a":\u00a01}'.encode(), "json-syntax", "U+00A0 (NO-BREAK SPACE)"),
    ("no colon", b'{"a" 1}', "json-syntax", "a colon was expected"),
    ("no comma", b'{"a":1 "b":2}', "json-syntax", "a comma or a closing bracket"),
    ("plus", b'{"a":+1}', "json-syntax", "a value was expected"),
    (
        "twice",
        b'{"a":1,\n"b":[{"c":1,"c":2}]}',
        "json-duplicate-key",
        'line 2, column 13: the key "c"',
    ),
    ("twice, nested", b'{"a":1,"a":{"c":1,"c":2}}', "json-duplicate-key", 'column 8: the key "a"'),
    ("twice, escaped", b'{"a":1,"\\u0061":1}', "json-duplicate-key", 'column 8: the key "a"'),
    ("nan", b'{"a":["NaN", NaN]}', "json-number", "column 14: NaN is no JSON number"),
    ("glued", b'{"a":["NaN", NaNx]}', "json-number", "column 14: NaN is no JSON number"),
    ("glued number", b'{"a": 1e999x}', "json-number", "column 7: the number 1e999"),
    ("infinity", b'{"a":-Infinity}', "json-number", "column 6: -Infinity"),
    ("1e999", b'{"a":-1e999}', "json-number", "column 6: the number -1e999"),
    ("huge integer", b'{"a":' + b"9" * 1_000_000 + b"}", "json-number", "(1,000,000 characters)"),
    ("huge float", b'{"a":0.' + b"1" * 1_000_000 + b"}", "json-number", "(1,000,002 characters)"),
    ("deep", DEEP, "json-nesting", f"column {6 + DEEPEST - 1}: "),
    ("deep objects", b'{"a":' * 50_000, "json-nesting", "nested more than"),
    ("deep and closed", b'{"a":' * 40 + b"1" + b"}" * 40, "json-nesting", "nested more than"),
    ("list", b"[]", "json-not-object", "holds a list"),
    ("text", b'"x"', "json-not-object", "holds a text"),
    ("null", b"null", "json-not-object", "holds null"),
    ("number", b"17", "json-not-object", "holds a number"),
]


@pytest.mark.parametrize(
    ("data", "code", "part"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_every_fault_has_its_code_and_place(data: bytes, code: str, part: str) -> None:
    with pytest.raises(DocumentFault) as caught:
        parse_object(data)
    assert caught.value.code == code
    assert part in caught.value.text
    assert "\n" not in caught.value.text and len(caught.value.text) < 300


def filled(start: bytes, piece: bytes, end: bytes = b"") -> bytes:
    """Return the largest document that is read, mostly of one piece."""
    return start + piece * ((LARGEST_DOCUMENT - len(start) - len(end)) // len(piece)) + end


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (filled(b'{"a": NaNx', b'\\"'), "json-number"),
        (filled(b'{"a": NaN ', b'\\"', b"\\"), "json-number"),
        (filled(b'{"a": NaN ', b'""'), "json-number"),
        (filled(b'{"a": 1e999x', b'""'), "json-number"),
        (filled(b'{"a": 1e999x', b'\\"'), "json-number"),
        (filled(b'{"a": -Infinity,', b'"\\'), "json-number"),
        (filled(b'{"a":[', b"[],", b"NaN]}"), "json-number"),
        (filled(b"{", b'"\\u0061":0,', b'"b":0,"b":0}'), "json-duplicate-key"),
        (filled(b'{"a":[', b'"\\t",', b'"\\u0007"]}'), "json-character"),
        (filled(b'{"a":"', b"\xc2\xad", b'\\u0007"}'), "json-character"),
        (filled(b'{"a":1', b"\n "), "json-syntax"),
        (filled(b'{"a":1,', b" \n", b"}"), "json-syntax"),
        (filled(b'{"a":', b'[{"":'), "json-nesting"),
    ],
)
def test_faults_of_large_documents_are_told_in_linear_time(data: bytes, code: str) -> None:
    # Each takes less than a second; what grows with the square takes hours.
    before = time.process_time()
    with pytest.raises(DocumentFault) as caught:
        parse_object(data)
    assert caught.value.code == code and time.process_time() - before < 5


def test_as_deep_as_allowed() -> None:
    depth = DEEPEST - 1
    assert parse_object(b'{"a":' * depth + b"{}" + b"}" * depth)
    with pytest.raises(DocumentFault, match="json-nesting"):
        parse_object(b'{"a":' * DEEPEST + b"{}" + b"}" * DEEPEST)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cc", "Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé\n", max_size=3), inner),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text("xyz", max_size=3), VALUES), st.booleans(), st.sampled_from([None, 2])
)
def test_what_python_writes_is_read_back(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    assert parse_object(text.encode()) == value


@settings(max_examples=300)
@given(st.data())
def test_spoilt_documents_are_read_or_refused_in_one_line(data: st.DataObject) -> None:
    text = b'{"models": [{"model_name": "a", "n": [1, -2e3, null, true]}], "meta": {"\\u00e9": ""}}'
    raw = bytearray(text)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"{", b"]", b",", b"\\", b"NaN"])
        )
        raw[at : at + data.draw(st.integers(0, 2))] = piece
    try:
        parse_object(bytes(raw))
    except DocumentFault as fault:
        assert fault.code.startswith("json-") and fault.text.endswith(".")
    else:
        # Nothing is taken that Python's own parser refuses.
        assert isinstance(json.loads(bytes(raw).decode()), dict)


def test_a_file_is_judged_by_its_size_first(tmp_path: Path) -> None:
    path = tmp_path / "team.json"
    with path.open("wb") as file:
        file.truncate(40 * 1024**3)
    with pytest.raises(SubmissionError) as caught:
        read_submission_file(path)
    assert caught.value.code == "json-too-large" and "4 MiB" in caught.value.sentence
    path.write_bytes(b"{}" + b" " * (LARGEST_DOCUMENT - 2))
    assert read_submission_file(path) == {}
    path.write_bytes(b"{}" + b" " * (LARGEST_DOCUMENT - 1))
    with pytest.raises(SubmissionError, match="json-too-large"):
        read_submission_file(path)


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    for name in ("link", "pipe", "folder", "device", "absent"):
        with pytest.raises(SubmissionError) as caught:
            read_submission_file(tmp_path / f"{name}.json")
        assert caught.value.code == "json-unreadable"
        assert caught.value.sentence.startswith(f"{name}.json is ")
