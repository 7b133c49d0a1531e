"""Ingestion program: runs a submission's model over the input images.

python3 ingestion.py INPUT_DIR OUTPUT_DIR PROGRAM_DIR SUBMISSION_DIR
"""

import sys

from mimicry.ingestion.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
