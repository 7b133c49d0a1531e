"""Reference data: what is accepted, and the organiser's every mistake."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimicry.errors import BundleError
from mimicry.hybrids.reference import (
    GROUPS,
    Reference,
    check_gradable,
    parse_reference,
    read_reference,
)

HEADER = "filename,hybrid_stat,ssp_indicator"
GOOD = ["a.jpg,0,major", "b.jpg,1,major", "c.jpg,0,minor", "d.jpg,1,minor", "e.jpg,0,mimic"]
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "hdr" / "ref_val.csv"


def file_of(*lines, header=HEADER):
    return "\n".join([header, *lines, ""]).encode()


def fault(data):
    with pytest.raises(BundleError) as caught:
        parse_reference(data, "val.csv")
    return caught.value


def test_rows_are_kept_in_order():
    assert parse_reference(file_of(*GOOD), "val.csv") == Reference(
        ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"),
        (False, True, False, True, False),
        ("major", "major", "minor", "minor", "mimic"),
    )


def test_more_columns_another_order_a_mark_and_spaces_are_accepted():
    header = "CAMID, hybrid_stat,X,ssp_indicator ,filename"
    data = b"\xef\xbb\xbf" + file_of("CAM1, 1,7,mimic ,a.jpg", "", header=header)
    expected = Reference(("a.jpg",), (True,), ("mimic",))
    assert parse_reference(data, "val.csv") == expected


@pytest.mark.parametrize(
    ("data", "code", "parts"),
    [
        (b"", "reference-empty", ["val.csv is empty", "ssp_indicator"]),
        (file_of(), "reference-empty", ["no rows"]),
        (file_of("a,1", header="filename,hybrid_stat"), "reference-columns", ["ssp_indicator"]),
        (
            file_of("a,1,mimic,0", header=HEADER + ",hybrid_stat"),
            "reference-columns",
            ["2 columns called hybrid_stat"],
        ),
        (file_of(*GOOD, "f.jpg,1"), "reference-row", ["row 7 has not as many fields"]),
        (file_of("a,b,1,mimic", *GOOD), "reference-row", ["row 2 has"]),
        (file_of(*GOOD, " ,1,mimic"), "reference-filename", ["row 7 has no filename"]),
        (
            file_of("x,2,mimic", *GOOD, "y,,mimic", "z,1.0,mimic"),
            "reference-label",
            ["rows 2, 8, 9 have neither 0 nor 1", "hybrid_stat"],
        ),
        (
            file_of(*(f"{i},1,Minor" for i in range(7))),
            "reference-group",
            ["rows 2, 3, 4, 5, 6 and 2 more have", "ssp_indicator", "major, minor, mimic"],
        ),
        (file_of(*GOOD, GOOD[0]), "reference-duplicate", ["row 7 repeats a filename"]),
        (file_of("\0"), "reference-unreadable", ["val.csv holds NUL bytes"]),
        (b"\xff" + file_of(*GOOD), "reference-unreadable", ["not UTF-8"]),
        (file_of('"a,1,mimic'), "reference-unreadable", ["not valid CSV (row 2"]),
    ],
)
def test_every_mistake_names_file_column_and_row(data, code, parts):
    error = fault(data)
    assert error.code == code
    assert "val.csv" in error.sentence
    for part in parts:
        assert part in error.sentence


@pytest.mark.parametrize(
    ("groups", "rows", "code"),
    [
        (("major", "minor"), GOOD, "reference-foreign-group"),
        (("mimic",), GOOD, "reference-foreign-group"),
        (GROUPS, GOOD, "reference-incomplete-group"),
        (GROUPS, GOOD[:4], "reference-incomplete-group"),
        (("major", "minor"), GOOD[:3], "reference-incomplete-group"),
    ],
)
def test_a_task_grades_its_own_complete_groups(groups, rows, code):
    with pytest.raises(BundleError) as caught:
        check_gradable(parse_reference(file_of(*rows), "val.csv"), groups, "T")
    assert caught.value.code == code
    assert "task T" in caught.value.sentence
    assert "ssp_indicator" in caught.value.sentence


def test_which_class_a_group_lacks_is_not_told():
    sentences = set()
    for label in "01":
        reference = parse_reference(file_of(f"a,{label},mimic", f"b,{label},mimic"), "val.csv")
        with pytest.raises(BundleError) as caught:
            check_gradable(reference, ("mimic",), "mimic")
        sentences.add(caught.value.sentence)
    assert len(sentences) == 1


def test_a_complete_reference_is_gradable():
    reference = parse_reference(file_of(*GOOD, "f.jpg,1,mimic"), "val.csv")
    check_gradable(reference, GROUPS, "hybrid")
    check_gradable(parse_reference(file_of(*GOOD[:4]), "val.csv"), ("major", "minor"), "A")


def test_the_only_csv_is_found_among_clutter(tmp_path):
    (tmp_path / "Val.CSV").write_bytes(file_of(*GOOD))
    (tmp_path / "._Val.CSV").write_bytes(b"\0")
    (tmp_path / ".hidden.csv").write_bytes(b"\0")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "Val.csv").write_bytes(b"\0")
    (tmp_path / "README.md").write_text("notes")
    assert len(read_reference(tmp_path).filenames) == 5


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([], "reference-missing"),
        (["a.txt"], "reference-missing"),
        (["a.csv", "b.csv"], "reference-ambiguous"),
    ],
)
def test_exactly_one_csv(tmp_path, names, code):
    for name in names:
        (tmp_path / name).write_bytes(file_of(*GOOD))
    with pytest.raises(BundleError) as caught:
        read_reference(tmp_path)
    assert caught.value.code == code
    assert str(tmp_path) in caught.value.sentence


@pytest.mark.parametrize("kind", ["absent", "folder", "link", "pipe"])
def test_a_csv_that_is_no_file(tmp_path, kind):
    path = tmp_path / "ref" / "val.csv"
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere.csv").write_bytes(file_of(*GOOD))
        path.symlink_to(tmp_path / "elsewhere.csv")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.parent.rmdir()
    with pytest.raises(BundleError) as caught:
        read_reference(path.parent)
    expected = "reference-missing" if kind == "absent" else "reference-unreadable"
    assert caught.value.code == expected


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='a,"\n\r01majorinec ', max_size=200).map(
            lambda text: f"{HEADER}\n{text}".encode()
        ),
        st.lists(
            st.tuples(
                st.sampled_from("abc"),
                st.sampled_from(["0", "1", "2", ""]),
                st.sampled_from([*GROUPS, "", "other"]),
            ),
            max_size=8,
        ).map(lambda rows: file_of(*(",".join(row) for row in rows))),
    )
)
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(BundleError):
        reference = parse_reference(data, "val.csv")
        assert len(set(reference.filenames)) == len(reference.hybrid) == len(reference.group) > 0
        assert set(reference.group) <= set(GROUPS)
        check_gradable(reference, GROUPS, "hybrid")
        assert len(set(zip(reference.group, reference.hybrid, strict=True))) == 6


def test_the_published_validation_labels_have_the_known_sizes():
    if not SHARED.is_file():
        pytest.skip("the published label file is not part of the repository")
    reference = parse_reference(SHARED.read_bytes(), SHARED.name)
    check_gradable(reference, GROUPS, "hybrid")
    pairs = list(zip(reference.group, reference.hybrid, strict=True))
    counts = [pairs.count((group, label)) for group in GROUPS for label in (False, True)]
    assert counts == [219, 190, 201, 17, 423, 125]
