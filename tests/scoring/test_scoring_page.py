"""Once scores are written nothing costs them: not the page, not a terminal that has gone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element

import pytest

from mimicry.reports.facts import Facts
from mimicry.reports.markup import element
from mimicry.scoring import page as scoring_page
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring

FULL = {"competition": "c", "phase": "Development", "task": "x", "results_page": "full"}


def program(page: Callable[[Facts], Sequence[Element]]) -> ScoringProgram:
    return ScoringProgram(
        task="x",
        title="Task",
        reads="nothing",
        columns=("score",),
        score=lambda source: Scored({"score": 0.5}, "3 images", page),
    )


def declared(facts: Facts) -> list[Element]:
    return [element("p", "full page" if facts.full else "declared page")]


def run(folder: Path, page: Callable[[Facts], Sequence[Element]]) -> tuple[int, Path]:
    own, source, output = (folder / name for name in ("program", "in", "out"))
    own.mkdir()
    source.mkdir()
    (own / "phase.json").write_text(json.dumps(FULL))
    return run_scoring(program(page), own, [str(source), str(output)]), output


def raising(error: BaseException) -> Callable[[Facts], list[Element]]:
    def page(facts: Facts) -> list[Element]:
        if facts.full:
            raise error
        return declared(facts)

    return page


def test_the_level_of_the_phase_is_drawn(tmp_path: Path) -> None:
    code, output = run(tmp_path, declared)
    assert code == 0
    assert "full page" in (output / "detailed_results.html").read_text()


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), MemoryError(), RecursionError(), SystemExit(9), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_a_failing_full_page_falls_back_and_costs_nothing(
    error: BaseException, tmp_path: Path
) -> None:
    code, output = run(tmp_path, raising(error))
    assert code == 0
    assert json.loads((output / "scores.json").read_text()) == {"score": 0.5}
    assert "declared page" in (output / "detailed_results.html").read_text()
    assert type(error).__name__ in (output / "scoring.log").read_text()


def test_a_page_that_always_fails_costs_nothing(tmp_path: Path) -> None:
    def page(facts: Facts) -> NoReturn:
        raise SystemExit(9)

    code, output = run(tmp_path, page)
    assert code == 0 and (output / "scores.json").exists()
    assert not (output / "detailed_results.html").exists()
    assert (output / "scoring.log").read_text().count("SystemExit: 9") == 2


def test_a_page_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_page, "PAGE_SECONDS", 0.2)

    def page(facts: Facts) -> list[Element]:
        while facts.full:
            time.sleep(0.01)
        return declared(facts)

    code, output = run(tmp_path, page)
    assert code == 0 and (output / "scores.json").exists()
    assert "declared page" in (output / "detailed_results.html").read_text()
    assert "took longer than 0.2 s" in (output / "scoring.log").read_text()


def test_facts_that_cannot_be_found_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> NoReturn:
        raise ValueError("no clock here")

    monkeypatch.setattr(scoring_page, "_facts", fail)
    code, output = run(tmp_path, declared)
    assert code == 0 and (output / "scores.json").exists()
    assert "no clock here" in (output / "scoring.log").read_text()


def test_a_page_too_large_falls_back(tmp_path: Path) -> None:
    def page(facts: Facts) -> list[Element]:
        return [element("p", "x" * 400_000)] if facts.full else declared(facts)

    code, output = run(tmp_path, page)
    assert code == 0
    assert "declared page" in (output / "detailed_results.html").read_text()


SCRIPT = """\
import sys
from pathlib import Path
from mimicry.reports.markup import element
from mimicry.scoring.kinds import Scored, ScoringProgram
from mimicry.scoring.program import run_scoring

scored = Scored({"score": 0.5}, "3 images", lambda facts: [element("p", "page")])
program = ScoringProgram("x", "Task", "nothing", ("score",), lambda source: scored)
sys.exit(run_scoring(program, Path(sys.argv[1]), sys.argv[2:]))
"""


@pytest.mark.parametrize("closed", ["pipe", "full"])
def test_an_output_that_nobody_takes_costs_nothing(closed: str, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(source), str(output)]
    if closed == "pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open("/dev/full", os.O_WRONLY)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads((output / "scores.json").read_text()) == {"score": 0.5}
    assert (output / "detailed_results.html").exists()
