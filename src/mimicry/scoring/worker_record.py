"""What the platform's worker records of a run's prediction step, beside its output."""

import re
from pathlib import Path

from mimicry.errors import BundleError, SubmissionError
from mimicry.files import UnusableFile, read_regular_file

RECORD = "metadata"
_MOST_BYTES = 1024 * 1024
_INGESTION = re.compile(rb"^ingestionExitCode:[ \t]*([^\s#]+)", re.MULTILINE)
_OWN_COMMAND = re.compile(rb"^exitCode:[ \t]*([^\s#]+)", re.MULTILINE)
_NOT_RUN = {b"null", b"~", b"Null", b"NULL"}


def check_ingestion_ended(results: Path) -> None:
    """Refuse a finished record when the platform says that ingestion did not end well.

    A submission's files can reach this folder without ingestion having run at
    all. The platform's worker writes its record itself; dry runs by hand have none.

    Parameters
    ----------
    results : Path
        The prediction step's output, ``/app/input/res`` on the platform.

    Raises
    ------
    BundleError
        ``ingestion-exit-code``.
    """
    found = _INGESTION.search(_read(results))
    if found and found[1] != b"0":
        raise BundleError(
            "ingestion-exit-code",
            "The platform says that ingestion did not end with exit code 0, yet ingestion.json "
            "says finished, so these predictions are not graded. Submit again; if it happens "
            "twice, the organisers should look at the worker and the container image.",
        )


def refuse_own_command(results: Path) -> None:
    """Refuse a submission that the platform has started with a command of its own.

    Such a command runs in a container without the walls that ingestion builds around a
    model: it reads the input images with their names, and all of ``/app/data``.

    Parameters
    ----------
    results : Path
        As for `check_ingestion_ended`.

    Raises
    ------
    SubmissionError
        ``submission-command-refused``.
    """
    found = _OWN_COMMAND.search(_read(results))
    if found and found[1] not in _NOT_RUN:
        raise SubmissionError(
            "submission-command-refused",
            "metadata in the submission has a command, and this competition takes none: remove "
            "the line `command` from it. The ingestion program loads model.py by itself.",
        )


def _read(results: Path) -> bytes:
    try:
        return read_regular_file(results / RECORD, _MOST_BYTES)
    except UnusableFile as fault:
        if str(fault) == "is missing":
            return b""
        raise BundleError(
            "ingestion-exit-code",
            f"The platform's record of the run {fault}, so these predictions are not graded. "
            "The organisers should look at the worker.",
        ) from None
