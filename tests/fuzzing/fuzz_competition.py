"""``competition.yaml``: read strictly, and looked at by validation."""

from pathlib import Path

import yaml
from fuzzing_checks import ACCEPTED, bundle_fault

from mimicry.codabench.competition import describe_competition
from mimicry.codabench.model import Competition
from mimicry.codabench.reading.document import Document
from mimicry.codabench.reading.yaml_file import parse_document

NAME = "competition.yaml"
GOOD = {
    "version": 2,
    "title": "Mini",
    "image": "logo.png",
    "terms": "pages/terms.md",
    "docker_image": "registry.example/core:1.2.3",
    "pages": [{"title": "Overview", "file": "pages/overview.md"}],
    "tasks": [
        {
            "index": number,
            "name": f"Task {number}",
            "input_data": f"input_data/{number}.zip",
            "reference_data": f"reference_data/{number}.zip",
            "ingestion_program": "ingestion_program",
            "scoring_program": "scoring_program_x",
        }
        for number in range(2)
    ],
    "phases": [
        {
            "index": 0,
            "name": "Development",
            "start": "2026-01-01 00:00:00",
            "end": "2026-02-01 12:30:00",
            "tasks": [0],
            "execution_time_limit": 300,
            "max_submissions_per_day": 10,
            "hide_prediction_output": True,
        },
        {
            "index": 1,
            "name": "Final",
            "start": "2026-02-02 00:00:00",
            "tasks": [1],
            "execution_time_limit": 600,
            "auto_migrate_to_this_phase": True,
        },
    ],
    "leaderboards": [
        {
            "title": "Results",
            "key": "results",
            "submission_rule": "Force_Best",
            "primary_index": 3,
            "columns": [
                {"title": "Loss", "key": "loss", "index": 5, "sorting": "asc", "precision": 2},
                {"title": "Score", "key": "score", "index": 3, "sorting": "desc"},
            ],
        }
    ],
}
TEXT = yaml.safe_dump(GOOD, sort_keys=False)


def _with(old: str, new: str) -> bytes:
    assert old in TEXT
    return TEXT.replace(old, new).encode()


VALID = [
    TEXT.encode(),
    b"\xef\xbb\xbf" + TEXT.encode(),
    _with("Force_Best", "Add"),
    yaml.safe_dump(GOOD, default_flow_style=True).encode(),
    _with("'2026-01-01 00:00:00'", "2026-01-01 00:00:00"),
]
NASTY = [
    b"",
    b"- 1\n",
    b"\xff",
    b"a: [",
    b"a: 2026-13-45\n",
    b"a: 0x" + b"f" * 200,
    b"a: 1:" + b"59:" * 60 + b"1",
    b"a: !!python/object/apply:os.system ['true']\n",
    b"a: &a [*a]\nb: *a\n",
    b"a: &a {<<: *a}\n",
    b"x: &a {k: 1}\ny: &b {<<: [*a, *a, *a]}\nz: {<<: [*b, *b, *b]}\n",
    b"? [1]\n: 2\n",
    b"? {a: 1}\n: 2\n",
    b"[" * 900,
    b"a: " * 300,
    b"version: 2\nversion: 2\n",
    b"=: =\n",
    b"a: !!float x\n",
    b"a: !!int ''\n",
    b"a: !!timestamp x\n",
    b"a: !!binary '\xc3\xa9'\n",
    b"a: !!set {x, [y]}\n",
    b"a: !!omap [x]\n",
    b"a: !!pairs [{a: 1, b: 2}]\n",
    b"a: .inf\nb: .nan\n",
    b"%YAML 9.9\n--- a\n",
    b"a: \xe2\x80\xae\n",
    _with("index: 0", "index: 1e400"),
    _with("2026-01-01 00:00:00", "0000-00-00 00:00:00"),
    _with("2026-01-01 00:00:00", "9999-12-31 23:59:59+99:99"),
    _with("'2026-02-01 12:30:00'", "2026-02-01 12:30:00"),
    _with("Force_Best", "[]"),
    _with("tasks:\n  - 0", "tasks:\n  - {}"),
    _with("logo.png", "../logo.png"),
    _with("primary_index: 3", "primary_index: 99999999999999999999"),
    _with("precision: 2", "precision: -1"),
    _with("key: loss", "key: score"),
]
WORDS = [
    *(b"version: ", b"title: ", b"phases:\n", b"tasks:\n", b"leaderboards:\n", b"columns:\n"),
    *(b"- index: ", b"start: ", b"end: ", b"!!timestamp ", b"!!set ", b"!!omap ", b"!!binary "),
    *(b"<<: ", b"*a", b"&a ", b"null", b"true", b"2026-01-01", b'"', b"'", b"? ", b"1e400"),
    *(b"hide_output: true\n", b"public_data: ", b"starting_kit: ", b"solutions:\n", b"pages:\n"),
    *(b"auto_migrate_to_this_phase: ", b"submission_rule: ", b"Add_And_Delete", b"primary_index: "),
]
SHARE = 2
LONGEST = 3000


def judge(data: bytes) -> str:
    """Read `data` as a competition, check what comes of it and return its outcome."""
    document = parse_document(data, NAME)
    competition = describe_competition(document, Path("/"), Path("/", NAME), NAME)
    _check_faults(document)
    _, error = bundle_fault(document.refuse_faults)
    if error is not None:
        return error.code
    assert competition is not None, "neither a competition nor a fault"
    _check(competition)
    return ACCEPTED


def _check_faults(document: Document) -> None:
    lines = document.node.end_mark.line + 1
    for fault in document.faults:
        for text in (fault.code, fault.problem, fault.mend):
            assert text and "\n" not in text, fault
        assert 0 <= fault.line <= max(lines, 10_000), fault


def _check(competition: Competition) -> None:
    plain = yaml.safe_load(yaml.safe_dump(competition.document))
    assert plain == competition.document or ".nan" in str(plain)
    keys = [column.key for column in competition.leaderboard.columns]
    assert keys and len(set(keys)) == len(keys)
    assert competition.phases and all(phase.tasks for phase in competition.phases)
    for phase in competition.phases:
        assert phase.execution_time_limit > 0
        for task in phase.tasks:
            assert task.key


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
