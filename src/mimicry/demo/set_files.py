"""The files of a data set: image zips, label zips, the training table, public data."""

import csv
import io
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import PurePosixPath

from mimicry.demo.sets import TRAINING, Specimen
from mimicry.demo.storage import PUBLIC, Build, write_zip


def is_mimic(specimen: Specimen) -> bool:
    """Tell whether a specimen belongs to the mimic's part of a set."""
    return specimen.indicator == "mimic"


def is_a(specimen: Specimen) -> bool:
    """Tell whether a specimen belongs to Species A's part of a set."""
    return specimen.indicator != "mimic"


# What the parts of a set are called, and who belongs to them.
PARTS: Mapping[str, Callable[[Specimen], bool]] = {
    "_A": is_a,
    "_mimic": is_mimic,
    "": lambda specimen: True,
}


def zip_names(name: str) -> list[str]:
    """Return the paths of all zips of a set."""
    return [
        f"{folder}/{name}{part}.zip"
        for folder in ("input_data", "reference_data")
        for part in PARTS
    ]


def write_set(
    build: Build,
    name: str,
    specimens: Sequence[Specimen],
    draw: Callable[[Sequence[Specimen]], Generator[bytes, None, None]],
) -> None:
    """Write the images and the labels of a set and of its two parts, but for what is kept.

    Parameters
    ----------
    build : Build
        Pictures that its kept zips hold are taken from there.
    name : {"val", "test"}
    specimens : sequence of Specimen
        Sorted by file name.
    draw : callable
        Yields the pictures of the specimens that it gets.
    """
    whole = f"input_data/{name}.zip"
    if whole not in build.kept:
        with ExitStack() as stack:
            held: dict[str, zipfile.ZipFile] = {}
            for part in ("_A", "_mimic"):
                if f"input_data/{name}{part}.zip" in build.kept:
                    path = build.whole(f"input_data/{name}{part}.zip")
                    archive = stack.enter_context(zipfile.ZipFile(path))
                    held.update((one.filename, archive) for one in specimens if PARTS[part](one))
            missing = [one for one in specimens if one.filename not in held]
            pictures = stack.enter_context(closing(draw(missing)))
            write_zip(build.part(whole), _pictures(specimens, held, pictures))
    for part, belongs in PARTS.items():
        chosen = [one for one in specimens if belongs(one)]
        images, labels = f"input_data/{name}{part}.zip", f"reference_data/{name}{part}.zip"
        if part and images not in build.kept:
            # Cut from the file, so that memory never holds a set of large images.
            with zipfile.ZipFile(build.whole(whole)) as archive:
                cut = ((one.filename, archive.read(one.filename)) for one in chosen)
                write_zip(build.part(images), cut)
        if labels not in build.kept:
            table = _labels(chosen).encode("utf-8")
            write_zip(build.part(labels), [(f"{name}{part}.csv", table)])


def _pictures(
    specimens: Sequence[Specimen],
    held: Mapping[str, zipfile.ZipFile],
    pictures: Iterator[bytes],
) -> Iterator[tuple[str, bytes]]:
    for one in specimens:
        archive = held.get(one.filename)
        yield one.filename, next(pictures) if archive is None else archive.read(one.filename)


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


def write_public(build: Build, table: str, images: Sequence[str]) -> None:
    """Write the zip that participants download: the training table, and images in ``train/``.

    Parameters
    ----------
    build : Build
        Its files `table` and `images` are read.
    table : str
        Path of the training table.
    images : sequence of str
        Paths of the training images.
    """
    if PUBLIC in build.kept:
        return
    members = {PurePosixPath(table).name: table}
    members |= {f"train/{PurePosixPath(name).name}": name for name in images}
    pairs = ((name, build.whole(members[name]).read_bytes()) for name in sorted(members))
    write_zip(build.part(PUBLIC), pairs)


def _table(header: list[str], rows: list[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()
