"""Cost of the results pages of Blue and Red: the full page against that of the columns alone.

python benchmarks/page_cost_realign.py [--quick] [--json FILE]

Whole processes, start-up and imports included, over generated reference data.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from page_cost import Cost, run
from realign import blue_case, red_case, write_json

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("declared", "full")


def largest_set(folder: Path, models: int) -> None:
    """Reference data of the rule largest_set, and a submission of all models."""
    blue_case(folder, models, models, 200)
    optimum = {"value": 2, "upper_bound": models, "proved": False}
    rules = {"competition": "blue", "rule": "largest_set", "threshold": 0.7, "optimum": optimum}
    write_json(folder / "input" / "ref" / "rules.json", rules)


def with_pictures(folder: Path, models: int, stimuli: int) -> None:
    """Reference data with a thumbnail of every stimulus, and a submission of 1,000."""
    red_case(folder, models, 1024, stimuli, 1000)
    ref = folder / "input" / "ref"
    np.save(
        ref / "thumbnails.npy", np.array([b"\xff\xd8\xff" + b"x" * 2000 + b"\xff\xd9"] * stimuli)
    )
    rules = json.loads((ref / "rules.json").read_text(encoding="utf-8"))
    write_json(ref / "rules.json", rules | {"thumbnails": True})


def measured(team: str, folder: Path, runs: int) -> tuple[dict[str, Cost], int]:
    """Return the median cost with either page, and the bytes of the full one.

    The pages take turns, so that a busy machine slows both.
    """
    costs: dict[str, list[Cost]] = {page: [] for page in PAGES}
    for page in PAGES * runs:
        program = folder / page
        program.mkdir(exist_ok=True)
        settings = {"competition": "c", "phase": "p", "task": team, "results_page": page}
        write_json(program / "phase.json", settings)
        source = ROOT / f"scoring_program_{team}" / f"score_{team}.py"
        (program / source.name).write_bytes(source.read_bytes())
        output = folder / f"output_{page}"
        costs[page].append(
            run([sys.executable, str(program / source.name), str(folder / "input"), str(output)])
        )
        log = output / "scoring.log"
        if log.exists():
            raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
    size = (folder / "output_full" / "detailed_results.html").stat().st_size
    middle = {
        page: Cost(*(statistics.median(each) for each in zip(*found, strict=True)))
        for page, found in costs.items()
    }
    return middle, size


def report(quick: bool) -> dict[str, Any]:
    runs, stimuli = (2, 5_000) if quick else (5, 100_000)
    cases = {
        "Blue, 20 of 141 models": ("blue", lambda at: blue_case(at, 141, 20, 200)),
        "Blue, largest set, 141 of 141 models": ("blue", lambda at: largest_set(at, 141)),
        f"Red, 1,000 of {stimuli:,} stimuli, 11 models, thumbnails": (
            "red",
            lambda at: with_pictures(at, 11, stimuli),
        ),
    }
    rows = []
    for what, (team, make) in cases.items():
        with tempfile.TemporaryDirectory(prefix="mimicry-page-") as name:
            make(Path(name))
            cost, size = measured(team, Path(name), runs)
        rows += [
            {
                "what": what,
                "page": page,
                "CPU s": round(cost[page].cpu, 2),
                "wall s": round(cost[page].wall, 2),
                "CPU s added": round(cost[page].cpu - cost["declared"].cpu, 2),
                "peak MB": round(cost[page].memory),
                "page kB": round(size / 1000) if page == "full" else "",
            }
            for page in PAGES
        ]
    return {
        "title": "The results pages of Re-Align, whole scoring process",
        "command": "python benchmarks/page_cost_realign.py",
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller data, two runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    text = json.dumps(report(arguments.quick), indent=2)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
