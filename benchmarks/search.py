"""What Blue and Red searches cost and find, beside what participants did.

python benchmarks/search.py [--quick] [--json FILE]

Blue over matrices of cosines with clusters; Red over made features of several models.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.realign.search.blue import best_models, largest_set
from mimicry.realign.search.red import best_stimuli
from mimicry.realign.search.red_data import open_sources
from mimicry.realign.search.red_kernels import Kernels
from mimicry.realign.search.red_pool import Pools
from mimicry.realign.search.red_state import State

CATALOGUE, MODELS, WIDTH, COUNT = 100_000, 20, 1024, 1000


def cka_like(models: int, seed: int, clusters: int = 8, stimuli: int = 60) -> np.ndarray:
    """Return cosines of centred kernels that share a common part and one of their cluster."""
    random = np.random.default_rng(seed)

    def kernel(width: int) -> np.ndarray:
        features = random.standard_normal((stimuli, width))
        features -= features.mean(0)
        found = (features @ features.T).ravel()
        return found / np.linalg.norm(found)

    common = kernel(20)
    centres = [kernel(int(random.integers(5, 30))) for _ in range(clusters)]
    vectors = np.stack(
        [
            random.uniform(0.2, 1) * common
            + random.uniform(0.2, 1) * centres[random.integers(clusters)]
            + random.uniform(0.1, 0.8) * kernel(int(random.integers(5, 60)))
            for _ in range(models)
        ]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def features(stimuli: int, models: int, width: int, dtype: type, seed: int = 0) -> list[np.ndarray]:
    """Return features that share a part of six dimensions."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((stimuli, 6)).astype(np.float32)
    found = []
    for _ in range(models):
        mixed = np.maximum(common @ random.standard_normal((6, width)).astype(np.float32), 0)
        own = random.standard_normal((stimuli, width)).astype(np.float32)
        found.append((mixed + own * np.float32(random.uniform(0.2, 1))).astype(dtype))
    return found


def timed(action: Any) -> tuple[Any, float, float]:
    """Return a result with its wall and CPU seconds."""
    wall, cpu = time.monotonic(), time.process_time()
    result = action()
    return result, time.monotonic() - wall, time.process_time() - cpu


def least_cpu(action: Any, runs: int) -> float:
    return min(timed(action)[2] for _ in range(runs))


def blue_rows(quick: bool) -> list[dict[str, Any]]:
    rows = []
    problems = [(141, seed) for seed in range(2 if quick else 5)]
    problems += [] if quick else [(1300, seed) for seed in range(3)]
    for models, seed in problems:
        matrix = cka_like(models, seed)
        found, wall, cpu = timed(lambda m=matrix: best_models(m, 20))
        rows.append(blue_row(f"20 of {models:,}, seed {seed}", found, wall, cpu))
    noise = np.triu(np.random.default_rng(0).uniform(0, 1, (141, 141)), 1)
    deadline = 2 if quick else 20
    found, wall, cpu = timed(
        lambda: best_models(noise + noise.T, 20, deadline=time.monotonic() + deadline)
    )
    rows.append(blue_row(f"20 of 141, noise without structure, {deadline} s", found, wall, cpu))
    matrix = cka_like(141 if quick else 1300, 0)
    for threshold in (0.7, 0.9):
        found, wall, cpu = timed(lambda t=threshold, m=matrix: largest_set(m, t))
        what = f"largest set of {len(matrix):,} at {threshold}"
        rows.append(blue_row(what, found, wall, cpu))
    return rows


def blue_row(what: str, found: Any, wall: float, cpu: float) -> dict[str, Any]:
    return {
        "what": f"Blue: {what}",
        "result": f"{found.value:.6g}, "
        + ("proved" if found.proved else f"gap {found.gap:.4f}")
        + f", {found.nodes:,} subproblems",
        "wall s": round(wall, 2),
        "CPU s": round(cpu, 2),
    }


def centred_again(kernels: np.ndarray, upper: Any) -> float:
    """Score as a participant's annealer does after each swap: centre and normalise all."""
    values = []
    for kernel in kernels:
        centred = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
        values.append((centred / np.linalg.norm(centred)).ravel())
    stacked = np.stack(values)
    return float((stacked @ stacked.T)[upper].mean())


def step_rows(quick: bool) -> list[dict[str, Any]]:
    """Compare a participant's step, one swap scored, with ours, all candidates scored."""
    models, count, size = (4, 200, 1000) if quick else (11, 1000, 5000)
    made = features(size, models, 768, np.float32)
    sources = open_sources(made, np.dtype("float64"))[0]
    kernels = Kernels(sources, np.arange(size))
    state = State(kernels, np.arange(count))
    chosen = np.stack([source.products(np.arange(count), np.arange(count)) for source in sources])
    upper = np.triu_indices(models, k=1)
    theirs = least_cpu(lambda: centred_again(chosen, upper), 5)

    def ours() -> None:
        saved = state.saved()
        state.remove(int(state.chosen[7]))
        state.with_each()
        state.restore(saved)

    exact = least_cpu(ours, 5)
    candidates = size - count
    return [
        {
            "what": f"Red step: {models} models, {count:,} chosen, {candidates:,} candidates",
            "result": f"{1000 * exact:.1f} ms for all candidates",
            "beside": f"participants' step: {1000 * theirs:.1f} ms for one",
            "ratio": f"{theirs / (exact / candidates):,.0f} per swap scored",
            "CPU s": round(exact, 3),
        }
    ]


