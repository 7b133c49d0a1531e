"""The table of labels, the files it means, the splits made of it."""

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from data_sets_photographs import write_table
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.data_sets.label_faults import labels_table, row_findings
from mimicry.data_sets.labels import Row, read_labels
from mimicry.data_sets.options import UnfitDataError
from mimicry.data_sets.sources import Listing, list_files, match
from mimicry.data_sets.splits import anonymous_names, make_splits
from mimicry.errors import BundleError
from mimicry.hybrids.reference import COLUMNS, parse_reference

PLAIN = {"filename": "a.jpg", "hybrid_stat": "1", "ssp_indicator": "major"}


def row(filename: str, group: str = "major", hybrid: bool = False) -> Row:
    return Row(2, filename, hybrid, group)


def test_a_table_is_read_with_all_its_columns(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "labels.csv",
        [
            PLAIN | {"split": " Final ", "CAMID": "CAM1", "note": "à, b"},
            PLAIN | {"filename": "b.jpg", "split": "training", "CAMID": "", "note": ""},
        ],
    )
    labels = read_labels(path)
    one, other = labels.rows
    assert labels.has_splits and labels.specimen_column == "CAMID"
    assert (one.number, one.label, one.split, one.specimen) == (2, ("major", True), "final", "CAM1")
    assert one.other == {"split": "Final", "CAMID": "CAM1", "note": "à, b"}
    assert other.specimen is None
    assert read_labels(path, specimen="note").rows[0].specimen == "à, b"
    assert read_labels(path, use_splits=False).rows[0].split is None


@pytest.mark.parametrize(
    ("rows", "options", "code"),
    [
        ([PLAIN | {"split": "test"}], {}, "labels-split"),
        ([PLAIN | {"split": ""}], {}, "labels-split"),
        ([PLAIN], {"specimen": "CAMID"}, "labels-column"),
        ([PLAIN, PLAIN], {}, "reference-duplicate"),
        ([PLAIN | {"hybrid_stat": "hybrid"}], {}, "reference-label"),
        ([PLAIN | {"ssp_indicator": "Major"}], {}, "reference-group"),
        ([PLAIN | {"filename": " "}], {}, "reference-filename"),
        ([{"filename": "a.jpg"}], {}, "reference-columns"),
        ([PLAIN | {" filename": "b.jpg"}], {}, "labels-column"),
    ],
)
def test_a_faulty_table_is_refused(
    tmp_path: Path, rows: list[dict[str, str]], options: dict[str, str], code: str
) -> None:
    with pytest.raises(BundleError) as caught:
        read_labels(write_table(tmp_path / "labels.csv", rows), **options)
    found = caught.value
    codes = [one.code for one in found.findings] if isinstance(found, UnfitDataError) else []
    assert (codes or [found.code]) == [code]


def test_all_faults_of_the_rows_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(
        "filename,hybrid_stat,ssp_indicator,split\n"
        "a.jpg,1,major,final\nb.jpg,yes,Minor,final\na.jpg,0,minor,test\n"
        "c.jpg,0\n,2,mimic,final\nd.jpg,,mimic,final\n"
    )
    with pytest.raises(UnfitDataError) as caught:
        read_labels(path)
    assert {one.code: one.items for one in caught.value.findings} == {
        "reference-row": ("row 5: 2 instead of 4",),
        "reference-filename": ("row 6: ''",),
        "reference-label": ("row 3 (b.jpg): 'yes'", "row 6: '2'", "row 7 (d.jpg): ''"),
        "reference-group": ("row 3 (b.jpg): 'Minor'",),
        "reference-duplicate": ("row 4 (a.jpg): as row 2",),
        "labels-split": ("row 4 (a.jpg): 'test'",),
    }
    sentences = [one.sentence for one in caught.value.findings]
    assert sentences[1].startswith("1 row of") and sentences[2].startswith("3 rows of")
    with pytest.raises(UnfitDataError) as caught:
        read_labels(path, use_splits=False)
    assert "labels-split" not in {one.code for one in caught.value.findings}


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"filename;hybrid_stat;ssp_indicator\na.jpg;1;major\n", "semicolons"),
        (b"filename\thybrid_stat\tssp_indicator\na.jpg\t1\tmajor\n", "tabs"),
        ("filename,hybrid_stat,ssp_indicator\né.jpg,1,major\n".encode("latin-1"), "UTF-8"),
        (b"", "is empty"),
        (b"filename,hybrid_stat,ssp_indicator\n", "no rows"),
        (b"filename,label\na.jpg,1\n", "no columns hybrid_stat, ssp_indicator"),
    ],
)
def test_a_table_of_another_form_is_named_as_the_table_of_labels(
    tmp_path: Path, data: bytes, word: str
) -> None:
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(BundleError) as caught:
        read_labels(tmp_path / "labels.csv")
    assert word in caught.value.sentence and "table of labels" in caught.value.sentence
    assert "reference data" not in caught.value.sentence


CELL = st.sampled_from(["a.jpg", "b.jpg", "", " ", "0", "1", "major", "mimic", "x", "1 "])


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_rows_are_faulty_where_the_scoring_refuses_them(rows: list[list[str]]) -> None:
    text = "".join(",".join(f'"{cell}"' for cell in cells) + "\n" for cells in [COLUMNS, *rows])
    titles, read = labels_table(text.encode(), "labels.csv")
    found = {one.code for one in row_findings(titles, read, use_splits=True)}
    try:
        parse_reference(text.encode(), "labels.csv")
    except BundleError as error:
        assert error.code in found
    else:
        assert not found


