"""A bundle without any fault, as files in memory, to plant faults in."""

import copy
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from codabench_minibundle import PNG, make_zip, picture

Files = dict[str, bytes]

DOCUMENT: dict[str, Any] = {
    "version": 2,
    "title": "Good",
    "description": "Nothing is wrong with this one.",
    "image": "logo.png",
    "terms": "pages/terms.md",
    "docker_image": "registry.example/core:1.2.3",
    "registration_auto_approve": True,
    "enable_detailed_results": False,
    "competition_type": "competition",
    "contact_email": "organiser@example.org",
    "pages": [
        {"title": "Overview", "file": "pages/overview.md"},
        {"title": "Data", "file": "pages/data.md"},
    ],
    "fact_sheet": {
        "method": {
            "key": "method",
            "type": "text",
            "title": "Method",
            "selection": "",
            "is_required": "true",
            "is_on_leaderboard": "false",
        },
        "public": {
            "key": "public",
            "type": "checkbox",
            "title": "Public?",
            "selection": [True, False],
            "is_required": "false",
            "is_on_leaderboard": "false",
        },
    },
    "solutions": [{"index": 0, "tasks": [0], "path": "solutions/one.zip"}],
    "tasks": [
        {
            "index": number,
            "name": f"Task of {data}",
            "description": "All of it.",
            "input_data": f"input_data/{data}.zip",
            "reference_data": f"reference_data/{data}.zip",
            "ingestion_program": "programs/ingestion_program",
            "scoring_program": "programs/scoring_program",
        }
        for number, data in enumerate(("val", "test"))
    ],
    "phases": [
        {
            "index": 0,
            "name": "Development",
            "description": "Try.",
            "start": "2026-01-01 00:00:00",
            "end": "2026-02-01 12:30:00",
            "tasks": [0],
            "execution_time_limit": 300,
            "max_submissions_per_day": 10,
            "max_submissions": 20,
            "hide_prediction_output": True,
            "public_data": "downloads/public.csv",
            "starting_kit": "downloads/kit",
        },
        {
            "index": 1,
            "name": "Final",
            "start": "2026-02-02 00:00:00",
            "end": "2026-03-02 00:00:00",
            "tasks": [1],
            "execution_time_limit": 600,
            "max_submissions_per_day": 2,
            "max_submissions": 5,
            "auto_migrate_to_this_phase": True,
            "hide_output": True,
        },
    ],
    "leaderboards": [
        {
            "title": "Results",
            "key": "results",
            "submission_rule": "Force_Best",
            "primary_index": 0,
            "columns": [
                {"title": "Score", "key": "score", "index": 0, "sorting": "desc", "precision": 4},
                {"title": "Recall", "key": "recall", "index": 1, "sorting": "desc", "precision": 4},
                {"title": "Loss", "key": "loss", "index": 2, "sorting": "asc", "precision": 4},
            ],
        }
    ],
}

SCORE = """import json
import sys

scores = {"score": 0.5, "recall": 0.25}
scores["loss"] = 1.0
with open(sys.argv[2] + "/scores.json", "w") as file:
    json.dump(scores, file)
"""

OVERVIEW = """# Good

It costs nothing, and $a + b = c$ is a formula. A line may hold one $ alone.
See [the data](https://example.org/data) and `![code](local.png)`.
![](https://example.org/picture.png)

```
echo $HOME $PATH ![](local.png)
```
"""


def zip_bytes(members: dict[str, bytes]) -> bytes:
    """Return a zip of `members`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def names_of(data: str) -> list[str]:
    return [f"{data}_{number}7f.png" for number in range(12)]


def labels(data: str) -> bytes:
    """Return the answers of a data set."""
    lines = ["filename,hybrid_stat,ssp_indicator"]
    lines += [
        f"{name},{n % 2},{('major', 'minor', 'mimic')[n % 3]}"
        for n, name in enumerate(names_of(data))
    ]
    return ("\n".join(lines) + "\n").encode()


def images(data: str) -> dict[str, bytes]:
    return {name: picture(n) for n, name in enumerate(names_of(data))}


def good_files() -> Files:
    """Return every file of the bundle but competition.yaml."""
    files: Files = {
        "logo.png": PNG,
        "pages/terms.md": b"# Terms\n\nBe kind.\n",
        "pages/overview.md": OVERVIEW.encode(),
        "pages/data.md": b"# Data\n\n| `filename` | the image |\n\nfilename,hybrid_stat\n",
        "programs/ingestion_program/ingestion.py": b"import sys\n",
        "programs/ingestion_program/metadata.yaml": (
            b"command: python3 /app/program/ingestion.py /app/input_data /app/output "
            b"/app/program /app/ingested_program\n"
        ),
        "programs/scoring_program/score.py": SCORE.encode(),
        "programs/scoring_program/metadata.yaml": (
            b"command: python3 /app/program/score.py /app/input /app/output\n"
        ),
        "solutions/one.zip": zip_bytes({"model.py": b"class Model: ...\n"}),
        "downloads/public.csv": b"filename,hybrid_stat\ntrain_1.png,1\ntrain_2.png,0\n",
        "downloads/kit/README.md": b"Write a model.\n",
    }
    for data in ("val", "test"):
        files[f"input_data/{data}.zip"] = zip_bytes(images(data))
        files[f"reference_data/{data}.zip"] = zip_bytes({f"{data}.csv": labels(data)})
    return files


_FILES = good_files()


class Bundle:
    """A bundle in the making: its document or its text, and its other files."""

    def __init__(self) -> None:
        self.document: Any = copy.deepcopy(DOCUMENT)
        self.files: Files = dict(_FILES)
        self.text: str | bytes | None = None
        self.yaml_name = "competition.yaml"
        self.zip_name = "bundle.zip"
        self.change_zip: Callable[[bytes], bytes] | None = None

    def yaml(self) -> bytes:
        """Return the competition file."""
        text = self.text
        if text is None:
            text = yaml.safe_dump(
                copy.deepcopy(self.document), sort_keys=False, allow_unicode=True, width=1000
            )
        return text.encode() if isinstance(text, str) else text

    def all_files(self) -> Files:
        return {self.yaml_name: self.yaml(), **self.files}

    def as_folder(self, root: Path) -> Path:
        """Write the bundle as a folder."""
        for name, data in self.all_files().items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root

    def as_zip(self, folder: Path) -> Path:
        """Write the bundle as a zip."""
        path = make_zip(folder / self.zip_name, self.all_files())
        if self.change_zip is not None:
            path.write_bytes(self.change_zip(path.read_bytes()))
        return path
