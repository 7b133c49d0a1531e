"""A build that is killed leaves no worker behind."""

import subprocess
import sys
import time
from pathlib import Path

from mimicry.ingestion.processes import descendants


def alive(process: int) -> bool:
    try:
        status = Path("/proc", str(process), "stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_workers_end_with_a_killed_build(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mimicry.cli", "data", "demo", "--output", str(tmp_path)),
            *("--size", "1000x700", "--workers", "2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        # A line of progress: the workers are drawing.
        assert "drawing" in process.stdout.readline()
        workers = descendants(process.pid)
        assert len(workers) >= 2
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    end = time.monotonic() + 20
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.05)
