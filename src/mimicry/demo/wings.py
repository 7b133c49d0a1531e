"""Wings as textures: pigment masks drawn with Pillow, light and wear added with numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from mimicry.demo.genes import Traits
from mimicry.demo.shapes import FloatArray, Wing, fore_veins, hind_veins, smooth

Plane = npt.NDArray[np.float32]

ORANGE = (205, 74, 26)
RED = (196, 34, 30)
YELLOW = (243, 214, 96)
WHITE = (240, 232, 214)
BLUE = (26, 62, 128)


@dataclass(frozen=True)
class Look:
    """What is the same on all four wings of one picture."""

    ground: tuple[float, float, float]  # colour of the black scales
    fading: float  # 0 fresh, 1 pale from age or sun
    wear: float  # 0 none, 1 many scales rubbed off
    ventral: bool  # seen from below
    light: tuple[float, float]  # direction of the light, x to the right and y up


@dataclass(frozen=True)
class Texture:
    """A drawn wing or body: RGBA pixels and the pixel position of the wing's base."""

    image: Image.Image
    origin: tuple[float, float]
    scale: float  # pixels per unit of length


class Sheet:
    """A canvas around an outline: draws anti-aliased masks of what lies on it."""

    def __init__(self, outline: FloatArray, scale: float, margin: float = 0.02) -> None:
        low, high = outline.min(axis=0) - margin, outline.max(axis=0) + margin
        self.scale = scale
        # Small wings need finer steps for smooth edges; large ones have enough pixels.
        self.fine = 4 if scale < 160 else 2
        self.width, self.height = (max(4, int(np.ceil(side))) for side in (high - low) * scale)
        self._corner = (float(low[0]), float(high[1]))
        self.origin = (-float(low[0]) * scale, float(high[1]) * scale)

    def _pixels(self, points: FloatArray) -> list[tuple[float, float]]:
        step = self.scale * self.fine
        x = (points[:, 0] - self._corner[0]) * step
        y = (self._corner[1] - points[:, 1]) * step
        return list(zip(x.tolist(), y.tolist(), strict=True))

    def mask(
        self,
        areas: list[tuple[FloatArray, float]],
        lines: list[tuple[FloatArray, float]] | None = None,
        soften: float = 0.0,
    ) -> Plane:
        """Return a mask in [0, 1].

        Parameters
        ----------
        areas : list of (polygon, strength)
            Filled one after the other, so later ones cut holes into earlier ones.
        lines : list of (polyline, width), optional
            Widths in units of length.
        soften : float
            Blur radius in units of length.
        """
        fine = Image.new("L", (self.width * self.fine, self.height * self.fine))
        pen = ImageDraw.Draw(fine)
        for points, strength in areas:
            pen.polygon(self._pixels(points), fill=round(255 * min(1.0, max(0.0, strength))))
        for points, width in lines or []:
            pixels = max(1, round(width * self.scale * self.fine))
            pen.line(self._pixels(points), fill=255, width=pixels, joint="curve")
        small = fine.reduce(self.fine)
        if soften > 0:
            small = small.filter(ImageFilter.GaussianBlur(soften * self.scale))
        return np.asarray(small, dtype=np.float32) / np.float32(255)

    def clouds(self, rng: np.random.Generator, cell: float) -> Plane:
        """Return smooth noise with standard deviation near 1 and blobs of size `cell`."""
        wide = max(2, int(self.width / (cell * self.scale)) + 2)
        high = max(2, int(self.height / (cell * self.scale)) + 2)
        coarse = rng.standard_normal((high, wide)).astype(np.float32)
        image = Image.fromarray(coarse).resize((self.width, self.height), Image.Resampling.BICUBIC)
        return np.asarray(image, dtype=np.float32)


def blurred(plane: Plane, radius: float) -> Plane:
    """Return a mask in [0, 1] blurred by `radius` pixels."""
    image = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)


