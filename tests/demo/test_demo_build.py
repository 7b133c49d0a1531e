"""The demo data sets: the same bytes always, nothing foreign overwritten, crashes repaired."""

import csv
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mimicry.cli import main
from mimicry.demo import drawing, storage
from mimicry.demo.build import DEFAULT_SCALE, DEFAULT_SIZE, build_demo, build_like, write_samples
from mimicry.demo.cleaning import clean_demo
from mimicry.demo.sets import GROUP_SIZES, HANDFUL, challenge_set, training_set
from mimicry.errors import BundleError
from mimicry.files import sha256_file

SMALL = {"seed": 3, "size": (64, 45), "scale": 0.003, "report": lambda line: None}
OTHER = SMALL | {"seed": 9}
SETS = ("val_A", "val_mimic", "val", "test_A", "test_mimic", "test")
ROOT = Path(__file__).resolve().parents[2]
REAL_LABELS = ROOT / "../shared/data/hdr/ref_val.csv"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    output = tmp_path_factory.mktemp("demo")
    build_demo(output, workers=1, **SMALL)
    return output


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    output = tmp_path_factory.mktemp("other")
    build_demo(output, workers=1, **OTHER)
    return output


@pytest.fixture
def copy(demo, tmp_path):
    """Return demo data that a test may spoil."""
    return shutil.copytree(demo, tmp_path / "copy")


@pytest.fixture
def quick(demo, other, monkeypatch):
    """Let builds take the pictures of `demo` and `other` instead of drawing them anew."""
    pictures = {}
    for output in (demo, other):
        for name in ("val", "test"):
            pictures |= members(output, name)
        train = (output / "demo_data/train").iterdir()
        pictures |= {path.name: path.read_bytes() for path in train}
    monkeypatch.setattr(drawing, "draw", lambda order: pictures[order.specimen.filename])


@pytest.fixture
def drawn(monkeypatch):
    """Return the list of the specimens that are drawn from now on."""
    names = []

    def draw(order):
        names.append(order.specimen.filename)
        return real(order)

    real = drawing.draw
    monkeypatch.setattr(drawing, "draw", draw)
    return names


