"""A museum picture: the specimen on a tray with label and colour card, seen by a camera."""

import hashlib
import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from mimicry.demo.genes import FloatArray, express
from mimicry.demo.props import lay_props
from mimicry.demo.shapes import smooth, wing
from mimicry.demo.wings import Look, Plane, Sheet, Texture, draw_wing

# Larger pictures are drawn at this width and enlarged: more detail than a lens resolves.
DRAWN_WIDTH = 1800
TRAYS = (
    (236, 234, 228), (222, 222, 220), (205, 208, 210), (229, 221, 202), (196, 202, 196),
    (210, 197, 172), (185, 194, 206),
)  # fmt: skip


@dataclass(frozen=True)
class Staging:
    """How much of each nuisance a picture has; 1 is what the demo sets use, 0 is none."""

    pose: float = 1.0
    damage: float = 1.0
    camera: float = 1.0
    props: bool = True
    tray: tuple[int, int, int] | None = None  # drawn by chance if None
    span: float | None = None  # wing span as a share of the width, by chance if None
    ventral: bool | None = None


def rng_for(seed: int, *words: object) -> np.random.Generator:
    """Return a generator that depends on nothing but `seed` and `words`."""
    digest = hashlib.sha256("/".join([str(seed), *map(str, words)]).encode("utf-8")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def draw_specimen(
    genome: FloatArray,
    species: str,
    size: tuple[int, int],
    rng: np.random.Generator,
    staging: Staging | None = None,
) -> Image.Image:
    """Draw a picture of one butterfly.

    Parameters
    ----------
    genome : ndarray of float64, shape (2, loci)
        From `mimicry.demo.genes`.
    species : {"A", "mimic"}
        Which wing shape.
    size : (int, int)
        Width and height in pixels.
    rng : numpy.random.Generator
        The source of everything else: pose, light, damage, tray and camera.
    staging : Staging, optional
        How much of that; as in the demo sets by default.

    Returns
    -------
    PIL.Image.Image
        RGB, of exactly that size.
    """
    staging = Staging() if staging is None else staging
    enlarge = max(1.0, size[0] / DRAWN_WIDTH)
    width, height = (max(1, round(side / enlarge)) for side in size)
    tray = _tray(width, height, staging, rng)
    span = staging.span if staging.span is not None else rng.uniform(0.62, 0.78)
    scale = max(6.0, min(span * width / 1.93, 0.80 * height / 1.02))
    ventral = staging.ventral if staging.ventral is not None else bool(rng.random() < 0.2)
    angle = rng.uniform(0, 2 * math.pi)
    brown = rng.uniform(0, 1)
    look = Look(
        ground=(25 + 16 * brown, 21 + 9 * brown, 20 + 4 * brown),
        fading=staging.damage * rng.beta(1.2, 3.5),
        wear=staging.damage * rng.beta(1.3, 2.5),
        ventral=ventral,
        light=(math.cos(angle), math.sin(angle)),
    )
    centre = (
        width * (0.5 + staging.pose * rng.uniform(-0.045, 0.045)),
        height * (0.53 + staging.pose * rng.uniform(-0.05, 0.05)),
    )
    layers = _specimen(genome, species, scale, look, centre, (width, height), staging, rng)
    shade = Image.new("L", (width, height))
    for image, corner in layers:
        silhouette = image.getchannel("A")
        old = shade.crop((*corner, corner[0] + image.width, corner[1] + image.height))
        shade.paste(ImageChops.lighter(old, silhouette), corner)
    _cast_shadow(tray, shade, scale, look, rng)
    if staging.props:
        lay_props(tray, shade, rng)
    for image, corner in layers:
        tray.paste(image, corner, image)
    return _camera(tray, size, staging, rng)


def cut_out(
    genome: FloatArray, species: str, scale: float, rng: np.random.Generator
) -> Image.Image:
    """Return a faultless butterfly on a transparent ground; `scale` is a forewing's pixels."""
    side = math.ceil(2.1 * scale)
    look = Look((27.0, 22.0, 20.0), fading=0.0, wear=0.0, ventral=False, light=(-0.6, 0.8))
    staging = Staging(pose=0.0, damage=0.0)
    centre = (side / 2, side * 0.47)
    canvas = Image.new("RGBA", (side, side))
    for image, corner in _specimen(
        genome, species, scale, look, centre, (side, side), staging, rng
    ):
        canvas.alpha_composite(image, corner)
    return canvas


def encode(picture: Image.Image, form: str = "JPEG", quality: int = 90) -> bytes:
    """Return a picture's bytes without any metadata; `form` is JPEG or PNG."""
    buffer = io.BytesIO()
    if form == "JPEG":
        picture.save(buffer, "JPEG", quality=quality, subsampling=2)
    else:
        picture.save(buffer, form)
    return buffer.getvalue()


def _tray(width: int, height: int, staging: Staging, rng: np.random.Generator) -> Image.Image:
    base = np.array(staging.tray or TRAYS[int(rng.integers(len(TRAYS)))], dtype=np.float32)
    base = base * np.float32(1 + staging.camera * 0.05 * rng.standard_normal())
    small = (max(2, height // 24), max(2, width // 24))
    rows, columns = np.mgrid[0 : small[0], 0 : small[1]].astype(np.float32)
    turn = rng.uniform(0, 2 * math.pi)
    slope = (columns / small[1] - 0.5) * math.cos(turn) + (rows / small[0] - 0.5) * math.sin(turn)
    radius = (columns / small[1] - 0.5) ** 2 + (rows / small[0] - 0.5) ** 2
    uneven = 0.15 + 0.85 * staging.camera
    light = 1 + uneven * (0.10 * slope - 0.16 * rng.random() * radius)
    light = light + uneven * 0.006 * rng.standard_normal(small).astype(np.float32)
    coarse = np.clip(base * light[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _specimen(
    genome: FloatArray,
    species: str,
    scale: float,
    look: Look,
    centre: tuple[float, float],
    size: tuple[int, int],
    staging: Staging,
    rng: np.random.Generator,
) -> list[tuple[Image.Image, tuple[int, int]]]:
    """Return the wings and the body as RGBA pictures with their corners, lowest first."""
    traits = express(genome)
    roll = staging.pose * rng.normal(0, 4.0)
    spread = staging.pose * rng.normal(0, 4.5)
    drop = staging.pose * rng.normal(0, 4.0) - 0.35 * spread
    layers = []
    for part, swing in (("hind", drop), ("fore", spread)):
        texture = draw_wing(part, wing(species, part, rng), traits, scale, look, rng)
        for side in (1, -1):
            torn = _torn(texture, staging.damage, rng)
            turn = swing + staging.pose * rng.normal(0, 1.8)
            hinge = (0.035, 0.03 if part == "fore" else -0.05)
            layers.append(_placed(torn, texture, side, turn, roll, hinge, scale, centre, size))
    if staging.damage == 0 or rng.random() > 0.10:
        body = _body(scale, look, rng)
        layers.append(_placed(body.image, body, 1, 0.0, roll, (0.0, 0.0), scale, centre, size))
    return [layer for layer in layers if layer is not None]


def _placed(
    image: Image.Image,
    texture: Texture,
    side: int,
    turn: float,
    roll: float,
    hinge: tuple[float, float],
    scale: float,
    centre: tuple[float, float],
    size: tuple[int, int],
) -> tuple[Image.Image, tuple[int, int]] | None:
    """Turn a texture around its hinge, mirror it for the left side and clip it to the picture."""
    # Right wings turn up by a positive angle; y runs down in pixels.
    inner, outer = math.radians(-turn), math.radians(-roll)
    cos_in, sin_in, cos_out, sin_out = (
        math.cos(inner), math.sin(inner), math.cos(outer), math.sin(outer),
    )  # fmt: skip
    # Texture to picture: q = R_out (M (R_in p + hinge)) + centre.
    a, b = cos_in * side, -sin_in * side
    c, d = sin_in, cos_in
    m00, m01 = cos_out * a - sin_out * c, cos_out * b - sin_out * d
    m10, m11 = sin_out * a + cos_out * c, sin_out * b + cos_out * d
    hx, hy = hinge[0] * scale * side, -hinge[1] * scale
    tx = cos_out * hx - sin_out * hy + centre[0]
    ty = sin_out * hx + cos_out * hy + centre[1]
    ox, oy = texture.origin
    xs, ys = [], []
    for px, py in ((0, 0), (image.width, 0), (0, image.height), (image.width, image.height)):
        xs.append(m00 * (px - ox) + m01 * (py - oy) + tx)
        ys.append(m10 * (px - ox) + m11 * (py - oy) + ty)
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = min(size[0], math.ceil(max(xs))), min(size[1], math.ceil(max(ys)))
    if right <= left or bottom <= top:
        return None
    det = m00 * m11 - m01 * m10
    i00, i01, i10, i11 = m11 / det, -m01 / det, -m10 / det, m00 / det
    dx, dy = left - tx, top - ty
    inverse = (i00, i01, i00 * dx + i01 * dy + ox, i10, i11, i10 * dx + i11 * dy + oy)
    placed = image.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        inverse,
        resample=Image.Resampling.BICUBIC,
    )
    return placed, (left, top)


def _torn(texture: Texture, damage: float, rng: np.random.Generator) -> Image.Image:
    """Cut tears into a wing's margin."""
    if rng.random() > 0.22 * damage:
        return texture.image
    image = texture.image.copy()
    alpha = image.getchannel("A")
    pen = ImageDraw.Draw(alpha)
    inside = np.argwhere(np.asarray(alpha.reduce(4)) > 128) * 4.0
    if len(inside) == 0:
        return image
    far = np.hypot(inside[:, 1] - texture.origin[0], inside[:, 0] - texture.origin[1])
    outer = inside[far > np.quantile(far, 0.8)]
    for _ in range(int(rng.integers(1, 4))):
        y, x = outer[int(rng.integers(len(outer)))]
        depth, breadth = texture.scale * rng.uniform(0.02, 0.10), rng.uniform(0.1, 0.45)
        away = math.atan2(y - texture.origin[1], x - texture.origin[0])
        points = [(x - depth * math.cos(away), y - depth * math.sin(away))]
        for k in range(7):
            angle = away + breadth * (k / 3 - 1)
            reach = depth * rng.uniform(0.9, 1.2) + texture.scale * 0.25
            points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        pen.polygon(points, fill=0)
    image.putalpha(alpha.filter(ImageFilter.GaussianBlur(0.6)))
    return image


def _body(scale: float, look: Look, rng: np.random.Generator) -> Texture:
    """Draw head, thorax, abdomen and antennae, shaded as if round."""
    side = np.array([
        (0.0, 0.155), (0.026, 0.148), (0.034, 0.122), (0.027, 0.102), (0.044, 0.07), (0.052, 0.01),
        (0.042, -0.055), (0.026, -0.085), (0.033, -0.13), (0.034, -0.22), (0.027, -0.32),
        (0.013, -0.395), (0.0, -0.41),
    ])  # fmt: skip
    # Thick animals and thin ones.
    side = side * np.array([rng.uniform(0.85, 1.12), 1.0])
    outline = smooth(np.concatenate([side, side[-2:0:-1] * np.array([-1.0, 1.0])]), closed=True)
    bend = rng.normal(0, 0.012)
    lean = -np.clip(outline[:, 1] + 0.05, None, 0)
    outline[:, 0] += bend * (lean / 0.35) ** 2
    feelers, clubs = [], []
    for sign in (1, -1):
        tip = np.array([sign * rng.uniform(0.20, 0.27), rng.uniform(0.44, 0.52)])
        base = np.array([sign * 0.012, 0.148])
        way = smooth(
            np.stack([base, base + (tip - base) * 0.5 + np.array([sign * -0.022, 0.012]), tip])
        )
        feelers.append((way, 0.0065))
        lean_out = (tip - base) / np.hypot(*(tip - base))
        aside = np.array([-lean_out[1], lean_out[0]])
        ring = [(0.024, 0.0), (0.008, 0.0085), (-0.04, 0.003), (-0.04, -0.003), (0.008, -0.0085)]
        clubs.append(smooth([tip + a * lean_out + b * aside for a, b in ring], closed=True))
    everything = np.concatenate([outline, *clubs])
    sheet = Sheet(everything, scale)
    trunk = sheet.mask([(outline, 1.0)])
    threads = sheet.mask([(club, 1.0) for club in clubs], feelers)
    alpha = np.maximum(trunk, threads)
    y, x = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]].astype(np.float32)
    across = (x - sheet.origin[0]) / np.float32(0.045 * scale)
    along = (sheet.origin[1] - y) / np.float32(scale)
    light = np.clip(1.05 - 0.55 * (across - 0.35 * look.light[0]) ** 2, 0.3, 1.2)
    rings = np.where(along < -0.09, 1 + 0.12 * np.sin(along * np.float32(210)), 1.0)
    hair = 1 + 0.10 * rng.standard_normal(alpha.shape, dtype=np.float32)
    base_colour = np.array(look.ground, dtype=np.float32) * np.float32(1.7) + np.float32(8)
    paint: Plane = base_colour * (light * rings * hair)[..., None]
    dots = [
        (np.array([sx, sy]) + 0.009 * smooth([(1, 0), (0, 1), (-1, 0), (0, -1)], closed=True), 0.9)
        for sx, sy in ((0.013, 0.128), (-0.013, 0.128), (0.028, 0.085), (-0.028, 0.085))
    ]
    pale = sheet.mask(dots, soften=0.002)
    for k, value in enumerate((226, 200, 120)):
        paint[..., k] += (value - paint[..., k]) * pale * trunk
    rgba = np.dstack([np.clip(paint, 0, 255), alpha * 255]).astype(np.uint8)
    return Texture(Image.fromarray(rgba), sheet.origin, scale)


def _cast_shadow(
    tray: Image.Image, shade: Image.Image, scale: float, look: Look, rng: np.random.Generator
) -> None:
    """Darken the tray where the specimen keeps the light away."""
    lift = scale * rng.uniform(0.01, 0.035)
    offset = (round(-look.light[0] * lift), round(look.light[1] * lift))
    # Blurring at a quarter of the size looks the same and costs a sixteenth.
    small = shade.resize((max(1, tray.width // 4), max(1, tray.height // 4)), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(max(0.5, lift / 4)))
    strength = rng.uniform(0.25, 0.5)
    small = small.point([round(level * strength) for level in range(256)])
    soft = small.resize(tray.size, Image.Resampling.BICUBIC)
    tray.paste((30, 28, 34), offset, soft)


def _camera(
    scene: Image.Image, size: tuple[int, int], staging: Staging, rng: np.random.Generator
) -> Image.Image:
    """Apply focus, white balance, exposure and sensor noise, at the final size."""
    amount = staging.camera
    focus = amount * rng.uniform(0.0, 0.0022) * scene.width
    if focus > 0.25:
        scene = scene.filter(ImageFilter.GaussianBlur(focus))
    exposure = 1 + amount * rng.normal(0.0, 0.09)
    gamma = math.exp(amount * rng.normal(0.0, 0.10))
    balance = 1 + amount * 0.035 * rng.standard_normal(3)
    table: list[int] = []
    for k in range(3):
        levels = (np.arange(256) / 255) ** gamma * exposure * balance[k] * 255
        table.extend(np.clip(np.round(levels), 0, 255).astype(int).tolist())
    scene = scene.point(table)
    if scene.size != size:
        scene = scene.resize(size, Image.Resampling.BICUBIC)
    deviation = 0.6 + amount * rng.uniform(0.8, 3.6)
    # One tile of noise, laid out at a random place: fresh noise for 17 megapixels takes seconds.
    tile = (rng.standard_normal((256, 512, 3), dtype=np.float32) * np.float32(deviation)).astype(
        np.int16
    )
    pixels = np.asarray(scene)
    noisy = np.empty_like(pixels)
    for top in range(0, size[1], 256):
        shift = int(rng.integers(512))
        rolled = np.roll(tile, shift, axis=1)
        rows = pixels[top : top + 256]
        repeats = -(-size[0] // 512)
        noise = np.tile(rolled, (1, repeats, 1))[: len(rows), : size[0]]
        noisy[top : top + 256] = np.clip(rows + noise, 0, 255)
    return Image.fromarray(noisy)
