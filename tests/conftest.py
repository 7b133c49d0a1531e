"""What several rooms need: a real Docker engine and the images that make builds."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from filelock import FileLock

from mimicry.codabench.engines.docker_client import docker_problem, image_here

if TYPE_CHECKING:
    from mimicry.demo.zoo import Zoo

REPOSITORY = Path(__file__).resolve().parents[1]
REQUIRED = os.environ.get("MIMICRY_REQUIRE_DOCKER") == "1"


def pytest_configure() -> None:
    """Let the signals that tests send arrive, also where a job in the background ignores them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def named_image(file: str) -> str:
    """The image that a competition file names."""
    document = yaml.safe_load((REPOSITORY / file).read_text(encoding="utf-8"))
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


def here(name: str, command: str) -> str:
    """Return an image's name if it is on this machine; skip without it."""
    if image_here(name) is None:
        skip_or_fail(f"the image {name} is not here: `{command}` builds it")
    return name


@pytest.fixture(scope="session")
def competition_image(docker_here: None) -> str:
    """The name of the image that the competitions of model submissions run in, which is here."""
    return here(named_image("competition.yaml"), "make image")


@pytest.fixture(scope="session")
def core_image(docker_here: None) -> str:
    """The name of the small image, which scoring alone needs; it is here."""
    return here(named_image("competitions/blue.yaml"), "make image")


@pytest.fixture(scope="session")
def torch_image(docker_here: None) -> str:
    """The name of the image with torch beside the small one, which is here."""
    name = named_image("competitions/blue.yaml").replace("/core:", "/torch:")
    return here(name, "make image-torch")


@pytest.fixture(scope="session")
def small_zoo() -> "Zoo":
    """The demo zoo with fewer pictures; Red's catalogue is whole, so that the baselines fit."""
    from mimicry.demo.zoo import Zoo
    from mimicry.demo.zoo_images import ImageCounts

    return Zoo(counts=ImageCounts(training=8, blue_development=6, blue_final=6), draws=20)


@pytest.fixture(scope="session")
def zoo_folder(small_zoo: "Zoo", tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The small zoo, made once for all processes of the test run."""
    from mimicry.demo.zoo import build_zoo

    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder = shared / "demo-zoo"
    with FileLock(shared / "demo-zoo.lock"):
        folder.mkdir(exist_ok=True)
        build_zoo(folder, small_zoo, workers=1, report=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A small demo of the butterflies, made once for all processes of the test run."""
    from mimicry.demo.build import build_demo

    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    folder = shared / "demo-butterflies"
    with FileLock(shared / "demo-butterflies.lock"):
        folder.mkdir(exist_ok=True)
        build_demo(folder, scale=0.06, workers=1, report=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def put_demo(demo_folder: Path) -> Callable[[Path], None]:
    """Copies the small demo's data into a bundle."""

    def put(bundle: Path) -> None:
        shutil.copytree(demo_folder, bundle, dirs_exist_ok=True)

    return put


@pytest.fixture(scope="session")
def put_zoo(zoo_folder: Path) -> Callable[[Path], None]:
    """Copies the zoo's data into a bundle."""

    def put(bundle: Path) -> None:
        for name in ("demo_data", "public_data", "reference_data"):
            shutil.copytree(zoo_folder / name, bundle / name, dirs_exist_ok=True)

    return put
