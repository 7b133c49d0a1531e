"""``rules.json`` of both teams' reference data."""

import json
import math

from fuzzing_checks import ACCEPTED, bundle_fault, scratch

from mimicry.realign.rules import RULES_NAME, BlueRules, RedRules, read_rules

_OPTIMUM = {"value": 0.5, "upper_bound": 0.75, "proved": False}
_BLUE = {"competition": "blue", "rule": "mean_cka", "count": 20, "optimum": _OPTIMUM}
_LARGEST = {"competition": "blue", "rule": "largest_set", "threshold": 1, "optimum": _OPTIMUM}
_RED = {
    **{"competition": "red", "rule": "mean_cka", "count": 1000, "activations": "/app/data/a/b"},
    "random": {"mean": 0.25, "standard_deviation": 0, "draws": 3},
    "sha256": {"catalogue.jsonl": "a" * 64},
}


def _file(document: dict[str, object], **more: object) -> bytes:
    return json.dumps({**document, **more}).encode()


VALID = [_file(_BLUE), _file(_LARGEST), _file(_RED), _file(_RED, thumbnails=True)]
NASTY = [
    b"",
    b"{}",
    b"[]",
    _file(_BLUE, rule="best"),
    _file(_BLUE, threshold=1),
    _file(_BLUE, count=True),
    _file(_BLUE, count=10**30),
    _file(_BLUE, optimum={**_OPTIMUM, "value": -1}),
    _file(_BLUE, optimum={**_OPTIMUM, "upper_bound": 2}),
    _file(_BLUE, optimum=[]),
    _file(_LARGEST, threshold=1.5),
    _file(_RED, activations="/app/data/../x"),
    _file(_RED, activations="/etc"),
    _file(_RED, sha256={"catalogue.jsonl": "A" * 64}),
    _file(_RED, sha256={"../x": "a" * 64}),
    _file(_RED, random={"mean": 1}),
    _file(_RED, **{"\u202e" * 2000: 1}),
    b'{"competition": "red", "competition": "red"}',
    b'{"count": 1e999}',
]
WORDS = [
    *(b'"competition"', b'"blue"', b'"red"', b'"rule"', b'"mean_cka"', b'"largest_set"'),
    *(b'"count"', b'"optimum"', b'"threshold"', b'"random"', b'"activations"', b'"sha256"'),
    *(b"/app/data/", b"..", b"1e999", b"NaN", b"true", b"null", b"\\ud800"),
]
SHARE = 8


def judge(data: bytes) -> str:
    """Read `data` as either team's rules, check what comes of it and return its outcome."""
    folder = scratch("rules")
    (folder / RULES_NAME).write_bytes(data)
    blue, no_blue = bundle_fault(lambda: read_rules(folder, "blue"))
    red, no_red = bundle_fault(lambda: read_rules(folder, "red"))
    assert no_blue is not None or no_red is not None, "rules of both teams at once"
    if isinstance(blue, BlueRules):
        assert (blue.count is None) == (blue.threshold is not None)
        if blue.optimum is not None:
            assert 0 <= blue.optimum.value <= blue.optimum.upper_bound < math.inf
    if isinstance(red, RedRules):
        assert red.count >= 4 and ".." not in (red.activations or "").split("/")
        if red.random is not None:
            assert math.isfinite(red.random.mean) and red.random.draws >= 1
    errors = [error for error in (no_blue, no_red) if error is not None]
    return errors[0].code if len(errors) == 2 else ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
