"""The check tells everything that can be known about a submission, and survives any zip."""

import io
import stat
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from codabench_minibundle import copy_repository
from hypothesis import given, settings
from hypothesis import strategies as st

from mimicry.cli import main
from mimicry.codabench.model_code import Finding, parse_source
from mimicry.codabench.submission_check import CheckReport, check_submission
from mimicry.codabench.submission_zip import _damaged, unpack_submission
from mimicry.errors import SubmissionError
from mimicry.ingestion.requirements import Allowed, read_allowed

ROOT = Path(__file__).resolve().parents[2]
MODEL = "class Model:\n    def load(self): pass\n    def predict(self, image): return 0.5\n"


@pytest.fixture(scope="module")
def allowed() -> Allowed:
    return read_allowed(ROOT / "ingestion_program" / "allowed_packages.txt")


def make_zip(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def codes(report: CheckReport, level: str | None = None) -> set[str]:
    return {f.code for f in report.findings if level in (None, f.level)}


def check(tmp_path: Path, files: dict[str, str | bytes], allowed: Allowed | None) -> CheckReport:
    """Check the same files as a zip and as a folder; return what the zip gave."""
    report = check_submission(make_zip(tmp_path / "sub.zip", files), allowed)
    folder = tmp_path / "sub"
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    as_folder = check_submission(folder, allowed)
    # A folder is judged as it would be packed: without clutter.
    assert codes(as_folder) == codes(report) - {"clutter"}
    return report


def test_a_good_submission(tmp_path: Path, allowed: Allowed) -> None:
    report = check(tmp_path, {"model.py": MODEL, "metadata": "", "requirements.txt": ""}, allowed)
    assert report.exit_code == 0
    assert codes(report) == {"size"}
    assert report.summary == "sub.zip: looks fine (0 errors, 0 warnings, 1 note)."


def test_everything_is_told_at_once(tmp_path: Path, allowed: Allowed) -> None:
    files = {
        "work/model.py": "class Model:\n    def predict(self): pass\n",
        "work/requirements.txt": "no-such-thing-here\nnumpy<1\n",
        "work/clf.pkl": b"\x80\x04.",
        "work/fast.so": b"\x7fELF",
        "work/helper.py": "def f(:\n",
        "__MACOSX/work/._model.py": b"\0",
    }
    report = check(tmp_path, files, allowed)
    assert report.exit_code == 3
    assert codes(report, "error") == {"no-load", "method-arguments", "requirements"}
    assert codes(report, "warning") == {"binary", "syntax-error"}
    assert codes(report, "note") == {"clutter", "wrapping-folder", "pickle", "no-metadata", "size"}
    requirements = next(f for f in report.findings if f.code == "requirements")
    assert "no-such-thing-here" in requirements.sentence and "numpy<1" in requirements.sentence
    levels = [f.level for f in report.findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)


@pytest.mark.parametrize(
    ("files", "code", "level"),
    [
        ({"a.txt": "x"}, "no-model-file", "error"),
        ({"a/model.py": MODEL, "b/model.py": MODEL}, "ambiguous-model", "error"),
        ({"a/b/model.py": MODEL}, "no-model-file", "error"),
        ({"model.py": "x = (\n"}, "syntax-error", "error"),
        ({"model.py": "x = '\0'"}, "syntax-error", "error"),
        ({"model.py": b"\xff\xfe\x00"}, "syntax-error", "error"),
        ({"model.py": "-" * 100_000 + "1"}, "syntax-error", "error"),
        ({"model.py": "class model: pass"}, "no-model-class", "error"),
        ({"model.py": "def f():\n    class Model: pass"}, "no-model-class", "error"),
        ({"model.py": "from net import Net as Model"}, "model-class-elsewhere", "note"),
        ({"model.py": "Model = type('Model', (), {})"}, "model-class-elsewhere", "note"),
        ({"model.py": "from net import *"}, "model-class-elsewhere", "note"),
        ({"model.py": "from net import B\nclass Model(B): pass"}, "model-method-elsewhere", "note"),
        ({"model.py": MODEL + "    def predict_batch(self): pass"}, "method-arguments", "error"),
        ({"model.py": MODEL + "    def predict_batch(self, xs): pass"}, "predict-batch", "note"),
        ({"model.py": MODEL.replace("def load", "async def load")}, "async-method", "error"),
        (
            {"model.py": MODEL.replace("load(self)", "load(self, path)")},
            "method-arguments",
            "error",
        ),
        (
            {"model.py": MODEL.replace("load(self)", "load(self, *, p)")},
            "method-arguments",
            "error",
        ),
        (
            {"model.py": MODEL + "    batch_size = 0\n    def predict_batch(self, x): pass"},
            "batch-size",
            "error",
        ),
        ({"model.py": "import no_such_module_x\n" + MODEL}, "import-unknown", "warning"),
        ({"model.py": MODEL, "predictions.csv": "filename,score"}, "planted-output", "warning"),
        ({"model.py": MODEL, "metadata": "command: rm -rf /"}, "metadata-command", "warning"),
        ({"model.py": MODEL, "metadata": "{"}, "metadata-invalid", "note"),
        ({"model.py": MODEL, "requirements.txt": "torch @ file:///x"}, "requirements", "error"),
        ({"model.py": MODEL, "requirements.txt": b"\xff"}, "requirements-file", "error"),
        ({"model.py": MODEL, "requirements.txt": "xgboost"}, "requirements-missing", "note"),
        ({}, "empty-submission", "error"),
        ({"__MACOSX/model.py": "x"}, "empty-submission", "error"),
    ],
)
def test_findings(
    tmp_path: Path, allowed: Allowed, files: dict[str, str | bytes], code: str, level: str
) -> None:
    (tmp_path / "sub").mkdir()
    report = check(tmp_path, files, allowed)
    assert code in codes(report, level)
    assert report.exit_code == (3 if level == "error" else 0)


def test_a_command_is_an_error_where_the_competition_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    own = make_zip(tmp_path / "own.zip", {"model.py": MODEL, "metadata": "command: sh run.sh"})
    plain = make_zip(tmp_path / "plain.zip", {"model.py": MODEL, "metadata": ""})
    command = ["--bundle", str(bundle), "--competition", "hybrid"]
    assert main(["check", str(own), *command]) == 0
    assert "[metadata-command]" in capsys.readouterr().out
    metadata = bundle / "scoring_program_hybrid/metadata.yaml"
    metadata.write_text(metadata.read_text().strip() + " --refuse-commands\n")
    assert main(["check", str(own), *command]) == 3
    said = capsys.readouterr().out
    assert "[submission-command-refused]" in said and "[metadata-command]" not in said
    assert main(["check", str(plain), *command]) == 0
    assert main(["check", str(own), "--bundle", str(bundle), "--competition", "two-task"]) == 0


@pytest.mark.parametrize(
    "signature",
    [
        "predict(self, image, scale=1)",
        "predict(self, *images)",
        "predict(self, *args, **kwargs)",
        "predict(*args)",
        "predict(self, image, /, *, soft=True)",
    ],
)
def test_usable_signatures(tmp_path: Path, allowed: Allowed, signature: str) -> None:
    model = MODEL.replace("predict(self, image)", signature)
    assert check(tmp_path, {"model.py": model}, allowed).exit_code == 0


@pytest.mark.parametrize(
    "fault", [MODEL.replace("def predict", "def forecast"), MODEL.replace("load(self)", "load()")]
)
def test_predict_batch_is_not_promised_beside_an_error(tmp_path: Path, fault: str) -> None:
    files: dict[str, str | bytes] = {"model.py": fault + "    def predict_batch(self, xs): pass\n"}
    report = check(tmp_path, files, None)
    assert report.exit_code == 3
    assert "predict-batch" not in codes(report)


def test_decorated_and_static_methods(tmp_path: Path, allowed: Allowed) -> None:
    model = (
        "import functools\n"
        "class Model:\n"
        "    load = print\n"
        "    @staticmethod\n    def predict(image): return 0.5\n"
        "    @functools.cache\n    def predict_batch(): pass\n"
    )
    assert check(tmp_path, {"model.py": model}, allowed).exit_code == 0


def with_attributes(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["../model.py"], "zip-traversal"),
        (["a/../../x"], "zip-traversal"),
        (["a\\..\\x"], "zip-traversal"),
        (["/etc/passwd"], "zip-absolute"),
        (["C:/x"], "zip-absolute"),
        (["a\\b.py"], "zip-backslash"),
        (["a.txt", "a.txt"], "zip-duplicate"),
        (["a.txt", "./a.txt"], "zip-duplicate"),
        (["a", "a/b"], "zip-duplicate"),
        (["x" * 300], "zip-long-name"),
        (["\x1b[31m"], "zip-name"),
        (["a\x9b31m.txt"], "zip-name"),
        (["a\u202eb.txt"], "zip-name"),
        (["/".join(["a"] * 500)], "zip-long-name"),
        (["/".join(["a"] * 61)], "zip-long-name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_names(tmp_path: Path, names: list[str], code: str) -> None:
    path = tmp_path / "sub.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", MODEL)
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")
    report = check_submission(path, None)
    assert code in codes(report, "error")
    with pytest.raises(SubmissionError) as caught:
        unpack_submission(path, tmp_path / "out" / "deep")
    assert caught.value.code in codes(report, "error")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sub.zip"]


@pytest.mark.parametrize(
    ("mode", "code"), [(stat.S_IFLNK | 0o777, "zip-link"), (stat.S_IFCHR | 0o666, "zip-device")]
)
def test_links_and_devices(tmp_path: Path, mode: int, code: str) -> None:
    path = tmp_path / "sub.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", MODEL)
        archive.writestr(with_attributes("weights", mode), "/etc/passwd")
    assert code in codes(check_submission(path, None), "error")
    with pytest.raises(SubmissionError):
        unpack_submission(path, tmp_path / "out")


