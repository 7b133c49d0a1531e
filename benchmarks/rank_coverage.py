"""How often a board's rank ranges, and the intervals of Blue and Red, hold what they should.

python benchmarks/rank_coverage.py [--quick] [--sets N] [--json FILE]

Boards of submissions with a known true order are scored on images drawn anew; for Re-Align,
synthetic activations of fresh stimuli are compared with their mean over all draws.
"""

import argparse
import itertools
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from coverage import SETS, SPECIES, Scorer

from mimicry.codabench.boards.comparing_hybrids import compare_scores
from mimicry.codabench.boards.standings import rank_ranges
from mimicry.hybrids.metrics import harmonic_mean, operating_threshold, recall_above
from mimicry.hybrids.reference import Reference
from mimicry.hybrids.tasks import TASKS
from mimicry.realign.uncertainty import STANDARD_ERRORS
from mimicry.similarity import mean_cka_influences

FULL, QUICK, DRAWS = 400, 40, 1000
CORRELATION = 0.6


class BoardSetting(NamedTuple):
    """Submissions of a board, by how much higher they score signal hybrids."""

    name: str
    skills: tuple[float, ...]

    def scorers(self) -> list[Scorer]:
        """Return them; non-signal hybrids and mimics are harder to find."""
        return [Scorer((skill, 0.8 * skill, 0.9 * skill)) for skill in self.skills]


BOARDS = (
    BoardSetting("ten unlike", tuple(np.linspace(1.0, 3.7, 10))),
    BoardSetting("ten nearly alike", tuple(np.linspace(1.98, 2.02, 10))),
    BoardSetting("five pairs of equals", (1.2, 1.2, 1.8, 1.8, 2.4, 2.4, 3.0, 3.0, 3.6, 3.6)),
    BoardSetting("ten equals", (2.0,) * 10),
)


def boards(setting: BoardSetting, where: str, sets: int, seed: int) -> dict[str, Any]:
    """Return the row of one board on sets of images of one size."""
    random = np.random.default_rng(seed)
    sizes = SETS[where]
    strata = [(g, h) for g in sizes for h in (False, True) for _ in range(sizes[g][h])]
    group, hybrid = np.array([g for g, _ in strata]), np.array([h for _, h in strata])
    names = tuple(map(str, range(len(strata))))
    reference = Reference(names, tuple(hybrid.tolist()), tuple(group.tolist()))
    scorers = setting.scorers()
    truth = np.array([harmonic_mean(scorer.recalls(sizes).values()) for scorer in scorers])
    first = np.array([1 + np.sum(truth > own) for own in truth])
    last = np.array([np.sum(truth >= own) for own in truth])
    pairs = list(itertools.combinations(range(len(truth)), 2))
    held = dict.fromkeys(("interval", "range", "top", "all", "tied", "apart"), 0.0)
    for _ in range(sets):
        common = random.standard_normal(len(strata))
        scores = []
        for scorer in scorers:
            own = random.standard_normal(len(strata))
            noise = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own
            values = np.empty(len(strata))
            for name in sizes:
                for kind in (False, True):
                    at = (group == name) & (hybrid == kind)
                    values[at] = scorer.drawn(random, noise[at], name, kind)
            scores.append(values)
        graded = np.array([_graded(values, hybrid, group) for values in scores])
        limits, above = compare_scores(TASKS["hybrid"], reference, scores, graded, draws=DRAWS)
        ranges = rank_ranges(above, dict(enumerate(limits)))
        inside = [
            standing is not None and standing.best <= last[row] and first[row] <= standing.worst
            for row, standing in enumerate(ranges)
        ]
        held["interval"] += np.mean(
            [low <= own <= high for (low, high), own in zip(limits, truth, strict=True)]
        )
        held["range"] += np.mean(inside)
        held["top"] += inside[int(np.argmax(truth))]
        held["all"] += all(inside)
        apart = above | above.T
        equal = [not apart[a, b] for a, b in pairs if truth[a] == truth[b]]
        unequal = [apart[a, b] for a, b in pairs if truth[a] != truth[b]]
        held["tied"] += np.mean(equal) if equal else np.nan
        held["apart"] += np.mean(unequal) if unequal else np.nan
    shares = {key: value / sets for key, value in held.items()}
    return {
        "what": setting.name,
        "set": where,
        "interval": _percent(shares["interval"]),
        "rank range": _percent(shares["range"]),
        "rank range of the truly best": _percent(shares["top"]),
        "all rank ranges at once": _percent(shares["all"]),
        "equals called tied": _percent(shares["tied"]),
        "unequal told apart": _percent(shares["apart"]),
    }


