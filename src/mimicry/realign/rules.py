"""``rules.json``: what a competition asks for, and what its scores are measured against.

The file beside the reference data is complete. Its public copy, for participants, leaves
out what would tell of secret data (`optimum`, `random`, `activations`, `sha256`,
`thumbnails`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeGuard

from mimicry.errors import BundleError
from mimicry.files import UnusableFile, read_regular_file
from mimicry.realign.documents import parse_object
from mimicry.realign.json_faults import DocumentFault

RULES_NAME = "rules.json"
LARGEST_RULES = 64 * 1024
# As in the challenge of 2026, where the rules do not say.
DEFAULT_MODELS = 20
DEFAULT_STIMULI = 1000
# What rounding may add to the bound of a search.
ROUNDING = 1e-6
# The files that the rules may give the SHA-256 of: small ones, which every run can read.
CHECKED_FILES = {
    "blue": ("cka.npy", "cka_unbiased.npy", "registry.json"),
    "red": ("catalogue.jsonl",),
}
# Beside the rules of Red where the organisers may show images.
THUMBNAILS_NAME = "thumbnails.npy"
_SHA256 = re.compile(r"[0-9a-f]{64}")

Team = Literal["blue", "red"]
BlueRule = Literal["mean_cka", "largest_set"]


@dataclass(frozen=True)
class Optimum:
    """The best score that any Blue submission can reach, as far as the search knows.

    Attributes
    ----------
    value : float
        Of the best set that was found.
    upper_bound : float
        No set scores higher; equals `value` if proved.
    proved : bool
        Whether the best set found is proved to be the best there is.
    """

    value: float
    upper_bound: float
    proved: bool


@dataclass(frozen=True)
class BlueRules:
    """What Blue submissions must be.

    Attributes
    ----------
    rule : str
        ``mean_cka``: `count` models, the score is their mean pairwise similarity.
        ``largest_set``: the score is the number of models, if the least similarity of
        two of them reaches `threshold`, else 0.
    count : int or None
        Models to name, 20 if the file does not say; None for ``largest_set``, which takes 2
        or more.
    threshold : float or None
        In [0, 1]; None for ``mean_cka``.
    optimum : Optimum or None
        None in a public copy.
    checksums : mapping of str to str
        SHA-256 of files beside the rules, by name; empty if the rules give none.
    """

    rule: BlueRule
    count: int | None
    threshold: float | None
    optimum: Optimum | None
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RandomDraws:
    """Scores of random draws of `RedRules.count` stimuli.

    Attributes
    ----------
    mean, standard_deviation : float
        Of the score, 1 - mean pairwise CKA, over the draws.
    draws : int
        How many.
    """

    mean: float
    standard_deviation: float
    draws: int


@dataclass(frozen=True)
class RedRules:
    """What Red submissions must be.

    Attributes
    ----------
    count : int
        Stimuli to name, 1,000 if the file does not say.
    random : RandomDraws or None
        None in a public copy.
    activations : str or None
        ``/app/data/<folder>`` where the activations lie on the worker, None where they
        lie beside the rules.
    checksums : mapping of str to str
        As for `BlueRules`.
    thumbnails : bool
        Whether results pages may show images; then small ones lie beside the rules.
    """

    count: int
    random: RandomDraws | None
    activations: str | None
    checksums: Mapping[str, str] = field(default_factory=dict)
    thumbnails: bool = False


def read_rules(folder: Path, team: Team) -> BlueRules | RedRules:
    """Read ``rules.json`` of `folder`, which must be of a competition of `team`.

    Raises
    ------
    BundleError
        ``rules-unreadable`` where there is no such file or it is no strict JSON,
        ``rules-invalid`` where a value is missing or none that makes sense.
    """
    path = folder / RULES_NAME
    try:
        document = parse_object(read_regular_file(path, LARGEST_RULES))
    except UnusableFile as fault:
        raise _unreadable(path, str(fault)) from None
    except DocumentFault as fault:
        raise _unreadable(path, fault.text.rstrip(".")) from None
    if document.get("competition") != team:
        raise _invalid(f'"competition" is not "{team}", whose submissions are scored here')
    return _blue(document) if team == "blue" else _red(document)


def read_blue_rules(folder: Path) -> BlueRules:
    """Read the rules of a Blue competition; see `read_rules`."""
    rules = read_rules(folder, "blue")
    assert isinstance(rules, BlueRules)
    return rules


def read_red_rules(folder: Path) -> RedRules:
    """Read the rules of a Red competition; see `read_rules`."""
    rules = read_rules(folder, "red")
    assert isinstance(rules, RedRules)
    return rules


def _blue(document: Mapping[str, Any]) -> BlueRules:
    _only(document, {"competition", "rule", "count", "threshold", "optimum", "sha256"})
    checksums = _checksums(document, "blue")
    optimum = None if "optimum" not in document else _optimum(document["optimum"])
    rule = document.get("rule")
    if rule == "mean_cka":
        if "threshold" in document:
            raise _invalid('"threshold" belongs to the rule largest_set')
        count = _whole({"count": DEFAULT_MODELS, **document}, "count", 2)
        if optimum is not None and optimum.upper_bound > 1 + ROUNDING:
            raise _invalid('"optimum.upper_bound" must be at most 1, which no mean CKA exceeds')
        return BlueRules("mean_cka", count, None, optimum, checksums)
    if rule == "largest_set":
        if "count" in document:
            raise _invalid('"count" belongs to the rule mean_cka')
        threshold = _number(document, "threshold")
        if not 0 <= threshold <= 1:
            raise _invalid('"threshold" must lie between 0 and 1')
        return BlueRules("largest_set", None, threshold, optimum, checksums)
    raise _invalid('"rule" must be "mean_cka" or "largest_set"')


def _optimum(found: object) -> Optimum:
    if not isinstance(found, dict):
        raise _invalid('"optimum" must be an object')
    _only(found, {"value", "upper_bound", "proved"}, "optimum.")
    value, upper = _number(found, "value", "optimum."), _number(found, "upper_bound", "optimum.")
    proved = found.get("proved")
    if not isinstance(proved, bool):
        raise _invalid('"optimum.proved" must be true or false')
    if upper <= 0 or not 0 <= value <= upper:
        raise _invalid('"optimum" needs 0 <= value <= upper_bound and an upper_bound above 0')
    return Optimum(value, upper, proved)


def _red(document: Mapping[str, Any]) -> RedRules:
    known = {"competition", "rule", "count", "random", "activations", "sha256", "thumbnails"}
    _only(document, known)
    if document.get("rule") != "mean_cka":
        raise _invalid('"rule" must be "mean_cka"')
    # The unbiased estimate needs four stimuli.
    count = _whole({"count": DEFAULT_STIMULI, **document}, "count", 4)
    random = None
    if "random" in document:
        found = document["random"]
        if not isinstance(found, dict):
            raise _invalid('"random" must be an object')
        _only(found, {"mean", "standard_deviation", "draws"}, "random.")
        random = RandomDraws(
            _number(found, "mean", "random."),
            _number(found, "standard_deviation", "random."),
            _whole(found, "draws", 1, "random."),
        )
    activations = document.get("activations")
    if activations is not None and not (
        isinstance(activations, str) and _is_worker_folder(activations)
    ):
        raise _invalid('"activations" must name a folder as "/app/data/<name>"')
    thumbnails = document.get("thumbnails", False)
    if not isinstance(thumbnails, bool):
        raise _invalid('"thumbnails" must be true or false')
    return RedRules(count, random, activations, _checksums(document, "red"), thumbnails)


def _checksums(document: Mapping[str, Any], team: Team) -> Mapping[str, str]:
    found = document.get("sha256", {})
    if not isinstance(found, dict):
        raise _invalid('"sha256" must be an object')
    more = {THUMBNAILS_NAME} if team == "red" else set()
    _only(found, {*CHECKED_FILES[team], *more}, "sha256.")
    for name, value in found.items():
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise _invalid(f'"sha256.{name}" must be 64 lower-case hexadecimal digits')
    return found


def _is_worker_folder(name: str) -> bool:
    parts = name.split("/")
    return (
        parts[:3] == ["", "app", "data"]
        and len(parts) > 3
        and not {"", ".", ".."} & set(parts[3:])
        and name.isprintable()
    )


def _only(found: Mapping[str, Any], known: set[str], prefix: str = "") -> None:
    other = sorted(set(found) - known)
    if other:
        raise _invalid(f'"{prefix}{other[0]}" is no key of it')


def _number(found: Mapping[str, Any], key: str, prefix: str = "") -> float:
    value = found.get(key)
    if not _is_number(value):
        raise _invalid(f'"{prefix}{key}" must be a number')
    return float(value)


def _whole(found: Mapping[str, Any], key: str, least: int, prefix: str = "") -> int:
    value = found.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 10**9:
        raise _invalid(f'"{prefix}{key}" must be a whole number of at least {least}')
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unreadable(path: Path, what: str) -> BundleError:
    return BundleError(
        "rules-unreadable",
        f"{path.name} of the reference data cannot be used: {what}. Build the reference data anew.",
    )


def _invalid(what: str) -> BundleError:
    return BundleError(
        "rules-invalid",
        f"{RULES_NAME} of the reference data: {what}. Build the reference data anew.",
    )