def test_bombs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.py", MODEL)
        with archive.open("zeros", "w") as file:
            for _ in range(300):
                file.write(bytes(1024 * 1024))
    started = time.process_time()
    assert "zip-bomb" in codes(check_submission(path, None), "error")
    assert time.process_time() - started < 2
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(20_001):
            archive.writestr(zipfile.ZipInfo(str(number)), "")
    assert codes(check_submission(many, None)) == {"too-many-files"}


def test_an_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "sub.zip", {"model.py": MODEL}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "sub.zip").write_bytes(data)
    assert "zip-encrypted" in codes(check_submission(tmp_path / "sub.zip", None), "error")


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "sub.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", MODEL)
        archive.writestr("weights.npz", b"weights" * 100)
    path.write_bytes(path.read_bytes().replace(b"weightsweights", b"weightsWeights", 1))
    assert "damaged-zip" in codes(check_submission(path, None), "error")
    with pytest.raises(SubmissionError, match="damaged") as caught:
        unpack_submission(path, tmp_path / "out")
    assert caught.value.code == "damaged-zip"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04 cut", "damaged"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"print('x')", "zip"),
    ],
)
def test_what_is_no_zip(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "sub.zip").write_bytes(data)
    report = check_submission(tmp_path / "sub.zip", None)
    assert codes(report) == {"not-a-zip"}
    assert text in report.findings[0].sentence


