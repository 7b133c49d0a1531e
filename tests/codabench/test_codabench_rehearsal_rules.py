"""Dates, quotas, arrivals and migration: the rules that a rehearsal plays by."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from codabench_minibundle import document, make_bundle, write_yaml
from hypothesis import given
from hypothesis import strategies as st

from mimicry.codabench.boards.board import Board, Entry
from mimicry.codabench.competition import Phase, load_competition
from mimicry.codabench.quotas import (
    PHASE_IS_FULL,
    TODAY_IS_FULL,
    HandedIn,
    Mark,
    date_mark,
    handed_in,
    marks,
    moment,
)
from mimicry.codabench.records import RunRecord, TaskRecord
from mimicry.codabench.rehearsal.plan import (
    Arrival,
    Submission,
    arrivals,
    migrated,
    migration,
    name_submissions,
    next_wave,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 4, 23, 59, tzinfo=UTC)


def phase(a_day: int | None = None, limit: int | None = None, tasks: int = 1) -> Phase:
    made = Phase(
        *(0, "Development", "development", "", START, END, (), 300, a_day, limit),
        *(False, False, False, False),
    )
    return replace(made, tasks=(None,) * tasks)  # type: ignore[arg-type]


def kinds(found: Sequence[Mark | None]) -> list[str | None]:
    return [one.kind if one else None for one in found]


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("when", "kind"),
    [
        (START - timedelta(microseconds=1), "early"),
        (START, None),
        (END, None),
        (END + timedelta(microseconds=999_999), None),
        (END + SECOND, "late"),
        (START.astimezone(timezone(timedelta(hours=5))), None),
    ],
)
def test_a_phase_takes_what_comes_in_its_first_and_last_second(
    when: datetime, kind: str | None
) -> None:
    found = date_mark(phase(), when)
    assert (found.kind if found else None) == kind
    endless = replace(phase(), end=None)
    assert date_mark(endless, END + timedelta(days=9999)) is None


def test_days_are_counted_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    times = [
        datetime(2026, 11, 2, 0, 30, tzinfo=berlin),  # still 1 November in UTC
        datetime(2026, 11, 1, 12, tzinfo=UTC),
        datetime(2026, 11, 2, 1, 0, tzinfo=berlin),
    ]
    found = marks(phase(a_day=1), [HandedIn("ann", when) for when in times])
    assert kinds(found) == ["surplus", None, None]
    assert found[0] == Mark("surplus", f"{TODAY_IS_FULL} (1 a day, counted in UTC)")


def test_failed_ones_cost_nothing_and_migrated_ones_are_never_refused() -> None:
    def at(minute: int, **changes: bool) -> HandedIn:
        return HandedIn("ann", START + timedelta(minutes=minute), **changes)

    given = [at(1, counts=False), at(2), at(3, migrated=True), at(4), at(5, migrated=True)]
    found = marks(phase(limit=2), given)
    assert kinds(found) == [None, None, None, "surplus", None]
    assert found[3] is not None and found[3].reason == f"{PHASE_IS_FULL} (2 in all)"
    # What is refused does not exist there: it costs nothing either.
    assert kinds(marks(phase(a_day=1, limit=2), [at(1), at(2), at(24 * 60 + 1)])) == [
        *(None, "surplus", None)
    ]
    # A migrated one comes when the platform brings it.
    assert kinds(marks(phase(), [at(-9), at(-9, migrated=True)])) == ["early", None]


def slow_marks(phase: Phase, given: Sequence[HandedIn]) -> list[str | None]:
    """Ask about each submission what the platform's two queries would answer."""
    there: list[HandedIn] = []
    found: dict[int, str | None] = {}
    for number in sorted(
        (n for n in range(len(given)) if given[n].when is not None),
        key=lambda n: (given[n].when, n),
    ):
        one = given[number]
        assert one.when is not None
        own = [h for h in there if h.participant == one.participant and h.counts]
        today = [h for h in own if h.when is not None and h.when.date() == one.when.date()]
        full = any(
            limit is not None and len(some) >= limit
            for some, limit in (
                (today, phase.max_submissions_per_day),
                (own, phase.max_submissions),
            )
        )
        if full and not one.migrated:
            found[number] = "surplus"
            continue
        there.append(one)
        if one.migrated or phase.start <= one.when.replace(microsecond=0) <= END:
            found[number] = None
        else:
            found[number] = "early" if one.when < phase.start else "late"
    return [found.get(number) for number in range(len(given))]


