"""What lies beside a specimen on its tray: a paper label, a colour card, a ruler."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PATCHES = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (214, 126, 44), (80, 91, 166),
    (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46), (56, 61, 150), (70, 148, 73),
    (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161), (243, 243, 242), (200, 200, 200),
    (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
)  # fmt: skip


def lay_props(tray: Image.Image, shade: Image.Image, rng: np.random.Generator) -> None:
    """Lay a paper label, a colour card and a ruler where the specimen leaves room."""
    width, height = tray.size
    unit = height / 224
    corners = ["left-top", "right-top", "left-bottom", "right-bottom", "middle-bottom"]
    rng.shuffle(corners)
    taken = shade.point([255 if level > 20 else 0 for level in range(256)])
    for name, chance in ((_label, 0.75), (_card, 0.6), (_ruler, 0.45)):
        prop = name(unit, rng)
        if rng.random() > chance or prop.width >= width // 2 or prop.height >= height // 2:
            continue
        for corner in corners:
            gap = round(unit * rng.uniform(3, 9))
            across, up = corner.split("-")
            x = {"left": gap, "right": width - prop.width - gap}.get(
                across, (width - prop.width) // 2
            )
            y = gap if up == "top" else height - prop.height - gap
            box = (x, y, x + prop.width, y + prop.height)
            if taken.crop(box).getbbox() is None:
                shadow = Image.new("RGB", prop.size, (40, 38, 40))
                edge = max(1, round(unit))
                tray.paste(
                    Image.blend(tray.crop(box), shadow, 0.35).filter(ImageFilter.BoxBlur(edge)),
                    (x + edge, y + edge),
                )
                tray.paste(prop, (x, y))
                taken.paste(255, box)
                break


def _label(unit: float, rng: np.random.Generator) -> Image.Image:
    """Return a paper label with lines of writing that say nothing."""
    fine = 2
    width, height = (round(unit * fine * rng.uniform(*span)) for span in ((46, 66), (22, 34)))
    paper = tuple(int(v - rng.integers(0, 10)) for v in (244, 240, 228))
    label = Image.new("RGB", (max(4, width), max(4, height)), paper)
    pen = ImageDraw.Draw(label)
    ink = tuple(int(v) for v in rng.integers(20, 70, 3))
    step = unit * fine
    y = 4.5 * step
    while y < height - 5 * step:
        x = 4 * step
        end = width - step * rng.uniform(5, 22)
        while x < end:
            for _ in range(int(rng.integers(2, 8))):
                if x > end:
                    break
                _letter(pen, x, y, step, ink, rng)
                x += 2.0 * step
            x += 1.8 * step
        y += 5.6 * step
    pen.rectangle((0, 0, width - 1, height - 1), outline=(205, 200, 190))
    return label.resize((max(2, width // fine), max(2, height // fine)), Image.Resampling.BOX)


def _letter(
    pen: ImageDraw.ImageDraw,
    x: float,
    y: float,
    step: float,
    ink: tuple[int, ...],
    rng: np.random.Generator,
) -> None:
    """Write a made-up letter of a few strokes on a grid of 3 x 4 points."""
    grid = rng.integers(0, 12, 4)
    points = [(x + (p % 3) * 0.65 * step, y + (p // 3) * 0.95 * step) for p in grid.tolist()]
    pen.line(points, fill=ink, width=max(1, round(0.36 * step)))


def _card(unit: float, rng: np.random.Generator) -> Image.Image:
    """Return a colour card: some rows of patches on black."""
    cell, gap = max(2, round(unit * 6.5)), max(1, round(unit))
    columns, rows = (11, 2) if rng.random() < 0.4 else (4, 4)
    card = Image.new("RGB", (columns * (cell + gap) + gap, rows * (cell + gap) + gap), (24, 24, 24))
    shift = 0 if columns == 11 else 6
    for i in range(columns * rows):
        x, y = gap + (i % columns) * (cell + gap), gap + (i // columns) * (cell + gap)
        card.paste(PATCHES[(i + shift) % len(PATCHES)], (x, y, x + cell, y + cell))
    return card


def _ruler(unit: float, rng: np.random.Generator) -> Image.Image:
    """Return a piece of ruler with millimetre and centimetre marks."""
    width, height = round(unit * rng.uniform(60, 90)), round(unit * 11)
    ruler = Image.new("RGB", (max(4, width), max(4, height)), (246, 246, 242))
    pen = ImageDraw.Draw(ruler)
    thick = max(1, round(unit * 0.6))
    for i in range(1, int(width / (2.4 * unit))):
        tall = 0.6 if i % 10 == 0 else 0.45 if i % 5 == 0 else 0.28
        x = round(i * 2.4 * unit)
        pen.rectangle((x, 0, x + thick - 1, round(height * tall)), fill=(30, 30, 30))
    return ruler
