"""What the results pages of Blue and Red tell, what they never tell, and what they cost."""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from realign_stage import CATALOGUE, REGISTRY, ROOT, Stage, blue, red, write_blue, write_red

from mimicry.codabench.packing import ProgramSettings, stage_program
from mimicry.realign import program
from mimicry.realign.blue import score_models
from mimicry.realign.details_blue import MOST_CLUSTERED, blue_details, clustered_order
from mimicry.realign.details_red import divergences, red_details, spread_evenly
from mimicry.realign.red import score_images
from mimicry.realign.reference import read_blue_reference, read_red_reference
from mimicry.realign.rules import THUMBNAILS_NAME, Team
from mimicry.realign.thumbnails import LARGEST_THUMBNAIL, SHOWN_THUMBNAILS
from mimicry.realign.uncertainty import interval_of
from mimicry.reports.blue import blue_page
from mimicry.reports.facts import Facts, ScoreRow
from mimicry.reports.layout import document
from mimicry.reports.red import red_page
from mimicry.scoring.kinds import Scored
from mimicry.scoring.page import LARGEST_PAGE
from mimicry.similarity import similarity_matrix

WRITE = {"blue": write_blue, "red": write_red}
GOOD = {"blue": blue("resnet50", "resnet50d", "vit_base"), "red": red(range(10))}
FULL = Facts("Team", "realign · Development", True, 1.25, [("Mimicry", "0.1.0")])
DECLARED = FULL._replace(full=False)


