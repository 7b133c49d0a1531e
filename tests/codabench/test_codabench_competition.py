import contextlib
import copy
import re
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from codabench_minibundle import REPOSITORY, copy_repository, document, make_bundle, write_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimicry.codabench.competition import (
    Competition,
    find_bundle,
    list_competitions,
    load_competition,
)
from mimicry.codabench.packing import pack_competition
from mimicry.errors import BundleError
from mimicry.hybrids.tasks import TASKS


def load(bundle: Path, data: Any) -> Competition:
    write_yaml(bundle, data)
    return load_competition(bundle, "two-task")


def test_a_competition_is_read_as_the_platform_reads_it(tmp_path: Path) -> None:
    competition = load(tmp_path, document())
    development, final = competition.phases
    assert (competition.id, competition.title) == ("two-task", "Mini")
    assert competition.docker_image == "registry.example/core:1.2.3"
    assert development.end == datetime(2026, 2, 1, 12, 30, tzinfo=UTC)
    assert final.end is None and final.auto_migrate and not development.auto_migrate
    assert (final.slug, final.max_submissions, final.max_submissions_per_day) == (
        "final-phase",
        # What the platform takes where nothing is written.
        100,
        5,
    )
    (task,) = development.tasks
    assert task.key == "x"
    assert task.input_data == tmp_path / "input_data/val.zip"
    assert task.scoring_program == tmp_path / "scoring_program_x"
    assert [column.key for column in competition.leaderboard.columns] == ["score", "loss"]
    assert competition.leaderboard.primary.key == "score"


@pytest.mark.parametrize("name", ["final-phase", "Final phase", "FINAL PHASE"])
def test_a_phase_is_found_by_slug_or_name(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, document()).phase(name).index == 1


def test_an_unknown_phase_lists_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"development, final-phase.*phase-unknown"):
        load(tmp_path, document()).phase("finale")


def test_bare_dates_are_the_first_midnight(tmp_path: Path) -> None:
    text = yaml.safe_dump(document()).replace("'2026-01-01 00:00:00'", "2026-01-01")
    (tmp_path / "competition.yaml").write_text(text)
    start = load_competition(tmp_path, "two-task").phases[0].start
    assert start == datetime(2026, 1, 1, tzinfo=UTC)


def test_optional_keys_may_be_left_out(tmp_path: Path) -> None:
    data = document()
    del data["fact_sheet"]
    for task in data["tasks"]:
        del task["input_data"], task["reference_data"], task["ingestion_program"]
    task = load(tmp_path, data).phases[0].tasks[0]
    assert (task.input_data, task.reference_data, task.ingestion_program) == (None, None, None)


def set_at(keys: tuple[str | int, ...], value: Any) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


def remove_at(*keys: str | int) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return change


def two_tasks_in_one_phase(data: Any) -> None:
    data["tasks"].append({**data["tasks"][0], "index": 2, "scoring_program": "scoring_program_y"})
    data["phases"][0]["tasks"] = [0, 2]
    del data["phases"][1]["auto_migrate_to_this_phase"]


def test_tasks_are_in_the_order_in_which_the_platform_runs_them(tmp_path: Path) -> None:
    data = document()
    two_tasks_in_one_phase(data)
    data["phases"][0]["tasks"] = [2, 0]
    assert [task.key for task in load(tmp_path, data).phases[0].tasks] == ["x", "y"]


def rule(name: str, primary: int) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        two_tasks_in_one_phase(data)
        data["leaderboards"][0] |= {"submission_rule": name, "primary_index": primary}

    return change


def computed(data: Any) -> None:
    data["leaderboards"][0]["columns"][1] |= {"computation": "avg", "computation_indexes": [5]}


def migrate_several(data: Any) -> None:
    two_tasks_in_one_phase(data)
    data["phases"][1]["auto_migrate_to_this_phase"] = True


