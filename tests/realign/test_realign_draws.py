"""How Blue's and Red's scores move together, and what boards make of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from realign_stage import CATALOGUE, REGISTRY, ROOT, blue, red, write_blue, write_red
from threadpoolctl import threadpool_limits

from mimicry.codabench.boards.board import Board, make_board
from mimicry.codabench.boards.found_runs import find_runs
from mimicry.codabench.boards.standing import Standings
from mimicry.codabench.boards.standings import find_standings
from mimicry.codabench.boards.text import board_table
from mimicry.codabench.competition import load_competition
from mimicry.codabench.records import RunRecord, TaskRecord, read_run, write_run
from mimicry.codabench.rescoring import rescored
from mimicry.errors import BundleError
from mimicry.realign.blue import score_models
from mimicry.realign.draws import Deviations, blue_counts, blue_deviations, red_deviations
from mimicry.realign.red import score_images
from mimicry.realign.reference import BlueReference, RedReference, read_blue_reference
from mimicry.realign.reference import read_red_reference as read_red
from mimicry.realign.uncertainty import STANDARD_ERRORS, interval_of
from mimicry.similarity import bootstrap_matrices, mean_cka_influences

SETS = [(0, 1, 2), (2, 1, 0), (0, 1, 4), (1, 2, 5), (2, 3, 4)]
COUNTED = [(0, 1), (0, 1, 2), (3, 4, 5), tuple(range(6))]
PICKS = [
    tuple(range(10)),
    tuple(reversed(range(10))),
    tuple(range(5, 15)),
    tuple(range(20, 30)),
    (0, 9, 12, 14, 17, 21, 22, 30, 35, 37),
]


@pytest.fixture
def blue_reference(tmp_path: Path) -> BlueReference:
    write_blue(tmp_path)
    return read_blue_reference(tmp_path)


@pytest.fixture
def red_reference(tmp_path: Path) -> RedReference:
    write_red(tmp_path)
    return read_red(tmp_path, tmp_path)


def symmetric(reference: BlueReference) -> npt.NDArray[np.float64]:
    """Every replicate as a whole matrix."""
    models = len(reference.registry)
    upper = np.triu_indices(models)
    whole = np.zeros((len(reference.replicates), models, models))
    whole[:, upper[0], upper[1]] = reference.replicates
    whole[:, upper[1], upper[0]] = reference.replicates
    return whole


def pairs(row: Sequence[int]) -> list[tuple[int, int]]:
    return [(a, b) for a in row for b in row if a < b]


def test_blue_scores_move_with_the_replicates(blue_reference: BlueReference) -> None:
    found = blue_deviations(SETS, blue_reference)
    means = np.array([
        [np.mean([matrix[a, b] for a, b in pairs(row)]) for matrix in symmetric(blue_reference)]
        for row in SETS
    ])  # fmt: skip
    for index, row in enumerate(SETS):
        scores = score_models(row, blue_reference)
        assert found.values[index] == pytest.approx(scores["score"], abs=1e-12)
        assert found.standard_errors[index] == pytest.approx(scores["standard_error"], abs=1e-12)
        for other in range(len(SETS)):
            spread = np.std(means[index] - means[other], ddof=1)
            assert found.difference_errors[index, other] == pytest.approx(spread, abs=1e-8)
    assert found.difference_errors[0, 1] < 1e-8 and found.values[0] == found.values[1]


def test_blue_counts_follow_the_threshold_in_every_replicate(tmp_path: Path) -> None:
    cka, _, _ = write_blue(tmp_path)
    rows = COUNTED
    threshold = float(min(cka[a, b] for a, b in pairs(rows[1])))
    write_blue(
        *(tmp_path,),
        rule="largest_set",
        count=None,
        threshold=threshold,
        optimum={"value": 6, "upper_bound": 6, "proved": True},
    )
    reference = read_blue_reference(tmp_path)
    found = blue_counts(rows, reference)
    for index, row in enumerate(rows):
        assert found.values[index] == score_models(row, reference)["score"]
        expected = [
            len(row) if min(matrix[a, b] for a, b in pairs(row)) >= threshold else 0
            for matrix in symmetric(reference)
        ]
        assert found.draws[index].tolist() == expected
    # A set whose least pair is the threshold holds in some replicates and not in others.
    assert found.values[1] == 3 and 0 < np.mean(found.draws[1] == 3) < 1


def test_red_scores_move_with_the_stimuli_that_were_chosen(red_reference: RedReference) -> None:
    calls: list[int] = []
    found = red_deviations(PICKS, red_reference, lambda: calls.append(1))
    assert len(calls) == len(PICKS)
    shares: list[dict[int, float]] = []
    for index, row in enumerate(PICKS):
        scores = score_images(row, red_reference)
        assert found.values[index] == pytest.approx(scores["score"], abs=1e-12)
        assert found.standard_errors[index] == pytest.approx(scores["standard_error"], abs=1e-12)
        members = sorted(row)
        influences = mean_cka_influences(
            [array[members].astype(np.float64) for array in red_reference.activations]
        ).influences
        shares.append(dict(zip(members, -influences / len(row), strict=True)))
    for one in range(len(PICKS)):
        for two in range(len(PICKS)):
            squares = sum(
                (shares[one].get(row, 0.0) - shares[two].get(row, 0.0)) ** 2
                for row in shares[one] | shares[two]
            )
            expected = np.sqrt(squares)
            assert found.difference_errors[one, two] == pytest.approx(expected, abs=1e-8)
    errors, between = found.standard_errors, found.difference_errors
    assert between[0, 1] < 1e-8 and found.values[0] == found.values[1]
    assert between[0, 3] == pytest.approx(np.hypot(errors[0], errors[3]), rel=1e-9)


class Place:
    """One team's competition with reference data and runs of its own in a folder."""

    def __init__(self, folder: Path, team: str, **rules: Any) -> None:
        self.folder, self.team = folder, team
        loaded = load_competition(ROOT, team)
        phase = loaded.phase("development")
        self.ref = folder / "ref"
        self.ref.mkdir()
        write = write_blue if team == "blue" else write_red
        write(self.ref, **rules)
        task = replace(phase.tasks[0], reference_data=self.ref)
        self.phase = replace(phase, tasks=(task,))
        self.competition = replace(loaded, phases=(self.phase,))

    def run(self, name: str, rows: tuple[int, ...], document: Mapping[str, Any]) -> Path:
        folder = self.folder / "runs" / name
        prediction = folder / self.team / "prediction"
        prediction.mkdir(parents=True)
        (prediction / "team.json").write_text(json.dumps(document))
        if self.team == "blue":
            scores = score_models(rows, read_blue_reference(self.ref))
        else:
            scores = score_images(rows, read_red(self.ref, self.folder / "data"))
        write_run(folder, self.record(name, scores))
        return folder

    def record(self, name: str, scores: Mapping[str, float]) -> RunRecord:
        return RunRecord(
            competition=self.competition.id,
            phase=self.phase.slug,
            submission=f"{name}.zip",
            participant=name,
            submission_sha256="0" * 64,
            engine="subprocess",
            started="2027-01-05T00:00:00+00:00",
            finished="2027-01-05T00:01:00+00:00",
            state="finished",
            tasks={self.team: TaskRecord("finished", scores=scores)},
        )

    def standings(self, **options: Any) -> tuple[Board, Standings]:
        runs, problems = find_runs([self.folder / "runs"])
        assert problems == []
        board = make_board(self.competition, self.phase, runs)
        return board, find_standings(board, self.competition, self.phase, **options)


