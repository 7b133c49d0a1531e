"""Score a Blue team's submission: score_blue.py INPUT_DIR OUTPUT_DIR."""

import sys
from pathlib import Path

from mimicry.realign.program import main

if __name__ == "__main__":
    sys.exit(main("blue", Path(__file__).resolve().parent))
