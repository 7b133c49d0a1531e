"""Boards say which ranks are sure, and what they cannot tell."""

import csv
import io
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from codabench_scored_runs import ROOT, Place, labels, predict, skilled
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimicry.codabench.boards.board import Board
from mimicry.codabench.boards.comparing_hybrids import compare_scores, ranks_of
from mimicry.codabench.boards.data import board_content, board_csv, board_json
from mimicry.codabench.boards.standing import Standing, Standings
from mimicry.codabench.boards.standing_text import ranks_together, shown_ranks
from mimicry.codabench.boards.standings import find_standings, rank_ranges
from mimicry.codabench.boards.text import board_table
from mimicry.hybrids.grading import grade
from mimicry.hybrids.metrics import harmonic_mean, operating_threshold, recall_above
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS
from mimicry.hybrids.uncertainty import draw_scores, interval


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def standings_of(place: Place) -> tuple[Board, Standings]:
    board = place.board()
    return board, find_standings(board, place.competition, place.phase)


def by_name(board: Board, standings: Standings) -> dict[str, Standing | None]:
    names = [row.participant for row in board.rows]
    return dict(zip(names, standings.rows, strict=True))


def test_a_board_of_good_and_bad_submissions(place: Place) -> None:
    reference = labels()
    place.run("best", hybrid=skilled(reference, 3.5, 1))
    place.run("same", hybrid=tuple(7 * score - 3 for score in skilled(reference, 3.5, 1)))
    place.run("near", hybrid=skilled(reference, 3.3, 2))
    place.run("weak", hybrid=skilled(reference, 1.0, 3))
    place.run("none", hybrid=(0.5,) * len(reference.hybrid))
    board, standings = standings_of(place)
    found = by_name(board, standings)
    assert board.rows[-1].participant == "none" and standings.notes == ()
    best, same, weak, none = (found[name] for name in ("best", "same", "weak", "none"))
    assert best and same and weak and none
    # The same order of images is the same submission, whatever its numbers.
    assert (best.low, best.high, best.best, best.worst) == (
        *(same.low, same.high, same.best, same.worst),
    )
    assert best.worst < 4 <= weak.best and weak.worst <= 5
    assert none.low == 0.0 and none.high is not None and none.high < 0.3
    assert "docs" not in standings.method and "pair" in standings.method
    for rank, (row, standing) in enumerate(zip(board.rows, standings.rows, strict=True), 1):
        assert standing is not None and standing.low is not None and standing.high is not None
        assert standing.low <= row.tasks["hybrid"]["challenge_score"] <= standing.high
        assert standing.best <= rank <= standing.worst
        assert rank not in standing.tied


def test_intervals_are_those_of_the_results_page(place: Place) -> None:
    reference = labels()
    scores = {f"p{n}": skilled(reference, 1.0 + n / 4, n) for n in range(6)}
    for name, own in scores.items():
        place.run(name, hybrid=own)
    board, standings = standings_of(place)
    for name, standing in by_name(board, standings).items():
        value = grade(TASKS["hybrid"], reference, scores[name])["challenge_score"]
        alone = draw_scores(TASKS["hybrid"], reference, [scores[name]])
        assert standing is not None
        assert (standing.low, standing.high) == interval(alone.one(0), value)


def test_ties_are_those_of_every_pair_by_itself(place: Place) -> None:
    reference = labels()
    runs = [skilled(reference, 0.8 + n / 5, n) for n in range(8)]
    for number, own in enumerate(runs):
        place.run(f"p{number}", hybrid=own)
    board, standings = standings_of(place)
    order = [runs[int(row.participant[1:])] for row in board.rows]
    values = [row.tasks["hybrid"]["challenge_score"] for row in board.rows]
    ahead = [0] * len(order)
    behind = [0] * len(order)
    for one, two in itertools.combinations(range(len(order)), 2):
        first, second = draw_scores(TASKS["hybrid"], reference, [order[one], order[two]]).pair(0, 1)
        low, _ = interval(first - second, values[one] - values[two])
        behind[one] += low > 0
        ahead[two] += low > 0
        standing = standings.rows[one]
        assert standing is not None and (two + 1 in standing.tied) == (low <= 0)
    assert [(s.best, s.worst) for s in standings.rows if s] == [
        (1 + a, len(order) - b) for a, b in zip(ahead, behind, strict=True)
    ]
    assert 0 < sum(ahead) < math.comb(len(order), 2)


