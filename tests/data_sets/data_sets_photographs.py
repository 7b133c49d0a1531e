"""Photographs and tables for the tests of building data sets."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = [(group, hybrid) for group in ("major", "minor", "mimic") for hybrid in (0, 1)]


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture of coarse patches that looks like no other."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_photographs(folder: Path, per_class: int = 6) -> list[dict[str, object]]:
    """Write images of all classes and return the rows of their table."""
    folder.mkdir(exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(per_class * len(CLASSES)):
        group, hybrid = CLASSES[number % len(CLASSES)]
        name = f"{number}_CAM{number // 12:03}_d.JPG"
        (folder / name).write_bytes(encoded(picture(number), quality=90))
        rows.append(
            {
                "filename": name,
                "hybrid_stat": hybrid,
                "ssp_indicator": group,
                "CAMID": f"{group}{hybrid}-{number // 12}",
            }
        )
    return rows
