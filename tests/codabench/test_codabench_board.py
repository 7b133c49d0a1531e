"""The board ranks, keeps and shows as the platform does."""

import csv
import io
import json
import os
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimicry.codabench.boards.board import Entry, apply_rule, make_board, rank
from mimicry.codabench.boards.data import board_csv, board_json, boards_csv
from mimicry.codabench.boards.found_runs import find_runs
from mimicry.codabench.boards.standing import Standing, Standings
from mimicry.codabench.boards.text import board_table
from mimicry.codabench.competition import Column, Competition, Leaderboard, load_competition
from mimicry.codabench.records import RunRecord, TaskRecord, read_run, write_run
from mimicry.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]


def column(key: str, index: int, sorting: str = "desc", *, hidden: bool = False) -> Column:
    return Column(key.title(), key, index, sorting, 4, hidden)


def leaderboard(
    *columns: Column, rule: str = "Force_Latest_Multiple", primary: int = 0
) -> Leaderboard:
    return Leaderboard("Results", "results", rule, primary, columns)


def entry(name: str, when: int = 0, participant: str = "", **tasks: dict[str, float]) -> Entry:
    return Entry(participant or name, name, f"runs/{name}", f"2026-11-01T00:00:{when:02}", tasks)


def names(entries: list[Entry]) -> list[str]:
    return [one.submission for one in entries]


def test_primary_then_the_other_visible_columns_then_age() -> None:
    board = leaderboard(column("b", 1, "asc"), column("a", 0), column("c", 2, hidden=True))
    entries = [
        entry("young", 5, t={"a": 0.5, "b": 1.0, "c": 9.0}),
        entry("old", 1, t={"a": 0.5, "b": 1.0, "c": 1.0}),
        entry("low-b", 9, t={"a": 0.5, "b": 0.5, "c": 0.0}),
        entry("top", 9, t={"a": 0.6, "b": 7.0, "c": 0.0}),
    ]
    assert names(rank(entries, board)) == ["top", "low-b", "old", "young"]


def test_a_hidden_primary_column_still_ranks() -> None:
    board = leaderboard(column("a", 0), column("secret", 1, hidden=True), primary=1)
    entries = [entry("x", t={"a": 0.9, "secret": 0.1}), entry("y", t={"a": 0.1, "secret": 0.9})]
    assert names(rank(entries, board)) == ["y", "x"]


def test_ranking_uses_values_that_are_not_rounded() -> None:
    board = leaderboard(column("a", 0))
    assert names(
        rank([entry("x", 1, t={"a": 0.50001}), entry("y", 2, t={"a": 0.50002})], board)
    ) == [
        "y",
        "x",
    ]


@pytest.mark.parametrize(("sorting", "first"), [("desc", "empty"), ("asc", "real")])
def test_a_missing_value_ranks_first_where_higher_is_better(sorting: str, first: str) -> None:
    board = leaderboard(column("a", 0, sorting))
    ranked = rank([entry("real", 1, t={"a": 0.9}), entry("empty", 2, t={})], board)
    assert names(ranked)[0] == first


def test_several_tasks_rank_by_the_best_single_one() -> None:
    # As seen on the platform: (0.9, 0.1) beats (0.6, 0.6), one task at 0.95 beats both.
    board = leaderboard(column("score", 0))
    entries = [
        entry("even", 1, A={"score": 0.6}, mimic={"score": 0.6}),
        entry("odd", 2, A={"score": 0.9}, mimic={"score": 0.1}),
        entry("single", 3, A={"score": 0.95}),
    ]
    assert names(rank(entries, board)) == ["single", "odd", "even"]


def own(rule: str, sorting: str = "desc") -> list[Entry]:
    board = leaderboard(column("score", 0, sorting), rule=rule)
    entries = [
        entry("late", 3, "ann", A={"score": 0.2}, mimic={"score": 0.3}),
        entry("best", 1, "ann", A={"score": 0.4}, mimic={"score": 0.4}),
        entry("peak", 2, "ann", A={"score": 0.6}, mimic={"score": 0.1}),
        entry("other", 1, "bob", A={"score": 0.1}),
    ]
    return apply_rule(entries, board)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("Add", ["late", "other"]),
        ("Add_And_Delete", ["late", "other"]),
        ("Add_And_Delete_Multiple", ["best", "peak", "late", "other"]),
        ("Force_Last", ["late", "other"]),
        ("Force_Latest_Multiple", ["best", "peak", "late", "other"]),
        ("Force_Best", ["best", "other"]),
    ],
)
def test_rules_keep_what_the_platform_keeps(rule: str, kept: list[str]) -> None:
    assert sorted(names(own(rule))) == sorted(kept)