def test_rows_about_which_nothing_is_known_are_told(place: Place, tmp_path: Path) -> None:
    reference = labels()
    for number in range(3):
        place.run(f"sound{number}", hybrid=skilled(reference, 3.0 - number, number))
    changed = place.run("changed", hybrid=skilled(reference, 1.5, 9))
    predict(changed / "hybrid/prediction", reference.filenames, skilled(reference, 1.5, 10))
    gone = place.run("gone", hybrid=skilled(reference, 1.4, 11))
    (gone / "hybrid/prediction").rename(tmp_path / "elsewhere")
    (gone / "hybrid/prediction").symlink_to(tmp_path / "elsewhere")
    board, standings = standings_of(place)
    found = by_name(board, standings)
    assert found["changed"] is None and found["gone"] is None
    assert all(found[f"sound{n}"] is not None for n in range(3))
    assert len(standings.notes) == 2
    places = {row.participant: rank for rank, row in enumerate(board.rows, 1)}
    for name, code in (("changed", "run-changed"), ("gone", "run-incomplete")):
        (note,) = [note for note in standings.notes if code in note]
        assert f"rank {places[name]}" in note
        for number in range(3):
            standing = found[f"sound{number}"]
            assert standing is not None and places[name] in standing.tied
            assert standing.best <= places[f"sound{number}"] <= standing.worst
    best = found["sound0"]
    assert best is not None and best.worst - best.best >= 2


