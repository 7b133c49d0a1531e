"""Folders of runs with real predictions and true scores."""

import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from codabench_minibundle import make_zip

from mimicry.codabench.records import RunRecord, TaskRecord, write_run
from mimicry.hybrids.program import score_submission

GROUPS = ("major", "minor", "mimic")
COUNT = 90


def put_labels(bundle: Path, *names: str) -> None:
    """Give a bundle of `copy_repository` reference data large enough to tell models apart."""
    rows = "".join(f"{n:03}.png,{n % 3 // 2},{GROUPS[n // 3 % 3]}\n" for n in range(COUNT))
    for name in names or ("val", "test"):
        table = f"filename,hybrid_stat,ssp_indicator\n{rows}".encode()
        make_zip(bundle / f"reference_data/{name}.zip", {f"{name}.csv": table})


def put_run(
    folder: Path,
    bundle: Path,
    *,
    skill: float = 2.0,
    seed: int = 0,
    phase: str = "development",
    submitted: str = "2026-11-10T00:00:00+00:00",
    **changes: object,
) -> RunRecord:
    """Write the folder of a finished run of the hybrid competition, better with more skill."""
    random = np.random.default_rng(seed)
    scores = [skill * (n % 3 // 2) + float(random.normal()) for n in range(COUNT)]
    prediction = folder / "hybrid/prediction"
    put_predictions(prediction, scores)
    (prediction / "participant.log").write_text("what the model printed\n")
    found = scores_of(
        bundle / f"reference_data/{'val' if phase == 'development' else 'test'}.zip", prediction
    )
    steps = {"ingestion": 0, "scoring": 0}
    task = TaskRecord(
        "finished",
        exit_codes=steps,
        seconds={"ingestion": 3.25, "scoring": 1.5},
        memory={"ingestion": 350_000_000, "scoring": None},
        scores=found,
        notes=("a note",),
        fingerprint="f",
    )
    record = RunRecord(
        competition="hybrid",
        phase=phase,
        submission=f"{folder.name}.zip",
        participant=folder.name,
        submission_sha256="0" * 64,
        engine="subprocess",
        started=submitted,
        finished=submitted,
        state="finished",
        tasks={"hybrid": task},
        submitted=submitted,
    )
    record = replace(record, **changes)  # type: ignore[arg-type]
    write_run(folder, record)
    return record


def put_failed_run(folder: Path, sentence: str, code: str = "predict-failed", **changes: object):
    """Write the folder of a run that failed."""
    task = TaskRecord(
        "failed",
        exit_codes={"ingestion": 3, "scoring": 3},
        seconds={"ingestion": 1.0, "scoring": 0.1},
        error=sentence,
        error_code=code,
        error_kind="submission",
    )
    when = "2026-11-10T00:00:00+00:00"
    record = RunRecord(
        *("hybrid", "development", "broken.zip", folder.name, "0" * 64, "subprocess", when, when),
        state="failed",
        tasks={"hybrid": task},
        submitted=when,
    )
    folder.mkdir(parents=True)
    write_run(folder, replace(record, **changes))  # type: ignore[arg-type]


def put_predictions(folder: Path, scores: Sequence[float]) -> None:
    """Write what ingestion leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(f"{number:03}.png", repr(score)) for number, score in enumerate(scores)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("filename", "score"), *rows])
    data = text.getvalue().encode()
    (folder / "predictions.csv").write_bytes(data)
    record = {"state": "finished", "predictions_sha256": hashlib.sha256(data).hexdigest()}
    (folder / "ingestion.json").write_text(json.dumps(record))


def scores_of(reference: Path, prediction: Path) -> dict[str, float]:
    """Score predictions with the program's own function."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        with zipfile.ZipFile(reference) as archive:
            archive.extractall(source / "ref")
        (source / "res").symlink_to(prediction.resolve())
        return dict(score_submission("hybrid", source).scores)
