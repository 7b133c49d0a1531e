"""What `mimicry.codabench.provenance` records, found out: digests, versions, the clone."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mimicry import __version__
from mimicry.codabench.engines import Engine, Image, Resources
from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.programs import program_settings, staged_members
from mimicry.codabench.provenance import (
    INGESTION_PROGRAM,
    INPUT_DATA,
    PREDICTIONS,
    REFERENCE_DATA,
    SCORES,
    SCORES_COPY,
    SCORING_PROGRAM,
    Isolation,
    Made,
    TaskProvenance,
    short_words,
)
from mimicry.codabench.reachable import package_folder
from mimicry.codabench.run_files import read_ingestion_state
from mimicry.codabench.zips import Content
from mimicry.errors import one_line
from mimicry.files import UnusableFile, read_regular_file, sha256_file
from mimicry.hybrids.predictions import FILE_NAME
from mimicry.hybrids.tables import MAX_TABLE_BYTES
from mimicry.scoring.output import SCORES_COPY_NAME, SCORES_NAME
from mimicry.scoring.versions import library_versions, read_versions

LARGEST_SCORES = 1024 * 1024
LARGEST_LOG = 64 * 1024 * 1024
# Of what a submission without a predictions file leaves.
LARGEST_TREE = 256 * 1024 * 1024
MOST_ENTRIES = 20_000
_PATIENCE = 20.0


class Clone(NamedTuple):
    """The commit that the package lies in, and whether its files differ from it."""

    commit: str
    changed: bool


def made_here(
    engine: Engine, image: Image | None, resources: Resources, *, worker_data: bool
) -> Made:
    """Return on what programs run that this process starts.

    Parameters
    ----------
    engine, image, resources
        As a run uses them.
    worker_data : bool
        Whether programs are shown a folder as ``/app/data``; which one is not told.
    """
    clone = clone_of(package_folder())
    return Made(
        mimicry=__version__,
        python=platform.python_version(),
        system=platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        engine=engine.name,
        commit=clone.commit if clone else None,
        changed=clone.changed if clone else None,
        image=image.id if image is not None else None,
        libraries={} if image is not None else library_versions(),
        resources=_resources(engine, resources) | ({"worker_data": "shown"} if worker_data else {}),
    )


@cache
def clone_of(package: Path) -> Clone | None:
    """Return the commit of the clone that `package` is a tracked part of, None without one."""
    # A package installed below somebody's own repository is no part of that.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(package, "rev-parse", "HEAD")
    status = _git(package, "status", "--porcelain", "--", ".")
    if commit is None or status is None:
        return None
    return Clone(commit.strip(), bool(status.strip()))


def input_digests(competition: Competition, phase: Phase, task: Task) -> dict[str, str | None]:
    """Return the SHA-256 of everything that a task's outcome depends on but the submission.

    Programs count as packed for the phase.

    Raises
    ------
    BundleError
        What `mimicry.codabench.programs.staged_members` finds.
    OSError
        When data cannot be read.
    """
    settings = program_settings(competition, phase, task)

    def program(folder: Path | None) -> str | None:
        return None if folder is None else members_sha256(staged_members(folder, settings))

    return {
        INPUT_DATA: data_sha256(task.input_data),
        REFERENCE_DATA: data_sha256(task.reference_data),
        INGESTION_PROGRAM: program(task.ingestion_program),
        SCORING_PROGRAM: program(task.scoring_program),
    }


def data_sha256(data: Path | None) -> str | None:
    """Return the SHA-256 of an organiser's data set; None for none.

    Of a zip of its bytes, of a folder of the list of its files and their SHA-256.
    """
    if data is None:
        return None
    if not data.is_dir():
        return sha256_file(data)
    files = {path.relative_to(data).as_posix(): path for path in data.rglob("*") if path.is_file()}
    return members_sha256(files)


def members_sha256(members: Mapping[str, Content]) -> str:
    """Return the SHA-256 of the list of files, by name, and of their SHA-256."""
    digest = hashlib.sha256()
    for name, content in sorted(members.items()):
        own = (
            hashlib.sha256(content).hexdigest()
            if isinstance(content, bytes)
            else sha256_file(content)
        )
        digest.update(os.fsencode(f"{name}\0{own}\n"))
    return digest.hexdigest()


def predictions_sha256(prediction: Path) -> str | None:
    """Return the SHA-256 of what was predicted; None where that cannot be told.

    Of ``predictions.csv`` where there is one, else of the list of all files, as for a
    submission that is scored as it is. No link is followed.
    """
    if os.path.lexists(prediction / FILE_NAME):
        return file_sha256(prediction / FILE_NAME, MAX_TABLE_BYTES)
    if prediction.is_symlink() or not prediction.is_dir():
        return None
    try:
        members = _tree(prediction)
    except (OSError, UnusableFile, RecursionError):
        return None
    return members_sha256(members) if members else None


def _tree(folder: Path) -> dict[str, Content]:
    """Return for every file below a stranger's folder its SHA-256, which stands for it."""
    members: dict[str, Content] = {}
    left, entries = LARGEST_TREE, 0
    for here, folders, names in os.walk(folder, onerror=_fail):
        entries += len(folders) + len(names)
        if entries > MOST_ENTRIES:
            raise UnusableFile("is one of too many")
        for name in names:
            path = Path(here, name)
            data = read_regular_file(path, left)
            left -= len(data)
            members[path.relative_to(folder).as_posix()] = hashlib.sha256(data).digest()
    return members


