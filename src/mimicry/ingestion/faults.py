"""The sentence for each way in which a model can fail.

``pages/errors.md`` lists the codes with causes and cures; a test holds the two together.
"""

import re
import signal
from typing import NamedTuple

from mimicry.errors import SubmissionError, one_line

# Of a text that the submission chose, so much is shown.
SHOWN_TEXT = 300

# What a lost GPU makes a model raise; a model can say so itself, and stays the one to blame.
_GPU = re.compile(r"CUDA|cuDNN|CUBLAS|AcceleratorError|HIP error", re.I)
_PERHAPS_THE_GPU = (
    " If it runs on another GPU, this machine's may have failed or be full: hand it in again, or "
    "tell the organisers."
)

_SENTENCES = {
    "model-import": "model.py cannot be imported: {text}. Run python model.py in the container's "
    "environment to see it.",
    "no-model-class": "model.py defines no class named Model. Define it at the top level.",
    "no-load": "class Model in model.py has no method load(). Define it, empty if need be.",
    "no-predict": "class Model in model.py has no method predict(image). Define it.",
    "load-failed": "Model() or load() failed with {text}. Everything it opens must be in the "
    "submission or the container.",
    "predict-failed": "the model failed on {image} with {text}.",
    "bad-score": "{text}, for {image}. predict must return one finite number, predict_batch one "
    "an image.",
    "batch-length": "{text} (the packet that starts with {image}). Return one score an image, "
    "in the order given.",
    "batch-size": "{text}. Set it to a whole number of images, or remove it to get 32.",
    "model-exit": "the model called exit ({text}){place}. Return from predict instead.",
    "out-of-memory": "the model ran out of memory{place}: {text}. Use smaller batches or "
    "a smaller model.",
}


class Place(NamedTuple):
    """How far a model had come: the images scored and the number in all."""

    scored: int
    total: int


def reported_fault(code: str, position: int, text: str, place: Place) -> SubmissionError:
    """Turn what the model's process reported into its sentence.

    Parameters
    ----------
    code : str
        The fault's code; an unknown one counts as interference.
    position : int
        Position in the packet under way; negative before the first image.
    text : str
        The submission's own words; shown on one line, at most 300 characters.
    place : Place
        Images scored before this packet.
    """
    template = _SENTENCES.get(code)
    if template is None:
        return interference("an unknown fault")
    number = place.scored + position + 1
    known = position >= 0 and number <= place.total
    image = f"image {number:,} of {place.total:,}" if known else "an image"
    sentence = template.format(
        text=one_line(text, SHOWN_TEXT).rstrip(". "),
        image=image,
        place=f" at {image}" if known else "",
    )
    if _GPU.search(text):
        sentence += _PERHAPS_THE_GPU
    return SubmissionError(code, sentence)


def interference(what: str) -> SubmissionError:
    """Return the error for a process that sends, or moves, what no model run does."""
    return SubmissionError(
        "model-interfered",
        f"the model's process sent {what}. Leave inherited file descriptors and the ingestion "
        "program's folders alone.",
    )


def not_finite(value: float, place: Place) -> SubmissionError:
    """Return the error for a NaN or an infinity, by the image's position."""
    kind = "NaN" if value != value else "infinite"
    return SubmissionError(
        "not-finite",
        f"the score of image {place.scored + 1:,} of {place.total:,} (in the order the model got "
        f"them) is {kind}. Return finite numbers only.",
    )


def over_deadline(
    place: Place, *, loading: bool, model_seconds: float, spent: float, limit: float
) -> SubmissionError:
    """Return the error for a model that ran past the deadline.

    Parameters
    ----------
    place : Place
        How far it came.
    loading : bool
        Whether it was still importing and loading.
    model_seconds : float
        Seconds since it had loaded.
    spent : float
        Seconds since the program's start.
    limit : float
        The phase's time limit in seconds, named for reference.
    """
    if loading:
        return SubmissionError(
            "time-limit-exceeded",
            f"the model had not loaded after {spent:.0f} s (time limit {limit:g} s). "
            "Load less, or put weights into the submission instead of downloading them.",
        )
    needed = model_seconds / place.total
    each = f", {model_seconds / place.scored:.2g} s each" if place.scored else ""
    return SubmissionError(
        "time-limit-exceeded",
        f"{place.scored:,} of {place.total:,} images in {spent:.0f} s{each}; "
        f"{needed:.2g} needed (time limit {limit:g} s). "
        "Make predict faster or offer predict_batch.",
    )


def ended(
    returncode: int, place: Place, *, ran_out_of_memory: bool, peak_bytes: int
) -> SubmissionError:
    """Return the error for a process that ended by itself.

    Parameters
    ----------
    returncode : int
        As `subprocess` has it: negative for a signal.
    place : Place
        How far it came.
    ran_out_of_memory : bool
        Whether the kernel counted an out-of-memory kill meanwhile.
    peak_bytes : int
        The largest resident memory of any process of the model.
    """
    where = f"after {place.scored:,} of {place.total:,} images"
    peak = f"its peak was {peak_bytes / 1e9:.2g} GB"
    if returncode == -signal.SIGKILL and ran_out_of_memory:
        return SubmissionError(
            "out-of-memory",
            f"the model was ended {where}: the machine's memory ran out ({peak}). "
            "Use smaller batches or a smaller model.",
        )
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        usual = {
            # Only here does memory matter; elsewhere the figure would differ at every run.
            "SIGKILL": f"usually because memory ran out ({peak})",
            "SIGSEGV": "a crash in compiled code",
            "SIGABRT": "a crash in compiled code",
            "SIGBUS": "a crash in compiled code or a full shared memory",
            "SIGILL": "a library built for another processor",
        }.get(name, "sent from outside or by itself")
        return SubmissionError(
            "model-signal",
            f"the model was ended {where} by {name}, {usual}. "
            "Run it locally under the same limits.",
        )
    return SubmissionError(
        "model-exit",
        f"the model's process ended itself {where} with exit code {returncode}. "
        "Remove calls of exit from model.py and what it imports.",
    )
