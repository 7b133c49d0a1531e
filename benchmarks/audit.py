"""How often `mimicry data audit` cries wolf, and which leaks it finds.

python benchmarks/audit.py [--quick] [--seeds N] [--data FOLDER] [--json FILE]

Clean sets are the demo's own images under new random names and in a new order, with the labels
of each group shuffled: all six zips of a bundle, audited as one run. Leaks are then planted
into the development set's properties, in some of the hybrids, and audited with the other sets.
"""

import argparse
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mimicry.data_sets.audit import audit_measured
from mimicry.data_sets.audit_reading import Measured, measure_images, read_labels
from mimicry.data_sets.properties import Listed, Measures, measure_listing
from mimicry.demo.build import build_demo
from mimicry.hybrids.reference import Reference

FULL, QUICK = 100, 4
PARTS = {"": ("major", "minor", "mimic"), "_A": ("major", "minor"), "_mimic": ("mimic",)}
Pool = dict[str, tuple[Reference, list[Measures]]]
Plant = Callable[[list[Measures], np.ndarray, np.random.Generator], None]


def measured_pool(folder: Path) -> Pool:
    """Measure the images of a demo."""
    known, pool = Measured(), {}
    for name in ("val", "test"):
        reference = read_labels(folder / "reference_data" / f"{name}.zip")
        images = folder / "input_data" / f"{name}.zip"
        pool[name] = reference, measure_images(images, reference, known, lambda line: None)
    return pool


def clean_sets(
    pool: Pool, random: np.random.Generator
) -> list[tuple[str, Reference, list[Measures]]]:
    """Return six sets in which nothing can predict a label but by chance."""
    found = []
    for name, (reference, measures) in pool.items():
        group = np.array(reference.group)
        hybrid = np.array(reference.hybrid)
        for one in PARTS[""]:
            hybrid[group == one] = random.permutation(hybrid[group == one])
        # As the demo does it: groups are no secret by name or place either.
        names = [f"{random.integers(16**12):012x}.jpg" for _ in measures]
        for part, groups in PARTS.items():
            member = [i for i in np.argsort(names) if group[i] in groups]
            table = Reference(
                tuple(names[i] for i in member),
                tuple(bool(hybrid[i]) for i in member),
                tuple(str(group[i]) for i in member),
            )
            listed = []
            for place, i in enumerate(member):
                info = zipfile.ZipInfo(names[i])
                info.header_offset = place
                listed.append(Listed(names[i], place, place, info))
            listing = measure_listing(listed)
            rows = [measures[i] | own for i, own in zip(member, listing, strict=True)]
            for row in rows:
                for key in [key for key in row if key.startswith("name.has ")]:
                    if key not in listing[0]:
                        del row[key]
            found.append((name + part, table, rows))
    return found


def put(key: str, value: Any, share: float) -> Plant:
    """Return a leak: a share of the hybrids gets a value that nothing else has."""

    def plant(rows: list[Measures], hybrid: np.ndarray, random: np.random.Generator) -> None:
        for i in np.flatnonzero(hybrid & (random.random(len(rows)) < share)):
            rows[i][key] = value(rows[i]) if callable(value) else value

    return plant


def shift(key: str, deviations: float) -> Plant:
    """Return a leak: hybrids are higher by so many standard deviations."""

    def plant(rows: list[Measures], hybrid: np.ndarray, random: np.random.Generator) -> None:
        values = np.array([row[key] for row in rows], dtype=float)
        for i in np.flatnonzero(hybrid):
            rows[i][key] = float(values[i] + deviations * values.std())

    return plant


def ends(key: str, share: float) -> Plant:
    """Return a leak: a share of the hybrids lies at either end of an order."""

    def plant(rows: list[Measures], hybrid: np.ndarray, random: np.random.Generator) -> None:
        n = len(rows)
        chosen = hybrid & (random.random(n) < share)
        scores = random.random(n)
        scores[chosen] = np.where(random.random(chosen.sum()) < 0.5, -1, 2)
        for place, i in enumerate(np.argsort(scores + random.random(n) / 10)):
            rows[i][key] = float(place)

    return plant


