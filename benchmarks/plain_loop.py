"""The reference: open, predict, write, one image after the other, in one process.

python benchmarks/plain_loop.py INPUT_DIR OUTPUT_FILE SUBMISSION_DIR
"""

import importlib.util
import sys
from pathlib import Path

from PIL import Image


def main(input_dir: str, output_file: str, submission: str) -> None:
    spec = importlib.util.spec_from_file_location("model", Path(submission) / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model()
    model.load()
    with Path(output_file).open("w") as file:
        for path in sorted(Path(input_dir).iterdir()):
            file.write(f"{path.name},{round(model.predict(Image.open(path)), 4)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
