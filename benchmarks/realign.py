"""Scoring a Blue and a Red submission: whole processes over large reference data.

python benchmarks/realign.py [--quick] [--json FILE] [--folder DIR]

The reference data are generated and removed again: the full size needs 5 GB on the disk.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TILE = 8192
RUNS = 3


class Cost(NamedTuple):
    cpu: float
    wall: float
    peak_mb: float


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def blue_case(folder: Path, models: int, count: int, replicates: int) -> None:
    """Reference data of `models` models and a submission of `count`."""
    ref, res = folder / "input" / "ref", folder / "input" / "res"
    ref.mkdir(parents=True)
    res.mkdir()
    draw = np.random.default_rng(0)
    vectors = np.abs(draw.standard_normal((models, 64))) + 0.2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix = np.clip(vectors @ vectors.T, 0, 1)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    np.save(ref / "cka.npy", matrix)
    np.save(ref / "cka_unbiased.npy", matrix)
    upper = matrix[np.triu_indices(models)].astype(np.float32)
    file = np.lib.format.open_memmap(
        ref / "replicates.npy", mode="w+", dtype=np.float32, shape=(replicates, len(upper))
    )
    for row in file:
        row[:] = np.clip(upper + draw.standard_normal(len(upper), np.float32) * 0.003, 0, 1)
    del file
    preprocess = {"resize": 224, "crop": 224, "mean": [0.5] * 3, "std": [0.5] * 3}
    preprocess["interpolation"] = "bicubic"
    registry = [
        {
            "model_name": f"model_{n:04d}",
            "source": "timm",
            "weights": "imagenet",
            "layer": "global_pool",
            "pooling": "flatten",
            "preprocess": preprocess,
            "weights_sha256": f"{n:064x}",
        }
        for n in range(models)
    ]
    write_json(ref / "registry.json", registry)
    optimum = {"value": 1.0, "upper_bound": 1.0, "proved": False}
    rules = {"competition": "blue", "rule": "mean_cka", "count": count, "optimum": optimum}
    write_json(ref / "rules.json", rules)
    chosen = draw.choice(models, count, replace=False)
    write_json(
        res / "team.json", {"models": [{"model_name": f"model_{n:04d}"} for n in chosen.tolist()]}
    )


def red_case(folder: Path, models: int, width: int, stimuli: int, count: int) -> None:
    """Reference data of `models` models over `stimuli` stimuli and a submission of `count`."""
    ref, res = folder / "input" / "ref", folder / "input" / "res"
    (ref / "models").mkdir(parents=True)
    res.mkdir()
    draw = np.random.default_rng(0)
    cause = draw.standard_normal((TILE, 20), dtype=np.float32)
    for number in range(models):
        tile = cause @ draw.standard_normal((20, width), dtype=np.float32)
        tile += 4 * draw.standard_normal((TILE, width), dtype=np.float32)
        stored = tile.astype(np.float16)
        file = np.lib.format.open_memmap(
            ref / "models" / f"{number:02d}.npy",
            mode="w+",
            dtype=np.float16,
            shape=(stimuli, width),
        )
        # The rows repeat; what it costs to read them does not depend on that.
        for start in range(0, stimuli, TILE):
            file[start : start + TILE] = stored[: stimuli - start]
        file.flush()
        del file
    with (ref / "catalogue.jsonl").open("w", encoding="utf-8") as lines:
        for n in range(stimuli):
            row = {
                "dataset_name": "imagenet_val",
                "image_identifier": f"ILSVRC2012_val_{n:08d}.JPEG",
                "class_name": f"n{n % 1000:08d}",
                "sha256": f"{n:064x}",
                "size": 100_000 + n,
            }
            lines.write(json.dumps(row, separators=(",", ":")) + "\n")
    random = {"mean": 0.4, "standard_deviation": 0.01, "draws": 100}
    rules = {"competition": "red", "rule": "mean_cka", "count": count, "random": random}
    write_json(ref / "rules.json", rules)
    chosen = draw.choice(stimuli, count, replace=False)
    images = [
        {"dataset_name": "imagenet_val", "image_identifier": f"ILSVRC2012_val_{n:08d}.JPEG"}
        for n in chosen.tolist()
    ]
    write_json(res / "team.json", {"differentiating_images": images})


def scored(team: str, folder: Path) -> Cost:
    """Run the scoring program as the platform starts it; the median of several runs."""
    command = [sys.executable, str(ROOT / f"scoring_program_{team}" / f"score_{team}.py")]
    command += [str(folder / "input"), str(folder / "output")]
    costs = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        costs.append((cpu, wall))
        json.loads((folder / "output" / "scores.json").read_text(encoding="utf-8"))
    return Cost(
        statistics.median(cpu for cpu, _ in costs),
        statistics.median(wall for _, wall in costs),
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    )


def measured(team: str, scratch: Path, *sizes: int) -> Cost:
    """Make the data of one case, score it in this process's children, remove the data."""
    folder = scratch / team
    (blue_case if team == "blue" else red_case)(folder, *sizes)
    try:
        return scored(team, folder)
    finally:
        shutil.rmtree(folder)


def report(quick: bool, scratch: Path) -> dict[str, Any]:
    large, stimuli, width = (300, 10_000, 256) if quick else (1300, 100_000, 1024)
    cases = {
        "Blue, 20 of 141 models": ("blue", 141, 20, 200),
        f"Blue, 20 of {large:,} models": ("blue", large, 20, 200),
        f"Red, 1,000 of {stimuli:,} stimuli, 20 models": ("red", 20, width, stimuli, 1000),
    }
    rows = []
    for what, (team, *sizes) in cases.items():
        # A process of its own for each, since the peak of children is never forgotten.
        command = [sys.executable, __file__, "--measure", team, *map(str, sizes)]
        command += ["--folder", str(scratch)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        cost = Cost(*json.loads(done.stdout))
        rows.append(
            {
                "what": what,
                "CPU s": round(cost.cpu, 2),
                "wall s": round(cost.wall, 2),
                "peak MB": round(cost.peak_mb),
            }
        )
    return {
        "title": "Scoring Re-Align submissions from cached activations",
        "command": "python benchmarks/realign.py",
        "rows": rows,
        "notes": [
            f"The whole scoring program, start to end, median of {RUNS} runs, default threads, the"
            " reference data",
            f"unpacked and in the file cache. Red: {width:,} features a model in float16. The peak"
            " counts pages of",
            "mapped files that were touched.",
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller data")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--folder", type=Path, help="where to put the data, for a while")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        team, *sizes = arguments.measure
        print(json.dumps(measured(team, arguments.folder, *map(int, sizes))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        text = json.dumps(report(arguments.quick, Path(scratch)), indent=2)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