def test_notes_are_few_however_many_rows_fail(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        run = place.run(f"p{number}", hybrid=skilled(labels(), 2.0, number))
        if number % 3 == 0:
            (run / "hybrid/prediction/predictions.csv").write_text("")
        elif number % 3 == 1:
            (run / "hybrid/prediction/predictions.csv").unlink()
        else:
            (run / "hybrid/prediction").rename(run / "hybrid/moved")
    for most in (8, 2):
        monkeypatch.setattr("mimicry.codabench.boards.standings.MOST_NOTES", most)
        _, standings = standings_of(place)
        assert standings.rows == (None,) * 20
        # Equal reasons are one note, however many rows have them.
        assert len(standings.notes) == min(most, 3)
        assert not any("]." in note or ".." in note for note in standings.notes)
        told = " ".join(standings.notes)
        heads = " ".join(re.split("[,:] not|either|:", note)[0] for note in standings.notes)
        ranges = re.findall(r"(\d+)(?:–(\d+))?", heads)
        ranks = [n for a, b in ranges for n in range(int(a), int(b or a) + 1)]
        assert sorted(ranks) == list(range(1, 21))
        assert ("for other reasons" in told) == (most == 2)
        assert standings.method == ""


def test_data_that_are_gone_are_told(place: Place) -> None:
    place.run("ann", hybrid=skilled(labels(), 2.0, 1))
    board = place.board()
    phase = replace(
        place.phase, tasks=(replace(place.task, reference_data=place.folder / "no.zip"),)
    )
    standings = find_standings(board, place.competition, phase)
    assert standings.rows == (None,) and "data-missing" in standings.notes[0]
    # Also what nobody foresaw.
    (place.folder / "bad").write_bytes(b"PK\x05\x06" + b"\xff" * 30)
    phase = replace(place.phase, tasks=(replace(place.task, reference_data=place.folder / "bad"),))
    standings = find_standings(board, place.competition, phase)
    assert standings.rows == (None,) and len(standings.notes) == 1


def test_programs_of_others_have_no_intervals(place: Place) -> None:
    place.run("ann", hybrid=skilled(labels(), 2.0, 1))
    place.run("bob", hybrid=skilled(labels(), 2.0, 2))
    foreign = replace(place.task, scoring_program=ROOT / "ingestion_program")
    board = place.board()
    standings = find_standings(board, place.competition, replace(place.phase, tasks=(foreign,)))
    assert standings.rows == (None, None)
    assert "ranks 1, 2" in standings.notes[0].replace(" and ", ", ")


def test_boards_that_rank_by_another_or_a_hidden_column(place: Place) -> None:
    place.run("ann", hybrid=skilled(labels(), 2.0, 1))
    board = place.board()
    other = replace(place.competition.leaderboard, primary_index=6)
    standings = find_standings(board, replace(place.competition, leaderboard=other), place.phase)
    assert standings.rows == (None,) and "mimic_recall" in standings.notes[0]
    first, *rest = place.competition.leaderboard.columns
    hidden = replace(place.competition.leaderboard, columns=(replace(first, hidden=True), *rest))
    standings = find_standings(board, replace(place.competition, leaderboard=hidden), place.phase)
    assert standings.rows == (None,) and "hidden" in standings.notes[0]


def test_several_tasks_rank_by_the_best_single_one(tmp_path: Path) -> None:
    place = Place(tmp_path, "two-task")
    a, mimic = place.references["A"], place.references["mimic"]
    place.run("both", A=skilled(a, 1.0, 1), mimic=skilled(mimic, 4.0, 2))
    place.run("A alone", A=skilled(a, 3.5, 3))
    place.run("weak", A=skilled(a, 0.0, 4), mimic=skilled(mimic, 0.0, 5))
    place.run("as weak", mimic=skilled(mimic, 0.0, 6))
    board, standings = standings_of(place)
    found = by_name(board, standings)
    assert standings.notes == () and all(found.values())
    both = board.rows[[row.participant for row in board.rows].index("both")]
    value = both.tasks["mimic"]["score"]
    draws = draw_scores(TASKS["mimic"], mimic, [skilled(mimic, 4.0, 2)])
    standing = found["both"]
    assert standing is not None
    assert (standing.low, standing.high) == interval(draws.one(0), value)
    assert standing.worst <= 2
    # Across tasks, too: the weak ones are told apart from the strong ones of the other task.
    assert all((s := found[name]) is not None and s.best >= 3 for name in ("weak", "as weak"))
    text = board_table(board, standings=standings)
    heading = next(line for line in text.splitlines() if "participant" in line)
    assert heading.split()[:3] == ["#", "participant", "submission"]
    row = next(line.split() for line in text.splitlines() if "both.zip" in line)
    assert row[3:5] == ["mimic", f"{value:.4f}"]
    assert "–" in row[5] and row[6] in {"1", "1–2", "2"}


def test_steps_are_told(place: Place) -> None:
    for number in range(3):
        place.run(f"p{number}", hybrid=skilled(labels(), 2.0, number))
    lines: list[str] = []
    find_standings(place.board(), place.competition, place.phase, report=lines.append)
    for line in ("reading run 3 of 3", "comparing submission 1 of 3"):
        assert lines.count(line) == 1
    assert any(line.startswith("drawing the images anew") for line in lines)


def test_submissions_drawn_a_few_at_a_time_are_compared_as_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reference, task = labels(), TASKS["hybrid"]
    scores = [skilled(reference, 1.0 + n / 10, n % 5) for n in range(7)]
    values = np.array([grade(task, reference, own)["challenge_score"] for own in scores])
    steps: list[str] = []
    limits, above = compare_scores(task, reference, scores, values, draws=500)
    monkeypatch.setattr(
        "mimicry.codabench.boards.comparing_hybrids.CHUNK", 2 * len(reference.hybrid)
    )
    # Their order says the same as the scores.
    ranks = [ranks_of(own) for own in scores]
    again = compare_scores(task, reference, ranks, values, draws=500, step=steps.append)
    assert again[0] == limits and (again[1] == above).all()
    assert sum("drawing" in step for step in steps) == 4
    assert limits == [
        interval(draw_scores(task, reference, [own], draws=500).one(0), value)
        for own, value in zip(scores, values.tolist(), strict=True)
    ]


def test_the_order_of_the_list_decides_nothing() -> None:
    task, reference = TASKS["hybrid"], labels()
    skills = np.linspace(1.0, 2.0, 12)
    scores = [skilled(reference, skill, seed) for seed, skill in enumerate(skills)]
    # So few draws that many a pair hangs on which pseudo-hybrids it gets.
    values = np.array([grade(task, reference, one)[task.keys[0]] for one in scores])
    limits, above = compare_scores(task, reference, scores, values, draws=20)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(scores))
        mine, theirs = compare_scores(
            *(task, reference, [scores[i] for i in order], values[order]), draws=20
        )
        assert mine == [limits[i] for i in order]
        assert (theirs == above[np.ix_(order, order)]).all()