PLANTS: dict[str, tuple[str, Plant]] = {
    "30 % of hybrids 2 % larger": (
        "size",
        put("size.trailing", lambda row: round(0.02 * row["texture.bytes"]), 0.3),
    ),
    "10 % of hybrids 2 % larger": (
        "size",
        put("size.trailing", lambda row: round(0.02 * row["texture.bytes"]), 0.1),
    ),
    "30 % of hybrids 10 pixels wider": (
        "dimensions",
        put("dimensions.width", lambda row: row["dimensions.width"] + 10, 0.3),
    ),
    "50 % of hybrids first or last in the zip": ("order", ends("order.zip", 0.5)),
    "30 % of hybrids begin with h": ("name", put("name.first", "h", 0.3)),
    "30 % of hybrids with another time stamp": ("entry", put("entry.time", 1.0, 0.3)),
    "30 % of hybrids of another quality": ("encoding", put("encoding.tables", "other", 0.3)),
    "30 % of hybrids with a comment": ("metadata", put("metadata.comment", "x", 0.3)),
    "20 % of hybrids twice": ("copies", put("copies.files", 2.0, 0.2)),
    "border of hybrids brighter by 0.5 sd": ("frame", shift("frame.red", 0.5)),
    "border of hybrids brighter by 1 sd": ("frame", shift("frame.red", 1.0)),
}


def alarms(pool: Pool, seed: int, leak: str | None) -> tuple[list[str], list[str]]:
    """Audit one drawn bundle; return what is called a leak and a warning."""
    random = np.random.default_rng(seed)
    sets = clean_sets(pool, random)
    if leak is not None:
        for name, reference, rows in sets:
            if name == "val":
                PLANTS[leak][1](rows, np.array(reference.hybrid), random)
    found = audit_measured(sets, seed=seed)
    return (
        [f"{one.kind}/{one.target.rpartition(' ')[2]}" for one in found.leaks],
        [one.kind for one in found.warnings],
    )


def _row(what: str, seeds: int, hits: Sequence[bool], **more: str) -> dict[str, Any]:
    return {"sets": what, "runs": seeds, "alarm, %": f"{100 * np.mean(hits):.0f}", **more}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small demo, few seeds")
    parser.add_argument("--seeds", type=int, metavar="N", help="runs on clean sets")
    parser.add_argument("--data", type=Path, help="a bundle with the demo's data; else drawn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    seeds = arguments.seeds or (QUICK if arguments.quick else FULL)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.data or Path(scratch)
        if arguments.data is None:
            build_demo(folder, scale=0.06 if arguments.quick else 0.4)
        pool = measured_pool(folder)
    rows = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as workers:
        clean = [workers.submit(alarms, pool, seed, None) for seed in range(seeds)]
        planted = {
            leak: [
                workers.submit(alarms, pool, 10_000 + seed, leak)
                for seed in range(max(2, seeds // 5))
            ]
            for leak in PLANTS
        }
        outcomes = [job.result() for job in clean]
        rows.append(_row("clean: any leak", seeds, [bool(leaks) for leaks, _ in outcomes]))
        rows.append(_row("clean: any warning", seeds, [bool(warned) for _, warned in outcomes]))
        for leak, (kind, _) in PLANTS.items():
            results = [job.result()[0] for job in planted[leak]]
            by_group = {
                f"{group}, %": f"{100 * np.mean([f'{kind}/{group}' in one for one in results]):.0f}"
                for group in PARTS[""]
            }
            hits = [any(name.startswith(f"{kind}/") for name in one) for one in results]
            rows.append(_row(leak, len(results), hits, **by_group))
            if not arguments.json:
                print(rows[-1], flush=True)
    sizes = {
        f"{group}": (
            sum(h for g, h in zip(val.group, val.hybrid, strict=True) if g == group),
            sum(not h for g, h in zip(val.group, val.hybrid, strict=True) if g == group),
        )
        for val, _ in [pool["val"]]
        for group in PARTS[""]
    }
    report = {
        "title": "Alarms of the audit of data sets",
        "command": "python benchmarks/audit.py",
        "rows": rows,
        "notes": [
            "A run audits all six sets of a demo at once. Leaks stand in the development set of",
            "the hybrid form alone, and are found among the tests of all six. Hybrids and others",
            "there: " + ", ".join(f"{g} {a} and {b}" for g, (a, b) in sizes.items()) + ".",
        ],
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")
    else:
        print(rows[:2])


if __name__ == "__main__":
    main()
