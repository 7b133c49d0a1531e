"""The form of Blue and Red submissions, as ``schemas/*.schema.json`` describe it.

Read by hand rather than by a schema library, which scoring programs do not have; a test
holds the two together. All faults of a submission are gathered, each with its place.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from mimicry.errors import SubmissionError
from mimicry.realign.json_faults import quoted
from mimicry.realign.names import KnownNames
from mimicry.realign.rules import Team

MODELS_KEY = "models"
IMAGES_KEYS = ("differentiating_images", "images")
LONGEST_TEAM_NAME = 100

# Kept with their words, to be shown by a check; more are only counted.
MOST_KEPT = 50
# Similar names are looked for as often; a submission with more unknown names has another
# scheme of naming, which these tell.
MOST_GUESSES = 10
# What goes into the one sentence of a failed run.
MOST_TOLD = 10
LONGEST_TOLD = 1600
LONGEST_FAULT = 300

_OPTIONAL = ("team_name", "methodology", "rationale", "evidence", "metadata")
_MODEL_KEYS = ("model_name", "source", "model_parameters", "layer_name")
_IMAGE_KEYS = ("dataset_name", "image_identifier")


class Fault(NamedTuple):
    """One thing wrong with a submission: a stable code, where, and what to do."""

    code: str
    where: str
    text: str

    @property
    def sentence(self) -> str:
        """Place and words as one phrase, without a full stop."""
        words = f"{self.where} {self.text}".strip()
        return words if len(words) <= LONGEST_FAULT else words[: LONGEST_FAULT - 1] + "…"


class Faults:
    """The faults of one submission: the first `MOST_KEPT` in words, the number of all."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.count = 0
        self._guesses = 0
        self._codes: set[str] = set()

    def add(self, code: str, where: str, text: str | Callable[[], str]) -> None:
        """Note a fault; words that cost time are made only where they are kept."""
        self.count += 1
        self._codes.add(code)
        if len(self.kept) < MOST_KEPT:
            self.kept.append(Fault(code, where, text() if callable(text) else text))

    def hint(self, known: KnownNames, name: str) -> str:
        """Return `KnownNames.hint`; after `MOST_GUESSES` of them without guessing."""
        self._guesses += 1
        return known.hint(name, guess=self._guesses <= MOST_GUESSES)

    def refuse(self, shown: str) -> None:
        """Raise one error that tells of all faults, if there are any.

        Parameters
        ----------
        shown : str
            The file's name.

        Raises
        ------
        SubmissionError
            The faults' common code, or ``submission-invalid`` where they differ.
        """
        if not self.count:
            return
        told: list[str] = []
        for fault in self.kept[:MOST_TOLD]:
            if told and sum(map(len, told)) + len(fault.sentence) > LONGEST_TOLD:
                break
            told.append(fault.sentence)
        more = self.count - len(told)
        if more:
            told.append(f"and {more:,} more")
        code = next(iter(self._codes)) if len(self._codes) == 1 else "submission-invalid"
        if self.count == 1:
            raise SubmissionError(code, f"{shown}: {told[0]}.")
        head = f"{shown}: {self.count:,} faults"
        raise SubmissionError(code, f"{head}: {'; '.join(told)}.", [head, *told])


class ModelChoice(NamedTuple):
    """A model that a Blue submission names; `position` is its place in the list, from 0."""

    position: int
    model_name: str
    layer_name: str | None
    source: str | None
    model_parameters: Mapping[str, Any]


class ImageChoice(NamedTuple):
    """A stimulus that a Red submission names; `position` is its place in the list, from 0."""

    position: int
    dataset_name: str
    image_identifier: str


@dataclass(frozen=True)
class BlueSubmission:
    """A Blue submission's models as far as their form is right.

    Attributes
    ----------
    named : int
        How many entries the list has, those with faults among them.
    models : tuple of ModelChoice
        The entries without faults of form.
    team_name : str or None
        As the team wants to be called.
    """

    named: int
    models: tuple[ModelChoice, ...]
    team_name: str | None


@dataclass(frozen=True)
class RedSubmission:
    """A Red submission's stimuli as far as their form is right.

    Attributes
    ----------
    key : str
        The key that the list has in the file.
    named : int
        How many entries the list has, those with faults among them.
    images : tuple of ImageChoice
        The entries without faults of form.
    team_name : str or None
        As the team wants to be called.
    """

    key: str
    named: int
    images: tuple[ImageChoice, ...]
    team_name: str | None


def team_of(document: Mapping[str, Any]) -> Team | None:
    """Return whose submission a document is by its keys, None where that is not clear."""
    blue = MODELS_KEY in document
    red = any(key in document for key in IMAGES_KEYS)
    if blue == red:
        return None
    return "blue" if blue else "red"


def refuse_wrong_team(document: Mapping[str, Any], team: Team, shown: str) -> None:
    """Refuse the other team's submission.

    Raises
    ------
    SubmissionError
        ``wrong-team``.
    """
    if team_of(document) not in (None, team):
        mine, other = ("Blue", "Red") if team == "blue" else ("Red", "Blue")
        key = next(key for key in (MODELS_KEY, *IMAGES_KEYS) if key in document)
        wanted = MODELS_KEY if team == "blue" else IMAGES_KEYS[0]
        raise SubmissionError(
            "wrong-team",
            f"{shown} is a {other} team's submission (its key is {quoted(key)}), and this is the "
            f"{mine} team's competition; submit it to the {other} team's, or submit a file with "
            f"the key {quoted(wanted)} here.",
        )


