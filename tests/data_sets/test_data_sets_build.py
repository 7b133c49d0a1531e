"""The whole road, from photographs and a table to the bundle's data."""

import csv
import hashlib
import io
import json
import re
import shlex
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from data_sets_photographs import decoded, encoded, make_photographs, picture, write_table

from mimicry.commands.data_audit import audit as audit_command
from mimicry.commands.data_build import build as build_command
from mimicry.data_sets import checks, label_faults
from mimicry.data_sets.build import build_data
from mimicry.data_sets.findings import ALLOWABLE
from mimicry.data_sets.options import Built, Options, UnfitDataError
from mimicry.data_sets.prepare import Style
from mimicry.demo.set_files import zip_names
from mimicry.demo.storage import PUBLIC
from mimicry.demo.storage import write_zip as write_demo_zip
from mimicry.errors import BundleError, MimicryError
from mimicry.hybrids.reference import parse_reference

SETS = [*zip_names("val"), *zip_names("test")]
TABLES = (
    *(checks._FILES, checks._IMAGES, checks._MIXED, checks._LOOKS, checks._ANIMALS),
    label_faults._ROWS,
)
QUICK = Style("jpeg", 95)


class Photographs:
    """A folder of photographs with a table that a test may change before building."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.output = root, root / "photographs", root / "bundle"
        self.rows = make_photographs(self.folder)
        self.lines: list[str] = []

    def build(self, **options: object) -> Built:
        table = write_table(self.root / "labels.csv", self.rows)
        asked = Options(**{"seed": 5, "workers": 2, "style": QUICK} | options)  # type: ignore[arg-type]
        return build_data(self.folder, table, self.output, asked, self.lines.append)

    def add(self, name: str, data: bytes, **cells: object) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        plain = {"hybrid_stat": 0, "ssp_indicator": "major", "CAMID": name}
        self.rows.append({"filename": name} | plain | cells)

    def codes(self, **options: object) -> list[tuple[str, str]]:
        """Return levels and codes of the findings of a dry run."""
        try:
            found = self.build(dry_run=True, **options).findings
        except UnfitDataError as error:
            found = error.findings
        return [(finding.level, finding.code) for finding in found]

    def hashes(self) -> dict[str, str]:
        return {
            name: hashlib.sha256((self.output / name).read_bytes()).hexdigest()
            for name in SETS
            if (self.output / name).exists()
        }


@pytest.fixture
def photographs(tmp_path: Path) -> Photographs:
    return Photographs(tmp_path)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_everything_is_built(photographs: Photographs) -> None:
    built = photographs.build()
    output = photographs.output
    assert sorted(built.zips) == sorted(SETS) and built.changed
    assert built.counts == {"development": 12, "final": 24}
    record = json.loads(built.manifest.read_text())
    published = {one["name"]: one for one in record["images"]}
    seen: set[str] = set()
    for name in ("val", "test"):
        images = members(output / f"input_data/{name}.zip")
        table = members(output / f"reference_data/{name}.zip")[f"{name}.csv"]
        reference = parse_reference(table, name)
        assert list(images) == sorted(images) == list(reference.filenames)
        for filename, hybrid, group in zip(*reference, strict=True):
            one = published[filename]
            assert (bool(one["hybrid_stat"]), one["ssp_indicator"]) == (hybrid, group)
            assert hashlib.sha256(images[filename]).hexdigest() == one["published_sha256"]
            original = (photographs.folder / one["file"]).read_bytes()
            assert hashlib.sha256(original).hexdigest() == one["sha256"]
            assert b"Exif" not in images[filename]
        parts = [members(output / f"input_data/{name}{part}.zip") for part in ("_A", "_mimic")]
        assert parts[0] | parts[1] == images and not parts[0].keys() & parts[1].keys()
        seen |= images.keys()
    assert seen == published.keys()
    animals = {(one["specimen"], one["split"]) for one in record["images"]}
    assert len(animals) == len({animal for animal, _ in animals})
    for name, digest in built.zips.items():
        assert record["zips"][name]["sha256"] == digest == photographs.hashes()[name]
        for info in zipfile.ZipFile(output / name).infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0) and not info.extra and not info.comment
            assert info.external_attr == (stat.S_IFREG | 0o644) << 16


def test_the_record_is_private(photographs: Photographs) -> None:
    built = photographs.build()
    assert stat.S_IMODE(built.manifest.stat().st_mode) == 0o600
    assert stat.S_IMODE(built.manifest.parent.stat().st_mode) == 0o700
    assert (built.manifest.parent / ".gitignore").read_text() == "*\n"
    left = {path.name for path in built.manifest.parent.iterdir()}
    assert left == {".gitignore", ".lock", "data-manifest.json"}
    assert not list(photographs.output.rglob("*.build*"))


@pytest.mark.parametrize("place", ["data-manifest.json", "public_data/m.json", "input_data/m.json"])
def test_the_record_is_not_put_where_it_may_be_packed(photographs: Photographs, place: str) -> None:
    with pytest.raises(BundleError) as caught:
        photographs.build(manifest=photographs.output / place)
    assert caught.value.code == "manifest-place"
    assert not photographs.output.exists()
    elsewhere = photographs.root / "mine.json"
    assert photographs.build(manifest=elsewhere).manifest == elsewhere
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600


def test_same_seed_gives_same_bytes_in_whatever_order_rows_come(
    photographs: Photographs, tmp_path: Path
) -> None:
    photographs.build()
    first = photographs.hashes()
    photographs.rows.reverse()
    photographs.output = tmp_path / "again"
    photographs.build(workers=1)
    assert photographs.hashes() == first
    photographs.output = tmp_path / "other"
    photographs.build(seed=6)
    assert not set(photographs.hashes().values()) & set(first.values())
    photographs.output = tmp_path / "secure"
    photographs.build(seed=None)
    assert not set(photographs.hashes().values()) & set(first.values())


def test_a_second_build_stays_away_from_data_that_are_there(photographs: Photographs) -> None:
    photographs.build()
    first = photographs.hashes()
    assert not photographs.build().changed
    for change in ({"seed": 6}, {"seed": None}, {"style": Style("png", 0)}):
        with pytest.raises(BundleError) as caught:
            photographs.build(**change)
        assert caught.value.code == "data-in-place"
        assert photographs.hashes() == first
    # Another photograph under the same name is other data.
    (photographs.folder / "0_CAM000_d.JPG").write_bytes(encoded(picture(999)))
    with pytest.raises(BundleError):
        photographs.build()
    assert photographs.build(force=True).changed
    assert photographs.hashes() != first


def test_the_demo_s_data_are_not_replaced_nor_mixed(photographs: Photographs) -> None:
    for name in [*SETS, PUBLIC]:
        (photographs.output / name).parent.mkdir(parents=True, exist_ok=True)
        write_demo_zip(photographs.output / name, [("a.txt", name.encode())])
    first = photographs.hashes()
    with pytest.raises(BundleError) as caught:
        photographs.build()
    assert caught.value.code == "data-in-place" and "mimicry data clean" in caught.value.sentence
    for name in zip_names("val"):
        (photographs.output / name).unlink()
    with pytest.raises(BundleError) as caught:
        photographs.build(shares={"development": 1.0})
    assert caught.value.code == "data-demo-beside"
    assert photographs.hashes().items() <= first.items()
    built = photographs.build(force=True)
    assert built.changed and not photographs.hashes().items() & first.items()
    assert PUBLIC in built.findings[-1].sentence


def test_a_training_split_becomes_public_data(photographs: Photographs) -> None:
    for i, row in enumerate(photographs.rows):
        row["split"] = ("development", "final")[(i // 6) % 2]
        row["CAMID"] = str(i)
        row["subspecies"] = f"kind {i % 3}"
        if i >= 24 and row["ssp_indicator"] == "major":
            row["split"] = "training"
    built = photographs.build()
    public = members(photographs.output / "public_data/hybrids.zip")
    table = list(csv.DictReader(io.StringIO(public.pop("butterfly_train.csv").decode())))
    assert {f"train/{row['filename']}" for row in table} == public.keys()
    assert list(table[0]) == ["filename", "hybrid_stat", "subspecies"]
    assert {row["hybrid_stat"] for row in table} == {"hybrid", "non-hybrid"}
    assert built.counts["training"] == len(table) == 4
    # What participants must not have seen is kept out of it.
    photographs.rows[3]["split"] = "training"
    assert ("error", "training-reveals") in photographs.codes()


def test_a_split_that_goes_takes_its_files_along(photographs: Photographs) -> None:
    photographs.build(shares={"development": 1.0, "final": 1.0, "training": 1.0})
    public = photographs.output / "public_data/hybrids.zip"
    assert public.is_file()
    built = photographs.build(shares={"final": 1.0}, force=True)
    assert not public.exists() and set(photographs.hashes()) == set(zip_names("test"))
    assert [finding.code for finding in built.findings] == ["split-empty"]


def test_all_faults_are_told_at_once_and_nothing_is_written(photographs: Photographs) -> None:
    photographs.add("cut.jpg", encoded(picture(100))[:-300])
    photographs.add("text.jpg", b"no image")
    photographs.add(
        "moving.gif", encoded(picture(1), "GIF", save_all=True, append_images=[picture(2)])
    )
    photographs.rows.append(photographs.rows[0] | {"filename": "gone.jpg"})
    (photographs.folder / "extra.jpg").write_bytes(encoded(picture(101)))
    with pytest.raises(UnfitDataError) as caught:
        photographs.build()
    found = {finding.code: finding.items for finding in caught.value.findings}
    assert list(found) == ["image-missing", "image-unlabelled", "image-unreadable", "image-frames"]
    assert [item.partition(":")[0] for item in found["image-unreadable"]] == ["cut.jpg", "text.jpg"]
    assert not photographs.hashes()
    assert caught.value.exit_code == 4 and caught.value.code == "data-unfit"


def copy_of(photographs: Photographs, number: int, quality: int = 50) -> bytes:
    data = (photographs.folder / str(photographs.rows[number]["filename"])).read_bytes()
    return encoded(decoded(data), quality=quality)


def test_copies_in_another_split_stop_the_build(photographs: Photographs) -> None:
    for i, row in enumerate(photographs.rows):
        row["split"] = ("development", "final")[(i // 6) % 2]
        row["CAMID"] = str(i)
    assert photographs.codes() == []
    photographs.add("copy.jpg", copy_of(photographs, 0), split="final")
    assert photographs.codes() == [("error", "duplicate-across")]
    assert photographs.codes(allowed=frozenset({"duplicate-across"})) == [
        ("warning", "duplicate-across")
    ]
    photographs.rows[-1]["split"] = "development"
    assert photographs.codes() == [("warning", "duplicate-within")]
    photographs.rows[-1]["hybrid_stat"] = 1
    assert photographs.codes() == [("error", "duplicate-labels")]
    photographs.rows[-1] |= {"hybrid_stat": 0, "CAMID": photographs.rows[0]["CAMID"]}
    # Two pictures of one animal may look alike.
    assert photographs.codes() == []
    photographs.rows[-1]["split"] = "final"
    assert ("error", "specimen-shared") in photographs.codes()
    photographs.rows[-1] |= {"split": "development", "ssp_indicator": "minor"}
    assert ("error", "specimen-labels") in photographs.codes()


def test_made_splits_keep_copies_together(photographs: Photographs) -> None:
    for number in range(6):
        label = {key: photographs.rows[number][key] for key in ("hybrid_stat", "ssp_indicator")}
        photographs.add(f"copy{number}.jpg", copy_of(photographs, number), **label)
    for seed in range(5):
        assert photographs.codes(seed=seed) == [("warning", "duplicate-within")]


def test_sets_that_cannot_be_graded_stop_the_build(photographs: Photographs) -> None:
    photographs.rows = [
        row
        for row in photographs.rows
        if (row["ssp_indicator"], row["hybrid_stat"]) != ("minor", 1)
    ]
    codes = photographs.codes(allowed=frozenset({"image-unlabelled"}))
    assert codes == [("warning", "image-unlabelled"), ("error", "labels-not-gradable")]


def test_kept_images_lose_metadata_and_no_pixel(photographs: Photographs) -> None:
    built = photographs.build(style=Style("keep", 0))
    for one in json.loads(built.manifest.read_text())["images"]:
        stem = {"development": "val", "final": "test"}[one["split"]]
        data = members(photographs.output / f"input_data/{stem}.zip")[one["name"]]
        original = (photographs.folder / one["file"]).read_bytes()
        assert decoded(data).tobytes() == decoded(original).tobytes()
    photographs.add("other.png", encoded(picture(200), "PNG"))
    assert photographs.codes(style=Style("keep", 0), force=True) == [
        ("error", "images-mixed"),
        ("warning", "images-encoders"),
    ]


def test_names_of_all_kinds_are_found(photographs: Photographs) -> None:
    for i, name in enumerate(
        ["sp ace.jpg", "ünï.JPG", "A.jpg", "a.jpg", "deep/er.jpg", "tab\t.jpg"]
    ):
        photographs.add(name, encoded(picture(300 + i)))
    assert sum(photographs.build().counts.values()) == 42


def test_a_killed_build_leaves_old_or_new_and_goes_on(photographs: Photographs) -> None:
    photographs.build()
    first = photographs.hashes()
    table = photographs.root / "labels.csv"
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mimicry.data_sets import build\n"
        "folder, table, output, when = map(Path, sys.argv[1:])\n"
        "from mimicry.data_sets import placing, stash\n"
        "left = [int(str(when).split('-')[1])]\n"
        "def dying(call):\n"
        "    def wrapped(*words, **options):\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return call(*words, **options)\n"
        "    return wrapped\n"
        "kind = str(when).split('-')[0]\n"
        "if kind == 'stash':\n"
        "    stash.Stash.put = dying(stash.Stash.put)\n"
        "elif kind == 'zip':\n"
        "    from mimicry.data_sets import writing\n"
        "    writing.write_zip = dying(writing.write_zip)\n"
        "else:\n"
        "    Path.replace = dying(Path.replace)\n"
        "build.build_data(folder, table, output, build.Options(seed=6, force=True))\n"
    )
    for when in ("stash-9", "zip-5"):
        words = [photographs.folder, table, photographs.output, when]
        done = subprocess.run([sys.executable, "-c", program, *map(str, words)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert photographs.hashes() == first
    # 36 images in the folder of prepared ones already; 12 parts, the journal, then their names.
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, [*words[:3], "rename-18"])], check=False
    )
    assert done.returncode == -signal.SIGKILL
    half = photographs.hashes()
    assert half.keys() == first.keys()
    assert 0 < sum(half[name] == first[name] for name in half) < 12
    for name in half:
        assert zipfile.ZipFile(photographs.output / name).testzip() is None
    built = photographs.build(seed=6)
    assert any("ended while it put its files in place" in line for line in photographs.lines)
    assert not built.changed and photographs.hashes() == built.zips
    assert not set(built.zips.values()) & set(first.values())


def test_parts_that_were_lost_are_told(photographs: Photographs) -> None:
    photographs.build()
    journal = photographs.output / "private" / "installing.json"
    journal.write_text(json.dumps({"manifest": "x", "earlier": {}, "content": {"zips": {"a": {}}}}))
    with pytest.raises(BundleError) as caught:
        photographs.build()
    assert caught.value.code == "data-half-installed" and not journal.exists()


def test_two_builds_do_not_meet(photographs: Photographs) -> None:
    photographs.build()
    import fcntl

    with (photographs.output / "private" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BundleError) as caught:
            photographs.build(force=True)
    assert caught.value.code == "data-busy"


def test_prepared_images_are_not_prepared_again(
    photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mimicry.data_sets.build.install", fail)
    with pytest.raises(KeyboardInterrupt):
        photographs.build()
    monkeypatch.undo()
    stash = photographs.output / "private" / "build"
    damaged = sorted(stash.glob("*.img"))[0]
    damaged.write_bytes(b"damaged")
    prepared = []
    from mimicry.data_sets import build as module

    plain = module.prepare
    monkeypatch.setattr(module, "prepare", lambda *words: prepared.append(1) or plain(*words))
    photographs.build()
    assert len(prepared) == 1 and not stash.exists()


def test_the_command_tells_everything(photographs: Photographs) -> None:
    photographs.add("copy.jpg", copy_of(photographs, 0), split="final")
    photographs.add("cut.jpg", b"\xff\xd8\xff")
    table = write_table(
        photographs.root / "labels.csv",
        [{"split": "development"} | row for row in photographs.rows],
    )
    words = [str(photographs.folder), str(table), "--output", str(photographs.output)]
    findings = photographs.root / "findings.json"
    run = CliRunner().invoke(build_command, [*words, "--json", str(findings)])
    assert isinstance(run.exception, MimicryError) and run.exception.exit_code == 4
    assert "copy.jpg" in run.output and "cut.jpg" in run.output
    assert "--allow duplicate-across" in run.output
    assert {row["code"] for row in json.loads(findings.read_text())} >= {"image-unreadable"}
    assert stat.S_IMODE(findings.stat().st_mode) == 0o600
    run = CliRunner().invoke(build_command, [*words, "--split", "final=0"])
    assert run.exit_code == 2
    run = CliRunner().invoke(build_command, [*words, "--format", "keep", "--max-size", "100"])
    assert run.exit_code == 2


def test_the_command_builds_and_says_what_comes_next(photographs: Photographs) -> None:
    table = write_table(photographs.root / "labels.csv", photographs.rows)
    words = [str(photographs.folder), str(table), "--output", str(photographs.output)]
    dry = CliRunner().invoke(
        build_command, [*words, "--dry-run", "--split", "development=1,final=1"]
    )
    assert dry.exit_code == 0 and "18 development, 18 final" in dry.output
    assert not photographs.output.exists()
    run = CliRunner().invoke(build_command, [*words, "--seed", "5", "--max-size", "24"])
    assert run.exit_code == 0, run.output
    assert "guesses this seed" in run.output
    assert "no training split" in run.output
    # Here is nothing to validate, and no other bundle is meant.
    audit_words = next_command(run.output, "mimicry data audit")
    assert audit_words == ["--data", str(photographs.output)]
    assert "mimicry validate" not in run.output
    assert CliRunner().invoke(audit_command, audit_words).exit_code == 0


def next_command(output: str, command: str) -> list[str]:
    line = next(line for line in output.splitlines() if line.startswith("next: "))
    words = re.search(rf"{command}(.*?)(, then |$)", line)
    assert words is not None, output
    return shlex.split(words[1])


@pytest.mark.parametrize("named", [True, False])
def test_the_commands_that_come_next_are_those_of_the_output(
    photographs: Photographs, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(photographs.root / "labels.csv", photographs.rows)
    bundle = photographs.root / "my bundle"
    (bundle / "competitions").mkdir(parents=True)
    (bundle / "competition.yaml").write_text("version: 2\n")
    (bundle / "competitions" / "hybrid.yaml").write_text("version: 2\n")
    monkeypatch.chdir(photographs.root if named else bundle)
    words = [str(photographs.folder), str(table), *(["--output", "my bundle"] if named else [])]
    run = CliRunner().invoke(build_command, [*words, "--split", "final=1,training=1"])
    assert run.exit_code == 0, run.output
    only = ["--competition", "hybrid"]
    where = ["my bundle"] if named else []
    assert next_command(run.output, "mimicry data audit") == [
        *(["--bundle", *where] if named else []),
        *only,
    ]
    assert next_command(run.output, "mimicry validate") == [*where, *only]
    assert "no training split" not in run.output


def test_a_dry_run_tells_the_classes_and_what_is_in_the_way(photographs: Photographs) -> None:
    for row in photographs.rows:
        del row["CAMID"]
    table = write_table(photographs.root / "labels.csv", photographs.rows)
    words = [str(photographs.folder), str(table), "--output", str(photographs.output)]
    words += ["--split", "development=1,final=1", "--seed", "5"]
    dry = CliRunner().invoke(build_command, [*words, "--dry-run"])
    line = "development: major 3 hybrids and 3 others, mimic 3 hybrids and 3 others, minor 3"
    assert dry.exit_code == 0 and line in dry.output
    for name in SETS:
        (photographs.output / name).parent.mkdir(parents=True, exist_ok=True)
        write_demo_zip(photographs.output / name, [("a.txt", name.encode())])
    dry = CliRunner().invoke(build_command, [*words, "--dry-run"])
    assert isinstance(dry.exception, MimicryError) and dry.exception.code == "data-in-place"
    assert line in dry.output
    assert CliRunner().invoke(build_command, [*words, "--dry-run", "--force"]).exit_code == 0
    # With other faults it is one line of the list.
    (photographs.folder / "extra.jpg").write_bytes(b"")
    dry = CliRunner().invoke(build_command, [*words, "--dry-run"])
    assert isinstance(dry.exception, MimicryError) and dry.exception.code == "data-unfit"
    assert "1 image has no row" in dry.output and "[data-in-place]" in dry.output
    (photographs.folder / "extra.jpg").unlink()
    assert CliRunner().invoke(build_command, [*words, "--force"]).exit_code == 0
    again = CliRunner().invoke(build_command, [*words, "--dry-run"])
    assert again.exit_code == 0 and line in again.output


def test_the_commands_of_the_page_run(
    photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "data.md"
    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"^mimicry data build (.*)$", text, re.MULTILINE)
    assert len(commands) >= 3
    monkeypatch.chdir(photographs.root)
    write_table(photographs.root / "labels.csv", photographs.rows)
    (photographs.root / "competition.yaml").write_text("version: 2\n")
    for command in commands:
        run = CliRunner().invoke(build_command, shlex.split(command))
        assert run.exit_code == 0, f"{command}\n{run.output}"
    assert all((photographs.root / name).is_file() for name in SETS)
    told = {code for table in TABLES for code in table}
    assert all(f"`{code}`" in text for code in told | set(ALLOWABLE))