def annealed(made: list[np.ndarray], count: int, cpu_seconds: float) -> float:
    """Anneal with participants' steps for so much CPU time; return the least mean CKA."""
    random = np.random.default_rng(0)
    kernels = np.stack([one.astype(float) @ one.astype(float).T for one in made])
    kernels /= np.abs(kernels).mean(axis=(1, 2), keepdims=True)
    upper = np.triu_indices(len(made), k=1)
    members = random.choice(kernels.shape[1], count, replace=False)
    chosen = kernels[:, members][:, :, members]
    current = least = centred_again(chosen, upper)
    began = time.process_time()
    while (spent := (time.process_time() - began) / cpu_seconds) < 1:
        place, coming = int(random.integers(count)), int(random.integers(kernels.shape[1]))
        if coming in members:
            continue
        row = kernels[:, coming, members]
        row[:, place] = kernels[:, coming, coming]
        changed = chosen.copy()
        changed[:, place, :] = row
        changed[:, :, place] = row
        value = centred_again(changed, upper)
        if value < current or random.random() < np.exp((current - value) / (2e-3 * 1e-3**spent)):
            members[place], chosen, current = coming, changed, value
            least = min(least, current)
    return least


def search_row(quick: bool) -> dict[str, Any]:
    size, count = (300, 30) if quick else (1000, 100)
    made = features(size, 3, 64, np.float32)
    found, wall, cpu = timed(lambda: best_stimuli(made, count))
    random = np.random.default_rng(0)
    kernels = np.stack([one.astype(float) @ one.astype(float).T for one in made])
    upper = np.triu_indices(3, k=1)
    draws = [random.choice(size, count, replace=False) for _ in range(20)]
    chance = np.mean([centred_again(kernels[:, d][:, :, d], upper) for d in draws])
    return {
        "what": f"Red search: {count} of {size:,}, 3 models of 64 features",
        "result": f"mean CKA {found.value:.5f}",
        "beside": f"annealing, same CPU: {annealed(made, count, cpu):.5f}; random: {chance:.3f}",
        "wall s": round(wall, 2),
        "CPU s": round(cpu, 2),
    }


def sweep_row(scratch: Path, quick: bool, dtype: str) -> dict[str, Any]:
    """Score one part of a large catalogue from mapped float16 files, and extrapolate."""
    stimuli, models, width, count = (
        (3000, 4, 256, 200) if quick else (6 * COUNT, MODELS, WIDTH, COUNT)
    )
    mapped = []
    for number, one in enumerate(features(stimuli, models, width, np.float16)):
        np.save(scratch / f"{number}.npy", one)
        mapped.append(np.load(scratch / f"{number}.npy", mmap_mode="r"))
    sources = open_sources(mapped, np.dtype(dtype))[0]
    pools = Pools(sources, stimuli, count, 0, 2**30 if not quick else 2**20)
    pools.whole = False
    chosen = np.sort(np.random.default_rng(0).choice(stimuli, count, replace=False))
    scored: list[int] = []
    _, wall, cpu = timed(lambda: pools.working_set(0, chosen, None, scored.append))
    sample = np.zeros((sum(scored), width), dtype=dtype)
    other = np.zeros((count, width), dtype=dtype)
    bare = models * least_cpu(lambda: sample @ other.T, 3)
    share = CATALOGUE / sum(scored)
    return {
        "what": f"Red sweep, {dtype}: {models} models, {count:,} chosen, {width:,} features",
        "result": f"{sum(scored):,} scored, {sum(scored) / wall:,.0f} a second; all "
        f"{CATALOGUE:,}: {cpu * share:,.0f} CPU s, extrapolated",
        "beside": f"bare matrix products: {bare:.2f} CPU s",
        "ratio": f"{cpu / bare:.2f}",
        "wall s": round(wall, 2),
        "CPU s": round(cpu, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    rows = [*blue_rows(arguments.quick), *step_rows(arguments.quick), search_row(arguments.quick)]
    for dtype in ("float64", "float32"):
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(sweep_row(Path(scratch), arguments.quick, dtype))
    report = {
        "title": "Blue and Red searches",
        "command": "python benchmarks/search.py",
        "rows": rows,
        "notes": [
            "Blue: matrices of cosines of made kernels in eight clusters. A set is proved to be",
            "the best, or the gap tells how much better another could be. Red step: participants",
            "centre and normalise every kernel again for each swap they score; ours ranks all",
            "candidates for one place, exactly. Red sweep: one part of a catalogue, each candidate",
            "scored from mapped float16 files and the best made ready for swaps.",
        ],
    }
    text = json.dumps(report, indent=2)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
