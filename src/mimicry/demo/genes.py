"""Pattern genes of the generated butterflies: subspecies, crosses and what they look like.

The loci are modelled on the colour pattern genes known from *Heliconius*
(*optix*, *WntA*, *cortex* and the *K* locus), simplified until a table fits on
one page. They serve to generate test data and make no claim about real animals.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Traits(NamedTuple):
    """What an individual's pattern genes express; most values lie in [0, 1].

    Positions count along the wing from the base (0) to the tip (1).
    """

    dennis: float  # orange-red patch at the base of the forewing
    rays: float  # orange-red rays on the hindwing
    band_red: float  # red pigment in the forewing band
    band_rim: float  # red along the edge of a pale band
    band_yellow: float  # yellow instead of white in the forewing band
    band_at: float  # where the band crosses the forewing
    band_width: float  # half its width
    band_split: float  # a black gap that makes two bands of one
    band_broken: float  # black veins that break the band into spots
    spots: float  # pale spots in the forewing's cell
    bar: float  # yellow bar across the hindwing
    streak: float  # yellow line along the forewing's cell
    fringe: float  # white margin of the hindwing
    sheen: float  # blue iridescence


class Locus(NamedTuple):
    """How one trait is inherited."""

    group: str  # loci of one group lie side by side on a chromosome
    dominance: float  # 1: the larger allele shows alone; 0: half way; -1: the smaller one
    spread: float  # standard deviation inside a subspecies


LOCI: dict[str, Locus] = {
    "dennis": Locus("optix", 0.35, 0.09),
    "rays": Locus("optix", 0.25, 0.09),
    "band_red": Locus("optix", 0.6, 0.07),
    "band_rim": Locus("optix", 0.2, 0.10),
    "band_yellow": Locus("K", 0.1, 0.09),
    "band_at": Locus("WntA", 0.0, 0.012),
    "band_width": Locus("WntA", 0.1, 0.010),
    "band_split": Locus("WntA", -0.1, 0.10),
    "band_broken": Locus("WntA", 0.1, 0.10),
    "spots": Locus("WntA", 0.0, 0.12),
    "bar": Locus("cortex", -0.45, 0.07),
    "streak": Locus("cortex", -0.3, 0.08),
    "fringe": Locus("cortex", 0.0, 0.10),
    "sheen": Locus("sheen", 0.0, 0.08),
}
NAMES = tuple(LOCI)
_DOMINANCE = np.array([locus.dominance for locus in LOCI.values()])
_SPREAD = np.array([locus.spread for locus in LOCI.values()])
# Recombination before each locus: free between groups, rare inside one.
_SWITCH = np.array(
    [
        0.5 if i == 0 or LOCI[name].group != LOCI[NAMES[i - 1]].group else 0.06
        for i, name in enumerate(NAMES)
    ]
)

SPECIES_A = "A"
SPECIES_MIMIC = "mimic"


@dataclass(frozen=True)
class Subspecies:
    """A population that breeds true: its species and the allele it is fixed for, per locus."""

    name: str
    species: str
    alleles: tuple[float, ...]


def _population(name: str, alleles: dict[str, float], species: str = SPECIES_A) -> Subspecies:
    plain = dict.fromkeys(NAMES, 0.0) | {"band_at": 0.57, "band_width": 0.11}
    return Subspecies(name, species, tuple((plain | alleles)[locus] for locus in NAMES))


_RAYED = {"dennis": 0.95, "rays": 0.95, "band_yellow": 1.0, "band_broken": 0.55}
_TWIN = {"band_rim": 0.85, "band_split": 0.95, "band_width": 0.15, "band_at": 0.55}
_POSTMAN = {"band_red": 1.0, "band_width": 0.125}

SUBSPECIES: dict[str, Subspecies] = {
    population.name: population
    for population in (
        _population("notabilis", _TWIN),
        _population("lativitta", _RAYED | {"band_at": 0.6, "band_width": 0.085, "spots": 0.25}),
        _population("plesseni", _TWIN | {"band_rim": 0.75, "band_at": 0.56}, SPECIES_MIMIC),
        _population(
            "malleti", _RAYED | {"band_at": 0.58, "band_width": 0.095, "spots": 0.45}, SPECIES_MIMIC
        ),
        _population(
            "amalfreda",
            {"dennis": 0.95, "band_yellow": 0.7, "band_width": 0.12, "band_broken": 0.3},
        ),
        _population("chestertonii", {"band_width": 0.0, "bar": 0.95, "sheen": 0.75}),
        _population("cyrbia", _POSTMAN | {"bar": 0.25, "fringe": 0.9, "sheen": 0.85}),
        _population("demophoon", _POSTMAN | {"bar": 0.7, "band_at": 0.59}),
        _population("dignus", _RAYED | {"rays": 0.45, "band_yellow": 0.55, "band_width": 0.12}),
        _population("erato", _RAYED | {"band_broken": 0.95, "spots": 0.8, "band_at": 0.56}),
        _population("etylus", _RAYED | {"band_width": 0.15, "band_broken": 0.1}),
        _population("hydara", _POSTMAN | {"band_width": 0.135}),
        _population("petiverana", _POSTMAN | {"bar": 0.95, "band_width": 0.115}),
        _population(
            "phyllis", _POSTMAN | {"bar": 0.8, "streak": 0.9, "band_width": 0.1, "spots": 0.15}
        ),
        _population("venus", _POSTMAN | {"bar": 0.45, "sheen": 0.6, "band_at": 0.55}),
    )
}

SIGNAL_PARENTS = ("notabilis", "lativitta")


def subspecies_named(name: str, species: str = SPECIES_A) -> Subspecies:
    """Return the subspecies of that name, or one made up from the name.

    Parameters
    ----------
    name : str
        A key of `SUBSPECIES`; any other name gets alleles that depend on nothing
        but the name, so that a foreign label file can be drawn, too.
    species : str
        The species of a subspecies that is made up.
    """
    known = SUBSPECIES.get(name)
    if known is not None:
        return known
    digits = hashlib.sha256(name.encode("utf-8")).digest()
    alleles = {
        locus: float(digits[i] > 127) * (0.55 + digits[i + 14] / 640)
        for i, locus in enumerate(NAMES)
    }
    alleles["band_at"] = 0.5 + 0.14 * digits[28] / 255
    alleles["band_width"] = 0.06 + 0.09 * digits[29] / 255
    return _population(name, alleles, species)


def founder(population: Subspecies, rng: np.random.Generator) -> FloatArray:
    """Return the genome of one animal of a subspecies: alleles of shape (2, loci)."""
    alleles = np.array(population.alleles)
    # Both alleles vary on their own, so the mean of two has the stated spread.
    noise = rng.standard_normal((2, len(alleles))) * _SPREAD * np.sqrt(2.0)
    # A gene that a subspecies lacks shows little of the variation of one that it has.
    held = np.where(alleles < 0.02, 0.25, 1.0)
    genome: FloatArray = alleles + noise * held
    return genome


def gamete(genome: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return one recombined set of alleles, shape (loci,), from a genome of shape (2, loci)."""
    switches = rng.random(len(_SWITCH)) < _SWITCH
    strand = np.cumsum(switches) % 2
    mixed: FloatArray = np.where(strand == 0, genome[0], genome[1])
    return mixed


