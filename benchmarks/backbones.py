"""Ingestion with a DINOv2-base backbone: against its floor, and against one image at a time.

python benchmarks/backbones.py [--json FILE] [--runs N] [--quick] [--gpu]
"""

import argparse
import csv
import hashlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ingestion import ImageSet, make_set
from PIL import Image

from mimicry.ingestion.arena import make_arena
from mimicry.ingestion.images import decode_into, list_images
from mimicry.ingestion.supervisor import decoding_threads

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / "baselines" / "DINO_SGD_code_submission"
COMMAND = "python benchmarks/backbones.py"
ARCHITECTURE = "vit_base_patch14_dinov2.lvd142m"
SIZE = 224
FEATURES = 1536
BATCH = 16
# Decoded images that a plain process holds at once; what ingestion's own memory would allow.
HELD_BYTES = 512 * 2**20

NOTES = [
    f"The baseline DINO_SGD_code_submission with {ARCHITECTURE} at {SIZE} px and fixed random",
    "weights. All figures leave out loading; those of one row are medians of the same runs, each",
    "process by itself, in turn. Decoding: CPU seconds of decoding every image once, as ingestion",
    "does, with as many threads as cores. Model: CPU seconds of the whole process in",
    "predict_batch on images that are decoded already, batches as ingestion cuts them, torch's",
    "own threads, which sleep while they wait; resizing and normalising belong to it. Floor: the",
    "sum over the cores, without the images that ingestion decodes while the model loads.",
    "Ingestion: wall time from the line 'model loaded' to the end of the run. Loop: open,",
    "predict, one image after the other, wall time after load.",
    "Difference: the largest between a score of ingestion and of the loop.",
]


# -- children: each measures one thing in a process of its own --------------------------------


def child_decode(images: Path) -> dict[str, Any]:
    """Decode every image once, in threads, into memory that is used again."""
    from concurrent.futures import ThreadPoolExecutor
    from queue import SimpleQueue

    listed = list_images(images)
    threads = decoding_threads()
    arena = make_arena(max(image.stored_bytes for image in listed), threads, HELD_BYTES)
    slots: SimpleQueue[int] = SimpleQueue()
    for number in range(threads):
        slots.put(number)

    def decode(image: Any) -> None:
        slot = slots.get()
        decode_into(image, arena.memory, slot * arena.slot_bytes)
        slots.put(slot)

    with ThreadPoolExecutor(threads) as pool:
        # Once to have the memory, and the files in the cache.
        list(pool.map(decode, listed[: 2 * threads]))
        before = time.process_time()
        list(pool.map(decode, listed))
    return {"cpu": time.process_time() - before}