def test_text_csv_and_json_say_the_same(place: Place) -> None:
    reference = labels()
    for number, skill in enumerate((3.0, 2.9, 0.5)):
        place.run(f"p{number}", hybrid=skilled(reference, skill, number))
    place.run("gone", hybrid=skilled(reference, 1.5, 9))
    (place.folder / "runs/gone/hybrid/prediction/ingestion.json").unlink()
    board, standings = standings_of(place)
    text = board_table(board, standings=standings)
    lines = text.splitlines()
    cells = {line.split()[1]: line.split() for line in lines if ".zip " in line}
    table = {
        row["participant"]: row for row in csv.DictReader(io.StringIO(board_csv(board, standings)))
    }
    content = json.loads(board_json(board, standings))
    assert content["method"] == standings.method
    assert content["notes"] == list(standings.notes)
    for row, standing, shown in zip(board.rows, standings.rows, content["rows"], strict=True):
        name = row.participant
        if standing is None:
            assert name == "gone" and cells[name][4:6] == ["n/a", "n/a"]
            assert shown["interval"] is shown["rank_range"] is shown["not_told_apart"] is None
            assert table[name]["interval_low"] == table[name]["rank_best"] == ""
            continue
        low, high, best, worst, tied = standing
        assert low is not None and high is not None and high - low > 0.1
        assert cells[name][4] == f"{low:.2f}–{high:.2f}"
        assert cells[name][5] == (f"{best}–{worst}" if best != worst else str(best))
        assert shown["interval"] == [low, high] and shown["rank_range"] == [best, worst]
        assert shown["not_told_apart"] == list(tied)
        assert float(table[name]["interval_low"]) == low
        assert float(table[name]["interval_high"]) == high
        assert (table[name]["rank_best"], table[name]["rank_worst"]) == (str(best), str(worst))
    assert len([line for line in lines if line.startswith("Not told apart")]) == 1
    assert all(note in lines for note in standings.notes)
    assert "docs/uncertainty.md" in text
    narrow = board_table(board, width=50, standings=standings)
    assert max(map(len, narrow.splitlines())) <= 50
    assert narrow.count("95 % interval ") >= 4 and "    possible ranks " in narrow
    assert all(row[4] in narrow for row in cells.values())


def test_without_standings_everything_is_as_before(place: Place) -> None:
    place.run("ann", hybrid=skilled(labels(), 2.0, 1))
    board = place.board()
    assert board_csv(board, None) == board_csv(board)
    assert "interval" not in board_csv(board) + board_json(board) + board_table(board)
    assert board_content(board, None) == board_content(board)
    nothing = Standings((None,), ("Why not.",), "")
    text = board_table(board, standings=nothing)
    assert "interval" not in text and "ranks" not in text and "Why not." in text


@given(arrays(np.bool_, st.integers(1, 7).map(lambda n: (n, n))))
def test_rank_ranges_by_counting(relation: npt.NDArray[np.bool_]) -> None:
    better = np.triu(relation, 1)
    limits = {row: (0.0, 1.0) for row in range(len(better)) if not relation[row, row]}
    found = rank_ranges(better, limits)
    for row, standing in enumerate(found):
        if row not in limits:
            assert standing is None
            continue
        others = [other for other in range(len(better)) if other != row]
        assert standing == Standing(
            *(0.0, 1.0),
            best=1 + sum(bool(better[other, row]) for other in others),
            worst=len(better) - sum(bool(better[row, other]) for other in others),
            tied=tuple(o + 1 for o in others if not better[o, row] and not better[row, o]),
        )
    standings = Standings(found, (), "")
    groups = ranks_together(standings)
    together = {pair for group in groups for pair in itertools.combinations(group, 2)}
    assert together == {
        (rank, other)
        for rank, standing in enumerate(found, 1)
        if standing is not None
        for other in standing.tied
        if other > rank and found[other - 1] is not None
    }
    assert not any(set(a) < set(b) for a, b in itertools.permutations(groups, 2))


@pytest.mark.parametrize(
    ("ranks", "shown"),
    [
        ([4], "4"),
        ([1, 2], "1 and 2"),
        ([1, 2, 3], "1–3"),
        ([1, 2, 3, 5, 6, 8], "1–3, 5, 6 and 8"),
    ],
)
def test_ranks_in_words(ranks: list[int], shown: str) -> None:
    assert shown_ranks(ranks) == shown


VALIDATION = {"major": (219, 190), "minor": (201, 17), "mimic": (423, 125)}
SPREAD = 1.645
"""Where 95 % of standard normal numbers lie below."""


