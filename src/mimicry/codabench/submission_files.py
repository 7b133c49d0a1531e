"""Which files of a participant's folder go into the zip to upload."""

from collections.abc import Mapping
from pathlib import Path

from mimicry.codabench.engines.jobs import LARGEST_METADATA, parse_metadata
from mimicry.codabench.zips import Content, folder_members
from mimicry.errors import SubmissionError
from mimicry.ingestion.submission import find_model

METADATA_FILES = ("metadata", "metadata.yaml")
SHOWN = 5


def submission_members(folder: Path, output: Path) -> tuple[dict[str, Content], tuple[str, ...]]:
    """Return what of `folder` is packed, and what its author should know.

    Parameters
    ----------
    folder : Path
        Holds ``model.py``, or one folder that does.
    output : Path
        Where the zip will be; left out when it lies inside.

    Raises
    ------
    SubmissionError
        `submission-missing` when there is no such folder, `submission-unreadable`,
        `submission-link` and `submission-name` as `folder_members` finds them, and what
        `mimicry.ingestion.submission.find_model` finds.
    """
    if not folder.is_dir():
        raise SubmissionError(
            "submission-missing",
            f"{folder} is no folder; name the folder that holds model.py.",
        )
    try:
        found = find_model(folder)
    except OSError as error:
        raise SubmissionError(
            "submission-unreadable",
            f"{folder} cannot be read ({error.strerror or error}); change its permissions.",
        ) from error
    files, refused = folder_members(found.folder)
    if refused:
        code, reason = refused[0].code, refused[0].reason
        raise SubmissionError(
            code,
            f"{_first([r.name for r in refused if r.code == code])} in {found.folder.name} cannot "
            f"be packed: {reason}.",
        )
    members = {name: path for name, path in files.items() if path.resolve() != output.resolve()}
    warnings = []
    if found.wrapper is not None:
        warnings.append(
            f"model.py lies in {found.wrapper}/; its contents are packed, and nothing beside it."
        )
    if not any(name in members for name in METADATA_FILES):
        size = sum(path.stat().st_size for path in files.values())
        warnings.append(
            "there is no file `metadata`, so the platform copies the whole submission "
            f"({size:,} bytes) into the results of every task; add an empty one beside model.py."
        )
    elif _has_command(members):
        warnings.append(
            "`metadata` holds a `command`: the platform runs it as a program of its own before "
            "your model; remove the line."
        )
    return dict(members), tuple(warnings)


def _has_command(members: Mapping[str, Path]) -> bool:
    # The platform prefers metadata.yaml where both are there.
    name = "metadata.yaml" if "metadata.yaml" in members else "metadata"
    with members[name].open("rb") as file:
        return parse_metadata(name, file.read(LARGEST_METADATA + 1)).command is not None


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
