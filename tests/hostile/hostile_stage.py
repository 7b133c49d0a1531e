"""A small competition to run the corpus in, and runs of it as `mimicry run` makes them."""

import io
import json
import secrets
import shutil
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml
from hostile_case import Case
from PIL import Image, ImageStat

from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES, Resources
from mimicry.codabench.records import RunRecord, TaskRecord
from mimicry.codabench.run_request import RunRequest
from mimicry.codabench.runs import run_submission

REPOSITORY = Path(__file__).resolve().parents[2]
GROUPS = ("major", "minor", "mimic")
IMAGES = 12
SIZE = (48, 32)
# GiB; the programs' own limit would take long to fill.
DISK_LIMIT = 0.125

# Reads and refuses what the real one does, with its own functions; what it computes
# depends on every digit of the predictions, and needs neither NumPy nor scikit-learn.
LIGHT_SCORER = '''\
"""Score a submission: score_hybrid.py INPUT_DIR OUTPUT_DIR."""

import hashlib
import sys
from pathlib import Path

from mimicry.hybrids.outcome import read_outcome
from mimicry.hybrids.predictions import match_predictions, parse_predictions
from mimicry.hybrids.reference import check_gradable, read_reference
from mimicry.hybrids.tasks import TASKS
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring

TASK = TASKS["hybrid"]


def score(source):
    outcome = read_outcome(source / "res")
    reference = read_reference(source / "ref")
    check_gradable(reference, TASK.groups, TASK.key)
    predicted = match_predictions(parse_predictions(outcome.predictions), reference.filenames)
    numbers = hashlib.sha256(repr(list(predicted)).encode()).digest()
    scores = {key: numbers[n] / 255 for n, key in enumerate(TASK.keys)}
    return Scored(scores, f"{len(predicted)} images", lambda facts: [])


if __name__ == "__main__":
    program = ScoringProgram(TASK.key, TASK.title, "ref and res", TASK.keys, score)
    sys.exit(run_scoring(program, Path(__file__).resolve().parent))
'''


@dataclass(frozen=True)
class Canaries:
    """Texts that occur in one secret place each, and must turn up nowhere else."""

    image: str = field(default_factory=lambda: f"canary-image-{secrets.token_hex(6)}")
    label: str = field(default_factory=lambda: f"canary-label-{secrets.token_hex(6)}")
    environment: str = field(default_factory=lambda: f"canary-environment-{secrets.token_hex(6)}")
    home: str = field(default_factory=lambda: f"canary-home-{secrets.token_hex(6)}")

    def found_in(self, text: bytes) -> list[str]:
        """Return those that stand in `text`."""
        return [name for name in vars(self).values() if name.encode() in text]


def make_bundle(bundle: Path, canaries: Canaries, *, full: bool, image: str | None) -> Path:
    """Write the hybrid competition with tiny data; `full` keeps its real scoring program."""
    for name in ("competitions", "ingestion_program", "scoring_program_hybrid"):
        source = REPOSITORY / name
        shutil.copytree(source, bundle / name, ignore=shutil.ignore_patterns("__pycache__"))
    if not full:
        scorer = bundle / "scoring_program_hybrid" / "score_hybrid.py"
        scorer.write_text(LIGHT_SCORER, encoding="utf-8")
    start = bundle / "ingestion_program" / "metadata.yaml"
    start.write_text(f"{start.read_text().rstrip()} --disk-limit {DISK_LIMIT}\n", encoding="utf-8")
    document = bundle / "competitions" / "hybrid.yaml"
    competition = yaml.safe_load(document.read_text(encoding="utf-8"))
    if image is not None:
        competition["docker_image"] = image
    document.write_text(yaml.safe_dump(competition, sort_keys=False), encoding="utf-8")
    names = image_names(canaries)
    rows = [
        f"{name},{number % 2},{GROUPS[number // 2 % 3]},{canaries.label}"
        for number, name in enumerate(names)
    ]
    table = "\n".join(["filename,hybrid_stat,ssp_indicator,note", *rows, ""])
    for data in ("val", "test"):
        _zip(bundle / "reference_data" / f"{data}.zip", {f"{data}.csv": table.encode()})
        pictures = {name: _picture(number) for number, name in enumerate(names)}
        _zip(bundle / "input_data" / f"{data}.zip", pictures)
    return bundle


def image_names(canaries: Canaries) -> list[str]:
    """Return the images' names; one that a model may guess is among them."""
    return [f"{canaries.image}-{number:02}.jpg" for number in range(IMAGES - 1)] + ["guessable.jpg"]


def honest_predictions(canaries: Canaries) -> bytes:
    """Return what ingestion must write for the honest model, worked out here."""
    scores = {}
    for number, name in enumerate(image_names(canaries)):
        with Image.open(io.BytesIO(_picture(number))) as picture:
            scores[name] = ImageStat.Stat(picture.convert("L")).mean[0]
    rows = "".join(f"{name},{scores[name]!r}\n" for name in sorted(scores))
    return f"filename,score\n{rows}".encode()


def _picture(number: int) -> bytes:
    picture = Image.new("RGB", SIZE, (20 * number, 255 - 11 * number, 7 * number))
    picture.paste((number, 90, 255), (number, number, number + 20, number + 9))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def _zip(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@dataclass(frozen=True)
class Ended:
    """What a run has come to.

    Attributes
    ----------
    record : RunRecord
        As `run_submission` returned it.
    lines : list of str
        What the command would have printed.
    folder : Path
        The run folder.
    """

    record: RunRecord
    lines: list[str]
    folder: Path

    @property
    def task(self) -> TaskRecord:
        (task,) = self.record.tasks.values()
        return task

    @property
    def outcome(self) -> str:
        """``finished``, or the error's code."""
        return self.record.state if self.task.error is None else str(self.task.error_code)

    @property
    def prediction(self) -> Path:
        return self.folder / "hybrid" / "prediction"

    @property
    def scoring(self) -> Path:
        return self.folder / "hybrid" / "scoring"

    @property
    def log(self) -> bytes:
        """What the model printed; private."""
        path = self.prediction / "participant.log"
        return path.read_bytes() if path.is_file() else b""

    @property
    def state(self) -> dict[str, object]:
        found = json.loads((self.prediction / "ingestion.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found

    def public(self) -> dict[str, bytes]:
        """Return every text that a participant, or everybody, may get to see."""
        texts = {"the terminal": "\n".join(self.lines).encode()}
        for path in [
            self.folder / "run.json",
            *sorted((self.folder / "hybrid" / "logs").glob("*")),
            *sorted(self.scoring.glob("*")),
        ]:
            if path.is_file():
                texts[path.relative_to(self.folder).as_posix()] = path.read_bytes()
        return texts


def run_case(case: Case, engine: str, bundle: Path, folder: Path) -> Ended:
    """Run a case in the new folder `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{case.name}.zip"
    archive.write_bytes(case.archive)
    competition = load_competition(bundle, "hybrid")
    phase = competition.phase("development")
    chosen = ENGINES[engine]
    asked = {"network": case.network, "memory": case.memory, "pids": case.pids}
    known = {name: value for name, value in asked.items() if name in chosen.limits}
    request = RunRequest(
        competition=competition,
        phase=phase,
        tasks=phase.tasks,
        submission=archive,
        participant="eve",
        # Whether the image is here has been asked once; asking costs a client each time.
        engine=replace(chosen, prepare=None),
        output=folder / "run",
        time_limit=case.limit,
        resources=Resources(**known),  # type: ignore[arg-type]
    )
    lines: list[str] = []
    return Ended(run_submission(request, lines.append), lines, folder / "run")
