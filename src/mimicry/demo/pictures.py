"""The project's pictures: ``python -m mimicry.demo.pictures`` draws them anew.

``logo.png`` shows Species A and its mimic, ``docs/images/specimens.png`` what the
demo sets are made of. Run it at the repository's root, or name that folder.
"""

import argparse
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mimicry.demo.genes import SUBSPECIES, FloatArray, founder, hybrid
from mimicry.demo.scene import Staging, cut_out, draw_specimen, rng_for
from mimicry.files import write_atomically

LOGO_SIDE = 512
CELL = (392, 268)
CAPTION_HEIGHT = 34
GAP = 6
PAPER = (250, 249, 246)
INK = (40, 38, 36)

# Per row: (mother, father or None, caption).
ROWS: tuple[tuple[tuple[str, str | None, str], ...], ...] = (
    (
        ("notabilis", None, "Species A: notabilis"),
        ("notabilis", "lativitta", "signal hybrid"),
        ("lativitta", None, "Species A: lativitta"),
    ),
    (
        ("plesseni", None, "mimic species: plesseni"),
        ("plesseni", "malleti", "mimic hybrid"),
        ("malleti", None, "mimic species: malleti"),
    ),
    (
        ("hydara", None, "Species A: hydara"),
        ("hydara", "amalfreda", "non-signal hybrid"),
        ("amalfreda", None, "Species A: amalfreda"),
    ),
)
AS_SEEN = (
    ("cyrbia", None, "as the model sees them"),
    ("notabilis", "lativitta", "in any light, worn and torn"),
    ("malleti", None, "with label and colour card"),
)


def contact_sheet(seed: int = 5) -> Image.Image:
    """Draw parents and hybrids of all three groups, and a row as in the demo sets."""
    clean = Staging(
        pose=0.0, damage=0.0, camera=0.0, props=False, tray=(236, 234, 228), span=0.8, ventral=False
    )
    rows = [(row, clean) for row in ROWS] + [(AS_SEEN, Staging(ventral=False))]
    step = CELL[1] + CAPTION_HEIGHT
    width = 3 * CELL[0] + 4 * GAP
    sheet = Image.new("RGB", (width, len(rows) * step + GAP), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=17)
    for i, (row, staging) in enumerate(rows):
        for j, (mother, father, caption) in enumerate(row):
            rng = rng_for(seed, "sheet", i, j)
            genome = _genome(mother, father, seed)
            picture = draw_specimen(genome, SUBSPECIES[mother].species, CELL, rng, staging)
            x, y = GAP + j * (CELL[0] + GAP), GAP + i * step
            sheet.paste(picture, (x, y))
            named = father and row is not AS_SEEN
            text = f"{caption} ({mother} x {father})" if named else caption
            pen.text((x + CELL[0] / 2, y + CELL[1] + 13), text, INK, font, anchor="mm")
    return sheet


def logo(seed: int = 5) -> Image.Image:
    """Draw a butterfly of Species A and its mimic on a plain ground."""
    # Drawn at twice the size: the turn and the reduction smooth each other.
    side = 2 * LOGO_SIDE
    picture = Image.new("RGBA", (side, side), (244, 238, 224, 255))
    for name, turn, middle in (("lativitta", 20, (410, 345)), ("malleti", -14, (630, 720))):
        rng = rng_for(seed, "logo", name)
        one = cut_out(_genome(name, None, seed), SUBSPECIES[name].species, 352, rng)
        one = one.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        shadow = Image.new("RGBA", one.size, (60, 45, 30, 0))
        shadow.putalpha(one.getchannel("A").point([level // 3 for level in range(256)]))
        shadow = shadow.filter(ImageFilter.GaussianBlur(12))
        for layer, shift in ((shadow, 14), (one, 0)):
            corner = (middle[0] - one.width // 2 + shift, middle[1] - one.height // 2 + shift)
            whole = Image.new("RGBA", picture.size)
            whole.paste(layer, corner)
            picture = Image.alpha_composite(picture, whole)
    return picture.convert("RGB").resize((LOGO_SIDE, LOGO_SIDE), Image.Resampling.LANCZOS)


def _genome(mother: str, father: str | None, seed: int) -> FloatArray:
    if father is None:
        return founder(SUBSPECIES[mother], rng_for(seed, "founder", mother))
    only_first = {"F1": 1.0, "F2": 0.0, "backcross": 0.0}
    rng = rng_for(seed, "cross", mother, father)
    return hybrid(SUBSPECIES[mother], SUBSPECIES[father], rng, only_first)


def _png(picture: Image.Image, colours: int) -> bytes:
    """Return a PNG with a palette: a third of the bytes, and nobody sees the difference."""
    buffer = io.BytesIO()
    picture.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=2).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> None:
    """Write the pictures into the repository."""
    parser = argparse.ArgumentParser(description="Draw the project's logo and specimen sheet.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="the repository")
    root = parser.parse_args().root
    (root / "docs" / "images").mkdir(parents=True, exist_ok=True)
    for name, picture in (("logo.png", logo()), ("docs/images/specimens.png", contact_sheet())):
        data = _png(picture, 256)
        write_atomically(root / name, data)
        print(f"wrote {root / name}: {picture.width} x {picture.height}, {len(data)} bytes")


if __name__ == "__main__":
    main()
