"""What a build of data sets is asked to do, and what comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mimicry.data_sets.duplicates import NEAR
from mimicry.data_sets.findings import ERROR, Finding
from mimicry.data_sets.prepare import Style
from mimicry.errors import BundleError

# As in the 2024 challenge: 1,175 validation and 2,350 test images.
SHARES: Mapping[str, float] = {"development": 1.0, "final": 2.0}
# Below this many bits a seed can be guessed, and with it every name.
SAFE_SEED_BITS = 96


@dataclass(frozen=True)
class Options:
    """What a build is asked to do.

    Attributes
    ----------
    style : Style
        How images are written.
    shares : mapping or None
        Split -> weight; None takes the table's column ``split``, or `SHARES` without one.
    specimen : str or None
        The column that names the animal, see `read_labels`.
    near : int
        Bits of 256 in which the hashes of images that look alike may differ.
    allowed : frozenset of str
        Codes of `mimicry.data_sets.findings.ALLOWABLE` that do not stop the build.
    seed : int or None
        Of names and splits; None draws one of 128 bits, securely.
    manifest : Path or None
        Where the private record goes.
    workers : int or None
        Threads.
    force, dry_run : bool
        Replace what is there; write nothing.
    """

    style: Style = field(default_factory=Style)
    shares: Mapping[str, float] | None = None
    specimen: str | None = None
    near: int = NEAR
    allowed: frozenset[str] = frozenset()
    seed: int | None = None
    manifest: Path | None = None
    workers: int | None = None
    force: bool = False
    dry_run: bool = False


class Built(NamedTuple):
    """What a build found and wrote.

    Attributes
    ----------
    output, manifest : Path
    zips : dict
        Path relative to `output` -> SHA-256; empty after a dry run.
    counts : dict
        Split -> number of images.
    findings : tuple of Finding
        What was warned of.
    changed : bool
        False if everything was already there, and after a dry run.
    classes : dict
        (split, group, hybrid) -> number of images, of those that occur.
    refusal : BundleError or None
        After a dry run: for which reason the place itself, as it is now, would stop a build.
    """

    output: Path
    manifest: Path
    zips: dict[str, str]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    changed: bool
    classes: Mapping[tuple[str, str, bool], int]
    refusal: BundleError | None = None


class UnfitDataError(BundleError):
    """Findings that stop a build; `findings` has all of them, warnings too."""

    def __init__(self, code: str, sentence: str, findings: Sequence[Finding]) -> None:
        super().__init__(code, sentence)
        self.findings = tuple(findings)


def stop_if_unfit(findings: Sequence[Finding], subject: str = "the images and labels have") -> None:
    """Stop a build where one of the findings is an error.

    Raises
    ------
    UnfitDataError
        `data-unfit`.
    """
    errors = [finding for finding in findings if finding.level == ERROR]
    if errors:
        kinds = "an error" if len(errors) == 1 else f"{len(errors)} kinds of errors"
        raise UnfitDataError(
            "data-unfit",
            f"Nothing was built: {subject} {kinds} "
            f"({', '.join(finding.code for finding in errors)}); mend what is listed.",
            findings,
        )