def test_rules_that_lose_tasks() -> None:
    last = next(one for one in own("Force_Last") if one.participant == "ann")
    assert dict(last.tasks) == {"mimic": {"score": 0.3}}
    best = next(one for one in own("Force_Best", "asc") if one.participant == "ann")
    assert (best.submission, dict(best.tasks)) == ("peak", {"mimic": {"score": 0.1}})


def test_force_best_keeps_the_earlier_of_equal_ones() -> None:
    board = leaderboard(column("score", 0), rule="Force_Best")
    entries = [entry(n, w, "ann", A={"score": 0.5}) for n, w in (("b", 2), ("a", 1), ("c", 3))]
    assert names(apply_rule(entries, board)) == ["a"]


values = st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@given(st.lists(st.tuples(values, values), max_size=8), st.sampled_from(["asc", "desc"]))
def test_ranking_equals_repeated_comparison(rows: list[tuple[float | None, ...]], way: str) -> None:
    board = leaderboard(column("a", 0, way), column("b", 1))
    entries = [
        entry(str(i), i, t={k: v for k, v in zip("ab", row, strict=True) if v is not None})
        for i, row in enumerate(rows)
    ]

    def before(one: Entry, two: Entry) -> bool:
        for key, sorting in (("a", way), ("b", "desc")):
            x, y = one.tasks["t"].get(key), two.tasks["t"].get(key)
            if x == y:
                continue
            if x is None or y is None:
                return (x is None) == (sorting == "desc")
            return (x > y) == (sorting == "desc")
        return one.finished < two.finished

    ranked = rank(reversed(entries), board)
    assert len(ranked) == len(entries)
    assert all(before(one, two) for one, two in pairwise(ranked))


@pytest.fixture(scope="module")
def two_task() -> Competition:
    return load_competition(ROOT, "two-task")


def record(name: str, when: int, competition: str = "two-task", **tasks: object) -> RunRecord:
    return RunRecord(
        competition=competition,
        phase="development",
        submission=f"{name}.zip",
        participant=name,
        submission_sha256="0" * 64,
        engine="subprocess",
        started="2026-11-01T00:00:00",
        finished=f"2026-11-01T00:01:{when:02}",
        state="finished",
        tasks={
            key: value if isinstance(value, TaskRecord) else TaskRecord("finished", scores=value)  # type: ignore[arg-type]
            for key, value in tasks.items()
        },
    )


def test_a_whole_board(two_task: Competition) -> None:
    failed = TaskRecord(
        "failed", error="model.py \x1b[31m is bad", error_code="x-y", error_kind="bug"
    )
    runs = [
        ("r/1", record("ann", 1, A={"score": 0.51239, "A_PRC_AUC": 0.5}, mimic={"score": 0.25})),
        ("r/2", record("[bob]", 2, A={"score": 0.9}, mimic=failed)),
        ("r/3", record("=cmd()", 3, A={"score": 0.1})),
        ("r/4", record("elsewhere", 4, "hybrid", A={"score": 1.0})),
        ("r/5", RunRecord(**{**vars(record("dan", 5, A={"score": 1.0})), "finished": None})),
    ]
    board = make_board(two_task, two_task.phase("development"), runs)
    assert [row.participant for row in board.rows] == ["[bob]", "ann", "=cmd()"]
    text = board_table(board)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "Results of two-task, Development"
    cells = next(line.split() for line in lines if " ann " in line)
    assert cells == ["2", "ann", "ann.zip", "A", "0.5124", "0.5124", "0.5000", "0.2500"]
    bob = next(line.split() for line in lines if " [bob] " in line)
    assert bob[3:] == ["A", "0.9000", "0.9000", "n/a", "n/a"]
    assert "Rule Add_And_Delete" in text
    assert "[bob], [bob].zip: task mimic: model.py ?[31m is bad [x-y]" in lines
    assert "dan, dan.zip: still running, or it was killed" in lines
    assert "elsewhere" not in text
    rows = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert rows[1]["A.score"] == "0.51239"
    assert rows[1]["mimic.mimic_recall"] == ""
    assert (rows[1]["competition"], rows[1]["phase"]) == ("two-task", "Development")
    assert (rows[1]["ranked_task"], rows[1]["ranked_value"]) == ("A", "0.51239")
    assert rows[2]["participant"] == "'=cmd()"
    content = json.loads(board_json(board))
    assert content["rows"][1]["tasks"]["A"]["score"] == 0.51239
    assert content["rows"][1]["ranked_task"] == "A"
    assert content["rows"][1]["ranked_value"] == 0.51239
    assert len(content["failed"]) == 2


