"""Packed competitions whose labels only a key opens, from packing to scores."""

import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyrage
import pytest
from codabench_minibundle import copy_repository, document, make_bundle, make_zip, write_yaml
from codabench_scored_runs import ROOT, Place, labels, skilled
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.cli import main
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES
from mimicry.codabench.packing import pack_competition
from mimicry.codabench.records import read_run
from mimicry.codabench.rescoring import rescored
from mimicry.codabench.sealing import (
    header_fault,
    is_sealed,
    new_key,
    read_recipients,
    seal_zip,
    sealed_fault,
)
from mimicry.codabench.validation.report import Report, validate_bundle
from mimicry.errors import BundleError
from mimicry.scoring.sealed import SEALED_NAME, open_reference

KEY = pyrage.x25519.Identity.generate()
RECIPIENT = str(KEY.to_public())
TASKS = {"two-task": ("A", "mimic"), "hybrid": ("hybrid",), "blue": ("blue",), "red": ("red",)}


@pytest.fixture(autouse=True)
def _no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIMICRY_KEY_FILE", raising=False)


def keep_key(folder: Path) -> Path:
    """Write the key as it lies on a worker."""
    folder.mkdir(exist_ok=True)
    (folder / "mimicry.key").write_text(f"{KEY}\n")
    return folder


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


class TestKeys:
    def test_a_key_is_written_for_its_owner_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "new.key"
        assert main(["seal-key", str(file)]) == 0
        said = capsys.readouterr()
        recipient = said.out.strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        created, public, secret = file.read_text().splitlines()
        assert created.startswith("# created: ") and public == f"# public key: {recipient}"
        identity = pyrage.x25519.Identity.from_str(secret)
        assert str(identity.to_public()) == recipient
        assert secret not in said.out + said.err
        before = file.read_bytes()
        assert main(["seal-key", str(file)]) == 4
        assert capsys.readouterr().err.endswith("[seal-key-taken]\n")
        assert file.read_bytes() == before

    @pytest.mark.parametrize("mark", [".git", "competition.yaml"])
    def test_a_key_among_files_that_get_passed_on_is_warned_of(
        self, tmp_path: Path, mark: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "shared/keys").mkdir(parents=True)
        (tmp_path / "shared" / mark).touch()
        assert main(["seal-key", str(tmp_path / "shared/keys/a.key")]) == 0
        said = capsys.readouterr()
        assert f"{tmp_path / 'shared'}, whose files get passed on" in said.err
        assert said.out.startswith("age1") and said.out.count("\n") == 1
        assert main(["seal-key", str(tmp_path / "b.key")]) == 0
        assert "warning" not in capsys.readouterr().err

    def test_a_link_is_not_written_through(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "target")
        with pytest.raises(BundleError, match="seal-key-taken"):
            new_key(tmp_path / "link")
        assert not (tmp_path / "target").exists()
        with pytest.raises(BundleError, match="seal-key-unwritable"):
            new_key(tmp_path / "no folder" / "key")

    def test_recipients_come_from_words_and_files_each_once(self, tmp_path: Path) -> None:
        other = str(pyrage.x25519.Identity.generate().to_public())
        (tmp_path / "list").write_text(f"# ours\n\n{other}\n{RECIPIENT}\n")
        found = read_recipients([RECIPIENT, str(tmp_path / "list")])
        assert list(map(str, found)) == [RECIPIENT, other]

    @pytest.mark.parametrize(
        "text",
        ["", "# nothing\n", "age1", RECIPIENT[:-1], str(KEY), "ssh-ed25519 AAAA", "\xff"],
        # Keys are made anew in each process, and names of tests must be the same in all.
        ids=("nothing", "comment", "beginning", "cut", "secret", "ssh", "latin"),
    )
    def test_nothing_else_is_a_recipient(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "list").write_bytes(text.encode("latin-1"))
        for named in (text, str(tmp_path / "list")):
            with pytest.raises(BundleError) as caught:
                read_recipients([named])
            assert caught.value.code == "seal-recipient"
            assert str(KEY) not in caught.value.sentence

    def test_a_list_may_begin_with_a_byte_order_mark(self, tmp_path: Path) -> None:
        (tmp_path / "list").write_bytes(b"\xef\xbb\xbf" + f"{RECIPIENT}\n".encode())
        assert list(map(str, read_recipients([str(tmp_path / "list")]))) == [RECIPIENT]

    @pytest.mark.parametrize(
        "value",
        ["age1" + "a" * 100_000, "b" * 100_000, "age1\udcff"],
        ids=("recipient", "file", "no text"),
    )
    def test_what_is_no_recipient_is_not_repeated_whole(self, value: str) -> None:
        with pytest.raises(BundleError) as caught:
            read_recipients([value])
        assert caught.value.code == "seal-recipient"
        assert len(caught.value.sentence) < 300

    def test_an_empty_recipient_has_a_name_in_the_sentence(self) -> None:
        with pytest.raises(BundleError, match=r"^an empty name is no recipient"):
            read_recipients([""])

    def test_a_key_goes_to_a_file_with_a_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["seal-key", "-"]) == 2
        assert not list(tmp_path.iterdir())
        capsys.readouterr()
        assert main(["seal-key", "k" * 300]) == 4
        error = capsys.readouterr().err
        assert error.endswith("[seal-key-unwritable]\n") and "k" * 100 not in error


