"""The label file of the hybrids' tasks, beside an independent reader."""

import csv
import io

from fuzzing_checks import ACCEPTED, bundle_fault

from mimicry.hybrids.reference import COLUMNS, GROUPS, check_gradable, parse_reference

SECRET = "Heliconius-7b1f"
_HEAD = "filename,hybrid_stat,ssp_indicator\n"
_GOOD = _HEAD + "a.jpg,0,major\nb.jpg,1,major\nc.jpg,0,minor\nd.jpg,1,minor\n"
VALID = [
    _GOOD.encode(),
    b"\xef\xbb\xbf" + _GOOD.replace("\n", "\r\n").encode(),
    b'ssp_indicator, hybrid_stat ,note,filename\nmimic,0,"a,b",x.jpg\n mimic , 1 ,,"y\n.jpg"\n',
]
NASTY = [
    b"",
    _HEAD.encode(),
    b"filename,hybrid_stat\na.jpg,0\n",
    b"filename,hybrid_stat,ssp_indicator,filename\na,0,major,a\n",
    f"{_HEAD}a.jpg,2,major\n".encode(),
    f"{_HEAD}a.jpg,0,{SECRET}\n".encode(),
    f"{_HEAD}a.jpg,0,major\na.jpg,1,major\n".encode(),
    f"{_HEAD} ,0,major\n".encode(),
    f"{_HEAD}a.jpg,0\n{SECRET},1,major,7,8\n".encode(),
    f'{_HEAD}"a.jpg,0,major\n'.encode(),
    f"{_HEAD}a\0,0,major\n".encode(),
    b"\xff" + _GOOD.encode(),
]
WORDS = [b"filename", b"hybrid_stat", b"ssp_indicator", b"major", b"minor", b"mimic", b"\r\n", b'"']
SHARE = 14


def judge(data: bytes) -> str:
    """Read `data` as labels, check what comes of it and return its outcome."""
    found, error = bundle_fault(lambda: parse_reference(data, "labels.csv"))
    expected = plain_reading(data)
    if error is not None:
        # The sentence ends up on a page that anybody may read.
        assert SECRET not in str(error), "a value of the labels in a sentence"
        assert expected is None, f"refused what a plain reader takes: {error}"
        return error.code
    assert list(zip(*found, strict=True)) == expected
    for groups in (("major", "minor"), ("mimic",)):
        _, error = bundle_fault(lambda groups=groups: check_gradable(found, groups, "x"))
        kinds = {(group, hybrid) for _, hybrid, group in expected}
        both = {(group, hybrid) for group in groups for hybrid in (True, False)}
        assert (error is None) == (kinds == both)
    return ACCEPTED


def plain_reading(data: bytes) -> list[tuple[str, bool, str]] | None:
    """Return name, label and group of every row, None unless all is as it must be."""
    try:
        text = data.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if "\0" in text or len(rows) < 2:
        return None
    head = [title.strip() for title in rows[0]]
    if any(head.count(title) != 1 for title in COLUMNS) or len({len(row) for row in rows}) != 1:
        return None
    records = [dict(zip(head, row, strict=True)) for row in rows[1:]]
    found = [
        (one["filename"], one["hybrid_stat"].strip(), one["ssp_indicator"].strip())
        for one in records
    ]
    names = [name for name, _, _ in found]
    sound = all(
        name.strip() and label in ("0", "1") and group in GROUPS for name, label, group in found
    )
    if not sound or len(set(names)) != len(names):
        return None
    return [(name, label == "1", group) for name, label, group in found]


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