def hashes(output):
    return {
        str(path.relative_to(output)): sha256_file(path)
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def labels(output, name):
    with zipfile.ZipFile(output / "reference_data" / f"{name}.zip") as archive:
        assert archive.namelist() == [f"{name}.csv"]
        return list(csv.DictReader(io.StringIO(archive.read(f"{name}.csv").decode())))


def members(output, name):
    with zipfile.ZipFile(output / "input_data" / f"{name}.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_same_bytes_for_any_number_of_workers(demo, tmp_path):
    summary = build_demo(tmp_path, workers=2, **SMALL)
    assert summary.changed
    assert hashes(tmp_path) == hashes(demo)


def test_another_seed_gives_other_images(demo, other):
    assert not set(members(other, "val")) & set(members(demo, "val"))
    assert not set(members(other, "val").values()) & set(members(demo, "val").values())


def test_every_file_is_there_and_recorded(demo):
    for name in SETS:
        rows = labels(demo, name)
        assert list(rows[0]) == ["filename", "hybrid_stat", "ssp_indicator"]
        assert [row["filename"] for row in rows] == sorted(members(demo, name))
    manifest = json.loads((demo / "demo_data/manifest.json").read_text())
    found = hashes(demo)
    assert found.pop("demo_data/manifest.json")
    assert manifest["files"] == found


def test_whole_sets_are_the_union_of_their_parts(demo):
    for name in ("val", "test"):
        parts = members(demo, f"{name}_A") | members(demo, f"{name}_mimic")
        assert parts == members(demo, name)
        rows = labels(demo, f"{name}_A") + labels(demo, f"{name}_mimic")
        assert sorted(map(str, rows)) == sorted(map(str, labels(demo, name)))
        assert {row["ssp_indicator"] for row in labels(demo, f"{name}_A")} == {"major", "minor"}


def test_each_class_of_each_group_has_a_handful(demo):
    for name in ("val", "test"):
        counts = {}
        for row in labels(demo, name):
            key = row["ssp_indicator"], row["hybrid_stat"]
            counts[key] = counts.get(key, 0) + 1
        assert len(counts) == 6
        assert min(counts.values()) >= HANDFUL


@pytest.mark.parametrize("name", ["val", "test"])
def test_proportions_at_scale_one_are_the_real_ones(name):
    counts = {indicator: [0, 0] for indicator in GROUP_SIZES[name]}
    specimens = challenge_set(name, 1, 1.0)
    for one in specimens:
        counts[one.indicator][one.is_hybrid] += 1
    assert {key: tuple(value) for key, value in counts.items()} == GROUP_SIZES[name]
    assert len(specimens) == {"val": 1175, "test": 2350}[name]
    assert len({one.filename for one in specimens}) == len(specimens)


def test_training_set_has_signal_hybrids_only(demo):
    specimens = training_set(1, 1.0)
    assert sum(one.is_hybrid for one in specimens) == 91
    assert {one.indicator for one in specimens if one.is_hybrid} == {"major"}
    assert "mimic" not in {one.indicator for one in specimens}
    with (demo / "demo_data/butterfly_train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "filename", "hybrid_stat", "subspecies", "parent_subspecies_1", "parent_subspecies_2",
    ]  # fmt: skip
    for row in rows:
        assert (demo / "demo_data/train" / row["filename"]).is_file()
        if row["hybrid_stat"] == "hybrid":
            assert (row["parent_subspecies_1"], row["parent_subspecies_2"]) == ("8.0", "9.0")
        else:
            assert row["hybrid_stat"] == "non-hybrid" and 0 <= float(row["subspecies"]) <= 12


def test_names_tell_nothing_and_images_carry_no_metadata(demo):
    for name, data in members(demo, "test").items():
        stem, suffix = name.split(".")
        assert suffix == "jpg" and len(stem) == 12 and set(stem) <= set("0123456789abcdef")
        image = Image.open(io.BytesIO(data))
        assert image.size == (64, 45) and image.mode == "RGB"
        assert len(image.getexif()) == 0
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_zip_members_are_stored_with_flat_dates_in_order_of_names(demo):
    for path in [*demo.glob("input_data/*.zip"), *demo.glob("reference_data/*.zip")]:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        assert [info.filename for info in infos] == sorted(info.filename for info in infos)
        assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}


def test_order_of_names_tells_no_label():
    kinds = [(one.indicator, one.is_hybrid) for one in challenge_set("val", 1, 0.4)]
    # Sorted groups would change five times; a shuffled list changes all the time.
    changes = sum(a != b for a, b in itertools.pairwise(kinds))
    assert changes > len(kinds) / 2


def test_second_call_does_nothing(demo, monkeypatch):
    monkeypatch.setattr(drawing, "draw", lambda order: pytest.fail("drew again"))
    before = {path: path.stat().st_mtime_ns for path in demo.rglob("*.zip")}
    lines = []
    summary = build_demo(demo, workers=1, **SMALL | {"report": lines.append})
    assert not summary.changed
    assert lines and lines[0].startswith("already there")
    assert before == {path: path.stat().st_mtime_ns for path in demo.rglob("*.zip")}


def test_new_parameters_replace_what_the_command_made(copy, other, quick):
    assert build_demo(copy, workers=1, **OTHER).changed
    assert hashes(copy) == hashes(other)


def test_foreign_data_stays_unless_forced(tmp_path, quick):
    mine = tmp_path / "input_data" / "val.zip"
    mine.parent.mkdir()
    mine.write_bytes(b"the real images")
    with pytest.raises(BundleError, match="demo-foreign-file") as caught:
        build_demo(tmp_path, workers=1, **SMALL)
    assert str(mine) in caught.value.sentence and "--force" in caught.value.sentence
    assert mine.read_bytes() == b"the real images"
    assert [path.name for path in mine.parent.iterdir()] == ["val.zip"]
    assert build_demo(tmp_path, workers=1, force=True, **SMALL).changed
    assert zipfile.is_zipfile(mine)


def test_data_put_in_place_of_demo_data_stays(copy):
    mine = copy / "reference_data" / "test.zip"
    mine.write_bytes(b"the real labels")
    with pytest.raises(BundleError, match="demo-foreign-file"):
        build_demo(copy, workers=1, **SMALL)
    with pytest.raises(BundleError, match="demo-foreign-file"):
        build_demo(copy, workers=1, **OTHER)
    assert mine.read_bytes() == b"the real labels"


@pytest.mark.parametrize("edit", ["append", "flip", "cut"])
def test_a_demo_zip_that_was_edited_is_foreign(copy, edit):
    path = copy / "input_data" / "val.zip"
    shutil.rmtree(copy / "demo_data")
    if edit == "append":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("mine.jpg", b"mine")
    else:
        data = bytearray(path.read_bytes())
        data[1000] ^= 1
        path.write_bytes(data if edit == "flip" else data[1000:])
    before = path.read_bytes()
    with pytest.raises(BundleError, match="demo-foreign-file"):
        build_demo(copy, workers=1, **SMALL)
    assert "input_data/val.zip" in clean_demo(copy, report=str).kept
    assert path.read_bytes() == before


def test_demo_zips_are_known_without_a_record(copy, other, quick):
    shutil.rmtree(copy / "demo_data")
    assert build_demo(copy, workers=1, **OTHER).changed
    assert hashes(copy) == hashes(other)


def test_the_mark_is_a_comment_that_readers_skip(demo):
    for path in demo.rglob("*.zip"):
        assert storage.is_demo_zip(path)
        with zipfile.ZipFile(path) as archive:
            assert archive.comment.startswith(b"Mimicry demo data ")
            assert archive.testzip() is None


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 500, b"Mimicry demo data " + b"0" * 64])
def test_other_files_have_no_mark(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    assert not storage.is_demo_zip(tmp_path / "x.zip")


def test_symbolic_link_in_the_way_is_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    target = tmp_path / "bundle" / "input_data" / "val_A.zip"
    target.parent.mkdir(parents=True)
    target.symlink_to(outside)
    with pytest.raises(BundleError, match="demo-foreign-file"):
        build_demo(tmp_path / "bundle", workers=1, **SMALL)
    assert outside.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("lost", "count"),
    [
        (["input_data/test_A.zip"], 0),
        (["input_data/val.zip", "demo_data/butterfly_train.csv"], 0),
        (["reference_data/test.zip", "reference_data/val_A.zip"], 0),
        (["input_data/val.zip", "input_data/val_mimic.zip"], 12),
        (["input_data/val.zip", "input_data/val_A.zip", "input_data/val_mimic.zip"], 36),
        (["demo_data/train/{first}"], 1),
    ],
)
def test_lost_files_alone_are_made_again(demo, copy, drawn, lost, count):
    first = min(path.name for path in (copy / "demo_data/train").iterdir())
    for name in lost:
        (copy / name.format(first=first)).unlink()
    assert build_demo(copy, workers=1, **SMALL).changed
    assert len(drawn) == count
    assert hashes(copy) == hashes(demo)