times = st.one_of(
    st.none(),
    st.integers(-30, 150).map(lambda hours: START + timedelta(hours=hours)),
    st.sampled_from([END, END + SECOND, START]),
)
handed = st.lists(
    st.builds(HandedIn, st.sampled_from(["ann", "bob"]), times, st.booleans(), st.booleans()),
    max_size=25,
)
limits = st.one_of(st.none(), st.integers(1, 4))


@given(handed, limits, limits)
def test_marks_equal_the_platforms_queries(
    given: list[HandedIn], a_day: int | None, limit: int | None
) -> None:
    one = phase(a_day, limit)
    assert kinds(marks(one, given)) == slow_marks(one, given)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-01T00:00:00", START),
        ("2026-11-01T02:00:00+02:00", START),
        ("", None),
        ("tomorrow", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_times_of_records(text: str, found: datetime | None) -> None:
    assert moment(text) == found


@given(st.text(max_size=30))
def test_any_time_is_read(text: str) -> None:
    found = moment(text)
    assert found is None or found.utcoffset() == timedelta(0)


def record(state: str, tasks: int = 1, *, ended: bool = True) -> RunRecord:
    return RunRecord(
        *("mini", "development", "x.zip", "ann", "0" * 64, "subprocess"),
        started="2026-11-01T00:00:00+00:00",
        finished="2026-11-01T00:01:00+00:00" if ended else None,
        state=state,
        tasks={str(number): TaskRecord(state) for number in range(tasks)},
    )


def test_what_the_platform_counts() -> None:
    assert handed_in(record("finished")) == HandedIn("ann", START, True, False)
    assert not handed_in(record("failed")).counts
    # The platform calls a submission of several tasks finished, whatever they did.
    assert handed_in(record("failed", tasks=2)).counts
    assert handed_in(record("running", ended=False)).counts
    later = replace(record("finished"), submitted="2026-11-02T00:00:00+00:00", migrated=True)
    assert handed_in(later) == HandedIn("ann", START + timedelta(days=1), True, True)


def people(*names: str) -> tuple[Submission, ...]:
    return name_submissions((name, Path(f"{n}.zip")) for n, name in enumerate(names))


def test_names_are_folders_of_their_own() -> None:
    given = people("ann", "ann", "ANN", "ann-2", "a/b", "..", "a b", "é")
    names = [one.name for one in given]
    assert names == ["ann", "ann-2", "ANN-3", "ann-2-2", "a_b", "participant", "a_b-2", "é"]
    assert [one.participant for one in given][:3] == ["ann", "ann", "ANN"]


@given(st.lists(st.text(max_size=4), max_size=12))
def test_any_names_are_folders_of_their_own(given: list[str]) -> None:
    names = [one.name for one in people(*given)]
    assert len({name.lower() for name in names}) == len(names)
    assert all(name and "/" not in name and name.strip(".") for name in names)


@given(st.integers(1, 40), st.integers(1, 3000))
def test_arrivals_are_in_time(count: int, seconds: int) -> None:
    one = replace(phase(), end=START + timedelta(seconds=seconds))
    whens = [a.when for a in arrivals(one, people(*["ann"] * count))]
    assert len(set(whens)) == count and whens == sorted(whens)
    assert whens[0] > START and whens[-1] < one.end  # type: ignore[operator]
    assert arrivals(replace(one, end=None), people("ann"))[0].when == START + timedelta(minutes=1)


def play(one: Phase, coming: Sequence[Arrival], fails: Sequence[bool]) -> tuple[list[str], int]:
    """Run waves to the end; return what was refused, and in how many waves."""
    counts: dict[str, bool] = {}
    refused: list[str] = []
    waves = 0
    names = [a.submission.name for a in coming]
    while len(counts) < len(coming):
        wave = next_wave(one, coming, counts)
        assert wave.ready or wave.refused
        assert len(wave.ready) + len(wave.refused) + len(wave.waiting) + len(counts) == len(coming)
        for arrival, _ in wave.refused:
            refused.append(arrival.submission.name)
            counts[arrival.submission.name] = False
        for arrival in wave.ready:
            name = arrival.submission.name
            counts[name] = len(one.tasks) > 1 or not fails[names.index(name)]
        waves += 1
    return sorted(refused), waves


@given(
    st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.booleans()), max_size=14),
    limits,
    limits,
    st.integers(1, 2),
)
def test_waves_refuse_what_one_after_the_other_would_be_refused(
    given: list[tuple[str, bool]], a_day: int | None, limit: int | None, tasks: int
) -> None:
    one = phase(a_day, limit, tasks)
    coming = arrivals(one, people(*(name for name, _ in given)))
    fails = [failed for _, failed in given]
    refused, _ = play(one, coming, fails)
    times = [
        HandedIn(a.submission.participant, a.when, tasks > 1 or not failed)
        for a, failed in zip(coming, fails, strict=True)
    ]
    expected = [
        a.submission.name
        for a, mark in zip(coming, marks(one, times), strict=True)
        if mark is not None
    ]
    assert refused == sorted(expected)