def challenge_score(
    scores: npt.NDArray[np.float64], hybrid: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]
) -> float:
    """The challenge score alone: what `grade` does beside it takes most of its time."""
    recalls = []
    for members in (("major", "minor"), ("mimic",)):
        species = np.isin(groups, members)
        threshold = operating_threshold(scores[species], hybrid[species])
        for group in members:
            own = groups == group
            recalls.append(recall_above(scores[own], hybrid[own], threshold))
    return harmonic_mean(recalls)


def simulated(skills: list[float], sets: int, seed: int) -> dict[str, float]:
    """Return how often intervals, ranges and ties hold on boards with a known order.

    Submissions score the same images; their noise has a correlation of 0.6, and hybrids
    stand `skills` standard deviations above the others.
    """
    random = np.random.default_rng(seed)
    rows = [
        (hybrid, group)
        for group, sizes in VALIDATION.items()
        for hybrid in (False, True)
        for _ in range(sizes[hybrid])
    ]
    hybrid = np.array([row[0] for row in rows])
    groups = np.array([row[1] for row in rows])
    names = tuple(map(str, range(len(rows))))
    reference = Reference(names, tuple(hybrid.tolist()), tuple(groups.tolist()))
    truth = np.array([
        harmonic_mean([0.5 * math.erfc((SPREAD - skill) / math.sqrt(2))] * 3) for skill in skills
    ])  # fmt: skip
    # Equal skills share their places: any of them is right.
    first = np.array([1 + np.sum(truth > own) for own in truth])
    last = np.array([np.sum(truth >= own) for own in truth])
    pairs = list(itertools.combinations(range(len(skills)), 2))
    equal = [pair for pair in pairs if truth[pair[0]] == truth[pair[1]]]
    held = {"interval": 0, "range": 0, "top": 0, "tied": 0, "wrong": 0, "apart": 0}
    for _ in range(sets):
        common = random.normal(size=len(rows))
        scores = [
            math.sqrt(0.6) * common + math.sqrt(0.4) * random.normal(size=len(rows)) + s * hybrid
            for s in skills
        ]
        values = np.array([challenge_score(own, hybrid, groups) for own in scores])
        limits, above = compare_scores(TASKS["hybrid"], reference, scores, values, draws=400)
        ranges = rank_ranges(above, dict(enumerate(limits)))
        inside = [
            s is not None and s.best <= last[row] and first[row] <= s.worst
            for row, s in enumerate(ranges)
        ]
        held["interval"] += sum(
            low <= own <= high for (low, high), own in zip(limits, truth, strict=True)
        )
        held["range"] += sum(inside)
        held["top"] += inside[int(np.argmax(truth))]
        held["tied"] += sum(not above[a, b] and not above[b, a] for a, b in equal)
        unequal = [(a, b) for a, b in pairs if truth[a] != truth[b]]
        held["wrong"] += sum(bool(above[(a, b) if truth[b] > truth[a] else (b, a)])
                             for a, b in unequal)  # fmt: skip
        held["apart"] += sum(bool(above[a, b] or above[b, a]) for a, b in unequal)
    distinct = sets * max(1, len(pairs) - len(equal))
    return {
        "interval": held["interval"] / (sets * len(skills)),
        "range": held["range"] / (sets * len(skills)),
        "top": held["top"] / sets,
        "tied": held["tied"] / (sets * max(1, len(equal))),
        "wrong": held["wrong"] / distinct,
        "apart": held["apart"] / distinct,
    }


def test_ranges_hold_the_true_rank_of_unlike_submissions() -> None:
    found = simulated([1.0, 1.3, 1.6, 1.9, 2.2, 2.5], 150, 3)
    assert 0.92 <= found["interval"] <= 0.98
    assert found["range"] >= 0.93 and found["wrong"] <= 0.025
    # They say something: most pairs are told apart.
    assert found["apart"] > 0.5


def test_ranges_hold_the_true_rank_of_submissions_that_are_nearly_alike() -> None:
    found = simulated([1.9, 1.95, 2.0, 2.05, 2.1, 2.15], 150, 4)
    assert 0.92 <= found["interval"] <= 0.98
    assert found["range"] >= 0.93 and found["top"] >= 0.93 and found["wrong"] <= 0.025


def test_equal_submissions_are_called_tied() -> None:
    found = simulated([1.2, 1.2, 2.0, 2.0, 2.0], 200, 5)
    assert 0.93 <= found["tied"] <= 0.985
    assert found["range"] >= 0.93 and found["apart"] > 0.9