def test_force_draws_all_again(demo, copy, drawn):
    assert build_demo(copy, workers=1, force=True, **SMALL).changed
    assert len(drawn) == 36 + 36 + 33
    assert hashes(copy) == hashes(demo)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("count", [0, 50])
def test_crash_while_drawing_is_repaired(other, tmp_path, monkeypatch, count, killed):
    left = iter(range(count))

    def draw_some(order):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return b"picture"

    with monkeypatch.context() as patch:
        patch.setattr(drawing, "draw", draw_some)
        if killed:
            patch.setattr(storage.Build, "clean", lambda build: None)
        with pytest.raises(KeyboardInterrupt):
            build_demo(tmp_path, workers=1, **OTHER)
    assert set(hashes(tmp_path)) <= {str(path) for path in partial_files(tmp_path)}
    assert bool(partial_files(tmp_path)) == killed
    with monkeypatch.context() as patch:
        patch.setattr(drawing, "draw", lambda order: b"picture")
        build_demo(tmp_path, workers=1, **OTHER)
    assert set(hashes(tmp_path)) == set(hashes(other))


def partial_files(output):
    return [path.relative_to(output) for path in output.rglob(".*.part")]


@pytest.mark.parametrize("moment", ["manifest.pending.json", "manifest.json"])
def test_crash_while_installing_is_repaired(demo, other, tmp_path, monkeypatch, quick, moment):
    shutil.copytree(other, tmp_path, dirs_exist_ok=True)
    real = storage.write_atomically

    def fail(path, data):
        if path.name == moment:
            raise RuntimeError("the power went")
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_atomically", fail)
        with pytest.raises(RuntimeError):
            build_demo(tmp_path, workers=1, **SMALL)
    assert build_demo(tmp_path, workers=1, **SMALL).changed
    assert hashes(tmp_path) == hashes(demo)


