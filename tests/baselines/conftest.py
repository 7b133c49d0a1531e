"""Small backbones and submissions, made once; a home without anybody's cache of weights."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("timm", reason="the backbone baselines need requirements/models.txt")
pytest.importorskip("open_clip")

from baselines_helpers import FAMILIES, REPOSITORY, make_backbone, make_submission


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small backbone of each family, by the family's name; only to be read."""
    folder = tmp_path_factory.mktemp("backbones")
    for family in ("open_clip", "timm"):
        make_backbone(family, folder / family)
    return {family: folder / family for family in ("open_clip", "timm")}


@pytest.fixture(scope="session")
def made(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one submission for each baseline, by its name; only to be read."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, family in FAMILIES.items():
        make_submission(name, backbones[family], folder / name)
    return folder


@pytest.fixture
def submission(made: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a baseline's submission into a folder where it may be changed."""

    def copy(baseline: str) -> Path:
        return Path(shutil.copytree(made / baseline, tmp_path / f"{baseline} submission"))

    return copy


@pytest.fixture(autouse=True)
def nobodys_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of whoever runs the tests, and no network behind their back."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def torch_image(docker_here: None) -> str:
    """The name of the image with torch, which is here; skips without it."""
    from mimicry.codabench.competition import load_competition
    from mimicry.codabench.engines.docker_client import image_here

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "docker"))
        from image_names import torch_name
    name = torch_name(load_competition(REPOSITORY, "hybrid").docker_image, "cpu")
    if image_here(name) is None:
        reason = f"the image {name} is not here: `make image-torch` builds it"
        if os.environ.get("MIMICRY_REQUIRE_DOCKER") == "1":
            pytest.fail(f"MIMICRY_REQUIRE_DOCKER=1, but {reason}")
        pytest.skip(reason)
    return name
