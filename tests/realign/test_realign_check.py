"""``mimicry check`` and ``mimicry pack-submission`` on Re-Align's JSON submissions."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from realign_stage import CATALOGUE, REGISTRY, Stage, blue, red, write_blue, write_red, write_rules

from mimicry.cli import main
from mimicry.codabench.json_submission import is_json_submission
from mimicry.codabench.submission_zip import unpack_submission
from mimicry.errors import SubmissionError
from mimicry.realign.found import find_submission

MODEL = "class Model:\n    def load(self): pass\n    def predict(self, image): return 0.5\n"


class Found(NamedTuple):
    """What a command left, and the findings as JSON."""

    code: int
    findings: list[dict[str, str]]

    def codes(self, level: str) -> set[str]:
        return {finding["code"] for finding in self.findings if finding["level"] == level}

    def sentence(self, code: str) -> str:
        return next(f["sentence"] for f in self.findings if f["code"] == code)


@pytest.fixture
def check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    # Outside of any bundle, unless a test names one.
    monkeypatch.chdir(tmp_path)

    def run(path: Path, *options: str) -> Found:
        code = main(["check", str(path), "--json", *options])
        return Found(code, json.loads(capsys.readouterr().out)["findings"])

    return run


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    root.mkdir()
    (root / "competition.yaml").write_text("version: 2\n")
    write_blue(root / "public_data" / "blue", optimum=None)
    write_red(root / "public_data" / "red", random=None)
    return root


def put(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("document", "team", "told"),
    [(blue("a", "b"), "blue", "2 models"), (red(range(5)), "red", "5 stimuli")],
)
def test_without_reference_data_the_form_is_checked(
    check: Any, tmp_path: Path, document: Any, team: str, told: str
) -> None:
    path = put(tmp_path / "My Team.json", document)
    found = check(path)
    assert found.code == 0
    assert found.codes("note") == {"count-unchecked", "names-unchecked", team}
    assert told in found.sentence(team)
    found = check(path, "--count", "7")
    assert (found.code, found.codes("error")) == (3, {"wrong-count"})
    rows = document["models" if team == "blue" else "differentiating_images"]
    rows.append(rows[0])
    put(path, document | {"note": ""})
    found = check(path)
    kind = "model" if team == "blue" else "stimulus"
    assert found.codes("error") == {f"duplicate-{kind}", "unknown-key"}


def test_named_files_and_counts(check: Any, tmp_path: Path) -> None:
    registry = put(tmp_path / "r.json", REGISTRY)
    catalogue = tmp_path / "c.jsonl"
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in CATALOGUE))
    options = ("--registry", str(registry), "--catalogue", str(catalogue))
    path = put(tmp_path / "t.json", blue("resnet50", "resnet50d"))
    assert check(path, *options, "--count", "2").findings == [
        {
            "level": "note",
            "code": "blue",
            "sentence": "t.json: a Blue team's submission of 2 models.",
        }
    ]
    put(path, blue("resnet50", "nope"))
    assert check(path, *options).codes("error") == {"unknown-model"}
    put(path, red([1, 39]))
    assert check(path, *options, "--count", "2").code == 0
    put(path, red([38, 39]))
    assert check(path, *options).codes("error") == {"same-image"}


def test_a_bundle_brings_its_public_data(check: Any, tmp_path: Path, bundle: Path) -> None:
    path = put(tmp_path / "t.json", blue("resnet50", "resnet50d"))
    found = check(path, "--bundle", str(bundle))
    assert (found.codes("error"), found.codes("note")) == ({"wrong-count"}, {"blue"})
    put(path, blue("resnet50", "resnet50d", "vit_base"))
    assert check(path, "--bundle", str(bundle)).code == 0
    assert check(path, "--bundle", str(bundle), "--count", "2").codes("error") == {"wrong-count"}
    put(path, red(range(10)))
    assert check(path, "--bundle", str(bundle)).code == 0
    write_rules(
        bundle / "public_data" / "blue",
        {"competition": "blue", "rule": "largest_set", "threshold": 0.8},
    )
    put(path, blue("resnet50", "resnet50d"))
    assert check(path, "--bundle", str(bundle)).code == 0
    put(path, blue("resnet50"))
    assert check(path, "--bundle", str(bundle)).codes("error") == {"wrong-count"}


def test_a_broken_registry_is_the_organisers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path / "t.json", blue("resnet50"))
    registry = put(tmp_path / "r.json", [{}])
    assert main(["check", str(path), "--registry", str(registry)]) == 4
    assert capsys.readouterr().err.endswith("[registry-invalid]\n")


def test_a_folder_of_pull_requests(check: Any, tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "blue_team_submissions"
    good = blue("resnet50", "resnet50d", "vit_base")
    put(folder / "a_team-1.json", good)
    (folder / "README.md").write_text("Put your file here.")
    (folder / ".gitkeep").touch()
    found = check(folder, "--bundle", str(bundle))
    assert (found.code, found.codes("note"), found.codes("warning")) == (0, {"blue"}, set())
    put(folder / "Team One.json", good)
    put(folder / "b.JSON", good)
    put(folder / "c.json", red(range(10)))
    put(folder / "d.json", good | {"models": [{"model_name": "nope"}]})
    put(folder / "e.json", {"team_name": "E"})
    (folder / "stimuli").mkdir()
    found = check(folder, "--bundle", str(bundle))
    told = {(f["sentence"].split()[0].rstrip(":"), f["code"]) for f in found.findings}
    assert ("Team", "team-file-name") in told and ("b.JSON", "team-file-name") in told
    assert {("c.json", "wrong-team"), ("d.json", "unknown-model"), ("d.json", "wrong-count")} < told
    assert ("e.json", "missing-key") in told
    assert found.codes("warning") == {"stray-file"}
    assert not any(name == "a_team-1.json" for name, code in told if code != "blue")
    # A file alone is judged by the folder that it lies in.
    assert check(folder / "c.json").codes("error") == {"wrong-team"}
    assert check(folder / "Team One.json").codes("error") == {"team-file-name"}
    found = check(folder / "a_team-1.json", "--bundle", str(bundle))
    assert found.code == 0


def test_an_empty_folder_of_pull_requests_is_fine(check: Any, tmp_path: Path) -> None:
    folder = tmp_path / "red_team_submissions"
    folder.mkdir()
    (folder / "README.md").touch()
    assert check(folder).code == 0


def test_any_folder_of_json_files(check: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    put(folder / "One.json", blue("a", "b"))
    put(folder / "Two.json", red([1]))
    assert check(folder).codes("note") == {"blue", "red", "count-unchecked", "names-unchecked"}
    put(folder / "Two.json", blue("a") | red([1]))
    assert check(folder).codes("error") == {"team-unclear"}
    put(folder / "Two.json", {"metadata": {}})
    assert check(folder).codes("error") == {"team-unclear"}


def make_zip(path: Path, files: dict[str, object]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str) else json.dumps(content))
    return path


def unpacked_and_found(path: Path, folder: Path) -> Path:
    unpack_submission(path, folder)
    return find_submission(folder)


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"team.json": blue("a")}, None),
        ({"x/team.json": blue("a"), "README.md": "hello", "__MACOSX/._team.json": "junk"}, None),
        ({"x/y/team.json": blue("a")}, "no-json-file"),
        ({"a.json": blue("a"), "x/b.json": blue("a")}, "several-json-files"),
        ({"a.json": blue("a"), "metadata.yaml": ""}, "submission-metadata"),
        ({"/a.json": blue("a")}, "zip-absolute"),
        ({"a.json": blue("a"), "A\n.md": ""}, "zip-name"),
    ],
)
def test_zips(check: Any, tmp_path: Path, files: dict[str, object], error: str | None) -> None:
    path = make_zip(tmp_path / "t.zip", files)
    found = check(path)
    assert found.codes("error") == ({error} if error else set())
    if error not in (None, "submission-metadata"):
        # Unpacking or finding the file refuses what the check refuses.
        with pytest.raises(SubmissionError) as caught:
            unpacked_and_found(path, tmp_path / "unpacked")
        assert caught.value.code == error


@pytest.mark.parametrize(
    "files",
    [
        {"model.py": MODEL, "config.json": {"models": []}},
        {"weights.pt": "x", "config.json": {}},
        {"train.py": "", "config.json": {}},
        {"README.md": "hello"},
        {},
    ],
)
def test_submissions_of_models_are_judged_as_before(
    check: Any, tmp_path: Path, files: dict[str, object]
) -> None:
    path = make_zip(tmp_path / "m.zip", files)
    folder = tmp_path / "m"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    for one in (path, folder):
        assert not is_json_submission(one)
        assert bool(check(one).code) == ("model.py" not in files)
    assert main(["check", str(path), "--count", "3"]) == 2


def test_smoke_is_for_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path / "t.json", blue("a"))
    assert main(["check", str(path), "--smoke"]) == 2
    assert "a JSON submission has none" in capsys.readouterr().err
    assert main(["check", str(path), "--registry", str(tmp_path / "absent")]) == 2


def test_what_people_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path / "t.json", blue("a", "a", note=1))
    assert main(["check", str(path)]) == 3
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith('error   t.json: has the unknown key "note"')
    assert all(line.endswith("]") for line in lines)
    assert shown.err == "t.json: will not be scored (2 errors, 0 warnings, 3 notes).\n"


@pytest.mark.parametrize("team", ["blue", "red"])
def test_a_packed_file_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], team: str
) -> None:
    monkeypatch.chdir(tmp_path)
    document = blue("resnet50", "resnet50d", "vit_base") if team == "blue" else red(range(10))
    path = put(tmp_path / "here" / "my_team.json", document)
    put(tmp_path / "here" / "other.json", {})
    assert main(["pack-submission", str(path)]) == 0
    packed = tmp_path / "dist" / "my_team.zip"
    assert str(packed.relative_to(tmp_path)) in capsys.readouterr().out
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["my_team.json"]
        assert archive.read("my_team.json") == path.read_bytes()
    stage = Stage(tmp_path / "app")
    (write_blue if team == "blue" else write_red)(stage.ref)
    shutil.rmtree(stage.res)
    unpack_submission(packed, stage.res)
    assert stage.run(team).exit_code == 0


def test_a_folder_of_one_file_is_packed_as_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "mine" / "t.json", blue("a", "b"))
    (tmp_path / "mine" / "README.md").touch()
    assert main(["pack-submission", "mine", "--output", "out.zip"]) == 0
    with zipfile.ZipFile("out.zip") as archive:
        assert archive.namelist() == ["t.json"]
    put(tmp_path / "mine" / "u.json", blue("a", "b"))
    assert main(["pack-submission", "mine"]) == 3
    assert capsys.readouterr().err.endswith("[several-json-files]\n")


def test_a_faulty_file_is_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path / "t.json", blue("a", "a"))
    assert main(["pack-submission", str(path), "--output", "out.zip"]) == 3
    assert "Nothing was packed" in capsys.readouterr().err
    assert not (tmp_path / "out.zip").exists()


def test_ten_faults_are_shown(check: Any, tmp_path: Path, bundle: Path) -> None:
    names = [f"nobody-{number}" for number in range(3 * 9)]
    found = check(put(tmp_path / "team.json", blue(*names)), "--bundle", str(bundle))
    errors = [one for one in found.findings if one["level"] == "error"]
    assert len(errors) == 11 and errors[-1]["code"] == "more-faults"
    # One for each name, and one for their number.
    assert errors[-1]["sentence"] == "team.json: and 18 more."


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ([], "form is fine; names and count were not checked (0 errors"),
        (["--count", "2"], "form is fine; names were not checked (0 errors"),
        (["--registry", "registry.json"], "form is fine; count was not checked (0 errors"),
        (["--registry", "registry.json", "--count", "2"], "looks fine (0 errors"),
    ],
)
def test_the_verdict_does_not_praise_what_was_not_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    verdict: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "registry.json", REGISTRY)
    path = put(tmp_path / "team.json", blue("resnet50", "resnet50d"))
    assert main(["check", str(path), *options]) == 0
    assert f"team.json: {verdict}" in capsys.readouterr().out
