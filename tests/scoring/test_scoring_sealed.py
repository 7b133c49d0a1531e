"""Sealed reference data open with their key, and with nothing else; no score without it."""

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.errors import BundleError
from mimicry.files import read_regular_file
from mimicry.reports.facts import Facts
from mimicry.reports.markup import element
from mimicry.scoring import sealed as sealed_module
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring
from mimicry.scoring.seal_keys import KEY_VARIABLE, parse_keys
from mimicry.scoring.sealed import SEALED_NAME, open_reference, opened_source, shown_as

KEY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
SECRET = b"filename,hybrid_stat\nbutterfly-7.jpg,1\n"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def seal(content: bytes, *identities: pyrage.x25519.Identity) -> bytes:
    return bytes(pyrage.encrypt(content, [one.to_public() for one in identities or (KEY,)]))


SEALED = seal(zipped({"labels.csv": SECRET}))


@pytest.fixture(autouse=True)
def _no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setattr("mimicry.scoring.seal_keys.IMAGE_KEY", tmp_path / "image" / "mimicry.key")


class Place:
    """The platform's folders with sealed reference data and a key."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        self.source = self.app / "input"
        self.ref, self.data = self.source / "ref", self.app / "data"
        self.output, self.program = self.app / "output", self.app / "program"
        for one in (self.ref, self.source / "res", self.data, self.program):
            one.mkdir(parents=True)
        self.key = self.data / "mimicry.key"
        self.key.write_text(f"# created: today\n# public key: {KEY.to_public()}\n\n{KEY}\n")
        self.put(SEALED)
        self.packed(sealed=True)

    def put(self, content: bytes) -> None:
        (self.ref / SEALED_NAME).write_bytes(content)

    def packed(self, **settings: object) -> None:
        names = {"competition": "c", "phase": "Final", "task": "x", "results_page": "full"}
        (self.program / "phase.json").write_text(json.dumps(names | settings))

    def run(self, score: Callable[[Path], Scored] | None = None) -> int:
        program = ScoringProgram("x", "Task", "nothing", ("score",), score or scored)
        return run_scoring(program, self.program, [str(self.source), str(self.output)])

    def fault(self) -> str:
        with pytest.raises(BundleError) as caught:
            open_reference(self.ref, self.app / "opened", self.data)
        assert "butterfly" not in str(caught.value)
        return caught.value.code


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def scored(source: Path) -> Scored:
    table = read_regular_file(source / "ref" / "labels.csv", 1000)

    def page(facts: Facts) -> list[object]:
        # Charts read the data again after the scores are written.
        again = (source / "ref" / "labels.csv").read_bytes()
        return [element("p", f"{len(again)} bytes again")]

    return Scored({"score": float(len(table))}, "1 image", page)  # type: ignore[arg-type]


def leftovers() -> set[str]:
    import tempfile

    return {p.name for p in Path(tempfile.gettempdir()).glob("mimicry-opened-*")}


def test_sealed_data_are_scored_and_nothing_of_them_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []

    def score(source: Path) -> Scored:
        seen.append(source)
        assert stat.S_IMODE(source.parent.stat().st_mode) == 0o700
        assert {p.name for p in source.parent.iterdir()} == {"data", "input"}
        assert (source.parent / "data" / "mimicry.key").exists()
        return scored(source)

    assert place.run(score) == 0
    assert json.loads((place.output / "scores.json").read_text()) == {"score": float(len(SECRET))}
    assert f"{len(SECRET)} bytes again" in (place.output / "detailed_results.html").read_text()
    assert seen[0].is_relative_to(tmp_path) and not seen[0].parent.exists()
    assert not leftovers()
    for path in place.output.rglob("*"):
        assert b"butterfly" not in path.read_bytes()


def test_paths_of_the_opened_folder_are_told_as_those_of_the_platform(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def score(source: Path) -> Scored:
        raise BundleError("bad", f"Look into {source / 'ref'}.", [f"Or {source / 'res'}."])

    assert place.run(score) == 4
    assert capsys.readouterr().err == f"Look into {place.ref}. [bad]\n"
    assert (
        not leftovers()
        and "mimicry-opened" not in (place.output / "detailed_results.html").read_text()
    )


@pytest.mark.parametrize(
    ("packed_as", "data", "code"),
    [
        (True, "plain", "seal-missing"),
        (True, "none", "seal-missing"),
        (False, "sealed", "seal-unexpected"),
        (None, "sealed", "seal-unexpected"),
        (True, "both", "seal-missing"),
        (False, "both", "seal-unexpected"),
    ],
)
def test_program_and_data_must_be_packed_alike(
    place: Place,
    packed_as: bool | None,
    data: str,
    code: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place.packed(**({} if packed_as is None else {"sealed": packed_as}))
    if data in {"plain", "none"}:
        (place.ref / SEALED_NAME).unlink()
    if data in {"plain", "both"}:
        (place.ref / "labels.csv").write_bytes(SECRET)
    assert place.run() == 4
    assert capsys.readouterr().err.endswith(f"[{code}]\n")
    assert [p.name for p in place.output.iterdir()] == ["detailed_results.html"]


def test_settings_that_say_neither_are_refused(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.packed(sealed="no")
    assert place.run() == 4
    assert capsys.readouterr().err.endswith("[phase-settings]\n")


def test_without_settings_data_are_taken_as_they_are(place: Place) -> None:
    (place.program / "phase.json").unlink()
    assert place.run() == 0
    (place.ref / SEALED_NAME).unlink()
    (place.ref / "labels.csv").write_bytes(SECRET)
    assert place.run() == 0


class TestKeys:
    def test_the_first_place_that_has_a_file_counts(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        image = tmp_path / "image" / "mimicry.key"
        image.parent.mkdir()
        image.write_text(str(OTHER))
        open_reference(place.ref, tmp_path / "one", place.data)
        place.key.unlink()
        assert place.fault() == "seal-key-wrong"
        image.write_text(str(KEY))
        open_reference(place.ref, tmp_path / "two", None)
        named = tmp_path / "elsewhere"
        monkeypatch.setenv(KEY_VARIABLE, str(named))
        assert place.fault() == "seal-key-missing"
        named.write_text(str(KEY))
        open_reference(place.ref, tmp_path / "three", place.data)
        assert (tmp_path / "three" / "labels.csv").read_bytes() == SECRET

    def test_one_of_several_keys_and_recipients_is_enough(
        self, place: Place, tmp_path: Path
    ) -> None:
        place.put(seal(zipped({"labels.csv": SECRET}), OTHER, KEY))
        place.key.write_text(f"{pyrage.x25519.Identity.generate()}\n# old one\n{KEY}\n")
        open_reference(place.ref, tmp_path / "one", place.data)

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (None, "seal-key-missing"),
            (b"", "seal-key-unreadable"),
            (b"# only a comment\n", "seal-key-unreadable"),
            (str(KEY).encode()[:-1], "seal-key-unreadable"),
            (str(KEY.to_public()).encode(), "seal-key-unreadable"),
            (b"\xff\xfe\x00", "seal-key-unreadable"),
            (b"#" * 70_000, "seal-key-unreadable"),
            (f"{KEY}\n".encode() * 101, "seal-key-unreadable"),
            (str(OTHER).encode(), "seal-key-wrong"),
        ],
        # Keys are made anew in each process, and names of tests must be the same in all.
        ids=(
            *("missing", "empty", "comment", "cut", "public", "binary", "huge", "many"),
            "another",
        ),
    )
    def test_other_keys_open_nothing(self, place: Place, content: bytes | None, code: str) -> None:
        place.key.unlink()
        if content is not None:
            place.key.write_bytes(content)
        assert place.fault() == code

    def test_a_link_or_a_folder_is_no_key(self, place: Place) -> None:
        moved = place.key.rename(place.app / "moved.key")
        place.key.symlink_to(moved)
        assert place.fault() == "seal-key-unreadable"
        place.key.unlink()
        place.key.mkdir()
        assert place.fault() == "seal-key-unreadable"

    @given(st.binary(max_size=200))
    def test_any_other_file_is_refused_without_being_repeated(self, content: bytes) -> None:
        with pytest.raises(BundleError) as caught:
            parse_keys(content)
        assert caught.value.code == "seal-key-unreadable"

    def test_a_key_that_comes_late_is_waited_for(self, place: Place) -> None:
        text = place.key.read_text()
        place.key.unlink()
        bring = threading.Timer(0.4, lambda: place.key.write_text(text))
        bring.start()
        with opened_source(place.source, True, wait=30) as opened:
            assert (opened / "ref" / "labels.csv").read_bytes() == SECRET
        bring.join()

    def test_no_library_no_scores(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyrage", None)
        assert place.fault() == "seal-library"

    def test_the_library_is_loaded_for_sealed_data_alone(self, place: Place) -> None:
        (place.ref / SEALED_NAME).unlink()
        code = (
            "import sys; from pathlib import Path; from mimicry.scoring.sealed import opened_source"
            f"\nwith opened_source(Path({str(place.source)!r}), False): pass"
            "\nassert 'pyrage' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestDamage:
    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_a_changed_file_never_opens(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        place = Place(tmp_path_factory.mktemp("changed"))
        content = bytearray(SEALED)
        kind = data.draw(st.sampled_from(("flip", "cut", "extend", "insert")))
        # The length of a header is drawn when it is made.
        at = data.draw(st.integers(0, 100_000)) % len(content)
        more = data.draw(st.binary(min_size=1, max_size=20))
        if kind == "flip":
            content[at] ^= 1 << more[0] % 8
        elif kind == "cut":
            del content[at:]
        else:
            at = len(content) if kind == "extend" else at
            content[at:at] = more
        place.put(bytes(content))
        assert place.fault() in {"seal-damaged", "seal-key-wrong"}
        assert not (place.app / "opened.zip").exists()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            SECRET,
            zipped({"labels.csv": SECRET}),
            pyrage.encrypt(zipped({"a": SECRET}), [KEY.to_public()], armored=True),
            seal(b"no zip"),
            seal(zipped({"a": SECRET})[:-30]),
        ],
        ids=("empty", "plain", "plain zip", "armored", "no zip inside", "cut zip inside"),
    )
    def test_what_is_not_sealed_data_is_refused(self, place: Place, content: bytes) -> None:
        place.put(content)
        assert place.fault() == "seal-damaged"

    def test_a_passphrase_is_no_key(self, place: Place) -> None:
        stanza = f"-> scrypt {'A' * 22} 10\n{'A' * 43}\n--- {'A' * 43}\n"
        place.put(b"age-encryption.org/v1\n" + stanza.encode() + bytes(100))
        assert place.fault() in {"seal-damaged", "seal-key-wrong"}

    @pytest.mark.parametrize(
        "name", ["../out", "/out", "a/../../out", "a\\b", "./a", "a//b", "..", "a\0b"]
    )
    def test_names_that_lead_elsewhere_are_refused(self, place: Place, name: str) -> None:
        content = zipped({"labels.csv": SECRET, name.replace("\0", "?"): b"x"})
        if "\0" in name:
            content = content.replace(b"a?b", b"a\0b")
        place.put(seal(content))
        assert place.fault() == "seal-damaged"
        assert not (place.app / "out").exists()

    def test_links_doubles_and_files_as_folders_are_refused(self, place: Place) -> None:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        for members in (
            [(link, b"/etc/passwd")],
            [("a", b"1"), ("a", b"2")],
            [("a", b"1"), ("a/b", b"2")],
        ):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive, pytest.MonkeyPatch.context() as patched:
                patched.setattr("warnings.warn", lambda *a, **k: None)
                for info, data in members:
                    archive.writestr(info, data)
            place.put(seal(buffer.getvalue()))
            assert place.fault() == "seal-damaged"
            subprocess.run(["rm", "-rf", str(place.app / "opened")], check=True)

    def test_too_much_is_not_unpacked(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealed_module, "LARGEST_OPENED", 10)
        assert place.fault() == "seal-damaged"

    def test_a_link_in_place_of_the_file_is_not_followed(self, place: Place) -> None:
        moved = (place.ref / SEALED_NAME).rename(place.app / "moved")
        (place.ref / SEALED_NAME).symlink_to(moved)
        assert place.fault() == "seal-damaged"

    def test_a_name_too_long_for_this_system_is_damage(self, place: Place) -> None:
        place.put(seal(zipped({"butterfly" * 30: b"x"})))
        assert place.fault() == "seal-damaged"

    @pytest.mark.parametrize(
        ("number", "code"),
        [
            (errno.ENOSPC, "temporary-folder"),
            (errno.EDQUOT, "temporary-folder"),
            (errno.EROFS, "temporary-folder"),
            (errno.EINVAL, "seal-damaged"),
            (None, "seal-damaged"),
        ],
    )
    def test_only_a_full_or_closed_disk_is_no_room(
        self, place: Place, number: int | None, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(source: object, target: object, length: int) -> None:
            raise OSError("butterfly") if number is None else OSError(number, "no")

        monkeypatch.setattr("shutil.copyfileobj", fail)
        assert place.fault() == code

    def test_no_room_is_told(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(place.app / "nothing"))
        with (
            pytest.raises(BundleError, match="temporary-folder"),
            opened_source(place.source, True),
        ):
            pass


def test_an_end_by_signal_leaves_nothing_open(place: Place, tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from mimicry.scoring.sealed import opened_source"
        f"\nwith opened_source(Path({str(place.source)!r}), True) as opened:"
        "\n    print(opened, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        opened = Path(process.stdout.readline().strip())
        assert (opened / "ref" / "labels.csv").read_bytes() == SECRET
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert opened.is_relative_to(tmp_path) and not opened.parent.exists()


def test_errors_of_plain_data_are_left_alone(tmp_path: Path) -> None:
    error = BundleError("bad", f"Look into {tmp_path}.")
    with pytest.raises(BundleError) as caught, shown_as(tmp_path, tmp_path):
        raise error
    assert caught.value is error
