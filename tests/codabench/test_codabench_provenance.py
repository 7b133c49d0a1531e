"""`provenance.json`: what a run was made from, and a strict reading of it."""

import json
import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from codabench_minibundle import copy_repository
from codabench_run_folders import put_labels, put_run
from hypothesis import given
from hypothesis import strategies as st

from mimicry import __version__
from mimicry.codabench.competition import load_competition
from mimicry.codabench.engines import ENGINES, NO_LIMITS, Image, Resources
from mimicry.codabench.provenance import (
    DIGESTS,
    Isolation,
    Made,
    Provenance,
    TaskProvenance,
    read_provenance,
    write_provenance,
)
from mimicry.codabench.provenance_facts import (
    clone_of,
    data_sha256,
    input_digests,
    made_here,
    members_sha256,
    predictions_sha256,
    task_provenance,
)
from mimicry.codabench.records import TaskRecord, read_run
from mimicry.codabench.run_report import run_page
from mimicry.errors import BundleError
from mimicry.scoring.versions import library_versions, read_versions, versions_words

MADE = Made("0.1.0", "3.11.2", "Linux", "6.1.0", "x86_64", "docker")
SHA = "ab" * 32


def record() -> Provenance:
    from mimicry.codabench.records import RunRecord

    when = "2026-11-10T00:00:00+00:00"
    task = TaskRecord("finished", {"scoring": 0}, {"scoring": 1.5}, {"scoring": 7}, {"score": 0.5})
    run = RunRecord(
        *("hybrid", "final", "a.zip", "ann", SHA, "docker", when, when, "finished", {"A": task}),
        submitted=when,
        image="sha256:1",
    )
    own = TaskProvenance(
        replace(MADE, commit="c" * 40, changed=True, libraries={"numpy": "2"}, image="sha256:1"),
        300.0,
        dict.fromkeys(DIGESTS, SHA) | {"scores_copy": None},
        {"images": 4, "predictions": None},
        {"numpy": "2.4"},
        Isolation(("files",), ("network",)),
    )
    return Provenance(run, {"A": own}, "differs")


def content(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "provenance.json").read_text()))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) is None
    write_provenance(tmp_path, record())
    assert read_provenance(tmp_path) == record()
    assert content(tmp_path)["version"] == 1


BROKEN: list[tuple[str, Any]] = [
    ("version", 2),
    ("repeated", "perhaps"),
    ("run", None),
    ("run.tasks.A.scores.score", "0.5"),
    ("tasks", []),
    ("tasks.A.time_limit", 0),
    ("tasks.A.time_limit", True),
    ("tasks.A.sha256.reference_data", "AB" * 32),
    ("tasks.A.sha256.reference_data", SHA + "\n"),
    ("tasks.A.sha256", {}),
    ("tasks.A.counts.images", -1),
    ("tasks.A.counts.images", 1.5),
    ("tasks.A.counts.images", 10**30),
    ("tasks.A.versions.numpy", 2),
    ("tasks.A.versions.numpy", "x" * 400),
    ("tasks.A.versions", {str(n): "" for n in range(300)}),
    ("tasks.A.made.commit", "c" * 39),
    ("tasks.A.made.changed", "no"),
    ("tasks.A.made.image", 1),
    ("tasks.A.isolation", 3),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=lambda one: str(one)[:20])
def test_what_is_not_of_its_kind_is_refused(tmp_path: Path, path: str, value: Any) -> None:
    write_provenance(tmp_path, record())
    data = content(tmp_path)
    *parents, last = path.split(".")
    place = data
    for key in parents:
        place = place[key]
    place[last] = value
    (tmp_path / "provenance.json").write_text(json.dumps(data))
    with pytest.raises(BundleError) as caught:
        read_provenance(tmp_path)
    assert caught.value.code == "provenance-record" and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "deep", "nan", "bytes", "nothing"])
def test_a_strangers_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "provenance.json"
    if kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        texts = {"deep": b"[" * 100_000, "nan": b'{"version": NaN}', "bytes": b"\xff\xfe"}
        path.write_bytes(texts.get(kind, b""))
    with pytest.raises(BundleError) as caught:
        read_provenance(tmp_path)
    assert caught.value.code == "provenance-record"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["version", "run", "tasks", "repeated", "A", "made", "sha256"]),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "provenance.json").write_text(json.dumps(data))
    with pytest.raises(BundleError):
        read_provenance(folder)


def test_digests_are_of_what_counts(tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    competition = load_competition(bundle, "hybrid")
    development, final = (competition.phase(name) for name in ("development", "final"))
    before = input_digests(competition, development, development.tasks[0])
    assert None not in before.values() and len(set(before.values())) == 4
    assert input_digests(competition, development, development.tasks[0]) == before
    other = input_digests(competition, final, final.tasks[0])
    # The same programs, packed for another phase.
    assert other["scoring_program"] != before["scoring_program"]
    put_labels(bundle)
    script = next((bundle / "scoring_program_hybrid").glob("*.py"))
    script.write_text(script.read_text() + "# changed\n")
    after = input_digests(competition, development, development.tasks[0])
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"reference_data", "scoring_program"}
    blue = load_competition(bundle, "blue").phase("final")
    own = input_digests(load_competition(bundle, "blue"), blue, blue.tasks[0])
    assert own["ingestion_program"] is None


