"""What an engine costs beside the bare command, and what a check of the bundle costs.

python benchmarks/engines.py [--quick] [--json FILE]

A job that does nothing is run by each engine that works here, and by the same command
without Mimicry: `docker run` with the same options, `bwrap`, or the program itself.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mimicry.codabench.competition import find_bundle, list_competitions, load_competition
from mimicry.codabench.engines import ENGINES, Job, run_job
from mimicry.codabench.engines.bubblewrap import launch_bubblewrap

SCRIPT = "print('done')\n"
FOLDERS = ("program", "ingested_program", "input_data", "output", "data")


def make_job(folder: Path, image: str) -> Job:
    for name in FOLDERS:
        (folder / "app" / name).mkdir(parents=True, exist_ok=True)
    (folder / "app" / "program" / "main.py").write_text(SCRIPT, encoding="utf-8")
    command = "python3 /app/program/main.py"
    return Job(folder, command, "ingestion", folder / "out", folder / "err", 60, image=image)


def bare_command(engine: str, job: Job) -> list[str]:
    """Return what a person would type for the same job."""
    if engine == "subprocess":
        return [sys.executable, str(job.app / "program" / "main.py")]
    if engine == "bubblewrap":
        return list(launch_bubblewrap(job).argv)
    command = ["docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--env", "PYTHONUNBUFFERED=1"]
    command += ["--workdir", "/app/program"]
    for name in FOLDERS:
        command += ["--volume", f"{job.app / name}:/app/{name}{':ro' if name == 'data' else ''}"]
    return [*command, job.image, "python3", "/app/program/main.py"]


def measure(action: Callable[[], Any], runs: int) -> tuple[float, float]:
    """Return the medians of wall and CPU seconds, children included."""
    walls, cpus = [], []
    for _ in range(runs):
        before, started = cpu_seconds(), time.monotonic()
        action()
        walls.append(time.monotonic() - started)
        cpus.append(cpu_seconds() - before)
    return statistics.median(walls), statistics.median(cpus)


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def call(command: list[str], folder: Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)


def engine_rows(image: str, scratch: Path, runs: int) -> list[dict[str, Any]]:
    rows = []
    for name, engine in ENGINES.items():
        if engine.problem() or engine.lacks(image):
            continue
        job = make_job(scratch / name, image)
        assert run_job(engine, job).exit_code == 0
        wall, cpu = measure(lambda engine=engine, job=job: run_job(engine, job), runs)
        command = bare_command(name, job)
        bare_wall, bare_cpu = measure(lambda c=command, job=job: call(c, job.root), runs)
        rows.append(row(f"a job, {name}", wall, cpu, bare_wall, bare_cpu))
    return rows


def validation_rows(bundle: Path, runs: int) -> list[dict[str, Any]]:
    mimicry = [sys.executable, "-m", "mimicry.cli"]
    bare_wall, bare_cpu = measure(lambda: call([*mimicry, "--version"], bundle), runs)
    rows = []
    zips = [bundle / "dist" / f"mimicry-{id}.zip" for id in list_competitions(bundle)]
    for target in [bundle, *(path for path in zips if path.exists())]:
        command = [*mimicry, "validate", str(target)]
        wall, cpu = measure(lambda c=command: call(c, bundle), runs)
        shown = "the folder with demo data" if target == bundle else target.name
        rows.append(row(f"validate {shown}", wall, cpu, bare_wall, bare_cpu))
    return rows


def row(what: str, wall: float, cpu: float, bare_wall: float, bare_cpu: float) -> dict[str, Any]:
    return {
        "what": what,
        "ours wall s": round(wall, 3),
        "bare wall s": round(bare_wall, 3),
        "overhead s": round(wall - bare_wall, 3),
        "wall ratio": round(wall / bare_wall, 2),
        "ours CPU s": round(cpu, 3),
        "bare CPU s": round(bare_cpu, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else 15
    bundle = find_bundle(Path(__file__).resolve().parent)
    image = load_competition(bundle, "hybrid").docker_image
    with tempfile.TemporaryDirectory() as scratch:
        rows = engine_rows(image, Path(scratch), runs)
    rows += validation_rows(bundle, runs)
    report = {
        "title": "Engines beside the bare command, and validation",
        "command": "python benchmarks/engines.py",
        "rows": rows,
        "notes": [
            "A job that prints one line. Bare is `docker run`, `bwrap` or the program itself; for",
            "validation it is `mimicry --version`. A container's own CPU time is not counted.",
            f"Medians of {runs} runs.",
        ],
    }
    text = json.dumps(report, indent=2)
    if arguments.json:
        arguments.json.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main()