def draw_wing(
    part: str, wing: Wing, traits: Traits, scale: float, look: Look, rng: np.random.Generator
) -> Texture:
    """Draw one right wing.

    Parameters
    ----------
    part : {"fore", "hind"}
        Which wing.
    wing : Wing
        Its outline.
    traits : Traits
        What the pattern genes express.
    scale : float
        Pixels per unit (a forewing's length).
    look : Look
        Light, age and side.
    rng : numpy.random.Generator
        The source of chance.
    """
    sheet = Sheet(wing.outline, scale)
    alpha = sheet.mask([(wing.outline, 1.0)])
    veins = fore_veins(wing) if part == "fore" else hind_veins(wing)
    grain = rng.standard_normal(alpha.shape, dtype=np.float32)
    middle, broad = sheet.clouds(rng, 0.02), sheet.clouds(rng, 0.16)

    paint = _ground(part, sheet, alpha, traits, look, broad)
    shown = np.zeros_like(alpha)
    layers = _fore_layers if part == "fore" else _hind_layers
    for mask, colour in layers(wing, sheet, traits, alpha, veins, look, rng):
        ragged = mask + np.float32(0.16) * (middle + grain) * 4 * mask * (1 - mask)
        ragged = np.clip(ragged, 0, 1)
        tone = np.float32(1) + np.float32(0.05) * broad + np.float32(0.05) * grain
        _mix(paint, [colour[..., k] * tone for k in range(3)], ragged)
        shown = np.maximum(shown, ragged)

    lines = sheet.mask([], [(vein, 0.0065) for vein in veins], soften=0.0012)
    _mix(paint, [np.float32(c * 0.8) for c in look.ground], lines * shown * np.float32(0.7))
    paint += (lines * (1 - shown) * np.float32(12))[..., None]

    _wear(paint, sheet, alpha, look, grain, rng)
    _light(paint, sheet, alpha, lines, look, grain, rng)
    rgba = np.dstack([np.clip(paint, 0, 255), alpha * 255]).astype(np.uint8)
    return Texture(Image.fromarray(rgba), sheet.origin, scale)


def _mix(paint: Plane, colour: list[Plane] | list[np.float32], mask: Plane) -> None:
    for k in range(3):
        paint[..., k] += (colour[k] - paint[..., k]) * mask


def _flat(colour: tuple[float, float, float], shape: tuple[int, ...], look: Look) -> Plane:
    """Return an image of one pigment as it looks after fading and on this side."""
    rgb = np.array(colour, dtype=np.float32)
    pale = 0.42 * look.fading + (0.22 if look.ventral else 0.0)
    rgb = rgb + (np.array([205, 172, 138], dtype=np.float32) - rgb) * np.float32(pale)
    return np.broadcast_to(rgb, (*shape, 3))


def _ground(
    part: str, sheet: Sheet, alpha: Plane, traits: Traits, look: Look, broad: Plane
) -> Plane:
    rgb = np.array(look.ground, dtype=np.float32)
    rim = 1 - blurred(alpha, 0.07 * sheet.scale)
    lift = (
        np.float32(1) + np.float32(0.10) * broad + rim * np.float32(0.9 if part == "hind" else 0.5)
    )
    paint = rgb * lift[..., None]
    if traits.sheen > 0.04:
        y, x = np.mgrid[0 : alpha.shape[0], 0 : alpha.shape[1]].astype(np.float32)
        towards = (x / alpha.shape[1] * look.light[0] - y / alpha.shape[0] * look.light[1]) * 0.5
        glow = np.clip(0.55 + towards + 0.12 * broad - rim, 0, 1) * np.float32(traits.sheen)
        _mix(paint, [np.float32(c) for c in BLUE], glow * np.float32(0.45 if look.ventral else 0.9))
    return paint


def _wobble(rng: np.random.Generator, count: int, size: float) -> FloatArray:
    noise = rng.standard_normal(count + 2)
    return size * (noise[:-2] + noise[1:-1] + noise[2:]) / 1.7


def _stripe(
    wing: Wing,
    along: FloatArray,
    half: FloatArray,
    up: FloatArray,
) -> FloatArray:
    """Return a polygon across the forewing: its middle and half width at each height."""
    left, right = wing.across(along - half, up), wing.across(along + half, up)
    return smooth(np.concatenate([left, right[::-1]]), closed=True, steps=3)