class Reader(HTMLParser):
    """Collects what a page says: text, and attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self._skip = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._skip = tag in {"style", "script"}
        found = dict(attributes)
        self.said += [str(found[key]) for key in ("alt", "title", "aria-label") if key in found]
        if tag == "img":
            self.images.append(found)

    def handle_endtag(self, tag: str) -> None:
        self._skip = False

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.said.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def said(page: str) -> str:
    return " ".join(" ".join(read(page).said).split())


def drawn(scored: Scored, facts: Facts) -> str:
    return document(facts.title, *scored.page(facts), subtitle=facts.subtitle)


def scored(stage: Stage, team: Team) -> Scored:
    stage.submit(GOOD[team])
    return program.score_submission(team, stage.source)


def write_thumbnails(stage: Stage, pictures: Sequence[bytes], **rules: Any) -> None:
    np.save(stage.ref / THUMBNAILS_NAME, np.array(pictures, dtype=bytes))
    digest = hashlib.sha256((stage.ref / THUMBNAILS_NAME).read_bytes()).hexdigest()
    change_rules(stage, thumbnails=True, sha256={THUMBNAILS_NAME: digest}, **rules)


def change_rules(stage: Stage, **changes: Any) -> None:
    path = stage.ref / "rules.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def jpeg(size: int = 600) -> bytes:
    """What has the ends of a JPEG; pages never decode one."""
    return b"\xff\xd8\xff" + b"\x01" * (size - 5) + b"\xff\xd9"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "app")


class TestDeclared:
    def test_blue_pages_of_equal_columns_are_equal(self, tmp_path: Path) -> None:
        one, other = Stage(tmp_path / "one"), Stage(tmp_path / "other")
        cka, unbiased, replicates = write_blue(one.ref)
        write_blue(other.ref)
        # The pairs of the three models trade places, and the models left out are others.
        upper = {pair: at for at, pair in enumerate(zip(*np.triu_indices(len(cka)), strict=True))}
        for matrix, name in ((cka, "cka"), (unbiased, "cka_unbiased")):
            turned = matrix.copy()
            turned[3:, 3:] = np.eye(3)
            for new, old in (((0, 1), (1, 2)), ((0, 2), (0, 1)), ((1, 2), (0, 2))):
                turned[new] = turned[new[::-1]] = matrix[old]
            np.save(other.ref / f"{name}.npy", turned)
        moved = replicates.copy()
        for new, old in (((0, 1), (1, 2)), ((0, 2), (0, 1)), ((1, 2), (0, 2))):
            moved[:, upper[new]] = replicates[:, upper[old]]
        np.save(other.ref / "replicates.npy", moved)
        pages = [scored(each, "blue") for each in (one, other)]
        assert drawn(pages[0], DECLARED) == drawn(pages[1], DECLARED)
        assert drawn(pages[0], FULL) != drawn(pages[1], FULL)

    def test_red_pages_of_equal_columns_are_equal(self, tmp_path: Path) -> None:
        one, other = Stage(tmp_path / "one"), Stage(tmp_path / "other")
        values = write_red(one.ref)
        write_red(other.ref)
        # The features in another order, the stimuli in classes of other names; with pictures.
        for number, array in enumerate(values):
            np.save(
                other.ref / "models" / f"{number:02d}.npy", np.ascontiguousarray(array[:, ::-1])
            )
        rows = [row | {"class_name": "x" + row["class_name"]} for row in CATALOGUE]
        (other.ref / "catalogue.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        write_thumbnails(other, [jpeg()] * len(CATALOGUE))
        change_rules(other, random={"mean": 0.25, "standard_deviation": 0.5, "draws": 7})
        pages = [scored(each, "red") for each in (one, other)]
        assert drawn(pages[0], DECLARED) == drawn(pages[1], DECLARED)
        assert drawn(pages[0], FULL) != drawn(pages[1], FULL)

    @pytest.mark.parametrize("team", ["blue", "red"])
    def test_nothing_but_columns_counts_and_provenance(self, stage: Stage, team: Team) -> None:
        WRITE[team](stage.ref)
        found = scored(stage, team)
        page = drawn(found, DECLARED)
        numbers = set(re.findall(r"\d+\.\d+", said(page)))
        columns = {f"{value:.4f}".lstrip("-") for value in found.scores.values()}
        assert numbers - columns <= {"1.2", "0.1"}
        assert "<svg" not in page and "<img" not in page and "resnet" not in page
        assert "alone" in said(page) and "publish the board with intervals" in said(page)


class TestFull:
    @pytest.mark.parametrize("team", ["blue", "red"])
    def test_no_path_no_file_no_checksum_no_long_number(self, stage: Stage, team: Team) -> None:
        WRITE[team](stage.ref)
        if team == "red":
            write_thumbnails(stage, [jpeg()] * len(CATALOGUE))
        page = drawn(scored(stage, team), FULL)
        text = said(page)
        assert not re.search(r"\d\.\d{5}", text)
        assert not re.search(r"ILSVRC|JPEG|\.npy|\.json|/app|[0-9a-f]{64}", text)
        assert str(stage.source) not in page and "ILSVRC" not in page and ".npy" not in page

    def test_blue_names_no_model(self, stage: Stage) -> None:
        write_blue(stage.ref)
        page = drawn(scored(stage, "blue"), FULL)
        for entry in REGISTRY:
            assert entry["model_name"] not in page and entry["layer"] not in said(page)
        assert set(re.findall(r"models\[\d+\]", page)) == {f"models[{at}]" for at in range(3)}

    def test_blue_pages_tell_nothing_of_the_registry(self, tmp_path: Path) -> None:
        one, other = Stage(tmp_path / "one"), Stage(tmp_path / "other")
        cka, unbiased, replicates = write_blue(one.ref, count=4)
        write_blue(other.ref, count=4)
        # The same models under other names, in another order.
        turn = [3, 5, 1, 0, 4, 2]
        entries = [dict(REGISTRY[row], model_name=f"x{row}") for row in turn]
        (other.ref / "registry.json").write_text(json.dumps(entries))
        for matrix, name in ((cka, "cka"), (unbiased, "cka_unbiased")):
            np.save(other.ref / f"{name}.npy", matrix[np.ix_(turn, turn)])
        drawn_anew = np.zeros((len(replicates), *cka.shape), dtype=np.float32)
        upper = np.triu_indices(len(cka))
        drawn_anew[:, upper[0], upper[1]] = drawn_anew[:, upper[1], upper[0]] = replicates
        moved = drawn_anew[:, turn][:, :, turn][:, upper[0], upper[1]]
        np.save(other.ref / "replicates.npy", moved)
        chosen = (4, 2, 0, 1)
        names = [REGISTRY[row]["model_name"] for row in chosen]
        layers = [REGISTRY[row]["layer"] for row in chosen]
        pages = []
        for place, called in ((one, names), (other, [f"x{row}" for row in chosen])):
            place.submit(
                blue(*({"model_name": name, "layer_name": layer}
                       for name, layer in zip(called, layers, strict=True)))
            )  # fmt: skip
            pages.append(drawn(program.score_submission("blue", place.source), FULL))
        assert pages[0] == pages[1]

    def test_permuting_a_blue_list_permutes_the_labels(self, stage: Stage) -> None:
        cka, _, _ = write_blue(stage.ref, count=4)
        chosen = [(name, REGISTRY[row]["layer"], row)
                  for row, name in ((4, "mixer"), (0, "resnet50"), (2, "vit_base"),
                                    (1, "resnet50d"))]  # fmt: skip
        for order in itertools.permutations(chosen):
            stage.submit(
                blue(*({"model_name": name, "layer_name": layer} for name, layer, _ in order))
            )
            text = said(drawn(program.score_submission("blue", stage.source), FULL))
            told = re.findall(r"models\[(\d)\] and models\[(\d)\] (\d\.\d\d)", text)
            assert len(told) == 6
            for one, other, similarity in told:
                pair = order[int(one)][2], order[int(other)][2]
                assert similarity == f"{cka[pair]:.2f}"

    def test_red_numbers_its_models_whatever_the_files_are_called(self, tmp_path: Path) -> None:
        one, other = Stage(tmp_path / "one"), Stage(tmp_path / "other")
        write_red(one.ref)
        write_red(other.ref)
        names = ("02.npy", "00.npy", "01.npy")
        for path, name in zip(sorted((other.ref / "models").iterdir()), names, strict=True):
            path.rename(path.with_name(f"new_{name}"))
        pages = [drawn(scored(each, "red"), FULL) for each in (one, other)]
        assert pages[0] == pages[1] and "model 3" in pages[0] and "model 4" not in pages[0]

    @pytest.mark.parametrize("team", ["blue", "red"])
    def test_a_failing_page_leaves_scores_and_the_columns_page(
        self, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, team: Team
    ) -> None:
        WRITE[team](stage.ref)
        stage.submit(GOOD[team])
        settings = ProgramSettings("realign", "Development", team, 600, "full")
        folder = tmp_path / "program"
        folder.mkdir()
        (folder / "phase.json").write_text(settings.to_json())
        arguments = [str(stage.source), str(stage.output)]
        assert program.main(team, folder, arguments) == 0
        full = (stage.output / "detailed_results.html").read_text()
        scores = (stage.output / "scores.json").read_bytes()

        def broken(*_: object) -> None:
            raise ValueError("no details today")

        monkeypatch.setattr(f"mimicry.realign.details_{team}.{team}_details", broken)
        assert program.main(team, folder, arguments) == 0
        page = (stage.output / "detailed_results.html").read_text()
        assert "no details today" in (stage.output / "scoring.log").read_text()
        assert (stage.output / "scores.json").read_bytes() == scores
        assert "<svg" in full and "<svg" not in page and "publish the board" in page

    @pytest.mark.parametrize("team", ["blue", "red"])
    def test_the_packed_program_has_all_that_its_page_needs(
        self, stage: Stage, tmp_path: Path, team: Team
    ) -> None:
        WRITE[team](stage.ref)
        stage.submit(GOOD[team])
        packed = tmp_path / "packed"
        settings = ProgramSettings("realign", "Development", team, 600, "full")
        stage_program(ROOT / f"scoring_program_{team}", packed, settings)
        assert (packed / "mimicry" / "realign" / f"details_{team}.py").is_file()
        # Building needs far more than scoring does.
        assert not (packed / "mimicry" / "realign" / "build_thumbnails.py").exists()
        done = stage.run(team, script=packed / f"score_{team}.py")
        assert done.exit_code == 0 and "scoring.log" not in done.files
        assert "<svg" in done.page and "the board's columns)" not in done.stdout


class TestBlueDetails:
    def test_against_a_plain_count(self, stage: Stage) -> None:
        cka, unbiased, _ = write_blue(stage.ref)
        reference = read_blue_reference(stage.ref)
        rows = (4, 0, 2, 1)
        scores = score_models(rows, reference)
        details = blue_details(rows, reference, scores)
        assert sorted(details.places) == [0, 1, 2, 3]
        for i, j in itertools.product(range(4), range(4)):
            place = rows[details.places[i]], rows[details.places[j]]
            assert details.cka[i][j] == cka[place] and details.cka_unbiased[i][j] == unbiased[place]
        pairs = {(one, other): cka[one, other] for one, other in itertools.combinations(rows, 2)}
        for member in details.members:
            row = rows[member.place]
            rest = [value for pair, value in pairs.items() if row not in pair]
            own = [value for pair, value in pairs.items() if row in pair]
            assert member.similarity == pytest.approx(np.mean(own))
            assert member.change == pytest.approx(np.mean(rest) - scores["score"])
        changes = [member.change or 0 for member in details.members]
        assert changes == sorted(changes, reverse=True) and changes[0] > 0 > changes[-1]
        for pair in (*details.least, *details.most):
            assert pair.one < pair.other
            assert pair.similarity == cka[rows[pair.one], rows[pair.other]]
        assert [pair.similarity for pair in details.least] == sorted(pairs.values())[:5]
        assert [pair.similarity for pair in details.most] == sorted(pairs.values())[:0:-1]
        assert details.pairs == 6 and details.below == () and details.threshold is None
        assert (details.bound, details.proved) == (0.95, False)
        assert details.spread[2:] == interval_of(scores["score"], scores["standard_error"])

    def test_the_largest_set(self, stage: Stage) -> None:
        cka, _, _ = write_blue(
            stage.ref, rule="largest_set", count=None, threshold=0.5,
            optimum={"value": 4, "upper_bound": 6, "proved": False},
        )  # fmt: skip
        reference = read_blue_reference(stage.ref)
        for rows in itertools.chain(*(itertools.combinations(range(6), k) for k in (2, 3, 4, 6))):
            scores = score_models(rows, reference)
            details = blue_details(rows, reference, scores)
            low = [p for p in itertools.combinations(rows, 2) if cka[p] < 0.5]
            assert details.below_count == len(low) == len(details.below)
            for member in details.members:
                if len(rows) == 2:
                    assert member.change is None
                    continue
                rest = tuple(row for place, row in enumerate(rows) if place != member.place)
                assert member.change == score_models(rest, reference)["score"] - scores["score"]
            page = blue_page([ScoreRow("score", "Score", scores["score"], "")], "n models", FULL,
                             details)  # fmt: skip
            assert ("every one of its" in said(document("x", *page))) is not bool(low)

    def test_of_very_many_pairs_below_the_first_are_listed(self, stage: Stage) -> None:
        details, page = large_blue(stage, 141, threshold=0.999)
        assert details.below_count == 9870 and len(details.below) == 20
        similarities = [pair.similarity for pair in details.below]
        assert similarities == sorted(similarities)
        assert "the first 20 of 9,870" in said(page)

    @pytest.mark.parametrize("models", [2, 3, 20, 40, 41, 141, 200, 201, 1001])
    def test_the_page_of_a_whole_registry_stays_small(self, stage: Stage, models: int) -> None:
        details, page = large_blue(stage, models)
        assert len(page.encode()) < LARGEST_PAGE
        assert details.clustered is (models <= MOST_CLUSTERED)
        assert ("too many to be drawn" in said(page)) is (models > 200)

    @given(
        arrays(np.float64, st.integers(1, 30).map(lambda n: (n, n)),
               elements=st.floats(0, 1, width=32))
    )  # fmt: skip
    def test_every_order_is_a_permutation(self, values: Any) -> None:
        matrix = (values + values.T) / 2
        np.fill_diagonal(matrix, 1)
        order = clustered_order(matrix)
        assert order is not None and sorted(order.tolist()) == list(range(len(matrix)))

    def test_models_that_are_alike_stand_together(self) -> None:
        kinds = np.array([0, 1, 2] * 20)
        matrix = np.where(kinds[:, None] == kinds, 0.9, 0.1)
        np.fill_diagonal(matrix, 1)
        order = clustered_order(matrix)
        assert order is not None and np.count_nonzero(np.diff(kinds[order])) == 2


def large_blue(stage: Stage, models: int, threshold: float = 0.3) -> tuple[Any, str]:
    """Return details and page of all models of a made-up registry."""
    draw = np.random.default_rng(2)
    write_blue(
        stage.ref, rule="largest_set", count=None, threshold=threshold,
        optimum={"value": 5, "upper_bound": 9, "proved": True},
    )  # fmt: skip
    half = np.triu(draw.uniform(0.2, 0.9, (models, models)), 1)
    cka = half + half.T + np.eye(models)
    entries = [dict(REGISTRY[1], model_name=f"vit_{number}") for number in range(max(models, 9))]
    padded = np.eye(len(entries))
    padded[:models, :models] = cka
    (stage.ref / "registry.json").write_text(json.dumps(entries))
    np.save(stage.ref / "cka.npy", padded)
    np.save(stage.ref / "cka_unbiased.npy", padded)
    pairs = len(entries) * (len(entries) + 1) // 2
    np.save(stage.ref / "replicates.npy", np.full((2, pairs), 0.5, dtype=np.float32))
    reference = read_blue_reference(stage.ref)
    rows = tuple(range(models))
    scores = {"score": 0.0, "standard_error": 0.01}
    details = blue_details(rows, reference, scores)
    page = blue_page([ScoreRow("score", "Score", 0.0, "")], "n models", FULL, details)
    return details, document("Team", *page)


class TestRedDetails:
    def test_the_matrices_mean_what_the_scores_say(self, stage: Stage) -> None:
        write_red(stage.ref)
        reference = read_red_reference(stage.ref, stage.ref)
        rows = tuple(range(1, 31, 3))
        scores = score_images(rows, reference)
        details = red_details(rows, reference, scores)
        upper = np.triu_indices(3, 1)
        for matrix, key in (
            (details.divergence, "score"), (details.divergence_unbiased, "unbiased_score"),
        ):  # fmt: skip
            values = np.array(matrix)
            assert values[upper].mean() == pytest.approx(scores[key], abs=1e-5)
            assert (values == values.T).all() and not values.diagonal().any()
        assert details.interval == interval_of(scores["score"], scores["standard_error"])
        assert (details.stimuli, details.catalogue) == (10, 40)

    @pytest.mark.parametrize("budget", [None, 4000])
    def test_both_matrices_are_those_of_the_library(
        self, monkeypatch: pytest.MonkeyPatch, budget: int | None
    ) -> None:
        draw = np.random.default_rng(5)
        shared = draw.normal(size=(60, 5))
        models = [shared @ draw.normal(size=(5, width)) + draw.normal(size=(60, width))
                  for width in (3, 30, 200)]  # fmt: skip
        models += [np.ones((60, 4)), np.eye(60)]
        before = [model.copy() for model in models]
        if budget is not None:
            monkeypatch.setattr("mimicry.similarity.cka.BUDGET", budget)
        for found, metric in zip(divergences(models), ("cka", "cka-unbiased"), strict=True):
            expected = 1 - similarity_matrix(models, metric, dtype="float64")
            np.fill_diagonal(expected, 0)
            np.testing.assert_allclose(found, expected, atol=2e-6)
            assert (found == found.T).all()
        for model, same in zip(models, before, strict=True):
            np.testing.assert_array_equal(model, same)

    def test_classes_and_data_sets_are_counted(self, stage: Stage) -> None:
        write_red(stage.ref)
        reference = read_red_reference(stage.ref, stage.ref)
        rows = (0, 4, 8, 12, 1, 5, 9, 2, 6, 32)
        details = red_details(rows, reference, score_images(rows, reference))
        counts = [(share.name, share.chosen, share.of) for share in details.classes]
        assert counts == [
            ("n00000000", 5, 10), ("n00000001", 3, 10), ("n00000002", 2, 10), ("n00000003", 0, 10),
        ]  # fmt: skip
        assert [tuple(share) for share in details.datasets] == [
            ("imagenet_val", 9, 30), ("objectnet", 1, 10),
        ]  # fmt: skip
        rows_of = [ScoreRow(key, key, value, "")
                   for key, value in score_images(rows, reference).items()]  # fmt: skip
        text = said(document("x", *red_page(rows_of, "10 stimuli", FULL, details)))
        assert "3 of the catalogue's 4 classes" in text and "2.0000 would be" in text
        assert "90.0%" in text and "75.0%" in text

    @given(st.integers(1, 5000), st.integers(1, 60))
    def test_what_is_shown_is_spread_evenly(self, count: int, most: int) -> None:
        places = spread_evenly(count, most)
        assert len(places) == min(count, most) and places[0] == 0 and places[-1] < count
        steps = {b - a for a, b in itertools.pairwise(places)}
        assert all(step >= 1 for step in steps) and (not steps or max(steps) - min(steps) <= 1)


class TestThumbnails:
    def test_there_are_none_unless_the_rules_say_so(self, stage: Stage) -> None:
        write_red(stage.ref)
        np.save(stage.ref / THUMBNAILS_NAME, np.array([jpeg()] * len(CATALOGUE)))
        page = drawn(scored(stage, "red"), FULL)
        assert "<img" not in page and "Pictures of the stimuli" not in page

    def test_those_of_the_choice_are_shown_and_read_out_as_one(self, stage: Stage) -> None:
        write_red(stage.ref)
        pictures = [jpeg(100 + row) for row in range(len(CATALOGUE))]
        write_thumbnails(stage, pictures)
        page = drawn(scored(stage, "red"), FULL)
        images = read(page).images
        assert len(images) == 10
        assert all(image["alt"] == "" and "title" not in image for image in images)
        assert (
            'role="img" aria-label="10 small pictures by class: 3 of n00000000, 3 of n00000001, '
            '2 of n00000002, 2 of n00000003"'
        ) in page
        lengths = [len(str(image["src"])) for image in images]
        assert lengths == sorted(lengths) and lengths[0] < lengths[-1]

    @pytest.mark.parametrize(
        "fault",
        [
            "missing",
            "checksum",
            "too few",
            "not bytes",
            "pickled",
            "too large",
            "no jpeg",
            "folder",
        ],
    )
    def test_a_broken_file_costs_neither_score_nor_page(self, stage: Stage, fault: str) -> None:
        write_red(stage.ref)
        count, path = len(CATALOGUE), stage.ref / THUMBNAILS_NAME
        contents: dict[str, Any] = {
            "too few": np.array([jpeg()] * (count - 1)),
            "not bytes": np.zeros(count),
            "pickled": np.array([jpeg()] * count, dtype=object),
            "too large": np.array([jpeg(LARGEST_THUMBNAIL + 1)] * count),
            "no jpeg": np.array([b"<script>alert(1)</script>"] * count),
        }
        write_thumbnails(stage, [jpeg()] * count)
        whole = scored(stage, "red")
        assert len(read(drawn(whole, FULL)).images) == 10
        if fault in contents:
            np.save(path, contents[fault], allow_pickle=True)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            change_rules(stage, sha256={THUMBNAILS_NAME: digest})
        elif fault == "checksum":
            np.save(path, np.array([jpeg(601)] * count))
        else:
            path.unlink()
            if fault == "folder":
                path.mkdir()
        found = program.score_submission("red", stage.source)
        page = drawn(found, FULL)
        assert found.scores == whole.scores
        assert "could not be read" in said(page) and "<img" not in page and "<svg" in page

    def test_of_a_thousand_stimuli_few_are_shown_and_the_page_stays_small(
        self, stage: Stage
    ) -> None:
        count, draw = 1000, np.random.default_rng(3)
        write_red(stage.ref)
        rows = [
            CATALOGUE[0]
            | {"image_identifier": f"{number}.png", "class_name": f"class {number} " + "x" * 150}
            | {"sha256": hashlib.sha256(str(number).encode()).hexdigest()}
            for number in range(count)
        ]
        (stage.ref / "catalogue.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        for path in (stage.ref / "models").iterdir():
            path.unlink()
        # The largest heat maps that are tables: more models are a picture, which is smaller.
        for number in range(40):
            values = draw.normal(size=(count, 4)).astype(np.float32)
            np.save(stage.ref / "models" / f"{number:02d}.npy", values)
        write_thumbnails(stage, [jpeg(LARGEST_THUMBNAIL)] * count, count=count)
        reference = read_red_reference(stage.ref, stage.ref)
        scores = score_images(tuple(range(count)), reference)
        details = red_details(tuple(range(count)), reference, scores)
        columns = [ScoreRow(key, key, value, "") for key, value in scores.items()]
        page = document("x", *red_page(columns, "1,000 stimuli", FULL, details))
        images = read(page).images
        assert len(images) == SHOWN_THUMBNAILS
        assert max(len(str(image["src"])) for image in images) < 3000
        assert sum(len(str(image["src"])) for image in images) < 150_000
        assert len(page.encode()) < LARGEST_PAGE


class TestIntervals:
    @given(st.floats(0, 1), st.floats(0, 10))
    def test_they_hold_the_score_and_stay_in_range(self, score: float, error: float) -> None:
        low, high = interval_of(score, error)
        assert 0 <= low <= score <= high <= 1
        if 2 * error < min(score, 1 - score):
            assert high - low == pytest.approx(2 * 1.959963984540054 * error)

    @pytest.mark.parametrize(
        ("score", "error"), [(1.1, 0.1), (-0.1, 0.1), (20, 0.0), (0.5, -1), (0.5, math.inf),
                             (math.nan, 0.1), (0.5, math.nan)]
    )  # fmt: skip
    def test_what_is_no_score_is_refused(self, score: float, error: float) -> None:
        with pytest.raises(ValueError, match="must"):
            interval_of(score, error)
