"""Which paths a model may open, by where its run's folders lie."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mimicry.ingestion.isolation import plan
from mimicry.ingestion.isolation.plan import Layout, find_access, find_layout


def covers(paths: list[str], path: Path) -> bool:
    return any(path == Path(one) or Path(one) in path.parents for one in paths)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    for name in ("input", "output", "program", "submission", "scratch/home", "weights"):
        (tmp_path / name).mkdir(parents=True)
    return find_layout(*(tmp_path / n for n in ("input", "output", "program", "submission")))


def test_elsewhere_nothing_of_the_users_is_readable(layout: Layout, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    access = find_access(layout, scratch, scratch / "home", [], [tmp_path / "weights"], {})
    for hidden in (layout.input, layout.output, layout.program, Path.home() / ".ssh"):
        assert not covers(access.readable, hidden / "file")
        assert not covers(access.writable, hidden / "file")
    for shown in (Path(sys.executable).resolve(), Path(os.__file__), tmp_path / "weights/file"):
        assert covers(access.readable, shown)
    assert covers(access.writable, scratch / "home/file")
    assert covers(access.writable, layout.submission / "file")
    assert not covers(access.writable, tmp_path / "weights/file")
    assert not covers(access.readable, Path("/etc/shadow"))


def test_run_folders_inside_what_may_be_read_stay_closed(tmp_path: Path) -> None:
    """A run's folder below this Python's, or below a folder of the module path."""
    base = tmp_path / "site"
    for name in ("input", "output", "program", "submission", "package/inner", "scratch/home"):
        (base / name).mkdir(parents=True)
    (base / "link").symlink_to(base / "input")
    layout = find_layout(*(base / n for n in ("input", "output", "program", "submission")))
    environment = {"PYTHONPATH": str(base)}
    access = find_access(layout, base / "scratch", base / "scratch/home", [], [], environment)
    assert covers(access.readable, base / "package/inner/file")
    for name in ("input/file", "output/file", "program/file", "link"):
        assert not covers(access.readable, base / name)


def test_in_a_container_the_image_is_readable_and_the_mounts_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tmp_path / "app"
    names = ("input_data", "output", "program", "ingested_program", "data/weights", "shared")
    for name in (*names, "input/ref"):
        (app / name).mkdir(parents=True)
    (tmp_path / "opt/weights").mkdir(parents=True)
    monkeypatch.setattr(plan, "WORKER", app)
    # A container's own, which a model may fill; here it holds this test's folders.
    monkeypatch.setattr(plan, "_TEMPORARY", (tmp_path / "tmp",))
    layout = find_layout(*(app / name for name in names[:4]))
    assert layout.own
    assert layout.on_worker
    scratch = tmp_path / "tmp/scratch"
    (scratch / "home").mkdir(parents=True)

    access = find_access(layout, scratch, scratch / "home", [], [], {})
    assert covers(access.readable, tmp_path / "opt/weights/file")
    assert covers(access.readable, app / "ingested_program/model.py")
    for name in ("input_data", "output", "program", "data/weights", "shared", "input/ref"):
        assert not covers(access.readable, app / name / "file")
        assert not covers(access.writable, app / name / "file")
    assert str(app) not in access.readable
    for path in (Path("/etc/mimicry/mimicry.key"), Path("/dev/mem")):
        assert not covers(access.readable, path)

    shown = find_access(layout, scratch, scratch / "home", [], [app / "data/weights"], {})
    assert covers(shown.readable, app / "data/weights/file")
    assert not covers(shown.readable, app / "data/mimicry.key")


def test_processes_are_shown_only_to_who_has_no_capability(layout: Layout, tmp_path: Path) -> None:
    access = find_access(layout, tmp_path / "scratch", tmp_path / "scratch/home", [], [], {})
    assert access.unprivileged == ["/proc"]
    assert not covers(access.readable, Path("/proc/1/environ"))
    assert covers(access.readable, Path("/proc/cpuinfo"))


WORKERS = ("input_data", "output", "program", "ingested_program")


def test_folders_are_a_runs_own_only_where_they_stand_as_the_worker_has_them(
    tmp_path: Path,
) -> None:
    def layout(base: Path, names: Sequence[str] = WORKERS) -> Layout:
        return find_layout(*(base / name for name in names))

    assert layout(Path("/app")).own
    assert layout(Path("/app")).on_worker
    assert layout(tmp_path / "app").own
    assert not layout(tmp_path / "app").on_worker
    assert not layout(tmp_path).own
    assert not layout(tmp_path / "app", ("input", *WORKERS[1:])).own
    elsewhere = find_layout(tmp_path / "input_data", *(tmp_path / "app" / n for n in WORKERS[1:]))
    assert not elsewhere.own