def test_interrupt_while_installing_waits_for_the_end(copy, demo, monkeypatch):
    (copy / "input_data" / "val_A.zip").unlink()
    real = storage.write_atomically

    def interrupt(path, data):
        signal.raise_signal(signal.SIGINT)
        real(path, data)

    monkeypatch.setattr(storage, "write_atomically", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_demo(copy, workers=1, **SMALL)
    assert hashes(copy) == hashes(demo)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("moment", ["at the start", "while drawing"])
def test_ctrl_c_prints_one_line_and_leaves_no_parts(tmp_path, moment):
    output = tmp_path / "out"
    arguments = ["data", "demo", "--output", str(output), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mimicry.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    part = output / "input_data" / ".val.zip.part"
    waited = time.monotonic() + 60
    # The part is there before the drawing processes are: they are still starting then.
    while not part.exists() or (moment == "while drawing" and part.stat().st_size < 100_000):
        assert process.poll() is None and time.monotonic() < waited
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "Interrupted.", errors
    assert hashes(output) == {}


def test_cleaning_removes_all_and_the_demo_can_be_made_again(copy, demo, quick):
    lines = []
    shutil.copy(copy / "input_data" / "val.zip", copy / "input_data" / ".val.zip.part")
    cleaned = clean_demo(copy, report=lines.append)
    assert set(hashes(demo)) | {"input_data/.val.zip.part"} == set(cleaned.removed)
    assert cleaned.kept == () and list(copy.iterdir()) == []
    assert "removed input_data/test_A.zip" in lines
    assert "removed demo_data/train/ (33 files)" in lines
    assert clean_demo(copy, report=lines.append) == ((), ())
    assert lines[-1] == f"no demo data in {copy}"
    assert build_demo(copy, workers=1, **SMALL).changed
    assert hashes(copy) == hashes(demo)


@pytest.mark.parametrize("record", ["there", "lost", "damaged"])
def test_cleaning_leaves_what_is_not_the_demos(copy, record):
    shutil.copy(copy / "input_data" / "val.zip", copy / "input_data" / "my copy.zip")
    mine = {
        "input_data/val_A.zip": b"real images",
        "reference_data/val_A.zip": b"real labels",
        "input_data/more.zip": b"more",
        "demo_data/train/mine.jpg": b"mine",
        "demo_data/butterfly_train.csv": b"edited",
        "input_data/README.md": b"read me",
    }
    for name, data in mine.items():
        (copy / name).write_bytes(data)
    manifest = copy / "demo_data/manifest.json"
    if record == "lost":
        manifest.unlink()
    elif record == "damaged":
        manifest.write_text("{")
    lines = []
    cleaned = clean_demo(copy, report=lines.append)
    for name, data in mine.items():
        assert (copy / name).read_bytes() == data
        assert (name in cleaned.kept) == (name != "input_data/README.md")
    assert any(line.startswith("kept input_data/val_A.zip: ") for line in lines)
    left = sorted(path.name for path in copy.rglob("*.zip"))
    assert left == ["more.zip", "my copy.zip", "val_A.zip", "val_A.zip"]


def test_a_forged_record_leads_to_no_other_file(copy):
    mine = copy / "src" / "mine.py"
    mine.parent.mkdir()
    mine.write_text("mine")
    names = ["src/mine.py", str(mine), "demo_data/../src/mine.py", "input_data/../src/mine.py"]
    files = dict.fromkeys(names, sha256_file(mine))
    (copy / "demo_data/manifest-forged.json").write_text(json.dumps({"files": files}))
    clean_demo(copy, report=str)
    assert mine.read_text() == "mine"


def test_cleaning_is_refused_while_a_build_runs(copy):
    with storage.locked(copy), pytest.raises(BundleError, match="demo-busy"):
        clean_demo(copy, report=str)


def test_cleaning_a_folder_that_is_not_there_makes_none(tmp_path):
    assert clean_demo(tmp_path / "none", report=str) == ((), ())
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_clean_without_an_environment_keeps_real_data(copy):
    shutil.copy(ROOT / "Makefile", copy)
    shutil.copytree(ROOT / "src", copy / "src")
    mine = [copy / "input_data/val.zip", copy / "runs/hybrid/run.json"]
    made = [copy / "runs/demo/run.json", copy / "dist/bundle.zip"]
    for path in [*mine, *made]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    python = shutil.which(getattr(sys, "_base_executable", sys.executable))
    done = subprocess.run(
        ["make", "clean", f"PYTHON={python}"],
        cwd=copy, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "removed input_data/test.zip\n" in done.stdout
    assert "kept input_data/val.zip: " in done.stdout
    assert all(path.read_text() == "content" for path in mine)
    assert not any(path.exists() for path in made)
    left = {path.name for path in copy.iterdir()}
    assert left == {"Makefile", "src", "runs", "input_data"}


def test_clean_on_the_command_line(copy, capsys):
    assert main(["data", "clean", "--output", str(copy)]) == 0
    assert "removed reference_data/val.zip\n" in capsys.readouterr().out
    assert list(copy.iterdir()) == []


def test_help_of_the_group_has_examples(capsys):
    for command in ([], ["demo"], ["clean"]):
        assert main(["data", *command, "--help"]) == 0
        assert f"Examples:\n    mimicry data {' '.join(command)}" in capsys.readouterr().out


def test_damaged_manifest_does_not_make_files_ours(copy):
    (copy / "demo_data/manifest.json").write_text("{")
    with pytest.raises(BundleError, match="demo-foreign-file"):
        build_demo(copy, workers=1, **SMALL)


def test_second_build_in_the_same_folder_is_refused(tmp_path):
    with (
        storage.locked(tmp_path),
        pytest.raises(BundleError, match="demo-busy"),
    ):
        build_demo(tmp_path, workers=1, **SMALL)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scale": 0.0}, "demo-scale"),
        ({"scale": float("nan")}, "demo-scale"),
        ({"size": (15, 45)}, "demo-size"),
        ({"size": (64, 100_000)}, "demo-size"),
        ({"workers": 0}, "demo-workers"),
    ],
)
def test_arguments_out_of_range(tmp_path, change, code):
    with pytest.raises(BundleError) as caught:
        build_demo(tmp_path, **SMALL | change)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_output_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="demo-folder"):
        build_demo(tmp_path / "file", workers=1, **SMALL)


