"""Which butterflies a data set holds: the real challenge's groups, or a label file's rows."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimicry.demo.genes import (
    SIGNAL_PARENTS,
    SPECIES_A,
    SPECIES_MIMIC,
    SUBSPECIES,
    founder,
    hybrid,
    subspecies_named,
)
from mimicry.demo.scene import draw_specimen, encode, rng_for
from mimicry.errors import BundleError
from mimicry.files import is_clutter

INDICATORS = ("major", "minor", "mimic")
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}

# Images of (non-hybrids, hybrids) per group, counted in the published label files.
GROUP_SIZES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "val": {"major": (219, 190), "minor": (201, 17), "mimic": (423, 125)},
    "test": {"major": (455, 365), "minor": (407, 28), "mimic": (847, 248)},
}
# How often each population and each cross occurs in a group of those files.
POPULATIONS: Mapping[str, Mapping[str, int]] = {
    "major": {"lativitta": 173, "notabilis": 46},
    "minor": {
        "amalfreda": 1, "chestertonii": 12, "cyrbia": 107, "demophoon": 18, "dignus": 6,
        "erato": 5, "etylus": 1, "hydara": 20, "petiverana": 2, "phyllis": 13, "venus": 16,
    },
    "mimic": {"malleti": 333, "plesseni": 90},
}  # fmt: skip
CROSSES: Mapping[str, Mapping[str, int]] = {
    "major": {"notabilis x lativitta": 184, "lativitta x notabilis": 6},
    "minor": {
        "chestertonii x venus": 1, "hydara x amalfreda": 5, "hydara x erato": 1,
        "hydara x petiverana": 10,
    },
    "mimic": {"plesseni x malleti": 111, "malleti x plesseni": 14},
}  # fmt: skip
TRAINING: Mapping[str, int] = {
    "amalfreda": 21, "chestertonii": 48, "cyrbia": 489, "demophoon": 77, "dignus": 16,
    "erato": 23, "etylus": 2, "hydara": 98, "lativitta": 856, "notabilis": 201,
    "petiverana": 8, "phyllis": 67, "venus": 83,
}  # fmt: skip
TRAINING_HYBRIDS = 91
# However small a set is, each class of each group keeps this many images.
HANDFUL = 6


@dataclass(frozen=True)
class Specimen:
    """One picture of a data set: its file name, its parents and its labels."""

    filename: str
    mother: str
    father: str | None  # None if the mother's subspecies bred true
    indicator: str

    @property
    def is_hybrid(self) -> bool:
        """Whether the parents are of two subspecies."""
        return self.father is not None


@dataclass(frozen=True)
class Order:
    """What a worker needs to draw one specimen's picture."""

    specimen: Specimen
    seed: int
    size: tuple[int, int]


def draw(order: Order) -> bytes:
    """Return the encoded picture of an order; it depends on nothing else."""
    specimen = order.specimen
    rng = rng_for(order.seed, "picture", specimen.filename)
    species = SPECIES_MIMIC if specimen.indicator == "mimic" else SPECIES_A
    mother = subspecies_named(specimen.mother, species)
    if specimen.father is None:
        genome = founder(mother, rng)
    else:
        genome = hybrid(mother, subspecies_named(specimen.father, species), rng)
    picture = draw_specimen(genome, mother.species, order.size, rng)
    return encode(picture, FORMATS[Path(specimen.filename).suffix.lower()])


def challenge_set(name: str, seed: int, scale: float) -> list[Specimen]:
    """Return the specimens of ``val`` or ``test``, sorted by their anonymous names."""
    rng = rng_for(seed, "set", name)
    pairs: list[tuple[str, str]] = []
    for indicator, counts in GROUP_SIZES[name].items():
        for kinds, count in zip((POPULATIONS, CROSSES), counts, strict=True):
            wanted = max(HANDFUL, round(count * scale))
            pairs.extend((kind, indicator) for kind in _choose(kinds[indicator], wanted, rng))
    return _named(pairs, seed, name)


def training_set(seed: int, scale: float) -> list[Specimen]:
    """Return the training specimens: Species A, with signal hybrids only."""
    rng = rng_for(seed, "set", "train")
    pairs: list[tuple[str, str]] = []
    for kind, count in TRAINING.items():
        indicator = "major" if kind in SIGNAL_PARENTS else "minor"
        pairs.extend([(kind, indicator)] * max(2, round(count * scale)))
    hybrids = max(HANDFUL, round(TRAINING_HYBRIDS * scale))
    pairs.extend((kind, "major") for kind in _choose(CROSSES["major"], hybrids, rng))
    return _named(pairs, seed, "train")


def sample_set(count: int, seed: int) -> list[Specimen]:
    """Return a few specimens of all groups in turn."""
    rng = rng_for(seed, "set", "samples")
    pairs = []
    for i in range(count):
        indicator = INDICATORS[i % 3]
        kinds = (POPULATIONS if i % 2 == 0 else CROSSES)[indicator]
        pairs.append((_choose(kinds, 1, rng)[0], indicator))
    return _named(pairs, seed, "samples")


def _choose(kinds: Mapping[str, int], count: int, rng: np.random.Generator) -> list[str]:
    """Draw `count` kinds in proportion to their weights."""
    names = list(kinds)
    edges = np.cumsum([kinds[name] for name in names])
    drawn = np.searchsorted(edges, rng.random(count) * edges[-1], side="right")
    return [names[int(i)] for i in drawn]


def _parents(kind: str) -> tuple[str, str | None]:
    mother, cross, father = kind.partition(" x ")
    return mother.strip(), (father.strip() if cross else None)


