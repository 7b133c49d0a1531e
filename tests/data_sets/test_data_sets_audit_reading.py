"""The audit's statistics against definitions, broken zips as errors, and the command."""

import io
import itertools
import json
import math
import os
import re
import zipfile
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mimicry.commands.data_audit import KINDS as CHOICES
from mimicry.commands.data_audit import audit
from mimicry.data_sets.audit import Finding
from mimicry.data_sets.audit_encoding import measure_file, read_segments
from mimicry.data_sets.audit_pixels import measure_pixels
from mimicry.data_sets.audit_reading import Measured, measure_images, read_labels
from mimicry.data_sets.audit_statistics import Tested as Outcome
from mimicry.data_sets.audit_statistics import area, auc_interval, holm
from mimicry.data_sets.audit_words import Named, finding_lines, finding_sentence
from mimicry.data_sets.properties import (
    CONTENT_KINDS,
    KINDS,
    TITLES,
    WORDS,
    Listed,
    measure_listing,
    said_of,
)
from mimicry.errors import BundleError

HEADER = "filename,hybrid_stat,ssp_indicator\n"


def picture(seed: int, form: str = "JPEG", mode: str = "RGB", **settings: object) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(values).resize((32, 24), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, form, **settings)
    return buffer.getvalue()


def zipped(path: Path, members: dict[str, bytes], **settings: int) -> Path:
    with zipfile.ZipFile(path, "w", **settings) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, settings.get("compression"))
    return path


def a_set(folder: Path, leak: bool = False) -> tuple[Path, Path]:
    names = [f"{i:03x}.jpg" for i in np.random.default_rng(1).permutation(4096)[:80]]
    images, rows = {}, []
    for i, name in enumerate(sorted(names)):
        hybrid = (i * 7) % 5 < 2
        images[name] = picture(i) + b"\0" * (leak and hybrid)
        rows.append(f"{name},{int(hybrid)},mimic\n")
    labels = zipped(folder / "labels.zip", {"l.csv": (HEADER + "".join(rows)).encode()})
    return zipped(folder / "images.zip", images), labels


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    high = [score for score, label in rows if label]
    low = [score for score, label in rows if not label]
    right = sum((a > b) + (a == b) / 2 for a, b in itertools.product(high, low))
    scores, labels = zip(*rows, strict=True)
    found = area(np.array(scores, dtype=float), np.array(labels))
    assert found == pytest.approx(right / len(high) / len(low))


@given(st.floats(0, 1), st.integers(2, 400), st.integers(2, 400))
def test_interval_holds_the_area_and_solves_its_equation(auc: float, m: int, n: int) -> None:
    low, high = auc_interval(auc, m, n)
    assert 0 <= low <= auc <= high <= 1
    z = NormalDist().inv_cdf(0.975)
    for bound in (low, high):
        # Hanley's and McNeil's terms, each with the mean of both sizes (Newcombe's method 5).
        half = (m + n) / 2 - 1
        q1, q2 = bound / (2 - bound), 2 * bound**2 / (1 + bound)
        terms = bound * (1 - bound) + half * (q1 - bound**2) + half * (q2 - bound**2)
        assert abs(auc - bound) == pytest.approx(z * math.sqrt(max(0, terms) / (m * n)), abs=1e-6)


def test_a_perfect_area_of_a_dozen_is_not_certain() -> None:
    low, high = auc_interval(1.0, 12, 80)
    assert 0.8 < low < 0.99
    assert high == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_step_by_step(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for place, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if (len(p_values) - place) * p_values[i] > level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(corrected) if p <= level} == rejected


def test_every_property_has_a_kind_and_a_title() -> None:
    assert tuple(KINDS) == CHOICES
    assert set(KINDS) >= CONTENT_KINDS
    assert set(TITLES) >= WORDS
    assert {key.partition(".")[0] for key in TITLES} == set(KINDS)


