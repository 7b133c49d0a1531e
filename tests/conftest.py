"""What several rooms need: a real Docker engine and the image that `make image` builds."""

import os
from pathlib import Path

import pytest
import yaml

from mimicry.codabench.engines.docker_client import docker_problem, image_here

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIRED = os.environ.get("MIMICRY_REQUIRE_DOCKER") == "1"


def core_image_name() -> str:
    document = yaml.safe_load((REPOSITORY / "competition.yaml").read_text(encoding="utf-8"))
    return str(document["docker_image"])


def skip_or_fail(reason: str) -> None:
    """Skip for want of Docker, unless this is a machine that promised to have it."""
    if REQUIRED:
        pytest.fail(f"MIMICRY_REQUIRE_DOCKER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_here() -> None:
    """A Docker engine that answers; skips without one."""
    if problem := docker_problem():
        skip_or_fail(problem)


@pytest.fixture(scope="session")
def core_image(docker_here: None) -> str:
    """The name of the image that the competitions name, which is here."""
    name = core_image_name()
    if image_here(name) is None:
        skip_or_fail(f"the image {name} is not here: `make image` builds it")
    return name