board = ("leaderboards", 0)
FAULTS: list[tuple[str, Callable[[Any], None], str]] = [
    ("version", set_at(("version",), 2.0), "version: only `version: 2`"),
    ("no version", remove_at("version"), "`version` is missing"),
    ("unknown key", set_at(("phases", 0, "hide_ouput"), True), "did you mean `hide_output`"),
    ("unknown top key", set_at(("end_date",), "x"), "end_date: this key is unknown"),
    ("empty value", set_at(("tasks", 0, "input_data"), None), "has no value"),
    ("no image", remove_at("image"), "`image` is missing"),
    ("no terms", remove_at("terms"), "`terms` is missing"),
    ("no pages", remove_at("pages"), "`pages` is missing"),
    ("long title", set_at(("title",), "x" * 257), "257 characters"),
    ("latest", set_at(("docker_image",), "registry.example:80/core"), "no fixed version"),
    ("latest tag", set_at(("docker_image",), "core:latest"), "no fixed version"),
    ("flag text", set_at(("enable_detailed_results",), "yes"), "true or false without quotes"),
    ("task index text", set_at(("tasks", 0, "index"), "0"), "whole number"),
    ("task index twice", set_at(("tasks", 1, "index"), 0), "two tasks have the index 0"),
    ("no scoring", remove_at("tasks", 1, "scoring_program"), "`scoring_program` is missing"),
    ("bare csv", set_at(("tasks", 0, "reference_data"), "ref/val.csv"), "must be a .zip"),
    ("absolute", set_at(("terms",), "/etc/terms.md"), "below the bundle's root"),
    ("dots", set_at(("terms",), "../terms.md"), "below the bundle's root"),
    ("backslash", set_at(("terms",), "pages\\terms.md"), "below the bundle's root"),
    ("private", set_at(("tasks", 0, "input_data"), "input_data/Private_v.zip"), "private"),
    ("no limit", remove_at("phases", 0, "execution_time_limit"), "execution_time_limit: 600"),
    ("zero limit", set_at(("phases", 0, "execution_time_limit"), 0), "at least 1"),
    ("zero quota", set_at(("phases", 0, "max_submissions_per_day"), 0), "at least 1"),
    ("boolean quota", set_at(("phases", 0, "max_submissions"), True), "whole number"),
    ("us date", set_at(("phases", 0, "start"), "9-04-2024"), "no date that the platform"),
    ("offset", set_at(("phases", 0, "start"), "2026-01-01 00:00:00+05:00"), "no date"),
    ("unquoted", set_at(("phases", 0, "start"), datetime(2026, 1, 1, 5)), "time of day is lost"),
    ("31 june", set_at(("phases", 0, "end"), "2026-06-31"), "does not exist in the calendar"),
    ("ends early", set_at(("phases", 0, "end"), "2025-01-01"), "ends before"),
    ("zero length", set_at(("phases", 0, "end"), "2026-01-01 00:00:00"), "ends before"),
    ("overlap", set_at(("phases", 1, "start"), "2026-02-01 12:30:00"), "strictly later"),
    ("endless first", remove_at("phases", 0, "end"), "only the last phase may be endless"),
    ("same slug", set_at(("phases", 1, "name"), "development!"), "a name of its own"),
    ("unknown task", set_at(("phases", 0, "tasks"), [7]), "no task has the index 7"),
    ("no task", set_at(("phases", 0, "tasks"), []), "list of its tasks' indexes"),
    ("task twice", set_at(("phases", 0, "tasks"), [0, 0]), "listed twice"),
    ("same key", set_at(("phases", 0, "tasks"), [0, 1]), "share a scoring program's name"),
    (
        "first migrates",
        set_at(("phases", 0, "auto_migrate_to_this_phase"), True),
        "nothing can migrate to the first phase",
    ),
    ("several migrate", migrate_several, "never migrates"),
    ("force last", rule("Force_Last", 3), "drops the others"),
    ("force best ascending", rule("Force_Best", 5), "drops the others"),
    ("unknown rule", set_at((*board, "submission_rule"), "Best"), "'Best' is unknown"),
    ("primary", set_at((*board, "primary_index"), 4), "no column has the index 4"),
    ("default primary", remove_at(*board, "primary_index"), "no column has the index 0"),
    ("no columns", set_at((*board, "columns"), []), "at least one entry"),
    ("precision text", set_at((*board, "columns", 0, "precision"), "4"), "precision: 4"),
    ("precision 11", set_at((*board, "columns", 0, "precision"), 11), "at most 10"),
    ("sorting", set_at((*board, "columns", 0, "sorting"), "ascending"), "'ascending' is unknown"),
    ("column key twice", set_at((*board, "columns", 1, "key"), "loss"), "the same key"),
    ("column index twice", set_at((*board, "columns", 1, "index"), 5), "the same index"),
    ("long column", set_at((*board, "columns", 1, "title"), "x" * 37), "37 characters"),
    ("computed", computed, "computed columns"),
    ("half computed", set_at((*board, "columns", 1, "computation"), "avg"), "needs both"),
    ("two boards", lambda d: d["leaderboards"].append(d["leaderboards"][0]), "first leaderboard"),
    ("fact flag", set_at(("fact_sheet", "method", "is_required"), True), "'true' or 'false'"),
    ("fact key", set_at(("fact_sheet", "method", "key"), "other"), "repeat the question's own"),
    ("fact keys", remove_at("fact_sheet", "method", "selection"), "has exactly the keys"),
    ("fact selection", set_at(("fact_sheet", "method", "type"), "checkbox"), "[true, false]"),
]


