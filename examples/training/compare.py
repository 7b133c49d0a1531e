"""Compare the three heads on the features of one backbone, with their uncertainty.

All heads are fitted on the demo training set and judged on the demo test set by the
challenge's own rules. Two tables for each backbone: how many hybrids each head finds, and
by how much the anomaly head differs from the others on the same images.
"""

import argparse
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from comparison import COLUMNS, OWN, Comparison, Scores, compared

from mimicry.errors import BundleError, run_program
from mimicry.files import write_atomically
from mimicry.hybrids.reference import Reference, parse_reference

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ROOT / "baselines"
HEADS = ("BioCLIP", "DINO_SGD", "anomaly")
# Which baseline's backbone stands for each family.
BACKBONES = {"openclip": "BioCLIP", "dinov2": "DINO_SGD"}
BEGIN, END = "<!-- compare.py: begin -->", "<!-- compare.py: end -->"
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


EXAMPLES = f"""\
examples:
  %(prog)s
      both backbones on the demo data of the repository (made if missing), to the screen
  %(prog)s --backbone dinov2 --data /tmp/demo --output comparison.md
      one backbone, other demo data, also into a file
  %(prog)s --output docs/baselines.md
      into a document: replaces what stands between the lines
      {BEGIN} and {END}
  %(prog)s --check docs/baselines.md
      compute anew and fail where the document says something else
"""


def main() -> int:
    """Parse the arguments and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT, help="folder with the demo data (default: repository)"
    )
    parser.add_argument(
        "--backbone", choices=sorted(BACKBONES), help="just this one (default: both)"
    )
    parser.add_argument("--set", choices=("val", "test"), default="test", help="default: test")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "training", help="where features are kept"
    )
    parser.add_argument("--draws", type=int, default=2000, help="of the bootstrap (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of heads and bootstrap (default: 0)")
    parser.add_argument("--output", type=Path, help="also write the tables there")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with a document")
    arguments = parser.parse_args()
    for path in (arguments.output, arguments.check):
        if arguments.set != "test" and path is not None and marked(path):
            # Its own words around the tables speak of the test set.
            parser.error(f"{path} holds the test set's tables: leave --set {arguments.set} out")
    return run_program(lambda: program(arguments))


def program(arguments: argparse.Namespace) -> int:
    """Compare, show the tables, write or check them."""
    chosen = [arguments.backbone] if arguments.backbone else list(BACKBONES)
    parts = []
    for backbone in chosen:
        scores, reference = scored(
            backbone, arguments.data, arguments.set, arguments.work, seed=arguments.seed
        )
        comparison = compared(scores, reference, draws=arguments.draws, seed=arguments.seed)
        title = f"Features of the small {backbone} backbone"
        if arguments.set != "test":
            title += ", validation set"
        parts.append(markdown(title, comparison))
    text = "\n".join(parts)
    print(text)
    if arguments.output is not None:
        write_atomically(arguments.output, placed(arguments.output, text))
    if arguments.check is not None:
        check(arguments.check, text)
        print(f"{arguments.check} says the same")
    return 0


def scored(
    backbone: str, data: Path, name: str, work: Path, *, seed: int = 0
) -> tuple[dict[str, Scores], Reference]:
    """Fit all heads on a backbone's features and score a set of the demo data.

    Parameters
    ----------
    backbone : str
        One of `BACKBONES`.
    data : Path
        Demo data; made where they are missing.
    name : str
        ``val`` or ``test``.
    work : Path
        Where features are kept.
    seed : int
        Of the heads.

    Returns
    -------
    scores : dict of str to array of float64, shape (n,)
        Of each head, in the order of the labels.
    labels : Reference
    """
    # Not before, since torch takes seconds that --help need not.
    from backbones import own_backbone
    from features import extract_features, features_of_rows
    from judging import head_of
    from tables import read_table
    from validation import subspecies_of

    from mimicry.activations import torchvision_compat
    from mimicry.demo.build import build_demo

    torchvision_compat.install()
    table = data / "demo_data" / "butterfly_train.csv"
    if not table.is_file():
        print(f"no {table}: making the demo data")
        build_demo(data)
    rows = read_table(table)
    found = own_backbone(BASELINES / f"{BACKBONES[backbone]}_code_submission")
    images = table.parent / "train"
    known = features_of_rows(extract_features(found, images, "train", work), rows, images)
    reference = read_labels(data, name)
    extracted = extract_features(found, data / "input_data" / f"{name}.zip", name, work)
    unknown = extracted.features[[extracted.names[one] for one in reference.filenames]]
    scores = {}
    for head_name in HEADS:
        head = head_of(head_name, BASELINES / f"{head_name}_code_submission", seed=seed)
        seen, new = (as_seen_by(head_name, part) for part in (known, unknown))
        scores[head_name] = np.asarray(head.score(new, head.fit(seen, subspecies_of(rows))))
    return scores, reference


def read_labels(data: Path, name: str) -> Reference:
    """Return the labels of a set of the demo data."""
    source = data / "reference_data" / f"{name}.zip"
    try:
        with zipfile.ZipFile(source) as archive:
            return parse_reference(archive.read(f"{name}.csv"), f"{name}.csv")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(
            "reference-unreadable",
            f"{source} holds no {name}.csv ({error}); make the data anew with mimicry data demo.",
        ) from error


def as_seen_by(head: str, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return features as a head gets them: BioCLIP's backbone scales its own to length 1."""
    if head != "BioCLIP":
        return features
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, 1e-12)).astype(np.float32)


