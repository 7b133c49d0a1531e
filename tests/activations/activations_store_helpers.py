"""What tests of the activation store share."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mimicry.activations.plans import Plan

# Real architectures of timm, made for tests: under a megabyte each.
MODELS = [
    ("test_resnet", 1, "global_pool", "flatten"),
    ("test_vit", 2, "norm", "cls"),
    ("test_efficientnet", 3, "global_pool", "flatten"),
]


def plan(rows=50, width=3, dtype="float32", rows_per_shard=8, **changes):
    identity = {"items": "0" * 64, "model": {"model_name": "stand-in", "layer": "a.b"}}
    fields = {
        "name": "stand-in.a.b",
        "identity": identity | {"dtype": dtype} | changes.pop("identity", {}),
        "conditions": {"batch_size": 4},
        "width": width,
        "dtype": dtype,
        "rows": rows,
        "rows_per_shard": rows_per_shard,
    }
    return Plan(**fields | changes)


def numbers(start, stop, width=3):
    """Rows whose numbers depend on their position alone."""
    return np.arange(start * width, stop * width, dtype=np.float32).reshape(-1, width) / 7


def write_images(folder, count=20, side=40, classes=3):
    """Write small JPEG and PNG images of noise, a folder for each class."""
    random = np.random.default_rng(5)
    for index in range(count):
        kind = folder / f"class-{index % classes}"
        kind.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (side, side + 7, 3), dtype=np.uint8)
        suffix = "png" if index % 4 == 0 else "jpg"
        Image.fromarray(pixels).save(kind / f"{index:04d}.{suffix}")
    return folder


def write_models(path, models=MODELS, crop=32, **changes):
    """Write a registry of models with random weights."""
    preprocess = {"resize": crop, "crop": crop, "mean": [0.5] * 3, "std": [0.25] * 3}
    entries = [
        {
            "model_name": name,
            "source": "timm",
            "weights": f"random:{seed}",
            "layer": layer,
            "pooling": pooling,
            "preprocess": preprocess | {"interpolation": "bicubic"},
            "model_parameters": {"img_size": crop} if "vit" in name else {},
        }
        | changes
        for name, seed, layer, pooling in models
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def content(store):
    """Every file that counts, with its bytes: not the locks, nor the log of who wrote when."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "log.jsonl" and ".locks" not in path.parts
    }


class Forks:
    """A process that has imported what is needed, and forks a child for each task.

    So that a child begins at once, and can be killed without harm to the others.
    """

    SERVER = """
import os, sys, json
os.environ["OMP_NUM_THREADS"] = "1"
{setup}
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            sys.stdin.close()
            code = task(*json.loads(line)) or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    print(pid, flush=True)
    if "wait" in sys.argv:
        print(os.waitpid(pid, 0)[1], flush=True)
"""

    def __init__(self, setup):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SERVER.format(setup=setup), "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, *arguments):
        """Start a task; return its process id."""
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self):
        """Wait until the task has ended; return its exit status, as `os.waitpid` has it."""
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()


def rows_written(folder):
    """How many rows a cache's manifest tells of, 0 without one."""
    path = Path(folder) / "manifest.json"
    try:
        return sum(shard["rows"] for shard in json.loads(path.read_text())["shards"])
    except FileNotFoundError:
        return 0
