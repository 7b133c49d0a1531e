"""Turn a lock with torch into one without torch and CUDA: ``models_lock.py < GPU > LOCK``.

The package registry offers torch for Linux only with several GB of CUDA packages.
``install_torch.py`` installs the build without CUDA; this lock holds everything else.
"""

import re
import sys

LEFT_OUT = re.compile(r"((nvidia|cuda)-.+|triton|torch|torchvision)==")


def without_torch(lock: str) -> str:
    """Return `lock` without torch, torchvision and the CUDA packages (pins, hashes, comments)."""
    kept: list[str] = []
    skipping = False
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():
            skipping = LEFT_OUT.match(line) is not None
        if not skipping:
            kept.append(line)
    return "".join(kept)


if __name__ == "__main__":
    sys.stdout.write(without_torch(sys.stdin.read()))
