"""Install torch and torchvision without CUDA into this Python: ``install_torch.py``.

Nothing is done where both are there in the locked versions. The registry's torch for
Linux needs several GB of CUDA packages, so the build comes from where pip's own settings
lead (an index or folder that has it), else from PyTorch's index of CPU builds. For Python
3.11 on Linux the hashes are locked in ``image-torch-cpu.txt``; for other Pythons and
systems that index is trusted over TLS.

A torchvision that was built for CUDA cannot be imported beside a torch that was not. Where
that is so, ``torchvision_compat.py`` is put into this Python's ``site-packages`` and loaded
at its start, as the container image has it: what submissions run in must import timm and
OpenCLIP, too. What both libraries import must be there by then, so this comes last.
"""

import importlib.metadata
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/cpu"
LOCK = Path(__file__).with_name("image-torch-cpu.txt")
COMPAT = LOCK.parents[1] / "src" / "mimicry" / "activations" / "torchvision_compat.py"
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


def import_problem(python: str) -> str:
    """Return the last line of what ``import torchvision`` says, or an empty text."""
    # In an empty folder, and not beside this file: the working directory is on the path.
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-c", "import torchvision"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return lines[-1] if done.returncode else ""


def cure_torchvision(python: str, site: Path) -> str:
    """Put the cure into `site` where it is needed, and return what is still wrong.

    A copy that is there already is renewed, so that it is never an older one.
    """
    symptom = runpy.run_path(str(COMPAT))["SYMPTOM"]
    problem = import_problem(python)
    module, start = site / "torchvision_compat.py", site / "torchvision_compat.pth"
    if symptom not in problem and not module.exists():
        return problem
    # The module first: Python complains at every start about a .pth that names none.
    write(module, COMPAT.read_text("utf-8"))
    write(start, "import torchvision_compat; torchvision_compat.install()\n")
    return import_problem(python)


def write(path: Path, text: str) -> None:
    """Write a file in one step: other processes may be starting from this folder."""
    if path.is_file() and path.read_text("utf-8") == text:
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def main() -> int:
    """Install what is missing; return 0 where torch and torchvision can be imported then."""
    blocks = locked_blocks(LOCK.read_text("utf-8"))
    there = all(installed(name) == version(block) for name, block in blocks.items())
    if not there and not install(blocks):
        return 1
    problem = cure_torchvision(sys.executable, Path(sysconfig.get_path("purelib")))
    if problem:
        print(f"import torchvision fails: {problem}", file=sys.stderr)
    return bool(problem)


def install(blocks: dict[str, str]) -> bool:
    """Install the locked versions and tell whether pip succeeded."""
    if sys.version_info[:2] == (3, 11) and sys.platform == "linux":
        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder) / "torch.txt"
            lock.write_text("".join(blocks.values()), "utf-8")
            hashed = ("--require-hashes", "-r", str(lock))
            return pip(*hashed, quiet=True) or pip(*hashed, "--extra-index-url", INDEX)
    pins = [f"{name}=={version(block)}" for name, block in blocks.items()]
    return pip("--index-url", INDEX, *pins)


if __name__ == "__main__":
    sys.exit(main())