def read_blue(document: Mapping[str, Any], faults: Faults) -> BlueSubmission:
    """Read a Blue submission's form; what is wrong goes into `faults`.

    Parameters
    ----------
    document : mapping
        As `mimicry.realign.documents.parse_object` returns it.
    faults : Faults
        Gets ``unknown-key``, ``missing-key``, ``wrong-type``.
    """
    _check_top(document, (MODELS_KEY, *_OPTIONAL), faults)
    models = []
    rows: Sequence[Any] = ()
    if MODELS_KEY not in document:
        faults.add("missing-key", "", f"the key {quoted(MODELS_KEY)}, a list of models, is missing")
    else:
        rows = _list(document[MODELS_KEY], MODELS_KEY, faults)
    for index, where, row in _objects(rows, MODELS_KEY, _MODEL_KEYS, faults):
        name = _name(row, "model_name", where, faults)
        source = _name(row, "source", where, faults, required=False)
        layer = _name(row, "layer_name", where, faults, required=False)
        parameters = row.get("model_parameters")
        if parameters is not None and not isinstance(parameters, dict):
            faults.add("wrong-type", f"{where}.model_parameters", "must be an object or null")
            continue
        if name is not None:
            models.append(ModelChoice(index, name, layer, source, parameters or {}))
    return BlueSubmission(len(rows), tuple(models), _team_name(document))


def read_red(document: Mapping[str, Any], faults: Faults) -> RedSubmission:
    """Read a Red submission's form; what is wrong goes into `faults`.

    Parameters
    ----------
    document : mapping
        As `mimicry.realign.documents.parse_object` returns it.
    faults : Faults
        Gets ``unknown-key``, ``missing-key``, ``wrong-type``, ``both-keys``.
    """
    _check_top(document, (*IMAGES_KEYS, *_OPTIONAL), faults)
    given = [key for key in IMAGES_KEYS if key in document]
    images = []
    rows: Sequence[Any] = ()
    key = given[0] if given else IMAGES_KEYS[0]
    if len(given) == 1:
        rows = _list(document[key], key, faults)
    elif given:
        faults.add(
            "both-keys",
            "",
            f"the keys {quoted(given[0])} and {quoted(given[1])} mean the same; keep one of them",
        )
    else:
        faults.add("missing-key", "", f"the key {quoted(key)}, a list of stimuli, is missing")
    for index, where, row in _objects(rows, key, _IMAGE_KEYS, faults):
        dataset = _name(row, "dataset_name", where, faults)
        identifier = _name(row, "image_identifier", where, faults)
        if dataset is not None and identifier is not None:
            images.append(ImageChoice(index, dataset, identifier))
    return RedSubmission(key, len(rows), tuple(images), _team_name(document))


def _check_top(document: Mapping[str, Any], known: Sequence[str], faults: Faults) -> None:
    for key in document:
        if key not in known:
            faults.add("unknown-key", "", partial(_unknown_key, key, known))
    name = document.get("team_name", "team")
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_TEAM_NAME:
        faults.add(
            "wrong-type", "team_name", f"must be a text of 1 to {LONGEST_TEAM_NAME} characters"
        )
    for key in ("methodology", "rationale"):
        if not isinstance(document.get(key, ""), str):
            faults.add("wrong-type", key, "must be a text")
    if not isinstance(document.get("evidence", ""), (str, list, dict)):
        faults.add("wrong-type", "evidence", "must be a text, a list or an object")
    if not isinstance(document.get("metadata", {}), dict):
        faults.add("wrong-type", "metadata", "must be an object")


def _list(value: object, where: str, faults: Faults) -> Sequence[Any]:
    if not isinstance(value, list) or not value:
        faults.add("wrong-type", where, "must be a list of at least one object")
        return ()
    return value


def _objects(
    rows: Sequence[Any], key: str, known: Sequence[str], faults: Faults
) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    for index, row in enumerate(rows):
        where = f"{key}[{index}]"
        if not isinstance(row, dict):
            faults.add("wrong-type", where, f"must be an object with {quoted(known[0])}")
            continue
        for other in row:
            if other not in known:
                faults.add("unknown-key", where, partial(_unknown_key, other, known))
        yield index, where, row


def _name(
    row: Mapping[str, Any], key: str, where: str, faults: Faults, *, required: bool = True
) -> str | None:
    if key not in row or (row[key] is None and not required):
        if required:
            faults.add("missing-key", where, f"has no key {quoted(key)}")
        return None
    value = row[key]
    if not isinstance(value, str) or not value:
        faults.add("wrong-type", f"{where}.{key}", "must be a text of at least one character")
        return None
    return value


def _unknown_key(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key[:100].strip().lower(), known, n=1, cutoff=0.6)
    hint = f"; perhaps {quoted(near[0])} is meant" if near else f"; known are {', '.join(known)}"
    return f"has the unknown key {quoted(key)}{hint}"


def _team_name(document: Mapping[str, Any]) -> str | None:
    name = document.get("team_name")
    return name if isinstance(name, str) else None
