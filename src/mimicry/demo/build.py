"""Build the demo data sets: everything that a competition needs, from a seed.

The same arguments give the same bytes, however many processes draw.
"""

import shlex
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mimicry import __version__
from mimicry.demo.drawing import draw_all
from mimicry.demo.set_files import (
    is_a,
    is_mimic,
    training_table,
    write_public,
    write_set,
    zip_names,
)
from mimicry.demo.sets import (
    Order,
    Specimen,
    challenge_set,
    draw,
    read_labels,
    sample_set,
    training_set,
)
from mimicry.demo.storage import PUBLIC, RECORDS, Build, locked, read_record
from mimicry.errors import BundleError
from mimicry.files import sha256_file, write_atomically

DEFAULT_SCALE = 0.4
DEFAULT_SIZE = (320, 224)
LIKE_SIZE = (1000, 700)
DEFAULT_SEED = 1
LARGEST = (10_000, 10_000)
# Raised when pictures or zips change, so that data of an older generator is made anew.
GENERATOR = 2


@dataclass(frozen=True)
class DemoSummary:
    """What a build left on disk."""

    output: Path
    manifest: Path
    changed: bool  # False if everything was already there
    images: int  # different images, however many zips hold them
    files: tuple[Path, ...]
    seconds: float


def build_demo(
    output: Path,
    *,
    seed: int = DEFAULT_SEED,
    size: tuple[int, int] = DEFAULT_SIZE,
    scale: float = DEFAULT_SCALE,
    workers: int | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> DemoSummary:
    """Generate validation, test and training data in the real challenge's proportions.

    Parameters
    ----------
    output : Path
        Gets ``input_data``, ``reference_data``, ``public_data`` and ``demo_data``.
    seed : int
        Everything that is drawn depends on it.
    size : (int, int)
        Width and height of the images in pixels.
    scale : float
        Multiplies the real set sizes (1,175 validation, 2,350 test and 2,082 training
        images); each class of each group keeps a handful.
    workers : int, optional
        Processes that draw; one per usable core by default.
    force : bool
        Draw anew and overwrite also what this command did not make.
    report : callable
        Gets lines of progress.

    Returns
    -------
    DemoSummary

    Raises
    ------
    BundleError
        If arguments are out of range, or a file in the way was not made by this command.

    Notes
    -----
    ``demo_data/butterfly_train.csv`` has the real table's form: the subspecies are
    numbers, in the alphabetical order of the names of Species A. ``public_data/hybrids.zip``
    holds this table and the training images: what participants may download.
    """
    _check(size, workers)
    if not 0 < scale <= 100:
        raise BundleError("demo-scale", f"The scale is {scale:g}; choose one in (0, 100].")
    started = time.monotonic()
    parameters = {"kind": "demo", "seed": seed, "size": list(size), "scale": scale}
    with locked(output), Build(output, "manifest.json") as build:
        # Data that were made before there was this zip get it without being drawn anew.
        done = _already_there(build, parameters, force, started, report, needed=(PUBLIC,))
        if done is not None:
            return done
        sets = {name: challenge_set(name, seed, scale) for name in ("val", "test")}
        train = {f"{RECORDS}/train/{one.filename}": one for one in training_set(seed, scale)}
        table = f"{RECORDS}/butterfly_train.csv"
        zips = [name for key in sets for name in zip_names(key)]
        _prepare(build, [*zips, table, *train, PUBLIC], force, report)
        for name, specimens in sets.items():
            write_set(build, name, specimens, _drawer(name, seed, size, workers, report))
        missing = {name: one for name, one in train.items() if name not in build.kept}
        drawer = _drawer("train", seed, size, workers, report)
        with closing(drawer(list(missing.values()))) as pictures:
            for name, picture in zip(missing, pictures, strict=True):
                build.part(name).write_bytes(picture)
        if table not in build.kept:
            text = training_table(list(train.values()))
            build.part(table).write_text(text, encoding="utf-8")
        write_public(build, table, list(train))
        images = len(train) + sum(map(len, sets.values()))
        return _finish(build, {"parameters": parameters, "images": images}, started, report)


def build_like(
    reference: Path,
    output: Path,
    *,
    seed: int = DEFAULT_SEED,
    size: tuple[int, int] = LIKE_SIZE,
    workers: int | None = None,
    force: bool = False,
    names: str = "val",
    report: Callable[[str], None] = print,
) -> DemoSummary:
    """Draw one image for every row of a real label file.

    Parameters
    ----------
    reference : Path
        The label file, see `mimicry.demo.sets.read_labels`. File names and formats
        (jpg, jpeg, png) are kept.
    output : Path
        Gets ``input_data`` and ``reference_data``; the label files written there hold
        the three columns that scoring reads and nothing else.
    seed, size, workers, force, report
        As for `build_demo`.
    names : {"val", "test"}
        Which sets the rows become: ``<names>_A``, ``<names>_mimic`` and ``<names>``.

    Returns
    -------
    DemoSummary

    Raises
    ------
    BundleError
        If the label file is malformed (with the row), arguments are out of range, or a
        file in the way was not made by this command.
    """
    _check(size, workers)
    if names not in {"val", "test"}:
        raise BundleError("demo-names", f"The set name is {names!r}; choose val or test.")
    started = time.monotonic()
    specimens = read_labels(reference, seed, report)
    parameters = {
        "kind": "like", "seed": seed, "size": list(size), "names": names,
        "labels": sha256_file(reference),
    }  # fmt: skip
    for part, belongs in (("Species A", is_a), ("the mimic", is_mimic)):
        if not any(map(belongs, specimens)):
            raise BundleError(
                "labels-group",
                f"{reference.name} has no rows of {part}; "
                "both tasks need images (ssp_indicator major or minor, and mimic).",
            )
    specimens.sort(key=lambda one: one.filename)
    with locked(output), Build(output, f"manifest-like-{names}.json") as build:
        done = _already_there(build, parameters, force, started, report)
        if done is not None:
            return done
        _prepare(build, zip_names(names), force, report)
        write_set(build, names, specimens, _drawer(names, seed, size, workers, report))
        manifest = {
            "parameters": parameters, "images": len(specimens), "label_file": reference.name,
        }  # fmt: skip
        return _finish(build, manifest, started, report)


def write_samples(
    folder: Path, count: int, *, seed: int, size: tuple[int, int] = DEFAULT_SIZE
) -> list[Path]:
    """Write a few images of all groups, without labels, and return their paths in order."""
    _check(size, None)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for specimen in sample_set(count, seed):
        path = folder / specimen.filename
        write_atomically(path, draw(Order(specimen, seed, size)))
        paths.append(path)
    return paths


def _check(size: tuple[int, int], workers: int | None) -> None:
    if not all(16 <= side <= most for side, most in zip(size, LARGEST, strict=True)):
        raise BundleError(
            "demo-size",
            f"The image size is {size[0]} x {size[1]}; "
            f"choose from 16 x 16 to {LARGEST[0]} x {LARGEST[1]}.",
        )
    if workers is not None and workers < 1:
        raise BundleError("demo-workers", f"There are {workers} workers; choose at least 1.")


def _already_there(
    build: Build,
    parameters: dict[str, object],
    force: bool,
    started: float,
    report: Callable[[str], None],
    needed: Sequence[str] = (),
) -> DemoSummary | None:
    parameters.update(version=__version__, generator=GENERATOR)
    manifest = None if force else build.keep(parameters, needed)
    if manifest is None:
        return None
    summary = _summary(build, manifest, False, started)
    report(f"already there: {summary.images} images in {build.output}")
    return summary


def _prepare(
    build: Build, names: Sequence[str], force: bool, report: Callable[[str], None]
) -> None:
    """Refuse to overwrite what is foreign, and tell what is replaced and what is kept."""
    if not force:
        build.check_targets(names)
    for record, replaced in build.displaced(names).items():
        sets = ", ".join(sorted({Path(name).stem for name in replaced}))
        command = _command(read_record(build.output / RECORDS / record) or {})
        where = shlex.quote(str(build.output))
        report(f"replacing {sets}; to get the old ones back: {command} --output {where}")
    if build.kept:
        report(f"{len(build.kept)} of {len(names)} files are already there and stay")


def _command(manifest: Mapping[str, object]) -> str:
    """Return the command that made the data of a manifest."""
    found = manifest.get("parameters")
    parameters = found if isinstance(found, dict) else {}
    words = ["mimicry", "data", "demo"]
    is_like = parameters.get("kind") == "like"
    if is_like:
        phase = "final" if parameters.get("names") == "test" else "development"
        words += ["--like", str(manifest.get("label_file", "CSV")), "--phase", phase]
    seed, scale, size = (parameters.get(key) for key in ("seed", "scale", "size"))
    if seed is not None and seed != DEFAULT_SEED:
        words += ["--seed", str(seed)]
    if scale is not None and scale != DEFAULT_SCALE:
        words += ["--scale", str(scale)]
    if isinstance(size, list) and size != list(LIKE_SIZE if is_like else DEFAULT_SIZE):
        words += ["--size", "x".join(map(str, size))]
    return shlex.join(words)


def _drawer(
    name: str,
    seed: int,
    size: tuple[int, int],
    workers: int | None,
    report: Callable[[str], None],
) -> Callable[[Sequence[Specimen]], Generator[bytes, None, None]]:
    """Return a function that yields the pictures of specimens."""

    def drawer(specimens: Sequence[Specimen]) -> Generator[bytes, None, None]:
        if specimens:
            orders = [Order(one, seed, size) for one in specimens]
            yield from draw_all(name, orders, workers, report)

    return drawer


def _finish(
    build: Build, manifest: dict[str, object], started: float, report: Callable[[str], None]
) -> DemoSummary:
    manifest = build.install(manifest)
    summary = _summary(build, manifest, True, started)
    report(f"{summary.images} images in {build.output}, {summary.seconds:.0f} s")
    return summary


def _summary(
    build: Build, manifest: dict[str, object], changed: bool, started: float
) -> DemoSummary:
    files = manifest["files"]
    images = manifest["images"]
    assert isinstance(files, dict) and isinstance(images, int)
    paths = tuple(build.output / name for name in sorted(files))
    seconds = time.monotonic() - started
    return DemoSummary(build.output, build.manifest, changed, images, paths, seconds)
