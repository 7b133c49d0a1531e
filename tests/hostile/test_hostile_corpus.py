"""Hostile and broken submissions, run as `mimicry run` does, on every engine.

``MIMICRY_HOSTILE=all`` runs each case on each engine; otherwise those whose outcome does
not depend on the engine run on one, in turn.
"""

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_case import CASES, FINISHED, MARK, model, zip_of
from hostile_corpus import BY_GROUP, runs
from hostile_exceptions import EXCEPTIONS, accepted
from hostile_stage import Canaries, Ended, honest_predictions, make_bundle, run_case

from mimicry.codabench.engines.bubblewrap import bubblewrap_problem
from mimicry.codabench.engines.docker_client import docker_client
from mimicry.codabench.engines.docker_guard import OWNER_LABEL, owner_label

_LEAK = re.compile(r"^LEAK (?P<what>.*?) (?:'|b'|\[|\{|<|\(|-?\d|True)", re.MULTILINE)
KNOWN_TO_DRY_RUNS = ("submission-command-input",)
_WATCHED = ("/", "/tmp", "/var/tmp", "/dev/shm", "/root", "/etc", "/opt", "/srv", "/home", "/run")
# Long enough for every sentence, and too short for a model's own words.
_LONGEST_SENTENCE = 1200


class Stage:
    """The bundles of a test run, made when they are first wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.canaries = Canaries()
        self.predictions = honest_predictions(self.canaries)
        self._bundles: dict[tuple[bool, str | None], Path] = {}
        self._scores: dict[bool, bytes] = {}

    def bundle(self, *, full: bool, image: str | None) -> Path:
        key = (full, image)
        if key not in self._bundles:
            place = self.folder / f"bundle-{len(self._bundles)}"
            self._bundles[key] = make_bundle(place, self.canaries, full=full, image=image)
        return self._bundles[key]

    def honest_scores(self, *, full: bool) -> bytes:
        """Return the scores file of the honest model."""
        if full not in self._scores:
            place = self.folder / f"honest-{full}"
            bundle = self.bundle(full=full, image=None)
            ended = run_case(CASES["honest"], "subprocess", bundle, place)
            assert (ended.prediction / "predictions.csv").read_bytes() == self.predictions
            self._scores[full] = (ended.scoring / "scores.json").read_bytes()
        return self._scores[full]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def caller(tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Give the caller a home, a temporary folder and an environment with secrets."""
    folders = {name: tmp_path / name for name in ("home", "temporary")}
    for folder in folders.values():
        folder.mkdir()
    (folders["home"] / "secret.txt").write_text(stage.canaries.home)
    monkeypatch.setenv("HOME", str(folders["home"]))
    monkeypatch.setenv("TMPDIR", str(folders["temporary"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["temporary"]))
    monkeypatch.setenv("MIMICRY_TEST_SECRET_TOKEN", stage.canaries.environment)
    return folders


@pytest.fixture
def unheard() -> Iterator[Callable[[], int]]:
    """Count the signals that reach this process."""
    heard = 0

    def hear(number: int, frame: object) -> None:
        nonlocal heard
        heard += 1

    before = signal.signal(signal.SIGURG, hear)
    yield lambda: heard
    signal.signal(signal.SIGURG, before)


@pytest.mark.parametrize(("name", "engine"), runs())
def test_case(
    name: str,
    engine: str,
    stage: Stage,
    caller: dict[str, Path],
    unheard: Callable[[], int],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    case = CASES[name]
    image = request.getfixturevalue("core_image") if engine == "docker" else None
    if engine == "bubblewrap" and (problem := bubblewrap_problem()):
        pytest.skip(problem)
    bundle = stage.bundle(full=case.full, image=image)
    before = (listing(bundle), listing(caller["home"]), listing(Path.cwd(), deep=False))
    ended = run_case(case, engine, bundle, tmp_path / "case")
    try:
        check_outcome(ended, case.outcome(engine), stage.honest_scores(full=case.full), stage)
        assert not [part for part in case.says if part not in str(ended.task.error)]
        assert not [part for part in case.logs if part.encode() not in ended.log], ended.log
        check_texts(ended, stage.canaries)
        found = [match["what"] for match in _LEAK.finditer(ended.log.decode("utf-8", "replace"))]
        found += [f"leftover {path}" for path in leftovers()]
        assert not [what for what in found if not accepted(engine, name, what)], ended.log
        assert unheard() == 0
        assert not listing(caller["temporary"])
        after = (listing(bundle), listing(caller["home"]), listing(Path.cwd(), deep=False))
        assert after == before
        assert not left_running(engine)
        shutil.rmtree(ended.folder)
    finally:
        for path in leftovers():
            path.unlink()


def check_outcome(ended: Ended, expected: str, scores: bytes, stage: Stage) -> None:
    """Check that it ended as expected, with the honest scores or with none at all."""
    assert ended.outcome == expected, (ended.task.error, ended.log[-1000:])
    results = [ended.scoring / name for name in ("scores.json", "score.json", "scores.txt")]
    predictions = ended.prediction / "predictions.csv"
    if expected == FINISHED:
        assert predictions.read_bytes() == stage.predictions
        assert [path.read_bytes() for path in results[:2]] == [scores, scores]
        # Recorded with the digits that the platform keeps.
        assert ended.task.scores == pytest.approx(json.loads(scores), abs=1e-9)
        return
    assert ended.record.exit_code == 3
    assert ended.task.error_kind == "submission"
    assert ended.task.scores is None
    assert not [path for path in [*results, predictions] if os.path.lexists(path)]
    if ended.prediction.exists():
        assert ended.state["state"] == "failed"
        # The page that tells the participant why; what only a dry run can know is not there.
        told = str(ended.state["error_code"]) if expected in KNOWN_TO_DRY_RUNS else expected
        assert told in (ended.scoring / "detailed_results.html").read_text(encoding="utf-8")


def check_texts(ended: Ended, canaries: Canaries) -> None:
    """Check that what others read holds no secret, and nothing that a terminal obeys."""
    for place, text in ended.public().items():
        assert not canaries.found_in(text), place
        lines = text.decode("utf-8").replace("\n", "").replace("\t", "")
        assert lines.isprintable(), (place, [c for c in lines if not c.isprintable()])
    assert not canaries.found_in(ended.log)
    assert len(ended.log) < 400_000
    sentence = ended.task.error or ""
    assert len(sentence) < _LONGEST_SENTENCE
    assert "\n" not in sentence


def listing(folder: Path, *, deep: bool = True) -> list[tuple[str, int]]:
    """Return the names below a folder, with the sizes of files."""
    paths = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        (str(path), path.lstat().st_size if path.is_file() and deep else 0)
        for path in paths
        if path.name != "__pycache__"
    )


def leftovers() -> list[Path]:
    """Return what a case has left where it had no business."""
    found: list[Path] = []
    for place in map(Path, _WATCHED):
        with suppress(OSError):
            found += [entry for entry in place.iterdir() if MARK in entry.name]
    return found


def left_running(engine: str) -> list[str]:
    """Return processes and containers that outlived a run; the last may just be ending."""
    until = time.monotonic() + 5
    while (found := _processes()) and time.monotonic() < until:
        time.sleep(0.05)
    if engine == "docker":
        with docker_client() as client:
            mine = f"{OWNER_LABEL}={owner_label()[OWNER_LABEL]}"
            listed = client.api.containers(all=True, filters={"label": mine})
            found += [str(one["Id"]) for one in listed]
    return found


def _processes() -> list[str]:
    marks = (MARK.encode(), b"86411." + str(int(MARK[4:], 16)).encode())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            state = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0]
            name = (entry / "comm").read_bytes() + b"".join(
                word for word in (entry / "cmdline").read_bytes().split(b"\0") if len(word) < 64
            )
            if state != b"Z" and any(mark in name for mark in marks):
                found.append(entry.name)
    return found


