"""Write anew what the committed baselines score: after any of them was trained anew.

python tests/baselines/baselines_renew_scores.py

Look at the differences before committing them: without new weights there should be none.
"""

import json
import tempfile
from pathlib import Path

from baselines_helpers import BASELINES, NAMES, load
from PIL import Image

from mimicry.demo.build import write_samples
from mimicry.files import write_atomically

SCORES = Path(__file__).with_name("baseline_scores.json")
COUNT, SEED = 12, 11


def committed_scores(name: str, images: list[Path]) -> list[float]:
    """Return what a committed baseline scores."""
    opened = []
    for path in images:
        with Image.open(path) as image:
            opened.append(image.convert("RGB"))
    model = load(BASELINES / f"{name}_code_submission")
    return [float(score) for score in model.predict_batch(opened)]


def sample_images(folder: Path) -> list[Path]:
    """Draw the images that the stored values are for."""
    return write_samples(folder, COUNT, seed=SEED)


def main() -> None:
    """Score and write."""
    with tempfile.TemporaryDirectory() as folder:
        images = sample_images(Path(folder))
        found = {name: committed_scores(name, images) for name in NAMES}
    rounded = {name: [round(score, 6) for score in scores] for name, scores in found.items()}
    write_atomically(SCORES, json.dumps(rounded, indent=2) + "\n")
    print(f"wrote {SCORES}")


if __name__ == "__main__":
    main()
