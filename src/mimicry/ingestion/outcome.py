"""The output folder: emptied first, written last, never half a result."""

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mimicry.errors import BundleError
from mimicry.files import remove_tree, write_atomically

PREDICTIONS_FILE = "predictions.csv"
STATE_FILE = "ingestion.json"
LOG_FILE = "participant.log"
BUG_FILE = "ingestion_traceback.txt"


@dataclass(frozen=True)
class Outcome:
    """What ``ingestion.json`` holds, field by field.

    `state` is ``running``, ``finished`` or ``failed``; a reader must take
    ``running`` (the supervisor itself was ended) and a missing file as failed.
    `seconds` counts from the program's start. `predictions_sha256` is set only
    in state ``finished``. `replaced` tells what served in the place of exact versions
    in ``requirements.txt`` that could not be had (``torch 2.13.0 for torch==2.3.0``).

    What the run cost is there as far as it is known, and readers do without it:
    `time_limit` is the phase's in seconds; `load_seconds` runs from the start of the
    model's process until ``load`` returned, `predict_seconds` from then to the last score;
    `batch_size` is the number of images a call got; `peak_memory_bytes` is the largest
    resident memory of the model's process, decoded images that it was handed included.

    `isolation` says which protections were ``active`` and which ``missing``, with reasons;
    None when no model was started.
    """

    state: str
    error_kind: str | None = None
    error_code: str | None = None
    error: str | None = None
    images: int = 0
    predicted: int = 0
    seconds: float = 0.0
    predictions_sha256: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    time_limit: float | None = None
    load_seconds: float | None = None
    predict_seconds: float | None = None
    batch_size: int | None = None
    peak_memory_bytes: int | None = None
    isolation: Mapping[str, Sequence[str]] | None = None


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write ``ingestion.json`` as a whole or not at all."""
    text = json.dumps(asdict(outcome), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / STATE_FILE, text + "\n")


def write_predictions(folder: Path, scores: Mapping[str, float]) -> str:
    """Write ``predictions.csv``, names sorted, and return its SHA-256.

    Scores are written as the shortest decimals that give the same float64 back.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["filename", "score"])
    writer.writerows((name, repr(scores[name])) for name in sorted(scores))
    data = text.getvalue().encode("utf-8")
    write_atomically(folder / PREDICTIONS_FILE, data)
    return hashlib.sha256(data).hexdigest()


def empty_folder(folder: Path, keep: Collection[str] = ()) -> list[str]:
    """Remove everything in a folder but the names in `keep`; make it if missing.

    Links are removed, not followed.

    Returns
    -------
    list of str
        The names that were removed, sorted.

    Raises
    ------
    BundleError
        ``output-folder``: it cannot be made or emptied.
    """
    removed = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A submission's own command runs before this program, and may have closed it.
        with suppress(OSError):
            folder.chmod(0o755)
        for entry in sorted(folder.iterdir()):
            if entry.name in keep:
                continue
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            else:
                entry.unlink()
            removed.append(entry.name)
    except OSError as error:
        raise BundleError(
            "output-folder",
            f"the output folder cannot be emptied: {error.strerror} "
            f"({Path(str(error.filename)).name}). "
            "Give ingestion a folder of its own that it may write.",
        ) from error
    return removed
