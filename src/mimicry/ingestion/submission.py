"""Where a submission's model lies."""

import stat
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import SubmissionError
from mimicry.files import is_clutter

MODEL_FILE = "model.py"


class FoundModel(NamedTuple):
    """The folder that holds ``model.py``, and the wrapping folder's name if it is in one."""

    folder: Path
    wrapper: str | None


def find_model(submission: Path) -> FoundModel:
    """Find ``model.py`` at a submission's root, else exactly one folder down.

    Zipping a folder instead of its contents is the commonest packing mistake,
    so one wrapping folder is accepted; the caller should say so.

    Parameters
    ----------
    submission : Path
        The unpacked submission.

    Raises
    ------
    SubmissionError
        ``no-model-file`` where there is none (a link or folder of that name
        does not count), ``ambiguous-model`` where several folders hold one,
        ``submission-unreadable`` for a folder that cannot be read.
    """
    try:
        return _find_model(submission)
    except OSError as error:
        raise SubmissionError(
            "submission-unreadable",
            f"the submission's folder cannot be read ({error.strerror}). If metadata has a "
            "command, that may have closed it: leave files and folders readable.",
        ) from error


def _find_model(submission: Path) -> FoundModel:
    if _is_plain_file(submission / MODEL_FILE):
        return FoundModel(submission, None)
    inside = sorted(submission.iterdir()) if submission.is_dir() else []
    entries = [entry for entry in inside if not is_clutter(entry.name)]
    folders = [
        entry
        for entry in entries
        if not entry.is_symlink() and entry.is_dir() and _is_plain_file(entry / MODEL_FILE)
    ]
    if len(folders) == 1:
        return FoundModel(folders[0], folders[0].name)
    if folders:
        names = ", ".join(folder.name for folder in folders[:5])
        raise SubmissionError(
            "ambiguous-model",
            f"{len(folders)} folders of the submission hold a model.py ({names}). "
            "Put the one to run at the zip's root.",
        )
    found = ", ".join(entry.name for entry in entries[:8]) or "nothing"
    raise SubmissionError(
        "no-model-file",
        "model.py is neither at the submission's root nor one folder down "
        f"(found at the root: {found}). Zip the contents of the folder that holds model.py.",
    )


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