def _fore_layers(
    wing: Wing,
    sheet: Sheet,
    traits: Traits,
    alpha: Plane,
    veins: list[FloatArray],
    look: Look,
    rng: np.random.Generator,
) -> list[tuple[Plane, Plane]]:
    layers = []
    shape = alpha.shape
    if traits.dennis > 0.06:
        reach = 0.17 + 0.22 * traits.dennis + 0.015 * rng.standard_normal()
        up = np.array([0.1, 0.2, 0.33, 0.46, 0.56, 0.64])
        far = reach * np.array([0.98, 1.08, 1.0, 0.9, 0.86, 0.6]) + _wobble(rng, 6, 0.012)
        patch = smooth(
            np.concatenate([wing.across(0.03, up), wing.across(far, up)[::-1]]),
            closed=True,
            steps=3,
        )
        mask = sheet.mask([(patch, min(1.0, 0.25 + traits.dennis))], soften=0.010)
        layers.append((mask, _flat(ORANGE, shape, look)))
    if traits.streak > 0.06:
        along = np.linspace(0.06, 0.2 + 0.22 * traits.streak, 6)
        edge = [wing.across(along, 0.5 + sign * 0.055 * traits.streak) for sign in (1, -1)]
        mask = sheet.mask(
            [(np.concatenate([edge[0], edge[1][::-1]]), 0.2 + traits.streak)], soften=0.008
        )
        layers.append((mask, _flat(YELLOW, shape, look)))
    if traits.band_width > 0.02:
        layers.append(_band(wing, sheet, traits, shape, veins, look, rng))
    return layers


def _band(
    wing: Wing,
    sheet: Sheet,
    traits: Traits,
    shape: tuple[int, ...],
    veins: list[FloatArray],
    look: Look,
    rng: np.random.Generator,
) -> tuple[Plane, Plane]:
    up = np.linspace(0.16, 0.93, 9)
    profile = np.array([0.55, 0.86, 0.97, 1.0, 1.0, 0.98, 0.95, 0.9, 0.7])
    along = traits.band_at + 0.02 * (up - 0.5) + _wobble(rng, 9, 0.006)
    half = traits.band_width * profile * (1 + _wobble(rng, 9, 0.05))
    areas = [(_stripe(wing, along, half, up), 1.0)]
    for at, rise, size in ((0.33, 0.62, 0.034), (0.42, 0.22, 0.028)):
        # Drawn before the gap, so that twin bands stay apart.
        if traits.spots > 0.08:
            ring = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            radius = size * min(1.0, traits.spots) ** 0.5 * (1 + _wobble(rng, 14, 0.05))
            centre = wing.across(at, rise)
            dots = np.stack([1.35 * radius * np.cos(ring), 0.9 * radius * np.sin(ring)], axis=1)
            areas.append((centre + dots, min(1.0, 0.3 + traits.spots)))
    if traits.band_split > 0.12:
        gap = np.full(9, 0.30 * traits.band_width * min(1.0, traits.band_split))
        gap *= 1 + _wobble(rng, 9, 0.08)
        middle = along - 0.05 * traits.band_width
        areas.append(
            (
                _stripe(wing, middle, gap, np.linspace(0.05, 0.99, 9)),
                max(0.0, 1 - 1.5 * traits.band_split),
            )
        )
    mask = sheet.mask(areas, soften=0.006)
    if traits.band_broken > 0.05:
        cuts = sheet.mask([], [(vein, 0.008 + 0.016 * traits.band_broken) for vein in veins[3:]])
        mask = mask * (1 - cuts * np.float32(min(1.0, 0.2 + traits.band_broken)))
    pale = _flat(WHITE, shape, look).copy()
    whole = np.ones(shape, dtype=np.float32)
    _mix(pale, list(_flat(YELLOW, (), look)), whole * np.float32(min(1.0, traits.band_yellow)))
    red = list(_flat(RED, (), look))
    if traits.band_rim > 0.05:
        core = np.clip((blurred(mask, 0.02 * sheet.scale) - 0.60) * 5, 0, 1)
        _mix(pale, red, (1 - core) * np.float32(min(1.0, 1.05 * traits.band_rim)))
    _mix(pale, red, whole * np.float32(min(1.0, traits.band_red)))
    return mask, pale