def final_run(name: str, submitted: str, score: float, **changes: object) -> RunRecord:
    made = replace(record(name, 1, A={"score": score}), phase="final", submitted=submitted)
    return replace(made, **changes)  # type: ignore[arg-type]


def marked_runs() -> list[tuple[str, RunRecord]]:
    """Runs in Final, 2027-04-01 to 2027-04-15: two a day, five in all."""
    return [
        ("r/1", final_run("eve", "2027-03-31T23:59:59+00:00", 0.1)),
        ("r/2", final_run("ann", "2027-04-01T00:00:00+00:00", 0.2)),
        ("r/3", final_run("ann", "2027-04-01T12:00:00+00:00", 0.3)),
        ("r/4", final_run("ann", "2027-04-01T23:00:00+00:00", 0.9)),
        ("r/5", final_run("liz", "2027-04-15T00:00:01+00:00", 0.4)),
        ("r/6", final_run("odd", "=soon", 0.35)),
        ("r/7", final_run("old", "", 0.45, started="2027-04-02T00:00:00+00:00")),
        ("r/8", final_run("mig", "2027-03-01T00:00:00+00:00", 0.25, migrated=True)),
    ]


def test_runs_at_the_wrong_time_are_marked_and_surplus_ones_left_out(
    two_task: Competition,
) -> None:
    board = make_board(two_task, two_task.phase("final"), marked_runs())
    text = board_table(board)
    lines = text.splitlines()
    cells = [line.split() for line in lines if ".zip " in line]
    assert [row[1:4] for row in cells] == [
        ["old", "old.zip", "A"],
        ["liz", "liz.zip", "late"],
        ["odd", "odd.zip", "A"],
        ["ann", "ann.zip", "A"],
        ["mig", "mig.zip", "A"],
        ["eve", "eve.zip", "early"],
    ]
    values = "0.4500 0.4000 0.3500 0.3000 0.2500 0.1000"
    assert [row[-1] for row in cells] == values.split()
    heading = next(line.split() for line in lines if "participant" in line)
    assert heading[:4] == ["#", "participant", "submission", "mark"]
    footnotes = [line for line in lines if line.startswith(("late: ", "early: "))]
    assert [line.split(";")[0] for line in footnotes] == [
        "late: handed in after Final has ended (2027-04-15 00:00:00 UTC)",
        "early: handed in before Final begins (2027-04-01 00:00:00 UTC)",
    ]
    refused = (
        "ann, ann.zip: surplus: the platform refuses it: Reached maximum allowed submissions "
        "for today for this phase (2 a day, counted in UTC)"
    )
    assert lines[lines.index("Not on the board:") + 1] == refused
    assert "#2  liz  (late)" in board_table(board, width=40).splitlines()
    rows = list(csv.DictReader(io.StringIO(board_csv(board))))
    assert [row["mark"] for row in rows] == ["", "late", "", "", "", "early"]
    assert [row["submitted"] for row in rows][1:3] == ["2027-04-15T00:00:01+00:00", ""]
    content = json.loads(board_json(board))
    assert [row["mark"] and row["mark"]["kind"] for row in content["rows"]] == [
        *(None, "late", None, None, None, "early")
    ]
    assert [one["mark"]["kind"] for one in content["failed"]] == ["surplus"]


def test_surplus_runs_rank_where_that_is_asked_for(two_task: Competition) -> None:
    board = make_board(two_task, two_task.phase("final"), marked_runs(), surplus=True)
    assert board.failures == ()
    assert board.rows[0].tasks == {"A": {"score": 0.9}}
    text = board_table(board)
    assert "the platform refuses that; ranked all the same, as asked." in text
    assert next(row["mark"] for row in csv.DictReader(io.StringIO(board_csv(board)))) == "surplus"


