"""`mimicry board --html`: the boards and the runs as pages in a folder."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from codabench_minibundle import copy_repository
from codabench_run_folders import put_failed_run, put_labels, put_run
from page_reader import Page

from mimicry.cli import main
from mimicry.codabench.boards.history import attempts, ranked_task
from mimicry.codabench.boards.page_files import MARKER
from mimicry.codabench.competition import load_competition
from mimicry.codabench.model import Column, Leaderboard
from mimicry.codabench.records import RunRecord, TaskRecord, read_run, write_run

Board = Callable[..., Page]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with data and runs in both phases of the hybrid competition."""
    bundle = tmp_path_factory.mktemp("board") / "bundle"
    copy_repository(bundle)
    put_labels(bundle)
    runs = bundle / "runs/hybrid"
    put_run(runs / "development/good", bundle, skill=4.0, seed=1)
    put_run(runs / "development/twin", bundle, skill=4.0, seed=1)
    put_run(runs / "development/poor", bundle, skill=0.5, seed=3)
    before = "2026-11-09T00:00:00+00:00"
    put_run(
        *(runs / "development/good-early", bundle),
        skill=1.0,
        seed=4,
        participant="good",
        submitted=before,
    )
    put_failed_run(
        runs / "development/broken", "Your Model.predict raised KeyError (model.py, line 3)."
    )
    put_run(runs / "final/good", bundle, skill=4.0, seed=5, phase="final", migrated=True)
    return bundle


@pytest.fixture
def bundle(filled: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(filled, tmp_path / "bundle", symlinks=True))


@pytest.fixture
def board(capsys: pytest.CaptureFixture[str]) -> Board:
    """Runs ``mimicry board --html`` and reads the page."""

    def run(bundle: Path, target: Path, *more: str, code: int = 0) -> Page:
        assert main(["board", "--bundle", str(bundle), "--html", str(target), *more]) == code
        page = target / "index.html" if target.is_dir() else target
        return Page(page.read_text(encoding="utf-8") if page.is_file() else "")

    return run


def pages(target: Path) -> set[str]:
    return {path.name for path in target.with_name(f"{target.stem}-runs").iterdir()}


def rows(page: Page) -> list[str]:
    """Participants in the order of the page."""
    return [
        str(a["data-value"])
        for tag, a in page.found
        if tag == "th" and a.get("scope") == "row" and "data-value" in a
    ]


def test_the_page_has_boards_of_both_phases_with_links_to_every_run(
    filled: Path, board: Board, tmp_path: Path
) -> None:
    target = tmp_path / "boards.html"
    page = board(filled, target)
    assert page.hooks("data-competition") == ["hybrid"]
    assert page.hooks("data-phase") == ["development", "final"]
    assert rows(page) == ["good", "twin", "poor", "good"]
    links = {str(a["href"]) for a in page.all("a")}
    # The run that the rule does not keep has a page, too, without a link on the board.
    assert len(links) == 5 and len(pages(target)) == 6
    for link in links:
        assert re.fullmatch(r"boards-runs/hybrid-(development|final)-[0-9a-f]{12}\.html", link)
        run = Page((tmp_path / link).read_text(encoding="utf-8"))
        back = [str(a["href"]) for a in run.all("a")]
        phase = "final" if "-final-" in link else "development"
        assert back[0] == f"../boards.html#hybrid-{phase}"
    assert {"hybrid", "hybrid-development", "hybrid-final"} <= {
        str(a.get("id")) for a in page.all("section")
    }


def test_rows_that_are_not_told_apart_are_marked_in_words(
    filled: Path, board: Board, tmp_path: Path
) -> None:
    page = board(filled, tmp_path / "b.html", "--phase", "development")
    told = [text for around, text in page.texts if text == "not told apart from the first"]
    marked = [a for a in page.all("tr") if a.get("class") == "here"]
    # Once in the row of the twin, once in the legend.
    assert len(told) == 2
    assert [a["data-rank"] for a in marked] == ["2"]
    assert "1–2" in page.words
    assert "95 %" in page.words
    assert "difference holds 0: ranks 1 and 2." in page.words
    plain = board(filled, tmp_path / "p.html", "--phase", "development", "--no-intervals")
    assert "ranks" not in plain.hooks("data-column")
    assert "were not computed" in plain.words


