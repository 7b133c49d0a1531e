"""Reference data that cannot work are refused before they are uploaded, and clear defaults."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from realign_stage import CATALOGUE, REGISTRY, blue, entry, red, write_blue, write_red, write_rules

from mimicry.cli import main
from mimicry.codabench import realign_data
from mimicry.codabench.competition import load_competition
from mimicry.codabench.packing import pack_competition
from mimicry.codabench.validation.report import validate_bundle
from mimicry.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]
TEAMS = ("blue", "red")
NAMED = (
    "competitions", "pages", "competition.yaml", "logo.png", "ingestion_program",
    "scoring_program_blue", "scoring_program_red", "scoring_program_hybrid",
)  # fmt: skip


def zip_folder(folder: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())


def make_reference(root: Path, team: str, phase: str, **rules: Any) -> Path:
    folder = root / "made" / f"{team}_{phase}"
    (write_blue if team == "blue" else write_red)(folder, **rules)
    return folder


def zip_reference(root: Path, team: str, phase: str) -> None:
    target = root / "reference_data" / f"{team}_{phase}.zip"
    zip_folder(root / "made" / f"{team}_{phase}", target)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    for name in NAMED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    (root / "reference_data").mkdir()
    for team in TEAMS:
        for phase in ("development", "final"):
            folder = make_reference(root, team, phase)
            zip_reference(root, team, phase)
        public = root / "public_data" / team
        public.mkdir(parents=True)
        name = "registry.json" if team == "blue" else "catalogue.jsonl"
        shutil.copy(folder / name, public / name)
        rules: dict[str, Any] = {"competition": team, "rule": "mean_cka"}
        write_rules(public, rules | {"count": 3 if team == "blue" else 10})
    return root


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "bundle")
    return tmp_path / "bundle"


def found_by_both(bundle: Path, team: str, tmp_path: Path) -> tuple[str, str]:
    """Return code and words, which packing and validation must agree on."""
    findings = validate_bundle(bundle, [team]).findings
    errors = [f for f in findings if f.level == "error" and f.key.endswith("reference_data")]
    assert len(errors) == 1, findings
    assert errors[0].key == "tasks[1].reference_data" and "mimicry realign build" in errors[0].mend
    with pytest.raises(BundleError) as caught:
        pack_competition(load_competition(bundle, team), tmp_path / "dist")
    assert caught.value.code == errors[0].code
    assert errors[0].problem in caught.value.sentence
    assert "build both phases with the same" in caught.value.sentence
    return errors[0].code, errors[0].problem


@pytest.mark.parametrize("team", TEAMS)
def test_data_that_fit_are_taken(bundle: Path, team: str, tmp_path: Path) -> None:
    assert not validate_bundle(bundle, [team]).errors
    packed = pack_competition(load_competition(bundle, team), tmp_path / "dist")
    assert not validate_bundle(packed.path).errors


def other_team(bundle: Path) -> None:
    places = bundle / "reference_data"
    shutil.copy(places / "blue_final.zip", places / "red_final.zip")


def other_count(bundle: Path) -> None:
    make_reference(bundle, "blue", "final", count=4)
    zip_reference(bundle, "blue", "final")


def other_count_without_public_data(bundle: Path) -> None:
    other_count(bundle)
    (bundle / "public_data" / "blue" / "rules.json").unlink()


def other_registry(bundle: Path) -> None:
    folder = make_reference(bundle, "blue", "final")
    (folder / "registry.json").write_text(json.dumps([*REGISTRY[:-1], entry("another")]))
    zip_reference(bundle, "blue", "final")


def other_registry_without_public_data(bundle: Path) -> None:
    other_registry(bundle)
    (bundle / "public_data" / "blue" / "registry.json").unlink()


def other_catalogue(bundle: Path) -> None:
    folder = make_reference(bundle, "red", "final")
    rows = [*CATALOGUE[:-1], CATALOGUE[-1] | {"image_identifier": "another"}]
    (folder / "catalogue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    zip_reference(bundle, "red", "final")


def too_large_a_count(bundle: Path) -> None:
    make_reference(bundle, "blue", "final", count=7)
    zip_reference(bundle, "blue", "final")


def matrix_of_others(bundle: Path) -> None:
    folder = make_reference(bundle, "blue", "final")
    np.save(folder / "cka.npy", np.eye(5))
    zip_reference(bundle, "blue", "final")


def activations_of_others(bundle: Path) -> None:
    folder = make_reference(bundle, "red", "final")
    np.save(folder / "models" / "01.npy", np.zeros((41, 3), np.float32))
    zip_reference(bundle, "red", "final")


def cut_off(bundle: Path) -> None:
    folder = make_reference(bundle, "red", "final")
    path = folder / "models" / "02.npy"
    path.write_bytes(path.read_bytes()[:-10])
    zip_reference(bundle, "red", "final")


def no_rules(bundle: Path) -> None:
    (make_reference(bundle, "blue", "final") / "rules.json").unlink()
    zip_reference(bundle, "blue", "final")


@pytest.mark.parametrize(
    ("spoil", "team", "code", "part"),
    [
        (
            other_team,
            "red",
            "rules-invalid",
            'red_final.zip: rules.json of the reference data: "co',
        ),
        (other_count, "blue", "public-data-differ", "public_data/blue/rules.json is not that"),
        (other_count_without_public_data, "blue", "public-data-differ", "blue_development.zip di"),
        (other_registry, "blue", "public-data-differ", "public_data/blue/registry.json is not"),
        (other_registry_without_public_data, "blue", "public-data-differ", "its registry.json and"),
        (other_catalogue, "red", "public-data-differ", "public_data/red/catalogue.jsonl is not"),
        (too_large_a_count, "blue", "rules-invalid", "asks for 7 models, but registry.json has 6"),
        (matrix_of_others, "blue", "matrix-invalid", "cka.npy"),
        (activations_of_others, "red", "activations-invalid", "01.npy"),
        (cut_off, "red", "activations-invalid", "02.npy"),
        (no_rules, "blue", "rules-unreadable", "is missing"),
    ],
)
def test_data_that_cannot_work(
    bundle: Path,
    spoil: Callable[[Path], None],
    team: str,
    code: str,
    part: str,
    tmp_path: Path,
) -> None:
    spoil(bundle)
    found, words = found_by_both(bundle, team, tmp_path)
    assert found == code
    assert part in words


def test_public_data_of_another_registry(bundle: Path, tmp_path: Path) -> None:
    public = bundle / "public_data" / "blue" / "registry.json"
    public.write_text(json.dumps([entry("another")]))
    errors = [f for f in validate_bundle(bundle, ["blue"]).findings if f.level == "error"]
    # Of both phases.
    assert [one.code for one in errors] == ["public-data-differ"] * 2
    public.write_text("{")
    errors = [f for f in validate_bundle(bundle, ["blue"]).findings if f.level == "error"]
    assert "registry.json cannot be read" in errors[0].problem


def test_the_form_of_public_data_does_not_count(bundle: Path) -> None:
    public = bundle / "public_data" / "blue" / "registry.json"
    public.write_text(json.dumps(json.loads(public.read_text()), indent=4))
    assert not validate_bundle(bundle, ["blue"]).errors


def test_a_folder_of_reference_data_is_validated(bundle: Path) -> None:
    text = (bundle / "competitions" / "blue.yaml").read_text()
    place = bundle / "reference_data" / "unzipped"
    shutil.copytree(make_reference(bundle, "blue", "other", count=4), place)
    text = text.replace("reference_data/blue_final.zip", "reference_data/unzipped")
    (bundle / "competitions" / "blue.yaml").write_text(text)
    errors = [f for f in validate_bundle(bundle, ["blue"]).findings if f.level == "error"]
    assert [one.code for one in errors] == ["public-data-differ"]
    assert errors[0].problem.startswith("reference_data/unzipped: ")


def test_large_matrices_are_not_read(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix_of_others(bundle)
    monkeypatch.setattr(realign_data, "LARGEST_MATRICES", 100)
    report = validate_bundle(bundle, ["blue"])
    assert not report.errors
    assert sum("matrices are large" in text for text in report.unread) == 2


@pytest.mark.parametrize("team", TEAMS)
def test_missing_public_data_have_their_makers(bundle: Path, team: str, tmp_path: Path) -> None:
    shutil.rmtree(bundle / "public_data" / team)
    with pytest.raises(BundleError) as caught:
        pack_competition(load_competition(bundle, team), tmp_path / "dist")
    assert caught.value.code == "file-missing"
    assert caught.value.sentence == (
        f"public_data/{team} is missing; `mimicry realign build {team}` or `mimicry data zoo` "
        "makes it."
    )


class TestRun:
    def run(self, bundle: Path, path: Path, *options: str) -> int:
        output = str(bundle / "runs" / "one")
        words = ["run", str(path), "--bundle", str(bundle), "--engine", "subprocess"]
        return main([*words, "--output", output, *options])

    @pytest.mark.parametrize("form", ["file", "folder", "zip"])
    @pytest.mark.parametrize("team", TEAMS)
    def test_the_file_tells_the_competition(
        self,
        bundle: Path,
        team: str,
        form: str,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        path = tmp_path / "mine" / "mine.json"
        path.parent.mkdir()
        names = ("resnet50", "resnet50d", "vit_base")
        path.write_text(json.dumps(blue(*names) if team == "blue" else red(range(10))))
        zip_folder(path.parent, tmp_path / "mine.zip")
        places = {"file": path, "folder": path.parent, "zip": tmp_path / "mine.zip"}
        code = self.run(bundle, places[form])
        shown = capfd.readouterr()
        assert code == 0, shown.err
        assert json.loads((bundle / "runs/one/run.json").read_text())["competition"] == team

    @pytest.mark.parametrize("content", [json.dumps(blue("a", "b")), "{}"])
    def test_a_competition_that_runs_models_refuses_it(
        self, bundle: Path, tmp_path: Path, content: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "mine.json"
        path.write_text(content)
        options = ("--competition", "hybrid") if content != "{}" else ()
        assert self.run(bundle, path, *options) == 2
        shown = capfd.readouterr()
        assert "mine.json is a JSON submission, and hybrid runs a model.py" in shown.err
        assert not (bundle / "runs").exists()

    def test_missing_data_have_their_maker(
        self, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (bundle / "reference_data" / "blue_development.zip").unlink()
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(blue("a", "b", "c")))
        assert self.run(bundle, path) == 4
        told = capfd.readouterr().err
        assert "`mimicry data zoo`" in told and "mimicry data demo" not in told