def blue_place(folder: Path, **rules: Any) -> Place:
    place = Place(folder, "blue", **rules)
    for number, rows in enumerate(SETS):
        models = [
            {"model_name": REGISTRY[row]["model_name"], "layer_name": REGISTRY[row]["layer"]}
            for row in rows
        ]
        place.run(f"p{number}", rows, blue(*models))
    return place


def check_normal(board: Board, standings: Standings, found: Deviations) -> None:
    """Compare a board with the deviations of its submissions, p0, p1, ..."""
    order = [int(row.participant[1:]) for row in board.rows]
    for place, standing in enumerate(standings.rows):
        assert standing is not None
        scores = next(iter(board.rows[place].tasks.values()))
        assert (standing.low, standing.high) == interval_of(
            scores["score"], scores["standard_error"]
        )
        for other in range(len(order)):
            one, two = order[place], order[other]
            gap = abs(found.values[one] - found.values[two])
            beyond = gap > max(1e-9, STANDARD_ERRORS * found.difference_errors[one, two])
            assert (other + 1 in standing.tied) == (not beyond and other != place)


def test_a_blue_board(tmp_path: Path) -> None:
    place = blue_place(tmp_path)
    board, standings = place.standings()
    assert standings.notes == ()
    check_normal(board, standings, blue_deviations(SETS, read_blue_reference(place.ref)))
    # The same models in another order.
    names = [row.participant for row in board.rows]
    ranks = {name: rank for rank, name in enumerate(names, 1)}
    same = standings.rows[ranks["p0"] - 1]
    assert same is not None and ranks["p1"] in same.tied
    assert "–" in board_table(board, standings=standings)
    run = place.folder / "runs/p3"
    scored = rescored(run, read_run(run), place.phase.tasks[0])
    assert dict(scored.scores) == read_run(run).tasks["blue"].scores


