"""Looks for anything about the files, but the pictures themselves, that predicts a label.

For every task's images, each kind of property is tested against the hybrids of each group,
and against the groups where a task mixes them (but for what pictures show, which tells a
species by right). P-values are corrected over all tests of a
run (Holm), so that data without a leak raise an alarm in at most 5 % of runs.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mimicry.data_sets.audit_columns import Bools, Column, prepare
from mimicry.data_sets.audit_reading import Measured, measure_images, read_labels, shown
from mimicry.data_sets.audit_statistics import (
    Ints,
    Tested,
    enough_orders,
    examine,
    holm,
    units_of_classes,
)
from mimicry.data_sets.audit_words import Named, describe
from mimicry.data_sets.properties import CONTENT_KINDS, KINDS, PICTURE, Measures
from mimicry.hybrids.reference import Reference

LEVEL = 0.05
"""Share of runs on data without a leak that raise an alarm, at most."""
NEAR_PERFECT = 0.98
"""From this area on, colour and detail count as a leak, too: no biology is so clean."""

_GROUP_TARGETS = (
    ("group: mimic or Species A", ("mimic",), ("major", "minor")),
    ("group: major or minor", ("major",), ("minor",)),
)


class Pair(NamedTuple):
    """A task's images and labels, and what the task is called."""

    name: str
    input_data: Path
    reference_data: Path


class Finding(NamedTuple):
    """One kind of property, tested against one label in one set.

    Attributes
    ----------
    set : str
        The zip of the images.
    target : str
        Which label: ``hybrids of major``, ``group: major or minor``.
    kind : str
        Of `KINDS`.
    level : str
        ``leak``, ``warning`` (what pictures show predicts the label) or ``clean``.
    positive, negative : int
        Images of the two classes.
    tested : Tested
    p_value : float
        Corrected for all tests of the run.
    named : tuple of Named
        The properties that tell by themselves, in words; empty when clean.
    """

    set: str
    target: str
    kind: str
    level: str
    positive: int
    negative: int
    tested: Tested
    p_value: float
    named: tuple[Named, ...]


