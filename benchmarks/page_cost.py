"""Cost of the results page: scoring with it against scoring with an empty one.

Whole processes, start-up and imports included, in the task that grades all three groups. The
page is drawn by the same program, packed for a phase that shows all it may and for one that
shows the board's columns. Scores of the model are normal, half a standard deviation apart for
signal hybrids and less for the others: neither trivial nor hopeless.

Usage: python benchmarks/page_cost.py [--quick] [--json PATH]
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ENTRY = ROOT / "scoring_program_hybrid" / "score_hybrid.py"
TITLE = "The results page, whole scoring process with and without"

# The real sets: (group, non-hybrids, hybrids, how far hybrids lie above non-hybrids).
VALIDATION_SET = (("major", 219, 190, 2.0), ("minor", 201, 17, 1.0), ("mimic", 423, 125, 1.5))
TEST_SET = (("major", 455, 365, 2.0), ("minor", 407, 28, 1.0), ("mimic", 847, 248, 1.5))

Groups = Sequence[tuple[str, int, int, float]]
# Set, copies of it, runs of each kind.
FULL: tuple[tuple[Groups, int, int], ...] = (
    (VALIDATION_SET, 1, 7),
    (TEST_SET, 1, 7),
    (TEST_SET, 40, 5),
)
QUICK: tuple[tuple[Groups, int, int], ...] = ((VALIDATION_SET, 1, 2), (TEST_SET, 1, 2))

_WITHOUT_PAGE = """
import sys
from pathlib import Path
from mimicry.hybrids import program
scored = program.score_submission
program.score_submission = lambda key, source: scored(key, source)._replace(page=lambda _: [])
sys.exit(program.main("hybrid", Path(sys.argv[1]), sys.argv[2:]))
"""


class Cost(NamedTuple):
    """CPU (user and system) and wall time in seconds, largest resident memory in MB."""

    cpu: float
    wall: float
    memory: float


def write_folders(folder: Path, groups: Groups, copies: int, seed: int = 7) -> int:
    """Write ``input/ref`` and ``input/res`` as the platform hands them over; return the rows."""
    draw = random.Random(seed)
    table = [
        (group, label, draw.gauss(label * far, 1.0))
        for group, others, hybrids, far in groups
        for label, count in ((0, others), (1, hybrids))
        for _ in range(count * copies)
    ]
    draw.shuffle(table)
    reference, result = folder / "input" / "ref", folder / "input" / "res"
    reference.mkdir(parents=True)
    result.mkdir(parents=True)
    labels = ["filename,hybrid_stat,ssp_indicator"]
    scores = ["filename,score"]
    for number, (group, label, score) in enumerate(table):
        labels.append(f"{number:06d}.jpg,{label},{group}")
        scores.append(f"{number:06d}.jpg,{score!r}")
    (reference / "test.csv").write_text("\n".join([*labels, ""]), encoding="utf-8")
    predictions = "\n".join([*scores, ""]).encode()
    (result / "predictions.csv").write_bytes(predictions)
    record: dict[str, object] = {
        "state": "finished",
        "images": len(table),
        "predicted": len(table),
        "seconds": 61.0,
        "predictions_sha256": hashlib.sha256(predictions).hexdigest(),
        "versions": {},
        "time_limit": 600,
        "load_seconds": 4.0,
        "predict_seconds": 55.0,
        "batch_size": 32,
        "peak_memory_bytes": 10**9,
    }
    (result / "ingestion.json").write_text(json.dumps(record), encoding="utf-8")
    return len(table)


def packed(folder: Path, shown: str) -> Path:
    """Return the entry script in a folder of its own, packed for a phase that shows so much."""
    program = folder / shown
    program.mkdir()
    shutil.copy(ENTRY, program)
    settings = {"competition": "c", "phase": "p", "task": "hybrid", "results_page": shown}
    (program / "phase.json").write_text(json.dumps(settings), encoding="utf-8")
    return program / ENTRY.name


def run(command: Sequence[str]) -> Cost:
    """Run a command to its end and return what it cost; RuntimeError unless it exits with 0."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace")[-2000:])
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def measure(
    plan: Sequence[tuple[Groups, int, int]] = FULL,
) -> list[dict[str, float | int | str]]:
    """Return one row per size and kind of page: medians, and what the page adds.

    The kinds take turns, so that a busy machine slows all of them.

    Raises
    ------
    RuntimeError
        A run failed, or the full page gave way to the declared one.
    """
    table: list[dict[str, float | int | str]] = []
    for groups, copies, runs in plan:
        with tempfile.TemporaryDirectory(prefix="mimicry-page-") as name:
            folder = Path(name)
            images = write_folders(folder, groups, copies)
            source, output = folder / "input", folder / "output"
            folders = [str(source), str(output)]
            commands = {
                "none": [sys.executable, "-c", _WITHOUT_PAGE, str(folder), *folders],
                "declared": [sys.executable, str(packed(folder, "declared")), *folders],
                "full": [sys.executable, str(packed(folder, "full")), *folders],
            }
            costs: dict[str, list[Cost]] = {kind: [] for kind in commands}
            bytes_of: dict[str, int] = {}
            for _ in range(runs):
                for kind, command in commands.items():
                    costs[kind].append(run(command))
                    bytes_of[kind] = (output / "detailed_results.html").stat().st_size
                    log = output / "scoring.log"
                    if log.exists():
                        raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
        middle = {
            kind: Cost(*(statistics.median(each) for each in zip(*found, strict=True)))
            for kind, found in costs.items()
        }
        table += [
            {
                "images": images,
                "page": kind,
                "runs": runs,
                "cpu_s": round(cost.cpu, 3),
                "wall_s": round(cost.wall, 3),
                "cpu_added_s": round(cost.cpu - middle["none"].cpu, 3),
                "wall_added_s": round(cost.wall - middle["none"].wall, 3),
                "cpu_ratio": round(cost.cpu / middle["none"].cpu, 2),
                "memory_mb": round(cost.memory),
                "page_kb": round(bytes_of[kind] / 1000, 1),
            }
            for kind, cost in middle.items()
        ]
    return table


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table and write JSON on request."""
    parser = argparse.ArgumentParser(
        description=TITLE, epilog="Example: python benchmarks/page_cost.py --quick"
    )
    parser.add_argument("--quick", action="store_true", help="two runs of the two real sizes")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows to PATH")
    options = parser.parse_args(arguments)
    rows = measure(QUICK if options.quick else FULL)
    print(TITLE)
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        command = "python benchmarks/page_cost.py" + (" --quick" if options.quick else "")
        document = {"title": TITLE, "command": command, "rows": rows}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
