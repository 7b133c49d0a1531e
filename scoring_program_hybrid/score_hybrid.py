"""Score a submission in task hybrid (both species): score_hybrid.py INPUT_DIR OUTPUT_DIR."""

import sys
from pathlib import Path

from mimicry.hybrids.program import main

if __name__ == "__main__":
    sys.exit(main("hybrid", Path(__file__).resolve().parent))