def offspring(mother: FloatArray, father: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the genome of a child of two genomes."""
    return np.stack([gamete(mother, rng), gamete(father, rng)])


def hybrid(
    mother: Subspecies,
    father: Subspecies,
    rng: np.random.Generator,
    generations: Mapping[str, float] | None = None,
) -> FloatArray:
    """Return the genome of a hybrid of two subspecies.

    Parameters
    ----------
    mother, father : Subspecies
        The pure parents.
    rng : numpy.random.Generator
        The source of chance.
    generations : mapping, optional
        Weights of ``F1`` (child of both), ``F2`` (child of two F1) and
        ``backcross`` (child of an F1 and a pure parent); `GENERATIONS` by default.

    Returns
    -------
    ndarray of float64, shape (2, loci)
    """
    weights = GENERATIONS if generations is None else generations
    pick = rng.random() * sum(weights.values())
    first = offspring(founder(mother, rng), founder(father, rng), rng)
    if pick < weights["F1"]:
        return first
    if pick < weights["F1"] + weights["F2"]:
        return offspring(first, offspring(founder(mother, rng), founder(father, rng), rng), rng)
    parent = mother if rng.random() < 0.5 else father
    return offspring(first, founder(parent, rng), rng)


GENERATIONS: Mapping[str, float] = {"F1": 0.5, "F2": 0.25, "backcross": 0.25}


def express(genome: FloatArray) -> Traits:
    """Return the traits of a genome: the alleles' mean, moved by each locus's dominance.

    With alleles a and b and dominance d the trait is
    ``(a + b) / 2 + d * |a - b| / 2``: 1 shows the larger allele, -1 the smaller.
    """
    middle = (genome[0] + genome[1]) / 2
    apart = np.abs(genome[0] - genome[1]) / 2
    values = np.clip(middle + _DOMINANCE * apart, 0.0, 1.1)
    return Traits(*(float(value) for value in values))
