"""What participants download, the page of errors, and submissions of the original's layout."""

import csv
import io
import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from codabench_minibundle import REPOSITORY, copy_repository, make_zip

from mimicry.cli import main
from mimicry.codabench.competition import load_competition
from mimicry.codabench.new_submission import template
from mimicry.codabench.packing import pack_competition
from mimicry.codabench.validation.report import validate_bundle
from mimicry.demo import drawing
from mimicry.demo.build import build_demo
from mimicry.demo.cleaning import clean_demo
from mimicry.demo.storage import PUBLIC, is_demo_zip
from mimicry.errors import BundleError
from mimicry.files import sha256_file

HYBRIDS = ("two-task", "hybrid")
KIT = "starting_kit/hybrids"
SMALL = {"seed": 3, "size": (64, 45), "scale": 0.003, "workers": 1, "report": lambda line: None}


@pytest.fixture
def bundle(tmp_path: Path, put_demo: Callable[[Path], None]) -> Path:
    """The repository's competitions with the small demo's data."""
    folder = copy_repository(tmp_path / "bundle")
    put_demo(folder)
    return folder


class TestKit:
    def test_the_example_is_what_new_submission_writes(self) -> None:
        folder = REPOSITORY / KIT / "example_submission"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == template()

    @pytest.mark.parametrize("id", HYBRIDS)
    def test_development_offers_kit_and_data(self, id: str) -> None:
        development, final = load_competition(REPOSITORY, id).phases
        assert development.starting_kit == REPOSITORY / KIT
        assert development.public_data == REPOSITORY / PUBLIC
        assert final.starting_kit is None and final.public_data is None

    @pytest.mark.parametrize("id", HYBRIDS)
    def test_both_are_packed(self, bundle: Path, id: str, tmp_path: Path) -> None:
        packed = pack_competition(load_competition(bundle, id), tmp_path)
        kit = {name for name in packed.members if name.startswith(KIT)}
        committed = {p for p in (REPOSITORY / KIT).rglob("*") if p.is_file()}
        assert kit == {path.relative_to(REPOSITORY).as_posix() for path in committed}
        assert PUBLIC in packed.members
        report = validate_bundle(packed.path)
        assert not report.errors and not report.warnings

    def test_missing_data_have_their_maker(self, bundle: Path, tmp_path: Path) -> None:
        (bundle / PUBLIC).unlink()
        with pytest.raises(BundleError) as raised:
            pack_competition(load_competition(bundle, "hybrid"), tmp_path)
        assert raised.value.code == "file-missing"
        assert "`mimicry data demo`" in raised.value.sentence
        (finding,) = validate_bundle(bundle, ["hybrid"]).findings
        assert finding.code == "dataset-missing" and "`mimicry data demo`" in finding.mend
        # The demo would replace the images of who built their own without a training split.
        assert "leave `public_data` out" in finding.mend and "training=1" in finding.mend

    def test_an_organisers_own_table_may_take_their_place(
        self, bundle: Path, tmp_path: Path
    ) -> None:
        (bundle / PUBLIC).unlink()
        (bundle / "public_data/train.csv").write_text("filename,hybrid_stat\nx.jpg,hybrid\n")
        path = bundle / "competitions/hybrid.yaml"
        path.write_text(path.read_text().replace(PUBLIC, "public_data/train.csv"))
        packed = pack_competition(load_competition(bundle, "hybrid"), tmp_path)
        assert "public_data/train.csv" in packed.members
        assert not validate_bundle(packed.path).findings

    @pytest.mark.parametrize("name", ["train/labels.csv", "butterfly_train.csv"])
    def test_hidden_labels_in_them_are_found(self, bundle: Path, name: str) -> None:
        with zipfile.ZipFile(bundle / "reference_data/test.zip") as archive:
            labels = archive.read("test.csv")
        # In the training table's own words, so that no line is as in the label file.
        rows = csv.DictReader(io.StringIO(labels.decode()))
        told = "".join(
            f"{r['filename']},{('non-', '')[int(r['hybrid_stat'])]}hybrid\n" for r in rows
        )
        for content in (labels, told.encode()):
            make_zip(bundle / PUBLIC, {"train/0.png": b"x", name: content})
            found = {finding.code for finding in validate_bundle(bundle, ["hybrid"]).findings}
            assert found & {"leak-file", "leak-rows", "leak-labels"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    build_demo(folder, **SMALL)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    """Demo data that a test may spoil, and whose pictures nobody draws again."""
    return Path(shutil.copytree(demo, tmp_path / "copy"))


@pytest.fixture
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "draw", lambda order: pytest.fail("drew again"))