def test_a_table_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    write_table(tmp_path / "real.csv", [PLAIN])
    (tmp_path / "labels.csv").symlink_to(tmp_path / "real.csv")
    with pytest.raises(BundleError) as caught:
        read_labels(tmp_path / "labels.csv")
    assert caught.value.code == "reference-unreadable"


def test_files_are_listed_without_clutter_and_links(tmp_path: Path) -> None:
    (tmp_path / "sub folder").mkdir()
    for name in ("a b.jpg", "sub folder/é.JPG", ".hidden.jpg", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a b.jpg")
    (tmp_path / "folder link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    listing = list_files(tmp_path)
    assert listing.files == ("a b.jpg", "sub folder/é.JPG")
    assert listing.links == ("folder link", "link.jpg", "pipe.jpg")
    assert set(match([row("link.jpg"), row("a b.jpg")], listing).faults) == {
        "image-link",
        "image-unlabelled",
    }


@pytest.mark.parametrize(
    ("files", "wanted", "found"),
    [
        (["a.jpg", "x/a.jpg"], "a.jpg", "a.jpg"),
        (["A.jpg", "a.jpg"], "a.jpg", "a.jpg"),
        (["x/a.jpg"], "a.jpg", "x/a.jpg"),
        (["a.JPG"], "a.jpg", "a.JPG"),
        (["x/A.JPG"], "a.jpg", "x/A.JPG"),
        (["cafe\u0301.jpg"], "caf\u00e9.jpg", "cafe\u0301.jpg"),
        (["x/a.jpg"], "./x/a.jpg", "x/a.jpg"),
        (["x/a.jpg", "y/a.jpg"], "a.jpg", "image-ambiguous"),
        (["A.jpg", "a.JPG"], "a.jpg", "image-ambiguous"),
        (["a.jpg"], "b.jpg", "image-missing"),
        (["a.jpg"], "../a.jpg", "a.jpg"),
        (["a.jpg"], "/etc/passwd", "image-missing"),
    ],
)
def test_rows_find_their_files(files: list[str], wanted: str, found: str) -> None:
    matches = match([row(wanted)], Listing(tuple(files), ()))
    if found.startswith("image-"):
        assert not matches.found and found in matches.faults
    else:
        assert matches.found == {wanted: found}


def test_two_rows_do_not_share_a_file() -> None:
    matches = match([row("a.jpg"), row("A.jpg")], Listing(("a.jpg",), ()))
    assert matches.found == {"a.jpg": "a.jpg"} and list(matches.faults) == ["image-shared"]


def test_files_that_are_no_images_need_no_row() -> None:
    matches = match([row("a.jpg")], Listing(("a.jpg", "labels.csv", "b.png", "c.HEIC"), ()))
    assert matches.faults == {"image-unlabelled": ["b.png", "c.HEIC"]}


ROWS = st.lists(
    st.tuples(st.sampled_from(["major", "minor", "mimic"]), st.booleans(), st.integers(0, 12)),
    min_size=1,
    max_size=60,
)


@given(drawn=ROWS, training=st.sampled_from([0.0, 1.0]), shuffle=st.randoms())
@settings(max_examples=100, deadline=None)
def test_splits_never_divide_a_unit_nor_show_what_is_to_be_found(
    drawn: list[tuple[str, bool, int]], training: float, shuffle: object
) -> None:
    rows = [row(f"{i}.jpg", group, hybrid) for i, (group, hybrid, _) in enumerate(drawn)]
    units = [unit for *_, unit in drawn]
    shares = {"development": 1.0, "final": 2.0, "training": training}
    splits = make_splits(rows, units, shares, b"seed")
    assert len(set(zip(units, splits, strict=True))) == len(set(units))
    shown = [one for one, split in zip(rows, splits, strict=True) if split == "training"]
    assert all(one.may_train for one in shown) and (training or not shown)
    order = list(range(len(rows)))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    again = make_splits([rows[i] for i in order], [units[i] for i in order], shares, b"seed")
    assert again == [splits[i] for i in order]


def test_splits_have_each_class_in_proportion() -> None:
    rows = [
        row(f"{group}{hybrid}{i}.jpg", group, hybrid)
        for group, hybrid, count in [("major", True, 300), ("minor", True, 3), ("mimic", False, 90)]
        for i in range(count)
    ]
    splits = make_splits(rows, range(len(rows)), {"development": 1, "final": 2}, b"seed")
    counts = Counter((one.group, split) for one, split in zip(rows, splits, strict=True))
    assert counts == {
        ("major", "development"): 100,
        ("major", "final"): 200,
        ("minor", "development"): 1,
        ("minor", "final"): 2,
        ("mimic", "development"): 30,
        ("mimic", "final"): 60,
    }
    other = make_splits(rows, range(len(rows)), {"development": 1, "final": 2}, b"another")
    assert other != splits


def test_names_are_different_and_depend_on_the_seed_alone() -> None:
    originals = [f"{i}.jpg" for i in range(1000)]
    names = anonymous_names(originals, b"seed")
    assert names == anonymous_names(originals[::-1], b"seed")
    assert len(set(names.values())) == 1000
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names.values())
    assert not set(names.values()) & set(anonymous_names(originals, b"other").values())
    # Their order tells nothing of the original order: about half of the neighbours go down.
    ordered = [names[original] for original in originals]
    falls = sum(b < a for a, b in pairwise(ordered))
    assert 400 < falls < 600