@pytest.mark.parametrize(
    ("form", "mode", "settings"),
    [
        *[("JPEG", mode, {}) for mode in ("RGB", "L", "CMYK")],
        ("JPEG", "RGB", {"progressive": True, "optimize": True}),
        *[("PNG", mode, {}) for mode in ("RGB", "RGBA", "L", "P", "1", "I;16")],
        *[(form, "RGB", {}) for form in ("BMP", "TIFF", "GIF", "WEBP", "MPO")],
    ],
)
def test_every_sort_of_image_is_measured(form: str, mode: str, settings: dict[str, bool]) -> None:
    data = picture(3, form, mode, **settings)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = measure_file(data, image) | measure_pixels(image, len(data))
    assert set(found) <= set(TITLES)
    for key, value in found.items():
        assert isinstance(value, str) == (key in WORDS or key == "copies.pixels") or value is None
        assert not isinstance(value, float) or math.isfinite(value)
    if form == "JPEG":
        assert found["size.excess"] == pytest.approx(0, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300) | st.sampled_from([picture(1), picture(2, progressive=True)]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
)
def test_segments_of_any_bytes(data: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for at, value in changes:
        if at < len(damaged):
            damaged[at] = value
    found = read_segments(bytes(damaged))
    assert 0 <= found.coded <= len(damaged)
    assert sum(len(payload) for _, payload in found.parts) <= len(damaged)


def test_padding_is_counted_to_the_byte() -> None:
    data = picture(1)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        plain = measure_file(data, image)
        padded = measure_file(data + b"x" * 37, image)
    assert plain["size.trailing"] == 0
    assert padded["size.trailing"] == 37
    assert padded["size.outside"] == plain["size.outside"] + 37


def refused(images: Path, labels: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        measure_images(images, read_labels(labels), Measured(), lambda line: None)
    return caught.value


def encrypted(path: Path) -> Path:
    zipped(path, {"1.jpg": picture(1)})
    data = bytearray(path.read_bytes())
    # The first bit of the flags, in the entry and in the directory.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    return path


def test_broken_images_are_refused(tmp_path: Path) -> None:
    table = (HEADER + "1.jpg,1,mimic\n").encode()
    labels = zipped(tmp_path / "labels.zip", {"l.csv": table})
    bomb = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(bomb, "PNG")
    cases = {
        "data-missing": [tmp_path / "none.zip"],
        "data-zip": [tmp_path, tmp_path / "text.zip", tmp_path / "pipe"],
        "data-names": [
            zipped(tmp_path / "other.zip", {"2.jpg": picture(1)}),
            zipped(tmp_path / "more.zip", {"1.jpg": picture(1), "2.jpg": picture(2)}),
        ],
        "data-image": [
            zipped(tmp_path / "cut.zip", {"1.jpg": picture(1)[:-200]}),
            zipped(tmp_path / "words.zip", {"1.jpg": b"no image"}),
            zipped(tmp_path / "bomb.zip", {"1.jpg": bomb.getvalue()}),
            zipped(tmp_path / "lzma.zip", {"1.jpg": picture(1)}, compression=zipfile.ZIP_LZMA),
            encrypted(tmp_path / "secret.zip"),
        ],
    }
    (tmp_path / "text.zip").write_text("no zip")
    os.mkfifo(tmp_path / "pipe")
    for code, paths in cases.items():
        for path in paths:
            assert refused(path, labels).code == code, path
    assert "1.jpg" in refused(tmp_path / "bomb.zip", labels).sentence


def test_broken_labels_are_refused(tmp_path: Path) -> None:
    images = zipped(tmp_path / "images.zip", {"1.jpg": picture(1)})
    two = zipped(tmp_path / "two.zip", {"a.csv": b"", "b.csv": b""})
    sealed = zipped(tmp_path / "sealed.zip", {"a.csv.age": b"x"})
    bad = zipped(tmp_path / "bad.zip", {"a.csv": b"filename\n1.jpg\n"})
    assert refused(images, two).code == "data-reference"
    assert "sealed" in refused(images, sealed).sentence
    assert refused(images, bad).code == "reference-columns"


def test_the_command_tells_a_leak_and_fails(tmp_path: Path) -> None:
    images, labels = a_set(tmp_path, leak=True)
    told = tmp_path / "audit.json"
    words = ["--input", str(images), "--reference", str(labels), "--json", str(told)]
    done = CliRunner().invoke(audit, words)
    error = done.exception
    assert isinstance(error, BundleError) and error.code == "data-leak-property"
    assert "bytes after the end of the picture" in error.sentence
    assert "mimicry data build IMAGES LABELS" in done.output
    assert (
        "bytes after the end of the picture: higher, median 1 against 0; AUC 1.000 (" in done.output
    )
    found = json.loads(told.read_text())
    assert found["leaks"] == 1
    assert found["findings"][0]["properties"][0]["interval"][0] > 0.9
    accepted = CliRunner().invoke(audit, [*words, "--accept", "size"])
    assert accepted.exit_code == 0 and "1 accepted" in accepted.output


def test_the_command_is_content_with_a_clean_set(tmp_path: Path) -> None:
    images, labels = a_set(tmp_path)
    done = CliRunner().invoke(audit, ["--input", str(images), "--reference", str(labels)])
    assert done.exception is None, done.output
    assert "no leak in 1 set" in done.output


def test_a_folder_of_zips_needs_no_competition(tmp_path: Path) -> None:
    for name in ("input_data", "reference_data"):
        (tmp_path / name).mkdir()
    images, labels = a_set(tmp_path)
    none = CliRunner().invoke(audit, ["--data", str(tmp_path)])
    assert isinstance(none.exception, BundleError) and none.exception.code == "data-missing"
    images.rename(tmp_path / "input_data" / "val.zip")
    labels.rename(tmp_path / "reference_data" / "val.zip")
    # Images without labels are passed over.
    zipped(tmp_path / "input_data" / "test.zip", {"a.jpg": b""})
    done = CliRunner().invoke(audit, ["--data", str(tmp_path)])
    assert done.exception is None, done.output
    assert "no leak in 1 set" in done.output
    both = CliRunner().invoke(audit, ["--data", str(tmp_path), "--competition", "hybrid"])
    assert both.exit_code == 2
    assert CliRunner().invoke(audit, ["--data", str(tmp_path / "none")]).exit_code == 2


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        ((2024, 5, 3, 14, 7, 58), "2024-05-03 14:07:58"),
        ((1980, 1, 1, 0, 0, 0), "1980-01-01 00:00:00"),
        ((2026, 12, 31, 23, 59, 58), "2026-12-31 23:59:58"),
    ],
)
def test_time_stamps_are_shown_as_dates(date: tuple[int, ...], shown: str) -> None:
    info = zipfile.ZipInfo("a.jpg", date)  # type: ignore[arg-type]
    info.header_offset = 0
    stamp = measure_listing([Listed("a.jpg", 0, 0, info)])[0]["entry.time"]
    assert isinstance(stamp, float) and said_of("entry.time", stamp) == shown
    moment = float(re.sub(r"\D", "", shown))
    assert said_of("metadata.moment", moment) == shown
    assert said_of("size.trailing", 1.5) == "1.5"


