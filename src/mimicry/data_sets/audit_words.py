"""What an audit found, in words, and as JSON."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mimicry.data_sets.audit_columns import Bools, Column
from mimicry.data_sets.audit_statistics import (
    Ints,
    auc_interval,
    one_column,
    units_of_classes,
)
from mimicry.data_sets.properties import (
    CONTENT_KINDS,
    KINDS,
    SINGULAR_KINDS,
    Measures,
    said_of,
    title_of,
)
from mimicry.errors import one_line

if TYPE_CHECKING:
    from mimicry.data_sets.audit import Audit, Finding

_BUILD = (
    "write all images anew in one way, with random names and in random order: "
    "`mimicry data build IMAGES LABELS`"
)
REMEDIES: Mapping[str, str] = {
    "size": _BUILD,
    "dimensions": "bring all images to one size before `mimicry data build IMAGES LABELS`",
    "order": _BUILD,
    "name": _BUILD,
    "entry": _BUILD,
    "encoding": _BUILD,
    "metadata": _BUILD,
    "copies": "keep one of equal images, and see that both classes hold as few of them",
    "frame": "crop or mask the background in all images, or leave out the sessions that hold one "
    "class only; no way of writing files removes this",
    "colour": "look at pictures of both classes side by side: light, camera, white balance",
    "texture": "look at pictures of both classes side by side: camera, focus, compression of the "
    "originals",
}
"""Kind -> what to do about a leak."""

_SHOWN = 3


class Named(NamedTuple):
    """A property that tells a label by itself.

    Attributes
    ----------
    key : str
    auc : float
        Of its order (below 0.5: lower for the first class), or, where `ordered` is False,
        of its ranges or categories, out of fold.
    interval : (float, float)
        Of it, 95 %; see `mimicry.data_sets.audit_statistics.auc_interval`.
    ordered : bool
    words : str
        How it separates.
    """

    key: str
    auc: float
    interval: tuple[float, float]
    ordered: bool
    words: str


def describe(
    column: Column,
    rows: Sequence[Measures],
    labels: Bools,
    units: Ints,
    random: np.random.Generator,
) -> Named:
    """Say how one property separates two classes."""
    auc, ordered = one_column(column, labels, units, random)
    values = [row.get(column.key) for row in rows]
    if ordered:
        numbers = [
            [value for value, own in zip(values, labels, strict=True) if own == which]
            for which in (True, False)
        ]
        middle = [_median(column.key, part) for part in numbers]
        words = f"{'higher' if auc >= 0.5 else 'lower'}, median {middle[0]} against {middle[1]}"
    else:
        words = _cell_words(column, values, labels)
    interval = auc_interval(auc, *units_of_classes(labels, units))
    return Named(column.key, auc, interval, ordered, words)


def _median(key: str, values: Sequence[object]) -> str:
    known = [value for value in values if isinstance(value, float)]
    return said_of(key, float(np.median(known))) if known else "none"


def _cell_words(column: Column, values: Sequence[object], labels: Bools) -> str:
    """Say which range or category the classes differ in most."""
    shares = [column.cells[own].mean(axis=0) for own in (labels, ~labels)]
    at = int(np.argmax(np.abs(shares[0] - shares[1])))
    held = [value for value, own in zip(values, column.cells[:, at] > 0, strict=True) if own]
    if column.ranks is None:
        common, count = Counter(str(value) for value in held).most_common(1)[0]
        what = f"“{one_line(common, 60)}”" if count == len(held) else "a rare one"
    else:
        known = [value for value in held if isinstance(value, float)]
        low, high = (min(known), max(known)) if known else (math.nan, math.nan)
        ends = said_of(column.key, low), said_of(column.key, high)
        what = ends[0] if low == high else f"from {ends[0]} to {ends[1]}"
        what = what if known else "none at all"
    return f"{what} in {100 * shares[0][at]:.0f} % against {100 * shares[1][at]:.0f} %"


def finding_lines(finding: "Finding") -> list[str]:
    """Return a leak or a warning as lines to print."""
    low, high = finding.tested.interval
    lines = [
        f"{finding.level:7} {finding.set}: {KINDS[finding.kind]} {_verb(finding)} {finding.target} "
        f"({finding.positive:,} against {finding.negative:,} images)",
        f"        all together: AUC {finding.tested.auc:.3f} ({low:.3f} to {high:.3f}), "
        f"corrected p {_p(finding)}",
    ]
    if any(abs(one.auc - 0.5) > abs(finding.tested.auc - 0.5) for one in finding.named):
        lines.append(
            "        (of predictions for images that were not learnt from; properties of this kind "
            "that tell nothing disturb them, so one alone may tell more)"
        )
    for named in finding.named[:_SHOWN]:
        lines.append(
            f"        {one_line(title_of(named.key), 120)}: {named.words}; "
            f"AUC {named.auc:.3f} ({named.interval[0]:.3f} to {named.interval[1]:.3f}) by "
            f"{'order' if named.ordered else 'range or category'}"
        )
    if len(finding.named) > _SHOWN:
        left = len(finding.named) - _SHOWN
        noun = "property" if left == 1 else "properties"
        lines.append(f"        and {left} more {noun} of this kind")
    if finding.kind in CONTENT_KINDS and finding.level == "warning":
        lines.append("        what pictures show may honestly do so; if not: " + _remedy(finding))
    else:
        lines.append(f"        to do: {_remedy(finding)}")
    return lines


def finding_sentence(finding: "Finding") -> str:
    """Return a leak in one short sentence, for a list of them: its strongest property."""
    strongest = finding.named[0]
    return (
        f"{finding.set}, {finding.target}: {one_line(title_of(strongest.key), 80)} "
        f"(AUC {strongest.auc:.2f})"
    )


def audit_json(audit: "Audit", seed: int) -> str:
    """Return all that an audit found as JSON text."""
    findings = [
        {
            "set": one.set,
            "target": one.target,
            "kind": one.kind,
            "level": one.level,
            "positive": one.positive,
            "negative": one.negative,
            "auc": round(one.tested.auc, 6),
            "interval": [round(bound, 6) for bound in one.tested.interval],
            "p_value": one.tested.p_value,
            "corrected_p_value": one.p_value,
            "shuffles": one.tested.draws,
            "properties": [
                {
                    "property": named.key,
                    "title": title_of(named.key),
                    "auc": round(named.auc, 6),
                    "interval": [round(bound, 6) for bound in named.interval],
                    "ordered": named.ordered,
                    "words": named.words,
                }
                for named in one.named
            ],
            "to_do": _remedy(one) if one.level != "clean" else None,
        }
        for one in audit.findings
    ]
    whole = {
        "seed": seed,
        "sets": [{"set": name, "images": images} for name, images in audit.sets],
        "leaks": len(audit.leaks),
        "warnings": len(audit.warnings),
        "untested": list(audit.untested),
        "repeated": list(audit.repeated),
        "findings": findings,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _verb(finding: "Finding") -> str:
    return "tells" if finding.kind in SINGULAR_KINDS else "tell"


def _p(finding: "Finding") -> str:
    # As small as the number of shuffles and tests lets it be: no more is known.
    least = finding.tested.p_value <= 1 / (finding.tested.draws + 1)
    return f"{'at most ' if least else ''}{finding.p_value:.2g}"


def _remedy(finding: "Finding") -> str:
    return REMEDIES[finding.kind]
