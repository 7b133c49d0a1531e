"""Install torch and torchvision without CUDA into this Python: ``install_torch.py``.

Nothing is done where both are there in the locked versions. The registry's torch for
Linux needs several GB of CUDA packages, so the build comes from where pip's own settings
lead (an index or folder that has it), else from PyTorch's index of CPU builds. For Python
3.11 on Linux the hashes are locked in ``image-torch-cpu.txt``; for other Pythons and
systems that index is trusted over TLS.
"""

import importlib.metadata
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/cpu"
LOCK = Path(__file__).with_name("image-torch-cpu.txt")
PACKAGES = ("torch", "torchvision")


def locked_blocks(lock: str) -> dict[str, str]:
    """Return the lock's lines (pin and hashes) of torch and torchvision, by name."""
    found = {}
    for name in PACKAGES:
        match = re.search(rf"^{name}==.*\n(?:[ #].*\n)*", lock, re.M)
        if match is None:
            raise SystemExit(f"{LOCK.name} does not pin {name}; run `make lock`")
        found[name] = match[0]
    return found


def version(block: str) -> str:
    """Return the public version that a block pins, without a label such as +cpu."""
    return re.split(r"[\s+]", block.split("==", 1)[1], maxsplit=1)[0]


def installed(name: str) -> str:
    """Return the public version of an installed package, or an empty text."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def pip(*arguments: str, quiet: bool = False) -> bool:
    """Run this Python's pip and tell whether it succeeded."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    silent = subprocess.DEVNULL if quiet else None
    return subprocess.run([*command, "--no-deps", *arguments], stderr=silent).returncode == 0


def main() -> int:
    """Install what is missing and return pip's verdict."""
    blocks = locked_blocks(LOCK.read_text("utf-8"))
    if all(installed(name) == version(block) for name, block in blocks.items()):
        return 0
    if sys.version_info[:2] == (3, 11) and sys.platform == "linux":
        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder) / "torch.txt"
            lock.write_text("".join(blocks.values()), "utf-8")
            hashed = ("--require-hashes", "-r", str(lock))
            return not (pip(*hashed, quiet=True) or pip(*hashed, "--extra-index-url", INDEX))
    pins = [f"{name}=={version(block)}" for name, block in blocks.items()]
    return not pip("--index-url", INDEX, *pins)


if __name__ == "__main__":
    sys.exit(main())
