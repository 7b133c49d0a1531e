"""Stimuli: what a folder or zip holds, by name and checksum."""

import dataclasses
import hashlib
import os
import stat
import zipfile

import pytest
from activations_store_helpers import write_images
from hypothesis import given
from hypothesis import strategies as st

from mimicry.activations.stimuli import (
    Stimulus,
    StimulusSet,
    catalogue_text,
    open_listed,
    read_catalogue,
    read_stimuli,
    read_stimuli_of,
    stimuli_key,
)
from mimicry.errors import BundleError


def pack(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def code(action, *arguments):
    with pytest.raises(BundleError) as raised:
        action(*arguments)
    assert "\n" not in raised.value.sentence
    return raised.value.code


def test_a_folder_and_its_zip_are_the_same_stimuli(tmp_path):
    folder = write_images(tmp_path / "images", count=9)
    (folder / "top.png").write_bytes((folder / "class-0" / "0000.png").read_bytes())
    (folder / ".DS_Store").write_bytes(b"clutter")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "readme.txt").write_bytes(b"clutter")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*g")}
    packed = pack(tmp_path / "images.zip", dict(reversed(files.items())) | {"__MACOSX/x": b""})
    reports = []
    found = read_stimuli(folder, "val", report=lambda *done: reports.append(done))
    again = read_stimuli(packed, "val")
    assert reports[-1] == (10, 10)
    assert found.stimuli == again.stimuli and found.key == again.key
    names = [one.image_identifier for one in found.stimuli]
    assert names == sorted(files)
    assert [one.class_name for one in found.stimuli] == [
        name.split("/")[0] if "/" in name else None for name in names
    ]
    for index, one in enumerate(found.stimuli):
        assert one.sha256 == hashlib.sha256(files[one.image_identifier]).hexdigest()
        assert one.size == len(files[one.image_identifier])
        assert found.read(index) == again.read(index) == files[one.image_identifier]


def test_the_key_is_of_names_and_checksums_in_order(tmp_path):
    one = Stimulus("val", "a/1.jpg", "0" * 64, "a", 3)
    two = Stimulus("val", "a/2.jpg", "1" * 64, "a", 3)
    key = stimuli_key([one, two])
    # Written out once by hand.
    rows = '["val","a/1.jpg","' + "0" * 64 + '"]\n["val","a/2.jpg","' + "1" * 64 + '"]\n'
    assert key == hashlib.sha256(rows.encode()).hexdigest()
    assert key == stimuli_key([dataclasses.replace(one, class_name=None), two])
    others = [
        [two, one],
        [one],
        [dataclasses.replace(one, sha256="2" * 64), two],
        [dataclasses.replace(one, dataset_name="test"), two],
    ]
    assert len({key, *map(stimuli_key, others)}) == 5


def test_several_data_sets_are_one_list(tmp_path):
    first = write_images(tmp_path / "first", count=2)
    second = write_images(tmp_path / "second", count=3)
    found = read_stimuli_of([("b", first), ("a", second)])
    assert [one.dataset_name for one in found.stimuli] == ["a"] * 3 + ["b"] * 2
    assert found.read(0) == (second / found.stimuli[0].image_identifier).read_bytes()
    assert code(read_stimuli_of, [("a", first), ("a", second)]) == "stimuli-name"
    assert code(read_stimuli, first, "") == "stimuli-name"


def test_links_and_pipes_are_refused(tmp_path):
    folder = write_images(tmp_path / "images", count=2)
    (folder / "link.jpg").symlink_to(folder / "class-1" / "0001.jpg")
    assert code(read_stimuli, folder, "val") == "stimuli-link"
    (folder / "link.jpg").unlink()
    (folder / "linked").symlink_to(folder / "class-1")
    assert code(read_stimuli, folder, "val") == "stimuli-link"
    (folder / "linked").unlink()
    os.mkfifo(folder / "pipe.jpg")
    assert code(read_stimuli, folder, "val") == "stimuli-link"
    (folder / "pipe.jpg").unlink()
    found = read_stimuli(folder, "val")
    target = folder / "class-1" / "0001.jpg"
    target.unlink()
    os.mkfifo(target)
    assert code(found.read, 1) == "stimuli-link"
    target.unlink()
    target.symlink_to(folder / "class-0" / "0000.png")
    assert code(found.read, 1) == "stimuli-link"
    info = zipfile.ZipInfo("a.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert code(read_stimuli, tmp_path / "link.zip", "val") == "stimuli-link"


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/a.jpg", "a/../b.jpg", "a//b.jpg", "C:/a.jpg", "a\nb.jpg", "a\\b.jpg"]
)
def test_unsafe_names_are_refused(tmp_path, name):
    packed = pack(tmp_path / "a.zip", {name: b"x"})
    assert code(read_stimuli, packed, "val") == "stimuli-name"
    folder = tmp_path / "folder"
    folder.mkdir()
    listed = open_listed([Stimulus("val", name, "0" * 64, None, 1)], [("val", folder)])
    assert code(listed.read, 0) == "stimuli-name"


