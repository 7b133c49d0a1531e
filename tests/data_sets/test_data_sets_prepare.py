"""One photograph made ready: its colours, its place upright, and what is refused."""

import io

import numpy as np
import pytest
from data_sets_photographs import decoded, encoded, picture
from PIL import Image, ImageCms

from mimicry.data_sets.colours import is_srgb, to_rgb
from mimicry.data_sets.prepare import Style, UnfitImage, prepare

KEEP, JPEG, PNG = Style("keep", 0), Style("jpeg"), Style("png", 0)
TURNS = range(1, 9)


def profile(name: str) -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes())


def wide_gamut() -> bytes:
    """A profile whose red is another one: sRGB's with red and green exchanged."""
    data = bytearray(profile("sRGB"))
    count = int.from_bytes(data[128:132], "big")
    entries = {
        bytes(data[i : i + 4]): data[i + 4 : i + 12] for i in range(132, 132 + 12 * count, 12)
    }
    entries[b"rXYZ"], entries[b"gXYZ"] = entries[b"gXYZ"], entries[b"rXYZ"]
    for i, (tag, place) in enumerate(entries.items()):
        data[132 + 12 * i : 144 + 12 * i] = tag + place
    return bytes(data)


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "PNG", exif=exif.tobytes())


@pytest.mark.parametrize("orientation", TURNS)
def test_images_stand_upright_as_a_viewer_shows_them(orientation: int) -> None:
    corner = np.zeros((4, 6, 3), dtype=np.uint8)
    corner[0, 0] = (255, 0, 0)
    # Where the corner that is stored first belongs, by the EXIF standard: (row, column).
    belongs = {
        1: (0, 0),
        2: (0, 5),
        3: (3, 5),
        4: (3, 0),
        5: (0, 0),
        6: (0, 3),
        7: (5, 3),
        8: (5, 0),
    }
    published, facts = prepare(turned(Image.fromarray(corner), orientation), PNG)
    shown = np.asarray(decoded(published))
    assert shown.shape == ((4, 6, 3) if orientation < 5 else (6, 4, 3))
    assert tuple(np.argwhere(shown[..., 0])[0]) == belongs[orientation]
    assert (facts.width, facts.height) == shown.shape[1::-1]


def test_keeping_the_coded_pixels_tells_which_images_it_cannot_turn() -> None:
    _, facts = prepare(turned(picture(1), 6), KEEP)
    assert [code for code, _ in facts.notes] == ["image-turned"]
    assert prepare(turned(picture(1), 1), KEEP)[1].notes == ()


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA"])
def test_modes_without_loss_keep_every_pixel(mode: str) -> None:
    image = picture(2).convert("L" if mode == "LA" else mode).convert(mode)
    published, facts = prepare(encoded(image, "PNG"), PNG)
    result = decoded(published)
    assert result.mode == "RGB" and result.info == {}
    assert result.tobytes() == image.convert("RGB").tobytes()
    assert facts.notes == ()


def test_sixteen_bits_become_eight_by_rounding() -> None:
    values = np.array([[0, 128, 129, 257, 32_896, 65_535]], dtype=np.uint16)
    published, facts = prepare(encoded(Image.fromarray(values), "PNG"), PNG)
    assert np.asarray(decoded(published))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert [code for code, _ in facts.notes] == ["image-depth"]


def test_what_shines_through_becomes_white_and_is_told() -> None:
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 255))
    assert prepare(encoded(image, "PNG"), PNG)[1].notes == ()
    image.putpixel((0, 0), (10, 20, 30, 0))
    published, facts = prepare(encoded(image, "PNG"), PNG)
    assert decoded(published).getpixel((0, 0)) == (255, 255, 255)
    assert decoded(published).getpixel((1, 0)) == (10, 20, 30)
    assert [code for code, _ in facts.notes] == ["image-transparent"]


def test_a_profile_is_applied_and_then_goes() -> None:
    assert is_srgb(profile("sRGB")) and not is_srgb(wide_gamut())
    red = Image.new("RGB", (8, 8), (200, 10, 10))
    plain, _ = prepare(encoded(red, "PNG", icc_profile=profile("sRGB")), PNG)
    assert decoded(plain).getpixel((0, 0)) == (200, 10, 10)
    other, facts = prepare(encoded(red, "PNG", icc_profile=wide_gamut()), PNG)
    pixel = decoded(other).getpixel((0, 0))
    assert pixel[1] > 150 and pixel[0] < 60 and facts.notes == ()
    assert "icc_profile" not in decoded(other).info
    _, facts = prepare(encoded(red, "PNG", icc_profile=wide_gamut()), KEEP)
    assert [code for code, _ in facts.notes] == ["image-profile"]