def markdown(title: str, comparison: Comparison) -> str:
    """Return the two tables of a comparison."""
    from validation import wilson

    lines = [f"### {title}", ""]
    lines += [f"| head | {' | '.join(COLUMNS)} |", "|---" * 5 + "|"]
    for name, figures in comparison.figures.items():
        cells = []
        for found, hybrids in zip(comparison.found[name], comparison.hybrids, strict=True):
            low, high = wilson(found, hybrids)
            cells.append(f"{found / hybrids:.2f} ({low:.2f} to {high:.2f}), {found} of {hybrids}")
        low, high = comparison.score_interval[name]
        cells.append(f"{figures[3]:.2f} ({low:.2f} to {high:.2f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"| {OWN} minus | {' | '.join(COLUMNS)} |", "|---" * 5 + "|"]
    for name, differences in comparison.differences.items():
        cells = [
            f"{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})"
            + (", within error" if one.within_error else "")
            for one in differences
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def placed(path: Path, text: str) -> str:
    """Return what a file is to hold: its own text around the tables if it has the marks."""
    if not marked(path):
        return text
    before, rest = path.read_text(encoding="utf-8").split(BEGIN, 1)
    return f"{before}{BEGIN}\n{text}{END}{rest.split(END, 1)[1]}"


def marked(path: Path) -> bool:
    """Tell whether a file has the two marks between which tables stand."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return END in text.partition(BEGIN)[2]


def check(path: Path, text: str) -> None:
    """Compare tables with those of a document.

    Another machine may round a feature differently, and an image at a threshold then
    changes sides: shares may differ by 0.05 and counts by 2. What is said of a difference,
    whether it is within error, must be the same.

    Raises
    ------
    BundleError
        ``comparison-differs``, with the first line that does, or ``comparison-missing``.
    """
    try:
        said = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleError(
            "comparison-missing", f"{path} cannot be read ({error}); name a text with tables."
        ) from error
    said = said.split(BEGIN, 1)[-1].split(END, 1)[0].strip()
    pairs = list(zip(said.splitlines(), text.strip().splitlines(), strict=False))
    lines = len(said.splitlines()), len(text.strip().splitlines())
    for old, new in pairs:
        if not _alike(old, new):
            raise BundleError(
                "comparison-differs",
                f"{path} says '{old}', but it is now '{new}'. Write the tables anew with "
                f"--output {path}.",
            )
    if lines[0] != lines[1]:
        raise BundleError(
            "comparison-differs",
            f"{path} has {lines[0]} lines of tables, but there are now {lines[1]}. Write them "
            f"anew with --output {path}.",
        )


def _alike(old: str, new: str) -> bool:
    def words(line: str) -> str:
        return NUMBER.sub("#", line)

    def near(first: str, second: str) -> bool:
        return abs(float(first) - float(second)) <= (0.05 if "." in first else 2)

    numbers: Sequence[tuple[str, str]] = list(
        zip(NUMBER.findall(old), NUMBER.findall(new), strict=False)
    )
    return words(old) == words(new) and all(near(*pair) for pair in numbers)


if __name__ == "__main__":
    sys.exit(main())
