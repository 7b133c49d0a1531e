"""``rules.json``: what is taken, and that every wrong value is named."""

from pathlib import Path
from typing import Any

import pytest
from realign_stage import write_rules

from mimicry.errors import BundleError
from mimicry.realign.rules import (
    BlueRules,
    Optimum,
    RandomDraws,
    RedRules,
    read_blue_rules,
    read_red_rules,
    read_rules,
)

OPTIMUM = {"value": 0.5, "upper_bound": 0.75, "proved": False}
MEAN = {"competition": "blue", "rule": "mean_cka", "count": 20, "optimum": OPTIMUM}
LARGEST = {"competition": "blue", "rule": "largest_set", "threshold": 1, "optimum": OPTIMUM}
RANDOM = {"mean": 0.25, "standard_deviation": 0, "draws": 3}
RED = {"competition": "red", "rule": "mean_cka", "count": 1000, "random": RANDOM}


def test_complete_rules(tmp_path: Path) -> None:
    write_rules(tmp_path, MEAN)
    assert read_blue_rules(tmp_path) == BlueRules("mean_cka", 20, None, Optimum(0.5, 0.75, False))
    write_rules(tmp_path, LARGEST)
    assert read_blue_rules(tmp_path) == BlueRules(
        "largest_set", None, 1.0, Optimum(0.5, 0.75, False)
    )
    write_rules(tmp_path, RED | {"activations": "/app/data/red/dev"})
    assert read_red_rules(tmp_path) == RedRules(
        1000, RandomDraws(0.25, 0.0, 3), "/app/data/red/dev"
    )


def test_checksums_of_files(tmp_path: Path) -> None:
    sums = {"cka.npy": "0" * 64, "registry.json": "f" * 64}
    write_rules(tmp_path, MEAN | {"sha256": sums})
    assert read_blue_rules(tmp_path).checksums == sums
    write_rules(tmp_path, RED | {"sha256": {"catalogue.jsonl": "a" * 64}})
    assert read_red_rules(tmp_path).checksums == {"catalogue.jsonl": "a" * 64}


def test_public_rules_may_keep_secrets(tmp_path: Path) -> None:
    write_rules(tmp_path, MEAN | {"optimum": None})
    assert read_rules(tmp_path, "blue") == BlueRules("mean_cka", 20, None, None)
    write_rules(tmp_path, RED | {"random": None})
    assert read_rules(tmp_path, "red") == RedRules(1000, None, None)


def test_counts_are_those_of_2026_where_the_rules_do_not_say(tmp_path: Path) -> None:
    write_rules(tmp_path, {key: MEAN[key] for key in MEAN if key != "count"})
    assert read_blue_rules(tmp_path).count == 20
    write_rules(tmp_path, {key: RED[key] for key in RED if key != "count"})
    assert read_red_rules(tmp_path).count == 1000


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        (RED, '"competition" is not "blue"'),
        (MEAN | {"rule": "mean"}, '"rule" must be'),
        (MEAN | {"count": 1}, '"count" must be a whole number of at least 2'),
        (MEAN | {"count": "20"}, '"count" must be'),
        (MEAN | {"count": True}, '"count" must be'),
        (MEAN | {"count": 20.0}, '"count" must be'),
        (MEAN | {"threshold": 0.5}, "belongs to the rule largest_set"),
        (LARGEST | {"threshold": None}, '"threshold" must be a number'),
        (LARGEST | {"threshold": 1.01}, "between 0 and 1"),
        (LARGEST | {"count": 20}, "belongs to the rule mean_cka"),
        (MEAN | {"optimum": 0.5}, '"optimum" must be an object'),
        (MEAN | {"optimum": OPTIMUM | {"upper_bound": 0.4}}, "value <= upper_bound"),
        (MEAN | {"optimum": OPTIMUM | {"value": 0, "upper_bound": 0}}, "above 0"),
        (MEAN | {"optimum": OPTIMUM | {"proved": 1}}, "true or false"),
        (MEAN | {"optimum": OPTIMUM | {"bound": 1}}, '"optimum.bound" is no key'),
        (MEAN | {"optimum": OPTIMUM | {"upper_bound": 1.1}}, "must be at most 1"),
        (MEAN | {"sha256": []}, '"sha256" must be an object'),
        (MEAN | {"sha256": {"rules.json": "0" * 64}}, '"sha256.rules.json" is no key'),
        (MEAN | {"sha256": {"cka.npy": "A" * 64}}, "64 lower-case hexadecimal digits"),
        (MEAN | {"random": RANDOM}, '"random" is no key'),
    ],
)
def test_wrong_rules_of_blue(tmp_path: Path, rules: dict[str, Any], part: str) -> None:
    write_rules(tmp_path, rules)
    with pytest.raises(BundleError) as caught:
        read_blue_rules(tmp_path)
    assert caught.value.code == "rules-invalid" and part in caught.value.sentence


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        (RED | {"rule": "largest_set"}, '"rule" must be "mean_cka"'),
        (RED | {"count": 3}, "at least 4"),
        (RED | {"random": []}, '"random" must be an object'),
        (RED | {"random": RANDOM | {"draws": 0}}, '"random.draws"'),
        (RED | {"random": {"mean": 1}}, '"random.standard_deviation"'),
        *((RED | {"activations": a}, '"activations" must name a folder') for a in
          ("red", "/app/data", "/app/data/", "/app/data/../x", "/app/database/x", "/etc", 1)),
    ],
)  # fmt: skip
def test_wrong_rules_of_red(tmp_path: Path, rules: dict[str, Any], part: str) -> None:
    write_rules(tmp_path, rules)
    with pytest.raises(BundleError) as caught:
        read_red_rules(tmp_path)
    assert caught.value.code == "rules-invalid" and part in caught.value.sentence


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"count":NaN}', b" " * 70_000])
def test_rules_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "rules.json").write_bytes(content)
    with pytest.raises(BundleError, match="rules-unreadable"):
        read_rules(tmp_path, "red")
