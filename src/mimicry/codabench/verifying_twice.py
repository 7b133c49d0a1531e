"""Whether a run and its second one still give what `mimicry run --twice` recorded of them."""

import os
import stat
from pathlib import Path

from mimicry.codabench.model import Phase
from mimicry.codabench.provenance import PROVENANCE_FILE, Provenance
from mimicry.codabench.records import RunRecord, read_run
from mimicry.codabench.twice import SECOND, compare_runs, outcome, runs_code
from mimicry.codabench.verifying_lines import AGREES, DIFFERS, UNCHECKED, Line, compared
from mimicry.codabench.verifying_task import plain_folder
from mimicry.errors import BundleError

_WHAT = "run twice"


def second_folder(run: Path) -> Path | None:
    """Return the folder of a run's second one; None without one, or where a link leads there."""
    folder = run / SECOND
    try:
        return folder if stat.S_ISDIR(os.lstat(folder).st_mode) else None
    except OSError:
        return None


def twice_lines(
    folder: Path, record: RunRecord, origin: Provenance | None, phase: Phase | None
) -> list[Line]:
    """Compare a run and its second one again, and the outcome with what was recorded.

    Parameters
    ----------
    folder, record : Path, RunRecord
        The first run's.
    origin : Provenance or None
        Holds what was recorded of the two.
    phase : Phase or None
        The run's, where it can be had.

    Returns
    -------
    list of Line
        Empty where nothing was repeated. What is changed within the second run is told when
        that one is verified, as a run of its own.
    """
    recorded = origin.repeated if origin is not None else None
    second = second_folder(folder)
    if second is None:
        return [] if recorded is None else [_without(folder, record, phase)]
    if recorded is None:
        words = (
            f"{PROVENANCE_FILE} says nothing of {SECOND}: it has not ended, or is of another run"
        )
        return [Line(_WHAT, UNCHECKED, words)]
    try:
        again = read_run(second)
    except BundleError as error:
        return [Line(_WHAT, DIFFERS, str(error))]
    for key in record.tasks:
        if plain_folder(folder, key, "prediction") is None:
            return [Line(_WHAT, DIFFERS, "predictions of the first run are gone", key)]
        if key in again.tasks and plain_folder(second, key, "prediction") is None:
            return [Line(_WHAT, DIFFERS, "predictions of the second run are gone", key)]
    found = outcome(record, compare_runs(folder, record, second, again))
    return [compared(_WHAT, recorded, found, same=f"both runs are there, {found} as recorded")]


def _without(folder: Path, record: RunRecord, phase: Phase | None) -> Line:
    """Return the line of an outcome without a second run."""
    if phase is None:
        return Line(_WHAT, UNCHECKED, f"{SECOND} is not there")
    if any(runs_code(phase, folder, key) for key in record.tasks):
        return Line(_WHAT, UNCHECKED, f"{SECOND} is gone, so what was recorded of it stands alone")
    return Line(_WHAT, AGREES, "nothing of the submission is run, so there is no second run")
