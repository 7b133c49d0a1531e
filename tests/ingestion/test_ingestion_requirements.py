"""requirements.txt: what is read, refused, found satisfied and installed."""

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingestion_helpers import GOOD_MODEL, PROGRAM, Run
from packaging.specifiers import SpecifierSet

from mimicry.errors import BundleError, SubmissionError
from mimicry.hybrids.outcome import read_outcome
from mimicry.ingestion import overlay, pins
from mimicry.ingestion.pins import pins_that_may_give_way
from mimicry.ingestion.requirements import check_requirements, read_allowed, read_requirements

Ingest = Callable[..., Run]

ALLOWED = {
    "numpy": SpecifierSet(">=1.24,<3"),
    "torch": SpecifierSet("==2.13.0"),
    "scikit-learn": SpecifierSet(""),
    "timm": SpecifierSet(">=1"),
    "opencv-python-headless": SpecifierSet(""),
}
INSTALLED = {"numpy": "2.4.6", "scikit-learn": "1.9.1", "torch": "2.13.0+cpu"}


def check(text: str) -> list[str]:
    return check_requirements(text, ALLOWED, INSTALLED.get)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# a comment\n\n   \n",
        "numpy",
        "NumPy>=1.26 # fine",
        "scikit_learn\nScikit.Learn>=1",
        "numpy>=1.26,\\\n  <3\n",
        "\tnumpy ; python_version > '3'",
        "no-such-package; python_version < '3'",
        "torch==2.13.0",
        "numpy\r\nscikit-learn\r\n",
    ],
)
def test_satisfied_requirements_cost_nothing(text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("timm", ["timm>=1"]),
        ("timm==1.0.9", ["timm==1.0.9,>=1"]),
        ("timm\ntimm", ["timm>=1"]),
        ("numpy==1.26.4", ["numpy!=9"]),
        ("opencv_python.headless", ["opencv_python.headless"]),
    ],
)
def test_missing_allowed_ones_are_returned_with_both_bounds(text: str, missing: list[str]) -> None:
    found = check(text)
    if text.startswith("numpy"):
        assert found == ["numpy<3,==1.26.4,>=1.24"]
    else:
        assert found == missing


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("requests", "'requests' is not on the list"),
        ("pytorch", "did you mean torch?"),
        ("opencv-python", "did you mean opencv-python-headless?"),
        ("numpy>=3", "not allowed (allowed: >=1.24,<3, the container has 2.4.6)"),
        ("numpy==1.20", "not allowed"),
        ("torch==2.1.0+cu121", "not allowed"),
        ("timm<1", "not allowed (allowed: >=1)"),
        ("-r other.txt", "option of pip"),
        ("--index-url https://example.org", "option of pip"),
        ("numpy @ https://example.org/numpy.whl", "names an address"),
        ("./local", "not a requirement"),
        ("numpy 1.26", "not a requirement"),
        ("numpy=>1", "not a requirement"),
        ("numpy==" + "9" * 5000, "longer than"),
        ("timm; nonsense == 'x'", "not a requirement"),
    ],
)
def test_refused_lines(line: str, part: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        check(f"numpy\n{line}\n")
    assert caught.value.code == "requirements"
    assert "line 2: " in caught.value.sentence
    assert part in caught.value.sentence


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(SubmissionError) as caught:
        check("requests\nnumpy\n-e .\nnumpy>=9\n")
    for number in (1, 3, 4):
        assert f"line {number}: " in caught.value.sentence
    assert "line 2" not in caught.value.sentence
    many = "\n".join(f"unknown{number}" for number in range(30))
    with pytest.raises(SubmissionError, match="and 10 more"):
        check(many)


@given(st.text(max_size=300))
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        check(text)
    except SubmissionError as error:
        assert len(error.sentence) <= 2000


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "requirements.txt").write_bytes(data)
        try:
            check(read_requirements(Path(name)))
        except SubmissionError as error:
            assert error.code in {"requirements", "requirements-file"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "requirements.txt").write_bytes("numpy\n".encode(encoding))
    assert read_requirements(tmp_path).split() == ["numpy"]


