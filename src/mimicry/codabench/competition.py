"""The competitions of a bundle, read and checked as the platform would read them.

Every path in a competition file is relative to the bundle's root, also in
``competitions/<id>.yaml``, since each file becomes the ``competition.yaml`` at the
root of its own zip.
"""

import json
import re
from pathlib import Path

from mimicry.codabench.model import Column, Competition, Leaderboard, Phase, Task
from mimicry.codabench.reading.board import check_rule, read_board
from mimicry.codabench.reading.document import Document
from mimicry.codabench.reading.phases import read_phases
from mimicry.codabench.reading.section import Section
from mimicry.codabench.reading.tasks import read_tasks
from mimicry.codabench.reading.top import check_solutions, read_texts
from mimicry.codabench.reading.yaml_file import read_document
from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.scoring.settings import FILE_NAME, MAX_BYTES

__all__ = [
    "Column",
    "Competition",
    "Leaderboard",
    "Phase",
    "Task",
    "describe_competition",
    "find_bundle",
    "list_competitions",
    "load_competition",
    "read_competition",
]

ROOT_ID = "two-task"
"""What the root's ``competition.yaml`` is called on the command line, unless it was packed."""

_LARGEST_YAML = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)


def find_bundle(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds ``competition.yaml``.

    Raises
    ------
    BundleError
        `bundle-not-found` when there is none up to the root of the file system.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / "competition.yaml").is_file():
            return folder
    raise BundleError(
        "bundle-not-found",
        f"There is no competition.yaml in {here} or above; run this inside a clone of the bundle.",
    )


def list_competitions(bundle: Path) -> dict[str, Path]:
    """Return every competition file of a bundle by id, the root's first; none is checked.

    The root's is called what it was packed as, where the bundle is a zip unpacked again.
    """
    others = sorted((bundle / "competitions").glob("*.yaml"))
    root_id = ROOT_ID if others else _packed_id(bundle) or ROOT_ID
    return {
        root_id: bundle / "competition.yaml",
        **{path.stem: path for path in others if path.stem != ROOT_ID},
    }


def _packed_id(bundle: Path) -> str | None:
    """Return the id that the programs of an unpacked competition were packed with, if they agree.

    Only programs that ``competition.yaml`` names count, so that another competition below
    this folder gives it no name.
    """
    packed = [*bundle.glob(f"*/*/{FILE_NAME}"), *bundle.glob(f"*/*/*/{FILE_NAME}")]
    if not packed:
        return None
    found = set()
    try:
        document = read_regular_file(bundle / "competition.yaml", _LARGEST_YAML)
        for path in packed:
            if path.parent.relative_to(bundle).as_posix().encode() in document:
                found.add(json.loads(read_regular_file(path, MAX_BYTES))["competition"])
    except (UnusableFile, ValueError, KeyError, TypeError, RecursionError):
        return None
    id = found.pop() if len(found) == 1 else None
    return id if isinstance(id, str) and _ID.fullmatch(id) else None


def load_competition(bundle: Path, id: str) -> Competition:
    """Read and check one competition of a bundle.

    Checks what the platform checks when it unpacks, and what it takes in silence
    though it cannot work: unknown keys, times of day without quotes, a ranking
    column that does not exist, migration into a phase of several tasks. Whether the
    files that it names exist is checked when they are used or packed.

    Parameters
    ----------
    bundle : Path
        The folder that holds ``competition.yaml``.
    id : str
        As listed by `list_competitions`.

    Raises
    ------
    BundleError
        `competition-unknown`; `competition-yaml` with file, line, key and remedy of every
        fault, or for the root's file when another one has its id.
    """
    root = bundle.resolve()
    files = list_competitions(root)
    if id not in files:
        raise BundleError(
            "competition-unknown",
            f"There is no competition {id!r} in {root}; choose one of: {', '.join(files)}.",
        )
    hidden = root / "competitions" / f"{ROOT_ID}.yaml"
    if id == ROOT_ID and hidden.exists():
        raise BundleError(
            "competition-yaml",
            f"competitions/{hidden.name} has the id of the root's competition.yaml; rename it.",
        )
    return read_competition(root, files[id], id)


def read_competition(bundle: Path, path: Path, id: str) -> Competition:
    """Read and check the competition file `path` of `bundle`; see `load_competition`."""
    document = read_document(path, path.relative_to(bundle).as_posix())
    competition = describe_competition(document, bundle, path, id)
    document.refuse_faults()
    assert competition is not None
    return competition


def describe_competition(
    document: Document, bundle: Path, path: Path, id: str
) -> Competition | None:
    """Note every fault of a competition file in `document`, and return what it describes.

    Reads no other file. With a fault that is no warning, parts of the competition are
    stand-ins; None where nothing can be said at all.

    Parameters
    ----------
    document : Document
        The parsed file.
    bundle, path : Path
        What the paths of the competition are put below, and its own place.
    id : str
        Its name on the command line.
    """
    if not document.readable:
        return None
    top = Section(document, (), document.data)
    title, image = read_texts(top)
    tasks = read_tasks(top, bundle)
    check_solutions(top)
    phases = read_phases(top, tasks, bundle)
    board = read_board(top)
    if board is not None:
        check_rule(top, phases, board)
    if board is None:
        return None
    return Competition(
        id=id,
        path=path,
        bundle=bundle,
        title=title,
        docker_image=image,
        phases=phases,
        leaderboard=board,
        document=document.data,
    )