def a_finding(kind: str, own: float, all_together: float, named: int) -> Finding:
    strongest = Named("name.first", own, (0.9, 1.0), False, "“h” in 100 % against 0 %")
    tested = Outcome(0.001, 999, all_together, (0.6, 0.9), ("name.first",))
    target = "hybrids of mimic"
    return Finding("val", target, kind, "leak", 9, 9, tested, 0.01, (strongest,) * named)


def test_a_leak_is_told_with_its_own_area() -> None:
    weak = a_finding("order", 1.0, 0.75, 4)
    assert "(AUC 1.00)" in finding_sentence(weak)
    lines = finding_lines(weak)
    assert "order of the images tells hybrids" in lines[0]
    assert "one alone may tell more" in lines[2]
    assert "and 1 more property of" in "\n".join(lines)
    strong = finding_lines(a_finding("metadata", 0.7, 0.75, 5))
    assert "metadata tell hybrids" in strong[0]
    assert "one alone" not in "\n".join(strong)
    assert "and 2 more properties of" in "\n".join(strong)


@pytest.mark.parametrize("words", [["--input", "a.zip"], ["--input", "a", "--reference", "b"]])
def test_wrong_usage(words: list[str]) -> None:
    more = ["--task", "A"] if len(words) > 2 else []
    assert CliRunner().invoke(audit, [*words, *more]).exit_code == 2
