"""Which images the competition files ask for, and under which names they are built."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from image_tools import REQUIREMENTS, ImageError


@dataclass(frozen=True)
class Recipe:
    """What is built: the Dockerfile's target, its variant and the names it gets."""

    target: str
    variant: str
    names: tuple[str, ...]

    @property
    def locks(self) -> tuple[tuple[str, Path], ...]:
        """Folder under ``wheels/`` and lock file, for every stage that is built."""
        core = ("core", REQUIREMENTS / "image-core.txt")
        if self.target == "core":
            return (core,)
        folder = f"torch-{self.variant}"
        return (core, (folder, REQUIREMENTS / f"image-{folder}.txt"))


def split_name(image: str) -> tuple[str, str]:
    """Split an image's name into the part before the tag and the tag (default ``latest``)."""
    if "@" in image:
        raise ImageError(
            f"docker_image {image} is pinned by digest, which a build cannot promise; "
            "name a version while you build it, and the digest once it is pushed"
        )
    head, _, last = image.rpartition("/")
    last, _, tag = last.partition(":")
    return (f"{head}/{last}" if head else last), (tag or "latest")


def torch_name(image: str, variant: str) -> str:
    """Return the torch image's name beside ``image``."""
    name, tag = split_name(image)
    head, _, last = name.rpartition("/")
    if last == "core":
        last = "torch"
    elif not is_torch(image):
        last += "-torch"
    if variant == "gpu" and not tag.endswith("-gpu"):
        tag += "-gpu"
    return f"{head}/{last}:{tag}" if head else f"{last}:{tag}"


def is_torch(image: str) -> bool:
    """Tell whether a name is one that ``torch_name`` gives."""
    last = split_name(image)[0].rpartition("/")[2]
    return last == "torch" or last.endswith("-torch")


def yaml_images(root: Path) -> tuple[str, ...]:
    """Return the distinct ``docker_image`` values of the competition files, in their order."""
    images: dict[str, None] = {}
    files = [root / "competition.yaml", *sorted((root / "competitions").glob("*.yaml"))]
    for file in files:
        if not file.is_file():
            continue
        try:
            content = yaml.safe_load(file.read_text("utf-8"))
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            raise ImageError(f"{file.relative_to(root)} cannot be read: {error}") from error
        image = content.get("docker_image") if isinstance(content, dict) else None
        if not isinstance(image, str) or not image.strip():
            raise ImageError(f"{file.relative_to(root)} names no docker_image; add the line")
        images[image.strip()] = None
    if not images:
        raise ImageError(f"no competition.yaml in {root}")
    return tuple(images)


def recipes(images: tuple[str, ...], torch: bool, variant: str) -> list[Recipe]:
    """Return what to build so that every image has its name.

    Without ``torch`` a name that ends in ``torch`` is built as the torch target, for
    CUDA when its tag ends in ``-gpu``: a competition may run in the torch image.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for image in images:
        if torch:
            key, name = ("torch", variant), torch_name(image, variant)
        else:
            gpu = split_name(image)[1].endswith("-gpu")
            key = ("torch", "gpu" if gpu else "cpu") if is_torch(image) else ("core", "cpu")
            name = ":".join(split_name(image))
        wanted.setdefault(key, []).append(name)
    return [Recipe(target, kind, tuple(dict.fromkeys(n))) for (target, kind), n in wanted.items()]