def test_a_board_without_marks_looks_as_ever(two_task: Competition) -> None:
    runs = [("r/1", record("ann", 1, A={"score": 0.5}))]
    board = make_board(two_task, two_task.phase("development"), runs)
    text = board_table(board)
    assert "mark" not in text and "submitted" not in text
    assert text == board_table(replace(board, rows=(replace(board.rows[0], submitted=""),)))


def test_age_is_when_it_was_handed_in() -> None:
    board = leaderboard(column("score", 0), rule="Force_Last")
    one, two = (entry(n, w, "ann", A={"score": 0.5}) for n, w in (("a", 2), ("b", 1)))
    assert names(apply_rule([one, two], board)) == ["a"]
    one, two = (
        replace(one, submitted="2026-11-01T00:01"),
        replace(two, submitted="2026-11-01T00:02"),
    )
    assert names(apply_rule([one, two], board)) == ["b"]
    assert names(rank([two, one], board)) == ["a", "b"]


def test_no_column_is_cut_when_piped(two_task: Competition) -> None:
    scores = {c.key: 0.123456 for c in two_task.leaderboard.columns}
    name = "a-very-long-name-of-a-participant-that-goes-on"
    board = make_board(
        two_task, two_task.phase("development"), [("r", record(name, 1, A=scores, mimic=scores))]
    )
    text = board_table(board, every_column=True)
    # The best task's value stands before all columns.
    assert text.count("0.1235") == 2 * len(scores) + 1
    assert name in text and f"{name}.zip" in text
    assert "…" not in text


@pytest.mark.parametrize("width", [32, 60, 80])
def test_a_board_folds_into_blocks_where_it_does_not_fit(two_task: Competition, width: int) -> None:
    scores = {c.key: 0.123456 for c in two_task.leaderboard.columns}
    failed = TaskRecord("failed", error="no " * 60, error_code="x-y", error_kind="bug")
    runs = [
        ("r/1", record("ann", 1, A=scores, mimic=scores)),
        ("r/2", record("bob", 2, A={"score": 0.9}, mimic=failed)),
    ]
    board = make_board(two_task, two_task.phase("development"), runs)
    text = board_table(board, every_column=True, width=width)
    lines = text.splitlines()
    assert lines[0] == "Results of two-task, Development"
    assert max(map(len, lines[1:])) <= width
    places = [lines.index("#1  bob"), lines.index("#2  ann")]
    assert places == sorted(places) and lines[places[1] + 1] == "    ann.zip"
    assert text.count("0.1235") == 2 * len(scores) + 1 and text.count("A 0.9000") == 1
    assert "Not on the board:" in lines
    wide = board_table(board, every_column=True)
    assert board_table(board, every_column=True, width=max(map(len, wide.splitlines()))) == wide


def test_a_hidden_ranking_column_is_told_nowhere(two_task: Competition) -> None:
    first, *rest = two_task.leaderboard.columns
    hidden = replace(two_task.leaderboard, columns=(replace(first, hidden=True), *rest))
    runs = [("r/1", record("ann", 1, A={"score": 0.777, "A_PRC_AUC": 0.5}))]
    board = make_board(replace(two_task, leaderboard=hidden), two_task.phases[0], runs)
    assert "best task" not in board_table(board) and "0.777" not in board_table(board)
    (row,) = csv.DictReader(io.StringIO(board_csv(board)))
    assert row["ranked_task"] == row["ranked_value"] == ""
    (shown,) = json.loads(board_json(board))["rows"]
    assert shown["ranked_task"] is shown["ranked_value"] is None


def test_boards_of_the_same_columns_are_one_table(two_task: Competition) -> None:
    runs = [("r/1", record("ann", 1, A={"score": 0.5})), *marked_runs()]
    phases = [make_board(two_task, phase, runs) for phase in two_task.phases]
    sure = Standings((Standing(0.4, 0.6, 1, 1, ()),), (), "")
    rows = list(csv.DictReader(io.StringIO(boards_csv([(phases[0], sure), (phases[1], None)]))))
    assert [row["phase"] for row in rows] == ["Development", *["Final"] * 6]
    assert {row["competition"] for row in rows} == {"two-task"}
    # A board without standings has empty cells, not other columns.
    assert [row["interval_low"] for row in rows] == ["0.4", *[""] * 6]
    other = replace(phases[1], competition="other", columns=phases[1].columns[:1])
    tables = boards_csv([(phases[0], None), (other, None)]).split("\n\n")
    headings = [next(csv.reader(io.StringIO(part))) for part in tables]
    assert len(headings) == 2 and headings[0] != headings[1]
    for part, id in zip(tables, ("two-task", "other"), strict=True):
        found = list(csv.DictReader(io.StringIO(part)))
        assert found and {row["competition"] for row in found} == {id}
    assert boards_csv([]) == ""


