"""Train the colour pattern baseline.

Reads the demo training set (and makes it where it is missing), fits the axes along
which the subspecies differ, and writes baselines/color_pattern_code_submission/weights.npz.
The same data give the same file, byte for byte, on the same machine.
"""

import argparse
import csv
import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold

from mimicry.demo.build import build_demo
from mimicry.errors import run_program
from mimicry.files import write_atomically
from mimicry.hybrids import metrics

ROOT = Path(__file__).resolve().parents[2]
SUBMISSION = ROOT / "baselines" / "color_pattern_code_submission"
HYBRID = -1

EXAMPLES = """\
examples:
  %(prog)s
      train on the demo data of the repository (made if missing) and write the weights
  %(prog)s --data /tmp/demo --output /tmp/weights.npz
      use other demo data, leave the repository as it is
  %(prog)s --axes 4 --shrinkage 0.3
      try other settings
"""


def main() -> int:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT, help="folder with demo_data (default: the repository)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=SUBMISSION / "weights.npz",
        help="where to write the weights (default: into the baseline's folder)",
    )
    parser.add_argument("--axes", type=int, default=6, help="axes that are kept (default: 6)")
    parser.add_argument(
        "--shrinkage",
        type=float,
        default=0.1,
        help="pull of the scatter towards a round one, 0 to 1 (default: 0.1)",
    )
    arguments = parser.parse_args()
    return run_program(
        lambda: train(arguments.data, arguments.output, arguments.axes, arguments.shrinkage)
    )


def train(data: Path, output: Path, axes: int, shrinkage: float) -> int:
    """Train on the demo training set in `data` and write the weights to `output`."""
    model = load_submission(SUBMISSION)
    table = data / "demo_data" / "butterfly_train.csv"
    if not table.is_file():
        print(f"no {table}: making the demo data")
        build_demo(data)
    vectors, kinds = training_data(table, model)
    print(f"{len(kinds)} training images, {int((kinds == HYBRID).sum())} of them hybrids")

    print(
        f"held out, 5 folds: signal hybrids {cross_validated(vectors, kinds, axes, shrinkage):.3f}"
    )
    weights = fit(vectors, kinds, axes, shrinkage)
    if (data / "input_data" / "val.zip").is_file():
        recalls = validated(data, model, weights)
        print("validation set: " + ", ".join(f"{k} {v:.3f}" for k, v in recalls.items()))

    buffer = io.BytesIO()
    np.savez(buffer, **weights)
    write_atomically(output, buffer.getvalue())
    print(f"wrote {output} ({len(buffer.getvalue())} bytes)")
    return 0


def load_submission(folder: Path) -> ModuleType:
    """Import the submission's model.py, so that training and prediction share one definition."""
    spec = importlib.util.spec_from_file_location("color_pattern_model", folder / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def training_data(table: Path, model: ModuleType) -> tuple[np.ndarray, np.ndarray]:
    """Return the feature vectors and the subspecies numbers, `HYBRID` for hybrids."""
    vectors, kinds = [], []
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            with Image.open(table.parent / "train" / row["filename"]) as image:
                vectors.append(model.features(image))
            pure = row["hybrid_stat"] == "non-hybrid"
            kinds.append(int(float(row["subspecies"])) if pure else HYBRID)
    return np.array(vectors), np.array(kinds)


def fit(
    vectors: np.ndarray, kinds: np.ndarray, axes: int, shrinkage: float
) -> dict[str, np.ndarray]:
    """Fit the axes on the pure subspecies; hybrids stay out, as what is to be found."""
    names, counts = np.unique(kinds, return_counts=True)
    # One animal says nothing about how its subspecies scatters.
    pure = (kinds != HYBRID) & np.isin(kinds, names[counts > 1])
    mean = vectors[pure].mean(axis=0)
    # The constant keeps cells that are nearly always empty from counting much.
    scale = vectors[pure].std(axis=0) + 0.02
    standard = (vectors[pure] - mean) / scale
    names, counts = np.unique(kinds[pure], return_counts=True)
    # Between equal weights and those of a training set that one subspecies rules.
    priors = np.sqrt(counts) / np.sqrt(counts).sum()
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, priors=priors)
    directions = analysis.fit(standard, kinds[pure]).scalings_[:, :axes].T
    # An axis and its mirror image are the same axis: settle on one.
    strongest = np.argmax(np.abs(directions), axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), strongest])[:, None]
    # Single precision is plenty and hides how a machine's linear algebra rounds.
    directions = directions.astype(np.float32)
    positions = standard @ directions.T.astype(np.float64)
    centres = np.array([positions[kinds[pure] == name].mean(axis=0) for name in names])
    return {
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "axes": directions,
        "centres": centres.astype(np.float32),
    }


def cross_validated(vectors: np.ndarray, kinds: np.ndarray, axes: int, shrinkage: float) -> float:
    """Return the mean recall of signal hybrids on folds that the fit did not see."""
    model = load_submission(SUBMISSION)
    recalls = []
    # Folds by hybrid or not: the rarest subspecies have fewer animals than there are folds.
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    for known, held_out in folds.split(vectors, kinds == HYBRID):
        weights = fit(vectors[known], kinds[known], axes, shrinkage)
        scores = np.array([model.score(vectors[i], weights) for i in held_out])
        recalls.append(recall(scores, kinds[held_out] == HYBRID))
    return float(np.mean(recalls))


def validated(data: Path, model: ModuleType, weights: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the recalls on the validation set by the challenge's rule."""
    with zipfile.ZipFile(data / "reference_data" / "val.zip") as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("val.csv").decode("utf-8"))))
    with zipfile.ZipFile(data / "input_data" / "val.zip") as images:
        scores = []
        for row in rows:
            with images.open(row["filename"]) as file, Image.open(file) as image:
                scores.append(model.score(model.features(image), weights))
    values = np.array(scores)
    hybrid = np.array([row["hybrid_stat"] == "1" for row in rows])
    group = np.array([row["ssp_indicator"] for row in rows])
    in_a = group != "mimic"
    return {
        "signal": recall(values[in_a], hybrid[in_a], group[in_a] == "major"),
        "non-signal": recall(values[in_a], hybrid[in_a], group[in_a] == "minor"),
        "mimic": recall(values[~in_a], hybrid[~in_a]),
    }


def recall(scores: np.ndarray, hybrid: np.ndarray, group: np.ndarray | None = None) -> float:
    """Return the recall of the hybrids, or of a group's, at 95 % true negatives of the set."""
    threshold = metrics.operating_threshold(scores, hybrid)
    counted = np.ones(len(scores), dtype=bool) if group is None else group
    return metrics.recall_above(scores[counted], hybrid[counted], threshold)


if __name__ == "__main__":
    sys.exit(main())
