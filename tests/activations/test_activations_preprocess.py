"""Preparing images gives the numbers of torchvision's and timm's evaluation transforms."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from mimicry.activations.entries import Preprocess
from mimicry.activations.preprocess import cropped_pixels, normalised, prepare, registry_resize
from mimicry.activations.sources.libraries import library
from mimicry.errors import BundleError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOLERANCE = 1e-6


def photograph() -> Image.Image:
    return Image.fromarray(load_sample_image("china.jpg"))


def by_torchvision(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    transforms = library("torchvision").transforms
    mode = transforms.InterpolationMode(preprocess.interpolation or "bicubic")
    size = preprocess.resize
    if size is not None and preprocess.aspect == "squash":
        size = (size, size)
    resize = [transforms.Resize(size, mode)] if size else []
    chain = transforms.Compose(
        [
            *resize,
            transforms.CenterCrop(preprocess.crop),
            transforms.ToTensor(),
            transforms.Normalize(preprocess.mean, preprocess.std),
        ]
    )
    return chain(image.convert("RGB")).numpy()


def saved(image: Image.Image, form: str, **options: object) -> Image.Image:
    file = io.BytesIO()
    image.save(file, form, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def oriented() -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photograph(), "JPEG", exif=exif.tobytes())


def transparent_palette() -> Image.Image:
    return saved(photograph().quantize(64), "PNG", transparency=3)


def half_transparent() -> Image.Image:
    image = photograph()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return saved(image, "PNG")


IMAGES = {
    "wide": photograph,
    "tall": lambda: photograph().transpose(Image.Transpose.ROTATE_90),
    "square": lambda: photograph().resize((400, 400)),
    "jpeg": lambda: saved(photograph(), "JPEG", quality=70),
    "webp": lambda: saved(photograph(), "WEBP"),
    "grey": lambda: photograph().convert("L"),
    "grey and transparent": lambda: half_transparent().convert("LA"),
    "black and white": lambda: photograph().convert("1"),
    "transparent": half_transparent,
    "palette": transparent_palette,
    "cmyk": lambda: saved(photograph().convert("CMYK"), "JPEG"),
    "ycbcr": lambda: photograph().convert("YCbCr"),
    "turned by exif": oriented,
    "one pixel": lambda: Image.new("RGB", (1, 1), (10, 200, 30)),
    "one row": lambda: photograph().crop((0, 0, 300, 1)),
    "small": lambda: photograph().resize((31, 17)),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest"])
def test_it_equals_torchvision(name, interpolation):
    preprocess = Preprocess(64, 56, MEAN, STD, interpolation)
    image = IMAGES[name]()
    result = prepare(image, preprocess)
    assert result.dtype == np.float32 and result.shape == (3, 56, 56)
    np.testing.assert_allclose(result, by_torchvision(image, preprocess), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("crop", [64, 41, 70])
def test_squashing_equals_torchvision(name, crop):
    preprocess = Preprocess(64, crop, MEAN, STD, "bicubic", "squash")
    image = IMAGES[name]()
    result = prepare(image, preprocess)
    assert result.shape == (3, crop, crop)
    np.testing.assert_allclose(result, by_torchvision(image, preprocess), atol=TOLERANCE, rtol=0)


def test_squashing_cuts_nothing_off():
    image = Image.new("RGB", (200, 64))
    image.putpixel((0, 30), (255, 255, 255))
    image.putpixel((199, 30), (255, 255, 255))
    kept = Preprocess(64, 64, MEAN, STD, "bilinear")
    squashed = Preprocess(64, 64, MEAN, STD, "bilinear", "squash")
    assert cropped_pixels(image, kept).max() == 0
    assert (cropped_pixels(image, squashed).max(axis=(0, 2))[[0, -1]] > 0).all()


@pytest.mark.parametrize("size", [(64, 64), (64, 128), (128, 64)])
def test_squashing_resamples_unless_both_sides_fit(size):
    image = photograph().resize(size)
    pixels = cropped_pixels(image, Preprocess(64, 64, MEAN, STD, "bicubic", "squash"))
    expected = image if size == (64, 64) else image.resize((64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_a_strip_can_be_squashed_however_long():
    strip = Image.new("RGB", (60_000, 1), (9, 9, 9))
    pixels = cropped_pixels(strip, Preprocess(224, 224, MEAN, STD, "bicubic", "squash"))
    assert pixels.shape == (224, 224, 3) and (pixels == 9).all()


@pytest.mark.parametrize("name", ["wide", "tall", "small"])
def test_it_equals_timm(name):
    library("timm")
    from timm.data import create_transform

    chain = create_transform(
        (3, 224, 224), interpolation="bicubic", mean=MEAN, std=STD, crop_pct=0.875
    )
    image = IMAGES[name]()
    result = prepare(image, Preprocess(256, 224, MEAN, STD, "bicubic"))
    np.testing.assert_allclose(result, chain(image).numpy(), atol=TOLERANCE, rtol=0)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    resize=st.one_of(st.none(), st.integers(1, 60)),
    crop=st.integers(1, 60),
    interpolation=st.sampled_from(["bicubic", "bilinear", "nearest"]),
)
def test_it_equals_torchvision_for_every_size(size, resize, crop, interpolation):
    preprocess = Preprocess(resize, crop, (0.5, 0.4, 0.3), (0.5, 0.25, 1.0), interpolation)
    image = photograph().crop((200, 100, 200 + size[0], 100 + size[1]))
    np.testing.assert_allclose(
        prepare(image, preprocess), by_torchvision(image, preprocess), atol=TOLERANCE, rtol=0
    )


def test_without_resizing_nothing_is_resampled():
    image = photograph()
    pixels = cropped_pixels(image, Preprocess(None, 101, MEAN, STD))
    top, left = round((427 - 101) / 2), round((640 - 101) / 2)
    np.testing.assert_array_equal(pixels, np.asarray(image)[top : top + 101, left : left + 101])


def test_an_orientation_in_exif_is_not_applied():
    preprocess = Preprocess(64, 64, MEAN, STD, "bicubic")
    plain = saved(photograph(), "JPEG")
    np.testing.assert_array_equal(prepare(oriented(), preprocess), prepare(plain, preprocess))


def test_scaling_has_the_bits_of_torch():
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    preprocess = Preprocess(None, 16, MEAN, STD)
    scaled = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    for channel in range(3):
        scaled[channel] = (scaled[channel] - MEAN[channel]) / STD[channel]
    np.testing.assert_array_equal(normalised(pixels, preprocess), scaled.numpy())


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_more_than_eight_bits_are_refused(mode):
    with pytest.raises(BundleError, match="more than 8 bits") as caught:
        prepare(Image.new(mode, (8, 8)), Preprocess(None, 8, MEAN, STD))
    assert caught.value.code == "image-mode"


def test_an_image_that_would_become_endless_is_refused():
    with pytest.raises(BundleError) as caught:
        prepare(Image.new("RGB", (60_000, 1)), Preprocess(224, 224, MEAN, STD, "bicubic"))
    assert caught.value.code == "image-too-long"


@pytest.mark.parametrize("aspect", ["keep", "squash"])
def test_resizing_asks_for_an_interpolation(aspect):
    with pytest.raises(BundleError) as caught:
        prepare(photograph(), Preprocess(64, 64, MEAN, STD, aspect=aspect))
    assert caught.value.code == "interpolation-missing"


def test_the_registrys_resize_rounds():
    assert registry_resize(224, 0.9) == 249
    assert registry_resize(176, 0.95) == 185
    assert registry_resize(224, 1.0) == 224
    for crop_pct in (0.0, 1.5, -1.0, float("nan")):
        with pytest.raises(ValueError, match="crop_pct"):
            registry_resize(224, crop_pct)
