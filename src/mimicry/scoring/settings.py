"""``phase.json``: what packing says about the place where a program runs."""

import json
from pathlib import Path
from typing import NamedTuple

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file

FILE_NAME = "phase.json"
MAX_BYTES = 64 * 1024
FULL, DECLARED = "full", "declared"


class PhaseSettings(NamedTuple):
    """What a program was packed for.

    Attributes
    ----------
    competition, phase, task : str
        Their names.
    full_page : bool
        Whether the phase's rules let the results page show more than the board's columns.
        Never where the file does not say so.
    sealed : bool
        Whether the task's reference data are sealed.
    """

    competition: str
    phase: str
    task: str
    full_page: bool
    sealed: bool = False


def read_phase_settings(program_folder: Path, task: str) -> PhaseSettings | None:
    """Read ``phase.json`` beside a scoring program, or return None if there is none.

    Raises
    ------
    BundleError
        ``phase-settings`` when it cannot be read or is made for another task.
    """
    try:
        record = json.loads(read_regular_file(program_folder / FILE_NAME, MAX_BYTES))
    except UnusableFile as fault:
        if str(fault) == "is missing":
            return None
        raise _unusable(str(fault)) from None
    except (ValueError, RecursionError):
        raise _unusable("is not JSON") from None
    names = record if isinstance(record, dict) else {}
    competition, phase, packed_for = (names.get(key) for key in ("competition", "phase", "task"))
    if not (
        isinstance(competition, str) and isinstance(phase, str) and isinstance(packed_for, str)
    ):
        raise _unusable("does not name competition, phase and task")
    if packed_for != task:
        raise _unusable(f"is made for task {packed_for}, but this program scores task {task}")
    shown = names.get("results_page", DECLARED)
    if shown not in (FULL, DECLARED):
        raise _unusable(f"has a results_page that is neither {FULL} nor {DECLARED}")
    sealed = names.get("sealed", False)
    if not isinstance(sealed, bool):
        raise _unusable("has a sealed that is neither true nor false")
    return PhaseSettings(competition, phase, packed_for, shown == FULL, sealed)


def _unusable(finding: str) -> BundleError:
    return BundleError(
        "phase-settings",
        f"{FILE_NAME} beside the scoring program {finding}. Pack the competition again with "
        "mimicry pack.",
    )
