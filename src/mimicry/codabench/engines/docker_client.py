"""The way to the Docker engine: is there one, is it this machine's, which image has it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mimicry.errors import BundleError, one_line

if TYPE_CHECKING:
    from docker import DockerClient

HOST_VARIABLE = "DOCKER_HOST"
SYSTEM_SOCKET = "/var/run/docker.sock"
# Bind mounts, statistics at one moment, device requests: all of 20.10.
LEAST_API = (1, 41)
ANSWER_SECONDS = 180


class Image(NamedTuple):
    """A container image that is on this machine.

    `warnings` say what the platform would make of it that one might not expect.
    """

    name: str
    id: str
    made: str
    warnings: tuple[str, ...]

    def line(self) -> str:
        """Return one line that tells this image from others of the same name."""
        return f"image {self.name}, id {self.id.removeprefix('sha256:')[:12]}, made {self.made}"


def socket_address() -> str | None:
    """Return the address of the engine to use, None when no socket of one is there.

    ``DOCKER_HOST`` comes first, then the system's engine, then a rootless one of this
    user.
    """
    named = os.environ.get(HOST_VARIABLE)
    if named:
        return named
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "docker.sock"
    return next((f"unix://{path}" for path in (SYSTEM_SOCKET, own) if Path(path).exists()), None)


@contextmanager
def docker_client(*, seconds: float | None = ANSWER_SECONDS) -> Iterator["DockerClient"]:
    """Give a client of the engine; `seconds` is how long one answer may take.

    Raises
    ------
    BundleError
        `engine-failed` when the engine goes away or refuses what it is asked.
    """
    import requests
    from docker import DockerClient
    from docker.errors import DockerException

    try:
        # None means without limit, which the type stubs do not know.
        limit: Any = seconds
        client = DockerClient(base_url=socket_address(), version="auto", timeout=limit)
        try:
            yield client
        finally:
            client.close()
    except (DockerException, requests.RequestException) as error:
        raise BundleError(
            "engine-failed",
            f"The Docker engine failed: {explain(error)}. See its own log, for example "
            "`journalctl -u docker`, and run again.",
        ) from error


@lru_cache(maxsize=1)
def docker_problem() -> str | None:
    """Return why Docker cannot be used here, or None when it can."""
    address = socket_address()
    if address is None:
        return f"no Docker engine runs here (there is no {SYSTEM_SOCKET}); start one"
    if not address.startswith("unix://"):
        return (
            f"{HOST_VARIABLE} names {one_line(address, 80)}, but the folders of a run can only be "
            "mounted by an engine on this machine; unset it"
        )
    path = Path(address.removeprefix("unix://"))
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return (
            f"this user may not use Docker ({path}); join its group with "
            "`sudo usermod -aG docker $USER` and log in again"
        )
    try:
        with docker_client(seconds=10) as client:
            api = str(client.api.api_version)
            system = str(client.info().get("OSType", "linux"))
    except BundleError as error:
        return f"no Docker engine answers at {address} ({error.__cause__ or error}); start it"
    if tuple(int(part) for part in api.split(".")) < LEAST_API:
        return f"the Docker engine is too old (API {api}); 20.10 or newer is needed"
    return None if system == "linux" else f"the Docker engine runs {system} containers, not Linux"


def image_here(name: str) -> Image | None:
    """Return the image `name` of this machine, or None."""
    from docker.errors import ImageNotFound

    with docker_client() as client:
        try:
            found = client.images.get(name)
        except ImageNotFound:
            return None
        config = found.attrs.get("Config") or {}
        made = str(found.attrs.get("Created", "")).partition(".")[0].replace("T", " ")
        return Image(name, str(found.id), made, tuple(_warnings(name, config)))


def pull_image(name: str) -> None:
    """Pull the image `name`.

    Raises
    ------
    BundleError
        `image-missing` when it cannot be pulled.
    """
    from docker.errors import APIError

    with docker_client(seconds=None) as client:
        try:
            client.images.pull(name)
        except APIError as error:
            raise BundleError(
                "image-missing",
                f"The image {name} cannot be pulled: {explain(error)}. Build it with `make image`, "
                "or push it to a registry that this machine and the platform's workers reach.",
            ) from error


def prepare_image(name: str, *, pull: bool) -> Image:
    """Return the image to run, pulled first when it is not here or `pull` says so.

    Raises
    ------
    BundleError
        `image-missing`, `engine-failed`.
    """
    image = None if pull else image_here(name)
    if image is None:
        pull_image(name)
        image = image_here(name)
    if image is None:
        raise BundleError("image-missing", f"The image {name} was pulled and is gone again.")
    return image


def container_user() -> str | None:
    """Return the user and group that a container must have for its files to be the caller's.

    None for root, and for an engine whose containers' root is the caller: there the
    image's own user works, as on the platform.
    """
    if os.geteuid() == 0:
        return None
    with docker_client() as client:
        security = client.info().get("SecurityOptions") or []
    if any("name=rootless" in str(option) for option in security):
        return None
    return f"{os.getuid()}:{os.getgid()}"


def explain(error: Exception) -> str:
    """Return the engine's own words for an error, on one line."""
    return one_line(str(getattr(error, "explanation", None) or error), 300).rstrip(".")


def _warnings(name: str, config: dict[str, object]) -> Iterator[str]:
    if config.get("Entrypoint"):
        yield (
            f"{name} has an ENTRYPOINT: it gets the program's command as its arguments, also on "
            "the platform; build the image without one."
        )
    user = str(config.get("User") or "")
    if user.partition(":")[0] not in {"", "0", "root"}:
        yield (
            f"{name} has USER {one_line(user, 40)}: on the platform it cannot write its outputs, "
            "which belong to root; build the image without it."
        )
