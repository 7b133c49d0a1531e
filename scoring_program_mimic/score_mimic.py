"""Score a submission in task mimic (the mimics): score_mimic.py INPUT_DIR OUTPUT_DIR."""

import sys
from pathlib import Path

from mimicry.hybrids.program import main

if __name__ == "__main__":
    sys.exit(main("mimic", Path(__file__).resolve().parent))
