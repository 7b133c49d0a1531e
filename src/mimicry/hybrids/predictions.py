"""The predictions file: ``filename,score``, one row per image."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mimicry.errors import SubmissionError
from mimicry.files import UnusableFile
from mimicry.hybrids.tables import csv_rows

FILE_NAME = "predictions.csv"
HEADER = ["filename", "score"]
SHOWN = 5
# Longer texts are no shortest round-trip decimals, and slow to convert.
MAX_SCORE_CHARACTERS = 64


class RowFault(NamedTuple):
    """A row that cannot be used: where it ends, its file name and its score's text."""

    row: int
    filename: str
    text: str = ""


class PredictionRows(NamedTuple):
    """What a predictions file says, before it is compared with the images.

    Attributes
    ----------
    scores : dict of str to float
        The finite score of the first row of every file name that has one.
    first_row : dict of str to int
        Every file name seen, usable or not, and the row where it came first.
    ragged, duplicates, unparsable, non_finite : list of RowFault
        Rows without exactly two columns; further rows of a name; scores that
        are no number; NaN and infinities. In file order.
    """

    scores: dict[str, float]
    first_row: dict[str, int]
    ragged: list[RowFault]
    duplicates: list[RowFault]
    unparsable: list[RowFault]
    non_finite: list[RowFault]


def parse_score(text: str) -> float | None:
    """Return the number that `text` writes in ASCII decimals, or None if it writes none.

    Spaces around it are ignored. ``nan`` and ``inf`` are numbers here.
    """
    if len(text) > MAX_SCORE_CHARACTERS or "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def parse_predictions(data: bytes) -> PredictionRows:
    """Read the rows of a predictions file, keeping count of what is wrong with them.

    Parameters
    ----------
    data : bytes
        The whole file; any bytes at all.

    Returns
    -------
    PredictionRows
        Usable scores and every faulty row. Blank lines are ignored.

    Raises
    ------
    SubmissionError
        ``predictions-unreadable`` when the bytes are no CSV text,
        ``predictions-header`` when the first row is not ``filename,score``.
    """
    try:
        return _parse(data)
    except UnusableFile as fault:
        raise SubmissionError(
            "predictions-unreadable",
            f"{FILE_NAME} {fault}. Write UTF-8 text: the header filename,score, "
            "then one row per image.",
        ) from None


def _parse(data: bytes) -> PredictionRows:
    rows = csv_rows(data)
    _, header = next(rows, (1, []))
    if header != HEADER:
        found = f"begins with {_quote(','.join(header))}" if header else "is empty"
        raise SubmissionError(
            "predictions-header",
            f"{FILE_NAME} {found}. Its first row must be filename,score, "
            "followed by one row per image.",
        )
    result = PredictionRows({}, {}, [], [], [], [])
    scores, first_row, ragged, duplicates, unparsable, non_finite = result
    for row, fields in rows:
        name = fields[0]
        if name in first_row:
            duplicates.append(RowFault(row, name))
            continue
        first_row[name] = row
        if len(fields) != 2:
            ragged.append(RowFault(row, name))
            continue
        score = parse_score(fields[1])
        if score is None:
            unparsable.append(RowFault(row, name, fields[1]))
        elif not math.isfinite(score):
            non_finite.append(RowFault(row, name, fields[1]))
        else:
            scores[name] = score
    return result


def match_predictions(rows: PredictionRows, filenames: Sequence[str]) -> list[float]:
    """Return the scores in the order of `filenames`.

    Parameters
    ----------
    rows : PredictionRows
        As read by `parse_predictions`.
    filenames : sequence of str, shape (n,)
        The images to grade, each once.

    Returns
    -------
    list of float, shape (n,)
        Finite scores; higher means more likely a hybrid.

    Raises
    ------
    SubmissionError
        ``predictions-invalid``: images without a row, with several, rows of
        unknown images, scores that are no number or not finite. All of it in
        one sentence, with counts and the first five of each. Missing names come
        in alphabetical order: the order of a reference file can follow its labels.
    """
    wanted = set(filenames)
    missing = sorted(wanted - rows.first_row.keys())
    unknown = [RowFault(row, name) for name, row in rows.first_row.items() if name not in wanted]
    complaints = [
        _complaint(missing, "image has no row", "images have no row"),
        _complaint(rows.duplicates, "row repeats an earlier image", "rows repeat an earlier image"),
        _complaint(unknown, "row names an unknown image", "rows name an unknown image"),
        _complaint(rows.ragged, "row does not have two columns", "rows do not have two columns"),
        _complaint(rows.unparsable, "score is not a number", "scores are not numbers"),
        _complaint(rows.non_finite, "score is not finite", "scores are not finite"),
    ]
    found = [complaint for complaint in complaints if complaint]
    if found:
        raise SubmissionError(
            "predictions-invalid",
            f"{FILE_NAME} cannot be graded: {'; '.join(found)}. It needs one row filename,score "
            f"with a finite number for each of the {len(wanted):,} images. If the competition's "
            "own ingestion wrote it, images and reference data differ: tell the organisers.",
        )
    scores = rows.scores
    return [scores[name] for name in filenames]


def _complaint(faults: Sequence[RowFault | str], one: str, many: str) -> str:
    """Return e.g. ``7 rows name an unknown image (row 3 "x.jpg", ... and 2 more)``."""
    if not faults:
        return ""
    shown = ", ".join(_show(fault) for fault in faults[:SHOWN])
    more = f", and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return f"{len(faults):,} {one if len(faults) == 1 else many} ({shown}{more})"


def _show(fault: RowFault | str) -> str:
    if isinstance(fault, str):
        return _quote(fault)
    value = f" = {_quote(fault.text, 16)}" if fault.text else ""
    return f"row {fault.row} {_quote(fault.filename)}{value}"


def _quote(text: str, limit: int = 34) -> str:
    """Quote `text`, its middle left out when it is longer than `limit` characters."""
    half = (limit - 1) // 2
    return f'"{text}"' if len(text) <= limit else f'"{text[:half]}…{text[-half:]}"'