LABELS = """filename,hybrid_stat,ssp_indicator,subspecies_ref,X
1_a.JPG,0,major,lativitta,7
2_b.jpeg,1,major,notabilis x lativitta,7
3_c.png,0,minor,venus,7
4_d.jpg,1,minor,hydara x petiverana,7
5_e.jpg,0,mimic,malleti,7
6_f.jpg,1,mimic,plesseni x malleti,7
"""
LIKE = {"size": (64, 45), "workers": 1, "report": lambda line: None}


def like(tmp_path, text, **options):
    reference = tmp_path / "labels.csv"
    reference.write_bytes(text if isinstance(text, bytes) else text.encode())
    return build_like(reference, tmp_path / "out", **LIKE | options)


@pytest.mark.parametrize("names", ["val", "test"])
def test_like_draws_every_row_under_its_own_name(tmp_path, names):
    assert like(tmp_path, LABELS, names=names).images == 6
    output = tmp_path / "out"
    rows = list(csv.DictReader(io.StringIO(LABELS)))
    pictures = members(output, names)
    assert sorted(pictures) == [row["filename"] for row in rows]
    assert Image.open(io.BytesIO(pictures["3_c.png"])).format == "PNG"
    assert Image.open(io.BytesIO(pictures["2_b.jpeg"])).format == "JPEG"
    assert sorted(members(output, f"{names}_mimic")) == ["5_e.jpg", "6_f.jpg"]
    assert labels(output, names) == [
        {key: row[key] for key in ("filename", "hybrid_stat", "ssp_indicator")} for row in rows
    ]
    assert sorted(path.name for path in (output / "input_data").iterdir()) == sorted(
        f"{names}{part}.zip" for part in ("", "_A", "_mimic")
    )
    assert not like(tmp_path, LABELS, names=names).changed