@pytest.mark.parametrize(("change", "part"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_is_named_with_its_line(
    tmp_path: Path, change: Callable[[Any], None], part: str
) -> None:
    data = document()
    change(data)
    # Aliases in a changed document would be dumped as anchors.
    with pytest.raises(BundleError, match=re.escape(part)) as raised:
        load(tmp_path, copy.deepcopy(data))
    assert raised.value.code == "competition-yaml"
    assert re.match(r"competition\.yaml (line|has) \d+", raised.value.sentence)


WARNINGS: list[tuple[str, Callable[[Any], None]]] = [
    ("no page", set_at(("pages",), [])),
    ("precision", remove_at(*board, "columns", 0, "precision")),
    ("quota", remove_at("phases", 0, "max_submissions")),
    ("phase index twice", set_at(("phases", 1, "index"), 0)),
    ("phase index", remove_at("phases", 0, "index")),
    ("public data", set_at(("phases", 0, "public_data"), "public/data.csv")),
    ("folders", set_at(("tasks", 0, "input_data"), "input_data/val.v1")),
]


@pytest.mark.parametrize("change", [w[1] for w in WARNINGS], ids=[w[0] for w in WARNINGS])
def test_what_works_on_the_platform_is_read(tmp_path: Path, change: Callable[[Any], None]) -> None:
    data = document()
    change(data)
    assert load(tmp_path, copy.deepcopy(data)).phases[0].name == "Development"


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    data = document()
    data["titel"] = data.pop("title")
    data["docker_image"] = "core"
    data["tasks"][0]["input_data"] = "../val"
    del data["tasks"][1]["name"]
    data["phases"][0] |= {"start": "9-04-2024", "max_submissions": 0, "tasks": [9]}
    data["phases"][1]["hide_output"] = "yes"
    data["leaderboards"][0]["columns"][0]["precision"] = 11
    path = write_yaml(tmp_path, data)
    with pytest.raises(BundleError) as raised:
        load_competition(tmp_path, "two-task")
    sentence = raised.value.sentence
    told = re.findall(r"\((\d+)\) competition\.yaml line (\d+)(?:, ([^:]+))?: ", sentence)
    assert sentence.startswith(f"competition.yaml has {len(told)} faults. (1) ")
    assert [int(number) for number, _, _ in told] == list(range(1, len(told) + 1))
    lines = [int(line) for _, line, _ in told]
    assert lines == sorted(lines)
    # Nothing that follows from a fault alone: no order of dates, no task that is missing.
    assert {key for _, _, key in told} == {
        *("", "titel", "docker_image", "tasks[0].input_data", "tasks[1]"),
        *("phases[0].start", "phases[0].max_submissions", "phases[1].hide_output"),
        "phases[0].tasks",
        "leaderboards[0].columns[0].precision",
    }
    text = path.read_text().splitlines()
    assert "max_submissions: 0" in text[next(int(n) for _, n, k in told if k.endswith("ns")) - 1]


def test_many_faults_are_cut_with_their_number(tmp_path: Path) -> None:
    data = document() | {f"unknown_{number:02}": 1 for number in range(40)}
    with pytest.raises(BundleError) as raised:
        load(tmp_path, data)
    sentence = raised.value.sentence
    told = re.findall(r"\(\d+\) competition\.yaml line", sentence)
    assert sentence.startswith("competition.yaml has 40 faults.")
    assert 10 < len(told) <= 20 and len(sentence) < 2000
    assert sentence.endswith(f" And {40 - len(told)} more: `mimicry validate` tells all.")


def test_the_line_is_the_line_of_the_key(tmp_path: Path) -> None:
    data = document()
    data["phases"][1]["execution_time_limit"] = "long"
    path = write_yaml(tmp_path, data)
    lines = path.read_text().splitlines()
    expected = next(n for n, line in enumerate(lines, 1) if "limit: long" in line)
    with pytest.raises(BundleError, match=rf"line {expected}, phases\[1\].execution_time_limit"):
        load_competition(tmp_path, "two-task")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"", "no mapping"),
        (b"- a\n- b\n", "no mapping"),
        (b"title: x\n\tversion: 2\n", "not valid YAML"),
        (b"title: x\ntitle: y\n", "`title` stands twice"),
        (b"title: !!python/object/apply:os.system [id]\n", "not valid YAML"),
        (b"title: \xff\n", "not UTF-8"),
        (b"title: 2026-13-45\n", "impossible value"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_competition(tmp_path: Path, text: bytes, part: str) -> None:
    (tmp_path / "competition.yaml").write_bytes(text)
    with pytest.raises(BundleError, match=part):
        load_competition(tmp_path, "two-task")


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = write_yaml(tmp_path, document())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_competition(tmp_path, "two-task").title == "Mini"


@given(st.binary(max_size=200))
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_arbitrary_bytes_end_in_a_bundle_error(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "competition.yaml").write_bytes(noise)
    with pytest.raises(BundleError):
        load_competition(tmp_path, "two-task")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
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


@given(st.sampled_from(paths(document())), VALUES)
@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_at_any_place_loads_or_is_a_bundle_error(
    tmp_path: Path, keys: tuple[str | int, ...], value: Any
) -> None:
    data = document()
    set_at(keys, value)(data)
    # Anything but a BundleError gets through and fails the test.
    with contextlib.suppress(BundleError):
        load(tmp_path, data)


def test_the_bundle_is_found_from_below(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    deep = bundle / "pages"
    assert find_bundle(deep) == bundle
    with pytest.raises(BundleError, match="bundle-not-found"):
        find_bundle(tmp_path)


def test_a_zip_that_was_unpacked_goes_by_its_packed_name(tmp_path: Path) -> None:
    bundle, below = copy_repository(tmp_path / "bundle"), tmp_path / "unpacked"
    packed = pack_competition(load_competition(bundle, "hybrid"), tmp_path).path
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(below)
    assert list_competitions(below) == {"hybrid": below / "competition.yaml"}
    assert load_competition(below, "hybrid").id == "hybrid"
    # What lies below a bundle, and is not named by it, gives it no name.
    shutil.copytree(below, bundle / "unpacked")
    assert next(iter(list_competitions(bundle))) == "two-task"
    shutil.rmtree(bundle / "competitions")
    assert list(list_competitions(bundle)) == ["two-task"]
    settings_file = below / "final/scoring_program_hybrid/phase.json"
    for content in ('{"competition": "other"}', '{"competition": "../x"}', "[", "{}", "[1]"):
        settings_file.write_text(content)
        assert list(list_competitions(below)) == ["two-task"]


def test_competitions_are_listed_by_id(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "competitions").mkdir()
    write = (bundle / "competitions" / "blue.yaml").write_text
    write((bundle / "competition.yaml").read_text())
    assert list(list_competitions(bundle)) == ["two-task", "blue"]
    # Paths are relative to the bundle's root, not to the file.
    blue = load_competition(bundle, "blue")
    assert blue.phases[0].tasks[0].scoring_program == bundle / "scoring_program_x"
    with pytest.raises(BundleError, match=r"two-task, blue\..*competition-unknown"):
        load_competition(bundle, "red")
    (bundle / "competitions" / "two-task.yaml").write_text("")
    with pytest.raises(BundleError, match="rename"):
        load_competition(bundle, "two-task")
    assert load_competition(bundle, "blue").id == "blue"


class TestOurOwn:
    @pytest.mark.parametrize("id", ["two-task", "hybrid"])
    def test_switches_that_protect_the_competition(self, id: str) -> None:
        competition = load_competition(REPOSITORY, id)
        development, final = competition.phases
        assert (development.slug, final.slug) == ("development", "final")
        # Final has twice the images: what fits Development must fit Final.
        assert final.execution_time_limit >= 2 * development.execution_time_limit
        assert development.hide_prediction_output and final.hide_prediction_output
        assert final.hide_output and final.hide_score_output
        assert competition.document["enable_detailed_results"] is True
        for key in ("make_programs_available", "make_input_data_available"):
            assert competition.document[key] is False
        sheet = competition.document["fact_sheet"]
        assert list(sheet) == ["method", "outside_data_and_weights", "code_link"]
        assert all(column.precision >= 4 for column in competition.leaderboard.columns)

    def test_columns_are_what_the_tasks_write_in_the_same_words(self) -> None:
        for id, keys in (("two-task", ("A", "mimic")), ("hybrid", ("hybrid",))):
            competition = load_competition(REPOSITORY, id)
            expected = {c.key: c.title for key in keys for c in TASKS[key].columns}
            columns = competition.leaderboard.columns
            assert {c.key: c.title for c in columns} == expected
            # The ranking column is one that every task writes: a missing one ranks first.
            primary = competition.leaderboard.primary.key
            assert all(primary == TASKS[key].columns[0].key for key in keys)

    def test_the_two_task_form(self) -> None:
        competition = load_competition(REPOSITORY, "two-task")
        assert competition.leaderboard.submission_rule == "Add_And_Delete"
        assert [[task.key for task in phase.tasks] for phase in competition.phases] == [
            ["A", "mimic"],
            ["A", "mimic"],
        ]
        assert not competition.phases[1].auto_migrate

    def test_the_hybrid_form_ranks_and_migrates(self) -> None:
        competition = load_competition(REPOSITORY, "hybrid")
        assert competition.leaderboard.submission_rule == "Force_Best"
        assert competition.leaderboard.primary.key == "challenge_score"
        assert competition.phases[1].auto_migrate
        data = [phase.tasks[0].input_data for phase in competition.phases]
        assert [path.name for path in data if path] == ["val.zip", "test.zip"]