class Audit(NamedTuple):
    """What an audit found: every test, those with the smallest p-value first.

    Attributes
    ----------
    findings : tuple of Finding
    untested : tuple of str
        Which labels have too few images in a class for any test, in words.
    sets : tuple of (str, int)
        Zips of images and their number of images.
    repeated : tuple of str
        Which sets hold pictures more than once, in words.
    """

    findings: tuple[Finding, ...]
    untested: tuple[str, ...]
    sets: tuple[tuple[str, int], ...]
    repeated: tuple[str, ...]

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """What must be mended."""
        return tuple(one for one in self.findings if one.level == "leak")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What should be thought about."""
        return tuple(one for one in self.findings if one.level == "warning")


class _Test(NamedTuple):
    """A test to be made."""

    set: str
    target: str
    kind: str
    columns: list[Column]
    labels: Bools
    units: Ints
    rows: list[Measures]


def audit_pairs(pairs: Iterable[Pair], *, seed: int, report: Callable[[str], None]) -> Audit:
    """Audit data sets; each pair of zips is looked at once, whatever tasks share it.

    Parameters
    ----------
    pairs : iterable of Pair
    seed : int
        Of the shuffles; the same seed gives the same figures.
    report : callable
        Gets lines of progress.

    Raises
    ------
    BundleError
        When a zip or an image cannot be read, see `mimicry.data_sets.audit_reading`.
    """
    known = Measured()
    sets = []
    for pair in dict.fromkeys((one.input_data, one.reference_data) for one in pairs):
        reference = read_labels(pair[1])
        sets.append((shown(pair[0]), reference, measure_images(pair[0], reference, known, report)))
    return audit_measured(sets, seed=seed)


def audit_measured(
    sets: Sequence[tuple[str, Reference, Sequence[Measures]]], *, seed: int
) -> Audit:
    """Test sets whose properties have been measured; see `audit_pairs`.

    Parameters
    ----------
    sets : sequence of (str, Reference, sequence of Measures)
        Name, labels, and the properties of each image in the order of the labels.
    seed : int
    """
    tests, untested = [], []
    for name, reference, measures in sets:
        found, missed = _tests(name, reference, measures)
        tests += found
        untested += missed
    # A p-value must be able to pass the strictest of Holm's bounds, with room to spare.
    least = LEVEL / max(1, len(tests))
    possible = []
    for test in tests:
        positive, negative = units_of_classes(test.labels, test.units)
        if enough_orders(positive, positive + negative, least):
            possible.append(test)
        else:
            untested.append(_too_few(test.set, test.target, test.labels, test.units))
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    draws = math.ceil(2 / least)
    bar = tqdm(possible, "testing", unit="test", disable=None, leave=False)
    # Many small products: threads would wait for each other.
    with threadpool_limits(1):
        outcomes = [
            examine(t.columns, t.labels, t.units, draws, _random(seed, t, "shuffles")) for t in bar
        ]
    corrected = holm([outcome.p_value for outcome in outcomes])
    findings = [
        _finding(test, outcome, p, seed)
        for test, outcome, p in zip(possible, outcomes, corrected, strict=True)
    ]
    findings.sort(key=lambda one: (one.p_value, -one.tested.auc))
    return Audit(
        tuple(findings),
        tuple(dict.fromkeys(untested)),
        tuple((name, len(measures)) for name, _, measures in sets),
        tuple(told for name, _, measures in sets if (told := _repeated(name, measures))),
    )


def _tests(
    name: str, reference: Reference, measures: Sequence[Measures]
) -> tuple[list[_Test], list[str]]:
    group, hybrid = np.array(reference.group), np.array(reference.hybrid)
    targets = [
        (f"hybrids of {one}", group == one, hybrid) for one in dict.fromkeys(reference.group)
    ]
    for title, first, second in _GROUP_TARGETS:
        # Among the others alone: groups differ in their share of hybrids.
        both = np.isin(group, first + second) & ~hybrid
        targets.append((title, both, np.isin(group, first)))
    tests, missed = [], []
    keys = list(dict.fromkeys(key for one in measures for key in one))
    for title, member, label in targets:
        labels = label[member]
        rows = [row for row, own in zip(measures, member, strict=True) if own]
        units = _units(rows, labels)
        if not labels.any() or labels.all():
            if title.startswith("hybrids"):
                missed.append(_too_few(name, title, labels, units))
            continue
        fewest = min(units_of_classes(labels, units))
        for kind in KINDS:
            if title.startswith("group") and kind in CONTENT_KINDS:
                continue
            values = {
                key: [row.get(key) for row in rows] for key in keys if key.partition(".")[0] == kind
            }
            columns = prepare(values, fewest)
            if columns:
                tests.append(_Test(name, title, kind, columns, labels, units, rows))
    return tests, missed


def _units(rows: Sequence[Measures], labels: Bools) -> Ints:
    """Give images their units, see `examine`: equal pictures with one label share one.

    Equal pictures with different labels are shuffled apart, some of them onto one label:
    shuffles agree on such pictures more often than the labels do, so alarms become rarer.
    """
    known: dict[object, int] = {}
    units = [
        known.setdefault((row.get(PICTURE) or i, bool(label)), len(known))
        for i, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    return np.array(units, dtype=np.intp)


def _repeated(name: str, measures: Sequence[Measures]) -> str | None:
    different = len({row.get(PICTURE) or i for i, row in enumerate(measures)})
    if different == len(measures):
        return None
    return (
        f"{name}: {len(measures):,} images show {different:,} different pictures; equal ones count "
        "as one in every test. Keep one of each, unless they are repeated on purpose"
    )


def _too_few(name: str, target: str, labels: Bools, units: Ints) -> str:
    counts = f"{int(labels.sum())} and {int((~labels).sum())} images"
    positive, negative = units_of_classes(labels, units)
    if positive + negative < len(labels):
        counts += f" ({positive} and {negative} different pictures)"
    return f"{name}, {target}: {counts} are too few to tell anything"


def _random(seed: int, test: _Test, use: str) -> np.random.Generator:
    # By name, so that a test's figures do not depend on which others there are.
    text = f"{test.set}\0{test.target}\0{test.kind}\0{use}"
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng([abs(seed), int(seed < 0), *digest[:16]])


def _finding(test: _Test, outcome: Tested, p_value: float, seed: int) -> Finding:
    level = "clean"
    if p_value <= LEVEL:
        level = "leak"
        if test.kind in CONTENT_KINDS and outcome.auc < NEAR_PERFECT:
            level = "warning"
    named: tuple[Named, ...] = ()
    if level != "clean":
        by_key = {column.key: column for column in test.columns}
        named = tuple(
            describe(by_key[key], test.rows, test.labels, test.units, _random(seed, test, key))
            for key in outcome.named
        )
    positive = int(test.labels.sum())
    return Finding(
        test.set,
        test.target,
        test.kind,
        level,
        positive,
        len(test.labels) - positive,
        outcome,
        p_value,
        named,
    )