def test_a_blue_board_of_counts(tmp_path: Path) -> None:
    write_blue(tmp_path)
    cka = np.load(tmp_path / "cka.npy")
    least = min(float(cka[a, b]) for a, b in pairs((0, 1, 2)))
    place = blue_place(
        *(tmp_path,),
        rule="largest_set",
        count=None,
        threshold=least - 0.001,
        optimum={"value": 6, "upper_bound": 6, "proved": True},
    )
    board, standings = place.standings()
    draws = blue_counts(SETS, read_blue_reference(place.ref)).draws
    for row, standing in zip(board.rows, standings.rows, strict=True):
        own = draws[int(row.participant[1:])]
        value = row.tasks["blue"]["score"]
        assert standing is not None
        # Seven replicates: their middle 95 % are all of them.
        assert (standing.low, standing.high) == (min(*own, value), max(*own, value))
    assert "replicates" in standings.method
    table = board_table(board, standings=standings)
    assert "0.00–3.00" in table


def red_place(folder: Path, **rules: Any) -> Place:
    place = Place(folder, "red", **rules)
    for number, rows in enumerate(PICKS):
        place.run(f"p{number}", rows, red(rows))
    return place


def test_a_red_board(tmp_path: Path) -> None:
    place = red_place(tmp_path)
    board, standings = place.standings()
    assert standings.notes == () and "chosen, not drawn" in standings.method
    check_normal(board, standings, red_deviations(PICKS, read_red(place.ref, tmp_path)))
    run = place.folder / "runs/p3"
    scored = rescored(run, read_run(run), place.phase.tasks[0])
    assert dict(scored.scores) == read_run(run).tasks["red"].scores


