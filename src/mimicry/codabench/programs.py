"""Programs as the platform gets them: complete by themselves and told where they run.

`mimicry run` stages programs with the function that packs them, so that what runs
at home is what runs on the platform.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from mimicry.codabench.engines.jobs import METADATA_NAMES, Kind, Metadata, parse_metadata
from mimicry.codabench.model import Competition, Phase, Task
from mimicry.codabench.program_command import command_faults
from mimicry.codabench.reachable import PACKAGE, package_folder, reachable_modules
from mimicry.codabench.reading.document import ERROR
from mimicry.codabench.sealing import is_sealed
from mimicry.codabench.zips import Content, folder_members
from mimicry.errors import BundleError
from mimicry.scoring.settings import DECLARED, FULL

SETTINGS_FILE = "phase.json"


@dataclass(frozen=True)
class ProgramSettings:
    """What a program is told about where it runs, as ``phase.json`` beside it.

    Attributes
    ----------
    competition : str
        The competition's id.
    phase : str
        The phase's name, as in the competition file.
    task : str
        The task's key.
    execution_time_limit : int
        Seconds.
    results_page : {"full", "declared"}
        What the phase lets the results page show: what cannot reveal single labels, or the
        board's columns alone.
    sealed : bool
        Whether the task's reference data are sealed, so that scoring refuses plain ones.
    """

    competition: str
    phase: str
    task: str
    execution_time_limit: int
    results_page: str = DECLARED
    sealed: bool = False

    def to_json(self) -> str:
        """Return the text of ``phase.json``."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def program_settings(
    competition: Competition, phase: Phase, task: Task, *, sealed: bool | None = None
) -> ProgramSettings:
    """Return the settings that packing gives to the programs of one task of a phase.

    `sealed` is whether the reference data are, by default as they are in the bundle.
    """
    return ProgramSettings(
        competition=competition.id,
        phase=phase.name,
        task=task.key,
        execution_time_limit=phase.execution_time_limit,
        results_page=results_page(phase),
        sealed=is_sealed(task.reference_data) if sealed is None else sealed,
    )


def results_page(phase: Phase) -> str:
    """Return what a phase's rules let the results page show: ``full`` or ``declared``.

    The page is open to everybody, whatever the phase hides. So a phase that hides its
    output or its scores' files shows no more on the page than on the board.
    """
    return DECLARED if phase.hide_output or phase.hide_score_output else FULL


def program_members(program: Path, settings: ProgramSettings) -> dict[str, Content]:
    """Return everything that a packed program consists of, by its path in the program.

    The program's own files, the part of the package that its scripts can reach as
    ``mimicry/``, and ``phase.json``.

    Raises
    ------
    BundleError
        `program-missing`, `program-files` (links that leave the folder, names that
        packing needs), `program-metadata` (no metadata file, no usable command), and
        what `mimicry.codabench.reachable.reachable_modules` finds.
    """
    if not program.is_dir():
        raise BundleError(
            "program-missing",
            f"{program.name}: there is no such program folder in the bundle; correct the path in "
            "the competition file or add the folder.",
        )
    files, refused = folder_members(program)
    taken = [
        name
        for name in files
        if name == SETTINGS_FILE or PurePosixPath(name).parts[0] in (PACKAGE, f"{PACKAGE}.py")
    ]
    if refused or taken:
        raise BundleError(
            "program-files",
            f"{program.name}/{([r.name for r in refused] + taken)[0]} cannot be packed: "
            + (
                f"{refused[0].reason}."
                if refused
                else "packing writes this name itself; rename it."
            ),
        )
    members: dict[str, Content] = dict(files)
    package = package_folder()
    for module in reachable_modules(program, package).modules:
        members[f"{PACKAGE}/{module}"] = package / module
    members[SETTINGS_FILE] = settings.to_json().encode()
    check_command(program.name, members)
    return dict(sorted(members.items()))


def stage_program(program: Path, destination: Path, settings: ProgramSettings) -> None:
    """Write a packed program as a folder, the same files as in the packed competition.

    A program of a competition that was packed and unpacked again is written as it is.

    Parameters
    ----------
    program : Path
        The program's folder in the bundle.
    destination : Path
        Made when missing; must be empty.
    settings : ProgramSettings
        Written as ``phase.json``.

    Raises
    ------
    BundleError
        `stage-not-empty`, and what `program_members` finds.
    """
    members = staged_members(program, settings)
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise BundleError(
            "stage-not-empty",
            f"{destination} is not empty; name another folder, or remove what is in it.",
        )
    for name, content in members.items():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(_bytes(content))


def staged_members(program: Path, settings: ProgramSettings) -> dict[str, Content]:
    """Return everything that a program that runs consists of, by its path in the program.

    As `program_members`, but a program of a competition that was packed and unpacked again
    is taken as it is.
    """
    return _packed_before(program) or program_members(program, settings)


def _packed_before(program: Path) -> dict[str, Content] | None:
    """Return the files of a program that packing has completed; None for one of a source."""
    marks = (SETTINGS_FILE, f"{PACKAGE}/__init__.py")
    if not all((program / mark).is_file() for mark in marks):
        return None
    files, refused = folder_members(program)
    if refused:
        return None
    members: dict[str, Content] = dict(files)
    check_command(program.name, members)
    return members


def check_command(shown: str, members: Mapping[str, Content]) -> None:
    """Check that a program's metadata names a command that the platform can run.

    The platform runs it without a shell in ``/app/program``, from files that have lost
    their executable bits, and says little when there is none.

    Raises
    ------
    BundleError
        `program-metadata`.
    """
    name = next((n for n in METADATA_NAMES if n in members), None)
    metadata = (
        Metadata(None, None, None) if name is None else parse_metadata(name, _bytes(members[name]))
    )
    kind: Kind = "ingestion" if "ingestion" in shown.rpartition("/")[2] else "scoring"
    for fault in command_faults(metadata, members, kind):
        if fault.level == ERROR or fault.code == "command-no-script":
            raise BundleError("program-metadata", f"{shown}: {fault.problem}; {fault.mend}.")


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()
