"""The command, its exit codes, our own bundle, its speed, and arbitrary input."""

import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from codabench_goodbundle import DOCUMENT, Bundle, images, zip_bytes
from codabench_minibundle import copy_repository, document, make_bundle, write_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimicry.cli import main
from mimicry.codabench.competition import load_competition
from mimicry.codabench.packing import pack_competition
from mimicry.codabench.validation.report import validate_bundle
from mimicry.errors import BundleError

KEYS = {"level", "code", "file", "line", "key", "problem", "platform", "mend"}


def test_a_good_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Bundle().as_zip(tmp_path)
    assert main(["validate", str(path)]) == 0
    shown = capsys.readouterr()
    assert (
        shown.out == "bundle.zip: nothing that the platform would refuse (0 errors, 0 warnings)\n"
    )
    assert shown.err == ""


def test_errors_are_told_with_their_edit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle()
    bundle.document["phases"][0]["end"] = "2025-01-01"
    del bundle.document["leaderboards"][0]["columns"][0]["precision"]
    root = bundle.as_folder(tmp_path / "bundle")
    assert main(["validate", str(root)]) == 4
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("error"))
    assert lines[number].endswith("phases[0].end") and "competition.yaml:" in lines[number]
    assert lines[number + 1].endswith("[phase-ends-early]")
    assert lines[number + 2].strip().startswith("platform: Takes it in silence")
    assert lines[number + 3].strip().startswith('edit:     write a date after the start, `end: "')
    last = shown.err.splitlines()[-1]
    assert last.startswith("bundle has 1 error, 1 warning; make the edits")
    assert last.endswith("[bundle-invalid]")


