"""Ingestion against a plain loop (open, predict, write), each a process of its own.

python benchmarks/ingestion.py [--json FILE] [--runs N] [--quick]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "python benchmarks/ingestion.py"

NOTES = [
    "The plain loop (benchmarks/plain_loop.py) is untuned: one process, one image after the other,",
    "malloc as it is. Ingestion sets malloc's thresholds for the model's process, so that large",
    "buffers are kept; a plain loop run with the same settings would gain from them, too.",
    "The last column is ingestion's wall time over the larger of decoding alone (first row) and",
    "20 ms an image.",
]
SLOW = "20 ms"
SLOW_SECONDS = 0.02
MODELS = {
    # Decoding alone: what the model costs is nothing.
    "decode only": """
class Model:
    def load(self):
        pass

    def predict(self, image):
        return float(image.getpixel((0, 0))[0])
""",
    # Converts and looks at a few pixels: what the harness costs is what is left.
    "trivial": """
import numpy as np


class Model:
    def load(self):
        pass

    def predict(self, image):
        return float(np.asarray(image.convert("RGB"))[::8, ::8].mean())
""",
    # Waits as for an accelerator; a decode must hide behind it.
    SLOW: """
import time


class Model:
    def load(self):
        pass

    def predict(self, image):
        image.getpixel((0, 0))
        time.sleep(0.02)
        return 0.5
""",
}


class ImageSet(NamedTuple):
    name: str
    count: int
    size: tuple[int, int]
    quality: int


class Cost(NamedTuple):
    wall: float
    cpu: float


def draw(job: tuple[Path, int, tuple[int, int], int]) -> None:
    """Save one picture whose bytes per pixel are those of a photograph."""
    path, seed, (width, height), quality = job
    generator = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), dtype=np.float32)
    for cell, strength in ((256, 60), (64, 40), (16, 25), (4, 14), (1, 9)):
        shape = (-(-height // cell) + 1, -(-width // cell) + 1, 3)
        layer = generator.integers(0, 256, shape, dtype=np.uint8)
        scaled = Image.fromarray(layer).resize((shape[1] * cell, shape[0] * cell), Image.BILINEAR)
        pixels += (np.asarray(scaled, dtype=np.float32)[:height, :width] - 128) * (strength / 128)
    Image.fromarray((pixels + 128).clip(0, 255).astype(np.uint8)).save(path, quality=quality)


def make_set(folder: Path, images: ImageSet) -> None:
    folder.mkdir()
    jobs = [
        (folder / f"{number:05d}.jpg", number, images.size, images.quality)
        for number in range(images.count)
    ]
    with ProcessPoolExecutor() as pool:
        list(pool.map(draw, jobs, chunksize=8))


def measure(command: list[str]) -> Cost:
    """Run a command; wall seconds, and CPU seconds of it and all its descendants."""
    before = os.times()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = os.times()
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return Cost(wall, cpu)


def compare(inputs: Path, submission: Path, scratch: Path, runs: int) -> dict[str, float]:
    """Run both in turn, after one warm-up each, and return medians and ratios."""
    plain_command = [
        *(sys.executable, str(ROOT / "benchmarks" / "plain_loop.py")),
        *(str(inputs), str(scratch / "plain.csv"), str(submission)),
    ]
    ours_command = [
        *(sys.executable, str(ROOT / "ingestion_program" / "ingestion.py"), str(inputs)),
        *(str(scratch / "output"), str(ROOT / "ingestion_program"), str(submission)),
    ]
    measure(plain_command)
    measure(ours_command)
    plain, ours = [], []
    for _ in range(runs):
        plain.append(measure(plain_command))
        ours.append(measure(ours_command))
    pairs = list(zip(ours, plain, strict=True))
    return {
        "plain wall s": statistics.median(cost.wall for cost in plain),
        "ours wall s": statistics.median(cost.wall for cost in ours),
        "wall ratio": statistics.median(a.wall / b.wall for a, b in pairs),
        "plain CPU s": statistics.median(cost.cpu for cost in plain),
        "ours CPU s": statistics.median(cost.cpu for cost in ours),
        "CPU ratio": statistics.median(a.cpu / b.cpu for a, b in pairs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each (default 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one run")
    arguments = parser.parse_args()
    share, runs = (10, 1) if arguments.quick else (1, arguments.runs)
    sets = [
        ImageSet("1000 x 700", 1000 // share, (1000, 700), 90),
        ImageSet("5000 x 3400", 100 // share, (5000, 3400), 85),
    ]
    rows = []
    with tempfile.TemporaryDirectory(prefix="mimicry-bench-") as name:
        scratch = Path(name)
        submissions = {}
        for number, (model, source) in enumerate(MODELS.items()):
            submissions[model] = scratch / f"submission-{number}"
            submissions[model].mkdir()
            (submissions[model] / "model.py").write_text(source, encoding="utf-8")
        for images in sets:
            inputs = scratch / images.name.replace(" ", "")
            make_set(inputs, images)
            size = sum(path.stat().st_size for path in inputs.iterdir()) / images.count
            decode_seconds = 0.0
            for model, submission in submissions.items():
                row = {"images": f"{images.count} of {images.name} ({size / 1e6:.2g} MB)"}
                row |= {"model": model}
                figures = compare(inputs, submission, scratch, runs)
                if model == "decode only":
                    decode_seconds = figures["ours wall s"]
                if model == SLOW:
                    floor = max(decode_seconds, SLOW_SECONDS * images.count)
                    figures["of max(decode, model)"] = figures["ours wall s"] / floor
                rows.append(row | {key: round(value, 3) for key, value in figures.items()})
                print(rows[-1], flush=True)
    if arguments.json:
        title = "Ingestion against a plain loop"
        report = {"title": title, "command": COMMAND, "rows": rows, "notes": NOTES}
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
