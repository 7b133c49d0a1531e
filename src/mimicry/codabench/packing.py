"""Builds what is uploaded: the zips of competitions and of submissions."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mimicry.codabench.competition import read_competition
from mimicry.codabench.datasets import check_data
from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.programs import (
    ProgramSettings,
    check_command,
    program_members,
    program_settings,
    stage_program,
)
from mimicry.codabench.reading.phases import DEFAULT_QUEUE_CAP
from mimicry.codabench.realign_data import team_of_public
from mimicry.codabench.scratch import scratch_folder
from mimicry.codabench.sealing import check_no_keys, seal_zip, sealed_fault
from mimicry.codabench.submission_files import submission_members
from mimicry.codabench.zips import Content, folder_members, is_leftover, write_zip
from mimicry.errors import BundleError, SubmissionError
from mimicry.files import sha256_file

__all__ = [
    "PackedZip",
    "ProgramSettings",
    "check_packed",
    "pack_competition",
    "pack_submission",
    "program_settings",
    "stage_program",
    "zip_to_upload",
]


# What participants of the hybrid forms download, by the path that `mimicry data demo` takes.
_TRAINING = "public_data/hybrids.zip"


@dataclass(frozen=True)
class PackedZip:
    """A zip that was written, read back and found as it should be; sizes in bytes."""

    path: Path
    sha256: str
    size: int
    members: tuple[str, ...]
    warnings: tuple[str, ...]


def pack_competition(
    competition: Competition, dist: Path, recipients: Sequence[Any] = ()
) -> PackedZip:
    """Build the zip of one competition, ``dist/mimicry-<id>.zip``.

    Its file stands at the root as ``competition.yaml`` with the paths of its programs
    changed to one copy per phase (``development/ingestion_program``), since each copy
    holds its own ``phase.json``; the zip holds what that file names and nothing else.
    It is stored without compression (images are compressed already), so that the same
    content gives the same bytes everywhere. Of a download's folder the backups and swap
    files of editors are left out.

    Parameters
    ----------
    competition : Competition
        What to pack.
    dist : Path
        The folder of the zip; made when missing.
    recipients : sequence, optional
        What `mimicry.codabench.sealing.read_recipients` returns: then all reference data
        are sealed for them, after they were checked, and no two zips are the same.

    Raises
    ------
    BundleError
        What `mimicry.codabench.datasets.check_data` and `program_members` find,
        `file-missing` for a page, the terms, the image or a download, `tasks-shared` for a task
        that is not in exactly one phase, `zip-unwritable`, `zip-broken`,
        `zip-inconsistent`, `seal-key-inside` for a secret key among what is packed.
    """
    warnings = check_data(competition)
    document, members = _competition_members(competition, sealed=bool(recipients))
    members["competition.yaml"] = yaml.safe_dump(
        document, sort_keys=False, allow_unicode=True, width=100
    ).encode()
    output = dist / f"mimicry-{competition.id}.zip"

    def check(archive: zipfile.ZipFile) -> None:
        check_packed(archive, competition.id, sealed=bool(recipients))

    with scratch_folder() as scratch:
        if recipients:
            members |= _sealed(competition, scratch, recipients)
        check_no_keys(members)
        write_zip(output, members, compress=False, check=check)
    return _packed(output, members, (*_warnings(competition), *warnings))


def _sealed(
    competition: Competition, scratch: Path, recipients: Sequence[Any]
) -> dict[str, Content]:
    """Seal every reference data set once, and return the zips by their names in the packed zip."""
    tasks = [task for phase in competition.phases for task in phase.tasks]
    plain = dict.fromkeys(task.reference_data for task in tasks if task.reference_data is not None)
    sealed: dict[str, Content] = {}
    for number, path in enumerate(plain):
        target = scratch / f"{number}.zip"
        seal_zip(path, target, recipients)
        sealed[path.relative_to(competition.bundle).as_posix()] = target
    return sealed


def _competition_members(
    competition: Competition, *, sealed: bool
) -> tuple[dict[str, Any], dict[str, Content]]:
    document = dict(competition.document)
    members: dict[str, Content] = {}
    for name in [document["image"], document["terms"], *(p["file"] for p in document["pages"])]:
        path = competition.bundle / name
        if not path.is_file() or not path.stat().st_size:
            raise BundleError(
                "file-missing",
                f"{competition.path.name} names {name}, which is missing or empty; add it.",
            )
        members[PurePosixPath(name).as_posix()] = path
    for download in _downloads(competition):
        members |= _download_members(competition, download)
    homes = [(task, phase) for phase in competition.phases for task in phase.tasks]
    numbers = [task.index for task, _ in homes]
    wrong = [t["index"] for t in document["tasks"] if numbers.count(t["index"]) != 1]
    if wrong:
        raise BundleError(
            "tasks-shared",
            f"{competition.path.name}: the task with index {wrong[0]} must be in exactly one "
            "phase, since its programs are packed with that phase's settings; copy the task or "
            "remove it.",
        )
    renamed: dict[int, dict[str, Any]] = {t["index"]: dict(t) for t in document["tasks"]}
    for task, phase in homes:
        for path in (task.input_data, task.reference_data):
            if path is not None:
                members[path.relative_to(competition.bundle).as_posix()] = path
        hidden = sealed and task.reference_data is not None
        settings = program_settings(competition, phase, task, sealed=hidden)
        for key, program in (
            ("ingestion_program", task.ingestion_program),
            ("scoring_program", task.scoring_program),
        ):
            if program is None:
                continue
            folder = _program_folder(competition, phase, task, program)
            renamed[task.index][key] = folder
            for name, content in program_members(program, settings).items():
                members[f"{folder}/{name}"] = content
    document["tasks"] = [renamed[t["index"]] for t in document["tasks"]]
    return document, members


def _downloads(competition: Competition) -> list[Path]:
    """Return what phases and solutions name beside tasks: files or folders of any kind."""
    found = [path for p in competition.phases for path in (p.public_data, p.starting_kit) if path]
    solutions = competition.document.get("solutions") or []
    named = [solution["path"] for solution in solutions if "path" in solution]
    return [*found, *(competition.bundle / path for path in named)]


def _download_members(competition: Competition, path: Path) -> dict[str, Content]:
    name = path.relative_to(competition.bundle).as_posix()
    if path.is_file():
        return {name: path}
    if not path.exists():
        raise BundleError("file-missing", _missing_download(competition, name))
    listed, problems = folder_members(path)
    # Everybody can download these; what an editor keeps may be an earlier, unfit state.
    files = {file: source for file, source in listed.items() if not is_leftover(file)}
    refused = [problem for problem in problems if not is_leftover(problem.name)]
    if refused or not files:
        problem = (
            f"{name}/{refused[0].name} cannot be packed: {refused[0].reason}"
            if refused
            else f"{competition.path.name} names {name}, which is missing or empty; add it"
        )
        raise BundleError("file-missing", f"{problem}.")
    return {f"{name}/{file}": source for file, source in files.items()}


def _missing_download(competition: Competition, name: str) -> str:
    team = team_of_public(name)
    if team:
        return f"{name} is missing; `mimicry realign build {team}` or `mimicry data zoo` makes it."
    if name == _TRAINING:
        return (
            f"{name} is missing; put there what participants may download of your training data, "
            "or make the demo's with `mimicry data demo`."
        )
    return f"{competition.path.name} names {name}, which is missing; add it."


def _program_folder(competition: Competition, phase: Phase, task: Task, program: Path) -> str:
    """Return where a program of a task lies in the zip.

    Programs that several tasks of a phase share get one copy each, since their
    settings name the task.
    """
    sharing = [t for t in phase.tasks if program in (t.ingestion_program, t.scoring_program)]
    suffix = f"_{task.key}" if len(sharing) > 1 else ""
    return f"{phase.slug}/{program.relative_to(competition.bundle).as_posix()}{suffix}"


def check_packed(archive: zipfile.ZipFile, id: str, *, sealed: bool = False) -> None:
    """Check a packed competition as the platform will read it.

    With `sealed`, also that no reference data are plain.

    Raises
    ------
    BundleError
        What `load_competition` finds in its ``competition.yaml``; `zip-inconsistent`
        when that file names something that is not in the zip, or the zip holds
        something that it does not name, or reference data that should be sealed and are
        not; `program-metadata`.
    """
    names = set(archive.namelist())
    with scratch_folder() as root:
        path = root / "competition.yaml"
        path.write_bytes(archive.read("competition.yaml"))
        packed = read_competition(root, path, id)
    document = packed.document
    named_files = [document["image"], document["terms"], *(p["file"] for p in document["pages"])]
    files = {PurePosixPath(name).as_posix() for name in named_files}
    folders = {path.relative_to(root).as_posix() for path in _downloads(packed)}
    files |= folders & names
    folders -= names
    programs = set()
    for task in (task for phase in packed.phases for task in phase.tasks):
        if sealed and task.reference_data is not None:
            _check_sealed(archive, task.reference_data.relative_to(root).as_posix(), id)
        for data in (task.input_data, task.reference_data):
            files |= {data.relative_to(root).as_posix()} if data else set()
        for program in (task.ingestion_program, task.scoring_program):
            programs |= {program.relative_to(root).as_posix()} if program else set()
    inside = {
        folder: [n for n in names if n.startswith(f"{folder}/")] for folder in programs | folders
    }
    named = {"competition.yaml", *files, *(n for found in inside.values() for n in found)}
    if named != names or not all(inside.values()):
        odd = sorted(named ^ names) or sorted(p for p, found in inside.items() if not found)
        raise BundleError(
            "zip-inconsistent",
            f"the packed {id} competition and its competition.yaml do not agree about {odd[0]}; "
            "this is a fault of packing, please report it.",
        )
    for folder in sorted(programs):
        start = len(folder) + 1
        check_command(folder, {name[start:]: archive.read(name) for name in inside[folder]})


def _check_sealed(archive: zipfile.ZipFile, name: str, id: str) -> None:
    with archive.open(name) as file:
        fault = sealed_fault(file)
    if fault is not None:
        raise BundleError(
            "zip-inconsistent",
            f"the packed {id} competition should be sealed, and what is in {name} {fault}; this "
            "is a fault of packing, please report it.",
        )


def _warnings(competition: Competition) -> tuple[str, ...]:
    found = []
    for phase in competition.phases:
        if phase.execution_time_limit > DEFAULT_QUEUE_CAP and "queue" not in competition.document:
            found.append(
                f"{phase.name}: the default queue allows {DEFAULT_QUEUE_CAP} s, not "
                f"{phase.execution_time_limit}; name your own queue or lower the limit."
            )
        if not phase.hide_prediction_output and any(t.ingestion_program for t in phase.tasks):
            found.append(
                f"{phase.name}: without hide_prediction_output participants can download what "
                "their code printed, and it has seen the images."
            )
    return tuple(found)


def pack_submission(folder: Path, output: Path | None = None) -> PackedZip:
    """Zip the contents of a submission's folder, ready to upload.

    Left out are dot files, ``__pycache__`` and an operating system's clutter. Where
    ``model.py`` lies one folder down, that folder's contents are packed, with a warning.

    Parameters
    ----------
    folder : Path
        Holds ``model.py``.
    output : Path, optional
        The zip; ``dist/<folder's name>.zip`` by default.

    Raises
    ------
    SubmissionError
        What `mimicry.codabench.submission_files.submission_members` finds.
    BundleError
        `zip-unwritable`, `zip-broken`.
    """
    target = output if output is not None else Path("dist") / f"{folder.resolve().name}.zip"
    members, warnings = submission_members(folder, target)
    write_zip(target, members, compress=True, check=lambda archive: None)
    return _packed(target, members, warnings)


def zip_to_upload(
    submission: Path, target: Path, competition: Competition
) -> tuple[Path, tuple[str, ...]]:
    """Return the zip that would be uploaded, and what its author should know.

    A folder is packed to `target`, and so is a JSON file where no code is run; a zip is
    taken as it is.

    Raises
    ------
    SubmissionError
        What `pack_submission` finds; for a competition without ingestion, which may
        take anything, only what no zip can hold.
    BundleError
        `zip-unwritable`, `zip-broken`.
    """
    tasks = [task for phase in competition.phases for task in phase.tasks]
    runs_code = any(task.ingestion_program is not None for task in tasks)
    if submission.is_dir() and runs_code:
        made = pack_submission(submission, target)
        return made.path, made.warnings
    if submission.is_dir():
        members, refused = folder_members(submission)
        if refused:
            first = refused[0]
            raise SubmissionError(
                first.code, f"{first.name} in {submission.name} cannot be packed: {first.reason}."
            )
    elif submission.suffix.lower() == ".json" and not runs_code:
        members = {submission.name: submission}
    else:
        return submission, ()
    write_zip(target, members, compress=True, check=lambda archive: None)
    return target, ()


def _packed(path: Path, members: Mapping[str, Content], warnings: tuple[str, ...]) -> PackedZip:
    return PackedZip(path, sha256_file(path), path.stat().st_size, tuple(sorted(members)), warnings)
