"""Stimuli: images named by data set and identifier, and the list that says which they are.

A list of stimuli is a JSON Lines file, ``stimuli.jsonl``: one object a row with
``dataset_name``, ``image_identifier``, ``class_name`` (left out where there is none),
``sha256`` and ``size`` in bytes. Catalogues have the same rows.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimicry.activations.stimulus_sources import Source, open_source
from mimicry.errors import BundleError

# Longer lists are no catalogue of images; each row is bounded too.
MOST_STIMULI = 20_000_000
LONGEST_ROW = 8192
# Files that a thread reads before it tells of progress.
_GROUP = 32
_HEX = re.compile(r"[0-9a-f]{64}")

# Told how many of how many stimuli are done.
Report = Callable[[int, int], None]


@dataclass(frozen=True, order=True)
class Stimulus:
    """One image of a list.

    Attributes
    ----------
    dataset_name : str
        The data set that it belongs to.
    image_identifier : str
        Its path inside the data set's folder or zip, with ``/``.
    sha256 : str
        Of the file's bytes, 64 lower-case hexadecimal digits.
    class_name : str or None
        The name of the folder that holds it, None at the data set's root.
    size : int
        Of the file in bytes.
    """

    dataset_name: str
    image_identifier: str
    sha256: str
    class_name: str | None
    size: int


class StimulusSet:
    """An ordered list of stimuli together with where their bytes are.

    Parameters
    ----------
    stimuli : sequence of Stimulus
        In order; no two with the same data set and identifier.
    sources : mapping
        Data set -> where its images are. Without one, the set can be listed but not read.
    """

    def __init__(
        self, stimuli: Sequence[Stimulus], sources: Mapping[str, Source] | None = None
    ) -> None:
        self.stimuli = tuple(stimuli)
        self.key = stimuli_key(self.stimuli)
        self._sources = dict(sources or {})

    def __len__(self) -> int:
        return len(self.stimuli)

    @property
    def places(self) -> tuple[tuple[str, Path], ...]:
        """Data sets and the folder or zip of each, as `open_listed` takes them."""
        return tuple((name, source.path) for name, source in self._sources.items())

    def read(self, index: int) -> bytes:
        """Return the bytes of a stimulus; threads may call this at once.

        Raises
        ------
        BundleError
            ``stimulus-changed`` when they are not those that the list has a checksum of,
            ``stimuli-unreadable`` when they cannot be read.
        """
        one = self.stimuli[index]
        data = self._sources[one.dataset_name].read(one.image_identifier)
        if hashlib.sha256(data).hexdigest() != one.sha256:
            raise BundleError(
                "stimulus-changed",
                f"Stimulus {one.image_identifier} of {one.dataset_name} is not the file that was "
                "listed (its SHA-256 differs); put the listed file back, or list the stimuli anew.",
            )
        return data


def stimuli_key(stimuli: Iterable[Stimulus]) -> str:
    """Return the key of a list: SHA-256 over names and checksums, in order.

    Class names do not count, since no model sees them.
    """
    digest = hashlib.sha256()
    for one in stimuli:
        row = [one.dataset_name, one.image_identifier, one.sha256]
        digest.update(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
        digest.update(b"\n")
    return digest.hexdigest()


def read_stimuli(
    source: str | os.PathLike[str],
    dataset_name: str,
    *,
    threads: int = 4,
    report: Report | None = None,
) -> StimulusSet:
    """List the images of a folder or zip, each with the SHA-256 of its bytes.

    Folders may be nested. Clutter of operating systems is ignored; everything else must be
    an image by its suffix. Every file is read: no stored checksum is believed.

    Parameters
    ----------
    source : path
        A folder, or a zip.
    dataset_name : str
        The name that the stimuli get as their data set's.
    threads : int
        Files that are read at once.
    report : callable, optional
        Told how many of how many files are done.

    Returns
    -------
    StimulusSet
        Sorted by identifier (by code point).

    Raises
    ------
    BundleError
        ``stimuli-missing``, ``stimuli-empty``, ``stimuli-name``, ``stimuli-link``,
        ``stimuli-not-image``, ``stimuli-unreadable``.
    """
    return read_stimuli_of([(dataset_name, source)], threads=threads, report=report)


def read_stimuli_of(
    places: Sequence[tuple[str, str | os.PathLike[str]]],
    *,
    threads: int = 4,
    report: Report | None = None,
) -> StimulusSet:
    """List the images of several data sets, sorted by data set and identifier.

    Parameters and errors as for `read_stimuli`; a data set named twice is `stimuli-name`.
    """
    sources = _open(places)
    names = [(dataset, name) for dataset in sorted(sources) for name in sources[dataset].names()]

    def listed(some: Sequence[tuple[str, str]]) -> list[Stimulus]:
        found = []
        for dataset, name in some:
            data = sources[dataset].read(name)
            digest = hashlib.sha256(data).hexdigest()
            found.append(Stimulus(dataset, name, digest, class_of(name), size=len(data)))
        return found

    found: list[Stimulus] = []
    groups = [names[start : start + _GROUP] for start in range(0, len(names), _GROUP)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        try:
            for some in pool.map(listed, groups):
                found += some
                if report is not None:
                    report(len(found), len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return StimulusSet(found, sources)


def open_listed(stimuli: Sequence[Stimulus], places: Sequence[tuple[str, Path]]) -> StimulusSet:
    """Put a list and its images together without reading these.

    Each image's checksum is compared when it is read, so that a list cannot vouch for
    images that changed since.

    Raises
    ------
    BundleError
        ``stimuli-missing`` when the list names a data set without a place, and what
        `read_stimuli` raises for a place that cannot be used.
    """
    sources = _open(places)
    absent = sorted({one.dataset_name for one in stimuli} - set(sources))
    if absent:
        raise BundleError(
            "stimuli-missing", f"No folder or zip is given for the data set {absent[0]}; name it."
        )
    return StimulusSet(stimuli, sources)


def class_of(image_identifier: str) -> str | None:
    """Return the name of the folder that holds an image, None at the root."""
    parts = image_identifier.split("/")
    return parts[-2] if len(parts) > 1 else None


def catalogue_text(stimuli: Iterable[Stimulus]) -> str:
    """Return a list as JSON Lines; the same list always gives the same text."""
    return "".join(
        json.dumps(_row(one), ensure_ascii=False, separators=(",", ":")) + "\n" for one in stimuli
    )


def read_catalogue(path: str | os.PathLike[str]) -> tuple[Stimulus, ...]:
    """Read a list of stimuli, in order.

    Raises
    ------
    BundleError
        ``catalogue-unreadable``, or ``catalogue-row`` naming file and line.
    """
    path = Path(path)
    found: list[Stimulus] = []
    seen: set[tuple[str, str]] = set()
    try:
        with path.open("rb") as file:
            while line := file.readline(LONGEST_ROW + 1):
                if len(found) >= MOST_STIMULI:
                    raise _bad_row(path, len(found) + 1, "there are too many rows")
                one = _stimulus(path, len(found) + 1, line)
                name = (one.dataset_name, one.image_identifier)
                if name in seen:
                    raise _bad_row(path, len(found) + 1, "its stimulus is named twice")
                seen.add(name)
                found.append(one)
    except OSError as error:
        raise BundleError(
            "catalogue-unreadable",
            f"{path} cannot be read ({error.strerror}); name a list of stimuli.",
        ) from error
    if not found:
        raise BundleError("catalogue-unreadable", f"{path} lists no stimulus; make it anew.")
    return tuple(found)


def _open(places: Sequence[tuple[str, str | os.PathLike[str]]]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for dataset, path in places:
        if not dataset or not dataset.isprintable() or len(dataset) > 200:
            raise BundleError(
                "stimuli-name", f"{dataset!r} is no name for a data set; use printable characters."
            )
        if dataset in sources:
            raise BundleError(
                "stimuli-name", f"The data set {dataset} is named twice; give each another name."
            )
        sources[dataset] = open_source(Path(path))
    return sources


def _row(one: Stimulus) -> dict[str, object]:
    row: dict[str, object] = {
        "dataset_name": one.dataset_name,
        "image_identifier": one.image_identifier,
    }
    if one.class_name is not None:
        row["class_name"] = one.class_name
    return row | {"sha256": one.sha256, "size": one.size}


def _stimulus(path: Path, number: int, line: bytes) -> Stimulus:
    if len(line) > LONGEST_ROW:
        raise _bad_row(path, number, f"it is longer than {LONGEST_ROW} bytes")
    try:
        row: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _bad_row(path, number, "it is no JSON in UTF-8") from error
    if not isinstance(row, dict):
        raise _bad_row(path, number, "it is no JSON object")
    names = ("dataset_name", "image_identifier", "sha256", "size")
    if not set(names) <= set(row) <= {*names, "class_name"}:
        raise _bad_row(path, number, f"its keys must be {', '.join(names)} and class_name if any")
    texts = [row["dataset_name"], row["image_identifier"], row.get("class_name", "-")]
    if not all(isinstance(text, str) and text for text in texts):
        raise _bad_row(path, number, "a name in it is no text")
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad_row(path, number, "a name in it has half a character (a surrogate)") from error
    if not (isinstance(row["sha256"], str) and _HEX.fullmatch(row["sha256"])):
        raise _bad_row(path, number, "its sha256 is not 64 hexadecimal digits")
    if type(row["size"]) is not int or row["size"] < 0:
        raise _bad_row(path, number, "its size is no number of bytes")
    return Stimulus(
        row["dataset_name"],
        row["image_identifier"],
        row["sha256"],
        row.get("class_name"),
        row["size"],
    )


def _bad_row(path: Path, number: int, problem: str) -> BundleError:
    return BundleError("catalogue-row", f"{path}, line {number}: {problem}; make the list anew.")
