"""Score a submission in task A (Species A): score_A.py INPUT_DIR OUTPUT_DIR."""

import sys
from pathlib import Path

from mimicry.hybrids.program import main

if __name__ == "__main__":
    sys.exit(main("A", Path(__file__).resolve().parent))
