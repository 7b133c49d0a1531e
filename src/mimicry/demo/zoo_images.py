"""The pictures that the demo zoo is trained on, compared on and asked about."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mimicry.demo.drawing import draw_all
from mimicry.demo.genes import SPECIES_MIMIC, SUBSPECIES
from mimicry.demo.sets import Order, Specimen

KINDS = (
    "chestertonii", "cyrbia", "demophoon", "hydara", "lativitta",
    "malleti", "notabilis", "phyllis", "plesseni", "venus",
)  # fmt: skip
"""The subspecies that are the classes: a network's training task, and the catalogue's folders."""

DATASET = "butterflies"
TRAINING = "training"
BLUE_DEVELOPMENT = "blue_development"
BLUE_FINAL = "blue_final"
CATALOGUE = "red_catalogue"


@dataclass(frozen=True)
class ImageCounts:
    """How many pictures of every class each set holds."""

    training: int = 25
    blue_development: int = 15
    blue_final: int = 15
    red_catalogue: int = 40


@dataclass(frozen=True)
class Picture:
    """One picture to draw: the set and the name that it has there, and its class."""

    set_name: str
    name: str
    kind: str

    def order(self, seed: int, side: int) -> Order:
        """Return what the drawing needs; the name alone makes the picture what it is."""
        indicator = "mimic" if SUBSPECIES[self.kind].species == SPECIES_MIMIC else "major"
        specimen = Specimen(
            f"zoo/{self.set_name}/{self.kind}/{self.name}", self.kind, None, indicator
        )
        return Order(specimen, seed, (side, side))


def pictures_of(set_name: str, counts: ImageCounts) -> list[Picture]:
    """Return the pictures of a set, sorted by name.

    Training set and catalogue have a folder for each class. The sets of the Blue boards
    are flat, and their names say nothing.
    """
    number = getattr(counts, set_name)
    if set_name in {TRAINING, CATALOGUE}:
        return [
            Picture(set_name, f"{kind}/{n:03d}.png", kind) for kind in KINDS for n in range(number)
        ]
    return [
        Picture(set_name, f"{n:04d}.png", KINDS[n % len(KINDS)]) for n in range(number * len(KINDS))
    ]


def twin_of(counts: ImageCounts) -> tuple[str, str]:
    """Return two names in the catalogue of which the second holds the first one's bytes."""
    last = counts.red_catalogue - 1
    return (f"{KINDS[0]}/000.png", f"{KINDS[0]}/{last:03d}.png")


def draw_sets(
    folder: Path,
    counts: ImageCounts,
    *,
    seed: int,
    side: int,
    workers: int | None,
    report: Callable[[str], None],
) -> None:
    """Draw every set below `folder`, one folder each; a set that is there stays.

    A set gets its name when all its pictures are written.
    """
    sets = (TRAINING, BLUE_DEVELOPMENT, BLUE_FINAL, CATALOGUE)
    missing = [name for name in sets if not (folder / name).is_dir()]
    pictures = [one for name in missing for one in pictures_of(name, counts)]
    if not pictures:
        return
    parts = {name: folder / f".{name}.part" for name in missing}
    for part in parts.values():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    orders = [one.order(seed, side) for one in pictures]
    drawn = draw_all("zoo", orders, workers, report)
    for one, data in zip(pictures, drawn, strict=True):
        path = parts[one.set_name] / one.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    if CATALOGUE in parts:
        first, second = twin_of(counts)
        shutil.copyfile(parts[CATALOGUE] / first, parts[CATALOGUE] / second)
    for name, part in parts.items():
        part.rename(folder / name)


def labelled(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the pictures of a set with a folder for each class, and the classes' numbers."""
    for number, kind in enumerate(KINDS):
        for path in sorted((folder / kind).glob("*.png")):
            yield path, number