def _named(pairs: list[tuple[str, str]], seed: int, name: str) -> list[Specimen]:
    """Give anonymous names; sorting by them also shuffles the groups."""
    specimens = []
    for i, (kind, indicator) in enumerate(pairs):
        digest = hashlib.sha256(f"{seed}/name/{name}/{i}".encode()).hexdigest()
        mother, father = _parents(kind)
        specimens.append(Specimen(f"{digest[:12]}.jpg", mother, father, indicator))
    return sorted(specimens, key=lambda specimen: specimen.filename)


def read_labels(reference: Path, seed: int, report: Callable[[str], None]) -> list[Specimen]:
    """Read a label file and say for each row what to draw.

    Parameters
    ----------
    reference : Path
        A CSV with the columns ``filename``, ``hybrid_stat`` (0 or 1) and
        ``ssp_indicator`` (major, minor or mimic). ``subspecies_ref`` is used where
        present and not empty; hybrids are written ``mother x father``.
    seed : int
        Decides what is drawn for rows without a subspecies.
    report : callable
        Gets one line of warning if names of subspecies are unknown.

    Returns
    -------
    list of Specimen
        In the file's order.

    Raises
    ------
    BundleError
        If the file is not such a table; the sentence names the row, counted as an
        editor does, the header being row 1.
    """
    specimens: list[Specimen] = []
    seen: dict[str, int] = {}
    for number, row in _rows(reference):
        where = f"{reference.name}, row {number}"
        filename = row["filename"]
        _check_name(filename, where)
        if filename in seen:
            raise BundleError(
                "labels-duplicate",
                f"{where}: the file name {filename!r} is already in row {seen[filename]}; "
                "keep one of the two.",
            )
        seen[filename] = number
        if row["hybrid_stat"] not in {"0", "1"}:
            raise BundleError(
                "labels-value",
                f"{where}: hybrid_stat is {row['hybrid_stat']!r}; write 0 or 1.",
            )
        if row["ssp_indicator"] not in INDICATORS:
            raise BundleError(
                "labels-value",
                f"{where}: ssp_indicator is {row['ssp_indicator']!r}; write major, minor or mimic.",
            )
        is_hybrid = row["hybrid_stat"] == "1"
        kind = row.get("subspecies_ref", "")
        if not kind:
            kinds = (CROSSES if is_hybrid else POPULATIONS)[row["ssp_indicator"]]
            kind = _choose(kinds, 1, rng_for(seed, "row", filename))[0]
        mother, father = _parents(kind)
        if is_hybrid != (father is not None) or not mother or father == "":
            raise BundleError(
                "labels-contradict",
                f"{where}: hybrid_stat is {row['hybrid_stat']} but subspecies_ref is {kind!r}; "
                "a hybrid is written 'mother x father', anything else as one name.",
            )
        specimens.append(Specimen(filename, mother, father, row["ssp_indicator"]))
    parents = {name for one in specimens for name in (one.mother, one.father) if name}
    unknown = sorted(parents - set(SUBSPECIES))
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        report(f"warning: {len(unknown)} unknown subspecies get made-up patterns: {shown}")
    return specimens


def _rows(reference: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (row number, stripped cells) of a CSV that has the three label columns."""
    try:
        text = reference.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BundleError(
            "labels-not-text", f"{reference.name} is not a UTF-8 text file; save it as UTF-8 CSV."
        ) from error
    except OSError as error:
        raise BundleError(
            "labels-unreadable",
            f"The label file {reference.name} cannot be read ({error.strerror}); check the path.",
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        missing = [c for c in ("filename", "hybrid_stat", "ssp_indicator") if c not in header]
        if missing:
            raise BundleError(
                "labels-columns",
                f"{reference.name}, row 1: no column {', '.join(missing)}; "
                "a label file has at least filename, hybrid_stat and ssp_indicator.",
            )
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            raise BundleError(
                "labels-columns",
                f"{reference.name}, row 1: the column {repeated[0]!r} occurs twice; keep one.",
            )
        reader.fieldnames = header
        for row in reader:
            if None in row or None in row.values():
                raise BundleError(
                    "labels-row",
                    f"{reference.name}, row {reader.line_num}: the row has not the header's "
                    f"{len(header)} cells; mend the commas or quotes.",
                )
            rows.append((reader.line_num, {key: cell.strip() for key, cell in row.items()}))
    except csv.Error as error:
        raise BundleError(
            "labels-row", f"{reference.name}, row {reader.line_num + 1}: {error}; mend the row."
        ) from error
    if not rows:
        raise BundleError("labels-empty", f"{reference.name} has no rows; add one per image.")
    return rows


def _check_name(filename: str, where: str) -> None:
    """Refuse a file name that could leave its folder or that nobody could read back."""
    plain = filename.isprintable() and not set(filename) & set('/\\:*?"<>|')
    if not filename or not plain or len(filename.encode("utf-8", "replace")) > 200:
        raise BundleError(
            "labels-file-name",
            f"{where}: {filename[:80]!r} is no plain file name; write a name without folders, "
            'control characters and any of \\ / : * ? " < > |, up to 200 bytes long.',
        )
    if is_clutter(filename):
        raise BundleError(
            "labels-file-name",
            f"{where}: {filename!r} is a name that readers ignore; rename the image.",
        )
    if Path(filename).suffix.lower() not in FORMATS:
        raise BundleError(
            "labels-file-name",
            f"{where}: {filename!r} is of no format that can be drawn; "
            f"end the name in {', '.join(FORMATS)}.",
        )
