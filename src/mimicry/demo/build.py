"""Build the demo data sets: everything that a competition needs, from a seed.

The same arguments give the same bytes, however many processes draw.
"""

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimicry import __version__
from mimicry.demo.drawing import draw_all
from mimicry.demo.sets import (
    TRAINING,
    Order,
    Specimen,
    challenge_set,
    draw,
    read_labels,
    sample_set,
    training_set,
)
from mimicry.demo.storage import Build, locked, write_zip
from mimicry.errors import BundleError
from mimicry.files import sha256_file, write_atomically

DEFAULT_SCALE = 0.4
DEFAULT_SIZE = (320, 224)
LARGEST = (10_000, 10_000)
# Raised when the pictures change, so that data of an older generator is drawn anew.
GENERATOR = 1


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
    seed: int = 1,
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
        Gets ``input_data``, ``reference_data`` and ``demo_data``.
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
    numbers, in the alphabetical order of the names of Species A.
    """
    _check(size, workers)
    if not 0 < scale <= 100:
        raise BundleError("demo-scale", f"The scale is {scale:g}; choose one in (0, 100].")
    started = time.monotonic()
    parameters = {"kind": "demo", "seed": seed, "size": list(size), "scale": scale}
    with locked(output):
        build = Build(output, "manifest.json")
        done = _already_there(build, parameters, force, started, report)
        if done is not None:
            return done
        sets = {name: challenge_set(name, seed, scale) for name in ("val", "test")}
        train = training_set(seed, scale)
        train_names = [f"demo_data/train/{one.filename}" for one in train]
        targets = [name for key in sets for name in _zip_names(key)]
        targets += ["demo_data/butterfly_train.csv", *train_names]
        build.clean()
        if not force:
            build.check_targets(targets)
        for name, specimens in sets.items():
            orders = [Order(one, seed, size) for one in specimens]
            _write_set(build, name, specimens, draw_all(name, orders, workers, report))
        orders = [Order(one, seed, size) for one in train]
        pictures = draw_all("train", orders, workers, report)
        for name, picture in zip(train_names, pictures, strict=True):
            build.part(name).write_bytes(picture)
        build.part("demo_data/butterfly_train.csv").write_text(training_table(train), "utf-8")
        images = len(train) + sum(map(len, sets.values()))
        return _finish(build, parameters, images, started, report)


def build_like(
    reference: Path,
    output: Path,
    *,
    seed: int = 1,
    size: tuple[int, int] = (1000, 700),
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
    for part, in_part in (("Species A", _in_a), ("the mimic", _in_mimic)):
        if not any(map(in_part, specimens)):
            raise BundleError(
                "labels-group",
                f"{reference.name} has no rows of {part}; "
                "both tasks need images (ssp_indicator major or minor, and mimic).",
            )
    specimens.sort(key=lambda one: one.filename)
    with locked(output):
        build = Build(output, f"manifest-like-{names}.json")
        done = _already_there(build, parameters, force, started, report)
        if done is not None:
            return done
        build.clean()
        if not force:
            build.check_targets(_zip_names(names))
        orders = [Order(one, seed, size) for one in specimens]
        _write_set(build, names, specimens, draw_all(names, orders, workers, report))
        return _finish(build, parameters, len(specimens), started, report)


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
) -> DemoSummary | None:
    parameters.update(version=__version__, generator=GENERATOR)
    manifest = None if force else build.is_complete(parameters)
    if manifest is None:
        return None
    summary = _summary(build, manifest, False, started)
    report(f"already there: {summary.images} images in {build.output}")
    return summary


def _finish(
    build: Build,
    parameters: dict[str, object],
    images: int,
    started: float,
    report: Callable[[str], None],
) -> DemoSummary:
    manifest = build.install({"parameters": parameters, "images": images})
    summary = _summary(build, manifest, True, started)
    report(f"{images} images in {build.output}, {summary.seconds:.0f} s")
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


def _in_mimic(specimen: Specimen) -> bool:
    return specimen.indicator == "mimic"


def _in_a(specimen: Specimen) -> bool:
    return specimen.indicator != "mimic"


def _zip_names(name: str) -> list[str]:
    return [
        f"{folder}/{name}{suffix}.zip"
        for folder in ("input_data", "reference_data")
        for suffix in ("_A", "_mimic", "")
    ]


def _write_set(
    build: Build, name: str, specimens: Sequence[Specimen], pictures: Iterator[bytes]
) -> None:
    """Write the images and the labels of a set and of its two parts."""
    whole = build.part(f"input_data/{name}.zip")
    # The parts are cut from the file, so that memory never holds a set of large images.
    write_zip(whole, ((one.filename, next(pictures)) for one in specimens))
    for suffix, in_part in (("_A", _in_a), ("_mimic", _in_mimic), ("", lambda _: True)):
        chosen = [one for one in specimens if in_part(one)]
        if suffix:
            write_zip(build.part(f"input_data/{name}{suffix}.zip"), _cut(whole, chosen))
        labels = (f"{name}{suffix}.csv", _labels(chosen).encode("utf-8"))
        write_zip(build.part(f"reference_data/{name}{suffix}.zip"), [labels])


def _cut(whole: Path, chosen: Sequence[Specimen]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(whole) as archive:
        for one in chosen:
            yield one.filename, archive.read(one.filename)


def _labels(specimens: Sequence[Specimen]) -> str:
    return _table(
        ["filename", "hybrid_stat", "ssp_indicator"],
        [[one.filename, str(int(one.is_hybrid)), one.indicator] for one in specimens],
    )


def training_table(specimens: Sequence[Specimen]) -> str:
    """Return the training table as CSV text, in the form of the real one."""
    number = {name: f"{i}.0" for i, name in enumerate(sorted(TRAINING))}
    rows = []
    for one in specimens:
        if one.father is None:
            rows.append([one.filename, "non-hybrid", number[one.mother], "", ""])
        else:
            parents = sorted((one.mother, one.father))
            rows.append([one.filename, "hybrid", "", *(number[name] for name in parents)])
    columns = ["filename", "hybrid_stat", "subspecies"]
    return _table([*columns, "parent_subspecies_1", "parent_subspecies_2"], rows)


def _table(header: list[str], rows: list[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()
