"""Small disks, clocks that jump, and commands that are watched: what tests of faults share."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MODEL = """
class Model:
    def load(self):
        pass
    def predict(self, image):
        return float(image.convert("L").getpixel((0, 0)))
"""
# Steps the wall clock, and no other, once a file is there.
_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
typedef int (*get)(clockid_t, struct timespec *);
int clock_gettime(clockid_t clock, struct timespec *into) {
    int code = ((get)dlsym(RTLD_NEXT, "clock_gettime"))(clock, into);
    if (clock == CLOCK_REALTIME && access(getenv("TEST_CLOCK_FILE"), F_OK) == 0)
        into->tv_sec += atol(getenv("TEST_CLOCK_STEP"));
    return code;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
"""


def write_submission(folder: Path, model: str = MODEL) -> Path:
    folder.mkdir()
    (folder / "model.py").write_text(model)
    (folder / "metadata").touch()
    return folder


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def left_overs(folder: Path) -> list[str]:
    """Names of files that were being written."""
    return [path.name for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


def jumping_clock(folder: Path, jump: Path, step: int) -> dict[str, str]:
    """Return an environment whose programs see the clock `step` s off once `jump` is there."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here, and only a library can step the clock of a process")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    built = subprocess.run(command, capture_output=True, check=False)
    if built.returncode != 0:
        pytest.skip("the C compiler that is here builds no library")
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "TEST_CLOCK_FILE": str(jump),
        "TEST_CLOCK_STEP": str(step),
    }
    script = "import sys, time; print(time.time())"
    # The step must be seen, or nothing is tested.
    off = environment | {"TEST_CLOCK_FILE": str(library)}
    seen = subprocess.run([sys.executable, "-c", script], env=off, capture_output=True, check=True)
    assert abs(float(seen.stdout) - time.time() - step) < 60
    return environment


class SmallDisk:
    """A disk of its own, which can be filled, made read-only and enlarged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, but: int) -> None:
        """Leave `but` bytes free, or hardly less."""
        space = os.statvfs(self.folder)
        with (self.folder / "filler").open("wb") as file:
            file.write(bytes(max(0, space.f_bavail * space.f_frsize - but)))

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.folder / "filler").unlink()

    def read_only(self) -> None:
        """Let nobody write any more."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)


@contextmanager
def mounted(folder: Path, size: str = "16m") -> Iterator[SmallDisk]:
    """Mount a small disk; skips where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root, and a machine that lets it")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
