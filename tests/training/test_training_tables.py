"""Training tables: what is read, what is refused and in which words."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimicry.demo.set_files import training_table
from mimicry.demo.sets import training_set
from mimicry.errors import SubmissionError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "hdr" / "butterfly_anomaly_train.csv"
HEADER = "filename,hybrid_stat,subspecies,parent_subspecies_1,parent_subspecies_2"
MD5 = "0" * 31 + "a"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "training"))
    return importlib.import_module("tables")


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "train.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.skipif(not REAL.is_file(), reason="the challenge's training table is not here")
def test_the_challenges_table_is_read(tables):
    rows = tables.read_table(REAL)
    assert len(rows) == 2082 and sum(row.hybrid for row in rows) == 91
    assert {row.cross for row in rows if row.hybrid} == {"8 x 9"}
    assert sum(row.subspecies == 8 for row in rows) == 856
    assert {row.subspecies for row in rows} == set(range(-1, 14))
    assert rows[0] == (
        "CAM017821.jpg",
        True,
        -1,
        "8 x 9",
        "https://zenodo.org/record/1748277/files/CAM017821_v_whitestandard.JPG",
        "ba38c61337e2d720f5f72451387d4a48",
    )
    assert all(row.url and row.md5 for row in rows)


def test_the_demos_table_is_read(tables, tmp_path):
    specimens = training_set(seed=1, scale=0.05)
    path = tmp_path / "butterfly_train.csv"
    path.write_text(training_table(specimens), encoding="utf-8")
    rows = tables.read_table(path)
    assert [row.filename for row in rows] == [one.filename for one in specimens]
    assert [row.hybrid for row in rows] == [one.is_hybrid for one in specimens]
    assert {row.cross for row in rows if row.hybrid} == {"8 x 9"}
    assert all(row.url is None and row.md5 is None for row in rows)
    assert all((row.subspecies == -1) == row.hybrid for row in rows)


def test_columns_may_come_in_any_order_and_with_others(tables, tmp_path):
    path = written(
        tmp_path,
        f"8.0,x,,{MD5.upper()},a.PNG,9.0,http://host/a%20b.png, hybrid ",
        header="parent_subspecies_1,note,subspecies,md5,filename,parent_subspecies_2,file_url,"
        "hybrid_stat",
    )
    (row,) = tables.read_table(path)
    assert row == ("a.PNG", True, -1, "8 x 9", "http://host/a%20b.png", MD5)


def test_mother_and_father_make_the_same_cross(tables, tmp_path):
    path = written(tmp_path, "a.jpg,hybrid,,10,9", "b.jpg,hybrid,,9.0,10.0", "c.jpg,non-hybrid,3,,")
    rows = tables.read_table(path)
    assert [row.cross for row in rows] == ["9 x 10", "9 x 10", ""]


@pytest.mark.parametrize(
    ("line", "code", "phrase"),
    [
        ("b.jpg,non-hybrid,3", "table-row", "3 cells where the header has 5"),
        ("b.jpg,yes,3,,", "table-value", "hybrid_stat is 'yes'"),
        ("b.jpg,non-hybrid,,,", "table-value", "subspecies is ''"),
        ("b.jpg,non-hybrid,-1,,", "table-value", "subspecies is '-1'"),
        ("b.jpg,non-hybrid,3.5,,", "table-value", "subspecies is '3.5'"),
        ("b.jpg,non-hybrid,1e3,,", "table-value", "subspecies is '1e3'"),
        ("b.jpg,non-hybrid,99999,,", "table-value", "subspecies is '99999'"),
        ("b.jpg,non-hybrid,٣,,", "table-value", "subspecies is '٣'"),
        ("b.jpg,hybrid,,8,", "table-value", "parent_subspecies_2 is ''"),
        ("b.jpg,hybrid,,8,8.0", "table-contradict", "both parents are of subspecies 8"),
        ("b.jpg,hybrid,8,8,9", "table-contradict", "subspecies is '8'"),
        ("b.jpg,non-hybrid,8,8,", "table-contradict", "parent_subspecies_1 is '8'"),
        ("a.jpg,non-hybrid,3,,", "table-duplicate", "already in row 2"),
        ("A.JPG,non-hybrid,3,,", "table-duplicate", "already in row 2"),
        (",non-hybrid,3,,", "table-file-name", "''"),
        ("../b.jpg,non-hybrid,3,,", "table-file-name", "../b.jpg"),
        ("/etc/b.jpg,non-hybrid,3,,", "table-file-name", "/etc/b.jpg"),
        ("a\\b.jpg,non-hybrid,3,,", "table-file-name", "b.jpg"),
        (".b.jpg,non-hybrid,3,,", "table-file-name", ".b.jpg"),
        ("C:b.jpg,non-hybrid,3,,", "table-file-name", "C:b.jpg"),
        ("b\x1b[31m.jpg,non-hybrid,3,,", "table-file-name", "is no plain name"),
        ("b.py,non-hybrid,3,,", "table-file-name", "b.py"),
        (f"{'b' * 300}.jpg,non-hybrid,3,,", "table-file-name", "bbb"),
    ],
)
def test_each_fault_is_named_with_its_row(tables, tmp_path, line, code, phrase):
    path = written(tmp_path, "a.jpg,non-hybrid,3,,", line)
    with pytest.raises(SubmissionError) as caught:
        tables.read_table(path)
    assert caught.value.code == code
    assert "train.csv, row 3" in caught.value.sentence
    assert phrase in caught.value.sentence


@pytest.mark.parametrize(
    ("url", "md5", "phrase"),
    [
        ("file:///etc/passwd", MD5, "file_url is 'file:///etc/passwd'"),
        ("ftp://host/a.jpg", MD5, "file_url"),
        ("https://user@host/a.jpg", MD5, "file_url"),
        ("http://host/a.jpg", "12", "md5 is '12'"),
        ("http://host/a.jpg", "g" * 32, "md5"),
    ],
)
def test_addresses_and_checksums_are_checked(tables, tmp_path, url, md5, phrase):
    path = written(tmp_path, f"a.jpg,non-hybrid,3,,,{url},{md5}", header=f"{HEADER},file_url,md5")
    with pytest.raises(SubmissionError, match="row 2") as caught:
        tables.read_table(path)
    assert caught.value.code == "table-value" and phrase in caught.value.sentence


@pytest.mark.parametrize(
    ("content", "code", "phrase"),
    [
        (b"", "table-unreadable", "empty"),
        (HEADER.encode(), "table-unreadable", "no rows"),
        (b"filename,hybrid_stat\na.jpg,hybrid\n", "table-columns", "no column subspecies, parent"),
        (f"{HEADER},filename\n".encode(), "table-columns", "filename occurs twice"),
        (f"{HEADER}\na\x00,,,,".encode(), "table-unreadable", "NUL"),
        (f"{HEADER}\n".encode() + b"\xff,hybrid,,8,9", "table-unreadable", "not UTF-8"),
        (f'{HEADER}\n"a.jpg,hybrid,,8,9'.encode(), "table-unreadable", "not valid CSV"),
    ],
)
def test_what_is_no_table_is_refused(tables, tmp_path, content, code, phrase):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(SubmissionError) as caught:
        tables.read_table(path)
    assert caught.value.code == code and phrase in caught.value.sentence


def test_a_missing_table_is_named(tables, tmp_path):
    with pytest.raises(SubmissionError, match=r"gone\.csv is missing"):
        tables.read_table(tmp_path / "gone.csv")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(max_size=12).map(lambda text: f"{text}.jpg"))
def test_no_accepted_name_leaves_the_folder(tables, tmp_path, name):
    path = tmp_path / "train.csv"
    quoted = name.replace('"', '""')
    path.write_text(f'{HEADER}\n"{quoted}",non-hybrid,3,,\n', encoding="utf-8", errors="replace")
    try:
        (row,) = tables.read_table(path)
    except SubmissionError:
        return
    for place in tables.places(row):
        target = (tmp_path / place).resolve()
        assert target.is_relative_to(tmp_path) and target.name == row.filename


def test_images_are_found_in_both_layouts(tables, tmp_path):
    pure = tables.Row("a.jpg", False, 3, "", None, None)
    hybrid = tables.Row("b.jpg", True, -1, "8 x 9", None, None)
    assert tables.find_image(tmp_path, pure) is None
    (tmp_path / "a.jpg").touch()
    assert tables.find_image(tmp_path, pure) == "a.jpg"
    for folder, name in (("non-hybrid", "a.jpg"), ("hybrid", "b.jpg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    assert tables.find_image(tmp_path, pure) == "non-hybrid/a.jpg"
    assert tables.find_image(tmp_path, hybrid) == "hybrid/b.jpg"