def test_what_is_no_set_of_images_is_refused(tmp_path):
    folder = tmp_path / "images"
    assert code(read_stimuli, folder, "val") == "stimuli-missing"
    folder.mkdir()
    assert code(read_stimuli, folder, "val") == "stimuli-empty"
    (folder / "labels.csv").write_text("a,b")
    assert code(read_stimuli, folder, "val") == "stimuli-not-image"
    assert code(read_stimuli, folder / "labels.csv", "val") == "stimuli-unreadable"
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a.jpg", b"x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.jpg", b"y")
    assert code(read_stimuli, twice, "val") == "stimuli-name"
    packed = pack(tmp_path / "bad.zip", {"a.jpg": b"content that is changed"})
    data = bytearray(packed.read_bytes())
    data[data.index(b"content")] ^= 1
    packed.write_bytes(data)
    assert code(read_stimuli, packed, "val") == "stimuli-unreadable"


def test_a_list_cannot_vouch_for_images_that_changed(tmp_path):
    folder = write_images(tmp_path / "images", count=3)
    found = read_stimuli(folder, "val")
    listed = open_listed(found.stimuli, found.places)
    assert listed.key == found.key
    path = folder / found.stimuli[2].image_identifier
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    # With the size and time that it had.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert listed.read(0)
    assert code(listed.read, 2) == "stimulus-changed"
    assert read_stimuli(folder, "val").key != found.key
    path.unlink()
    assert code(listed.read, 2) == "stimuli-unreadable"
    assert code(open_listed, found.stimuli, [("other", folder)]) == "stimuli-missing"


def test_a_list_is_written_and_read(tmp_path):
    found = read_stimuli(write_images(tmp_path / "images", count=4), "vål")
    path = tmp_path / "stimuli.jsonl"
    path.write_text(catalogue_text(found.stimuli), encoding="utf-8")
    assert read_catalogue(path) == found.stimuli
    assert StimulusSet(read_catalogue(path)).key == found.key


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b'{"dataset_name":"a","image_identifier":"b","sha256":"0","size":1}',
        b'{"dataset_name":"a","image_identifier":"","sha256":"%s","size":1}' % (b"0" * 64),
        b'{"dataset_name":"a","image_identifier":"b","sha256":"%s","size":true}' % (b"0" * 64),
        b'{"dataset_name":"a","image_identifier":"b","sha256":"%s","size":-1}' % (b"0" * 64),
        b'{"dataset_name":"a","image_identifier":"b","sha256":"%s","size":1,"x":1}' % (b"0" * 64),
        b"[" * 8000,
        b" " * 9000,
    ],
)
def test_a_broken_row_is_named(tmp_path, line):
    good = catalogue_text([Stimulus("a", "a.jpg", "0" * 64, None, 1)]).encode()
    path = tmp_path / "stimuli.jsonl"
    path.write_bytes(good + line + b"\n")
    with pytest.raises(BundleError, match="line 2") as raised:
        read_catalogue(path)
    assert raised.value.code == "catalogue-row"
    path.write_bytes(good + good)
    assert code(read_catalogue, path) == "catalogue-row"
    path.write_bytes(b"")
    assert code(read_catalogue, path) == "catalogue-unreadable"


names = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs", "Cn", "Co"]), min_size=1
)


@given(
    st.lists(
        st.builds(
            Stimulus,
            names,
            names,
            st.text("0123456789abcdef", min_size=64, max_size=64),
            st.none() | names,
            st.integers(0, 2**40),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda one: (one.dataset_name, one.image_identifier),
    )
)
def test_any_list_reads_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("list") / "stimuli.jsonl"
    path.write_text(catalogue_text(rows), encoding="utf-8")
    assert read_catalogue(path) == tuple(rows)