def test_like_honours_the_subspecies(tmp_path):
    pair = LABELS.replace("lativitta,7\n2_b", "hydara,7\n2_b")
    like(tmp_path, LABELS)
    first = members(tmp_path / "out", "val")
    like(tmp_path, pair)
    second = members(tmp_path / "out", "val")
    assert [name for name in first if first[name] != second[name]] == ["1_a.JPG"]


def test_like_takes_the_place_of_demo_data_and_back(demo, copy, tmp_path, drawn):
    output = shutil.move(copy, tmp_path / "out")
    lines = []
    like(tmp_path, LABELS, report=lines.append)
    assert len(members(output, "val")) == 6
    assert lines[0] == (
        "replacing val, val_A, val_mimic; to get the old ones back: "
        f"mimicry data demo --seed 3 --scale 0.003 --size 64x45 --output {output}"
    )
    drawn.clear()
    lines.clear()
    assert build_demo(output, workers=1, **SMALL | {"report": lines.append}).changed
    assert lines[0] == (
        "replacing val, val_A, val_mimic; to get the old ones back: mimicry data demo "
        f"--like labels.csv --phase development --size 64x45 --output {output}"
    )
    assert sorted(drawn) == sorted(members(demo, "val"))
    (output / "demo_data/manifest-like-val.json").unlink()
    assert hashes(output) == hashes(demo)


def test_default_parameters_are_not_repeated(copy, tmp_path):
    """The command that brings data back is as short as it can be."""
    output = shutil.move(copy, tmp_path / "out")
    manifest = output / "demo_data/manifest.json"
    content = json.loads(manifest.read_text())
    content["parameters"] |= {"seed": 1, "scale": DEFAULT_SCALE, "size": list(DEFAULT_SIZE)}
    manifest.write_text(json.dumps(content))
    lines = []
    like(tmp_path, LABELS, report=lines.append)
    assert lines[0].endswith(f"back: mimicry data demo --output {output}")


