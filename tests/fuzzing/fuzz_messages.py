"""What the model's process sends, any part of which a participant may have written."""

import struct

from fuzzing_checks import ACCEPTED, check_error, check_sentence, submission_fault

from mimicry.errors import SubmissionError
from mimicry.ingestion.faults import Place, reported_fault
from mimicry.ingestion.model_process import Failed, Ready, Scores, parse
from mimicry.ingestion.runner import LARGEST_BATCH

VALID = [
    b"R" + struct.pack("<I", 32),
    b"R" + struct.pack("<I", 0),
    b"S" + struct.pack("<3d", 0.5, float("nan"), -1e300),
    b"Eload-failed\x00-1\0OSError: no such file",
    b"Epredict-failed\x003\0ValueError: \x1b[31m\xff\n",
    b"Eno-such-code\x001\0x",
]
NASTY = [
    b"",
    b"R",
    b"R" + struct.pack("<I", LARGEST_BATCH + 1),
    b"R" + struct.pack("<Q", 32),
    b"S",
    b"S" + b"\0" * 7,
    b"S" + b"\0" * 8 * (LARGEST_BATCH + 1),
    b"E",
    b"E\0\0",
    b"Eload-failed\x00x\0y",
    b"Eload-failed\x00" + b"9" * 30 + b"\0y",
    b"E\xff\x001\0y",
    b"Eload-failed\x001\n\0y",
    b"Eload-failed\x00\xd9\xa1\0y",
    b"I" + b"\0" * 30,
]
WORDS = [
    b"R",
    b"S",
    b"E",
    b"load-failed",
    b"bad-score",
    b"model-exit",
    b"\0",
    b"-1",
    b"\x00999999\0",
]
SHARE = 30
LONGEST = 9000


def judge(data: bytes) -> str:
    """Read `data` as a message, check what comes of it and return its outcome."""
    message, error = submission_fault(lambda: parse(data))
    if error is not None:
        assert error.code == "model-interfered"
        return error.code
    if isinstance(message, Ready):
        assert 0 <= message.batch_size <= LARGEST_BATCH and len(data) == 5
    elif isinstance(message, Scores):
        assert 1 <= len(message.values) <= LARGEST_BATCH
        assert struct.pack(f"<{len(message.values)}d", *message.values) == data[1:] or any(
            value != value for value in message.values
        )
    else:
        assert isinstance(message, Failed)
        for place in (Place(0, 1), Place(7, 1000)):
            fault = reported_fault(message.code, message.position, message.text, place)
            check_error(fault, SubmissionError)
            check_sentence(fault.sentence, 700)
    return ACCEPTED


def one_input(data: bytes) -> None:
    """Raise if anything but the declared comes of `data`."""
    judge(data)