def test_paths_that_are_not_there_and_odd_endings(tmp_path: Path) -> None:
    assert codes(check_submission(tmp_path / "no.zip", None)) == {"submission-missing"}
    path = make_zip(tmp_path / "sub.ZIPPED", {"model.py": MODEL, "metadata": ""})
    assert codes(check_submission(path, None)) == {"size", "zip-name-ending"}


def test_links_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "weights").symlink_to("/etc/passwd")
    assert codes(check_submission(folder, None), "error") == {"submission-link"}


def test_a_large_submission_without_metadata_is_warned_of(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "s.zip", {"model.py": MODEL, "w.npz": bytes(21 * 1024 * 1024)})
    assert "no-metadata" in codes(check_submission(path, None), "warning")


def test_unpacking_gives_the_files_as_they_are(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a/b/model.py": MODEL, "__MACOSX/x": b"1", "empty": b""}
    path = make_zip(tmp_path / "s.zip", files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("folder/", "")
    unpack_submission(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert found == {"a", "a/b", "a/b/model.py", "__MACOSX", "__MACOSX/x", "empty", "folder"}
    assert (tmp_path / "out" / "a" / "b" / "model.py").read_text() == MODEL


def survives(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "any.zip"
        path.write_bytes(data)
        report = check_submission(path, {})
        assert all(f.sentence and f.code for f in report.findings)
        target = Path(scratch) / "out"
        try:
            unpack_submission(path, target)
        except SubmissionError:
            assert report.exit_code == 3
        left = {p for p in Path(scratch).rglob("*") if not p.is_relative_to(target)}
        assert left == {path}


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    survives(data)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["model.py", "metadata", "requirements.txt", "a/model.py", "a/"]),
                st.text(max_size=8),
            ),
            st.binary(max_size=60),
            st.integers(0, 2**32 - 1),
        ),
        max_size=5,
    ),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_zip_is_survived(
    members: list[tuple[str, bytes, int]], changes: list[tuple[int, int]]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content, attributes in members:
            try:
                info = zipfile.ZipInfo(name)
                info.external_attr = attributes
                archive.writestr(info, content)
            except (ValueError, UnicodeError, IndexError):
                continue
    data = bytearray(buffer.getvalue())
    for place, value in changes:
        data[place % len(data)] = value
    survives(bytes(data))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_limit_are_never_read(
    tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sub.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.py", MODEL)
        archive.writestr("weights.bin", bytes(1024), compress_type=method)

    def read(*arguments: object) -> None:
        raise AssertionError("a member was read")

    monkeypatch.setattr(zipfile.ZipFile, "open", read)
    assert codes(check_submission(path, None), "error") == {"zip-method"}
    with pytest.raises(SubmissionError, match=r"weights\.bin.*\[zip-method\]$"):
        unpack_submission(path, tmp_path / "out")


def test_sixty_folders_are_not_too_deep(tmp_path: Path) -> None:
    name = "/".join(["a"] * 59 + ["b.txt"])
    path = make_zip(tmp_path / "sub.zip", {"model.py": MODEL, name: "x"})
    assert check_submission(path, None).exit_code == 0
    unpack_submission(path, tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "x"


def test_an_error_without_words_is_named() -> None:
    assert "(EOFError)" in _damaged(zipfile.ZipInfo("a"), EOFError()).sentence


def test_a_parser_without_words_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr("ast.parse", parse)
    found = parse_source("model.py", b"")
    assert isinstance(found, Finding) and "(MemoryError)" in found.sentence


def test_a_folder_of_hostile_things_is_checked(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "metadata").write_text("[" * 30_000)
    (folder / "loop").symlink_to("loop")
    (folder / "x\x9b.txt").write_text("x")
    deep = folder
    for _ in range(61):
        deep = deep / "d"
        deep.mkdir()
    report = check_submission(folder, None)
    assert codes(report, "error") == {"submission-link", "submission-name"}
    assert "metadata-invalid" in codes(report, "note")
    for finding in report.findings:
        assert len(finding.sentence) < 400