def test_waves_are_as_wide_as_can_be() -> None:
    coming = arrivals(phase(limit=2), people("ann", "ann", "ann", "bob"))
    wave = next_wave(phase(limit=2), coming, {})
    assert [a.submission.name for a in wave.ready] == ["ann", "ann-2", "bob"]
    assert [a.submission.name for a in wave.waiting] == ["ann-3"]
    # Of several tasks each counts, however it ends: nothing to wait for.
    wave = next_wave(phase(limit=2, tasks=2), coming, {})
    assert [(a.submission.name, r) for a, r in wave.refused] == [
        ("ann-3", f"{PHASE_IS_FULL} (2 in all)")
    ]
    brought = migrated(phase(a_day=1), people("ann", "ann"))
    assert len(next_wave(phase(a_day=1), brought, {}).ready) == 2
    assert [a.when - START for a in brought] == [timedelta(minutes=5, seconds=n) for n in (0, 1)]


def board(rule: str, *folders: str) -> Board:
    rows = tuple(Entry("ann", "x.zip", folder, "", {"x": {"score": 0.5}}) for folder in folders)
    return Board("mini", "Results", "Development", rule, (("x", "X"),), (), rows, (), None)


def test_what_migrates() -> None:
    before, after = phase(), replace(phase(), name="Final", auto_migrate=True)
    found = migration(board("Force_Best", "development/ann"), before, after)
    assert found.folders == ("development/ann",)
    assert "whatever its quotas" in found.sentences[0]
    assert not any("by hand" in sentence for sentence in found.sentences)
    for rule in ("Add", "Add_And_Delete", "Add_And_Delete_Multiple"):
        found = migration(board(rule, "development/ann"), before, after)
        assert found.folders and "by hand" in found.sentences[1]
    without = migration(
        board("Force_Best", "development/ann"), before, replace(after, auto_migrate=False)
    )
    assert without.folders == () and "no auto_migrate_to_this_phase" in without.sentences[0]
    for one, two in ((phase(tasks=2), after), (before, replace(after, tasks=phase(tasks=2).tasks))):
        found = migration(board("Add", "development/ann"), one, two)
        assert found.folders == () and "phases with several tasks" in found.sentences[0]


def test_the_bundles_own_phases(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    write_yaml(bundle, document())
    first, second = load_competition(bundle, "two-task").phases
    assert migration(board("Force_Best", "a"), first, second).folders == ("a",)