def test_an_empty_board_fits_anywhere(two_task: Competition) -> None:
    board = make_board(two_task, two_task.phase("development"), [])
    text = board_table(board, width=20)
    assert text.startswith("Results of two-task") and "No finished run" in text.replace("\n", " ")


def test_runs_are_found_and_damaged_ones_told(tmp_path: Path) -> None:
    good = record("ann", 1, A={"score": 0.5})
    for folder in ("a/b", "c"):
        (tmp_path / folder).mkdir(parents=True)
    write_run(tmp_path / "a" / "b", good)
    assert read_run(tmp_path / "a" / "b") == good
    (tmp_path / "c" / "run.json").write_text('{"version": 1')
    runs, problems = find_runs([tmp_path, tmp_path / "a"])
    assert [one for _, one in runs] == [good]
    assert len(problems) == 1 and "run-record" in problems[0]
    with pytest.raises(BundleError, match="no folder"):
        find_runs([tmp_path / "nowhere"])


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.dictionaries(
            st.sampled_from(["version", "tasks", "state", "A"]), inner, max_size=4
        ),
    ).map(lambda content: json.dumps(content).encode())
)
def test_any_run_file_is_read_or_refused(data: bytes) -> None:

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run.json").write_bytes(data)
        with pytest.raises(BundleError):
            read_run(Path(folder))


def test_numbers_that_rank_nothing_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, record("one", 1, A={"score": 0.5}))
    text = (tmp_path / "run.json").read_text()
    assert text.count("0.5") == 1
    for value in (f"1{'0' * 400}", "NaN", "Infinity", "-Infinity", "1e999", "true", '"0.5"'):
        (tmp_path / "run.json").write_text(text.replace("0.5", value))
        with pytest.raises(BundleError) as caught:
            read_run(tmp_path)
        assert caught.value.code == "run-record", value


def test_a_record_that_is_no_plain_file_is_told(tmp_path: Path) -> None:
    for name in ("pipe", "link"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe" / "run.json")
    (tmp_path / "link" / "run.json").symlink_to("/dev/zero")
    runs, problems = find_runs([tmp_path])
    assert runs == []
    assert ["not a regular file" in problems[1], "symbolic link" in problems[0]] == [True, True]


def test_what_a_participant_left_in_a_run_is_no_run(tmp_path: Path) -> None:
    planted = tmp_path / "a" / "A" / "prediction"
    planted.mkdir(parents=True)
    write_run(tmp_path / "a", record("one", 1, A={"score": 0.5}))
    write_run(planted, record("planted", 1, A={"score": 1.0}))
    runs, problems = find_runs([tmp_path])
    assert [one.submission for _, one in runs] == ["one.zip"]
    assert problems == []


def test_foreign_text_is_harmless(two_task: Competition) -> None:
    foreign = replace(
        record("one", 1, A={"score": 0.5}),
        participant="a\ud800b",
        submission="\x9b31m",
        finished='=HYPERLINK("x")',
    )
    board = make_board(two_task, two_task.phases[0], [("runs/\udcff", foreign)])
    (row,) = csv.DictReader(io.StringIO(board_csv(board)))
    assert row["participant"] == "a?b"
    assert row["finished"] == '\'=HYPERLINK("x")'
    assert json.loads(board_json(board))["rows"][0]["participant"] == "a\ud800b"
    for text in (board_csv(board), board_json(board), board_table(board)):
        assert text.encode("utf-8")


def test_a_record_keeps_names_that_are_no_text(tmp_path: Path) -> None:
    odd = replace(record("one", 1, A={"score": 0.5}), participant="a\udcffb")
    write_run(tmp_path, odd)
    assert read_run(tmp_path) == odd
