"""The scores file as the platform takes it; any program may have written it."""

import json
import math

from fuzzing_checks import ACCEPTED, check_sentence, scratch

from mimicry.codabench.scores_file import DECIMALS, platform_scores

COLUMNS = ("score", "loss")
VALID = [
    b'{"score": 0.5, "loss": 1}',
    b'{"score": "0.5", "loss": true, "more": null}',
    b"score: 0.5\nloss: 1\n",
]
NASTY = [
    b"",
    b"[]",
    b"3",
    b"[" * 900,
    b"\xff",
    b'{"score": NaN}',
    b'{"score": 1e11}',
    b'{"score": ' + b"9" * 4400 + b"}",
    b'{"loss": {}, "score": 1}',
    b'{"other": 1}',
    b"score: .inf\n",
    b"score: 2026-13-45\n",
    b"a: &a [*a]\n",
    b"? [1]\n: 2\n",
    b"a: &a {<<: *a}\n",
    b"? " + b"1" * 99 + b"\n: 2\n",
    b'{"\\u001b[31m\\ud800": 1}',
]
WORDS = [
    b'"score"',
    b'"loss"',
    b"score: ",
    b"loss: ",
    b"NaN",
    b".inf",
    b"1e999",
    b"&a ",
    b"*a",
    b"<<: ",
]
SHARE = 5
LONGEST = 3000


def judge(data: bytes) -> str:
    """Read `data` as both kinds of scores file, check what comes of it and return its outcome."""
    folder = scratch("scores-file")
    text, strict = folder / "scores.txt", folder / "scores.json"
    taken = False
    for path in (text, strict):
        path.write_bytes(data)
        found = platform_scores(folder, COLUMNS, "score", alone=True)
        assert set(found.scores) <= set(COLUMNS)
        assert all(math.isfinite(v) and abs(v) <= 1e10 for v in found.scores.values())
        assert all(round(v, DECIMALS) == v for v in found.scores.values())
        for sentence in (*found.notes, *([] if found.failed is None else [found.failed])):
            check_sentence(sentence)
        if path is strict and "score" in found.scores:
            assert "score" in json.loads(data)
        taken |= found.on_board and "score" in found.scores
    text.unlink()
    strict.unlink()
    return ACCEPTED if taken else "no-score"


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
