"""The lock files agree with each other, and torch is installed from the right lines."""

import re
import sys
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(REQUIREMENTS))
    import install_torch
    import models_lock

    yield install_torch, models_lock
    for name in ("install_torch", "models_lock"):
        sys.modules.pop(name, None)


def pins(name: str) -> set[str]:
    text = (REQUIREMENTS / name).read_text("utf-8")
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*==[^\s;]+)", text, re.M))


@pytest.mark.parametrize("name", ["core.txt", "models.txt"])
def test_what_two_locks_name_they_pin_alike(name):
    named = {pin.split("==")[0] for pin in pins(name)}
    assert {pin for pin in pins("dev.txt") if pin.split("==")[0] in named} <= (
        pins("core.txt") | pins("models.txt")
    )


def test_the_models_lock_holds_neither_torch_nor_cuda():
    names = {pin.split("==")[0] for pin in pins("models.txt")}
    assert {"timm", "open-clip-torch", "submitit", "jsonschema"} <= names
    assert not [name for name in names if re.match(r"torch|nvidia|cuda|triton", name)]


def test_without_torch_drops_pins_with_their_hashes(scripts):
    _, models_lock = scripts
    lock = (
        "# head\na==1 \\\n    --hash=sha256:aa\n    # via b\n"
        "torch==2 ; x \\\n    --hash=sha256:bb\nz==3\n"
    )
    assert (
        models_lock.without_torch(lock)
        == "# head\na==1 \\\n    --hash=sha256:aa\n    # via b\nz==3\n"
    )


def test_torch_comes_with_the_versions_and_hashes_of_the_image(scripts):
    install_torch, _ = scripts
    blocks = install_torch.locked_blocks(install_torch.LOCK.read_text("utf-8"))
    assert set(blocks) == {"torch", "torchvision"}
    for name, block in blocks.items():
        assert f"{name}=={install_torch.version(block)}" in (REQUIREMENTS / "models.in").read_text(
            "utf-8"
        )
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)) >= 2
        assert install_torch.installed(name) == install_torch.version(block)


def test_a_lock_without_torch_is_refused(scripts):
    install_torch, _ = scripts
    with pytest.raises(SystemExit, match="does not pin torch"):
        install_torch.locked_blocks("numpy==2\n")


@pytest.fixture
def site(tmp_path):
    """A folder of packages with stand-ins for torch and torchvision, and a Python that has it."""
    folder = tmp_path / "site-packages"
    (folder / "torchvision").mkdir(parents=True)
    (folder / "torch.py").write_text(
        "class library:\n"
        "    class Library:\n"
        "        declared = []\n"
        "        def __init__(self, *names): pass\n"
        "        def define(self, schema): self.declared.append(schema)\n"
    )
    # site.addsitedir reads .pth files, as the start of an ordinary Python does.
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -I -S -c "
        f"\"import site; site.addsitedir('{folder}'); $2\"\n"
    )
    python.chmod(0o755)
    return folder, str(python)


def fail_with(folder, line):
    (folder / "torchvision" / "__init__.py").write_text(line)


SYMPTOM = """
import torch
if not torch.library.Library.declared:
    raise RuntimeError("operator torchvision::nms does not exist")
"""


def cures(folder):
    return sorted(path.name for path in folder.glob("torchvision_compat.*"))


def test_a_torchvision_for_cuda_is_cured(scripts, site):
    install_torch, _ = scripts
    folder, python = site
    fail_with(folder, SYMPTOM)
    assert "torchvision::nms" in install_torch.import_problem(python)
    assert install_torch.cure_torchvision(python, folder) == ""
    assert cures(folder) == ["torchvision_compat.pth", "torchvision_compat.py"]
    assert (folder / "torchvision_compat.py").read_bytes() == install_torch.COMPAT.read_bytes()
    assert install_torch.import_problem(python) == ""


def test_a_cure_that_is_there_is_renewed(scripts, site):
    install_torch, _ = scripts
    folder, python = site
    fail_with(folder, SYMPTOM)
    install_torch.cure_torchvision(python, folder)
    (folder / "torchvision_compat.py").write_text("def install(): pass\n")
    assert install_torch.cure_torchvision(python, folder) == ""
    assert (folder / "torchvision_compat.py").read_bytes() == install_torch.COMPAT.read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [("", ""), ('raise ImportError("no libjpeg")\n', "ImportError: no libjpeg")],
)
def test_nothing_else_is_cured(scripts, site, line, problem):
    install_torch, _ = scripts
    folder, python = site
    fail_with(folder, line)
    assert install_torch.cure_torchvision(python, folder) == problem
    assert cures(folder) == []


def test_this_python_imports_what_submissions_import(scripts):
    install_torch, _ = scripts
    pytest.importorskip("torch")
    assert install_torch.import_problem(sys.executable) == ""