class TestSealing:
    @settings(max_examples=40, deadline=None)
    @given(content=st.binary(max_size=200_000))
    def test_any_bytes_come_back_and_only_their_number_shows(
        self, content: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("sealed")
        (folder / "plain").write_bytes(content)
        seal_zip(folder / "plain", folder / "sealed.zip", read_recipients([RECIPIENT]))
        with zipfile.ZipFile(folder / "sealed.zip") as archive:
            (info,) = archive.infolist()
            sealed = archive.read(info)
        assert info.filename == SEALED_NAME
        assert pyrage.decrypt(sealed, [KEY]) == content
        if len(content) > 8:
            # The zip around it has runs of zeros of its own.
            assert content not in sealed
        assert is_sealed(folder / "sealed.zip")
        assert header_fault(sealed, len(sealed), len(content)) is None
        assert header_fault(sealed, len(sealed), len(content) + 1) is not None

    @pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 131073])
    def test_cut_files_are_told_without_a_key(self, size: int) -> None:
        sealed = pyrage.encrypt(bytes(size), [KEY.to_public()])
        assert header_fault(sealed, len(sealed), size) is None
        assert header_fault(sealed, len(sealed) - 1, size) is not None
        start = sealed.index(b"\n---")
        for length in (0, 10, start, start + 20, start + 49, start + 65):
            assert header_fault(sealed[:length], length) is not None

    def test_other_forms_are_told(self, tmp_path: Path) -> None:
        assert "age format" in str(header_fault(b"PK\x03\x04", 4))
        armored = pyrage.encrypt(b"x", [KEY.to_public()], armored=True)
        assert "age format" in str(header_fault(armored, len(armored)))
        phrase = f"age-encryption.org/v1\n-> scrypt {'A' * 22} 10\n{'A' * 43}\n--- {'A' * 43}\n"
        assert "recipient" in str(header_fault(phrase.encode() + bytes(32), len(phrase) + 32))
        for members in ({"labels.csv": b"x"}, {SEALED_NAME: b"x", "more": b"y"}):
            path = make_zip(tmp_path / "one.zip", members)
            assert not is_sealed(path) and sealed_fault(io.BytesIO(path.read_bytes()))

    def test_folders_and_other_things(self, tmp_path: Path) -> None:
        assert not is_sealed(None) and not is_sealed(tmp_path) and not is_sealed(tmp_path / "no")
        (tmp_path / SEALED_NAME).write_bytes(b"x")
        (tmp_path / ".DS_Store").write_bytes(b"x")
        assert is_sealed(tmp_path)


def packed(bundle: Path, id: str, *, seal: bool = True) -> Path:
    recipients = read_recipients([RECIPIENT]) if seal else ()
    return pack_competition(load_competition(bundle, id), bundle / "dist", recipients).path


@pytest.mark.parametrize("id", list(TASKS))
def test_every_competition_packs_sealed(tmp_path: Path, id: str) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    competition = load_competition(bundle, id)
    path = packed(bundle, id)
    tasks = [(p, t) for p in competition.phases for t in p.tasks]
    with zipfile.ZipFile(path) as archive:
        for number, (_, task) in enumerate(tasks):
            assert task.reference_data is not None
            name = task.reference_data.relative_to(bundle).as_posix()
            ref = tmp_path / f"ref-{number}"
            with zipfile.ZipFile(io.BytesIO(archive.read(name))) as inner:
                assert inner.namelist() == [SEALED_NAME]
                inner.extractall(ref)
            open_reference(ref, tmp_path / f"open-{number}", keep_key(tmp_path / "data"))
            with zipfile.ZipFile(task.reference_data) as plain:
                for member in plain.namelist():
                    opened = tmp_path / f"open-{number}" / member
                    assert opened.read_bytes() == plain.read(member)
        names = archive.namelist()
        told = [json.loads(archive.read(n)) for n in names if n.endswith("/phase.json")]
        assert told and all(one["sealed"] is True for one in told)
        scoring = [n for n in names if n.endswith("mimicry/scoring/sealed.py")]
        assert len(scoring) == len(tasks)
        whole = path.read_bytes()
    for _, task in tasks:
        assert task.reference_data is not None
        with zipfile.ZipFile(task.reference_data) as plain:
            secret = [n for n in plain.namelist() if n.endswith(".csv")]
            assert not any(plain.read(name) in whole for name in secret)
    report = validate_bundle(path)
    assert report.errors == 0
    assert any("is sealed" in line for line in report.unread)
    assert any("pyrage" in line for line in report.unread)


