"""The locked wheels of an image, downloaded with this machine's own pip settings."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from cpu_lock import entries, version
from image_names import Recipe
from image_tools import ImageError, last_line, run, say

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# What a wheel may ask of the C library (Debian bookworm has 2.36), newest first.
GLIBC = (*(f"_2_{minor}" for minor in range(28, 4, -1)), "2014", "2010", "1")
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def engine_architecture() -> str:
    """Return the architecture to build for, in the words of wheels."""
    platform = os.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    if not platform:
        answer = run(["docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"])
        if answer.returncode:
            raise ImageError(f"no Docker engine answers: {last_line(answer.stderr)}")
        platform = answer.stdout.strip()
    architecture = ARCHITECTURES.get(platform.removeprefix("linux/"))
    if architecture is None:
        raise ImageError(
            f"no locked wheels for {platform}; set DOCKER_DEFAULT_PLATFORM=linux/amd64"
        )
    return architecture


def pip_download(lock: Path, folder: Path, architecture: str, *extra: str) -> tuple[int, str]:
    """Download a lock's wheels for the image's Python; return pip's exit code and messages."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(folder)]
    command += ["--implementation", "cp", "--python-version", "3.11"]
    for glibc in GLIBC:
        command += ["--platform", f"manylinux{glibc}_{architecture}"]
    done = run([*command, *extra, "-r", str(lock)])
    return done.returncode, done.stderr


def wheel_folder(cache: Path, name: str, lock: str, architecture: str) -> Path:
    """Return where the wheels of one lock's text lie, once they are there."""
    digest = hashlib.sha256(f"{architecture}\n{lock}".encode()).hexdigest()[:16]
    return cache / f"{name}-{digest}"


def fetch_wheels(recipe: Recipe, cache: Path, architecture: str) -> dict[str, Path]:
    """Return the folder of wheels for each of the recipe's locks, downloading what is missing.

    A folder belongs to one content of its lock, and is there whole or not at all.
    """
    folders = {}
    have: set[tuple[str, str]] = set()
    for name, lock in recipe.locks:
        blocks = entries(lock.read_text("utf-8"))
        # The torch stage starts with the core image's packages, in the same versions.
        pins = {package: (package, version(block)) for package, block in blocks.items()}
        text = "".join(block for package, block in blocks.items() if pins[package] not in have)
        have.update(pins.values())
        folder = wheel_folder(cache, name, text, architecture)
        folders[name] = folder
        if folder.is_dir():
            continue
        say(f"wheels: downloading {name}, as {lock.name} has it")
        begun = time.monotonic()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="part-") as scratch:
            part = Path(scratch) / "wheels"
            part.mkdir()
            asked = Path(scratch) / "lock.txt"
            asked.write_text(text, "utf-8")
            extra = [] if name != "torch-cpu" else cpu_index(Path(scratch), blocks, architecture)
            code, message = pip_download(asked, part, architecture, *extra)
            if code:
                raise ImageError(
                    f"downloading the wheels of {lock.name} failed: {last_line(message)}"
                )
            part.chmod(0o755)
            part.rename(folder)
        for old in cache.glob(f"{name}-*"):
            if old != folder and re.fullmatch(r"[0-9a-f]{16}", old.name.removeprefix(f"{name}-")):
                shutil.rmtree(old)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        say(f"wheels: {name}, {size:.0f} MB in {time.monotonic() - begun:.0f} s")
    return folders


def cpu_index(scratch: Path, blocks: dict[str, str], architecture: str) -> list[str]:
    """Return pip's arguments for the CPU builds: none where its own settings lead to them."""
    probe = scratch / "torch.txt"
    probe.write_text(blocks["torch"], "utf-8")
    # The file stays in pip's cache, or is on disk already: the probe costs nothing twice.
    code, _ = pip_download(probe, scratch / "probe", architecture)
    return ["--extra-index-url", TORCH_INDEX] if code else []
