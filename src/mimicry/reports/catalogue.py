"""Every code that a participant may meet: its cause, and its cure.

The same as the tables of ``pages/errors.md`` and ``pages/errors-realign.md``, which a test
holds together: a page of results knows no address of its competition to link to. Read only
where a run has failed.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """One line of the catalogue.

    Attributes
    ----------
    codes : str
        One or several, separated by spaces.
    cause, cure : str
        With `code` and *emphasis* marked as in Markdown. The cause is empty where a code
        is no fault but a note; the cure then says what it means.
    """

    codes: str
    cause: str
    cure: str


class Section(NamedTuple):
    """A heading and what stands below it."""

    heading: str
    entries: Sequence[Entry]


MODELS = (
    Section(
        "When your model runs",
        (
            Entry(
                "no-model-file",
                "`model.py` is neither at the zip's root nor one folder down",
                "zip the contents of the folder: `mimicry pack-submission DIR`",
            ),
            Entry("ambiguous-model", "several folders hold a `model.py`", "keep one, at the root"),
            Entry(
                "requirements",
                "lines of `requirements.txt` that are no package with versions, not on the "
                "allowed list, or outside the allowed versions; all of them are named",
                "mend or remove the lines",
            ),
            Entry(
                "requirements-file",
                "`requirements.txt` is a link, too large or no text",
                "save it as plain UTF-8",
            ),
            Entry(
                "requirements-install",
                "an allowed package that the container lacks could not be installed",
                "do without, or ask the organisers for a wheel",
            ),
            Entry(
                "model-import",
                "`model.py` raises when it is imported; type, text and line are named",
                "import it once in the container's environment",
            ),
            Entry(
                "no-model-class", "`model.py` has no class `Model`", "define it at the top level"
            ),
            Entry("no-load", "`Model` has no method `load`", "define it, empty if need be"),
            Entry("no-predict", "`Model` has no method `predict`", "define it"),
            Entry(
                "load-failed",
                "`Model()` or `load()` raised",
                "ship every file that it opens; expect no network",
            ),
            Entry(
                "predict-failed",
                "`predict` or `predict_batch` raised; the image's position is named",
                "try `mimicry check --smoke DIR`",
            ),
            Entry(
                "bad-score",
                "what was returned for an image is not one real number",
                "return a float, an int, a NumPy scalar, or an array or tensor of one element",
            ),
            Entry(
                "batch-length",
                "`predict_batch` returned more or fewer scores than images",
                "return one for each image, in order",
            ),
            Entry(
                "batch-size",
                "`batch_size` is no whole number of 1 or more",
                "set it, or remove it to get 32",
            ),
            Entry(
                "not-finite",
                "a score is NaN or infinite; the image's position is named",
                "guard divisions and logarithms",
            ),
            Entry(
                "model-exit",
                "the model called `exit`, or its process ended itself",
                "return instead",
            ),
            Entry(
                "model-signal",
                "the process was ended by a signal: a crash, or the kernel",
                "run it under the same limits (`mimicry run --memory`)",
            ),
            Entry("out-of-memory", "memory ran out", "smaller batches, a smaller model"),
            Entry(
                "time-limit-exceeded",
                "not all images were done at the deadline, 90 % of the time limit; images done, "
                "time for each and time needed are named",
                "a faster `predict`, or `predict_batch`",
            ),
            Entry(
                "disk-limit",
                "the model wrote more to disk than it may (8 GiB, or 200,000 files, unless the "
                "organisers say otherwise)",
                "write less, and remove what is no longer needed",
            ),
            Entry(
                "model-interfered",
                "something else than scores came over the ingestion program's channel",
                "leave inherited file descriptors alone",
            ),
            Entry(
                "submission-command-refused",
                "`metadata` in the submission has a `command`, and this competition takes none",
                "remove that line; ingestion loads `model.py` by itself",
            ),
            Entry(
                "ingestion-unfinished",
                "ingestion was ended before it could say why: time limit, memory, the machine",
                "submit again; look at time and memory",
            ),
            Entry(
                "ingestion-record-broken",
                "`ingestion.json` is not what ingestion writes",
                "do not write into the output folder",
            ),
            Entry(
                "predictions-missing",
                "ingestion finished, but its predictions are gone",
                "do not write into the output folder",
            ),
            Entry(
                "predictions-changed",
                "the predictions are not those that ingestion vouched for",
                "do not write into the output folder",
            ),
            Entry(
                "predictions-header",
                "the first line of the predictions is not `filename,score`",
                "do not write into the output folder",
            ),
            Entry(
                "predictions-unreadable",
                "the predictions are not UTF-8 text, or too large",
                "do not write into the output folder",
            ),
            Entry(
                "predictions-invalid",
                "in the predictions names are missing, doubled or unknown, or scores are no "
                "finite numbers; the first five of each are named",
                "do not write into the output folder",
            ),
        ),
    ),
    Section(
        "The zip and its files",
        (
            Entry(
                "not-a-zip damaged-zip",
                "the file is no zip, or parts of it cannot be read",
                "make it anew",
            ),
            Entry("empty-submission", "there is no file in it", "put `model.py` into it"),
            Entry(
                "too-many-files zip-too-large",
                "more files, or more bytes when unpacked, than are allowed",
                "leave out data sets, environments and caches",
            ),
            Entry(
                "zip-absolute zip-traversal zip-backslash",
                "paths that are absolute, lead out of the zip with `..`, or have backslashes",
                "make it anew",
            ),
            Entry(
                "zip-name zip-long-name submission-name",
                "names that are empty, too long, cannot be shown, or lie too many folders deep",
                "rename the files",
            ),
            Entry("zip-duplicate", "a name stands twice", "remove one"),
            Entry(
                "zip-link zip-device submission-link",
                "links that lead nowhere or out of the submission, or no plain files",
                "put the file itself there",
            ),
            Entry(
                "zip-encrypted zip-method",
                "a password, or another compression than deflate",
                "make it anew",
            ),
            Entry("zip-overlap zip-bomb", "the zip is not what it says it is", "make it anew"),
            Entry("submission-unreadable", "a file cannot be read", "change its permissions"),
            Entry(
                "syntax-error",
                "a Python file that Python cannot read; the line is named",
                "mend it there",
            ),
            Entry(
                "method-arguments",
                "`load`, `predict` or `predict_batch` does not take what it will be given",
                "`load(self)`, `predict(self, image)`, `predict_batch(self, images)`",
            ),
            Entry("async-method", "a method is `async`", "make it a plain one"),
        ),
    ),
    Section(
        "Warnings and notes of `mimicry check`",
        (
            Entry("wrapping-folder", "", "the zip holds a folder; it is accepted"),
            Entry(
                "no-metadata",
                "",
                "without a file `metadata` the platform copies all your files into every run's "
                "result",
            ),
            Entry(
                "metadata-command",
                "",
                "a command there would be started as a program of its own: remove it",
            ),
            Entry(
                "metadata-invalid",
                "",
                "the file is no YAML mapping; the platform takes it for an empty one",
            ),
            Entry(
                "planted-output",
                "",
                "a file has the name of an output; it is removed before the run",
            ),
            Entry(
                "requirements-missing",
                "",
                "allowed, but not installed here: it costs time, or fails without a network",
            ),
            Entry("requirements-unchecked", "", "no allowed list was found to check against"),
            Entry(
                "model-class-elsewhere model-method-elsewhere import-unknown not-all-read "
                "source-too-large",
                "",
                "could not be told without running the code: use `--smoke`",
            ),
            Entry("predict-batch", "", "it will be used"),
            Entry(
                "pickle binary clutter size zip-name-ending",
                "",
                "what is in the zip, for your information",
            ),
        ),
    ),
)

REALIGN = (
    Section(
        "The file",
        (
            Entry(
                "no-json-file several-json-files",
                "the zip holds no JSON file, or several, at its root or one folder down",
                "`mimicry pack-submission my_team.json`",
            ),
            Entry(
                "json-empty json-not-object",
                "nothing in the file, or a list or text instead of one object",
                "write one object",
            ),
            Entry(
                "json-encoding",
                "a byte order mark, UTF-16, UTF-32 or Latin-1",
                "save as plain UTF-8",
            ),
            Entry(
                "json-syntax",
                "a comment, a trailing comma, text after the end, a file cut off; line and "
                "column are named",
                "mend it there",
            ),
            Entry("json-duplicate-key", "a key stands twice in one object", "keep one"),
            Entry(
                "json-number",
                "NaN, Infinity, a number beyond 64-bit floating point or of over 40 digits",
                "a finite number, or null",
            ),
            Entry("json-nesting", "over 32 levels", "flatten it"),
            Entry("json-character", "NUL, control characters, half a character", "remove them"),
            Entry("json-too-large", "over 4 MiB", "leave only what is asked for"),
            Entry(
                "json-unreadable",
                "a link, a pipe, a folder, or nothing under that name",
                "one plain file",
            ),
            Entry(
                "submission-metadata",
                "the zip holds a file `metadata`: the platform then passes nothing on to scoring",
                "`mimicry pack-submission my_team.json`",
            ),
            Entry(
                "not-a-zip damaged-zip",
                "the file is no zip, or parts of it cannot be read",
                "`mimicry pack-submission my_team.json`",
            ),
        ),
    ),
    Section(
        "What it says",
        (
            Entry(
                "wrong-team team-unclear",
                "a Red file for Blue, or the other way round, or not to be told",
                "submit it there; write `models` or `differentiating_images`",
            ),
            Entry(
                "unknown-key missing-key wrong-type both-keys",
                "not the form of a submission",
                "as the sentence says",
            ),
            Entry(
                "wrong-count", "too many or too few models or stimuli", "exactly as many as it says"
            ),
            Entry(
                "unknown-model layer-missing wrong-layer wrong-source wrong-parameters",
                "not as in the registry; what it has is named",
                "write that",
            ),
            Entry("unknown-stimulus", "not in the catalogue", "take names from it"),
            Entry(
                "duplicate-model same-weights duplicate-stimulus same-image",
                "named twice, or two names of the same weights or image; both places are named",
                "keep one",
            ),
            Entry(
                "team-file-name",
                "in a pull request, the file is not called after its team",
                "at most 64 of `a-z`, `0-9`, `-` and `_`, and `.json`",
            ),
            Entry(
                "submission-invalid",
                "several faults of different kinds; each is named with its place",
                "mend each as its words say; `mimicry check my_team.json` tells their codes",
            ),
            Entry("more-faults", "there are more than are shown", "mend these, and check again"),
        ),
    ),
    Section(
        "Notes of `mimicry check`",
        (
            Entry("blue red", "", "whose submission it is"),
            Entry(
                "names-unchecked count-unchecked",
                "",
                "no registry, catalogue or rules are at hand: name them with the options",
            ),
            Entry("stray-file", "", "a file lies beside the submissions that is none"),
        ),
    ),
)


def find(code: str) -> list[tuple[Sequence[Section], Entry]]:
    """Return the lists that have a code, each with its line about it."""
    return [
        (sections, entry)
        for sections in (MODELS, REALIGN)
        for section in sections
        for entry in section.entries
        if code in entry.codes.split()
    ]