def test_the_checks_would_notice(stage: Stage, tmp_path: Path) -> None:
    bundle = stage.bundle(full=False, image=None)
    ended = run_case(CASES["honest"], "subprocess", bundle, tmp_path)
    scores = stage.honest_scores(full=False)
    check_outcome(ended, FINISHED, scores, stage)
    check_texts(ended, stage.canaries)
    with pytest.raises(AssertionError):
        check_outcome(ended, "model-exit", scores, stage)
    for text in (stage.canaries.image, "\x1b[2J", "\u202e"):
        (ended.scoring / "detailed_results.html").write_text(text)
        with pytest.raises(AssertionError):
            check_texts(ended, stage.canaries)
    mark = Path("/dev/shm") / MARK
    mark.touch()
    try:
        assert leftovers() == [mark]
    finally:
        mark.unlink()


def test_images_come_in_an_order_of_their_own(stage: Stage, tmp_path: Path) -> None:
    source = model(predict='print("SCORE", repr(honest(image)), flush=True)')
    case = replace(CASES["honest"], archive=zip_of({"model.py": source, "metadata": ""}))
    bundle = stage.bundle(full=False, image=None)
    orders = []
    for number in range(2):
        ended = run_case(case, "subprocess", bundle, tmp_path / str(number))
        orders.append(re.findall(rb"^SCORE (\S+)$", ended.log, re.MULTILINE))
        assert sorted(orders[-1]) == sorted(re.findall(rb",(\S+)$", stage.predictions, re.M)[1:])
    by_name = re.findall(rb",(\S+)$", stage.predictions, re.MULTILINE)[1:]
    # One in 479 million orders is the names' own, and as many are alike by chance.
    assert by_name not in orders
    assert orders[0] != orders[1]


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert sum(map(len, BY_GROUP.values())) == len(CASES) >= 150
    assert all(BY_GROUP.values())
    assert all(one.case in CASES and len(one.reason) > 20 for one in EXCEPTIONS)
