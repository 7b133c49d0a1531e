"""Small pictures of a catalogue: made, packed, and only where organisers ask for them."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from realign_stage import Stage, write_red
from realign_store import ENTRIES, make_store

from mimicry.activations.stimuli import read_stimuli
from mimicry.cli import cli
from mimicry.errors import BundleError
from mimicry.realign.build import RedOptions, build_red
from mimicry.realign.build_thumbnails import SIDE, thumbnail, write_thumbnails
from mimicry.realign.program import score_submission
from mimicry.realign.reference import read_red_reference
from mimicry.realign.rules import THUMBNAILS_NAME, read_red_rules
from mimicry.realign.thumbnails import LARGEST_THUMBNAIL
from mimicry.reports.facts import Facts
from mimicry.reports.layout import document

FACTS = Facts("Red team", None, True, 1.0, [])


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    draw = np.random.default_rng(width * height)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (300, 200), (1, 1), (5, 900), (640, 641)])
def test_a_thumbnail_is_small_and_a_whole_jpeg(mode: str, width: int, height: int) -> None:
    data = thumbnail(noise(width, height, mode))
    assert len(data) <= LARGEST_THUMBNAIL
    with Image.open(io.BytesIO(data)) as found:
        found.load()
        assert found.format == "JPEG" and max(found.size) <= SIDE
    assert data[:3] == b"\xff\xd8\xff" and data[-2:] == b"\xff\xd9"


def test_more_than_eight_bits_are_refused_as_for_models() -> None:
    with pytest.raises(BundleError) as caught:
        thumbnail(Image.new("I;16", (9, 9)))
    assert caught.value.code == "image-mode"


def test_nothing_is_kept_of_what_a_file_tells_beside_its_pixels(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = "SECRET description", "SECRET comment"
    noise(90, 60).save(tmp_path / "images" / "a.jpg", exif=exif, comment=b"SECRET", dpi=(72, 72),
                       icc_profile=b"SECRET profile")  # fmt: skip
    text = PngInfo()
    text.add_text("Comment", "SECRET")
    noise(90, 60).save(tmp_path / "images" / "b.png", pnginfo=text, exif=exif)
    stimuli = read_stimuli(tmp_path / "images", "made").stimuli
    path = tmp_path / THUMBNAILS_NAME
    write_thumbnails(path, stimuli, [("made", tmp_path / "images")], lambda line: None)
    assert b"SECRET" not in path.read_bytes() and b"Exif" not in path.read_bytes()
    for picture in np.load(path):
        with Image.open(io.BytesIO(picture)) as found:
            found.load()
            assert not {"exif", "comment", "icc_profile", "dpi"} & set(found.info)


def test_they_stand_in_the_catalogues_order_and_are_made_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(9):
        shade = 20 + 25 * (8 - number)
        Image.new("RGB", (80, 80), (shade,) * 3).save(tmp_path / "images" / f"{number}.png")
    stimuli = read_stimuli(tmp_path / "images", "made").stimuli
    told: list[str] = []
    paths = [tmp_path / "one.npy", tmp_path / "two.npy"]
    for path in paths:
        write_thumbnails(path, stimuli, [("made", tmp_path / "images")], told.append)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "thumbnails: 9 of 9" in told
    found = np.load(paths[0], allow_pickle=False)
    assert found.shape == (9,) and found.dtype.kind == "S"
    shades = [Image.open(io.BytesIO(one)).convert("L").getpixel((5, 5)) for one in found]
    assert shades == sorted(shades, reverse=True) and len(set(shades)) == 9


def test_an_image_that_changed_since_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    noise(20, 20).save(tmp_path / "images" / "a.png")
    stimuli = read_stimuli(tmp_path / "images", "made").stimuli
    noise(21, 20).save(tmp_path / "images" / "a.png")
    for places, code in (
        ([("made", tmp_path / "images")], "stimulus-changed"),
        ([("other", tmp_path / "images")], "stimuli-missing"),
    ):
        with pytest.raises(BundleError) as caught:
            write_thumbnails(tmp_path / "t.npy", stimuli, places, lambda line: None)
        assert caught.value.code == code


@pytest.mark.parametrize(("value", "good"), [(True, True), (False, True), (1, False), ("x", False)])
def test_the_rules_say_whether_images_may_be_shown(
    tmp_path: Path, value: object, good: bool
) -> None:
    write_red(tmp_path, thumbnails=value)
    if good:
        assert read_red_rules(tmp_path).thumbnails is value
        assert (read_red_reference(tmp_path, tmp_path).thumbnails is not None) is value
        return
    with pytest.raises(BundleError) as caught:
        read_red_rules(tmp_path)
    assert caught.value.code == "rules-invalid" and "thumbnails" in caught.value.sentence


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    make_store(root)
    return root


def members(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_command_packs_them_only_when_told_to(made: Path, tmp_path: Path) -> None:
    for name, more in (
        ("without", []),
        ("with", ["--thumbnails", f"made={made / 'images'}"]),
        ("again", ["--thumbnails", f"made={made / 'images'}"]),
    ):
        done = CliRunner().invoke(
            cli,
            [
                "realign", "build", "red", str(made / "store"), "--count", "10", "--draws", "3",
                "--output", str(tmp_path / f"{name}.zip"), "--public", str(tmp_path / "public"),
                *more,
            ],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
    without, having = members(tmp_path / "without.zip"), members(tmp_path / "with.zip")
    assert set(having) - set(without) == {THUMBNAILS_NAME}
    assert "thumbnails" not in json.loads(without["rules.json"])
    assert json.loads(having["rules.json"])["thumbnails"] is True
    # Public files know nothing of it: the same for a phase with and one without.
    assert "thumbnails" not in (tmp_path / "public" / "rules.json").read_text()
    assert {path.name for path in (tmp_path / "public").iterdir()} == {
        "catalogue.jsonl",
        "rules.json",
    }
    assert (tmp_path / "with.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_a_page_from_built_data_shows_pictures_and_no_secret_name(
    made: Path, tmp_path: Path
) -> None:
    options = RedOptions(count=10, draws=3, thumbnails=(("made", made / "images"),))
    built = build_red(made / "store", tmp_path / "red.zip", tmp_path / "public", options)
    stage = Stage(tmp_path / "app")
    with zipfile.ZipFile(built.output) as archive:
        archive.extractall(stage.ref)
    rows = [json.loads(line) for line in (tmp_path / "public" / "catalogue.jsonl").open()]
    chosen = [{key: row[key] for key in ("dataset_name", "image_identifier")} for row in rows[:10]]
    stage.submit({"differentiating_images": chosen})
    page = document("Red team", *score_submission("red", stage.source).page(FACTS))
    assert page.count("data:image/jpeg") == 10 and "model 4" in page
    for entry in ENTRIES:
        assert entry["model_name"] not in page
    assert not any(row["image_identifier"] in page or row["sha256"] in page for row in rows)
    assert str(tmp_path) not in page and "npy" not in page
