"""Taking metadata out without encoding anew: the pixels stay, everything else goes."""

import io
import struct
import zlib

import numpy as np
import pytest
from data_sets_photographs import decoded, encoded, picture
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from mimicry.data_sets.strip import CutShort, OddFile, strip_jpeg, strip_png

SECRET = b"CAM017821 hybrid"


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_metadata(image: Image.Image, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(image, exif=exif.tobytes(), comment=SECRET, icc_profile=profile, **options)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restarts", [0, 1])
def test_jpeg_keeps_its_pixels_and_nothing_else(
    mode: str, progressive: bool, restarts: int
) -> None:
    image = picture(1, (75, 49)).convert(mode)
    data = with_metadata(image, progressive=progressive, restart_marker_rows=restarts)
    assert SECRET in data
    stripped = strip_jpeg(data + b"behind the end " + SECRET)
    assert SECRET not in stripped and b"Exif" not in stripped and b"ICC" not in stripped
    assert stripped.endswith(b"\xff\xd9")
    again = decoded(stripped)
    assert again.mode == mode and again.tobytes() == decoded(data).tobytes()
    assert strip_jpeg(stripped) == stripped


def test_jpeg_that_stores_red_green_and_blue_stays_in_its_colours() -> None:
    # Only Adobe's segment tells a decoder that these three components are no YCbCr.
    data = encoded(picture(2), keep_rgb=True)
    stripped = strip_jpeg(data)
    assert decoded(stripped).tobytes() == decoded(data).tobytes()
    assert strip_jpeg(stripped) == stripped


def test_jpeg_without_jfif_gets_the_same_head_as_all_others() -> None:
    data = encoded(picture(3))
    bare = data[:2] + data[2 + 18 :]
    assert bare[2:4] != b"\xff\xe0"
    assert strip_jpeg(bare) == strip_jpeg(data)


def test_of_several_pictures_in_a_jpeg_the_first_stays() -> None:
    buffer = io.BytesIO()
    picture(4).save(buffer, "MPO", save_all=True, append_images=[picture(5)])
    assert decoded(buffer.getvalue()).format == "MPO"
    stripped = strip_jpeg(buffer.getvalue())
    again = decoded(stripped)
    assert again.format == "JPEG" and len(stripped) < len(buffer.getvalue()) * 0.7
    assert again.tobytes() == decoded(buffer.getvalue()).tobytes()


def test_fill_bytes_between_segments_go() -> None:
    data = encoded(picture(6))
    filled = data[:2] + b"\xff\xff\xff" + data[2:]
    assert strip_jpeg(filled) == strip_jpeg(data)


@given(cut=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_jpeg_that_ends_early_is_told(cut: int) -> None:
    data = encoded(picture(7), progressive=True)
    shorter = data[: cut % len(data)]
    with pytest.raises(OddFile) as caught:
        strip_jpeg(shorter)
    assert len(shorter) < 2 or isinstance(caught.value, CutShort)


@given(
    bodies=st.lists(
        st.tuples(st.sampled_from([*range(0xE0, 0xF0), 0xFE]), st.binary(max_size=40)), max_size=6
    )
)
@example(bodies=[(0xEE, b"Adobe\0\x64\0\0\0\0\0"), (0xE0, b"JFIF\0" + bytes(9))])
@settings(max_examples=60, deadline=None)
def test_whatever_segments_stand_in_front_the_colours_stay(
    bodies: list[tuple[int, bytes]],
) -> None:
    data = encoded(picture(8))
    dressed = data[:2] + b"".join(segment(*one) for one in bodies) + data[2:]
    stripped = strip_jpeg(dressed)
    assert decoded(stripped).tobytes() == decoded(dressed).tobytes()
    assert strip_jpeg(stripped) == stripped


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_a_word_about_the_file(data: bytes, start: bytes) -> None:
    for strip in (strip_jpeg, strip_png):
        try:
            stripped = strip(start + data)
        except OddFile as fault:
            assert str(fault)
        else:
            assert strip(stripped) == stripped


def transparent_palette() -> Image.Image:
    image = picture(9).convert("P")
    image.info["transparency"] = 3
    return image


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.arange(0, 60_000, 30, dtype=np.uint16).reshape(40, 50))


@pytest.mark.parametrize(
    "image",
    [
        picture(9),
        picture(9).convert("L"),
        picture(9).convert("RGBA"),
        picture(9).convert("1"),
        transparent_palette(),
        sixteen_bits(),
    ],
    ids=lambda image: str(image.mode),
)
def test_png_keeps_its_pixels_and_nothing_else(image: Image.Image) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SECRET.decode())
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    data = encoded(image, "PNG", pnginfo=texts, exif=exif.tobytes(), dpi=(300, 300))
    assert data.count(SECRET) == 2
    stripped = strip_png(data + SECRET)
    assert SECRET not in stripped and b"pHYs" not in stripped
    before, after = decoded(data), decoded(stripped)
    assert after.mode == before.mode and after.tobytes() == before.tobytes()
    assert after.info.get("transparency") == before.info.get("transparency")
    assert strip_png(stripped) == stripped


def test_png_in_many_chunks_is_as_in_one() -> None:
    data = encoded(picture(10), "PNG")
    start = data.index(b"IDAT") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    body = data[start + 8 : start + 8 + size]
    pieces = b"".join(
        struct.pack(">I", len(part))
        + b"IDAT"
        + part
        + struct.pack(">I", zlib.crc32(b"IDAT" + part))
        for part in (body[i : i + 100] for i in range(0, len(body), 100))
    )
    assert strip_png(data[:start] + pieces + data[start + 12 + size :]) == strip_png(data)


@given(cut=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_png_that_ends_early_is_told(cut: int) -> None:
    data = encoded(picture(11), "PNG")
    with pytest.raises(OddFile):
        strip_png(data[: cut % len(data)])


@given(at=st.integers(8, 10_000), change=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_in_a_png_is_told(at: int, change: int) -> None:
    data = bytearray(encoded(picture(12), "PNG"))
    data[8 + at % (len(data) - 8)] ^= change
    with pytest.raises(OddFile):
        strip_png(bytes(data))
