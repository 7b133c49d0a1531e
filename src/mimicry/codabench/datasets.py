"""Checks of a task's data sets before they are packed."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from PIL import Image

from mimicry.codabench.model import Competition, Task
from mimicry.codabench.realign_data import (
    PhaseData,
    check_phases,
    team_of_data,
    team_of_folder,
)
from mimicry.codabench.run_files import check_data_exists
from mimicry.codabench.sealing import is_sealed
from mimicry.codabench.validation.context import Budget
from mimicry.codabench.validation.published import HiddenImages
from mimicry.codabench.validation.source import FolderSource, Source, SourceError, ZipSource
from mimicry.errors import BundleError
from mimicry.files import is_clutter
from mimicry.hybrids.reference import COLUMNS, check_gradable, parse_reference
from mimicry.hybrids.tasks import TASKS

NAME_COLUMN = "filename"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp")
SHOWN = 5


def check_data(competition: Competition) -> tuple[str, ...]:
    """Check the data sets of every task of `competition` and return what to think about.

    Raises
    ------
    BundleError
        `data-missing`, listing all that are not there, `data-zip` for a folder, which the
        platform would take, or the first fault that `check_task_data` finds, and of
        Re-Align's data `mimicry.codabench.realign_data.check_phases`; `leak-input` for images
        of the input data in what participants download.
    """
    tasks = [task for phase in competition.phases for task in phase.tasks]
    for path in [path for task in tasks for path in (task.input_data, task.reference_data)]:
        if path is not None and path.is_dir():
            raise BundleError(
                "data-zip",
                f"{_shown(path)} is a folder. Data sets are packed as zips, so that a zip's bytes "
                f"are the data's: `cd {path} && zip -0 -r ../{path.name}.zip .`, and name that.",
            )
    check_data_exists(tasks, competition.bundle)
    warnings = tuple(warning for task in tasks for warning in check_task_data(task))
    _check_published(competition)
    return warnings + _check_realign(competition)


def check_task_data(task: Task) -> tuple[str, ...]:
    """Check that a task's images and labels belong together and are kept apart.

    The input data hold plain files at their root and no label; the reference data hold
    one CSV whose `filename` column names exactly these files. Every byte of both is
    read and every image's header is, so that damage shows here and not on the platform.

    Reference data of a Re-Align board, known by their rules or their program, have
    neither; of them every byte is read.

    Returns
    -------
    tuple of str
        Warnings: images that carry EXIF.

    Raises
    ------
    BundleError
        `data-zip`, `data-image`, `data-layout`, `data-reference`, `data-names`,
        `data-leak`; in a CSV with the columns of hybrid detection also what
        `mimicry.hybrids.reference` finds. `seal-sealed` for sealed reference data, which
        cannot be looked at.
    """
    if task.reference_data is None:
        return ()
    if is_sealed(task.reference_data):
        raise BundleError(
            "seal-sealed",
            f"{_shown(task.reference_data)} is sealed, so it cannot be checked or packed again. "
            "Pack from the plain data, with --seal if they must be sealed.",
        )
    if _is_realign(task):
        _check_every_byte(task.reference_data)
        return ()
    csv_name, table = _read_reference(task.reference_data)
    header, names = _read_table(table, f"{_shown(task.reference_data)}:{csv_name}")
    if set(COLUMNS) <= set(header):
        reference = parse_reference(table, f"{_shown(task.reference_data)}:{csv_name}")
        if task.key in TASKS:
            check_gradable(reference, TASKS[task.key].groups, task.key)
    if task.input_data is None:
        return ()
    with _open(task.input_data) as archive:
        present = [info.filename for info in archive.infolist()]
        _check_layout(task.input_data, present)
        _check_names(task, present, names)
        return _check_contents(task, archive, table)


def _is_realign(task: Task) -> bool:
    if task.reference_data is None or task.input_data is not None:
        return False
    if team_of_folder(task.scoring_program) is not None:
        return True
    with _open(task.reference_data) as archive:
        return team_of_data(dict.fromkeys(archive.namelist())) is not None


def _check_every_byte(path: Path) -> None:
    with _open(path) as archive:
        try:
            damaged = archive.testzip()
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise _damaged(path, error) from None
        if damaged is not None:
            raise BundleError(
                "data-zip", f"{_shown(path)}: {damaged} is damaged. Make the zip anew."
            )


def _check_realign(competition: Competition) -> tuple[str, ...]:
    """Refuse reference data that do not fit their program, public files or other phases."""
    with ExitStack() as stack:
        phases = []
        for phase in competition.phases:
            for task in phase.tasks:
                if not _is_realign(task):
                    continue
                assert task.reference_data is not None
                reference = _source(task.reference_data, stack)
                team = team_of_folder(task.scoring_program) or team_of_data(reference.entries)
                assert team is not None
                public = phase.public_data
                phases.append(
                    PhaseData(
                        team,
                        reference,
                        _shown(task.reference_data),
                        _public_source(public, stack),
                        _shown(public) if public is not None else "",
                    )
                )
        faults, unread = check_phases(phases)
    for fault in faults[:1]:
        raise BundleError(
            fault.code,
            f"{phases[fault.at].shown}: {fault.problem}; {fault.mend}.",
        )
    return tuple(f"{text}." for text in unread)


def _check_published(competition: Competition) -> None:
    """Refuse images of the input data in public data, starting kits and solutions."""
    tasks = [task for phase in competition.phases for task in phase.tasks]
    inputs = dict.fromkeys(task.input_data for task in tasks if task.input_data is not None)
    downloads = [path for p in competition.phases for path in (p.public_data, p.starting_kit)]
    solutions = competition.document.get("solutions") or []
    downloads += [competition.bundle / s["path"] for s in solutions if "path" in s]
    with ExitStack() as stack:
        hidden = {_shown(path): _source(path, stack) for path in inputs}
        images = HiddenImages(hidden, Budget().take)
        for path in dict.fromkeys(downloads):
            public = _public_source(path, stack)
            found = {} if public is None else images.find_in(public)
            if path is not None and found:
                count = "an image" if len(found) == 1 else f"{len(found):,} images"
                raise BundleError(
                    "leak-input",
                    f"{_shown(path)} holds {count} of the input data "
                    f"({_first(found)}; the first is {next(iter(found.values()))}), and "
                    "everybody can download it: take that out.",
                )


def _public_source(path: Path | None, stack: ExitStack) -> Source | None:
    """Return what participants may download; missing files are told elsewhere."""
    if path is None or not (path.is_dir() or zipfile.is_zipfile(path)):
        return None
    return _source(path, stack)


def _source(path: Path, stack: ExitStack) -> Source:
    try:
        if path.is_dir():
            return FolderSource(path)
        return ZipSource(stack.enter_context(path.open("rb")))
    except (SourceError, OSError) as error:
        raise _damaged(path, error) from None


def _read_reference(path: Path) -> tuple[str, bytes]:
    with _open(path) as archive:
        names = archive.namelist()
        if len(names) != 1 or "/" in names[0] or not names[0].lower().endswith(".csv"):
            raise BundleError(
                "data-reference",
                f"{_shown(path)} must hold exactly one CSV at its root and nothing else, but holds "
                f"{len(names)} entries ({_first(names)}). Zip the CSV by itself.",
            )
        return names[0], _read(archive, names[0], path)


def _read_table(table: bytes, shown: str) -> tuple[list[str], list[str]]:
    try:
        rows = [
            row for row in csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")) if row
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BundleError(
            "data-reference", f"{shown} cannot be read as CSV in UTF-8: {error}; save it anew."
        ) from None
    header = [cell.strip() for cell in rows[0]] if rows else []
    if header.count(NAME_COLUMN) != 1:
        raise BundleError(
            "data-reference",
            f"{shown} has no column `{NAME_COLUMN}` in its first line; name the column that holds "
            f"the images' names `{NAME_COLUMN}`.",
        )
    column = header.index(NAME_COLUMN)
    return header, [row[column] if column < len(row) else "" for row in rows[1:]]


def _check_layout(path: Path, names: list[str]) -> None:
    nested = [name for name in names if "/" in name or "\\" in name]
    clutter = [name for name in names if is_clutter(name)]
    twice = sorted({name for name in names if names.count(name) > 1}) if _repeats(names) else []
    for wrong, what in (
        (clutter, "an operating system's clutter"),
        (nested, "files in folders, which ingestion would not find"),
        (twice, "one name several times"),
    ):
        if wrong:
            raise BundleError(
                "data-layout",
                f"{_shown(path)} holds {what}: {len(wrong)} of {len(names)} entries "
                f"({_first(wrong)}). Zip the images themselves, not their folder.",
            )


def _repeats(names: list[str]) -> bool:
    return len(set(names)) < len(names)


def _check_names(task: Task, present: list[str], named: list[str]) -> None:
    assert task.input_data is not None and task.reference_data is not None
    without_label = sorted(set(present) - set(named))
    without_image = sorted(set(named) - set(present))
    if without_label or without_image:
        raise BundleError(
            "data-names",
            f"{_shown(task.input_data)} holds {len(present)} images and "
            f"{_shown(task.reference_data)} names {len(set(named))}: {len(without_label)} images "
            f"without a label ({_first(without_label)}), {len(without_image)} labels without an "
            f"image ({_first(without_image)}). Make both from the same list.",
        )


def _check_contents(task: Task, archive: zipfile.ZipFile, table: bytes) -> tuple[str, ...]:
    assert task.input_data is not None and task.reference_data is not None
    # The first line begins the table, so looking for it finds the whole table too.
    header = table.removeprefix(b"\xef\xbb\xbf").splitlines()[0].strip()
    with_exif = []
    for info in archive.infolist():
        data = _read(archive, info.filename, task.input_data)
        if header in data:
            raise BundleError(
                "data-leak",
                f"{_shown(task.input_data)}: {info.filename} contains the first line of the table "
                f"in {_shown(task.reference_data)}. Participants' code reads the input data: "
                "remove the labels from it.",
            )
        if info.filename.lower().endswith(IMAGE_SUFFIXES) and _has_exif(
            data, info.filename, task.input_data
        ):
            with_exif.append(info.filename)
    if not with_exif:
        return ()
    return (
        f"{_shown(task.input_data)}: {len(with_exif)} images carry EXIF ({_first(with_exif)}), "
        "which may tell where they come from; remove it.",
    )


def _has_exif(data: bytes, name: str, path: Path) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return "exif" in image.info
    except Image.DecompressionBombError:
        # Ingestion takes larger images than Pillow's guard, and says so if one is too large.
        return False
    except (OSError, ValueError, SyntaxError) as error:
        raise BundleError(
            "data-image", f"{_shown(path)}: {name} cannot be opened as an image: {error}."
        ) from None


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise _damaged(path, error) from None


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        return archive.read(name)
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> BundleError:
    return BundleError(
        "data-zip", f"{_shown(path)} cannot be read as a zip: {error}. Make it anew."
    )


def _shown(path: Path) -> str:
    return PurePosixPath(path.parent.name, path.name).as_posix()


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
    return (", ".join(listed[:SHOWN]) + more) if listed else "none"
