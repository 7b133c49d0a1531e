"""``predictions.csv``, beside an independent reader and over two sets of labels."""

import csv
import io
import math

import numpy as np
from fuzzing_checks import ACCEPTED, submission_fault

from mimicry.hybrids.grading import grade
from mimicry.hybrids.predictions import match_predictions, parse_predictions
from mimicry.hybrids.reference import parse_reference
from mimicry.hybrids.tasks import TASKS

NAMES = ("a.jpg", "b.jpg", "c.jpg", "d é.png")
LABELS = "filename,hybrid_stat,ssp_indicator\n"
# The same images in another order under other labels: what a participant is told may
# depend on neither.
ONE = parse_reference(
    (LABELS + "".join(f"{n},{i % 2},mimic\n" for i, n in enumerate(NAMES))).encode(), "ref.csv"
)
OTHER = parse_reference(
    (
        LABELS + "".join(f"{n},{(i + 1) // 2 % 2},mimic\n" for i, n in enumerate(NAMES[::-1]))
    ).encode(),
    "ref.csv",
)
TASK = next(task for task in TASKS.values() if tuple(task.groups) == ("mimic",))

_GOOD = "filename,score\na.jpg,0.5\nb.jpg,-1e-3\nc.jpg,7\nd é.png,0.1\n"
VALID = [
    _GOOD.encode(),
    b"\xef\xbb\xbf" + _GOOD.encode(),
    _GOOD.replace("\n", "\r\n").encode(),
    b'"filename","score"\n"d \xc3\xa9.png"," 1.0 "\n\nc.jpg,1\nb.jpg,1e308\na.jpg,-0.0',
]
NASTY = [
    b"",
    b"filename,score\n",
    b"filename,score\na.jpg,nan\nb.jpg,inf\nc.jpg,-inf\nd \xc3\xa9.png,1e999\n",
    b"filename,score\na.jpg,0x10\nb.jpg,1_0\nc.jpg,\xd9\xa1\nd \xc3\xa9.png,one\n",
    b"filename,score\na.jpg,1\na.jpg,2\nb.jpg,1\nc.jpg,1\nd \xc3\xa9.png,1\nx.jpg,3\n",
    b"filename,score,more\na.jpg,1,2\n",
    b'filename,score\n"a.jpg,1\n',
    b'filename,score\n"a"b,1\n',
    b"filename,score\na.jpg,1\0\n",
    b"\xff\xfef\0i\0",
    b"filename,score\n../../etc/passwd,1\n=1+1,2\n\x1b[31m,3\n\xe2\x80\xae,4\n",
    b"filename,score\n" + b"a" * 2000 + b",1\n",
    b"filename,score\na.jpg," + b"9" * 400 + b"\n",
]
WORDS = [
    b"filename,score",
    b"a.jpg",
    b"nan",
    b"inf",
    b"1e308",
    b"\r\n",
    b'"',
    b",",
    b"\xef\xbb\xbf",
]
SHARE = 14


def judge(data: bytes) -> str:
    """Read `data` as predictions, check what comes of it and return its outcome."""
    scores, error = submission_fault(
        lambda: match_predictions(parse_predictions(data), ONE.filenames)
    )
    expected = plain_reading(data)
    if error is not None:
        _, other = submission_fault(
            lambda: match_predictions(parse_predictions(data), OTHER.filenames)
        )
        assert other is not None and str(other) == str(error), "the error depends on the labels"
        assert expected is None, f"refused what a plain reader takes: {error}"
        return error.code
    assert expected is not None, "a score for what a plain reader refuses"
    assert [expected[name] for name in ONE.filenames] == scores
    if len(data) % 16 == 0:
        with np.errstate(all="ignore"):
            columns = grade(TASK, ONE, scores)
        assert all(0 <= value <= 1 + 1e-9 for value in columns.values())
    return ACCEPTED


def plain_reading(data: bytes) -> dict[str, float] | None:
    """Return the scores of a file without any fault, None for every other."""
    try:
        text = data.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if "\0" in text or not rows or rows[0] != ["filename", "score"]:
        return None
    if sorted(row[0] for row in rows[1:]) != sorted(NAMES) or {len(row) for row in rows} != {2}:
        return None
    found = {}
    for name, written in rows[1:]:
        try:
            found[name] = float(written)
        except ValueError:
            return None
        if not math.isfinite(found[name]) or "_" in written or not written.isascii():
            return None
        if len(written) > 64:
            return None
    return found


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