def _fail(error: OSError) -> None:
    raise error


def file_sha256(path: Path, limit: int) -> str | None:
    """Return the SHA-256 of a stranger's file; None where it is no plain file that small."""
    try:
        return hashlib.sha256(read_regular_file(path, limit)).hexdigest()
    except UnusableFile:
        return None


def task_provenance(
    made: Made, limit: float, inputs: Mapping[str, str | None], folder: Path
) -> TaskProvenance:
    """Return what one task of a run was made from, and what came of it.

    Parameters
    ----------
    made : Made
        On what it ran.
    limit : float
        Seconds for each program.
    inputs : Mapping
        As `input_digests` gave them before it ran.
    folder : Path
        The task's, with ``prediction``, ``scoring`` and ``logs``; each may be missing.
    """
    prediction, scoring = folder / "prediction", folder / "scoring"
    said = read_ingestion_state(prediction)
    return TaskProvenance(
        made=replace(made, libraries=_libraries(made, folder)),
        time_limit=limit,
        sha256={
            **inputs,
            PREDICTIONS: predictions_sha256(prediction),
            SCORES: file_sha256(scoring / SCORES_NAME, LARGEST_SCORES),
            SCORES_COPY: file_sha256(scoring / SCORES_COPY_NAME, LARGEST_SCORES),
        },
        counts={"images": _count(said.get("images")), "predictions": _count(said.get("predicted"))},
        versions=versions_of(said.get("versions")),
        isolation=isolation_of(said.get("isolation")),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def versions_of(found: object) -> dict[str, str]:
    """Return the versions that ingestion says it ran with; a stranger's texts, bounded."""
    if not isinstance(found, dict):
        return {}
    texts = [(k, v) for k, v in found.items() if isinstance(k, str) and isinstance(v, str)]
    return {one_line(key, 60): one_line(value, 60) for key, value in texts[:50]}


def isolation_of(found: object) -> Isolation | None:
    """Return the walls that ingestion says were up; None where it says nothing."""
    if not isinstance(found, dict):
        return None
    return Isolation(short_words(found.get("active")), short_words(found.get("missing")))


def _resources(engine: Engine, resources: Resources) -> dict[str, str]:
    """Return every resource that an engine can give or limit, and what it was set to."""
    names = sorted({*resources.asked(), *engine.limits})
    values = {name: getattr(resources, name) for name in names}
    return {name: "default" if value is None else str(value) for name, value in values.items()}


def _libraries(made: Made, folder: Path) -> Mapping[str, str]:
    """Return what scoring computed with; of a program in an image what its own output says."""
    if made.image is None:
        return made.libraries
    try:
        output = read_regular_file(folder / "logs" / "scoring.stdout.txt", LARGEST_LOG)
    except UnusableFile:
        return made.libraries
    return read_versions(output.decode("utf-8", "replace"))


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says in `folder`; None where it is not there or finds no repository."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *words],
            cwd=folder,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
