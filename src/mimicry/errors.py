"""The two kinds of error that people can mend, and what every program does with them.

Everything else is a bug of this project: it exits with code 1 and its traceback
goes to a private place, never to a page that participants see.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import ClassVar, TextIO

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_SUBMISSION = 3
EXIT_BUNDLE = 4

BUG_SENTENCE = (
    "Mimicry itself failed; this is neither the submission's nor the data's fault. "
    "Please tell the organisers."
)


class MimicryError(Exception):
    """An error somebody can mend, told in one plain sentence.

    Parameters
    ----------
    code : str
        Stable name of the fault in lower-case-with-hyphens, as listed in
        ``docs/errors.md``.
    sentence : str
        What is wrong, where (file, row, index) and what to do. Line breaks and
        control characters are replaced, since parts may come from a submission.
    parts : sequence of str
        Where the sentence tells of several faults: what stands above them, then each by
        itself. For pages, which have room for a list.
    """

    exit_code: ClassVar[int] = EXIT_BUG
    kind: ClassVar[str] = "bug"

    def __init__(self, code: str, sentence: str, parts: Sequence[str] = ()) -> None:
        self.code = code
        self.sentence = one_line(sentence)
        self.parts = tuple(one_line(part) for part in parts)
        super().__init__(f"{self.sentence} [{code}]")


class SubmissionError(MimicryError):
    """The participant can mend this. Never holds anything derived from labels."""

    exit_code = EXIT_SUBMISSION
    kind = "submission"


class BundleError(MimicryError):
    """The organiser can mend this: the bundle, its data or the machine."""

    exit_code = EXIT_BUNDLE
    kind = "bundle"


def one_line(text: str, limit: int = 2000) -> str:
    """Return `text` as one printable line of at most `limit` characters.

    Control characters (terminal escapes among them), direction overrides and
    unpaired surrogates are shown as ``?``; runs of white space become one space.
    """
    # Bounded before the loop, so that a hostile text of gigabytes costs nothing.
    head = text[: 4 * limit]
    cleaned = "".join(
        character if character.isprintable() else " " if character.isspace() else "?"
        for character in head
    )
    line = " ".join(cleaned.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def run_program(
    program: Callable[[], int | None],
    *,
    on_bug: Callable[[str], None] | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run `program` and turn what it raises into an exit code and one sentence.

    Parameters
    ----------
    program : callable
        Returns an exit code, or None for 0.
    on_bug : callable, optional
        Receives the traceback of an unexpected exception, to put it where only
        the organiser reads. Without it the traceback is printed on `stderr`.
    stderr : text stream, optional
        Where the sentence goes, as the last line; ``sys.stderr`` by default.

    Returns
    -------
    int
        0 done, 1 our own bug, 3 `SubmissionError`, 4 `BundleError`.
    """
    stream = stderr if stderr is not None else sys.stderr
    try:
        return program() or EXIT_DONE
    except MimicryError as error:
        print(str(error), file=stream, flush=True)
        return error.exit_code
    except Exception:
        details = traceback.format_exc()
        if on_bug is None:
            print(details, file=stream)
        else:
            on_bug(details)
        print(f"{BUG_SENTENCE} [bug]", file=stream, flush=True)
        return EXIT_BUG