@pytest.mark.parametrize("kind", ["link", "folder", "large", "latin"])
def test_unusable_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "requirements.txt"
    if kind == "link":
        (tmp_path / "secret").write_text("secret")
        path.symlink_to(tmp_path / "secret")
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"numpy\n" * 20000)
    else:
        path.write_bytes(b"caf\xe9\n")
    with pytest.raises(SubmissionError) as caught:
        read_requirements(tmp_path)
    assert caught.value.code == "requirements-file"
    assert "secret" not in caught.value.sentence


def test_the_shipped_list_is_readable_and_allows_what_the_challenge_allowed() -> None:
    allowed = read_allowed(PROGRAM / "allowed_packages.txt")
    assert {"torch", "open-clip-torch", "scikit-learn", "pillow", "timm"} <= set(allowed)
    assert all(str(specifier) for specifier in allowed.values())


@pytest.mark.parametrize("line", ["numpy @ https://x", "numpy[all]", "=", "numpy\nNumPy"])
def test_a_broken_list_is_the_organisers_error(tmp_path: Path, line: str) -> None:
    path = tmp_path / "allowed_packages.txt"
    path.write_text(line)
    with pytest.raises(BundleError, match="allowed_packages"):
        read_allowed(path)


def make_wheel(folder: Path, name: str, version: str, source: str, needs: str = "") -> None:
    """Write a wheel with one module of the same name, and with one dependency if need be."""
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{information}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text.encode())}\n"
        for path, text in files.items()
    )
    files[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Copy the program with a list that allows two packages nobody has."""
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "ingestion.py").write_bytes((PROGRAM / "ingestion.py").read_bytes())
    (folder / "allowed_packages.txt").write_text("mimicry-probe<3\ntqdm\nmimicry-other\n")
    return folder


USES_PROBE = GOOD_MODEL + "\nimport mimicry_probe\nassert mimicry_probe.VERSION == '2'\n"


@pytest.mark.parametrize("where", ["program", "environment"])
def test_missing_ones_are_installed_from_the_wheels_folder(
    ingest: Ingest, program: Path, tmp_path: Path, where: str
) -> None:
    wheels = program / "wheels" if where == "program" else tmp_path / "elsewhere"
    for version in ("1", "2", "3"):
        make_wheel(wheels, "mimicry_probe", version, f"VERSION = {version!r}\n")
    environment = {} if where == "program" else {"MIMICRY_WHEELS": str(wheels)}
    files = {"requirements.txt": "tqdm\nmimicry.probe>=1  # the newest allowed\n"}
    run = ingest(USES_PROBE, files, program=program, environment=environment)
    assert run.code == 0, run.sentence
    assert "installing from" in run.stdout
    assert "tqdm" not in run.stdout.split("installing from")[1].splitlines()[0]
    with pytest.raises(ImportError):
        __import__("mimicry_probe")


def test_what_cannot_be_installed_is_one_sentence(ingest: Ingest, program: Path) -> None:
    make_wheel(program / "wheels", "mimicry_probe", "2", "VERSION = '2'\n")
    run = ingest(GOOD_MODEL, {"requirements.txt": "mimicry-other\n"}, program=program)
    assert run.code == 3
    assert run.outcome["error_code"] == "requirements-install"
    assert "mimicry-other cannot be installed here" in run.sentence


def test_a_version_other_than_the_containers_lies_over_it(
    ingest: Ingest, program: Path, tmp_path: Path
) -> None:
    import tqdm

    make_wheel(program / "wheels", "tqdm", "0.1", "VERSION = '0.1'\n")
    model = GOOD_MODEL + "\nimport tqdm\nassert tqdm.VERSION == '0.1'\n"
    run = ingest(model, {"requirements.txt": "tqdm==0.1\n"}, program=program)
    assert run.code == 0, run.sentence
    assert Path(tqdm.__file__).exists()


def test_satisfied_requirements_start_no_installation(ingest: Ingest) -> None:
    text = "# what it needs\nNumpy>=1.24\nscikit_learn ; python_version > '3'\n\nPILLOW\n"
    run = ingest(GOOD_MODEL, {"requirements.txt": text})
    assert run.code == 0
    assert "installing" not in run.stdout


def test_a_forbidden_package_ends_the_run_before_the_model_starts(ingest: Ingest) -> None:
    run = ingest(GOOD_MODEL + "\nprint('started')", {"requirements.txt": "requests\n"})
    assert run.outcome["error_code"] == "requirements"
    assert "started" not in run.log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy==1.26.4", {"numpy<3,==1.26.4,>=1.24": "numpy 2.4.6 for numpy==1.26.4"}),
        (
            "numpy==1.26.4\nnumpy==1.26.4\nNumPy == 1.26.4",
            {"numpy<3,==1.26.4,>=1.24": "numpy 2.4", "NumPy<3,==1.26.4,>=1.24": "numpy 2.4"},
        ),
        ("numpy==1.26.4; python_version > '3'", {"numpy<3,==1.26.4,>=1.24": "numpy 2.4.6 for"}),
        ("numpy==1.26.4\nnumpy==9; python_version < '3'", {"numpy<3,==1.26.4,>=1.24": "numpy"}),
        ("scikit-learn==1.4.2", {"scikit-learn==1.4.2": "scikit-learn 1.9.1 for"}),
        # Versions that no line of the participant pins, or that more than a pin demands.
        ("numpy<2", {}),
        ("numpy==1.26.4,<2", {}),
        ("numpy==1.26.*", {}),
        ("numpy===1.26.4", {}),
        ("numpy==1.26.4\nnumpy>=2.1", {}),
        ("numpy==1.26.4\nnumpy==1.26.3", {}),
        ("numpy==1.26.4\nnumpy", {}),
        ("numpy[all]==1.26.4", {}),
        ("timm==1.0.9", {}),
        # The container's own version is not among the allowed ones, or serves already.
        ("old==2", {}),
        ("pinned", {}),
        ("numpy==2.4.6", {}),
        ("numpy==9; python_version < '3'", {}),
    ],
)
def test_only_a_plain_exact_version_may_give_way(text: str, expected: dict[str, str]) -> None:
    allowed = ALLOWED | {"old": SpecifierSet(">=2"), "pinned": SpecifierSet("==2")}
    installed = INSTALLED | {"old": "1", "pinned": "1"}
    missing = check_requirements(text, allowed, installed.get)
    pins = pins_that_may_give_way(text, allowed, installed.get)
    assert set(pins) <= set(missing)
    assert list(pins) == list(expected)
    for line, told in expected.items():
        assert pins[line].told().startswith(told)


def test_an_exact_version_that_can_be_had_is_installed_beside_one_that_cannot(
    ingest: Ingest, program: Path
) -> None:
    (program / "allowed_packages.txt").write_text("tqdm\nnumpy\npillow\nmimicry-probe\n")
    make_wheel(program / "wheels", "tqdm", "0.1", "VERSION = '0.1'\n")
    make_wheel(program / "wheels", "mimicry_probe", "2", "VERSION = '2'\n")
    model = USES_PROBE + "\nimport tqdm\nassert tqdm.VERSION == '0.1'\n"
    text = "numpy==1.26.4\ntqdm==0.1\npillow==9.5.0\nmimicry-probe==2\n"
    run = ingest(model, {"requirements.txt": text}, program=program)
    assert run.code == 0, run.sentence
    numpy, pillow = run.outcome["replaced"]
    assert numpy.startswith("numpy 2.") and numpy.endswith(" for numpy==1.26.4")
    assert pillow.endswith(" for pillow==9.5.0")
    assert f"using what can be had: {numpy}; {pillow}\n" in run.stdout


def test_exact_versions_that_contradict_each_other_give_way_together(
    ingest: Ingest, program: Path
) -> None:
    (program / "allowed_packages.txt").write_text("tqdm\nnumpy\n")
    for name, needs in (("tqdm", "numpy==0.2"), ("numpy", "tqdm==0.2")):
        make_wheel(program / "wheels", name, "0.1", "raise ImportError", needs)
        make_wheel(program / "wheels", name, "0.2", "raise ImportError")
    files = {"requirements.txt": "tqdm==0.1\nnumpy==0.1\n"}
    run = ingest(GOOD_MODEL, files, program=program)
    assert run.code == 0, run.sentence
    assert len(run.outcome["replaced"]) == 2


def test_what_another_package_pulled_in_is_told_as_it_is(ingest: Ingest, program: Path) -> None:
    (program / "allowed_packages.txt").write_text("tqdm\nmimicry-probe\n")
    make_wheel(program / "wheels", "tqdm", "0.2", "VERSION = '0.2'\n")
    make_wheel(program / "wheels", "mimicry_probe", "2", "VERSION = '2'\n", "tqdm<1")
    text = "tqdm==0.1\nmimicry-probe\n"
    run = ingest(USES_PROBE, {"requirements.txt": text}, program=program)
    assert run.code == 0, run.sentence
    assert run.outcome["replaced"] == ["tqdm 0.2 for tqdm==0.1"]


@pytest.mark.parametrize("code", ["model-import", "load-failed", "predict-failed"])
def test_an_error_that_may_come_from_another_version_names_it(
    ingest: Ingest, program: Path, code: str
) -> None:
    (program / "allowed_packages.txt").write_text("tqdm\n")
    (program / "wheels").mkdir()
    broken = {
        "model-import": "from tqdm import no_such_name\n" + GOOD_MODEL,
        "load-failed": GOOD_MODEL.replace("pass", "raise ValueError('old')"),
        "predict-failed": GOOD_MODEL.replace("return", "raise ValueError('other')\n        return"),
    }[code]
    run = ingest(broken, {"requirements.txt": "tqdm==0.1\n"}, program=program)
    assert run.outcome["error_code"] == code
    assert ("for tqdm==0.1" in run.outcome["error"]) == (code != "predict-failed")
    assert len(run.outcome["replaced"]) == 1
    with pytest.raises(SubmissionError) as caught:
        read_outcome(run.output)
    assert caught.value.sentence == run.outcome["error"]


def test_scoring_takes_a_record_with_replaced_versions(ingest: Ingest, program: Path) -> None:
    (program / "allowed_packages.txt").write_text("tqdm\n")
    (program / "wheels").mkdir()
    run = ingest(GOOD_MODEL, {"requirements.txt": "tqdm==0.1\n"}, program=program)
    assert run.outcome["replaced"]
    assert read_outcome(run.output).predictions


def test_the_first_attempt_leaves_time_where_versions_may_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def refuse(missing: object, file: object, scratch: object, wheels: object, timeout: float):
        given.append(timeout)
        raise SubmissionError("requirements-install", "no")

    monkeypatch.setattr("mimicry.ingestion.overlay.install", refuse)
    monkeypatch.setattr("mimicry.ingestion.overlay.installable", lambda *arguments: [])
    allowed = {"tqdm": SpecifierSet(""), "mimicry-probe": SpecifierSet("")}

    def install(text: str) -> None:
        with pytest.raises(SubmissionError):
            pins.install(text, allowed, tmp_path, tmp_path, None, lambda: 100.0)

    install("mimicry-probe==2\n")
    assert given == [100]
    given.clear()
    install("mimicry-probe==2\ntqdm==0.1\n")
    assert given == [50, 100]


def test_trials_end_with_half_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    given: list[float] = []

    def run(command: list[str], timeout: float, what: str) -> None:
        if what != "venv":
            given.append(timeout)
            clock[0] -= timeout

    monkeypatch.setattr("mimicry.ingestion.overlay._run", run)
    names = ["a==1", "b==1", "c==1", "d==1"]
    found = overlay.installable(names, tmp_path / "allowed", tmp_path, None, lambda: clock[0])
    assert found == names[:2] and given == [30, 20] and clock == [50]