def _hind_layers(
    wing: Wing,
    sheet: Sheet,
    traits: Traits,
    alpha: Plane,
    veins: list[FloatArray],
    look: Look,
    rng: np.random.Generator,
) -> list[tuple[Plane, Plane]]:
    layers = []
    shape = alpha.shape
    if traits.rays > 0.06 or traits.dennis > 0.06:
        areas = []
        if traits.dennis > 0.06:
            far = 0.22 + 0.42 * traits.dennis
            turn, reach = np.array([0.08, 0.13, 0.2, 0.24]), np.array([0.1, 1.0, 0.95, 0.1])
            areas.append((wing.around(turn, far * reach), 0.3 + traits.dennis))
        if traits.rays > 0.06:
            for middle in (0.19, 0.315, 0.445, 0.575, 0.71, 0.85):
                end = 0.50 + 0.36 * traits.rays + 0.02 * rng.standard_normal()
                reach = np.array([0.20, 0.36, end - 0.06, end, end - 0.06, 0.36, 0.20])
                width = (0.5 + 0.5 * traits.rays) * (1 + 0.1 * rng.standard_normal())
                side = np.array([-0.012, -0.014, -0.029, 0.0, 0.029, 0.014, 0.012]) * width
                ray = wing.around(middle + side + 0.004 * rng.standard_normal(), reach)
                areas.append((ray, 0.25 + 1.0 * traits.rays))
        layers.append((sheet.mask(areas, soften=0.007), _flat(ORANGE, shape, look)))
    bar = min(1.0, traits.bar * (1.5 if look.ventral else 1.0))
    if bar > 0.06:
        turn = np.array([0.93, 0.8, 0.64, 0.48, 0.34, 0.22, 0.13])
        reach = np.array([0.44, 0.42, 0.44, 0.50, 0.60, 0.72, 0.84]) + _wobble(rng, 7, 0.008)
        half = (0.03 + 0.075 * bar) * np.array([0.7, 0.9, 1.0, 1.0, 1.0, 0.95, 0.6])
        edges = [wing.around(turn, reach + sign * half) for sign in (1, -1)]
        polygon = smooth(np.concatenate([edges[0], edges[1][::-1]]), closed=True, steps=3)
        mask = sheet.mask([(polygon, min(1.0, 1.25 * bar))], soften=0.008)
        layers.append((mask, _flat(YELLOW, shape, look)))
    if traits.fringe > 0.06:
        inside = blurred(alpha, 0.03 * sheet.scale)
        edge = np.clip((0.80 - inside) * 5, 0, 1) * alpha
        _, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        outer = np.clip((x - sheet.origin[0]) / (0.12 * sheet.scale) - 0.7, 0, 1)
        layers.append((edge * outer * np.float32(traits.fringe), _flat(WHITE, shape, look)))
    if look.ventral:
        dots = []
        for turn_at, reach_at in ((0.12, 0.12), (0.35, 0.1), (0.6, 0.13)):
            ring = np.linspace(0, 2 * np.pi, 10, endpoint=False)
            circle = 0.013 * np.stack([np.cos(ring), np.sin(ring)], axis=1)
            dots.append((wing.around(turn_at, reach_at) + circle, 0.9))
        layers.append((sheet.mask(dots, soften=0.003), _flat(RED, shape, look)))
    return layers


def _wear(
    paint: Plane,
    sheet: Sheet,
    alpha: Plane,
    look: Look,
    grain: Plane,
    rng: np.random.Generator,
) -> None:
    """Rub scales off, mostly near the margin: the bare membrane is a pale brown."""
    blots = sheet.clouds(rng, 0.07) + np.float32(0.6) * sheet.clouds(rng, 0.015)
    margin = 1 - blurred(alpha, 0.05 * sheet.scale)
    amount = blots + 2.6 * margin + 0.35 * grain - np.float32(3.0 - 1.9 * look.wear)
    bare = np.clip(amount * 0.8, 0, 1) * np.float32(0.75)
    _mix(paint, [np.float32(c) for c in (128, 108, 88)], bare)


def _light(
    paint: Plane,
    sheet: Sheet,
    alpha: Plane,
    lines: Plane,
    look: Look,
    grain: Plane,
    rng: np.random.Generator,
) -> None:
    """Shade folds and veins as if lit from one side, and add the grain of the scales."""
    height = 0.02 * sheet.clouds(rng, 0.3) + 0.0022 * lines
    height = height + 0.010 * blurred(alpha, 0.012 * sheet.scale)
    down, right = np.gradient(height * np.float32(sheet.scale))
    shade = 1 - 1.1 * (right * np.float32(look.light[0]) - down * np.float32(look.light[1]))
    shade = np.clip(shade, 0.6, 1.4) * (1 + np.float32(0.035) * grain)
    paint *= shade[..., None]
    gloss = np.clip(shade - 1.02, 0, 1) * np.float32(40)
    paint += gloss[..., None] + np.float32(1.5) * grain[..., None]
