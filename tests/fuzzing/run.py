"""Coverage-guided fuzzing of every parser of hostile bytes.

Each target runs in a process of its own under libFuzzer (atheris), from seeds that its
module makes. An input counts as found when it raises anything but a declared error, breaks
a property of its target, or takes more than a second.

Examples
--------
python tests/fuzzing/run.py --seconds 60            all targets, a minute altogether
python tests/fuzzing/run.py --runs 1000000          a million inputs altogether
python tests/fuzzing/run.py blue red --runs 50000   two targets
python tests/fuzzing/run.py --list
python tests/fuzzing/run.py blue --replay build/fuzzing/blue/crash-1234
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzzing_targets import TARGETS, load, longest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
KEPT = REPOSITORY / "build" / "fuzzing"
LEAST_RUNS = 20_000
# Of the clock: what never returns is ended. What merely takes long, the child finds itself.
HANGS_AFTER = 10
MOST_MEMORY_MB = 2048
FOUND = 1
_STATUS = re.compile(r"^#\d+\s+\w+.*?cov: (\d+).*?ft: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
_WRITTEN = re.compile(r"Test unit written to (\S+)")


class Bound(NamedTuple):
    """When a target ends: after so many inputs or seconds, whichever is given."""

    runs: int | None = None
    seconds: int | None = None


class Outcome(NamedTuple):
    """What became of one target.

    Attributes
    ----------
    target : str
        Its name.
    inputs : int
        How many were run.
    seconds : float
        Wall time, the start of the process and of its libraries aside.
    branches, features : int
        What the inputs reached, as libFuzzer counts it.
    found : tuple of Path
        Inputs at which a property failed.
    log : Path
        The fuzzer's own words.
    problem : str or None
        Why it did not run to its end, where no input is to blame.
    """

    target: str
    inputs: int
    seconds: float
    branches: int
    features: int
    found: tuple[Path, ...]
    log: Path
    problem: str | None


def shares(names: Sequence[str], runs: int) -> dict[str, int]:
    """Split `runs` among targets: the same least part for each, the rest by their shares."""
    least = min(LEAST_RUNS, runs // len(names))
    weights = {name: int(load(name).SHARE) for name in names}
    rest, whole = runs - least * len(names), sum(weights.values())
    found = {name: least + rest * weight // whole for name, weight in weights.items()}
    found[names[0]] += runs - sum(found.values())
    return found


def write_seeds(name: str, folder: Path) -> Path:
    """Write a target's seeds and its dictionary below `folder`; return the dictionary."""
    target = load(name)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((*target.VALID, *target.NASTY)):
        if len(data) <= longest(target):
            (corpus / f"seed-{number:03d}").write_bytes(data)
    words = folder / "words.dict"
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.WORDS]
    words.write_text("\n".join(lines) + "\n", encoding="ascii")
    return words


def fuzz(name: str, bound: Bound, seed: int, kept: Path, scratch: Path) -> Outcome:
    """Run one target to its bound or to the first input that it fails at.

    Parameters
    ----------
    name : str
        One of `fuzzing_targets.TARGETS`.
    bound : Bound
        When it ends.
    seed : int
        Of libFuzzer's own draws; the same inputs follow from it where runs are bounded.
    kept : Path
        Where inputs that were found and the log are kept, in a folder of the target's name.
    scratch : Path
        For the corpus and the target's temporary files.
    """
    place, work = kept / name, scratch / name
    place.mkdir(parents=True, exist_ok=True)
    words = write_seeds(name, work)
    temporary = work / "tmp"
    temporary.mkdir()
    command = [
        *(sys.executable, str(HERE / "fuzzing_child.py"), name),
        *(str(work / "corpus"), f"-dict={words}", f"-seed={seed}", f"-artifact_prefix={place}/"),
        *(f"-max_len={longest(load(name))}", f"-timeout={HANGS_AFTER}", "-print_final_stats=1"),
        *(f"-rss_limit_mb={MOST_MEMORY_MB}", "-verbosity=1"),
    ]
    if bound.runs is not None:
        command.append(f"-runs={bound.runs}")
    if bound.seconds is not None:
        command.append(f"-max_total_time={bound.seconds}")
    log = place / "log.txt"
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": str(temporary)}
    with log.open("wb") as file:
        start = time.monotonic()
        process = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
        wall = time.monotonic() - start
    shutil.rmtree(work, ignore_errors=True)
    text = log.read_text(encoding="utf-8", errors="replace")
    found = tuple(Path(path) for path in _WRITTEN.findall(text))
    executed = _EXECUTED.search(text)
    status = _STATUS.findall(text)
    problem = None
    if process.returncode and not found:
        problem = next((line for line in reversed(text.splitlines()) if line.strip()), "no output")
    done = re.search(r"^Done \d+ runs in (\d+) second", text, re.MULTILINE)
    return Outcome(
        target=name,
        inputs=int(executed[1]) if executed else 0,
        seconds=float(done[1]) if done and int(done[1]) > 1 else wall,
        branches=int(status[-1][0]) if status else 0,
        features=int(status[-1][1]) if status else 0,
        found=found,
        log=log,
        problem=problem,
    )


