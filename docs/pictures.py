"""Make the pictures of pages in the documents: `make pictures`.

Takes the runs of `make demo`, writes the board as a page, opens it and one submission's results
page in a browser without a window, and leaves docs/images/board-page.png and results-page.png.
Each holds, as text, the scores that it shows, so that a test can tell an old picture.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, sync_playwright

from mimicry.cli import main as mimicry
from mimicry.codabench.records import read_run

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
# Of a results page the picture shows the head: it is longer than a README should be.
SIZES = {"board-page": (1200, 1020), "results-page": (900, 1150)}
SCORES = "scores"
COLOURS = 128


def main() -> int:
    """Make both pictures; 2 where something that they need is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python docs/pictures.py --runs runs/demo",
    )
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "demo")
    parser.add_argument("--output", type=Path, default=IMAGES)
    options = parser.parse_args()
    results = options.runs / "hybrid" / "development" / "anomaly_code_submission"
    if not results.is_dir():
        parser.error(f"there is no run {results}: make demo")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        parser.error("there is no Chromium here (Debian: apt-get install chromium)")
    scores = {
        "board-page": {
            folder.name: read_run(folder).tasks["hybrid"].scores
            for folder in sorted((options.runs / "hybrid" / "development").iterdir())
        },
        "results-page": read_run(results).tasks["hybrid"].scores,
    }
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        board = Path(scratch) / "board.html"
        if code := mimicry(["board", str(options.runs), "--html", str(board)]):
            return int(code)
        sources = {
            "board-page": f"{board.as_uri()}#hybrid-development",
            "results-page": (results / "hybrid/scoring/detailed_results.html").as_uri(),
        }
        with playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        ) as opened:
            for name, source in sources.items():
                path = options.output / f"{name}.png"
                path.write_bytes(_picture(opened, source, SIZES[name], scores[name]))
                print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return 0


def _picture(browser: Browser, source: str, size: tuple[int, int], scores: object) -> bytes:
    """Return a page's head as a PNG of few colours, twice as fine as it is shown."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, device_scale_factor=2, color_scheme="light"
    )
    page.goto(source)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    page.close()
    notes = PngInfo()
    notes.add_text(SCORES, json.dumps(scores))
    made = io.BytesIO()
    shot.save(made, "PNG", optimize=True, pnginfo=notes)
    return made.getvalue()


if __name__ == "__main__":
    sys.exit(main())
