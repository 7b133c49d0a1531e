"""Derive the CPU image's lock from the GPU image's: ``python docker/cpu_lock.py``.

The package registry offers torch for Linux only with several GB of CUDA packages, and a
resolver that reads the registry cannot be told otherwise. Both images should hold the
same versions of everything else, so the second lock is the first one without CUDA, and
with the builds that ``requirements/image-torch-cpu-builds.txt`` names.
"""

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
CUDA = re.compile(r"(nvidia|cuda)-.+|triton")
HEADER = "# Made by docker/cpu_lock.py via the following command:\n#    make lock\n"


def entries(text: str) -> dict[str, str]:
    """Return a lock file's blocks (pin, hashes, comments) by package name, in its order."""
    blocks: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if match := re.match(r"([A-Za-z0-9][A-Za-z0-9._-]*)==", line):
            name = match.group(1).lower()
            blocks[name] = ""
        if name:
            blocks[name] += line
    return blocks


def version(block: str) -> str:
    """Return the pinned version of one block."""
    return block.split("==", 1)[1].split()[0]


def hashes(block: str) -> list[str]:
    """Return the hashes of one block."""
    return re.findall(r"sha256:[0-9a-f]{64}", block)


def cpu_lock(gpu_lock: str, builds: str) -> str:
    """Return the lock without CUDA.

    torchvision keeps the registry's hashes beside those of the CPU build: where PyTorch's
    own index is out of reach, the registry's file serves (the package's torchvision_compat.py).

    Raises
    ------
    ValueError
        A build that is kept by hand has another version than the GPU lock.
    """
    kept = entries(builds)
    text = HEADER
    for name, block in entries(gpu_lock).items():
        if CUDA.fullmatch(name):
            continue
        if name in kept:
            if version(kept[name]).split("+")[0] != version(block):
                raise ValueError(
                    f"image-torch-cpu-builds.txt has {name} {version(kept[name])}, the lock "
                    f"{version(block)}: copy version and hashes from PyTorch's CPU index"
                )
            known = hashes(kept[name]) + (hashes(block) if "+" not in version(kept[name]) else [])
            lines = [f"{name}=={version(kept[name])}", *(f"    --hash={h}" for h in known)]
            block = " \\\n".join(lines) + "\n"
        text += block
    return text


def main() -> int:
    """Write requirements/image-torch-cpu.txt."""
    try:
        text = cpu_lock(
            (REQUIREMENTS / "image-torch-gpu.txt").read_text("utf-8"),
            (REQUIREMENTS / "image-torch-cpu-builds.txt").read_text("utf-8"),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    (REQUIREMENTS / "image-torch-cpu.txt").write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
