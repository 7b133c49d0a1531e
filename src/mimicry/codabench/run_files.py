"""Files of a run: data sets in, outputs out, none of them trusted."""

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path

from mimicry.codabench.competition import Task
from mimicry.codabench.submission_zip import ZIP_FAULTS, too_long
from mimicry.errors import BundleError, one_line
from mimicry.files import remove_tree

TAIL_BYTES = 64 * 1024


def check_data_exists(tasks: Collection[Task], bundle: Path) -> None:
    """Check that the data sets of `tasks` are there.

    Raises
    ------
    BundleError
        `data-missing`, with the command that makes demo data.
    """
    missing: dict[str, str] = {}
    for task in tasks:
        for path in (task.input_data, task.reference_data):
            if path is not None and not path.exists():
                missing[_shown(path, bundle)] = _maker(task)
    if missing:
        makers = " and ".join(f"`{command}`" for command in dict.fromkeys(missing.values()))
        raise BundleError(
            "data-missing",
            f"{', '.join(missing)}: no such data in the bundle {bundle}. Make demo data with "
            f"{makers}, or put your own zips there (see docs/organiser.md).",
        )


def _maker(task: Task) -> str:
    """Return the command that makes demo data for a task."""
    from mimicry.codabench.realign_data import team_of_folder

    realign = task.input_data is None and team_of_folder(task.scoring_program) is not None
    return "mimicry data zoo" if realign else "mimicry data demo"


def settle(folder: Path) -> list[str]:
    """Leave only plain files and folders below `folder`, readable and writable by us.

    Returns the relative paths of what was removed: links, pipes, sockets, devices, and
    whatever lies so deep or has so long a path that it could not be copied.
    """
    removed: list[str] = []
    if folder.is_symlink() or not folder.is_dir():
        if os.path.lexists(folder):
            folder.unlink()
            removed.append(folder.name)
        folder.mkdir()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        here.chmod(0o755)
        for entry in sorted(here.iterdir()):
            mode = entry.lstat().st_mode
            name = entry.relative_to(folder).as_posix()
            if too_long(name):
                removed.append(name)
                remove_tree(entry)
            elif stat.S_ISDIR(mode):
                waiting.append(entry)
            elif stat.S_ISREG(mode):
                entry.chmod(0o644)
            else:
                removed.append(name)
                entry.unlink()
    return removed


def last_lines(path: Path, count: int, width: int = 300) -> list[str]:
    """Return the last non-empty lines of a log, escape sequences made harmless."""
    if path.is_symlink() or not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        text = file.read(TAIL_BYTES).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()][-count:]
    return [_indent(line) + one_line(line, width) for line in lines]


def read_ingestion_state(prediction: Path) -> dict[str, object]:
    """Return what ingestion left in ``ingestion.json``; empty where it cannot be read."""
    path = prediction / "ingestion.json"
    if path.is_symlink() or not path.is_file():
        return {}
    with path.open("rb") as file:
        try:
            data = json.loads(file.read(1024 * 1024))
        except (ValueError, RecursionError):
            return {}
    return data if isinstance(data, dict) else {}


def unpack_data(path: Path, folder: Path) -> None:
    """Unpack an organiser's data set, or copy it where it is a folder, as packing would zip it.

    Raises
    ------
    BundleError
        `data-zip` when it cannot be read, or is neither a file nor a folder.
    """
    if path.is_dir():
        shutil.copytree(path, folder)
        return
    # A pipe would wait for somebody to write.
    if path.exists() and not path.is_file():
        raise BundleError(
            "data-zip",
            f"{path.parent.name}/{path.name} is no file. Put a zip or a folder there.",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    except ZIP_FAULTS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BundleError(
            "data-zip",
            f"{path.parent.name}/{path.name} cannot be unpacked ({error}). Make it anew.",
        ) from error


def _indent(line: str) -> str:
    return " " * min(len(line) - len(line.lstrip(" ")), 40)


def _shown(path: Path, bundle: Path) -> str:
    return path.relative_to(bundle).as_posix() if path.is_relative_to(bundle) else str(path)