def _graded(scores: np.ndarray, hybrid: np.ndarray, group: np.ndarray) -> float:
    found = []
    for name, species in SPECIES.items():
        member = np.isin(group, species)
        threshold = operating_threshold(scores[member], hybrid[member])
        found.append(recall_above(scores[group == name], hybrid[group == name], threshold))
    return harmonic_mean(found)


Draw = Callable[[np.random.Generator, int], list[np.ndarray]]
WIDTHS = (40, 20, 60)


def _classes(random: np.random.Generator, n: int, noise: float = 1.0) -> list[np.ndarray]:
    fixed = np.random.default_rng(0)
    classes = 2 * fixed.standard_normal((10, 12))
    weights = [fixed.standard_normal((12, width)) / 3 for width in WIDTHS]
    cause = classes[random.integers(10, size=n)] + 2 * random.standard_normal((n, 12))
    return [
        np.maximum(cause @ w + noise * random.standard_normal((n, w.shape[1])), 0) for w in weights
    ]


def _unrelated(random: np.random.Generator, n: int) -> list[np.ndarray]:
    return [random.standard_normal((n, width)) for width in WIDTHS]


def _alike(random: np.random.Generator, n: int) -> list[np.ndarray]:
    shared = random.standard_normal((n, 40))
    return [shared + 0.1 * random.standard_normal((n, 40)) for _ in WIDTHS]


def _heavy(random: np.random.Generator, n: int) -> list[np.ndarray]:
    # A few stimuli that excite every model far more than the others do.
    sizes = random.standard_t(4, size=(n, 1)) ** 2
    return [values * sizes for values in _classes(random, n)]


FEATURES: dict[str, Draw] = {
    "classes, rectified": _classes,
    "unrelated models": _unrelated,
    "models almost alike": _alike,
    "a few extreme stimuli": _heavy,
}
STIMULI = (20, 100, 300, 1000)


def realign(name: str, n: int, sets: int, seed: int) -> dict[str, Any]:
    """Return the row of one kind of activations: a choice of n, and one that shares half."""
    random = np.random.default_rng(seed)
    half = n // 2
    values, errors, between = np.empty((sets, 2)), np.empty(sets), np.empty(sets)
    for index in range(sets):
        arrays = FEATURES[name](random, n + half)
        one, other = (
            mean_cka_influences([a[start : start + n] for a in arrays]) for start in (0, half)
        )
        values[index] = one.mean, other.mean
        errors[index] = np.linalg.norm(one.influences) / n
        apart = np.zeros(n + half)
        apart[:n] += one.influences / n
        apart[half:] -= other.influences / n
        between[index] = np.linalg.norm(apart)
    mean = values[:, 0].mean()
    limit = mean_cka_influences(FEATURES[name](random, 4000)).mean
    inside = np.abs(values[:, 0] - mean) <= STANDARD_ERRORS * errors
    same = np.abs(values[:, 0] - values[:, 1]) <= STANDARD_ERRORS * between
    return {
        "what": name,
        "set": f"{n} stimuli",
        "interval": _percent(float(inside.mean())),
        "difference": _percent(float(same.mean())),
        "mean similarity": f"{mean:.3f}",
        "with 4,000 stimuli": f"{limit:.3f}",
    }


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} sets instead of {FULL}")
    parser.add_argument("--sets", type=int, metavar="N", help="sets of each setting")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    arguments = parser.parse_args()
    sets = arguments.sets or (QUICK if arguments.quick else FULL)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [
            *(pool.submit(boards, s, where, sets, 1) for s in BOARDS for where in SETS),
            *(pool.submit(realign, name, n, sets, 2) for name in FEATURES for n in STIMULI),
        ]
        rows = []
        for job in jobs:
            rows.append(job.result())
            if not arguments.json:
                print(rows[-1], flush=True)
    report = {
        "title": "Coverage of ranks and Re-Align",
        "command": "python benchmarks/rank_coverage.py",
        "rows": rows,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
