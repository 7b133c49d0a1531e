"""Run every benchmark and write benchmarks/RESULTS.md.

python benchmarks/run.py [--quick] [NAME ...]

With names, only their sections are measured and written anew.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "scoring",
    "coverage",
    "rank_coverage",
    "page_cost",
    "page_cost_realign",
    "ingestion",
    "backbones",
    "engines",
    "similarity",
    "extraction",
    "search",
    "realign",
    "audit",
)
RESULTS = HERE / "RESULTS.md"
INTRODUCTION = """\
# Benchmarks

Made by `make bench`; every row compares two processes of the same run, so quote ratios.
Wall and CPU are seconds of the whole process and its children, medians of several runs.
"""


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table with all keys as its head."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [keys, ["---"] * len(keys), *([str(row.get(key, "")) for key in keys] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Describe what the figures were measured on."""
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("numpy", "pillow", "scikit-learn", "pandas", "torch", "timm")
    )
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({platform.machine()}), Python {platform.python_version()}, {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes; RESULTS.md stays as it is"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    sections = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.names or BENCHMARKS:
            report_file = Path(scratch) / f"{name}.json"
            command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(report_file)]
            subprocess.run(command + ["--quick"] * arguments.quick, check=True)
            report = json.loads(report_file.read_text(encoding="utf-8"))
            notes = "\n".join(["", *report["notes"], ""]) if report.get("notes") else ""
            sections.append(
                f"## {report['title']}\n\n`{report['command']}`\n\n{table(report['rows'])}\n{notes}"
            )
    if arguments.quick:
        print("\n".join(sections))
        return
    if arguments.names:
        sections = merged(RESULTS.read_text(encoding="utf-8"), sections)
    RESULTS.write_text("\n".join([INTRODUCTION + machine() + "\n", *sections]), encoding="utf-8")
    print(f"wrote {RESULTS}")


def merged(text: str, sections: list[str]) -> list[str]:
    """Return the sections of an earlier report, those with the same title replaced."""
    kept = [part.rstrip("\n") + "\n" for part in re.split(r"^(?=## )", text, flags=re.M)[1:]]
    by_title = {part.partition("\n")[0]: part for part in kept}
    by_title |= {part.partition("\n")[0]: part for part in sections}
    return list(by_title.values())


if __name__ == "__main__":
    main()
