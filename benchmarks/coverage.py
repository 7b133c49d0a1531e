"""How often the intervals of docs/uncertainty.md hold what they should.

python benchmarks/coverage.py [--quick] [--sets N] [--json FILE]

Populations with known recalls at the threshold that 95 % of all their non-hybrids do not
exceed; sets of images are drawn from them at the real sizes, graded by the package, and
every interval is asked whether it holds the truth.
"""

import argparse
import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from mimicry.hybrids.metrics import harmonic_mean, operating_threshold, recall_above
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS
from mimicry.hybrids.uncertainty import HybridDraws, draw_scores, interval, wilson_interval

# Group: non-hybrids, hybrids.
VALIDATION = {"major": (219, 190), "minor": (201, 17), "mimic": (423, 125)}
TEST = {"major": (455, 365), "minor": (407, 28), "mimic": (847, 248)}
SETS = {"validation": VALIDATION, "test": TEST}
SPECIES = {"major": ("major", "minor"), "minor": ("major", "minor"), "mimic": ("mimic",)}
# The groups that each task grades, in the order of the sizes above.
PARTS = {"A": slice(0, 2), "mimic": slice(2, 3), "hybrid": slice(0, 3)}
FULL, QUICK, DRAWS = 1500, 100, 1000


class Scorer(NamedTuple):
    """A submission's scores in the population, in standard deviations of the non-hybrids.

    Attributes
    ----------
    shifts : tuple of float
        How much higher hybrids score: signal, non-signal, mimic.
    offset : float
        How much higher the non-signal group scores as a whole.
    spread : float
        Standard deviation of the hybrids.
    missed : float
        Share of the hybrids that look like non-hybrids.
    step : float
        Scores are rounded to multiples of it; 0 leaves them.
    """

    shifts: tuple[float, float, float]
    offset: float = 0.0
    spread: float = 1.0
    missed: float = 0.0
    step: float = 0.0

    def share_above(self, group: str, hybrid: bool, threshold: float) -> float:
        """Return the population's share of scores strictly above a threshold."""
        if self.step:
            # Rounded scores above it are those from half a step above it on.
            threshold = (math.floor(threshold / self.step + 1e-9) + 0.5) * self.step
        place = self.offset if group == "minor" else 0.0
        plain = float(norm.sf(threshold - place))
        if not hybrid:
            return plain
        place += self.shifts[list(TEST).index(group)]
        found = float(norm.sf((threshold - place) / self.spread))
        return (1 - self.missed) * found + self.missed * plain

    def recalls(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
        """Return the recall of every group at the population's threshold."""
        return {
            group: self.share_above(group, True, self.threshold(sizes, SPECIES[group]))
            for group in sizes
        }

    def threshold(self, sizes: Mapping[str, tuple[int, int]], groups: tuple[str, ...]) -> float:
        """Return what 95 % of the species' non-hybrids do not exceed."""
        whole = sum(sizes[group][0] for group in groups)

        def excess(place: float) -> float:
            above = sum(sizes[g][0] * self.share_above(g, False, place) for g in groups)
            return above / whole - 0.05

        if self.step:
            steps = range(int(-10 / self.step), int(10 / self.step))
            return self.step * next(s for s in steps if excess(s * self.step) <= 0)
        return float(brentq(excess, -10, 10, xtol=1e-12))

    def drawn(
        self, random: np.random.Generator, noise: np.ndarray, group: str, hybrid: bool
    ) -> Any:
        """Return scores of images with standard normal `noise`."""
        place = self.offset if group == "minor" else 0.0
        scores = noise + place
        if hybrid:
            shifted = noise * self.spread + place + self.shifts[list(TEST).index(group)]
            scores = np.where(random.random(len(noise)) < self.missed, scores, shifted)
        return np.round(scores / self.step) * self.step if self.step else scores


class Setting(NamedTuple):
    """Two submissions over the same images, the noise of their scores correlated."""

    name: str
    first: Scorer
    second: Scorer
    correlation: float = 0.6


SETTINGS = (
    Setting("weak, alike", Scorer((1.0, 0.8, 1.0)), Scorer((1.0, 0.8, 1.0))),
    Setting("middling, one better", Scorer((2.0, 1.5, 1.8)), Scorer((1.6, 1.2, 1.6))),
    Setting("strong, alike", Scorer((3.2, 2.6, 2.9)), Scorer((3.2, 2.6, 2.9)), 0.8),
    Setting("strong on signal only", Scorer((3.0, 0.9, 1.6), 0.3), Scorer((2.8, 1.3, 1.6), 0.2)),
    Setting("wide and half blind", Scorer((2.5, 2.0, 2.5), 0.0, 1.6, 0.3), Scorer((2.5, 2.0, 2.5))),
    Setting(
        "rounded scores",
        Scorer((2.0, 1.5, 1.8), step=0.05),
        Scorer((1.8, 1.7, 1.8), step=0.05),
    ),
    Setting("near perfect", Scorer((4.4, 3.8, 4.0)), Scorer((4.0, 3.4, 4.0))),
)


def simulate(setting: Setting, sizes: Mapping[str, tuple[int, int]], sets: int, seed: int) -> Any:
    """Return for every interval how many of `sets` drawn sets it held the truth in."""
    random = np.random.default_rng(seed)
    strata = [(group, hybrid) for group in sizes for hybrid in (False, True)]
    counts = [sizes[group][hybrid] for group, hybrid in strata]
    labels = [hybrid for (_, hybrid), n in zip(strata, counts, strict=True) for _ in range(n)]
    groups = [group for (group, _), n in zip(strata, counts, strict=True) for _ in range(n)]
    reference = Reference(tuple(map(str, range(len(labels)))), tuple(labels), tuple(groups))
    truth = [_truth(scorer, sizes) for scorer in (setting.first, setting.second)]
    held: dict[str, int] = {}
    width: dict[str, float] = {}

    def note(name: str, bounds: tuple[float, float], value: float) -> None:
        held[name] = held.get(name, 0) + (bounds[0] <= value <= bounds[1])
        width[name] = width.get(name, 0.0) + (bounds[1] - bounds[0]) / sets

    hybrid, group = np.array(labels), np.array(groups)
    for _ in range(sets):
        pair: list[list[np.ndarray]] = [[], []]
        for (name, is_hybrid), n in zip(strata, counts, strict=True):
            common = random.standard_normal(n)
            for which, scorer in enumerate((setting.first, setting.second)):
                own = random.standard_normal(n)
                noise = math.sqrt(setting.correlation) * common
                noise += math.sqrt(1 - setting.correlation) * own
                pair[which].append(scorer.drawn(random, noise, name, is_hybrid))
        scores = [np.concatenate(parts) for parts in pair]
        for name in sizes:
            member = np.isin(group, SPECIES[name])
            threshold = operating_threshold(scores[0][member], hybrid[member])
            own_hybrids = scores[0][(group == name) & hybrid]
            found = int((own_hybrids > threshold).sum())
            share = setting.first.share_above(name, True, threshold)
            note(f"Wilson, {name}", wilson_interval(found, len(own_hybrids)), share)
        recalls = [_recalls(values, hybrid, group) for values in scores]
        whole = draw_scores(TASKS["hybrid"], reference, [v.tolist() for v in scores], draws=DRAWS)
        for key, part in PARTS.items():
            draws = _only(whole, part)
            graded = [harmonic_mean(found[part]) for found in recalls]
            note(key, interval(draws.one(0), graded[0]), truth[0][key])
            first, second = draws.pair(0, 1)
            bounds = interval(first - second, graded[0] - graded[1])
            note(f"{key}, difference", bounds, truth[0][key] - truth[1][key])
    return truth[0]["hybrid"], held, width


def _recalls(scores: np.ndarray, hybrid: np.ndarray, group: np.ndarray) -> list[float]:
    found = []
    for name, species in SPECIES.items():
        member = np.isin(group, species)
        threshold = operating_threshold(scores[member], hybrid[member])
        found.append(recall_above(scores[group == name], hybrid[group == name], threshold))
    return found


def _only(draws: HybridDraws, part: slice) -> HybridDraws:
    """Return the draws of a task that grades some of the groups."""
    return HybridDraws(
        draws.found[:, part], draws.total[part], draws.alone[:, part], draws.together[:, part]
    )


def _truth(scorer: Scorer, sizes: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    recalls = list(scorer.recalls(sizes).values())
    return {key: harmonic_mean(recalls[part]) for key, part in PARTS.items()}


NAMES = {
    "Wilson, major": "Wilson, signal",
    "Wilson, minor": "Wilson, non-signal",
    "Wilson, mimic": "Wilson, mimic",
    "A": "A",
    "mimic": "mimic",
    "hybrid": "challenge score",
    "A, difference": "A, difference",
    "mimic, difference": "mimic, difference",
    "hybrid, difference": "challenge score, difference",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} sets instead of {FULL}")
    parser.add_argument("--sets", type=int, metavar="N", help="sets of each setting")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    sets = arguments.sets or (QUICK if arguments.quick else FULL)
    plan = [(s, where) for s in SETTINGS for where in SETS]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [
            pool.submit(simulate, setting, SETS[where], sets, seed)
            for seed, (setting, where) in enumerate(plan)
        ]
        rows = []
        for (setting, where), job in zip(plan, jobs, strict=True):
            truth, held, width = job.result()
            row: dict[str, Any] = {"submissions": setting.name, "set": where}
            row["true challenge score"] = f"{truth:.3f}"
            row |= {title: f"{100 * held[key] / sets:.1f}" for key, title in NAMES.items()}
            row["width, challenge score"] = f"{width['hybrid']:.3f}"
            rows.append(row)
            if not arguments.json:
                print(row, flush=True)
    error = 100 * math.sqrt(0.95 * 0.05 / sets)
    report = {
        "title": "Coverage of the intervals of hybrid detection",
        "command": "python benchmarks/coverage.py",
        "rows": rows,
        "notes": [
            f"In per cent, nominal 95; {sets:,} drawn sets a row, so that a true 95 has a standard",
            f"error of {error:.2f}. Images are drawn at the real sizes from populations with",
            "normal scores; the truth is the metric at the threshold that 95 % of the",
            "population's non-hybrids do not exceed. Wilson: the population's recall at the",
            "submission's own threshold. Difference: of two submissions over the same images.",
            "docs/uncertainty.md describes the submissions and what the figures mean.",
        ],
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