def test_warnings_count_when_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle()
    del bundle.document["leaderboards"][0]["columns"][0]["precision"]
    path = str(bundle.as_zip(tmp_path))
    assert main(["validate", path]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("warning competition.yaml:")
    assert main(["validate", path, "--strict"]) == 4


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle()
    bundle.document["phases"][0]["end"] = "2025-01-01"
    path = str(bundle.as_zip(tmp_path))
    assert main(["validate", path, "--json"]) == 4
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False and shown["checked"] == ["competition.yaml"]
    (finding,) = shown["findings"]
    assert set(finding) == KEYS and finding["code"] == "phase-ends-early"
    assert main(["validate", str(Bundle().as_zip(tmp_path)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere.zip"],
        ["bundle", "--competition", "x"],
        ["bundle.zip", "--competition", "two-task"],
        ["/dev/null"],
        ["--loud"],
    ],
)
def test_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    Bundle().as_folder(tmp_path / "bundle")
    Bundle().as_zip(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["validate", *arguments]) == 2


def test_the_nearest_bundle_and_one_competition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle()
    bundle.files["competitions/other.yaml"] = b"version: 3\n"
    root = bundle.as_folder(tmp_path / "bundle")
    monkeypatch.chdir(root / "pages")
    assert main(["validate", "--competition", "two-task"]) == 0
    assert "nothing that the platform would refuse" in capsys.readouterr().out
    assert main(["validate"]) == 4
    monkeypatch.chdir(tmp_path)
    assert main(["validate"]) == 4
    assert capsys.readouterr().err.strip().endswith("[bundle-not-found]")


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "mimicry validate dist/mimicry-" in shown and "--strict" in shown


def test_names_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle()
    bundle.document["\x1b[2Jtitle\u202e"] = "x"
    bundle.files["input_data/val.zip"] = zip_bytes({**images("val"), "\x1b[2J/../x": b"x"})
    assert main(["validate", str(bundle.as_zip(tmp_path))]) == 4
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err and "\u202e" not in shown.out + shown.err


@pytest.fixture(scope="module")
def own_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_repository(tmp_path_factory.mktemp("own") / "bundle")
    # Answers of their own for Final, as real data have them.
    for path in (root / "reference_data").glob("test*.zip"):
        with zipfile.ZipFile(path) as archive:
            ((name, (header, *rows)),) = (
                (name, archive.read(name).splitlines()) for name in archive.namelist()
            )
        path.write_bytes(zip_bytes({name: b"\n".join([header, *reversed(rows)])}))
    for id in ("two-task", "hybrid"):
        pack_competition(load_competition(root, id), root / "dist")
    return root


class TestOurOwn:
    def test_the_folder_has_no_finding(self, own_bundle: Path) -> None:
        report = validate_bundle(own_bundle)
        assert report.checked == (
            "competition.yaml",
            *(f"competitions/{id}.yaml" for id in ("blue", "hybrid", "red")),
        )
        assert report.findings == () and report.unread == ()

    @pytest.mark.parametrize("id", ["two-task", "hybrid"])
    def test_the_packed_zips_have_no_finding(self, own_bundle: Path, id: str) -> None:
        report = validate_bundle(own_bundle / "dist" / f"mimicry-{id}.zip")
        assert report.findings == () and report.unread == ()

    def test_a_clone_without_data_is_told_how_to_get_some(self, own_bundle: Path) -> None:
        path = own_bundle / "input_data" / "val.zip"
        data = path.read_bytes()
        path.unlink()
        try:
            findings = validate_bundle(own_bundle, ["hybrid"]).findings
        finally:
            path.write_bytes(data)
        (finding,) = findings
        assert finding.code == "dataset-missing" and "mimicry data demo" in finding.mend

    @pytest.mark.parametrize("target", [".", "dist/mimicry-hybrid.zip"])
    def test_it_starts_and_ends_quickly(self, own_bundle: Path, target: str) -> None:
        def once(*command: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, cwd=own_bundle, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        start = (sys.executable, "-c", "import click, yaml, json, zipfile, rich")
        validate = (sys.executable, "-m", "mimicry.cli", "validate", target)
        # Processor seconds, against a bare start in the same minute, since the machine may be
        # slow or busy: on a quiet one a start takes an eighth of a second, and this less than one.
        pairs = [(once(*start), once(*validate)) for _ in range(3)]
        assert min(own for _, own in pairs) < 8 * min(bare for bare, _ in pairs)

    def test_nothing_heavy_is_imported(self, own_bundle: Path) -> None:
        code = (
            "import sys\nfrom mimicry.cli import main\n"
            "assert main(['validate', 'dist/mimicry-hybrid.zip']) == 0\n"
            "heavy = {'numpy', 'sklearn', 'docker', 'pandas', 'tqdm'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=own_bundle, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def test_what_is_changed_in_a_packed_zip_is_found(
        self, own_bundle: Path, tmp_path: Path
    ) -> None:
        with zipfile.ZipFile(own_bundle / "dist" / "mimicry-two-task.zip") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}

        def codes(change: Callable[[dict[str, bytes]], object]) -> set[str]:
            changed = dict(members)
            change(changed)
            path = tmp_path / "b.zip"
            path.write_bytes(zip_bytes(changed))
            return {finding.code for finding in validate_bundle(path).findings}

        def rename(old: str, new: str) -> Callable[[dict[str, bytes]], object]:
            def change(files: dict[str, bytes]) -> None:
                text = files["competition.yaml"].decode()
                assert old in text
                files["competition.yaml"] = text.replace(old, new).encode()

            return change

        assert codes(rename("key: mimic_recall", "key: mimic_recal")) == {
            *("column-never-written", "score-without-column")
        }
        assert codes(rename("primary_index: 0", "primary_index: 7")) == {"primary-not-everywhere"}
        assert codes(lambda files: files.pop("development/ingestion_program_A/ingestion.py")) == {
            "command-missing-file"
        }
        package = "development/scoring_program_A/mimicry/__init__.py"
        assert codes(lambda files: files.pop(package)) == {"package-missing"}


# What people put at the places of a competition file.
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        ["input_data/val.zip", "logo.png", "programs", ".", "/", "..", "pages/data.md"]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def paths(data: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [p for k, v in items for p in [(*prefix, k), *paths(v, (*prefix, k))]]


def in_memory(tmp_path: Path, bundle: Bundle) -> list[str]:
    report = validate_bundle(bundle.as_zip(tmp_path))
    json.loads(report.to_json())
    for finding in report.findings:
        assert finding.level in {"error", "warning"} and finding.problem and finding.mend
        assert finding.line is None or finding.line >= 1
    return [finding.code for finding in report.findings]


fuzz = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.lists(st.tuples(st.sampled_from(paths(DOCUMENT)), VALUES), min_size=1, max_size=3))
@fuzz
def test_any_value_at_any_place_is_findings(
    tmp_path: Path, changes: list[tuple[tuple[str | int, ...], Any]]
) -> None:
    bundle = Bundle()
    for keys, value in changes:
        place = bundle.document
        try:
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = value
        except (TypeError, LookupError):
            # An earlier change took the place away.
            continue
    codes = in_memory(tmp_path, bundle)
    # What reading for a dry run refuses is never ready to upload.
    folder = tmp_path / "yaml"
    folder.mkdir(exist_ok=True)
    (folder / "competition.yaml").write_bytes(bundle.yaml())
    try:
        load_competition(folder, "two-task")
    except BundleError as error:
        tool = ("here an index is", "a name of its own", "lies on a server", "listed twice")
        tool = (*tool, "not computed here", "share a scoring program")
        assert codes or any(part in error.sentence for part in tool), error.sentence


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@fuzz
def test_any_bytes_as_the_competition_file(tmp_path: Path, noise: bytes) -> None:
    bundle = Bundle()
    bundle.text = noise
    assert in_memory(tmp_path, bundle)


DOCUMENTS = st.dictionaries(st.sampled_from(sorted(DOCUMENT)) | st.text(max_size=4), VALUES)


@given(DOCUMENTS)
@fuzz
def test_any_document(tmp_path: Path, content: dict[str, Any]) -> None:
    bundle = Bundle()
    bundle.text = yaml.safe_dump({**content, "phases": content.get("phases", [{}])})
    assert in_memory(tmp_path, bundle)


NAMES = st.sampled_from(
    ["competition.yaml", "a/competition.yaml", "../x", "/x", "a\\b", "pages/", ".", "a//b", "é"]
) | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.binary(max_size=80), max_size=6), st.binary(max_size=6), st.data())
@fuzz
def test_any_zip(
    tmp_path: Path, members: dict[str, bytes], noise: bytes, data: st.DataObject
) -> None:
    content = zip_bytes(members)
    at = data.draw(st.integers(0, len(content)))
    path = tmp_path / "b.zip"
    path.write_bytes(content[:at] + noise + content[at + len(noise) :])
    assert validate_bundle(path).errors


@given(st.sampled_from(sorted(Bundle().files)), st.binary(max_size=20), st.data())
@fuzz
def test_any_damage_of_any_file(
    tmp_path: Path, name: str, noise: bytes, data: st.DataObject
) -> None:
    bundle = Bundle()
    content = bundle.files[name]
    at = data.draw(st.integers(0, len(content)))
    bundle.files[name] = content[:at] + noise + content[at + len(noise) :]
    in_memory(tmp_path, bundle)


def test_what_runs_here_is_read_by_both(tmp_path: Path) -> None:
    root = make_bundle(tmp_path / "bundle")
    levels = {finding.level for finding in validate_bundle(root).findings}
    assert levels == {"warning"}
    write_yaml(root, document() | {"version": 3})
    with pytest.raises(BundleError, match="competition-yaml"):
        load_competition(root, "two-task")
    assert validate_bundle(root).errors == 1


def test_a_repository_with_much_beside_it_is_not_walked(tmp_path: Path) -> None:
    root = Bundle().as_folder(tmp_path / "bundle")
    for number in range(300):
        (root / "other" / str(number)).mkdir(parents=True)
        (root / "other" / str(number) / "x").write_bytes(b"x")
    assert validate_bundle(root).findings == ()
