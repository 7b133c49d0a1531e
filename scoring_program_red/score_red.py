"""Score a Red team's submission: score_red.py INPUT_DIR OUTPUT_DIR."""

import sys
from pathlib import Path

from mimicry.realign.program import main

if __name__ == "__main__":
    sys.exit(main("red", Path(__file__).resolve().parent))
