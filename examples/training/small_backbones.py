"""Train what the baselines carry: two small backbones and three heads, on the demo data.

They stand in for the full-size backbones (DINOv2 and BioCLIP, hundreds of megabytes)
where there is no network: same families, same files as on the hub, under 1.5 MB each.
Both learn to name the subspecies of pure animals. Signal hybrids stay out, so that a
head meets hybrids that its backbone was not trained on, as with the full-size ones.

The same data, machine and number of threads give the same files.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import small_networks
from PIL import Image
from small_networks import NETWORKS, Network
from small_training import Settings, learn
from tables import read_table

from mimicry.demo.build import build_demo
from mimicry.errors import run_program
from mimicry.files import sha256_file, write_atomically

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ROOT / "baselines"
# Raised when training changes in a way that no setting shows.
RECIPE = 1

EXAMPLES = """\
examples:
  %(prog)s
      train both on the demo data of the repository (made if missing), write them into the
      baselines; what is up to date is left alone
  %(prog)s --only dinov2 --data /tmp/demo --output /tmp/baselines
      one of them, from other demo data, into other folders
  %(prog)s --epochs 1 --output /tmp/quick
      see that everything runs; the networks are of little use

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
        "--output", type=Path, default=BASELINES, help="folder of the baselines' folders"
    )
    parser.add_argument("--only", choices=sorted(NETWORKS), help="train just this one")
    parser.add_argument("--epochs", type=int, help="rounds through the training set")
    parser.add_argument("--seed", type=int, default=Settings.seed, help="source of all chance")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "training", help="where features are kept"
    )
    parser.add_argument("--again", action="store_true", help="train also what is up to date")
    arguments = parser.parse_args()
    chosen = [arguments.only] if arguments.only else list(NETWORKS)

    def program() -> int:
        for name in chosen:
            epochs = arguments.epochs or NETWORKS[name].epochs
            settings = Settings(seed=arguments.seed, epochs=epochs)
            make(name, arguments.data, arguments.output, settings, again=arguments.again)
        # A head belongs to one state of its backbone, so it follows at once.
        for name in chosen:
            for baseline in NETWORKS[name].baselines:
                write_head(arguments.output / baseline, arguments.data, arguments.work)
        return 0

    return run_program(program)


def make(
    name: str,
    data: Path,
    output: Path,
    settings: Settings,
    *,
    again: bool = False,
    report: Callable[[str], None] = print,
) -> bool:
    """Train one network and write it into the folders of the baselines that use it.

    Parameters
    ----------
    name : str
        ``dinov2`` or ``openclip``.
    data : Path
        Holds ``demo_data``; it is made where it is missing.
    output : Path
        Gets ``<baseline>/backbone/`` and ``<baseline>/settings.json``.
    settings : Settings
        How to train.
    again : bool
        Train also if the files are there and were made from the same table with the same
        settings.
    report : callable
        Gets lines of progress.

    Returns
    -------
    bool
        False if everything was up to date.
    """
    network = NETWORKS[name]
    table = data / "demo_data" / "butterfly_train.csv"
    if not table.is_file():
        report(f"no {table}: making the demo data")
        build_demo(data, report=report)
    mark = fingerprint(network, table, settings)
    folders = [output / folder for folder in network.baselines]
    if not again and all(up_to_date(folder, network, mark) for folder in folders):
        report(f"{name}: up to date ({', '.join(folder.name for folder in folders)})")
        return False
    pixels, subspecies = training_pixels(table, network.size)
    report(f"{name}: {len(subspecies)} pure animals of {subspecies.max() + 1} subspecies")
    trained = learn(network, pixels, subspecies, settings, report)
    files = network.files(trained)
    files["README.md"] = model_card(network, settings, mark)
    for folder in folders:
        (folder / "backbone").mkdir(parents=True, exist_ok=True)
        for file_name, content in files.items():
            write_atomically(folder / "backbone" / file_name, content)
        # Last, since it vouches for the others.
        write_atomically(folder / "settings.json", settings_json(network, folder))
        size = (folder / "backbone" / network.weights_file).stat().st_size
        report(f"wrote {folder / 'backbone'} ({size:,} bytes of weights)")
    return True