def test_no_row_is_tied_with_a_first_about_which_nothing_is_known(
    bundle: Path, board: Board, tmp_path: Path
) -> None:
    shutil.rmtree(bundle / "runs/hybrid/development/good/hybrid/prediction")
    page = board(bundle, tmp_path / "b.html", "--phase", "development")
    assert rows(page)[0] == "good" and "No interval for rank 1" in page.words
    assert not [a for a in page.all("tr") if a.get("class") == "here"]
    assert [text for _, text in page.texts].count("not told apart from the first") == 1


@pytest.mark.parametrize("patience", [0.0, 1e9])
def test_progress_is_told_where_it_takes_long(
    filled: Path,
    tmp_path: Path,
    patience: float,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mimicry.commands.board.PATIENCE", patience)
    assert main(["board", "--bundle", str(filled), "--html", str(tmp_path / "b.html")]) == 0
    lines = capsys.readouterr().err.splitlines()
    if patience:
        assert lines == []
    else:
        assert "intervals of hybrid, Development: reading run 2 of 3" in lines
        assert any(line.startswith("page 6 of 6: ") for line in lines)


def test_history_migration_and_failures_are_shown(
    filled: Path, board: Board, tmp_path: Path
) -> None:
    page = board(filled, tmp_path / "b.html", "--no-intervals")
    early = read_run(filled / "runs/hybrid/development/good-early").tasks["hybrid"].scores
    good = read_run(filled / "runs/hybrid/development/good").tasks["hybrid"].scores
    assert early is not None and good is not None
    told = [str(a.get("aria-label")) for a in page.all("svg")] + [t for _, t in page.texts]
    first, second = early["challenge_score"], good["challenge_score"]
    line = f"2 runs, 2026-11-09 00:00: {first:.4f}; 2026-11-10 00:00: {second:.4f}"
    assert any(line in text for text in told)
    assert page.words.count("2 runs") >= 1
    marks = [text for around, text in page.texts if text in {"migrated", "early"}]
    assert "migrated" in marks
    assert "raised KeyError (model.py, line 3). [predict-failed]" in page.words


def test_a_second_call_replaces_its_pages_and_nobody_elses(
    bundle: Path, board: Board, tmp_path: Path
) -> None:
    target = tmp_path / "site" / "boards.html"
    target.parent.mkdir()
    board(bundle, target, "--no-intervals")
    first = pages(target)
    folder = target.with_name("boards-runs")
    (folder / "notes.html").write_text("mine")
    (folder / "data.csv").write_text(MARKER)
    outside = tmp_path / "outside.html"
    outside.write_text(MARKER)
    (folder / "link.html").symlink_to(outside)
    shutil.rmtree(bundle / "runs/hybrid/development/poor")
    page = board(bundle, target, "--no-intervals")
    kept = {"notes.html", "data.csv", "link.html"}
    assert pages(target) - kept < first
    assert len(pages(target) - kept) == 5
    assert (folder / "notes.html").read_text() == "mine"
    assert outside.read_text() == MARKER
    assert rows(page) == ["good", "twin", "good"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_gets_an_index(filled: Path, board: Board, tmp_path: Path) -> None:
    page = board(filled, tmp_path, "--no-intervals")
    assert (tmp_path / "index.html").is_file()
    links = [str(a["href"]) for a in page.all("a")]
    assert links and all(link.startswith("index-runs/") for link in links)


def test_names_of_files_are_quoted_in_links(filled: Path, board: Board, tmp_path: Path) -> None:
    target = tmp_path / "a b#c?d%.html"
    page = board(filled, target, "--no-intervals")
    link = str(page.all("a")[0]["href"])
    assert link.startswith("a%20b%23c%3Fd%25-runs/")


@pytest.mark.parametrize("kind", ["link", "file", "page"])
def test_what_is_in_the_way_stays(
    filled: Path, board: Board, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target, folder = tmp_path / "b.html", tmp_path / "b-runs"
    other = tmp_path / "other"
    other.mkdir()
    if kind == "link":
        folder.symlink_to(other)
    elif kind == "file":
        folder.write_text("mine")
    else:
        board(filled, target, "--no-intervals")
        taken = sorted(folder.iterdir())[0]
        taken.write_text("mine")
    board(filled, target, "--no-intervals", code=4)
    assert "[page-taken]" in capsys.readouterr().err
    assert not list(other.iterdir())
    if kind == "page":
        assert taken.read_text() == "mine"


@pytest.mark.parametrize("kind", ["page", "record", "link"])
def test_a_strangers_file_is_no_page_of_boards(
    bundle: Path, board: Board, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = bundle / "runs/hybrid/final/good/run.json"
    if kind != "record":
        mine = tmp_path / "index.html"
        mine.write_text("mine")
    target = mine
    if kind == "link":
        target = tmp_path / "link.html"
        target.symlink_to(mine)
    before = mine.read_bytes()
    board(bundle, target, "--no-intervals", code=4)
    assert "[page-taken]" in capsys.readouterr().err
    assert mine.read_bytes() == before
    assert not list(mine.parent.glob("*-runs")) and not list(tmp_path.glob("*-runs"))


def test_its_own_page_is_replaced_through_a_link(
    filled: Path, board: Board, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    link.symlink_to(real)
    for _ in range(2):
        page = board(filled, link, "--no-intervals")
        assert link.is_symlink() and rows(page) == ["good", "twin", "poor", "good"]


def test_two_pages_in_a_folder_keep_their_runs(filled: Path, board: Board, tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("a.html", "a.htm")]
    for _ in range(2):
        for target in targets:
            board(filled, target, "--no-intervals")
    for target in targets:
        links = {str(a["href"]) for a in Page(target.read_text("utf-8")).all("a")}
        assert len(links) == 5 and all((tmp_path / link).is_file() for link in links)
        for link in links:
            back = str(Page((tmp_path / link).read_text("utf-8")).all("a")[0]["href"])
            assert back.startswith(f"../{target.name}#")
    assert {path.name for path in tmp_path.glob("a*-runs")} == {"a-runs", "a.htm-runs"}
    # A third one with the first one's folder changes nothing there.
    before = {path: path.read_bytes() for path in (tmp_path / "a-runs").iterdir()}
    board(filled, tmp_path / "a", "--no-intervals", code=4)
    assert {path: path.read_bytes() for path in (tmp_path / "a-runs").iterdir()} == before


def test_a_pipe_gets_the_page_alone(filled: Path, board: Board, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
    reader.start()
    board(filled, pipe, "--no-intervals")
    reader.join(20)
    page = Page(read[0])
    assert rows(page) == ["good", "twin", "poor", "good"] and not page.all("a")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_published_pages_name_no_folder_of_this_machine(
    bundle: Path, board: Board, tmp_path: Path
) -> None:
    runs = bundle / "runs/hybrid/development"
    for name in ("good", "twin"):
        shutil.rmtree(runs / name / "hybrid/prediction")
    target = tmp_path / "b.html"
    page = board(bundle, target)
    # One reason for both.
    assert "No interval for ranks 1 and 2, not told apart" in page.words
    assert "The predictions of task hybrid are gone" in page.words
    for reference in load_competition(bundle, "hybrid").phase("development").tasks:
        assert reference.reference_data is not None
        reference.reference_data.unlink()
        reference.reference_data.mkdir()
    bare = board(bundle, tmp_path / "c.html")
    assert "The reference data hold no CSV file." in bare.words
    assert "]." not in page.words + bare.words
    for path in [target, *tmp_path.glob("*-runs/*.html"), tmp_path / "c.html"]:
        text = path.read_text("utf-8")
        assert str(tmp_path) not in text and "mimicry-scratch" not in text, path


def test_json_and_csv_stay_pure(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["board", "--bundle", str(filled), "--html", str(tmp_path / "b.html")]
    assert main([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    boards = json.loads(printed.out)
    assert [one["phase"] for one in boards] == ["Development", "Final"]
    assert boards[0]["rows"][0]["interval"] is not None
    assert "Wrote" in printed.err
    assert main([*arguments, "--csv", "--no-intervals"]) == 0
    assert capsys.readouterr().out.startswith("competition,phase,rank,participant,")


HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "../../../etc/passwd",
    "\u202egnp.exe",
    "x" * 10_000,
    "",
    "\x1b[31mred\nline",
    "&lt;b&gt;",
)


def test_hostile_names_are_text_and_never_paths(bundle: Path, board: Board, tmp_path: Path) -> None:
    template = read_run(bundle / "runs/hybrid/development/good")
    for number, name in enumerate(HOSTILE):
        folder = bundle / f"runs/hybrid/development/h{number}"
        folder.mkdir()
        write_run(folder, replace(template, participant=name, submission=name))
        put_failed_run(bundle / f"runs/hybrid/development/f{number}", name, participant=name)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(bundle)}
    target = tmp_path / "b.html"
    page = board(bundle, target)
    assert len(page.all("script")) == 1 and not page.all("img")
    for name in HOSTILE[:3]:
        assert name in page.words
    assert "\u202e" not in target.read_text(encoding="utf-8")
    assert len(target.read_bytes()) < 400_000
    new = {path for path in tmp_path.rglob("*") if not path.is_relative_to(bundle)} - before
    for path in new - {target, tmp_path / "b-runs"}:
        assert re.fullmatch(r"hybrid-(development|final)-[0-9a-f]{12}\.html", path.name)
        found = Page(path.read_text(encoding="utf-8"))
        assert not found.all("script") and not found.all("img")
        assert "\u202e" not in path.read_text(encoding="utf-8")


def test_hundreds_of_runs(bundle: Path, board: Board, tmp_path: Path) -> None:
    for number in range(200):
        folder = bundle / f"runs/hybrid/development/many-{number}"
        put_failed_run(folder, f"Sentence {number}.", participant=f"p{number}")
    page = board(bundle, tmp_path / "b.html", "--no-intervals")
    assert len(pages(tmp_path / "b.html")) == 206
    assert "Not on the board: 201 reasons" in page.words


def test_the_final_page_shows_the_boards_columns_alone(
    filled: Path, board: Board, tmp_path: Path
) -> None:
    target = tmp_path / "b.html"
    board(filled, target)
    pictures: dict[str, set[bool]] = {"development": set(), "final": set()}
    for path in target.with_name("b-runs").iterdir():
        found = Page(path.read_text(encoding="utf-8"))
        if "This task has no scores" not in found.words:
            pictures[path.name.split("-")[1]].add(bool(found.all("svg")))
    assert pictures == {"development": {True}, "final": {False}}


def record(when: str, value: float, participant: str = "ann") -> RunRecord:
    task = TaskRecord("finished", scores={"challenge_score": value})
    return RunRecord(
        *("hybrid", "development", "s", participant, "0", "e", when, when, "finished"),
        tasks={"hybrid": task},
        submitted=when,
    )


def test_attempts_are_ordered_by_time_of_submission_and_obey_quotas(filled: Path) -> None:
    competition = load_competition(filled, "hybrid")
    phase = competition.phase("development")
    limit = phase.max_submissions_per_day
    assert limit is not None
    late = record("2026-11-12T00:00:00+00:00", 0.9)
    day = [record(f"2026-11-11T00:00:{n:02}+00:00", n / 100) for n in range(limit + 2)]
    running = replace(record("2026-11-10T00:00:00+00:00", 0.1), finished=None)
    runs = [(str(number), one) for number, one in enumerate([late, *day, running])]
    found = attempts(competition, phase, runs)["ann"]
    assert [one.value for one in found] == [*(n / 100 for n in range(limit)), 0.9]
    everything = attempts(competition, phase, runs, surplus=True)["ann"]
    assert len(everything) == limit + 3


def test_a_run_of_several_tasks_is_placed_by_its_best_one() -> None:
    column = Column("Loss", "loss", 0, "asc", 4, False)
    board = Leaderboard("R", "r", "Add", 0, (column,))
    assert ranked_task({"a": {"loss": 0.4}, "b": {"loss": 0.2}}, board) == "b"
    assert ranked_task({"a": {"loss": 0.2}, "b": {"loss": 0.2}}, board) == "a"
    assert ranked_task({}, board) is None