def child_batch(images: Path, submission: Path) -> dict[str, Any]:
    """Score decoded images in batches; only the calls of the model are counted."""
    model = load(submission)
    listed = list_images(images)
    largest = max(image.stored_bytes for image in listed)
    # What ingestion's memory for decoded images allows.
    batch = max(1, min(model.batch_size, HELD_BYTES // largest // 2))
    cpu = 0.0
    for first in range(0, len(listed), batch):
        decoded = [Image.open(image.path) for image in listed[first : first + batch]]
        for image in decoded:
            image.load()
        before = time.process_time()
        model.predict_batch(decoded)
        cpu += time.process_time() - before
    return {"cpu": cpu}


def child_loop(images: Path, submission: Path) -> dict[str, Any]:
    """Open and score one image after the other."""
    model = load(submission)
    scores = {}
    started = time.perf_counter()
    for path in sorted(images.iterdir()):
        scores[path.name] = float(model.predict(Image.open(path)))
    return {"wall": time.perf_counter() - started, "scores": scores}


def load(submission: Path) -> Any:
    """Import and load a submission's model."""
    sys.path.append(str(submission))
    os.chdir(submission)
    spec = importlib.util.spec_from_file_location("model", submission / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model()
    model.load()
    return model


CHILDREN = {"decode": child_decode, "batch": child_batch, "loop": child_loop}


def measured(what: str, *folders: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run one of `CHILDREN` in a process of its own."""
    command = [sys.executable, __file__, "--child", what, *map(str, folders)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# -- ingestion --------------------------------------------------------------------------------


def ingestion(
    images: Path, submission: Path, output: Path, environment: dict[str, str]
) -> tuple[float, dict[str, float]]:
    """Run the ingestion program; seconds from the loaded model to the end, and the scores."""
    program = ROOT / "ingestion_program"
    command = [sys.executable, str(program / "ingestion.py"), str(images), str(output)]
    command += [str(program), str(submission)]
    loaded = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("model loaded"):
                loaded = time.perf_counter()
    ended = time.perf_counter()
    if process.returncode or loaded is None:
        raise SystemExit(f"ingestion ended with {process.returncode}")
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        scores = {row["filename"]: float(row["score"]) for row in csv.DictReader(file)}
    return ended - loaded, scores


def compare(images: Path, submission: Path, scratch: Path, runs: int, gpu: bool) -> dict[str, Any]:
    """Measure everything in turn, `runs` times, and return medians."""
    # A run must not end for being slow.
    environment = os.environ | {"MIMICRY_TIME_LIMIT": "36000"}
    if not gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    cores, count = decoding_threads(), len(list(images.iterdir()))
    ahead = min(count, 2 * cores + 2)
    rows, largest = [], 0.0
    for _ in range(runs):
        wall, scores = ingestion(images, submission, scratch / "output", environment)
        loop = measured("loop", images, submission, environment=environment)
        row = {"ingestion s": wall, "loop s": loop["wall"], "loop / ingestion": loop["wall"] / wall}
        if not gpu:
            decode = measured("decode", images, environment=environment)["cpu"]
            # A thread that spins while it waits for another does no work.
            passive = environment | {"OMP_WAIT_POLICY": "passive"}
            model = measured("batch", images, submission, environment=passive)["cpu"]
            floor = (decode * (count - ahead) / count + model) / cores
            row |= {"decode CPU s": decode, "model CPU s": model, "floor s": floor}
            row |= {"ingestion / floor": wall / floor}
        rows.append(row)
        largest = max(largest, *(abs(scores[name] - loop["scores"][name]) for name in scores))
    medians = {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
    order = [
        *("decode CPU s", "model CPU s", "floor s", "ingestion s", "ingestion / floor"),
        *("loop s", "loop / ingestion"),
    ]
    return {key: medians.get(key, "") for key in order} | {"difference": f"{largest:.1e}"}


# -- the submission ---------------------------------------------------------------------------


def make_submission(folder: Path) -> None:
    """Write the baseline with a full-size backbone in the hub's format and random weights."""
    import timm
    import torch
    from timm.models import save_for_hf

    folder.mkdir()
    for path in BASELINE.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    torch.manual_seed(0)
    model = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
    for name, values in model.named_parameters():
        if name.endswith("gamma"):
            # Untrained, these hide what the blocks compute, and with it any difference.
            torch.nn.init.constant_(values, 0.3)
    save_for_hf(model, folder / "backbone", safe_serialization=True)
    weights = folder / "backbone" / "model.safetensors"
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    settings = json.loads((BASELINE / "settings.json").read_text(encoding="utf-8"))
    settings |= {"name": "benchmark", "weights_sha256": digest, "batch_size": BATCH}
    settings["preprocess"]["size"] = SIZE
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    generator = np.random.default_rng(0)
    head = {
        "mean": np.zeros(FEATURES, dtype=np.float32),
        "scale": np.ones(FEATURES, dtype=np.float32),
        "coef": (generator.normal(size=FEATURES) / FEATURES**0.5).astype(np.float32),
        "intercept": np.float32(0),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **head)
    (folder / "classifier.npz").write_bytes(buffer.getvalue())


def gpu_name() -> str | None:
    """Return the name of the GPU that torch sees, if there is one."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each (default 3)")
    parser.add_argument("--quick", action="store_true", help="a few images, one run")
    parser.add_argument("--gpu", action="store_true", help="on the GPU alone; fails without one")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("folders", nargs="*", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](*arguments.folders)))
        return
    gpu = gpu_name()
    if arguments.gpu and gpu is None:
        parser.error("torch sees no GPU here")
    counts, runs = ((16, 12), 1) if arguments.quick else ((192, 60), arguments.runs)
    sets = [
        ImageSet("1000 x 700", counts[0], (1000, 700), 90),
        ImageSet("5000 x 3400", counts[1], (5000, 3400), 85),
    ]
    places = [] if arguments.gpu else [(f"{decoding_threads()} cores", False)]
    places += [(gpu, True)] if gpu is not None else []
    rows = []
    with tempfile.TemporaryDirectory(prefix="mimicry-bench-") as name:
        scratch = Path(name)
        submission = scratch / "submission"
        make_submission(submission)
        for images in sets:
            inputs = scratch / images.name.replace(" ", "")
            make_set(inputs, images)
            for where, on_gpu in places:
                row = {"images": f"{images.count} of {images.name}", "on": where}
                row |= compare(inputs, submission, scratch, runs, on_gpu)
                rows.append(row)
                print(row, flush=True)
    if arguments.json:
        said = [] if gpu is not None else ["No GPU was at hand, so there is no row for one."]
        title = "Ingestion with a DINOv2-base backbone"
        report = {"title": title, "command": COMMAND, "rows": rows, "notes": NOTES + said}
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