def replay(name: str, path: Path) -> int:
    """Run one input without the fuzzer, and say what comes of it; a traceback if it fails."""
    data = path.read_bytes()
    start = time.process_time()
    outcome = load(name).judge(data)
    print(f"{name}: {outcome}, {time.process_time() - start:.3f} s, {len(data):,} bytes")
    return 0


def report(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table of all outcomes, with their sum."""
    lines = [
        "| target | inputs | inputs/s | branches | features | found |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in outcomes:
        rate = one.inputs / max(one.seconds, 1e-9)
        cells = (f"{one.inputs:,}", f"{rate:,.0f}", f"{one.branches:,}", f"{one.features:,}")
        lines.append(f"| {one.target} | {' | '.join(cells)} | {len(one.found)} |")
    inputs, found = sum(one.inputs for one in outcomes), sum(len(one.found) for one in outcomes)
    rate = inputs / max(sum(one.seconds for one in outcomes), 1e-9)
    lines.append(f"| all | {inputs:,} | {rate:,.0f} | | | {found} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the targets that were named, all by default; return 1 if anything was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all by default")
    parser.add_argument("--list", action="store_true", help="name the targets and end")
    parser.add_argument("--runs", type=int, metavar="N", help="inputs, of all targets together")
    parser.add_argument("--seconds", type=int, metavar="N", help="of all targets together")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="1 by default")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="targets at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table's numbers")
    parser.add_argument(
        "--keep", type=Path, default=KEPT, metavar="FOLDER", help="for what is found, and logs"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input of one target")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.targets) - set(TARGETS))
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; --list names them")
    names = list(dict.fromkeys(given.targets)) or list(TARGETS)
    if given.list:
        print("\n".join(TARGETS))
        return 0
    if given.replay is not None:
        if len(given.targets) != 1:
            parser.error("--replay needs one target")
        return replay(names[0], given.replay)
    if min(given.runs or 1, given.seconds or 1, given.jobs) < 1 or (given.runs or 10**6) < len(
        names
    ):
        parser.error("every target needs at least one input, one second and one job")
    seconds = given.seconds if given.seconds or given.runs else 60
    runs = shares(names, given.runs) if given.runs else {}
    each = None if seconds is None else max(1, seconds // len(names))
    return _run_all(names, {name: Bound(runs.get(name), each) for name in names}, given)


def _memory() -> str | None:
    # Files that are written and read a thousand times a second, where they cost least.
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _run_all(names: Sequence[str], bounds: dict[str, Bound], given: argparse.Namespace) -> int:
    def run(name: str) -> Outcome:
        outcome = fuzz(name, bounds[name], given.seed, given.keep.absolute(), Path(scratch))
        print(f"{name}: {outcome.inputs:,} inputs, {len(outcome.found)} found", file=sys.stderr)
        return outcome

    with (
        tempfile.TemporaryDirectory(prefix="fuzzing-", dir=_memory()) as scratch,
        ThreadPoolExecutor(given.jobs) as pool,
    ):
        outcomes = list(pool.map(run, names))
    print(report(outcomes))
    if given.json is not None:
        rows = [{**one._asdict(), "found": [*map(str, one.found)]} for one in outcomes]
        given.json.write_text(json.dumps(rows, indent=2, default=str) + "\n", encoding="utf-8")
    for one in outcomes:
        for path in one.found:
            words = ["python", "tests/fuzzing/run.py", one.target, "--replay", str(path)]
            print(f"{one.target}: {shlex.join(words)}", file=sys.stderr)
        if one.problem is not None:
            print(f"{one.target} ended early: {one.problem} ({one.log})", file=sys.stderr)
    return FOUND if any(one.found or one.problem for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