def test_red_activations_on_a_worker(tmp_path: Path) -> None:
    place = red_place(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (place.ref / "models").rename(data / "secret")
    sizes = [
        {"file": path.name, "sha256": "0" * 64, "size": path.stat().st_size}
        for path in sorted((data / "secret").glob("*.npy"))
    ]
    (data / "secret" / "models.json").write_text(json.dumps({"models": sizes}))
    rules = json.loads((place.ref / "rules.json").read_text())
    rules["activations"] = "/app/data/secret"
    (place.ref / "rules.json").write_text(json.dumps(rules))
    _, standings = place.standings()
    assert standings.rows == (None,) * len(PICKS)
    assert len(standings.notes) == 1 and "--worker-data" in standings.notes[0]
    _, standings = place.standings(worker_data=data)
    assert standings.notes == () and all(standings.rows)
    run = place.folder / "runs/p0"
    scored = rescored(run, read_run(run), place.phase.tasks[0], worker_data=data)
    assert scored.scores["score"] > 0


def test_changed_activations_and_submissions_are_told(tmp_path: Path) -> None:
    place = red_place(tmp_path)
    run = place.folder / "runs/p4/red/prediction/team.json"
    run.write_text(json.dumps(red(PICKS[0][:-1])))
    array = np.load(place.ref / "models/00.npy")
    array[12] += 1
    np.save(place.ref / "models/00.npy", array)
    board, standings = place.standings()
    found = dict(zip([row.participant for row in board.rows], standings.rows, strict=True))
    # Those that chose the stimulus, and the one that chose too few.
    assert {name for name, standing in found.items() if standing is None} == {"p2", "p4"}
    assert all("run-changed" in note for note in standings.notes)
    folder = place.folder / "runs/p2"
    with pytest.raises(BundleError) as caught:
        rescored(folder, read_run(folder), place.phase.tasks[0])
    assert caught.value.code == "run-changed"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Many small products: threads that wait for each other take most of the time."""
    with threadpool_limits(1):
        yield


def features(n: int, seed: int) -> list[npt.NDArray[np.float64]]:
    """Activations of models with classes, from weights that do not depend on `seed`."""
    fixed, draw = np.random.default_rng(0), np.random.default_rng(seed)
    classes = 2 * fixed.standard_normal((10, 12))
    weights = [fixed.standard_normal((12, width)) / 3 for width in (20, 15, 25, 20)]
    cause = classes[draw.integers(10, size=n)] + 2 * draw.standard_normal((n, 12))
    return [np.maximum(cause @ w + draw.standard_normal((n, w.shape[1])), 0) for w in weights]


def held(values: Sequence[float], errors: Sequence[float]) -> float:
    """Share of the intervals that hold the mean over all draws."""
    gaps = np.abs(np.array(values) - np.mean(values))
    return float(np.mean(gaps <= STANDARD_ERRORS * np.array(errors)))


@pytest.mark.usefixtures("one_thread")
def test_red_intervals_hold_what_they_should() -> None:
    # Two choices of 500 among 750 fresh stimuli, of which they share 250.
    assert len(CATALOGUE) == 40
    scores: list[float] = []
    errors: list[float] = []
    differences: list[float] = []
    between: list[float] = []
    for seed in range(160):
        arrays = [array.astype(np.float32) for array in features(750, seed)[:3]]
        reference = RedReference(*(None, None), tuple(arrays))  # type: ignore[arg-type]
        found = red_deviations([tuple(range(500)), tuple(range(250, 750))], reference)
        scores += [float(found.values[0])]
        errors += [float(found.standard_errors[0])]
        differences.append(float(found.values[0] - found.values[1]))
        between.append(float(found.difference_errors[0, 1]))
    # Three standard errors of a share of 0.95 among 160.
    assert held(scores, errors) == pytest.approx(0.95, abs=0.05)
    assert held(differences, between) == pytest.approx(0.95, abs=0.05)
    assert np.mean(between) < 1.2 * np.mean(errors)


@pytest.mark.usefixtures("one_thread")
def test_blue_intervals_hold_what_they_should(tmp_path: Path) -> None:
    write_blue(tmp_path)
    base = read_blue_reference(tmp_path)
    upper = np.triu_indices(4)
    scores: list[float] = []
    errors: list[float] = []
    differences: list[float] = []
    between: list[float] = []
    for seed in range(200):
        arrays = features(400, seed)
        drawn = bootstrap_matrices(arrays, replicates=100, seed=seed)
        replicates = drawn[:, upper[0], upper[1]]
        reference = replace(
            base,
            registry=range(4),
            replicates=replicates,
            cka=drawn.mean(0),  # type: ignore[arg-type]
        )
        found = blue_deviations([(0, 1, 2), (1, 2, 3)], reference)
        scores.append(float(found.values[0]))
        errors.append(float(found.standard_errors[0]))
        differences.append(float(found.values[0] - found.values[1]))
        between.append(float(found.difference_errors[0, 1]))
    assert held(scores, errors) == pytest.approx(0.95, abs=0.05)
    assert held(differences, between) == pytest.approx(0.95, abs=0.05)
