"""Small pictures of a catalogue beside the reference data of Red: read for the results page.

One array of bytes, ``thumbnails.npy``: a JPEG for each row of the catalogue, in its order.
It lets a few rows be read from a file of a hundred thousand without a look at the others.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from mimicry.realign.reference import RedReference
from mimicry.realign.rules import THUMBNAILS_NAME

SHOWN_THUMBNAILS = 48
# Of one picture. As many as are shown make 130 kB of a page.
LARGEST_THUMBNAIL = 2048
_BEGIN, _END = b"\xff\xd8\xff", b"\xff\xd9"


def read_thumbnails(reference: RedReference, rows: Sequence[int]) -> tuple[bytes, ...] | None:
    """Return the pictures of some rows of the catalogue, or None if the file is not as built.

    Scores do not hang on pictures, so that nothing is raised for a file that is missing,
    damaged or of another catalogue.
    """
    path = reference.thumbnails
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != reference.rules.checksums.get(THUMBNAILS_NAME, found):
            return None
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
        if (
            pictures.shape != (len(reference.catalogue),)
            or pictures.dtype.kind != "S"
            or pictures.dtype.itemsize > LARGEST_THUMBNAIL
        ):
            return None
        shown = tuple(bytes(pictures[row]) for row in rows)
    # A broken header is read as Python, and fails in as many ways as that can.
    except Exception:
        return None
    whole = all(one.startswith(_BEGIN) and one.endswith(_END) for one in shown)
    return shown if whole else None
