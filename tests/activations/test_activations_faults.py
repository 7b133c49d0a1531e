"""A device that fails, a full disk and a lost process: what is written stays, and goes on."""

import json

import pytest
from activations_store_helpers import content, write_images, write_models

from mimicry.activations.device_faults import is_device_fault, is_device_memory
from mimicry.cli import main

torch = pytest.importorskip("torch")

ILLEGAL = "CUDA error: an illegal memory access was encountered\\nCUDA kernel errors might be"
NET = """
import os
from pathlib import Path

import torch

HERE = Path(__file__).parent


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.top, self.seen = torch.nn.Flatten(), 0

    def forward(self, x):
        self.seen += 1
        # The trial and two batches pass.
        if self.seen > 3 and not (HERE / "mended").exists():
            {fault}
        return self.top(x)


def net():
    return Net()
"""
ENTRY = {"model_name": "net", "source": "custom", "entry_point": "own.py:net", "layer": "top"}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"), count=20)


def prepare(folder, fault):
    """Write a registry of one model that fails in the middle, until it is mended."""
    (folder / "own.py").write_text(NET.format(fault=fault))
    registry = write_models(folder / "registry.json")
    entry = json.loads(registry.read_text())[0] | ENTRY
    registry.write_text(json.dumps([entry]))
    return registry


def arguments(registry, images, store):
    options = ["--batch-size", "4", "--shard-rows", "4", "--device", "cpu"]
    where = ["--stimuli", str(images), "--store", str(store)]
    return ["activations", "extract", str(registry), *where, *options]


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (f"raise torch.AcceleratorError('{ILLEGAL}')", "device-failed", "nvidia-smi"),
        (f"raise RuntimeError('{ILLEGAL}')", "device-failed", "run the same command again"),
        (
            "raise RuntimeError('cuDNN error: CUDNN_STATUS_EXECUTION_FAILED')",
            "device-failed",
            "CUDNN_STATUS_EXECUTION_FAILED",
        ),
        ("raise torch.cuda.OutOfMemoryError('CUDA out of memory')", "device-memory", "--batch"),
        ("raise RuntimeError('CUDA error: out of memory')", "device-memory", "--batch-size"),
        ("raise OSError(28, os.strerror(28), 'x')", "model-failed", "No space left"),
    ],
)
def test_a_device_that_fails_in_the_middle(images, tmp_path, capsys, fault, code, said):
    registry, store = prepare(tmp_path, fault), tmp_path / "store"
    assert main(arguments(registry, images, store)) == 4
    *before, last = capsys.readouterr().err.splitlines()
    assert last.endswith(f"[{code}]") and said in last
    assert "[bug]" not in "\n".join(before)
    (tmp_path / "mended").touch()
    assert main(arguments(registry, images, store)) == 0
    # What was whole before the fault is kept.
    assert "20 rows (8 of them from before)" in capsys.readouterr().err
    assert main(arguments(registry, images, tmp_path / "other")) == 0
    assert content(store) == content(tmp_path / "other")


def test_a_gpu_that_is_not_there_is_told_before_anything_is_loaded(images, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    registry, store = prepare(tmp_path, "pass"), tmp_path / "store"
    for device in ("cuda", "cuda:7"):
        command = arguments(registry, images, store)
        command[command.index("cpu")] = device
        assert main(command) == 4
        assert capsys.readouterr().err.splitlines()[-1].endswith("[device-missing]")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("error", "failed", "full"),
    [
        (ValueError("CUDA error: no"), False, False),
        (RuntimeError("size mismatch"), False, False),
        (RuntimeError("CUDA driver error: device lost"), True, False),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling"), True, True),
        (MemoryError(), False, True),
    ],
)
def test_whose_fault_it_is(error, failed, full):
    assert (is_device_fault(error), is_device_memory(error)) == (failed, full)
