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
