"""Cost of scoring: Mimicry against a scorer that tries every threshold.

Whole processes, start-up and imports included, on files as ingestion and the
organiser write them. The scores are random and rounded to four digits, which is
what the 2024 programs gave their scorer and is to the slow scorer's advantage.

Usage: python benchmarks/scoring.py [--quick] [--json PATH]
"""

import argparse
import csv
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OURS = ROOT / "scoring_program_hybrid" / "score_hybrid.py"
REFERENCE = Path(__file__).resolve().with_name("reference_scorer.py")
TITLE = "Scoring, whole process: one sort against a loop over thresholds"

# The real test set: (group, non-hybrids, hybrids).
TEST_SET = (("major", 455, 365), ("minor", 407, 28), ("mimic", 847, 248))
TEST_SET_ROWS = 2350

# Rows, runs of ours, runs of the reference.
Plan = tuple[tuple[int, int, int], ...]
FULL: Plan = ((2350, 7, 5), (23500, 5, 2), (94000, 5, 1))
QUICK: Plan = ((2350, 3, 1), (23500, 3, 0), (94000, 3, 0))


class Cost(NamedTuple):
    """CPU (user and system, children of the process included) and wall time in seconds."""

    cpu: float
    wall: float


def write_folders(folder: Path, rows: int, seed: int = 7) -> None:
    """Write ``input/ref`` and ``input/res`` for `rows` images, a multiple of 2,350."""
    draw = random.Random(seed)
    copies = rows // TEST_SET_ROWS
    table = [
        (group, label)
        for group, others, hybrids in TEST_SET
        for label, count in ((0, others), (1, hybrids))
        for _ in range(count * copies)
    ]
    draw.shuffle(table)
    names = [f"{index:06d}_CAM{draw.randrange(10**6):06d}_d.jpg" for index in range(rows)]
    reference, result = folder / "input" / "ref", folder / "input" / "res"
    reference.mkdir(parents=True)
    result.mkdir(parents=True)
    with (reference / "test.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("filename", "hybrid_stat", "ssp_indicator"))
        writer.writerows((n, label, group) for n, (group, label) in zip(names, table, strict=True))
    lines = [f"{name},{round(draw.random(), 4)!r}" for name in names]
    predictions = ("\n".join(["filename,score", *lines]) + "\n").encode()
    (result / "predictions.csv").write_bytes(predictions)
    record: dict[str, object] = {
        "state": "finished",
        "error_kind": None,
        "error_code": None,
        "error": None,
        "images": rows,
        "predicted": rows,
        "seconds": 1.0,
        "predictions_sha256": hashlib.sha256(predictions).hexdigest(),
        "versions": {},
    }
    (result / "ingestion.json").write_text(json.dumps(record), encoding="utf-8")


def run(command: list[str]) -> Cost:
    """Run a command to its end and return what it cost.

    Raises
    ------
    RuntimeError
        It did not exit with 0.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace")[-2000:])
    return Cost(usage.ru_utime + usage.ru_stime, wall)


def measure(
    plan: Plan = FULL,
) -> list[dict[str, float | int | None]]:
    """Return one row per size: medians, and the reference's CPU over ours.

    Parameters
    ----------
    plan : tuple of (rows, runs, reference runs)
        Sizes are multiples of 2,350. Without reference runs its cells are None.

    Raises
    ------
    RuntimeError
        The two scorers disagree by more than 1e-12 in a column.
    """
    table: list[dict[str, float | int | None]] = []
    for rows, our_runs, reference_runs in plan:
        with tempfile.TemporaryDirectory(prefix="mimicry-scoring-") as name:
            folder = Path(name)
            write_folders(folder, rows)
            source, output = folder / "input", folder / "output"
            expected = folder / "reference.json"
            ours_command = [sys.executable, str(OURS), str(source), str(output)]
            reference_command = [
                sys.executable,
                str(REFERENCE),
                str(source / "res" / "predictions.csv"),
                str(source / "ref" / "test.csv"),
                str(expected),
            ]
            ours = [run(ours_command) for _ in range(our_runs)]
            theirs = [run(reference_command) for _ in range(reference_runs)]
            if theirs:
                _compare(output / "scores.json", expected)
        our_cpu = statistics.median(cost.cpu for cost in ours)
        their_cpu = statistics.median(cost.cpu for cost in theirs) if theirs else None
        first_rows, first_cpu = (
            (table[0]["rows"], table[0]["mimicry_cpu_s"]) if table else (rows, our_cpu)
        )
        table.append(
            {
                "rows": rows,
                "mimicry_runs": our_runs,
                "mimicry_cpu_s": round(our_cpu, 3),
                "mimicry_wall_s": round(statistics.median(cost.wall for cost in ours), 3),
                "reference_runs": reference_runs,
                "reference_cpu_s": _rounded(their_cpu),
                "reference_wall_s": _rounded(
                    statistics.median(cost.wall for cost in theirs) if theirs else None
                ),
                "cpu_ratio": _rounded(their_cpu / our_cpu if their_cpu else None, 1),
                "growth_in_rows": round(rows / (first_rows or 1), 1),
                "growth_in_cpu": round(our_cpu / (first_cpu or 1), 2),
            }
        )
    return table


def _rounded(value: float | None, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)


def _compare(ours: Path, theirs: Path) -> None:
    left, right = (json.loads(path.read_text(encoding="utf-8")) for path in (ours, theirs))
    if left.keys() != right.keys() or any(abs(left[k] - right[k]) > 1e-12 for k in left):
        raise RuntimeError(f"the scorers disagree: {left} and {right}")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON on request."""
    parser = argparse.ArgumentParser(
        description=TITLE, epilog="Example: python benchmarks/scoring.py --quick"
    )
    parser.add_argument(
        "--quick", action="store_true", help="run the slow scorer once, at 2,350 rows only"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows to PATH")
    parser.add_argument(
        "--sizes", type=int, nargs="+", metavar="ROWS", help="only these of 2350, 23500, 94000"
    )
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    if options.sizes:
        plan = tuple(step for step in plan if step[0] in options.sizes)
        if not plan:
            parser.error("--sizes names none of 2350, 23500, 94000")
    rows = measure(plan)
    print(TITLE)
    for row in rows:
        print("  ".join(f"{key} {'-' if value is None else value}" for key, value in row.items()))
    if options.json:
        command = "python benchmarks/scoring.py" + (" --quick" if options.quick else "")
        document = {"title": TITLE, "command": command, "rows": rows}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