def test_without_the_option_nothing_is_sealed(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    path = packed(bundle, "two-task", seal=False)
    with zipfile.ZipFile(path) as archive:
        assert not any(SEALED_NAME.encode() in archive.read(n) for n in archive.namelist()[:0])
        assert (
            archive.read("reference_data/val.zip")
            == (bundle / "reference_data/val.zip").read_bytes()
        )
    assert not validate_bundle(path).unread


class TestCommand:
    def test_it_packs_and_says_what_cannot_be_seen(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = copy_repository(tmp_path / "bundle")
        arguments = ["pack", "--bundle", str(bundle), "--competition", "hybrid", "--seal"]
        assert main([*arguments, RECIPIENT]) == 0
        assert "note    reference_data/val.zip is sealed" in capsys.readouterr().out
        assert main([*arguments, "age1nobody"]) == 4
        assert capsys.readouterr().err.endswith("[seal-recipient]\n")

    def test_labels_in_public_files_are_found_before_they_are_sealed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = make_bundle(tmp_path / "bundle")
        with zipfile.ZipFile(bundle / "reference_data/val.zip") as archive:
            (bundle / "pages/overview.md").write_bytes(archive.read("val.csv"))
        arguments = ["pack", "--bundle", str(bundle), "--seal", RECIPIENT]
        assert main(arguments) == 4
        said = capsys.readouterr()
        assert "[leak-file]" in said.out and said.err.endswith("[bundle-invalid]\n")
        assert not (bundle / "dist").exists()

    def test_a_secret_key_is_never_packed(self, tmp_path: Path) -> None:
        bundle = make_bundle(tmp_path / "bundle")
        (bundle / "scoring_program_x/notes.txt").write_text(f"our key: {KEY}\n")
        for seal in (True, False):
            with pytest.raises(BundleError, match="seal-key-inside") as caught:
                packed(bundle, "two-task", seal=seal)
            assert str(KEY) not in str(caught.value)
        assert not list(bundle.glob("dist/*"))

    def test_sealed_data_are_not_packed_again(self, tmp_path: Path) -> None:
        bundle = make_bundle(tmp_path / "bundle")
        plain = bundle / "reference_data/val.zip"
        seal_zip(plain, bundle / "sealed.zip", read_recipients([RECIPIENT]))
        (bundle / "sealed.zip").replace(plain)
        for seal in (True, False):
            with pytest.raises(BundleError, match="seal-sealed"):
                packed(bundle, "two-task", seal=seal)


def rewritten(path: Path, change: dict[str, Any]) -> Path:
    """Copy a packed competition with some members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, new in change.items():
        members[name] = new(members[name])
    return make_zip(path.with_name("changed.zip"), members)


def resealed(data: bytes, change: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sealed = archive.read(SEALED_NAME)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in change(sealed).items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("reference_data/val.zip", lambda s: {SEALED_NAME: b"x" + s}, "seal-damaged"),
        ("reference_data/val.zip", lambda s: {SEALED_NAME: s[:200]}, "seal-damaged"),
        ("reference_data/val.zip", lambda s: {SEALED_NAME: s, "a.txt": b"x"}, "seal-missing"),
        ("reference_data/val.zip", lambda s: {"val.csv": b"filename,x\na.png,1\n"}, "seal-missing"),
    ],
)
def test_validation_tells_what_can_be_seen_from_outside(
    tmp_path: Path, name: str, change: Any, code: str
) -> None:
    path = packed(copy_repository(tmp_path / "bundle"), "hybrid")
    broken = rewritten(path, {name: lambda data: resealed(data, change)})
    assert code in codes(validate_bundle(broken))


def test_validation_compares_programs_and_data(tmp_path: Path) -> None:
    path = packed(copy_repository(tmp_path / "bundle"), "hybrid")
    settings = "development/scoring_program_hybrid/phase.json"
    plain = rewritten(path, {settings: lambda data: data.replace(b"true", b"false")})
    assert "seal-unexpected" in codes(validate_bundle(plain))
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    del members["development/scoring_program_hybrid/mimicry/scoring/sealed.py"]
    unable = make_zip(tmp_path / "unable.zip", members)
    assert "seal-program" in codes(validate_bundle(unable))


@pytest.mark.parametrize("engine", ["subprocess", "bubblewrap"])
def test_an_unpacked_competition_runs_with_the_key_and_not_without(
    tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if ENGINES[engine].problem() is not None:
        pytest.skip(str(ENGINES[engine].problem()))
    bundle = copy_repository(tmp_path / "bundle")
    with zipfile.ZipFile(packed(bundle, "red")) as archive:
        archive.extractall(tmp_path / "unpacked")
    team = tmp_path / "team.json"
    images = [{"dataset_name": "d", "image_identifier": f"{n}.png"} for n in range(4)]
    team.write_text(json.dumps({"differentiating_images": images}))
    plain, sealed = tmp_path / "runs/plain", tmp_path / "runs/sealed"
    common = ["run", str(team), "--engine", engine, "--competition"]
    assert main([*common, "red", "--bundle", str(bundle), "--output", str(plain)]) == 0
    # It goes by the name that it was packed under.
    unpacked = ["red", "--bundle", str(tmp_path / "unpacked"), "--output", str(sealed)]
    key = ["--worker-data", str(keep_key(tmp_path / "data"))]
    assert main([*common, *unpacked, *key]) == 0
    assert read_run(sealed).tasks["red"].scores == read_run(plain).tasks["red"].scores
    if engine == "subprocess":
        capsys.readouterr()
        assert main([*common, *unpacked[:-1], str(tmp_path / "runs/without")]) == 4
        assert capsys.readouterr().err.endswith("[seal-key-missing]\n")


def test_runs_are_scored_again_with_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimicry.scoring.seal_keys.IMAGE_KEY", Path("/nothing"))
    place = Place(tmp_path)
    run = place.run("ann", hybrid=skilled(labels(), 2.0, 1))
    reference = place.task.reference_data
    assert reference is not None
    archive = make_zip(
        tmp_path / "plain.zip", {"labels.csv": (reference / "labels.csv").read_bytes()}
    )
    before = rescored(run, read_run(run), place.task)
    (reference / "labels.csv").unlink()
    seal_zip(archive, tmp_path / "sealed.zip", read_recipients([RECIPIENT]))
    zipfile.ZipFile(tmp_path / "sealed.zip").extractall(reference)
    with pytest.raises(BundleError) as caught:
        rescored(run, read_run(run), place.task)
    assert caught.value.code == "seal-key-missing" and str(tmp_path) not in str(caught.value)
    worker = keep_key(tmp_path / "data")
    assert rescored(run, read_run(run), place.task, worker_data=worker).scores == before.scores


def test_other_competitions_of_a_bundle_are_as_before(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    write_yaml(bundle, document())
    assert not any(f.code.startswith("seal") for f in validate_bundle(bundle).findings)


def blocks() -> list[str]:
    text = (ROOT / "docs/sealing.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_document_s_commands_work(tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", blocks()[0]],
        cwd=bundle,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert is_sealed(unpacked_member(bundle / "dist/mimicry-hybrid.zip", tmp_path))


def unpacked_member(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        return Path(opened.extract("reference_data/val.zip", folder))


@pytest.mark.parametrize(
    ("mounts", "given"),
    [
        ("program output data shared input", True),
        ("input program output data shared input_data", True),
        ("program output data shared input/ref input/res", True),
        ("program output data", False),
        ("program output data input_data", False),
        ("program ingested_program output data input_data", False),
        ("program ingested_program output data shared input input_data", False),
    ],
)
def test_the_document_s_courier_serves_scoring_alone(
    tmp_path: Path, mounts: str, given: bool
) -> None:
    docker = tmp_path / "docker"
    listed = "\\n".join(f"/app/{name}" for name in mounts.split())
    docker.write_text(
        '#!/bin/sh\ncase "$1" in\n events) echo c1 ;;\n'
        f" inspect) printf '{listed}\\n\\n' ;;\n cp) echo \"$@\" >> {tmp_path}/copied ;;\nesac\n"
    )
    docker.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-eu", "-c", blocks()[1]], env=environment, check=True)
    copied = tmp_path / "copied"
    assert copied.exists() is given
    if given:
        assert copied.read_text() == "cp /root/mimicry/. c1:/etc/mimicry\n"