class TestDemosPublicData:
    def test_they_are_the_training_set_and_nothing_else(self, demo: Path) -> None:
        train = demo / "demo_data" / "train"
        expected = {f"train/{path.name}": path.read_bytes() for path in train.iterdir()}
        table = (demo / "demo_data" / "butterfly_train.csv").read_bytes()
        with zipfile.ZipFile(demo / PUBLIC) as archive:
            assert archive.namelist() == sorted(archive.namelist())
            found = {name: archive.read(name) for name in archive.namelist()}
        assert found == expected | {"butterfly_train.csv": table}
        assert is_demo_zip(demo / PUBLIC)

    def test_no_hidden_image_is_among_them(self, demo: Path) -> None:
        def contents(name: str) -> set[bytes]:
            with zipfile.ZipFile(demo / name) as archive:
                return {archive.read(one) for one in archive.namelist()}

        public = contents(PUBLIC)
        for name in ("val", "test"):
            assert not public & contents(f"input_data/{name}.zip")

    def test_the_demos_own_data_hide_nothing_and_its_test_images_are_told(
        self, demo: Path, tmp_path: Path
    ) -> None:
        bundle = copy_repository(tmp_path / "bundle")
        shutil.copytree(demo, bundle, dirs_exist_ok=True)
        assert not validate_bundle(bundle, HYBRIDS).findings
        with zipfile.ZipFile(bundle / "input_data/test.zip") as hidden:
            first = hidden.namelist()[0]
            with zipfile.ZipFile(bundle / PUBLIC, "a") as public:
                public.writestr("train/last.png", hidden.read(first))
        (finding,) = validate_bundle(bundle, ["hybrid"]).findings
        assert finding.code == "leak-input" and finding.file == PUBLIC
        assert "'train/last.png'" in finding.problem and first in finding.problem

    def test_earlier_demo_data_get_them_without_being_drawn_again(
        self, demo: Path, copy: Path, no_drawing: None
    ) -> None:
        record = copy / "demo_data" / "manifest.json"
        content = json.loads(record.read_text())
        del content["files"][PUBLIC]
        record.write_text(json.dumps(content))
        shutil.rmtree(copy / "public_data")
        assert build_demo(copy, **SMALL).changed  # type: ignore[arg-type]
        assert sha256_file(copy / PUBLIC) == sha256_file(demo / PUBLIC)
        assert not build_demo(copy, **SMALL).changed  # type: ignore[arg-type]

    def test_a_lost_or_damaged_one_is_made_again(
        self, demo: Path, copy: Path, no_drawing: None
    ) -> None:
        (copy / PUBLIC).unlink()
        assert build_demo(copy, **SMALL).changed  # type: ignore[arg-type]
        assert sha256_file(copy / PUBLIC) == sha256_file(demo / PUBLIC)

    def test_an_organisers_own_file_stays(self, copy: Path) -> None:
        (copy / PUBLIC).write_bytes(b"my training data")
        with pytest.raises(BundleError, match="demo-foreign-file"):
            build_demo(copy, **SMALL)  # type: ignore[arg-type]
        assert PUBLIC in clean_demo(copy, report=str).kept
        assert (copy / PUBLIC).read_bytes() == b"my training data"

    @pytest.mark.parametrize("record", [True, False])
    def test_cleaning_takes_it_away_and_leaves_the_rest(self, copy: Path, record: bool) -> None:
        mine = copy / "public_data" / "blue" / "registry.json"
        mine.parent.mkdir()
        mine.write_text("[]")
        (copy / "public_data" / "README.md").write_text("read me")
        if not record:
            shutil.rmtree(copy / "demo_data")
        cleaned = clean_demo(copy, report=str)
        assert PUBLIC in cleaned.removed and cleaned.kept == ("public_data/blue",)
        left = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
        assert left == {"public_data/README.md", "public_data/blue/registry.json"}


def catalogue(page: str) -> dict[str, list[str]]:
    """Return the codes of a page's tables, and the cells beside each."""
    text = (REPOSITORY / "pages" / page).read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        first, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            for code in re.findall(r"`([a-z-]+)`", first):
                assert code not in found, f"{code} stands twice on {page}"
                found[code] = cells
    return found


