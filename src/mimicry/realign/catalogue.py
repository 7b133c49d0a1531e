"""A Red submission's stimuli against the catalogue and the rules."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from mimicry.activations.stimuli import Stimulus
from mimicry.realign.json_faults import quoted
from mimicry.realign.names import KnownNames
from mimicry.realign.submissions import Faults, ImageChoice, RedSubmission


class Catalogue:
    """The stimuli that Red may choose from, in the catalogue's order.

    Parameters
    ----------
    stimuli : sequence of Stimulus
        As `mimicry.activations.stimuli.read_catalogue` returns them; no two with the
        same data set and identifier.
    """

    def __init__(self, stimuli: Sequence[Stimulus]) -> None:
        self.stimuli = stimuli
        self._rows = {
            (one.dataset_name, one.image_identifier): row for row, one in enumerate(stimuli)
        }
        self._datasets: KnownNames | None = None
        self._identifiers: dict[str, KnownNames] = {}

    def __len__(self) -> int:
        return len(self.stimuli)

    def row(self, choice: ImageChoice) -> int | None:
        """Return the row of a chosen stimulus, None if there is none.

        Names are compared as they are; nothing is ever opened by them.
        """
        return self._rows.get((choice.dataset_name, choice.image_identifier))

    def unknown(self, choice: ImageChoice, where: str, faults: Faults) -> str:
        """Return words about a stimulus at `where` that is not in the catalogue.

        `faults`, which they are for, bounds how often a meaning is guessed.
        """
        dataset, identifier = choice.dataset_name, choice.image_identifier
        if self._datasets is None:
            self._datasets = KnownNames(one.dataset_name for one in self.stimuli)
        if dataset not in self._datasets:
            hint = faults.hint(self._datasets, dataset)
            return f"{where}.dataset_name {quoted(dataset)} is not in the catalogue{hint}"
        if dataset not in self._identifiers:
            self._identifiers[dataset] = KnownNames(
                one.image_identifier for one in self.stimuli if one.dataset_name == dataset
            )
        hint = faults.hint(self._identifiers[dataset], identifier)
        return (
            f"{where}.image_identifier {quoted(identifier)} is not in the catalogue's "
            f"{dataset}{hint}"
        )


def check_images(
    submission: RedSubmission, catalogue: Catalogue, count: int | None, faults: Faults
) -> tuple[int, ...]:
    """Check a submission's stimuli against the catalogue and the rules.

    Parameters
    ----------
    submission : RedSubmission
        Its entries without faults of form.
    catalogue : Catalogue
        The stimuli to choose from.
    count : int or None
        How many must be named; None for any number.
    faults : Faults
        Gets ``wrong-count``, ``unknown-stimulus``, ``duplicate-stimulus`` and
        ``same-image``: two identifiers whose files have the same SHA-256.

    Returns
    -------
    tuple of int
        Rows of the catalogue, in the submission's order; complete if there are no faults.
    """
    check_image_count(submission, count, faults)
    key = submission.key
    first: dict[int, int] = {}
    content: dict[str, int] = {}
    for choice in submission.images:
        where = f"{key}[{choice.position}]"
        row = catalogue.row(choice)
        if row is None:
            # The words tell the place: they know whether data set or identifier is unknown.
            faults.add("unknown-stimulus", "", partial(catalogue.unknown, choice, where, faults))
            continue
        if row in first:
            faults.add("duplicate-stimulus", *_again(key, choice, first[row]))
            continue
        first[row] = choice.position
        earlier = content.setdefault(catalogue.stimuli[row].sha256, choice.position)
        if earlier != choice.position:
            faults.add(
                "same-image",
                where,
                f"({quoted(choice.image_identifier)}) is the same image, by its SHA-256, as "
                f"{key}[{earlier}]; keep one",
            )
    return tuple(first)


def check_image_count(submission: RedSubmission, count: int | None, faults: Faults) -> None:
    """Check how many stimuli are named; `count` None allows any number."""
    named = submission.named
    if named and count is not None and named != count:
        faults.add("wrong-count", f"`{submission.key}`", f"names {named:,}; name exactly {count:,}")


def check_repeated_images(submission: RedSubmission, faults: Faults) -> None:
    """Find ``duplicate-stimulus`` by the names alone, where no catalogue is at hand."""
    first: dict[tuple[str, str], int] = {}
    for choice in submission.images:
        earlier = first.setdefault((choice.dataset_name, choice.image_identifier), choice.position)
        if earlier != choice.position:
            faults.add("duplicate-stimulus", *_again(submission.key, choice, earlier))


def _again(key: str, choice: ImageChoice, earlier: int) -> tuple[str, str]:
    return (
        f"{key}[{choice.position}]",
        f"names {quoted(choice.image_identifier)} again, which {key}[{earlier}] names; keep one",
    )


def class_entropy(class_names: Iterable[str | None]) -> float:
    """Return the Shannon entropy of the classes of some stimuli.

    Parameters
    ----------
    class_names : iterable of str or None, length n >= 1
        Stimuli without a class count as one class together.

    Returns
    -------
    float
        Bits, from 0 (one class) to log2 of the number of classes (equally frequent).
    """
    counts = Counter(class_names)
    total = counts.total()
    return math.fsum(n / total * math.log2(total / n) for n in counts.values())