@pytest.mark.parametrize("junk", [b"", b"junk", b"\0" * 200])
def test_a_profile_that_is_none_is_told_or_ignored(junk: bytes) -> None:
    image = picture(3)
    image.info["icc_profile"] = junk
    converted, notes = to_rgb(image)
    assert converted.tobytes() == picture(3).tobytes()
    assert [code for code, _ in notes] == (["image-profile-broken"] if junk else [])


def test_cmyk_becomes_rgb_and_says_that_its_colours_are_a_guess() -> None:
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    published, facts = prepare(encoded(red), PNG)
    pixel = decoded(published).getpixel((5, 5))
    assert pixel[0] > 200 and pixel[1] < 60 and pixel[2] < 60
    assert [code for code, _ in facts.notes] == ["image-cmyk"]


def test_all_jpegs_get_the_same_settings_and_no_metadata() -> None:
    sources = [
        encoded(picture(4), quality=50, progressive=True, comment=b"CAM01", dpi=(72, 72)),
        encoded(picture(5).convert("L"), "PNG"),
        encoded(picture(6), "TIFF", compression="tiff_lzw"),
        encoded(picture(7), "WEBP", lossless=True),
    ]
    heads = set()
    for data in sources:
        published, facts = prepare(data, JPEG)
        assert facts.suffix == ".jpg" and b"CAM01" not in published
        heads.add(published[: published.index(b"\xff\xda")])
    assert len(heads) == 1


def test_largest_side_is_kept_to() -> None:
    published, facts = prepare(encoded(picture(8, (300, 200)), "PNG"), Style("png", 0, 100))
    assert decoded(published).size == (100, 67) == (facts.width, facts.height)
    assert prepare(encoded(picture(8, (90, 20)), "PNG"), Style("png", 0, 100))[1].width == 90


def test_a_camera_s_preview_behind_the_picture_goes() -> None:
    buffer = io.BytesIO()
    picture(9).save(buffer, "MPO", save_all=True, append_images=[picture(10)], quality=95)
    for style in (KEEP, PNG):
        published, _ = prepare(buffer.getvalue(), style)
        assert getattr(decoded(published), "n_frames", 1) == 1
        assert decoded(published).tobytes() == decoded(buffer.getvalue()).tobytes()


def frames(kind: str) -> bytes:
    return encoded(picture(11), kind, save_all=True, append_images=[picture(12)])


def short_rows() -> bytes:
    """A PNG whose checksums are right and whose compressed rows end early."""
    import struct
    import zlib

    data = encoded(picture(13, (200, 200)), "PNG")
    start = data.index(b"IDAT") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    body = data[start + 8 : start + 8 + size // 2]
    crc = struct.pack(">I", zlib.crc32(b"IDAT" + body))
    return data[:start] + struct.pack(">I", len(body)) + b"IDAT" + body + crc + data[-12:]


@pytest.mark.parametrize("style", [KEEP, JPEG], ids=["keep", "jpeg"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames("GIF"), "image-frames"),
        (frames("PNG"), "image-frames"),
        (frames("TIFF"), "image-frames"),
        (frames("WEBP"), "image-frames"),
        (b"", "image-unreadable"),
        (b"<svg/>", "image-unreadable"),
        (encoded(picture(14))[:-700], "image-unreadable"),
        (encoded(picture(14))[:-1], "image-unreadable"),
        (encoded(picture(14), "PNG")[:-20], "image-unreadable"),
        (short_rows(), "image-unreadable"),
        (encoded(picture(14), "TIFF")[:-900], "image-unreadable"),
    ],
)
def test_what_is_no_whole_single_picture_is_refused(data: bytes, code: str, style: Style) -> None:
    with pytest.raises(UnfitImage) as caught:
        prepare(data, style)
    assert caught.value.code == code and caught.value.reason


def test_only_jpeg_and_png_can_be_kept() -> None:
    with pytest.raises(UnfitImage) as caught:
        prepare(encoded(picture(15), "TIFF"), KEEP)
    assert caught.value.code == "image-kind"


def test_a_header_that_promises_too_much_is_refused_before_it_is_decoded() -> None:
    import struct
    import zlib

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head
    bomb += struct.pack(">I", zlib.crc32(b"IHDR" + head))
    bomb += struct.pack(">I", 10) + b"IDAT" + zlib.compress(b"")[:8].ljust(10, b"\0") + bytes(4)
    with pytest.raises(UnfitImage) as caught:
        prepare(bomb, JPEG)
    assert caught.value.code == "image-too-large"


def test_hashes_of_pixels_ignore_how_they_are_stored() -> None:
    image = picture(16)
    as_png, as_tiff = encoded(image, "PNG"), encoded(image, "TIFF")
    one, other = prepare(as_png, JPEG)[1], prepare(as_tiff, PNG)[1]
    assert one.pixels == other.pixels and one.look == other.look and one.sha256 != other.sha256
    lying = turned(image.transpose(Image.Transpose.ROTATE_90), 6)
    assert prepare(lying, JPEG)[1].pixels == one.pixels