def source(*folders: str) -> str:
    paths = [
        p for folder in folders for p in sorted((REPOSITORY / "src/mimicry" / folder).rglob("*.py"))
    ]
    return "".join(path.read_text(encoding="utf-8") for path in paths)


class TestErrorPages:
    PAGES = ("errors.md", "errors-realign.md")

    def test_every_code_of_a_participant_has_its_cause_and_cure(self) -> None:
        from mimicry.ingestion import faults

        everything = source("")
        codes = set(re.findall(r'\bSubmissionError\(\s*"([a-z-]+)"', everything))
        codes |= set(re.findall(r'\bFault\(\s*"([a-z-]+)"', source("codabench")))
        codes |= set(re.findall(r'\bFinding\(\s*"error",\s*"([a-z-]+)"', source("codabench")))
        codes |= set(faults._SENTENCES)
        # `mimicry realign`'s own exit code 3, for who runs the check of pull requests.
        codes -= {"pull-request-changes", "submission-missing"}
        assert len(codes) > 50
        told: dict[str, list[str]] = {}
        for page in self.PAGES:
            told |= catalogue(page)
        for code in sorted(codes):
            assert code == "submission-invalid" or code in told, code
            assert code == "submission-invalid" or all(told[code]), code
        errors = {code for code in codes if code in told}
        assert {len(told[code]) for code in errors} == {2}

    def test_no_page_tells_of_codes_that_are_not_there(self) -> None:
        everything = source("")
        for page in self.PAGES:
            for code in catalogue(page):
                assert f'"{code}"' in everything, code

    def test_warnings_and_notes_are_told_of(self) -> None:
        codes = re.findall(r'\bFinding\(\s*"(?:warning|note)",\s*"([a-z-]+)"', source("codabench"))
        assert len(set(codes)) > 10
        told = {code for page in self.PAGES for code in catalogue(page)}
        assert set(codes) <= told

    def test_each_competition_shows_its_page(self) -> None:
        for id, page in [(id, "errors.md") for id in HYBRIDS] + [
            (id, "errors-realign.md") for id in ("blue", "red")
        ]:
            shown = load_competition(REPOSITORY, id).document["pages"]
            assert {"title": "Errors", "file": f"pages/{page}"} in shown


# The layout of the submissions of 2024: one image at a time, a pickled classifier.
ORIGINAL = """\
import os
import pickle

import numpy as np


class Model:
    def __init__(self):
        self.clf = None

    def load(self):
        with open(os.path.join(os.path.dirname(__file__), "clf.pkl"), "rb") as f:
            self.clf = pickle.load(f)

    def predict(self, datapoint):
        features = np.asarray(datapoint.convert("RGB").resize((4, 4)), dtype=float).ravel()
        return self.clf.decision_function(features[None] / 255)
"""


@pytest.mark.parametrize("form", ["folder", "zip", "zip of the folder"])
def test_a_submission_of_the_originals_layout_runs_unchanged(
    bundle: Path, tmp_path: Path, form: str
) -> None:
    from sklearn.linear_model import SGDClassifier

    draw = np.random.default_rng(0)
    classifier = SGDClassifier(random_state=0).fit(draw.random((20, 48)), np.arange(20) % 2)
    members = {
        "model.py": ORIGINAL.encode(),
        "clf.pkl": pickle.dumps(classifier),
        "metadata": b"",
        "requirements.txt": b"numpy\nscikit-learn\n",
    }
    submission = tmp_path / "DINO_SGD_code_submission"
    submission.mkdir()
    for name, content in members.items():
        (submission / name).write_bytes(content)
    if form != "folder":
        start = "" if form == "zip" else f"{submission.name}/"
        packed = {f"{start}{name}": content for name, content in members.items()}
        submission = make_zip(tmp_path / "submission.zip", packed)
    where = ["--bundle", str(bundle)]
    assert main(["check", str(submission), *where]) == 0
    options = [
        "--competition",
        "hybrid",
        "--engine",
        "subprocess",
        "--output",
        str(tmp_path / "run"),
    ]
    assert main(["run", str(submission), *options, *where]) == 0
    scores = json.loads((tmp_path / "run/hybrid/scoring/scores.json").read_text())
    assert 0 < scores["A_PRC_AUC"] < 1
