"""The package's torchvision_compat.py acts only on its own symptom; a stand-in plays torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TORCH = """
class _Library:
    declared = []
    def __init__(self, name, kind):
        assert (name, kind) == ("torchvision", "FRAGMENT")
    def define(self, schema):
        _Library.declared.append(schema.split("(")[0])
class library:
    Library = _Library
"""
SYMPTOM = """
import torch
if "nms" not in torch.library.Library.declared:
    raise RuntimeError("operator torchvision::nms does not exist")
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    # Alone, as the image holds it; -S, since the tests' own torchvision is not meant.
    shutil.copy(ROOT / "src" / "mimicry" / "activations" / "torchvision_compat.py", folder)
    start = (
        "import torchvision_compat; torchvision_compat.install(); torchvision_compat.install()\n"
    )
    return subprocess.run(
        [sys.executable, "-S", "-c", start + code],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def libraries(tmp_path):
    def make(registrations: str) -> Path:
        (tmp_path / "torch.py").write_text(TORCH)
        package = tmp_path / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text(
            "from torchvision import extension, registrations\nversion = 1\n"
        )
        (package / "extension.py").write_text("")
        (package / "registrations.py").write_text(registrations)
        return tmp_path

    return make


def test_the_symptom_is_cured_and_traces_are_removed(libraries):
    done = run(
        libraries(SYMPTOM),
        "import torchvision, torchvision.extension as e, torch, sys\n"
        "print(torchvision.version, torch.library.Library.declared)\n"
        "loader = type(torchvision.__spec__.loader).__name__\n"
        "print(loader, sys.modules['torchvision.extension'] is e)",
    )
    assert done.stdout == "1 ['nms', 'qnms']\nSourceFileLoader True\n", done.stderr


def test_a_sound_torchvision_is_left_alone(libraries):
    code = "import torchvision, torch; print(torch.library.Library.declared)"
    done = run(libraries(""), code)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    "fault", ['RuntimeError("CUDA went away")', 'ImportError("no such file")', "KeyError(1)"]
)
def test_other_faults_stay_as_they_are(libraries, fault):
    code = """
import torch
try:
    import torchvision
except BaseException as error:
    print(repr(error), torch.library.Library.declared)
"""
    done = run(libraries(f"raise {fault}"), code)
    assert done.stdout.replace("'", '"') == f"{fault} []\n", done.stderr


def test_without_torchvision_the_error_is_the_usual_one(tmp_path):
    done = run(tmp_path, "import torchvision")
    assert "ModuleNotFoundError: No module named 'torchvision'" in done.stderr


def test_the_start_of_python_imports_nothing_for_it(tmp_path):
    code = """
import sys
print(sorted({"importlib.machinery", "typing", "types"} & set(sys.modules)))
"""
    done = run(tmp_path, code)
    plain = subprocess.run(
        [sys.executable, "-S", "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == plain.stdout, done.stderr