def write_head(folder: Path, data: Path, work: Path) -> None:
    """Fit a baseline's head on the features of the backbone in its folder, and write it."""
    from backbones import own_backbone
    from features import extract_features, features_of_rows
    from heads import fit_head
    from validation import subspecies_of

    table = data / "demo_data" / "butterfly_train.csv"
    rows, images = read_table(table), table.parent / "train"
    backbone = replace(own_backbone(folder), code=BASELINES / folder.name)
    features = features_of_rows(extract_features(backbone, images, "train", work), rows, images)
    name = folder.name.removesuffix("_code_submission")
    buffer = io.BytesIO()
    np.savez(buffer, **fit_head(name, features, subspecies_of(rows)))
    write_atomically(folder / "classifier.npz", buffer.getvalue())
    print(f"wrote {folder / 'classifier.npz'} ({len(buffer.getvalue()):,} bytes)")


def training_pixels(table: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pure animals of a training table, squashed to size x size.

    Returns
    -------
    pixels : ndarray of uint8, shape (n, 3, size, size)
    subspecies : ndarray of int64, shape (n,)
        Numbers from 0 without gaps, in the order of the table's numbers.
    """
    rows = [row for row in read_table(table) if not row.hybrid]
    pixels = np.empty((len(rows), 3, size, size), dtype=np.uint8)
    for i, row in enumerate(rows):
        with Image.open(table.parent / "train" / row.filename) as image:
            # As the baselines squash what they predict on.
            small = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        pixels[i] = np.asarray(small).transpose(2, 0, 1)
    _, numbers = np.unique([row.subspecies for row in rows], return_inverse=True)
    return pixels, numbers.astype(np.int64)


def fingerprint(network: Network, table: Path, settings: Settings) -> str:
    """Return 64 hexadecimal digits that change with whatever decides the weights."""
    parts: dict[str, Any] = {
        "recipe": RECIPE,
        "network": [network.name, network.size, network.configuration],
        "settings": asdict(settings),
        "table": sha256_file(table),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def up_to_date(folder: Path, network: Network, mark: str) -> bool:
    """Tell whether a baseline holds a network made with this fingerprint, and whole."""
    from backbones import family_of

    weights = folder / "backbone" / network.weights_file
    try:
        card = (weights.parent / "README.md").read_text(encoding="utf-8")
        config = json.loads((weights.parent / family_of(weights.name).config).read_bytes())
        settings = json.loads((folder / "settings.json").read_bytes())
        vouched = settings["weights_sha256"] == sha256_file(weights)
    except (OSError, ValueError, KeyError, TypeError):
        # Missing or damaged.
        return False
    return vouched and mark in card and isinstance(config, dict)


def settings_json(network: Network, folder: Path) -> str:
    """Return the text of a baseline's settings.json, for the weights in its folder."""
    preprocess = {
        "size": network.size,
        "mean": list(network.mean),
        "std": list(network.std),
        "interpolation": "bicubic",
    }
    settings = {
        "name": network.name,
        "hub": None,
        "weights_file": network.weights_file,
        "weights_sha256": sha256_file(folder / "backbone" / network.weights_file),
        "preprocess": preprocess,
        "batch_size": 32,
    }
    return json.dumps(settings, indent=2) + "\n"


def model_card(network: Network, settings: Settings, mark: str) -> str:
    """Return what a hub's folder says about its model."""
    return f"""\
# {network.name}

{network.description}

Trained from scratch by `examples/training/small_backbones.py` to name the subspecies of the
pure animals in the demo training set of drawn butterflies ({settings.epochs} epochs, seed
{settings.seed}), images squashed to {network.size} x {network.size} pixels. It has seen no
photograph: use it to try the machinery, not to study animals.

Made from: {mark}
"""


if __name__ == "__main__":
    small_networks.prepare_imports()
    sys.exit(main())
