import errno
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.codabench.zips import folder_members, is_left_out, write_zip
from mimicry.errors import BundleError
from mimicry.files import remove_tree


def accept(archive: zipfile.ZipFile) -> None:
    pass


names = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6}){0,2}\.x", fullmatch=True)


@given(st.dictionaries(names, st.binary(max_size=300), max_size=8), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_zip_gives_back_what_was_put_in(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], compress: bool
) -> None:
    output = tmp_path_factory.mktemp("zips") / "a.zip"
    write_zip(output, members, compress=compress, check=accept)
    with zipfile.ZipFile(output) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert archive.namelist() == sorted(members)


@pytest.mark.parametrize("compress", [True, False])
def test_bytes_depend_on_names_and_contents_alone(tmp_path: Path, compress: bool) -> None:
    written = []
    for number, (mask, mode, when) in enumerate([(0o022, 0o600, 1e9), (0o077, 0o755, 1.5e9)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = ["b.txt", "a.txt", "ü.txt"] if number else ["ü.txt", "a.txt", "b.txt"]
        before = os.umask(mask)
        try:
            for name in files:
                (folder / name).write_text(name * 100)
                (folder / name).chmod(mode)
                os.utime(folder / name, (when, when))
            output = tmp_path / f"{number}.zip"
            write_zip(output, {n: folder / n for n in files}, compress=compress, check=accept)
        finally:
            os.umask(before)
        written.append(output.read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(output) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert info.external_attr >> 16 == stat.S_IFREG | 0o644


def test_bytes_and_files_of_the_same_content_give_the_same_zip(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    write_zip(tmp_path / "a.zip", {"f": b"content"}, compress=True, check=accept)
    write_zip(tmp_path / "b.zip", {"f": tmp_path / "f"}, compress=True, check=accept)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_refused_zip_leaves_the_old_one_and_no_temporary_file(tmp_path: Path) -> None:
    output = tmp_path / "a.zip"
    output.write_bytes(b"old")

    def refuse(archive: zipfile.ZipFile) -> None:
        raise BundleError("odd", "Odd.")

    with pytest.raises(BundleError):
        write_zip(output, {"f": b"new"}, compress=True, check=refuse)
    with pytest.raises(FileNotFoundError):
        write_zip(output, {"f": tmp_path / "gone"}, compress=True, check=accept)
    assert output.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_damage_on_the_way_to_the_disk_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: "f")
    with pytest.raises(BundleError, match="zip-broken"):
        write_zip(tmp_path / "a.zip", {"f": b"x"}, compress=True, check=accept)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("model.py", False),
        ("metadata", False),
        ("weights/clf.npz", False),
        (".DS_Store", True),
        ("__MACOSX/._model.py", True),
        (".git/config", True),
        ("a/__pycache__/m.cpython-311.pyc", True),
        ("m.pyc", True),
        ("Thumbs.db", True),
        ("a/.ipynb_checkpoints/x.py", True),
    ],
)
def test_what_is_never_packed(name: str, left_out: bool) -> None:
    assert is_left_out(name) is left_out


def test_links_are_followed_inside_and_refused_outside(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "real.txt").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "inside").symlink_to(folder / "real.txt")
    (folder / "sub" / "outside").symlink_to(tmp_path / "secret.txt")
    (folder / "broken").symlink_to("nowhere")
    (folder / "to_folder").symlink_to(folder / "sub")
    os.mkfifo(folder / "pipe")
    members, refused = folder_members(folder)
    assert list(members) == ["inside", "real.txt"]
    assert [one.name for one in refused] == ["broken", "pipe", "sub/outside", "to_folder"]
    assert {one.code for one in refused} == {"submission-link"}


def deep_folder(folder: Path, depth: int) -> None:
    """Make folders so deep that their path is longer than the system takes at once."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def test_hostile_folders_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    for name in ("deep", "shut"):
        (folder / name).mkdir(parents=True)
    (folder / "a.txt").write_text("x")
    (folder / "loop").symlink_to("pool")
    (folder / "pool").symlink_to("loop")
    (folder / "a\u202eb.txt").write_text("x")
    deep_folder(folder / "deep", 2500)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refuse)
            members, refused = folder_members(folder)
    finally:
        remove_tree(folder)
    assert not folder.exists()
    assert list(members) == ["a.txt"]
    assert {one.name[:6]: one.code for one in refused} == {
        "a\u202eb.tx": "submission-name",
        "deep/d": "submission-name",
        "loop": "submission-link",
        "pool": "submission-link",
        "shut": "submission-unreadable",
    }


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o700)
    (kept / "file").write_text("x")
    link = tmp_path / "link"
    link.symlink_to(kept)
    remove_tree(link)
    assert not link.is_symlink()
    assert (kept / "file").read_text() == "x"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
