"""Images per second of an extraction, beside a plain PyTorch loop over images in memory.

python benchmarks/extraction.py [--quick] [--json FILE] [--device DEVICE]

The extraction reads JPEG files, checks their SHA-256, decodes, resizes and crops them, computes
and writes a store. The plain loop gets the same images ready as tensors in memory, computes
with the same model, batch size and precision, and keeps the results in memory.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mimicry.activations.entries import ModelEntry, Preprocess
from mimicry.activations.extract import Settings, plan_for
from mimicry.activations.feed import decode
from mimicry.activations.stimuli import StimulusSet, read_stimuli
from mimicry.activations.store import open_writer, store_set_folder

# Different pictures; more files are copies of them, which have to be decoded all the same.
PICTURES = 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_images(folder: Path, count: int) -> Path:
    """Write JPEG files of 500 x 375 pixels that are about as busy as photographs."""

    def draw(index: int) -> None:
        random = np.random.default_rng(index % PICTURES)
        pixels = np.zeros((375, 500, 3))
        for side, weight in ((8, 60), (64, 30), (250, 15)):
            coarse = random.normal(128, weight, (side, side, 3)).clip(0, 255).astype(np.uint8)
            resized = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
            pixels += np.asarray(resized) / 3
        path = folder / f"{index:06d}.jpg"
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=85)

    folder.mkdir()
    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(min(count, PICTURES))))
    for index in range(PICTURES, count):
        source = folder / f"{index % PICTURES:06d}.jpg"
        (folder / f"{index:06d}.jpg").write_bytes(source.read_bytes())
    return folder


def entry(name: str, layer: str, pooling: str) -> ModelEntry:
    preprocess = Preprocess(256, 224, MEAN, STD, "bicubic")
    return ModelEntry(name, "timm", "random:1", layer, pooling, preprocess)  # type: ignore[arg-type]


def synchronised(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(action: Callable[[], Any], device: str) -> float:
    synchronised(device)
    began = time.perf_counter()
    action()
    synchronised(device)
    return time.perf_counter() - began


def measure(
    model: ModelEntry, stimuli: StimulusSet, scratch: Path, settings: Settings, runs: int
) -> dict[str, Any]:
    import torch

    from mimicry.activations.compute import pump
    from mimicry.activations.models import load_model
    from mimicry.activations.preprocess import prepare

    extractor = load_model(model, device=settings.device, precision=settings.precision)
    store_set = store_set_folder(scratch / "store", stimuli)
    plan = plan_for(extractor, stimuli, settings, settings.device)

    def ours() -> None:
        with open_writer(store_set, plan, restart=True) as writer:
            pump(
                extractor,
                stimuli,
                writer,
                batch_size=settings.batch_size,
                workers=settings.workers,
            )
            writer.finish()

    # As many different images as there are, each once in memory.
    ready = [
        torch.from_numpy(prepare(decode(stimuli.read(index), ""), model.preprocess))
        for index in range(min(PICTURES, len(stimuli)))
    ]
    size = settings.batch_size
    batch = torch.stack([ready[index % len(ready)] for index in range(size)])
    sizes = [min(size, len(stimuli) - start) for start in range(0, len(stimuli), size)]

    def loop() -> None:
        kept = [extractor(batch[:count].to(settings.device)).cpu() for count in sizes]
        assert len(torch.cat(kept)) == len(stimuli)

    def decoding() -> None:
        with ThreadPoolExecutor(settings.workers) as pool:
            list(
                pool.map(
                    lambda index: prepare(decode(stimuli.read(index), ""), model.preprocess),
                    range(len(stimuli)),
                )
            )

    ours()
    loop()
    times: dict[str, list[float]] = {"ours": [], "loop": [], "decoding": []}
    for _ in range(runs):
        times["ours"].append(seconds(ours, settings.device))
        times["loop"].append(seconds(loop, settings.device))
    times["decoding"].append(seconds(decoding, settings.device))
    speed = {name: len(stimuli) / statistics.median(one) for name, one in times.items()}
    device = settings.device
    return {
        "model": model.model_name,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "precision": settings.precision,
        "batch": size,
        "images": len(stimuli),
        "extraction images/s": round(speed["ours"], 1),
        "plain loop images/s": round(speed["loop"], 1),
        "ratio": round(speed["ours"] / speed["loop"], 2),
        "decoding alone images/s": round(speed["decoding"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images, one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args()
    from mimicry.activations.compute import chosen_device

    device = chosen_device(arguments.device)
    cores = len(os.sched_getaffinity(0))
    if device == "cpu":
        plans = [("resnet18", "global_pool", "flatten", "float32", 32)]
        images, runs = (64, 1) if arguments.quick else (256, 3)
    else:
        plans = [
            (name, layer, pooling, precision, 256)
            for name, layer, pooling in (
                ("vit_base_patch16_224", "norm", "cls"),
                ("resnet50", "global_pool", "flatten"),
            )
            for precision in ("float32", "bfloat16")
        ]
        images, runs = (2048, 1) if arguments.quick else (16384, 3)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        stimuli = read_stimuli(
            make_images(Path(scratch) / "images", images), "bench", threads=cores
        )
        for name, layer, pooling, precision, batch in plans:
            settings = Settings(
                device=device,
                precision=precision,  # type: ignore[arg-type]
                batch_size=batch,
                workers=cores,
            )
            model = entry(name, layer, pooling)
            rows.append(measure(model, stimuli, Path(scratch), settings, runs))
    report = {
        "title": "Extraction of activations beside a plain PyTorch loop",
        "command": "python benchmarks/extraction.py",
        "rows": rows,
        "notes": [
            "JPEG files of 500 x 375 pixels, random weights. The extraction reads, checks,",
            f"decodes, resizes, computes and writes, with {cores} decoding threads; the loop",
            "computes alone, on tensors in memory. On a CPU both share the cores, so decoding",
            "costs its share; beside a GPU it costs nothing while it is faster than the model.",
            f"Medians of {runs} runs; other work on the machine moves both.",
        ],
    }
    text = json.dumps(report, indent=2)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