def test_a_folder_counts_by_its_files(tmp_path: Path) -> None:
    (tmp_path / "data" / "below").mkdir(parents=True)
    (tmp_path / "data" / "below" / "a.csv").write_text("1")
    first = data_sha256(tmp_path / "data")
    (tmp_path / "data" / "below" / "a.csv").write_text("2")
    second = data_sha256(tmp_path / "data")
    (tmp_path / "data" / "below").rename(tmp_path / "data" / "under")
    assert len({first, second, data_sha256(tmp_path / "data")}) == 3
    assert data_sha256(None) is None
    assert members_sha256({"a": b"x", "b": b"y"}) == members_sha256({"b": b"y", "a": b"x"})


def test_predictions_without_a_table_count_by_their_files(tmp_path: Path) -> None:
    assert predictions_sha256(tmp_path / "nowhere") is None
    assert predictions_sha256(tmp_path) is None
    (tmp_path / "team.json").write_text("{}")
    found = predictions_sha256(tmp_path)
    (tmp_path / "team.json").write_text("{ }")
    assert found and predictions_sha256(tmp_path) != found
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert predictions_sha256(tmp_path) is None
    (tmp_path / "predictions.csv").symlink_to("team.json")
    assert predictions_sha256(tmp_path) is None


def test_what_ingestion_says_is_bounded(tmp_path: Path) -> None:
    prediction = tmp_path / "prediction"
    prediction.mkdir()
    hostile = {
        "images": -1,
        "predicted": True,
        "versions": {"a\x1b": "b" * 1000, "c": 3},
        "isolation": {"active": ["x\x1b[2J" * 100, 5] + ["y"] * 1000, "missing": "none"},
    }
    (prediction / "ingestion.json").write_text(json.dumps(hostile))
    found = task_provenance(MADE, 300.0, dict.fromkeys(DIGESTS), tmp_path)
    assert found.counts == {"images": None, "predictions": None}
    assert found.versions == {"a?": "b" * 59 + "…"}
    assert found.isolation and found.isolation.missing == ()
    assert len(found.isolation.active) == 50 and "\x1b" not in found.isolation.active[0]
    (prediction / "ingestion.json").write_text("[")
    assert task_provenance(MADE, 1.0, dict.fromkeys(DIGESTS), tmp_path).isolation is None


def test_nothing_names_the_machine_or_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    import getpass

    made = made_here(
        ENGINES["subprocess"], None, Resources(memory=2**30, gpus="all"), worker_data=True
    )
    assert made.resources == {"memory": str(2**30), "gpus": "all", "worker_data": "shown"}
    assert made.mimicry == __version__ and made.libraries["numpy"]
    words = json.dumps([made.kernel, made.machine, made.system, dict(made.libraries)])
    assert platform.node() not in words and str(Path.home()) not in words
    assert getpass.getuser() not in words.lower().split('"')
    image = Image("core", "sha256:2", "", ())
    inside = made_here(ENGINES["docker"], image, NO_LIMITS, worker_data=False)
    assert (inside.image, inside.libraries) == ("sha256:2", {})
    others = dict.fromkeys(("memory", "cpus", "pids", "gpus"), "default")
    assert inside.resources == {"network": "False", **others}


def test_scoring_in_an_image_tells_what_it_computes_with(tmp_path: Path) -> None:
    def libraries(log: str, made: Made) -> dict[str, str]:
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs/scoring.stdout.txt").write_text(log)
        found = task_provenance(made, 1.0, dict.fromkeys(DIGESTS), tmp_path).made
        return dict(found.libraries)

    inside = replace(MADE, image="sha256:1")
    versions = read_versions(versions_words())
    assert versions == {"python": platform.python_version(), **library_versions()}
    assert "scikit-learn" in versions
    assert libraries(f"mimicry{versions_words()}\nlast\n", inside) == versions
    assert libraries(versions_words(), replace(MADE, libraries={"numpy": "1"})) == {"numpy": "1"}
    hostile = (
        "mimicry 1: scoring; computing with numpy 1\x1b[2J, other 1, scipy 1.2, python " + "9" * 200
    )
    assert libraries(hostile, inside) == {"scipy": "1.2"}
    assert libraries("nothing", inside) == {}


def test_the_clone_is_named_and_what_was_changed(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "clone" / "src" / "mimicry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]

    def git(*words: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        subprocess.run(["git", *who, *words], cwd=tmp_path / "clone", env=clean, check=True)

    git("init", "-q")
    # Installed below somebody's own repository.
    assert clone_of(package) is None
    clone_of.cache_clear()
    git("add", ".")
    git("commit", "-q", "-m", "All")
    first = clone_of(package)
    assert first is not None and len(first.commit) == 40 and not first.changed
    clone_of.cache_clear()
    (tmp_path / "clone" / "README.md").write_text("of no account")
    unchanged = clone_of(package)
    assert unchanged == first
    clone_of.cache_clear()
    (package / "new.py").write_text("")
    changed = clone_of(package)
    assert changed is not None and changed.changed
    clone_of.cache_clear()


def test_no_page_has_it(tmp_path: Path) -> None:
    bundle = copy_repository(tmp_path / "bundle")
    put_labels(bundle)
    run = bundle / "runs/hybrid/final/good"
    put_run(run, bundle, phase="final")
    competition = load_competition(bundle, "hybrid")
    phase = competition.phase("final")
    inputs = input_digests(competition, phase, phase.tasks[0])
    own = task_provenance(MADE, 600.0, inputs, run / "hybrid")
    write_provenance(run, Provenance(read_run(run), {"hybrid": own}))
    secret = inputs["reference_data"]
    assert secret and secret in (run / "provenance.json").read_text()
    for full in (False, True):
        assert secret[:12] not in run_page(run, read_run(run), competition, full=full)
