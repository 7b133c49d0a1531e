"""The competitions of a bundle, read and checked as the platform would read them.

Every path in a competition file is relative to the bundle's root, also in
``competitions/<id>.yaml``, since each file becomes the ``competition.yaml`` at the
root of its own zip.
"""

from pathlib import Path

from mimicry.codabench.document import Section, read_document
from mimicry.codabench.model import Column, Competition, Leaderboard, Phase, Task
from mimicry.codabench.read_board import check_rule, read_board
from mimicry.codabench.read_phases import read_phases, read_tasks
from mimicry.errors import BundleError

__all__ = [
    "Column",
    "Competition",
    "Leaderboard",
    "Phase",
    "Task",
    "find_bundle",
    "list_competitions",
    "load_competition",
    "read_competition",
]

ROOT_ID = "two-task"
"""What the root's ``competition.yaml`` is called on the command line."""

_TOP_KEYS = (
    *("version", "title", "description", "image", "terms", "pages", "docker_image"),
    *("registration_auto_approve", "enable_detailed_results"),
    *("show_detailed_results_in_submission_panel", "show_detailed_results_in_leaderboard"),
    *("auto_run_submissions", "can_participants_make_submissions_public", "forum_enabled"),
    *("make_programs_available", "make_input_data_available", "competition_type"),
    *("reward", "contact_email", "queue", "fact_sheet", "tasks", "phases", "leaderboards"),
)

_FLAGS = tuple(
    key
    for key in _TOP_KEYS
    if key.startswith(("registration_", "enable_", "show_", "auto_run_", "can_", "make_", "forum_"))
)

_FACT_KEYS = ("key", "type", "title", "selection", "is_required", "is_on_leaderboard")


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
    """Return every competition file of a bundle by id, the root's first; none is read."""
    others = sorted((bundle / "competitions").glob("*.yaml"))
    return {
        ROOT_ID: bundle / "competition.yaml",
        **{path.stem: path for path in others if path.stem != ROOT_ID},
    }


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
    top = Section(document, (), document.data)
    top.known(_TOP_KEYS)
    version = top.require("version", "version: 2")
    if version is not None and (isinstance(version, bool) or str(version) != "2"):
        top.fault("version", f"only `version: 2` describes this format, not {version!r}.")
    for key in _FLAGS:
        top.flag(key, default=False)
    title, image = top.text("title", "Find the hybrids"), _read_image(top)
    _check_pages(top)
    _check_fact_sheet(top)
    tasks = read_tasks(top, bundle)
    phases = read_phases(top, tasks)
    board = read_board(top)
    if board is not None and top.sound("tasks", "phases", "leaderboards"):
        check_rule(top, phases, board)
    document.refuse_faults()
    assert board is not None
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


def _read_image(top: Section) -> str:
    image = top.text("docker_image", "ghcr.io/owner/image:1.0.0", limit=128)
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in {"", "latest"}:
        top.fault("docker_image", f"{image!r} names no fixed version; add a tag such as `:1.0.0`.")
    return image


def _check_pages(top: Section) -> None:
    top.path("image", "logo.png")
    top.path("terms", "pages/terms.md")
    for page in top.sections("pages", "pages: [{title: Overview, file: pages/overview.md}]"):
        page.known(("title", "file"))
        page.text("title", "Overview")
        page.path("file", "pages/overview.md")


def _check_fact_sheet(top: Section) -> None:
    if not top.has("fact_sheet"):
        return
    sheet = top.data["fact_sheet"]
    if not isinstance(sheet, dict):
        top.fault("fact_sheet", "this must be a mapping of questions by their keys.")
        return
    for name, entry in sheet.items():
        keys = ("fact_sheet", str(name))
        if not isinstance(entry, dict) or set(entry) != set(_FACT_KEYS):
            top.document.fault(keys, f"a question has exactly the keys {', '.join(_FACT_KEYS)}.")
            continue
        question = Section(top.document, keys, entry)
        if entry["key"] != name:
            question.fault("key", f"this must repeat the question's own key: `{name}`.")
        question.text("title", "Method")
        kind = question.choice("type", ("text", "checkbox", "select"), default="text")
        for flag in ("is_required", "is_on_leaderboard"):
            if entry[flag] not in ("true", "false"):
                question.fault(
                    flag, "the platform compares with texts; write 'true' or 'false' in quotes."
                )
        selection = entry["selection"]
        right = {
            "text": selection == "",
            "checkbox": selection == [True, False],
            "select": isinstance(selection, list) and bool(selection),
        }
        if question.sound("type") and not right[kind]:
            question.fault(
                "selection", "write '' for text, [true, false] for checkbox, a list for select."
            )