def test_like_needs_no_subspecies_column(tmp_path):
    rows = [line.split(",")[:3] for line in LABELS.splitlines()]
    like(tmp_path, "\ufeff" + "\r\n".join(",".join(row) for row in rows))
    assert len(members(tmp_path / "out", "val")) == 6


def test_like_warns_once_of_unknown_subspecies(tmp_path):
    lines = []
    text = LABELS.replace("venus", "cydno").replace("malleti,7\n6", "rosina,7\n6")
    like(tmp_path, text, report=lines.append)
    warnings = [line for line in lines if line.startswith("warning")]
    assert len(warnings) == 1
    assert "cydno, rosina" in warnings[0]


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("2_b.jpeg", "1_a.JPG", "labels-duplicate", "row 3"),
        ("2_b.jpeg", "../b.jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", "a\\b.jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", "/etc/b.jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", ".b.jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", "", "labels-file-name", "row 3"),
        ("2_b.jpeg", "b\x1b.jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", "b" * 300 + ".jpg", "labels-file-name", "row 3"),
        ("2_b.jpeg", "b.gif", "labels-file-name", "row 3"),
        ("4_d.jpg,1", "4_d.jpg,2", "labels-value", "row 5"),
        ("4_d.jpg,1", "4_d.jpg,nan", "labels-value", "row 5"),
        ("0,mimic", "0,mimics", "labels-value", "row 6"),
        ("4_d.jpg,1", "4_d.jpg,0", "labels-contradict", "row 5"),
        ("0,minor,venus", "1,minor,venus", "labels-contradict", "row 4"),
        ("0,minor,venus,7", "0,minor", "labels-row", "row 4"),
        ("0,minor,venus,7", "0,minor,venus,7,8", "labels-row", "row 4"),
        ("venus", '"venus', "labels-row", "row 4"),
        ("ssp_indicator", "group", "labels-columns", "ssp_indicator"),
        (",X\n", ",filename\n", "labels-columns", "filename"),
    ],
)
def test_malformed_label_files_are_told_by_row(tmp_path, old, new, code, where):
    assert old in LABELS
    with pytest.raises(BundleError) as caught:
        like(tmp_path, LABELS.replace(old, new, 1))
    assert caught.value.code == code
    assert where in caught.value.sentence
    assert not (tmp_path / "out" / "input_data").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "labels-columns"),
        (LABELS.splitlines()[0], "labels-empty"),
        (b"\xff\xfe\x00f", "labels-not-text"),
        ("\n".join(LABELS.splitlines()[:5]), "labels-group"),
        ("\n".join(LABELS.splitlines()[:1] + LABELS.splitlines()[5:]), "labels-group"),
    ],
)
def test_label_files_without_rows(tmp_path, text, code):
    with pytest.raises(BundleError) as caught:
        like(tmp_path, text)
    assert caught.value.code == code


def test_label_file_that_is_not_there(tmp_path):
    with pytest.raises(BundleError, match="labels-unreadable"):
        build_like(tmp_path / "none.csv", tmp_path / "out", **LIKE)


@pytest.mark.skipif(not REAL_LABELS.is_file(), reason="the real label file is not here")
def test_like_the_real_label_file(tmp_path):
    lines = REAL_LABELS.read_text().splitlines()
    chosen = [lines[0], *lines[1:400:25]]
    told = []
    like(tmp_path, "\n".join(chosen), report=told.append)
    assert not [line for line in told if line.startswith("warning")]
    names = [row["filename"] for row in csv.DictReader(chosen)]
    assert sorted(members(tmp_path / "out", "val")) == sorted(names)


def test_samples_are_seeded_and_have_no_labels(tmp_path):
    first = write_samples(tmp_path / "a", 8, seed=5, size=(64, 45))
    again = write_samples(tmp_path / "b", 8, seed=5, size=(64, 45))
    assert len(first) == 8 == len(list((tmp_path / "a").iterdir()))
    assert [path.name for path in first] == [path.name for path in again]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert Image.open(first[0]).size == (64, 45)
